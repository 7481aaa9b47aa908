//! Faults and cycles as anomalies: a sentence, the transactions, and the proof.

use super::cycle::Cycle;
use super::graph::{PROCESS, RW, WR, WW};
use super::version_order::{Fault, Orders};
use crate::graph::Arc;
use crate::txn::{NONE, Txns};
use crate::{Anomaly, Edge, Value};

/// Puts transactions into words.
pub(super) struct Teller<'a> {
    pub(super) txns: &'a Txns<'a>,
    pub(super) orders: &'a Orders,
}

impl Teller<'_> {
    /// The anomaly that a fault is.
    pub(super) fn fault(&self, fault: &Fault) -> Anomaly {
        match *fault {
            Fault::Internal { txn, key, ref expected, ref got } => {
                let sentence = format!(
                    "{} read {} from key {}, but by its own operations the list had to be or end with {}",
                    self.name(txn),
                    self.list(got),
                    self.key(key),
                    self.list(expected)
                );
                self.anomaly("internal", key, sentence, &[txn])
            }
            Fault::FutureRead { txn, element } => {
                let sentence =
                    format!("{} read {} before it appended it", self.name(txn), self.element(element));
                self.anomaly("future-read", self.key_of(element), sentence, &[txn])
            }
            Fault::ThinAir { txn, element } => {
                let sentence =
                    format!("{} read {}, which nobody appended", self.name(txn), self.element(element));
                self.anomaly("thin-air-read", self.key_of(element), sentence, &[txn])
            }
            Fault::Aborted { txn, element } => {
                let aborted = self.txns.elements[element as usize].aborted;
                let sentence = format!(
                    "{} read {}, which only {} appended, and that failed",
                    self.name(txn),
                    self.element(element),
                    self.name(aborted)
                );
                self.anomaly("G1a", self.key_of(element), sentence, &[aborted, txn])
            }
            Fault::Intermediate { txn, element } => {
                let writer = self.writer(element);
                let sentence = format!(
                    "{} read a list that ends with {}, but {} appended more to that key",
                    self.name(txn),
                    self.element(element),
                    self.name(writer)
                );
                self.anomaly("G1b", self.key_of(element), sentence, &[writer, txn])
            }
            _ => self.order_fault(fault),
        }
    }

    /// The faults that take more than one version.
    fn order_fault(&self, fault: &Fault) -> Anomaly {
        match *fault {
            Fault::DirtyUpdate { aborted, committed } => {
                let (failed, writer) = (self.txns.elements[aborted as usize].aborted, self.writer(committed));
                let reader = self.orders.keys[self.key_of(committed) as usize].reader;
                let sentence = format!(
                    "{} built upon {}, which {} had appended, and that failed",
                    self.name(writer),
                    self.element(aborted),
                    self.name(failed)
                );
                self.anomaly("dirty-update", self.key_of(committed), sentence, &[failed, writer, reader])
            }
            Fault::Duplicate { txn, element } => {
                let sentence = format!("{} read {} twice in one list", self.name(txn), self.element(element));
                self.anomaly("duplicate-elements", self.key_of(element), sentence, &[txn])
            }
            Fault::Incompatible { txn, other, key } => {
                let sentence = format!(
                    "{} and {} read key {} in orders of which neither is the start of the other",
                    self.name(txn),
                    self.name(other),
                    self.key(key)
                );
                self.anomaly("incompatible-order", key, sentence, &[txn, other])
            }
            Fault::Reordered { reader, earlier, later } => {
                let writer = self.writer(later);
                let sentence = format!(
                    "{} appended {} and then {}, but {} read the second without the first before it",
                    self.name(writer),
                    self.element(earlier),
                    self.element(later),
                    self.name(reader)
                );
                self.anomaly("reordered-append", self.key_of(later), sentence, &[writer, reader])
            }
            Fault::Lost { element, reader } => {
                let writer = self.writer(element);
                let sentence = format!(
                    "{} appended {} and was acknowledged, but the read by {}, which began later, does not have it, \
                     and neither has any other",
                    self.name(writer),
                    self.element(element),
                    self.name(reader)
                );
                let mut anomaly =
                    self.anomaly("lost-append", self.key_of(element), sentence, &[writer, reader]);
                self.edge(&mut anomaly, writer, reader, "real time");
                self.edge(&mut anomaly, reader, writer, "rw");
                anomaly
            }
            _ => unreachable!("told by `fault`"),
        }
    }

    /// The anomaly that a cycle is.
    pub(super) fn cycle(&self, cycle: &Cycle) -> Anomaly {
        let txns: Vec<u32> = cycle.arcs.iter().map(|arc| arc.from).collect();
        let steps: Vec<String> = cycle.arcs.iter().map(|arc| self.step(arc)).collect();
        let sentence = format!("{}: {}; so each comes before itself", cycle.class, steps.join("; "));
        let via = cycle.arcs.iter().map(|arc| arc.via).find(|&via| via != NONE).unwrap_or(NONE);
        let mut anomaly = self.anomaly(&cycle.class, via, sentence, &txns);
        anomaly.steps = steps;
        for arc in &cycle.arcs {
            let kind = match arc.label {
                WW => "ww",
                WR => "wr",
                RW => "rw",
                PROCESS => "session order",
                _ => "real time",
            };
            self.edge(&mut anomaly, arc.from, arc.to, kind);
        }
        anomaly
    }

    /// Why the one transaction comes before the other.
    fn step(&self, arc: &Arc) -> String {
        let (from, to) = (self.name(arc.from), self.name(arc.to));
        match arc.label {
            PROCESS => return format!("{from} came before {to} in the same process"),
            WW | WR | RW => {}
            _ => return format!("{from} had completed before {to} began"),
        }
        let key = arc.via;
        let position = |element: &u32| self.orders.position[*element as usize];
        if arc.label == WR {
            let len = self.orders.external(arc.to, key).map_or(0, |read| read.len as usize);
            let element = self.orders.keys[key as usize].elements[len.saturating_sub(1)];
            return format!("{to} saw {}, which {from} appended", self.element(element));
        }
        let start = match arc.label {
            RW => self.orders.external(arc.from, key).map_or(0, |read| read.len),
            _ => self
                .txns
                .written(arc.from, key)
                .map(|e| position(&e))
                .filter(|&p| p != NONE)
                .min()
                .unwrap_or(0),
        };
        let later = self.txns.written(arc.to, key).find(|e| position(e) >= start);
        let element = later.map_or_else(|| format!("key {}", self.key(key)), |e| self.element(e));
        match arc.label {
            RW => format!("{from} read key {} without {element}, which {to} appended", self.key(key)),
            _ => format!("{from} appended to key {} before {to} appended {element}", self.key(key)),
        }
    }

    fn anomaly(&self, kind: &str, key: u32, sentence: String, txns: &[u32]) -> Anomaly {
        let mut witness: Vec<usize> = txns.iter().map(|&txn| self.event(txn)).collect();
        witness.sort_unstable();
        witness.dedup();
        Anomaly {
            kind: kind.to_owned(),
            key: (key != NONE).then(|| self.key(key).clone()),
            sentence,
            witness,
            steps: Vec::new(),
            edges: Vec::new(),
        }
    }

    fn edge(&self, anomaly: &mut Anomaly, from: u32, to: u32, kind: &str) {
        anomaly.edges.push(Edge { from: self.event(from), to: self.event(to), kind: kind.to_owned() });
    }

    fn event(&self, txn: u32) -> usize {
        self.txns.list[txn as usize].event()
    }

    /// `process 3's transaction of 1.204 s`.
    fn name(&self, txn: u32) -> String {
        let event = self.txns.history.get(self.event(txn));
        format!("process {}'s transaction of {:.3} s", event.process(), event.time_ns() as f64 / 1e9)
    }

    fn key(&self, key: u32) -> Value {
        self.txns.keys.value(key)
    }

    fn key_of(&self, element: u32) -> u32 {
        self.txns.elements[element as usize].key
    }

    fn writer(&self, element: u32) -> u32 {
        self.txns.elements[element as usize].writer
    }

    /// `7 of key 2`.
    fn element(&self, element: u32) -> String {
        let element = self.txns.elements[element as usize];
        format!("{} of key {}", self.txns.values.value(element.value), self.key(element.key))
    }

    /// The last few values of a list.
    fn list(&self, elements: &[u32]) -> String {
        const SHOWN: usize = 12;
        let value = |e: &u32| self.txns.values.value(self.txns.elements[*e as usize].value).to_string();
        let last: Vec<String> = elements[elements.len().saturating_sub(SHOWN)..].iter().map(value).collect();
        format!("[{}{}]", if elements.len() > SHOWN { "… " } else { "" }, last.join(" "))
    }
}
