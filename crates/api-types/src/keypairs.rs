//! Keypairs: bodies and views.

use crate::Microversion;
use crate::check::{self, At, Result};
use serde::Serialize;
use serde_json::Value;

/// `POST /os-keypairs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Name.
    pub name: String,
    /// `ssh` or `x509` (2.2).
    pub kind: String,
    /// The key to import; `None` asks for a new pair (until 2.91).
    pub public_key: Option<String>,
    /// Whose (2.10); administrators may name others.
    pub user_id: Option<String>,
}

fn name(mv: Microversion) -> impl Fn(At<'_>) -> Result<String> {
    move |at| {
        let wide = mv.at_least(92);
        let ok = |t: &str| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b) || (wide && b"@.".contains(&b)));
        let text = check::name(at.clone())?;
        at.pattern(1, 255, if wide { r"^[_\-\@\. a-zA-Z0-9]+$" } else { r"^[_\- a-zA-Z0-9]+$" }, ok)?;
        Ok(text)
    }
}

impl Create {
    /// Reads the body.
    /// # Errors
    /// Nova's sentence.
    pub fn read(body: &Value, mv: Microversion) -> Result<Create> {
        check::only(body, "keypair", |at| {
            let mut f = at.object()?;
            let create = Create {
                name: f.required("name", name(mv))?,
                kind: f
                    .since(mv.at_least(2), "type", |at| at.one_of(&["ssh", "x509"]).map(str::to_owned))?
                    .unwrap_or_else(|| "ssh".into()),
                public_key: if mv.at_least(92) {
                    Some(f.required("public_key", check::text)?)
                } else {
                    f.optional("public_key", check::text)?
                },
                user_id: f.since(mv.at_least(10), "user_id", check::text)?,
            };
            f.finish()?;
            Ok(create)
        })
    }
}

/// A keypair.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    /// Name.
    pub name: &'a str,
    /// Public key.
    pub public_key: &'a str,
    /// Fingerprint.
    pub fingerprint: &'a str,
    /// `ssh` or `x509` (2.2).
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
    /// Owner; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<&'a str>,
    /// The new private key: once, and stored nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<&'a str>,
    /// Shown by GET of one.
    #[serde(flatten)]
    pub shown: Option<Shown>,
}

/// What only GET of one shows.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// A number; keypairs have none of their own here.
    pub id: i64,
    /// Made at.
    pub created_at: String,
    /// Always null.
    pub updated_at: Option<String>,
    /// Always false.
    pub deleted: bool,
    /// Always null.
    pub deleted_at: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn by_version() {
        let c = |mv, v: Value| Create::read(&json!({"keypair": v}), Microversion(2, mv));
        assert!(c(1, json!({"name": "a", "type": "ssh"})).is_err());
        assert_eq!(c(2, json!({"name": "a", "type": "x509"})).unwrap().kind, "x509");
        assert!(c(91, json!({"name": "a"})).is_ok());
        assert!(c(92, json!({"name": "a"})).unwrap_err().0.contains("'public_key' is a required property"));
        assert!(c(91, json!({"name": "a@b"})).is_err());
        assert!(c(92, json!({"name": "a@b.c", "public_key": "k"})).is_ok());
        assert!(c(1, json!({"name": "a/b"})).is_err());
        assert!(c(9, json!({"name": "a", "user_id": "u"})).is_err());
    }
}
