//! Elle's family: isolation of transactions over lists or registers, from the order of versions that the reads tell.
//!
//! Kingsbury and Alvaro (*Elle: inferring isolation anomalies from experimental observations*, VLDB 2020). An operation is a
//! transaction, a list of micro-operations. [`Append`] takes `["append", key, value]` and `["r", key, list]`, [`RwRegister`] takes
//! `["w", key, value]` and `["r", key, value]`. A read is null until it is known (null in an acknowledged transaction is the
//! empty list, or the initial value). Each value is written to a key at most once. Failed transactions must leave no trace. One of
//! unknown outcome committed if a write of it was read; if not, it is left out.
//!
//! From the order of versions follows who must come before whom: ww, wr and rw edges (Adya 1999), and those of processes and of
//! real time. Cycles are anomalies, named after their edges as in Elle: `G0`, `G1c`, `G-single`, `G-nonadjacent`, `G2-item`, each
//! plain, `-process` or `-realtime`. A [model](Consistency) fails on what it rules out; what else is found is told beside it. The
//! verdict's numbers say which models are broken: `not` are the weakest of them, and `also-not` all stronger ones.
//!
//! # How much a verdict says
//!
//! `false` always comes with a proof. `true` is exact, so that some execution of the model explains the history, as follows.
//!
//! | model | list-append | rw-register |
//! |---|---|---|
//! | serializable, strong-session-, strict-; repeatable-read as Adya defines it on items | exact | exact |
//! | snapshot-isolation, strong-session-; parallel-snapshot-isolation, prefix | exact if each key has at most one transaction with unread appends | exact |
//! | strong-snapshot-isolation, causal-cerone, read-atomic, consistent-view, cursor-stability | the same | sound |
//! | read-committed, read-uncommitted, strong-session-, strong- | the same | sound |
//! | the others | sound: as the strongest weaker model above | sound |
//!
//! *Sound* means that `true` only says that nothing was found. Where that is for want of reads of lists, the verdict's
//! number `not complete` says so, and of which key. Registers forget: their version order is known in part. Where
//! nothing is wrong with that part and the table says *exact*, a search over all orders decides.
//!
//! Only the models that are called strong-session, strong or strict ask for the order of transactions in a process. Its
//! session ends with an operation of unknown outcome: what it does next need not come after that, nor after what was before.
//!
//! A valid history takes time and memory linear in its size.

mod complete;
mod consistency;
mod cycles;
mod deps;
mod entries;
mod explain;
mod fault;
mod judge;
mod lists;
mod part;
mod registers;
mod witness;

#[cfg(test)]
pub(crate) mod tests;

pub use consistency::Consistency;
pub(crate) use entries::CHECKERS;

use crate::checker::without_real_time;
use crate::txn::{Shape, Txns};
use crate::{Anomaly, Budget, Checker, History, Spent, Valid, Verdict};
use judge::Judge;
use lists::Orders;
use registers::{Assumptions, Registers};

/// Edges that one search for a shorter cycle may look at.
const WORK_CAP: u64 = 4_000_000;

/// Checks list-append transactions. See the [module](self) for what is expected of the history.
///
/// ```
/// use serde_json::json;
/// use squall_checkers::{Append, Checker, Consistency, History, Op, Process, Type, Valid};
///
/// // Each transaction misses what the other appends: write skew.
/// let skew = [
///     json!([["r", "x", []], ["append", "y", 1]]),
///     json!([["r", "y", []], ["append", "x", 1]]),
/// ];
/// let op = |at: u32, kind| Op::new("txn").process(Process::Client(at)).kind(kind).value(skew[at as usize].clone());
/// let history: History =
///     [op(0, Type::Invoke), op(1, Type::Invoke), op(0, Type::Ok), op(1, Type::Ok)].into_iter().collect();
///
/// let verdict = Append::new(Consistency::Serializable).check(&history);
/// assert_eq!(verdict.anomalies[0].kind, "G2-item");
/// assert_eq!(verdict.stats["not"], json!(["repeatable-read"]));
/// assert_eq!(Append::new(Consistency::SnapshotIsolation).check(&history).valid, Valid::True);
/// ```
#[derive(Clone, Debug)]
pub struct Append {
    model: Consistency,
    name: String,
    work_cap: u64,
}

impl Default for Append {
    /// Strict serializability.
    fn default() -> Append {
        Append::new(Consistency::StrictSerializable)
    }
}

impl Append {
    /// A checker of this model.
    pub fn new(model: Consistency) -> Append {
        Append { model, name: entries::name("append", model), work_cap: WORK_CAP }
    }

    /// The same checker, which looks at not many more than so many edges to make one cycle shorter.
    pub fn work_cap(self, edges: u64) -> Append {
        Append { work_cap: edges, ..self }
    }

    fn judge(&self, txns: &Txns, budget: &Budget) -> Result<Verdict, Spent> {
        let _lease = budget.lease(txns.elements.len() * 4 + txns.keys.len() * 16 + txns.list.len() * 40)?;
        let mut orders = Orders::derive(txns, budget)?;
        let lost = if txns.history.has_real_time() { orders.find_lost() } else { Vec::new() };
        let deps = deps::of_lists(&orders, budget)?;
        let found = cycles::search(&deps, txns, &lost, self.work_cap, budget)?;
        let judge =
            Judge { name: &self.name, model: self.model, txns, known: explain::Known::Lists(&orders) };
        let verdict = judge.verdict(&orders.faults, &found, deps.graph.edges());
        // The serial models are exact all the same: see the table above.
        let open = orders
            .open_key()
            .filter(|_| verdict.valid == Valid::True && !self.model.implies(Consistency::RepeatableRead));
        Ok(match open {
            Some(key) => verdict.stat(
                "not complete",
                format!(
                    "nobody read what several transactions appended to {}, so that their order is not known: nothing \
                     was found that is wrong in all of them",
                    txns.object(key)
                ),
            ),
            None => verdict,
        })
    }
}

