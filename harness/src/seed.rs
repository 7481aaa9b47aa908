//! One seed decides every random choice of a run.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// A fresh seed of 32 bits, short enough to be read aloud.
pub(crate) fn fresh() -> u64 {
    // RandomState is seeded by the operating system: no dependency is needed for one number.
    RandomState::new().build_hasher().finish() >> 32
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_seed_is_short() {
        assert!(super::fresh() <= u64::from(u32::MAX));
    }
}
