//! Weak isolation of transactions over registers: read committed, read atomic and causal consistency.
//!
//! A transaction is a list of `["w", key, value]` and `["r", key, value]`, where null is the initial value, or a single `read`, `write`,
//! `cas`, `get` or `put`. Each value is written to a key at most once, so that every read tells whose write it saw. Failed transactions
//! must leave no trace. One of unknown outcome committed if a write of it was read; if not, it is left out.
//!
//! A history is valid if there is an order of all committed transactions, the commit order, that respects sessions and reads and the
//! axiom of the level (Biswas and Enea, *On the complexity of checking transactional consistency*, OOPSLA 2019): whenever a transaction
//! reads a key from one writer although another writer of it
//!
//! - was read from before by the same transaction (read committed),
//! - was read from by the same transaction or came before it in its session (read atomic),
//! - happened before it, by sessions and reads (causal consistency),
//!
//! that other writer commits before the one that was read. All that a transaction reads is the last that its writer wrote, and its own
//! write if it has written.
//!
//! The edges that the axioms force are drawn as in AWDIT (Møldrup and Pavlogiannis, *AWDIT: an optimal weak database isolation tester*,
//! PLDI 2025): O(n^1.5) for read committed and read atomic, O(n·k) for causal consistency with k sessions at a time. Nothing
//! recurses.
//!
//! ```
//! use squall_checkers::{Checker, History, Isolation, IsolationLevel, Op, Process, Type, Valid};
//! use serde_json::json;
//!
//! let txn = |process, mops| Op::new("txn").process(Process::Client(process)).value(mops);
//! let history: History = [
//!     (0, json!([["w", "x", 1], ["w", "y", 1]])),
//!     (1, json!([["r", "y", null], ["r", "x", 1]])),
//! ]
//! .into_iter()
//! .flat_map(|(process, mops)| [txn(process, mops.clone()), txn(process, mops).kind(Type::Ok)])
//! .collect();
//!
//! let verdict = Isolation::new(IsolationLevel::ReadAtomic).check(&history);
//! assert_eq!(verdict.valid, Valid::False);
//! assert_eq!(verdict.anomalies[0].kind, "fractured-read");
//! assert_eq!(verdict.anomalies[0].witness, [1, 3]);
//! ```

mod axioms;
mod causal;
mod clocks;
mod explain;
mod order;
mod plan;
mod witness;

#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
pub(crate) mod tests;

use axioms::Saturated;
use explain::Explainer;
use order::{Next, sort};
use plan::{Drawn, Plan, draw};

use crate::registry::{CheckerEntry, Object, Order};
use crate::txn::{Misread, NONE, Shape, Teller, Txns};
use crate::{Anomaly, Budget, Checker, History, Spent, Verdict};

/// How many anomalies of a kind a verdict spells out; its numbers count all.
const SHOWN: usize = 5;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "txn-read-committed",
        about: "transactions over registers see committed writes, never older ones after newer ones",
        order: Order::Sessions,
        on: Object::Registers,
        build: |_| Box::new(Isolation::new(IsolationLevel::ReadCommitted)),
    },
    CheckerEntry {
        name: "txn-read-atomic",
        about: "transactions over registers see all of another transaction or nothing",
        order: Order::Sessions,
        on: Object::Registers,
        build: |_| Box::new(Isolation::new(IsolationLevel::ReadAtomic)),
    },
    CheckerEntry {
        name: "txn-causal",
        about: "transactions over registers see all that happened before what they see",
        order: Order::Sessions,
        on: Object::Registers,
        build: |_| Box::new(Isolation::new(IsolationLevel::Causal)),
    },
];

/// How much transactions are kept apart; each level implies those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IsolationLevel {
    /// What is read was committed, and newer than what was read before.
    ReadCommitted,
    /// A transaction sees all of another or nothing of it.
    ReadAtomic,
    /// A transaction sees everything that happened before what it sees.
    Causal,
}

/// Checks the isolation of transactions over registers. See the [module](self) for what is expected of the history.
#[derive(Clone, Copy, Debug)]
pub struct Isolation {
    level: IsolationLevel,
}

/// What is wrong with a plan.
enum Finding {
    /// Nothing: there is a commit order.
    Order,
    /// These nodes are on a cycle or come after one, or an edge leads to the initial value.
    Broken(Vec<u32>),
}

impl IsolationLevel {
    fn title(self) -> &'static str {
        match self {
            IsolationLevel::ReadCommitted => "read committed",
            IsolationLevel::ReadAtomic => "read atomic",
            IsolationLevel::Causal => "causally consistent",
        }
    }

    /// Draws what the axiom forces and looks for a commit order.
    fn judge<'a>(self, plan: &Plan, budget: &'a Budget) -> Result<(Saturated<'a>, Finding), Spent> {
        let (saturated, ordered) = match self {
            IsolationLevel::ReadCommitted => (axioms::read_committed(plan, budget)?, false),
            IsolationLevel::ReadAtomic => (axioms::read_atomic(plan, budget)?, false),
            IsolationLevel::Causal => causal::causal(plan, budget)?,
        };
        if ordered {
            return Ok((saturated, Finding::Order));
        }
        let finding = match sort(plan, &saturated.forced, Next::First, budget)? {
            Err(left) => Finding::Broken(left),
            Ok(_) if saturated.forced.iter().any(|edge| edge.to == NONE) => Finding::Broken(Vec::new()),
            Ok(_) => Finding::Order,
        };
        Ok((saturated, finding))
    }
}

