//! List-append transactions: serializability, with session order or real time.
//!
//! An operation is a transaction: its value is a list of `["append", key, value]` and `["r", key, list]`, and a read
//! is null until it is known (null in an acknowledged transaction is the empty list). Each value is appended to a key
//! at most once. Then every read tells the whole history of a key, and the order of all versions follows from the reads, as
//! Kingsbury and Alvaro showed (*Elle: inferring isolation anomalies from experimental observations*, VLDB 2020).
//!
//! Failed transactions must leave no trace. One of unknown outcome committed if an append of it was read; if not, it is
//! left out.
//!
//! The verdict is exact for the three models: a history is valid if and only if some order of the committed transactions
//! explains every read and respects the session or real-time order. Anomalies are named as in Elle.

mod cycle;
mod explain;
mod graph;
mod version_order;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use crate::txn::{Shape, Txns};
use explain::Teller;
use graph::{PROCESS, REALTIME, RW, WR, WW};
use version_order::{Fault, Orders};

use crate::checker::without_real_time;
use crate::graph::Mask;
use crate::registry::CheckerEntry;
use crate::{Anomaly, Budget, Checker, History, Verdict};

/// How many anomalies of a kind a verdict spells out; its numbers count all.
const SHOWN: usize = 5;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "append",
        about: "list-append transactions are strictly serializable",
        build: || Box::new(Append::default()),
    },
    CheckerEntry {
        name: "append-strong-session-serializable",
        about: "list-append transactions are serializable in an order that respects sessions",
        build: || Box::new(Append::new(AppendModel::StrongSessionSerializable)),
    },
    CheckerEntry {
        name: "append-serializable",
        about: "list-append transactions are serializable",
        build: || Box::new(Append::new(AppendModel::Serializable)),
    },
];

/// What the order of transactions must respect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendModel {
    /// Nothing.
    Serializable,
    /// The order in which each process ran its transactions.
    StrongSessionSerializable,
    /// Real time: a transaction that began after another was acknowledged comes after it.
    StrictSerializable,
}

/// Checks list-append transactions. See the [module](self) for what is expected of the history.
///
/// A valid history takes time and memory linear in its size, but for sorting.
#[derive(Clone, Debug)]
pub struct Append {
    model: AppendModel,
    work_cap: u64,
}

impl Default for Append {
    fn default() -> Append {
        Append::new(AppendModel::StrictSerializable)
    }
}

impl Append {
    /// A checker of this model.
    pub fn new(model: AppendModel) -> Append {
        Append { model, work_cap: 20_000_000 }
    }

    /// The same checker, which spends at most this many steps on making one cycle shorter. The verdict does not depend on
    /// it.
    pub fn work_cap(mut self, steps: u64) -> Append {
        self.work_cap = steps;
        self
    }

    fn mask(&self) -> Mask {
        WW | WR
            | RW
            | match self.model {
                AppendModel::Serializable => 0,
                AppendModel::StrongSessionSerializable => PROCESS,
                AppendModel::StrictSerializable => PROCESS | REALTIME,
            }
    }

    fn title(&self) -> &'static str {
        match self.model {
            AppendModel::Serializable => "serializable",
            AppendModel::StrongSessionSerializable => "strong session serializable",
            AppendModel::StrictSerializable => "strict serializable",
        }
    }

    fn judge(&self, txns: &Txns) -> Verdict {
        let orders = Orders::derive(txns);
        let mut faults = orders.faults.clone();
        if self.model == AppendModel::StrictSerializable {
            faults.extend(orders.lost(txns));
        }
        let lost = |fault: &Fault| match fault {
            Fault::Lost { element, .. } => Some(txns.elements[*element as usize].writer),
            _ => None,
        };
        let told: Vec<u32> = faults.iter().filter_map(lost).collect();
        let deps = graph::dependencies(txns, &orders, self.mask());
        let (cycles, work) = cycle::cycles(&deps, self.mask(), &told, self.work_cap);
        let teller = Teller { txns, orders: &orders };
        let count = faults.len() + cycles.len();
        let anomalies: Vec<Anomaly> = few_of_each(&faults)
            .map(|fault| teller.fault(fault))
            .chain(cycles.iter().take(SHOWN).map(|cycle| teller.cycle(cycle)))
            .collect();
        self.verdict(txns, anomalies)
            .stat("transactions", txns.list.len())
            .stat("keys", txns.keys.len())
            .stat("edges", deps.graph.edges())
            .stat("anomalies", count)
            .stat("steps", work)
    }

    fn verdict(&self, txns: &Txns, anomalies: Vec<Anomaly>) -> Verdict {
        if let Some(first) = anomalies.first() {
            let summary = format!("not {}: {}", self.title(), first.sentence);
            return Verdict::invalid(self.name(), summary, anomalies);
        }
        if let Some((key, &(first, second, value))) = txns.twice.iter().min() {
            let reason = format!(
                "events {} and {} both append {} to key {}; append each value to a key once",
                txns.list[first as usize].invoke,
                txns.list[second as usize].invoke,
                txns.values.value(value),
                txns.keys.value(*key)
            );
            return Verdict::unknown(self.name(), reason);
        }
        let summary =
            format!("{}: {} transactions on {} keys", self.title(), txns.list.len(), txns.keys.len());
        Verdict::valid(self.name(), summary)
    }
}

/// The first few faults of each kind, in the order in which they were found.
fn few_of_each(faults: &[Fault]) -> impl Iterator<Item = &Fault> {
    let mut seen = std::collections::HashMap::new();
    faults.iter().filter(move |fault| {
        let count = seen.entry(std::mem::discriminant(*fault)).or_insert(0);
        *count += 1;
        *count <= SHOWN
    })
}

impl Checker for Append {
    fn name(&self) -> &str {
        match self.model {
            AppendModel::Serializable => "append-serializable",
            AppendModel::StrongSessionSerializable => "append-strong-session-serializable",
            AppendModel::StrictSerializable => "append",
        }
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        let strict = self.model == AppendModel::StrictSerializable;
        if let Some(unknown) = without_real_time(self.name(), history).filter(|_| strict) {
            return unknown;
        }
        match Txns::parse(history, Shape::Lists, budget) {
            Ok(txns) => self.judge(&txns),
            Err(reason) => Verdict::unknown(self.name(), reason),
        }
    }
}
