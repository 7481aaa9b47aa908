//! How squall breaks things: faults as they act on one node, nemeses that choose nodes and moments, and the journal
//! that makes sure that every fault is healed.

pub mod nemesis;

pub use nemesis::{Nemesis, Package};
pub use squall_checkers::{FaultEvent, Phase, Receipt};
