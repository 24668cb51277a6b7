//! Keypairs: they belong to users, not to projects.

pub mod create;
pub mod list;
pub mod ssh;

use crate::ask::Ask;
use crate::table::forbidden;
use api_types::keypairs::{Shown, View};
use model::keypair::Keypair;
use model::time;
use web::{Fault, Query};

/// Whose keypairs are meant: the caller's, or from 2.10 on those of `user_id`, which is for administrators.
/// # Errors
/// 403.
fn owner(ask: &Ask, wanted: Option<&str>, policy: &'static str) -> Result<String, Fault> {
    match wanted.filter(|_| ask.at_least(10)) {
        Some(user) if user != ask.caller.user_id && !ask.is_admin() => Err(forbidden(policy)),
        Some(user) => Ok(user.to_owned()),
        None => Ok(ask.caller.user_id.clone()),
    }
}

/// `user_id` of the query: the first one counts, as in Nova.
fn queried(query: &Query) -> Option<&str> {
    query.all("user_id").next()
}

fn missing(user: &str, name: &str) -> Fault {
    Fault::not_found(format!("Keypair {name} not found for user {user}"))
}

fn view<'a>(ask: &Ask, k: &'a Keypair) -> View<'a> {
    View {
        name: &k.name,
        public_key: &k.public_key,
        fingerprint: &k.fingerprint,
        kind: ask.at_least(2).then_some(&k.kind),
        user_id: None,
        private_key: None,
        shown: None,
    }
}

/// What only GET of one shows. The number is made of the fingerprint: stable, and of no further meaning.
fn shown(k: &Keypair) -> Shown {
    let hex: String = k.fingerprint.chars().filter(char::is_ascii_hexdigit).take(7).collect();
    Shown {
        id: i64::from_str_radix(&hex, 16).unwrap_or(0) + 1,
        created_at: time::micros(k.created_at),
        updated_at: None,
        deleted: false,
        deleted_at: None,
    }
}
