//! Histories, models, checkers and verdicts.
//!
//! A *history* is what a test recorded: invocations and completions of operations by concurrent processes. A *checker*
//! turns a history into a *verdict*: valid, invalid with an anomaly and its witness, or unknown with the reason.
//! This crate is pure: no clock, no network, no threads that outlive a call. A verdict is a function of the bytes of
//! a history. It is useful alone, without the rest of squall.

pub mod atomicity;
mod budget;
pub mod causal;
pub mod checker;
mod collection;
pub mod domain;
pub mod elle;
mod errors;
pub mod eventual;
mod graph;
pub mod history;
mod intern;
pub mod isolation;
pub mod linear;
pub mod model;
pub mod polygraph;
mod registers;
pub mod registry;
pub mod regular;
pub mod sequential;
pub mod session;
mod stats;
#[cfg(test)]
mod testing;
mod txn;
pub mod unknown;
pub mod verdict;

pub use atomicity::{DeltaAtomicity, KAtomicity};
pub use budget::{Budget, Lease, Spent};
pub use causal::{Causal, CausalModel};
pub use checker::{Checker, from_fn};
pub use collection::Collection;
pub use domain::SetFull;
pub use elle::{Append, Consistency, RwRegister};
pub use errors::UnhandledErrors;
pub use eventual::EventualConsistency;
pub use history::{Fault, FaultEvent, FaultSummary, History, Op, Phase, Process, Receipt, Type};
pub use isolation::{Isolation, IsolationLevel};
pub use linear::Linearizable;
pub use model::Model;
pub use polygraph::{Polygraph, PolygraphModel};
pub use regular::LamportRegister;
pub use sequential::Sequential;
pub use serde_json::Value;
pub use session::{Guarantee, Session};
pub use stats::Stats;
pub use unknown::Unknown;
pub use verdict::{Anomaly, Edge, Valid, Verdict};
