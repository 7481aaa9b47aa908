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
//! All are strong session: the order of each process counts, unless a checker is [without it](Polygraph::without_sessions). Where a transaction reads a snapshot, its snapshot and its commit
//! are two events, and the models are plain acyclicity of a graph of events (Zhang et al., *Viper*, EuroSys 2023).
//!
//! **Algorithm.** The graph of what is known grows by all that it implies ([`known`]). What is then left open is searched, with
//! learning from cycles ([`solver`]), or over the frontiers of sessions ([`frontier`]). In most histories nothing much is left.
//! For n transactions in k sessions the known graph takes O(n k) memory. The problem is NP-complete: where it is hard,
//! the verdict is unknown after some number of steps.
//!
//! **Outcomes.** Failed transactions must leave no trace. One of unknown outcome committed if a write of it was read; if not,
//! it is left out. It ends its session.
//!
//! ```
//! use squall_checkers::{Checker, History, Op, Polygraph, PolygraphModel, Process, Type, Valid};
//! use serde_json::json;
//!
//! let txn = |process, mops| Op::new("txn").process(Process::Client(process)).value(mops);
//! let history: History = [
//!     (0, json!([["r", "x", null], ["w", "x", 1]])),
//!     (1, json!([["r", "x", null], ["w", "x", 2]])),
//! ]
//! .into_iter()
//! .flat_map(|(process, mops)| [txn(process, mops.clone()), txn(process, mops).kind(Type::Ok)])
//! .collect();
//!
//! let verdict = Polygraph::new(PolygraphModel::SnapshotIsolation).check(&history);
//! assert_eq!(verdict.valid, Valid::False);
//! assert_eq!(verdict.anomalies[0].kind, "lost-update");
//! assert_eq!(Polygraph::new(PolygraphModel::PrefixConsistency).check(&history).valid, Valid::True);
//! ```

mod core;
mod engine;
mod explain;
mod frontier;
mod known;
mod order;
mod problem;
mod reads;
mod solver;
mod witness;

#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
pub(crate) mod tests;

use engine::{Answer, Decision, decide};
use known::Layout;
use problem::Problem;
use reads::collect;

use crate::checker::without_real_time;
use crate::registry::{CheckerEntry, Object, Order};
use crate::txn::{Misread, Shape, Teller, Txns};
use crate::{Anomaly, Budget, Checker, History, Spent, Verdict};

/// How many anomalies a verdict spells out; its numbers count all.
const SHOWN: usize = 10;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "txn-serializable",
        about: "register transactions are serializable in an order that keeps sessions, whatever the order of versions",
        order: Order::Sessions,
        on: Object::Registers,
        build: |_| Box::new(Polygraph::new(PolygraphModel::Serializable)),
    },
    CheckerEntry {
        name: "txn-strict-serializable",
        about: "register transactions are strictly serializable, whatever the order of versions",
        order: Order::RealTime,
        on: Object::Registers,
        build: |_| Box::new(Polygraph::new(PolygraphModel::StrictSerializable)),
    },
    CheckerEntry {
        name: "txn-snapshot-isolation",
        about: "register transactions keep snapshot isolation with sessions, whatever the order of versions",
        order: Order::Sessions,
        on: Object::Registers,
        build: |_| Box::new(Polygraph::new(PolygraphModel::SnapshotIsolation)),
    },
    CheckerEntry {
        name: "txn-parallel-snapshot-isolation",
        about: "register transactions keep parallel snapshot isolation with sessions, whatever the order of versions",
        order: Order::Sessions,
        on: Object::Registers,
        build: |_| Box::new(Polygraph::new(PolygraphModel::ParallelSnapshotIsolation)),
    },
    CheckerEntry {
        name: "txn-prefix",
        about: "register transactions are prefix consistent with sessions, whatever the order of versions",
        order: Order::Sessions,
        on: Object::Registers,
        build: |_| Box::new(Polygraph::new(PolygraphModel::PrefixConsistency)),
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
    sessions: bool,
    work_cap: u64,
}

/// What came out of a history.
struct Outcome {
    misreads: Vec<Misread>,
    /// The committed transactions and whether they have an order, unless reads are wrong by themselves.
    decided: Option<(Problem, Decision)>,
}

impl Polygraph {
    /// A checker of this model with a cap of 2·10⁹ steps.
    pub fn new(model: PolygraphModel) -> Polygraph {
        Polygraph { model, sessions: true, work_cap: 2_000_000_000 }
    }

    /// The same checker, which answers `unknown` after this many steps of search.
    pub fn work_cap(mut self, steps: u64) -> Polygraph {
        self.work_cap = steps;
        self
    }

    /// The same checker, for which the order of transactions in a process counts for nothing, unless real time does.
    pub fn without_sessions(mut self) -> Polygraph {
        self.sessions = false;
        self
    }

