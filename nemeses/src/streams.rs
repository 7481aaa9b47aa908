//! Randomness by name: what one part draws does not depend on which other parts there are.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

/// The randomness of the part with this name in a run with this seed.
pub(crate) fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Stream 0 is the controller's.
    rng.set_stream(hash(name));
    rng
}

/// The seed of a node, for a fault that has one seed: nodes shall not all fail in the same way.
pub(crate) fn seed_of(node: &str, seed: u64) -> u64 {
    seed ^ hash(node)
}

/// FNV-1a.
fn hash(name: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}
