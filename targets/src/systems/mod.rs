//! The systems under test, one module each.

pub mod refkv;
