//! Histories, models, checkers and verdicts.
//!
//! A *history* is what a test recorded: invocations and completions of operations by concurrent processes. A *checker*
//! turns a history into a *verdict*: valid, invalid with an anomaly and its witness, or unknown with the reason.
//! This crate is pure: no network, no clock but that of a [`Budget`], no threads that outlive a call. A verdict is a function of
//! the bytes of a history. It is useful alone, without the rest of squall:
//!
//! ```
//! use squall_checkers::{Checker, Linearizable, Valid, history, model::Register};
//!
//! let text = r#"
//! {:process 0, :type :invoke, :f :write, :value 1}
//! {:process 0, :type :ok,     :f :write, :value 1}
//! {:process 1, :type :invoke, :f :read,  :value nil}
//! {:process 1, :type :ok,     :f :read,  :value nil}"#;
//! let history = history::read(text.as_bytes(), "history.edn")?.history;
//! let verdict = Linearizable::new("register", Register).check(&history);
//! assert_eq!(verdict.valid, Valid::False);
//! assert_eq!(verdict.anomalies[0].kind, "stale-read");
//! # Ok::<(), history::ReadError>(())
//! ```
//!
//! | module | decides | by |
//! |---|---|---|
//! | [`linear`] | linearizability of registers, maps, locks, semaphores, counters and any [`Model`] | zones where values are set once; else a search whose memory is bounded by concurrency |
//! | [`Collection`] | linearizability of queues, stacks, priority queues and sets | near-linear engines where values are put in once |
//! | [`sequential`], [`regular`], [`eventual`], [`atomicity`] | sequential consistency, regular and safe registers, eventual consistency, k- and Δ-atomicity | saturation and search; real-time order; zones |
//! | [`causal`], [`session`] | CC, CCv, CM, PRAM; the session guarantees | bad patterns, vector clocks |
//! | [`elle`] | transactions over lists and registers, from read uncommitted to strict serializable | cycles in dependency graphs |
//! | [`isolation`] | read committed, read atomic, causal consistency of transactions | commit orders that reads force |
//! | [`polygraph`] | prefix, PSI, SI, serializable, strict serializable, where nobody knows the order of versions | pruning and a solver |
//! | [`domain`] | sets, counters, queues, ids, banks, locks … as they are used | one pass or a few |
//!
//! [`registry`] has all of them by name, and says which fits a history. Each module tells its algorithm, its cost, its source,
//! and shows an example.

#[cfg(test)]
mod agreement;
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
mod near;
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
pub use history::{Fault, FaultEvent, FaultSummary, History, Op, Phase, Process, Receipt, Recovery, Type};
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
