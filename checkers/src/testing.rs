//! What the unit tests share.

#[path = "../tests/common/random.rs"]
mod random;

pub(crate) use random::Random;
