//! How squall breaks things: faults as they act on one node, nemeses that choose nodes and moments, and the journal
//! that makes sure that every fault is healed.

pub mod faults;
pub mod nemesis;
mod words;

pub use nemesis::{Nemesis, Package};
pub use squall_checkers::{FaultEvent, Phase, Receipt};
