//! Passwords that the API makes up. Pure, given randomness.

use model::Random;

/// Symbols of generated passwords: three groups without those that look alike (`nova/utils.py`).
const GROUPS: [&[u8]; 3] = [b"23456789", b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"abcdefghijkmnopqrstuvwxyz"];

/// Nova's `password_length`.
const LENGTH: usize = 12;

/// A password with a symbol of each group.
pub fn password(random: &Random) -> String {
    let mut out: Vec<u8> = GROUPS.iter().map(|g| pick(random, g)).collect();
    let all = GROUPS.concat();
    out.extend((out.len()..LENGTH).map(|_| pick(random, &all)));
    // Fisher and Yates, so that the groups do not stand in front.
    for i in (1..out.len()).rev() {
        let j = index(random, i + 1);
        out.swap(i, j);
    }
    out.into_iter().map(char::from).collect()
}

fn index(random: &Random, n: usize) -> usize {
    usize::try_from(random.below(n as u64)).unwrap_or(0)
}

fn pick(random: &Random, from: &[u8]) -> u8 {
    from[index(random, from.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_each_group_and_varies() {
        let random = Random::seeded(7);
        let (a, b) = (password(&random), password(&random));
        assert_ne!(a, b);
        for p in [a, b] {
            assert_eq!(p.len(), LENGTH);
            assert!(GROUPS.iter().all(|g| p.bytes().any(|c| g.contains(&c))), "{p}");
        }
    }
}
