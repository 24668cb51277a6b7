//! Tokens: signed, and stored nowhere. A token says who, for what and since which revision of the directory; whether
//! that still holds is judged against memory at each use. Never holds a secret: whoever has a token may read it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use model::Timestamp;
use model::identity::SigningKey;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// First characters of every token, so that one is recognised in a leak.
pub const PREFIX: &str = "kn1.";
/// Longer is not ours; spares the work of decoding it.
const MAX_LENGTH: usize = 2048;

/// What a token is for, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenScope {
    /// Nothing.
    #[serde(rename = "u")]
    Unscoped,
    /// A project.
    #[serde(rename = "p")]
    Project(String),
    /// A domain.
    #[serde(rename = "d")]
    Domain(String),
    /// The system.
    #[serde(rename = "s")]
    System,
}

/// The contents of a token. Field names are short because every request carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Key it is signed with.
    #[serde(rename = "k")]
    pub key_id: String,
    /// User.
    #[serde(rename = "u")]
    pub user_id: String,
    /// Scope.
    #[serde(rename = "s")]
    pub scope: TokenScope,
    /// How the user logged in.
    #[serde(rename = "m")]
    pub methods: Vec<String>,
    /// Issued.
    #[serde(rename = "i")]
    pub issued_at: Timestamp,
    /// Expires.
    #[serde(rename = "e")]
    pub expires_at: Timestamp,
    /// Its own audit id, then that of the first token of its chain, if it was made from one.
    #[serde(rename = "a")]
    pub audit_ids: Vec<String>,
    /// The directory's revision at issue: below the floor of its user, project or domain it is void. A number, not a
    /// time, so that no two clocks need agree.
    #[serde(rename = "r")]
    pub revision: u64,
    /// Application credential it came from.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub app_credential_id: Option<String>,
}

/// HMAC-SHA256 of `parts`, each preceded by its length so that they cannot run into each other.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl Token {
    /// The string a client gets.
    pub fn sign(&self, key: &SigningKey) -> String {
        // A struct of strings and numbers always serializes.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        let tag = mac(key.secret.reveal(), &[PREFIX.as_bytes(), &bytes]);
        bytes.extend_from_slice(&tag);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads what one of `keys` signed. Says nothing of expiry or revocation.
    pub fn verify<'k>(text: &str, key: impl Fn(&str) -> Option<&'k SigningKey>) -> Option<Token> {
        let text = text.strip_prefix(PREFIX).filter(|t| t.len() <= MAX_LENGTH)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (payload, tag) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        // The key's name has to be read before the signature can be checked; nothing else of it is used before.
        let token: Token = serde_json::from_slice(payload).ok()?;
        let expected = mac(key(&token.key_id)?.secret.reveal(), &[PREFIX.as_bytes(), payload]);
        bool::from(subtle::ConstantTimeEq::ct_eq(&expected[..], tag)).then_some(token)
    }

    /// Its own audit id.
    pub fn audit_id(&self) -> &str {
        self.audit_ids.first().map_or("", String::as_str)
    }
    /// Audit id of the first token of the chain.
    pub fn chain_id(&self) -> &str {
        self.audit_ids.last().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::Secret;

    fn key(id: &str, byte: u8) -> SigningKey {
        SigningKey { id: id.into(), created_at: Timestamp(0), secret: Secret::new(vec![byte; 32]) }
    }

    fn token() -> Token {
        Token {
            key_id: "k".into(),
            user_id: "0123456789abcdef0123456789abcdef".into(),
            scope: TokenScope::Project("fedcba9876543210fedcba9876543210".into()),
            methods: vec!["password".into()],
            issued_at: Timestamp(1),
            expires_at: Timestamp(2),
            audit_ids: vec!["a".into(), "root".into()],
            revision: 3,
            app_credential_id: None,
        }
    }

    #[test]
    fn reads_back_what_it_signed_and_nothing_else() {
        let (k, other) = (key("k", 1), key("k", 2));
        let text = token().sign(&k);
        assert!(text.len() < 400, "{}", text.len());
        assert_eq!(Token::verify(&text, |_| Some(&k)), Some(token()));
        assert_eq!(Token::verify(&text, |_| Some(&other)), None);
        assert_eq!(Token::verify(&text, |_| None), None);
        // Every single changed character is noticed.
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(Token::verify(&forged, |_| Some(&k)), None, "character {at}");
        }
        for junk in ["", "kn1.", "kn1.AAAA", "gAAAAABn", &"kn1.".repeat(2000)] {
            assert_eq!(Token::verify(junk, |_| Some(&k)), None);
        }
        assert_eq!((token().audit_id(), token().chain_id()), ("a", "root"));
    }

    #[test]
    fn parts_of_a_mac_do_not_run_into_each_other() {
        assert_ne!(mac(b"k", &[b"ab", b"c"]), mac(b"k", &[b"a", b"bc"]));
    }
}
