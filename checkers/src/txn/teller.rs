//! Transactions over registers in words.

use super::{Misread, NONE, Txns};
use crate::Anomaly;

/// Puts transactions into words.
#[derive(Clone, Copy)]
pub(crate) struct Teller<'a> {
    pub(crate) txns: &'a Txns<'a>,
}

impl Teller<'_> {
    /// The anomaly that a misread is.
    pub(crate) fn misread(&self, misread: &Misread) -> Anomaly {
        let of = |element: u32| self.txns.elements[element as usize];
        let (kind, key, txn, others, what) = match *misread {
            Misread::ThinAir { txn, element } => {
                let what = format!("read {}, which nobody wrote", self.element(element));
                ("thin-air-read", of(element).key, txn, [NONE; 2], what)
            }
            Misread::Aborted { txn, element } => {
                let failed = of(element).aborted;
                let (value, writer) = (self.element(element), self.name(failed));
                let what = format!("read {value}, which only {writer} wrote, and that failed");
                ("G1a", of(element).key, txn, [failed, NONE], what)
            }
            Misread::Intermediate { txn, element } => {
                let writer = of(element).writer;
                let (value, name) = (self.element(element), self.name(writer));
                let what = format!("read {value}, but {name} overwrote that before it committed");
                ("G1b", of(element).key, txn, [writer, NONE], what)
            }
            Misread::Future { txn, element } => {
                let what = format!("read {} before it wrote it", self.element(element));
                ("future-read", of(element).key, txn, [NONE; 2], what)
            }
            Misread::Internal { txn, key, expected, got, own } => {
                let did = if own { "written" } else { "read" };
                let (got_name, expected_name) = (self.version(key, got), self.version(key, expected));
                let what = format!("read {got_name}, although it had itself {did} {expected_name} before");
                let writer =
                    |element: u32| self.txns.elements.get(element as usize).map_or(NONE, |e| e.writer);
                ("internal", key, txn, [writer(expected), writer(got)], what)
            }
        };
        self.anomaly(kind, key, format!("{} {what}", self.name(txn)), &[txn, others[0], others[1]])
    }

    /// An anomaly that these transactions show, with those by which they are known to have committed; those that are `NONE` are
    /// left out, and so is the key if it is.
    pub(crate) fn anomaly(&self, kind: &str, key: u32, sentence: String, txns: &[u32]) -> Anomaly {
        let txns: Vec<u32> = txns.iter().copied().filter(|&txn| txn != NONE).collect();
        let txns = self.txns.with_readers(&txns);
        let mut witness: Vec<usize> = txns.iter().map(|&txn| self.event(txn)).collect();
        witness.sort_unstable();
        witness.dedup();
        let key = self.txns.key(key);
        Anomaly { key, ..Anomaly::new(kind, sentence, witness) }
    }

    /// The event that tells most of a transaction.
    pub(crate) fn event(&self, txn: u32) -> usize {
        self.txns.list[txn as usize].event()
    }

    /// `process 3's transaction of 1.204 s`, or `process 3's transaction at event 17` where there are no times.
    pub(crate) fn name(&self, txn: u32) -> String {
        let event = self.txns.history.get(self.event(txn));
        if event.is_added() {
            return event.actor();
        }
        if !self.txns.history.has_real_time() {
            return format!("process {}'s transaction at {}", event.process(), event.name());
        }
        format!("process {}'s transaction of {:.3} s", event.process(), event.time_ns() as f64 / 1e9)
    }

    /// `7 of key 2`, or `7 of the register` where operations have no keys.
    pub(crate) fn element(&self, element: u32) -> String {
        let element = self.txns.elements[element as usize];
        format!("{} of {}", self.txns.values.value(element.value), self.txns.object(element.key))
    }

    /// The same, or `the initial value of key 2`.
    pub(crate) fn version(&self, key: u32, element: u32) -> String {
        match element {
            NONE => format!("the initial value of {}", self.txns.object(key)),
            element => self.element(element),
        }
    }
}