impl Isolation {
    /// A checker of this level.
    pub fn new(level: IsolationLevel) -> Isolation {
        Isolation { level }
    }

    fn decide(&self, txns: &Txns, budget: &Budget) -> Result<Verdict, Spent> {
        let drawn = draw(txns, self.level, false, budget)?;
        if !drawn.misreads.is_empty() {
            return self.misread(&Teller { txns }, &drawn, budget);
        }
        let plan = &drawn.plan;
        let (saturated, finding) = self.level.judge(plan, budget)?;
        let edges = saturated.forced.len();
        let verdict = match finding {
            Finding::Broken(left) => {
                let (anomalies, count) =
                    witness::anomalies(&Explainer::new(txns), self.level, plan, &saturated, &left, budget)?;
                self.invalid(anomalies).stat("anomalies", count)
            }
            Finding::Order => self.valid(txns, &drawn),
        };
        Ok(verdict
            .stat("transactions", txns.list.len())
            .stat("keys", txns.keys.len())
            .stat("edges", edges + plan.reads.items().len()))
    }

    /// The verdict where reads are wrong by themselves.
    fn misread(&self, teller: &Teller, drawn: &Drawn, budget: &Budget) -> Result<Verdict, Spent> {
        let aborted = |misread: &Misread| matches!(misread, Misread::Aborted { .. });
        let mut anomalies: Vec<Anomaly> =
            few_of_each(&drawn.misreads).map(|misread| teller.misread(misread)).collect();
        if drawn.misreads.iter().all(aborted) {
            let info = draw(teller.txns, self.level, true, budget)?;
            let (_, finding) = self.level.judge(&info.plan, budget)?;
            if info.misreads.is_empty() && info.ambiguous.is_none() && matches!(finding, Finding::Order) {
                let advice = format!(
                    "had the failed transactions whose writes were read been recorded as info, the history would be {}: \
                     check whether the client may call a transaction failed that is not",
                    self.level.title()
                );
                anomalies.iter_mut().for_each(|anomaly| anomaly.steps.push(advice.clone()));
            }
        }
        Ok(self
            .invalid(anomalies)
            .stat("anomalies", drawn.misreads.len())
            .stat("transactions", teller.txns.list.len())
            .stat("keys", teller.txns.keys.len()))
    }

    fn invalid(&self, anomalies: Vec<Anomaly>) -> Verdict {
        let first = anomalies.first().map_or("", |anomaly| &anomaly.sentence);
        Verdict::invalid(self.name(), format!("not {}: {first}", self.level.title()), anomalies)
    }

    fn valid(&self, txns: &Txns, drawn: &Drawn) -> Verdict {
        if let Some((txn, element)) = drawn.ambiguous {
            let element = &txns.elements[element as usize];
            let reason = format!(
                "{} read {} of {}, which was written twice, so that nobody knows whose it is, and nothing else is \
                 wrong; write each value to a key once",
                txns.history.event_name(txns.list[txn as usize].event()),
                txns.values.value(element.value),
                txns.object(element.key)
            );
            return Verdict::unknown(self.name(), reason);
        }
        let (nodes, keys) = (drawn.plan.nodes(), txns.keys.len());
        Verdict::valid(self.name(), format!("{}: {nodes} transactions on {keys} keys", self.level.title()))
    }
}

/// The first few misreads of each kind, in the order in which they were found.
fn few_of_each(misreads: &[Misread]) -> impl Iterator<Item = &Misread> {
    let mut seen = std::collections::HashMap::new();
    misreads.iter().filter(move |misread| {
        let count = seen.entry(std::mem::discriminant(*misread)).or_insert(0);
        *count += 1;
        *count <= SHOWN
    })
}

impl Checker for Isolation {
    fn name(&self) -> &str {
        match self.level {
            IsolationLevel::ReadCommitted => "txn-read-committed",
            IsolationLevel::ReadAtomic => "txn-read-atomic",
            IsolationLevel::Causal => "txn-causal",
        }
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        let txns = match Txns::parse(history, Shape::Registers, budget) {
            Ok(txns) => txns,
            Err(reason) => return Verdict::unknown(self.name(), reason),
        };
        let verdict = self.decide(&txns, budget).unwrap_or_else(|spent| {
            let reason = format!(
                "{} transactions were read, and no commit order is known yet: {spent}",
                txns.list.len()
            );
            Verdict::unknown(self.name(), reason)
        });
        txns.of_all(verdict)
    }
}