impl Checker for Append {
    fn name(&self) -> &str {
        &self.name
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        if let Some(unknown) = without_real_time(&self.name, history).filter(|_| self.model.needs_real_time())
        {
            return unknown;
        }
        let txns = match Txns::parse(history, Shape::Lists, budget) {
            Ok(txns) => txns,
            Err(reason) => return Verdict::unknown(&self.name, reason),
        };
        let verdict =
            self.judge(&txns, budget).unwrap_or_else(|spent| judge::spent(&self.name, &txns, spent));
        txns.of_all(verdict)
    }
}

/// Checks transactions over registers, where each value is written to a key at most once. See the [module](self).
///
/// A value that nobody is recorded to have written comes out of thin air, unless [`open`](RwRegister::open) says that not all
/// writes are recorded.
///
/// ```
/// use serde_json::json;
/// use squall_checkers::{Checker, Consistency, History, Op, Process, RwRegister, Type, Valid};
///
/// // Both read the initial value and overwrite it: an update is lost.
/// let both = [json!([["r", "x", null], ["w", "x", 1]]), json!([["r", "x", null], ["w", "x", 2]])];
/// let op = |at: u32, kind| Op::new("txn").process(Process::Client(at)).kind(kind).value(both[at as usize].clone());
/// let history: History =
///     [op(0, Type::Invoke), op(1, Type::Invoke), op(0, Type::Ok), op(1, Type::Ok)].into_iter().collect();
///
/// let verdict = RwRegister::new(Consistency::CursorStability).check(&history);
/// assert_eq!(verdict.anomalies[0].kind, "lost-update");
/// assert_eq!(RwRegister::new(Consistency::ReadCommitted).check(&history).valid, Valid::True);
/// ```
#[derive(Clone, Debug)]
pub struct RwRegister {
    model: Consistency,
    name: String,
    work_cap: u64,
    assumptions: Assumptions,
}

impl Default for RwRegister {
    /// Strict serializability.
    fn default() -> RwRegister {
        RwRegister::new(Consistency::StrictSerializable)
    }
}

impl RwRegister {
    /// A checker of this model.
    pub fn new(model: Consistency) -> RwRegister {
        let name = entries::name("rw-register", model);
        RwRegister { model, name, work_cap: WORK_CAP, assumptions: Assumptions::default() }
    }

    /// The same checker, which looks at not many more than so many edges to make one cycle shorter.
    pub fn work_cap(self, edges: u64) -> RwRegister {
        RwRegister { work_cap: edges, ..self }
    }

    /// Each key alone is sequentially consistent: versions follow the order of processes.
    pub fn sequential_keys(mut self) -> RwRegister {
        self.assumptions.sequential_keys = true;
        self
    }

    /// Each key alone is linearizable: versions follow real time.
    pub fn linearizable_keys(mut self) -> RwRegister {
        self.assumptions.linearizable_keys = true;
        self
    }

    /// Not all writes are recorded: a value that nobody is known to have written may come from somebody else, or from before
    /// the history began, as Elle takes it. It is told, and breaks no model.
    pub fn open(mut self) -> RwRegister {
        self.assumptions.open = true;
        self.name += "-open";
        self
    }

    fn judge(&self, txns: &Txns, budget: &Budget) -> Result<Verdict, Spent> {
        let _lease = budget.lease(txns.elements.len() * 24 + txns.list.len() * 80)?;
        let registers = Registers::derive(txns, self.assumptions, budget)?;
        let deps = registers.dependencies(budget)?;
        let found = cycles::search(&deps, txns, &[], self.work_cap, budget)?;
        let known = explain::Known::Registers(&registers);
        let judge = Judge { name: &self.name, model: self.model, txns, known };
        Ok(judge.verdict(&registers.faults, &found, deps.graph.edges()))
    }

    /// What is wrong with a part of a history in which `anomaly` was found. What is read there from nowhere may come from
    /// elsewhere, unless that is what was found.
    fn anomalies(
        &self,
        anomaly: &Anomaly,
        history: &History,
        budget: &Budget,
    ) -> Result<Vec<Anomaly>, Spent> {
        let mut part = self.clone();
        part.assumptions.open |= anomaly.kind != "thin-air-read";
        match Txns::parse(history, Shape::Registers, budget) {
            Ok(txns) => Ok(part.judge(&txns, budget)?.anomalies),
            Err(_) => Ok(Vec::new()),
        }
    }
}

impl Checker for RwRegister {
    fn name(&self) -> &str {
        &self.name
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        if let Some(unknown) = without_real_time(&self.name, history).filter(|_| self.model.needs_real_time())
        {
            return unknown;
        }
        let txns = match Txns::parse(history, Shape::Registers, budget) {
            Ok(txns) => txns,
            Err(reason) => return Verdict::unknown(&self.name, reason),
        };
        let mut verdict = match self.judge(&txns, budget) {
            Ok(verdict) => verdict,
            Err(spent) => return judge::spent(&self.name, &txns, spent),
        };
        witness::stand_alone(&mut verdict, &txns, budget, |anomaly, history| {
            self.anomalies(anomaly, history, budget).unwrap_or_default()
        });
        if !self.assumptions.open {
            verdict = complete::decide(verdict, self.model, &txns, budget);
        }
        txns.of_all(verdict)
    }
}
