//! How often one address may fail: guessing costs the guesser, and nobody else.
//!
//! A rule over time that is given to it, and a table that cannot grow beyond its bound. It never refuses who has not
//! failed, and it knows nothing of users: whose account it is, is looked at elsewhere.

use crate::Fault;
use axum::http::StatusCode;
use model::Timestamp;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// The address a request came from. The listener puts it into each request's extensions; requests that come another
/// way have none, and are not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Addresses that are remembered at once.
const MAX_ADDRESSES: usize = 4096;
/// The span over which failures are counted, µs.
const SPAN: i64 = 60_000_000;

/// So many failures a minute for each address. What is not used is there as a burst.
#[derive(Debug)]
pub struct Failures {
    /// What one failure costs, µs of the span; 0: nothing is limited.
    cost: i64,
    /// By address: when its debt is paid.
    paid: Mutex<BTreeMap<IpAddr, Timestamp>>,
}

impl Failures {
    /// `allowed` failures a minute; 0 limits nothing.
    pub fn per_minute(allowed: u32) -> Failures {
        let cost = if allowed == 0 { 0 } else { (SPAN / i64::from(allowed)).max(1) };
        Failures { cost, paid: Mutex::default() }
    }

    /// Charges one failure, before it is known whether it will be one: many at once must not pass together.
    /// # Errors
    /// Seconds after which the address may try again.
    pub fn charge(&self, peer: Peer, now: Timestamp) -> Result<(), u64> {
        if self.cost == 0 {
            return Ok(());
        }
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let key = network(peer.0);
        let until = paid.get(&key).copied().unwrap_or(now).max(now).0 + self.cost;
        let over = until - now.0 - SPAN;
        if over > 0 {
            return Err(u64::try_from(over).unwrap_or(0).div_ceil(1_000_000).max(1));
        }
        if paid.len() >= MAX_ADDRESSES && !paid.contains_key(&key) {
            paid.retain(|_, until| *until > now);
            // Still full: the one that owes least is forgotten.
            let least = paid.iter().min_by_key(|(_, until)| **until).map(|(k, _)| *k);
            if let Some(least) = least.filter(|_| paid.len() >= MAX_ADDRESSES) {
                paid.remove(&least);
            }
        }
        paid.insert(key, Timestamp(until));
        Ok(())
    }

    /// It was none.
    pub fn refund(&self, peer: Peer) {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = paid.get_mut(&network(peer.0)) {
            until.0 -= self.cost;
        }
    }
}

/// What one guesser has: an address, or of IPv6 the network that every subscriber has for himself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// 429, and when to come again.
pub fn too_many_failures(seconds: u64) -> Fault {
    let message = format!("Too many failed attempts from this address; try again after {seconds} seconds.");
    Fault::new(StatusCode::TOO_MANY_REQUESTS, message).header("retry-after", &seconds.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer(text.parse().unwrap())
    }

    #[test]
    fn a_burst_then_a_rate_and_others_are_not_touched() {
        let (f, now) = (Failures::per_minute(6), Timestamp(1_000_000_000));
        for n in 0..6 {
            assert_eq!(f.charge(peer("10.0.0.1"), now), Ok(()), "{n}");
        }
        assert_eq!(f.charge(peer("10.0.0.1"), now), Err(10));
        assert_eq!(f.charge(peer("10.0.0.2"), now), Ok(()));
        assert_eq!(f.charge(peer("10.0.0.1"), Timestamp(now.0 + 10_000_000)), Ok(()));
        assert_eq!(f.charge(peer("10.0.0.1"), Timestamp(now.0 + 10_000_000)), Err(10));
        f.refund(peer("::ffff:10.0.0.1"));
        assert_eq!(f.charge(peer("10.0.0.1"), Timestamp(now.0 + 10_000_000)), Ok(()));
        let none = Failures::per_minute(0);
        assert!((0..1000).all(|_| none.charge(peer("10.0.0.1"), now).is_ok()));
    }

    #[test]
    fn one_subscriber_is_one_and_the_table_is_bounded() {
        let (f, now) = (Failures::per_minute(1), Timestamp(0));
        assert_eq!(f.charge(peer("2001:db8::1"), now), Ok(()));
        assert!(f.charge(peer("2001:db8::2"), now).is_err());
        assert_eq!(f.charge(peer("2001:db8:0:1::2"), now), Ok(()));
        for n in 0..10_000u32 {
            assert_eq!(f.charge(Peer(IpAddr::V4(n.into())), now), Ok(()));
        }
        assert_eq!(f.paid.lock().unwrap().len(), MAX_ADDRESSES);
    }
}
