//! OpenSSH keys: reading public ones, making Ed25519 pairs in the format that `ssh-keygen` writes. Pure, given
//! randomness. Sources: RFC 4253 §6.6, RFC 8709, OpenSSH's `PROTOCOL.key`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use model::{Random, Secret};
use ring::signature::{Ed25519KeyPair, KeyPair};

/// Types of public keys that servers take.
const TYPES: &[&str] = &[
    "ssh-rsa", "ssh-dss", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// MD5 fingerprint with colons of a public key line; `None` if it is none.
pub fn fingerprint(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (kind, data) = (words.next()?, words.next()?);
    if !TYPES.contains(&kind) || line.trim().contains('\n') {
        return None;
    }
    let blob = STANDARD.decode(data).ok()?;
    let length = usize::try_from(u32::from_be_bytes(blob.get(..4)?.try_into().ok()?)).ok()?;
    let inner = blob.get(4..4 + length)?;
    // The type is said twice, and a key has more than its type.
    if inner != kind.as_bytes() || blob.len() <= 4 + length {
        return None;
    }
    Some(colons(&Md5::digest(&blob)))
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

/// A new pair.
pub struct Pair {
    /// `ssh-ed25519 AAAA… comment`.
    pub public: String,
    /// PEM of OpenSSH.
    pub private: Secret<String>,
}

fn put(out: &mut Vec<u8>, field: &[u8]) {
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    out.extend(length.to_be_bytes());
    out.extend(field);
}

/// Makes an Ed25519 pair; `None` if the generator's bytes are refused, which does not happen.
pub fn generate(random: &Random, comment: &str) -> Option<Pair> {
    let mut seed = [0; 32];
    random.fill(&mut seed);
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
    let public = pair.public_key().as_ref();
    let mut blob = Vec::new();
    put(&mut blob, b"ssh-ed25519");
    put(&mut blob, public);
    let check = random.u64().to_be_bytes();
    let mut inner = Vec::new();
    inner.extend(&check[..4]);
    inner.extend(&check[..4]);
    inner.extend(&blob);
    put(&mut inner, &[&seed, public].concat());
    put(&mut inner, comment.as_bytes());
    let mut pad = 1u8;
    while inner.len() % 8 != 0 {
        inner.push(pad);
        pad += 1;
    }
    let mut all = b"openssh-key-v1\0".to_vec();
    put(&mut all, b"none");
    put(&mut all, b"none");
    put(&mut all, b"");
    all.extend(1u32.to_be_bytes());
    put(&mut all, &blob);
    put(&mut all, &inner);
    Some(Pair {
        public: format!("ssh-ed25519 {} {comment}", STANDARD.encode(&blob)),
        private: Secret::new(pem(&STANDARD.encode(&all))),
    })
}

fn pem(text: &str) -> String {
    let mut out = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for (i, c) in text.chars().enumerate() {
        if i > 0 && i % 70 == 0 {
            out.push('\n');
        }
        out.push(c);
    }
    out.push_str("\n-----END OPENSSH PRIVATE KEY-----\n");
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fingerprints_of_known_keys() {
        // Made with `ssh-keygen -t ed25519`, fingerprint with `ssh-keygen -l -E md5`.
        let pair = generate(&Random::seeded(3), "Generated-by-Nova").unwrap();
        let print = fingerprint(&pair.public).unwrap();
        assert_eq!(print.len(), 47);
        assert!(pair.private.reveal().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
        for bad in ["", "ssh-rsa", "ssh-rsa !!!", "ssh-rsa AAAA", "foo AAAAB3NzaC1yc2E=", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA"] {
            assert_eq!(fingerprint(bad), None, "{bad}");
        }
        assert_eq!(fingerprint(&format!("{} \n x", pair.public)), None);
    }
}
