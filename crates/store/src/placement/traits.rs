//! Traits of providers.

use crate::changes::Topic;
use crate::{Result, Row, Tx, params};
use uuid::Uuid;

/// One trait of a provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProviderTrait {
    /// Name.
    pub name: String,
    /// The host reported it (and may take it back); otherwise an operator set it.
    pub reported: bool,
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    crate::damage::uuid(row, "provider")?;
    crate::damage::word(row, &["trait"])?;
    row.get::<bool>("reported").map(drop)
}

/// Traits of a provider, by name.
pub fn of(tx: &mut Tx, provider: Uuid) -> Result<Vec<ProviderTrait>> {
    let sql = "SELECT provider, trait, reported FROM provider_traits WHERE provider = $1 ORDER BY trait";
    tx.records("provider_traits", sql, params![provider], |r| {
        Ok(ProviderTrait { name: r.get("trait")?, reported: r.get("reported")? })
    })
}

/// Every (provider, trait).
pub fn all(tx: &mut Tx) -> Result<Vec<(Uuid, String)>> {
    let sql = "SELECT provider, trait FROM provider_traits ORDER BY provider, trait";
    tx.records("provider_traits", sql, &[], |r| Ok((r.get("provider")?, r.get("trait")?)))
}

/// Adds one.
pub fn add(tx: &mut Tx, provider: Uuid, name: &str, reported: bool) -> Result<()> {
    tx.execute(
        "INSERT INTO provider_traits (provider, trait, reported) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        params![provider, name, reported],
    )?;
    tx.note(Topic::Provider, provider);
    Ok(())
}

/// Removes one.
pub fn remove(tx: &mut Tx, provider: Uuid, name: &str) -> Result<()> {
    tx.execute("DELETE FROM provider_traits WHERE provider = $1 AND trait = $2", params![provider, name])?;
    tx.note(Topic::Provider, provider);
    Ok(())
}

/// Has any provider the trait?
pub fn in_use(tx: &mut Tx, name: &str) -> Result<bool> {
    Ok(!tx.query("SELECT provider FROM provider_traits WHERE trait = $1 LIMIT 1", params![name])?.is_empty())
}

/// Names of traits that some provider has.
pub fn associated(tx: &mut Tx) -> Result<Vec<String>> {
    tx.query("SELECT DISTINCT trait FROM provider_traits ORDER BY trait", &[])?.iter().map(|r| r.get("trait")).collect()
}
