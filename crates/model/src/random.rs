//! Randomness as an argument: the operating system's, or a seeded stream for simulations.

use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// Where random bytes come from. Cheap to clone; clones of a seeded source share its stream.
#[derive(Clone)]
pub struct Random(Kind);

#[derive(Clone)]
enum Kind {
    Os,
    Seeded(Arc<Mutex<u64>>),
}

impl Random {
    /// The operating system's generator; fit for secrets.
    pub fn os() -> Random {
        Random(Kind::Os)
    }
    /// A reproducible stream (SplitMix64); never for secrets.
    pub fn seeded(seed: u64) -> Random {
        Random(Kind::Seeded(Arc::new(Mutex::new(seed))))
    }
    /// Fills `out`.
    /// # Panics
    /// If the operating system has no randomness to give: nothing can be done safely then.
    pub fn fill(&self, out: &mut [u8]) {
        match &self.0 {
            Kind::Os => getrandom::fill(out).expect("the operating system gives random bytes"),
            Kind::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                for chunk in out.chunks_mut(8) {
                    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mut z = *state;
                    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    let bytes = (z ^ (z >> 31)).to_le_bytes();
                    chunk.copy_from_slice(&bytes[..chunk.len()]);
                }
            }
        }
    }
    /// 64 random bits.
    pub fn u64(&self) -> u64 {
        let mut b = [0; 8];
        self.fill(&mut b);
        u64::from_le_bytes(b)
    }
    /// A number below `n` (0 if `n` is 0). The bias is below 2^-32 for the sizes used here.
    pub fn below(&self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.u64() % n }
    }
    /// A random UUID, version 4.
    pub fn uuid(&self) -> Uuid {
        let mut b = [0; 16];
        self.fill(&mut b);
        uuid::Builder::from_random_bytes(b).into_uuid()
    }
}
