//! Isolation of transactions over registers, when nobody knows the order of the versions.
//!
//! An operation is a transaction: its value is a list of `["w", key, value]` and `["r", key, value]`, where null is the
//! initial value. Each value is written to a key at most once, so that a read tells from whom it read; but which of two
//! writes was the earlier is not recorded. A history is valid if and only if some order of the writes explains every read.
//!
//! **Models**, by the dependencies of Adya (ww, wr, rw) and session order (so), from Cerone and Gotsman, *Analysing snapshot
//! isolation*, JACM 2018, and Cerone, Gotsman and Yang, *Algebraic laws for weak consistency*, CONCUR 2017:
//!
//! | model | there is an order of versions with |
//! |---|---|
//! | serializable | so ∪ wr ∪ ww ∪ rw acyclic |
//! | strict serializable | the same with real time |
//! | snapshot isolation | (so ∪ wr ∪ ww) ; rw? acyclic |
//! | prefix consistency | ((so ∪ wr) ; rw?) ∪ ww acyclic |
//! | parallel snapshot isolation | (so ∪ wr ∪ ww)⁺ ; rw? irreflexive |
//!
//! All are strong session: the order of each process counts. Where a transaction reads a snapshot, its snapshot and its commit
//! are two events, and the models are plain acyclicity of a graph of events (Zhang et al., *Viper*, EuroSys 2023).
//!
//! **Algorithm.** The graph of what is known grows by all that it implies ([`known`]). What is then left open is searched, with
//! learning from cycles ([`solver`]), or over the frontiers of sessions ([`frontier`]). In most histories nothing much is left.
//! For n transactions in k sessions the known graph takes O(n k) memory. The problem is NP-complete: where it is hard,
//! the verdict is unknown after some number of steps.
//!
//! **Outcomes.** Failed transactions must leave no trace. One of unknown outcome committed if a write of it was read; if not,
//! it is left out. It ends its session.

mod core;
mod engine;
mod frontier;
mod known;
mod order;
mod problem;
mod reads;
mod solver;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use engine::{Answer, Decision, decide};
use known::Layout;
use problem::Problem;
use reads::{Fault, Reads, collect};

use crate::registry::CheckerEntry;
use crate::txn::{Shape, Txns};
use crate::budget::Spent;
use crate::{Anomaly, Budget, Checker, History, Verdict};

/// How many anomalies a verdict spells out; its numbers count all.
const SHOWN: usize = 10;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "txn-serializable",
        about: "register transactions are serializable, whatever the order of versions",
        build: || Box::new(Polygraph::new(PolygraphModel::Serializable)),
    },
    CheckerEntry {
        name: "txn-strict-serializable",
        about: "register transactions are strictly serializable, whatever the order of versions",
        build: || Box::new(Polygraph::new(PolygraphModel::StrictSerializable)),
    },
    CheckerEntry {
        name: "txn-snapshot-isolation",
        about: "register transactions keep snapshot isolation, whatever the order of versions",
        build: || Box::new(Polygraph::new(PolygraphModel::SnapshotIsolation)),
    },
    CheckerEntry {
        name: "txn-parallel-snapshot-isolation",
        about: "register transactions keep parallel snapshot isolation, whatever the order of versions",
        build: || Box::new(Polygraph::new(PolygraphModel::ParallelSnapshotIsolation)),
    },
    CheckerEntry {
        name: "txn-prefix",
        about: "register transactions are prefix consistent, whatever the order of versions",
        build: || Box::new(Polygraph::new(PolygraphModel::PrefixConsistency)),
    },
];

/// Which model to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolygraphModel {
    /// One order of all transactions, in which each session's are in order.
    Serializable,
    /// One order that also respects real time.
    StrictSerializable,
    /// Everyone reads from a snapshot, and of two concurrent writers of a key one fails.
    SnapshotIsolation,
    /// Snapshot isolation whose snapshots need not agree on the order of transactions of which none depends on the other.
    ParallelSnapshotIsolation,
    /// Everyone reads from a snapshot, which is a prefix of one order of all transactions.
    PrefixConsistency,
}