    /// The verdict on transactions over registers.
    pub(crate) fn judge(&self, txns: &Txns, budget: &Budget) -> Verdict {
        match self.examine(txns, false, budget) {
            Ok(outcome) => self.verdict(txns, outcome, budget),
            Err(spent) => {
                let read = txns.list.len();
                Verdict::unknown(
                    self.name(),
                    format!("{read} transactions are read and not yet judged: {spent}"),
                )
            }
        }
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
        let mut reads = collect(txns, forgiving, budget)?;
        let misreads = std::mem::take(&mut reads.misreads);
        if !misreads.is_empty() {
            return Ok(Outcome { misreads, decided: None });
        }
        let strict = self.model == PolygraphModel::StrictSerializable;
        let own = if strict { reads.draft.merge_sessions() } else { Vec::new() };
        let _lease = budget.lease(Problem::bytes(&reads.draft) + own.len() * size_of::<u32>())?;
        let problem = Problem::new(&reads.draft, budget)?;
        drop(reads);
        let decision = decide(&problem, self.model, self.work_cap, budget)?;
        let decided = match &decision.answer {
            Answer::Fails(core) if strict => {
                let few = self.failing(problem.in_sessions(core, &own, budget), budget);
                few.unwrap_or((problem, decision))
            }
            Answer::Fails(core) if !self.sessions => self.free(&problem, core, budget)?,
            _ => (problem, decision),
        };
        Ok(Outcome { misreads, decided: Some(decided) })
    }

    /// The decision without sessions, where with them there is no order: if there is none of the few transactions that show
    /// that, there is none of all.
    fn free(&self, problem: &Problem, core: &[u32], budget: &Budget) -> Result<(Problem, Decision), Spent> {
        let apart = |problem: &Problem, core: &[u32]| self.failing(problem.apart(core, budget), budget);
        if let Some(decided) = apart(problem, core) {
            return Ok(decided);
        }
        let _lease = budget.lease(problem.bytes_again())?;
        let whole = problem.chained(budget)?;
        let decision = decide(&whole, self.model, self.work_cap, budget)?;
        let few = match &decision.answer {
            // A link of a chain is told as the read that it is.
            Answer::Fails(core) => apart(&whole, core),
            _ => None,
        };
        Ok(few.unwrap_or((whole, decision)))
    }

    /// A few transactions that have no order, if they have none.
    fn failing(&self, few: Result<Problem, Spent>, budget: &Budget) -> Option<(Problem, Decision)> {
        let few = few.ok()?;
        let decision = decide(&few, self.model, self.work_cap, budget).ok()?;
        matches!(decision.answer, Answer::Fails(_)).then_some((few, decision))
    }

    fn verdict(&self, txns: &Txns, outcome: Outcome, budget: &Budget) -> Verdict {
        let sized =
            |verdict: Verdict| verdict.stat("transactions", txns.list.len()).stat("keys", txns.keys.len());
        let Some((problem, decision)) = outcome.decided else {
            let count = outcome.misreads.len();
            return sized(self.misread(txns, &outcome.misreads, budget)).stat("anomalies", count);
        };
        let verdict = match decision.answer {
            Answer::Holds => self.holds(txns, &problem),
            Answer::Capped => Verdict::unknown(
                self.name(),
                format!(
                    "what is known of {} transactions has no cycle, but with {} assumptions about the order of versions the \
                     cap of {} steps was reached",
                    problem.len() - 1,
                    decision.decisions,
                    self.work_cap
                ),
            ),
            Answer::Fails(core) => {
                let witness = witness::reduce(&problem, self.model, core, budget);
                let anomaly = explain::disorder(&Teller { txns }, &problem, self.model, &witness, budget);
                self.invalid(vec![anomaly])
            }
        };
        let anomalies = verdict.anomalies.len();
        sized(verdict)
            .stat("edges", decision.edges)
            .stat("decisions", decision.decisions)
            .stat("anomalies", anomalies)
            .stat("steps", decision.steps)
    }

    /// There is an order, unless a value that was written twice hides that there is none.
    fn holds(&self, txns: &Txns, problem: &Problem) -> Verdict {
        if let Some(reason) = txns.written_twice() {
            return Verdict::unknown(self.name(), reason);
        }
        let size = format!("{} transactions on {} keys", problem.len() - 1, txns.keys.len());
        Verdict::valid(self.name(), format!("{}: {size}", self.title()))
    }

    fn misread(&self, txns: &Txns, misreads: &[Misread], budget: &Budget) -> Verdict {
        let teller = Teller { txns };
        let mut worst: Vec<&Misread> = misreads.iter().collect();
        worst.sort_by_key(|misread| match misread {
            Misread::ThinAir { .. } => 0,
            Misread::Aborted { .. } => 1,
            _ => 2,
        });
        let mut anomalies: Vec<Anomaly> =
            worst.iter().take(SHOWN).map(|misread| teller.misread(misread)).collect();
        let aborted = |misread: &Misread| matches!(misread, Misread::Aborted { .. });
        let innocent = || {
            let outcome = self.examine(txns, true, budget);
            outcome.is_ok_and(|outcome| {
                outcome.decided.is_some_and(|(_, decision)| decision.answer == Answer::Holds)
            })
        };
        if misreads.iter().all(aborted) && innocent() {
            for anomaly in &mut anomalies {
                anomaly.steps.push(
                    "recorded as info instead of fail, the history would be valid: does the client know that it failed?"
                        .to_owned(),
                );
            }
        }
        self.invalid(anomalies)
    }

    fn invalid(&self, anomalies: Vec<Anomaly>) -> Verdict {
        let summary = format!("not {}: {}", self.title(), anomalies[0].sentence);
        Verdict::invalid(self.name(), summary, anomalies)
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
        if self.model == PolygraphModel::StrictSerializable
            && let Some(verdict) = without_real_time(self.name(), history)
        {
            return verdict;
        }
        let txns = match Txns::parse(history, Shape::Registers, budget) {
            Ok(txns) => txns,
            Err(reason) => return Verdict::unknown(self.name(), reason),
        };
        txns.of_all(self.judge(&txns, budget))
    }
}