impl PolygraphModel {
    /// Whether the snapshot of a transaction and its commit are two events.
    fn split(self) -> bool {
        matches!(self, PolygraphModel::SnapshotIsolation | PolygraphModel::PrefixConsistency)
    }

    /// The event of a transaction that comes after the commits of those whose versions it replaces.
    fn written(self, layout: Layout, txn: u32) -> u32 {
        if self == PolygraphModel::SnapshotIsolation { layout.begin(txn) } else { layout.commit(txn) }
    }
}

/// Checks transactions over registers without knowing the order of versions. See the [module](self) for what is expected of
/// the history.
#[derive(Clone, Debug)]
pub struct Polygraph {
    model: PolygraphModel,
    work_cap: u64,
}

/// What came out of a history.
struct Outcome {
    faults: Vec<Fault>,
    /// The committed transactions and whether they have an order, unless there are faults.
    decided: Option<(Problem, Decision)>,
}

impl Polygraph {
    /// A checker of this model with a cap of 2·10⁹ steps.
    pub fn new(model: PolygraphModel) -> Polygraph {
        Polygraph { model, work_cap: 2_000_000_000 }
    }

    /// The same checker, which answers `unknown` after this many steps of search.
    pub fn work_cap(mut self, steps: u64) -> Polygraph {
        self.work_cap = steps;
        self
    }

    fn title(&self) -> &'static str {
        match self.model {
            PolygraphModel::Serializable => "serializable",
            PolygraphModel::StrictSerializable => "strict serializable",
            PolygraphModel::SnapshotIsolation => "snapshot isolation",
            PolygraphModel::ParallelSnapshotIsolation => "parallel snapshot isolation",
            PolygraphModel::PrefixConsistency => "prefix consistency",
        }
    }

    fn examine(&self, txns: &Txns, forgiving: bool, budget: &Budget) -> Result<Outcome, Spent> {
        let Reads { draft, faults } = collect(txns, forgiving);
        if !faults.is_empty() {
            return Ok(Outcome { faults, decided: None });
        }
        let problem = Problem::new(&draft);
        let decision = decide(&problem, self.model, self.work_cap, budget)?;
        Ok(Outcome { faults, decided: Some((problem, decision)) })
    }
}

impl Checker for Polygraph {
    fn name(&self) -> &str {
        match self.model {
            PolygraphModel::Serializable => "txn-serializable",
            PolygraphModel::StrictSerializable => "txn-strict-serializable",
            PolygraphModel::SnapshotIsolation => "txn-snapshot-isolation",
            PolygraphModel::ParallelSnapshotIsolation => "txn-parallel-snapshot-isolation",
            PolygraphModel::PrefixConsistency => "txn-prefix",
        }
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        let txns = match Txns::parse(history, Shape::Registers, budget) {
            Ok(txns) => txns,
            Err(reason) => return Verdict::unknown(self.name(), reason),
        };
        match self.examine(&txns, false, budget) {
            Ok(outcome) => match outcome.decided {
                Some((_, decision)) => {
                    let v = match decision.answer {
                        Answer::Holds => Verdict::valid(self.name(), self.title()),
                        Answer::Capped => Verdict::unknown(self.name(), "capped"),
                        Answer::Fails(txns) => Verdict::invalid(self.name(), "not", vec![Anomaly::new("x", format!("{}", txns.len()), [])]),
                    };
                    v.stat("steps", decision.steps).stat("edges", decision.edges).stat("decisions", decision.decisions)
                }
                None => Verdict::invalid(self.name(), "x", vec![Anomaly::new("read", "", [])]),
            },
            Err(spent) => Verdict::unknown(self.name(), spent.to_string()),
        }
    }
}
