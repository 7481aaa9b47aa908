//! Faults and cycles as anomalies: a sentence, the transactions, and the proof.

use super::cycles::Cycle;
use super::deps::{PROCESS, REALTIME, RW, RWI, WR, WW};
use super::fault::Fault;
use super::lists::{External, Orders};
use super::registers::Registers;
use crate::graph::Arc;
use crate::txn::{NONE, Txns};
use crate::{Anomaly, Edge};

/// Steps of a cycle that a sentence tells; the proof has all.
const TOLD: usize = 12;

/// What the versions are known from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known<'a> {
    Lists(&'a Orders<'a>),
    Registers(&'a Registers<'a>),
}

/// Puts transactions into words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Teller<'a> {
    pub(super) txns: &'a Txns<'a>,
    pub(super) known: Known<'a>,
}

impl Teller<'_> {
    /// The anomaly that a fault is.
    pub(super) fn fault(&self, fault: &Fault) -> Anomaly {
        match *fault {
            Fault::Internal { txn, key, ref expected, ref got } => {
                let (expected, got) = match self.known {
                    Known::Lists(_) => {
                        (format!("the list had to be or end with {}", self.list(expected)), self.list(got))
                    }
                    Known::Registers(_) => {
                        (format!("it had to be {}", self.value(expected[0])), self.value(got[0]))
                    }
                };
                let (name, object) = (self.name(txn), self.txns.object(key));
                let sentence =
                    format!("{name} read {got} from {object}, but by its own operations {expected}");
                self.anomaly("internal", key, sentence, &[txn])
            }
            Fault::FutureRead { txn, element } => {
                let sentence = format!(
                    "{} read {} before it {} it",
                    self.name(txn),
                    self.element(element),
                    self.wrote()
                );
                self.anomaly("future-read", self.key_of(element), sentence, &[txn])
            }
            Fault::ThinAir { txn, element } | Fault::Unwritten { txn, element } => {
                let (name, element_name, wrote) = (self.name(txn), self.element(element), self.wrote());
                let sentence = format!("{name} read {element_name}, which nobody {wrote}");
                let kind =
                    if matches!(fault, Fault::ThinAir { .. }) { "thin-air-read" } else { "unwritten-read" };
                self.anomaly(kind, self.key_of(element), sentence, &[txn])
            }
            Fault::Aborted { txn, element } => {
                let aborted = self.txns.elements[element as usize].aborted;
                let (name, element_name, wrote) = (self.name(txn), self.element(element), self.wrote());
                let sentence = format!(
                    "{name} read {element_name}, which only {} {wrote}, and that failed; had it been recorded as info, \
                     this read would be right",
                    self.name(aborted)
                );
                self.anomaly("G1a", self.key_of(element), sentence, &[aborted, txn])
            }
            Fault::Intermediate { txn, element } => {
                let writer = self.writer(element);
                let sentence = match self.known {
                    Known::Lists(_) => format!(
                        "{} read a list that ends with {}, but {} appended more to that key",
                        self.name(txn),
                        self.element(element),
                        self.name(writer)
                    ),
                    Known::Registers(_) => format!(
                        "{} read {}, but {} wrote that key again after it",
                        self.name(txn),
                        self.element(element),
                        self.name(writer)
                    ),
                };
                self.anomaly("G1b", self.key_of(element), sentence, &[writer, txn])
            }
            _ => self.order_fault(fault),
        }
    }

    /// The faults that take more than one version.
    fn order_fault(&self, fault: &Fault) -> Anomaly {
        match *fault {
            Fault::DirtyUpdate { aborted, committed, reader } => {
                let (failed, writer) = (self.txns.elements[aborted as usize].aborted, self.writer(committed));
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
                    "{} and {} read {} in orders of which neither is the start of the other",
                    self.name(txn),
                    self.name(other),
                    self.txns.object(key)
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
            Fault::LostUpdate { txn, other, key } => {
                let sentence = format!(
                    "{} read {} and then {} to it, without what {} {} in between",
                    self.name(other),
                    self.txns.object(key),
                    self.wrote(),
                    self.name(txn),
                    self.wrote()
                );
                self.anomaly("lost-update", key, sentence, &self.lost_update(key, txn, other))
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
            Fault::CyclicVersions { key, ref steps } => self.cyclic_versions(key, steps),
            _ => unreachable!("told by `fault`"),
        }
    }

    fn cyclic_versions(&self, key: u32, versions: &[(u32, u32)]) -> Anomaly {
        let next = |at: usize| versions[(at + 1) % versions.len()].0;
        let step = |(at, &(element, because)): (usize, &(u32, u32))| {
            let (before, after) = (self.value(element), self.value(next(at)));
            format!("{before} came before {after} for {}", self.name(because))
        };
        let steps: Vec<String> = versions.iter().enumerate().map(step).collect();
        let sentence =
            format!("the values of {} come before themselves: {}", self.txns.object(key), steps.join("; "));
        let writers = versions.iter().map(|(element, _)| self.writer(*element));
        let txns: Vec<u32> = versions.iter().map(|(_, because)| *because).chain(writers).collect();
        Anomaly { steps, ..self.anomaly("cyclic-versions", key, sentence, &txns) }
    }

    /// The anomaly that a cycle is.
    /// Those who show that an update was lost: of lists also who tells the order, unless both read one version.
    fn lost_update(&self, key: u32, txn: u32, other: u32) -> Vec<u32> {
        let mut shown = vec![txn, other];
        if let Known::Lists(orders) = self.known {
            let placed = self.txns.written(txn, key).any(|element| orders.position[element as usize] != NONE);
            let same =
                |read: &External| orders.reads_of(other, key).any(|overwritten| overwritten.len == read.len);
            if placed && !orders.reads_of(txn, key).any(same) {
                shown.push(orders.keys[key as usize].reader);
            }
        }
        self.committed(shown)
    }

    /// These, and whose reads show that those of unknown outcome committed.
    fn committed(&self, mut txns: Vec<u32>) -> Vec<u32> {
        txns.retain(|&txn| txn != NONE);
        txns.sort_unstable();
        txns.dedup();
        if matches!(self.known, Known::Lists(_)) { self.txns.with_readers(&txns) } else { txns }
    }

    pub(super) fn cycle(&self, cycle: &Cycle) -> Anomaly {
        let mut txns: Vec<u32> = cycle.arcs.iter().map(|arc| arc.from).collect();
        if let Known::Lists(orders) = self.known {
            // Who read the longest list tells the order of its elements.
            let ordered = cycle.arcs.iter().filter(|arc| arc.label & (WW | RW) != 0);
            txns.extend(ordered.map(|arc| orders.keys[arc.via as usize].reader));
        }
        let steps: Vec<String> = cycle.arcs.iter().map(|arc| self.step(arc)).collect();
        let told = steps[..steps.len().min(TOLD)].join("; ");
        let more = match steps.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!("; and so on for {more} more"),
        };
        let sentence = format!("{}: {told}{more}; so each comes before itself", cycle.name);
        let via = cycle.arcs.iter().map(|arc| arc.via).find(|&via| via != NONE).unwrap_or(NONE);
        let mut anomaly = self.anomaly(&cycle.name, via, sentence, &self.committed(txns));
        anomaly.steps = steps;
        for arc in &cycle.arcs {
            let kind = match arc.label {
                WR => "wr",
                RW | RWI => "rw",
                PROCESS => "session order",
                REALTIME => "real time",
                _ => "ww",
            };
            self.edge(&mut anomaly, arc.from, arc.to, kind);
        }
        anomaly
    }

    /// Why the one transaction comes before the other.
    fn step(&self, arc: &Arc) -> String {
        let (from, to) = (self.name(arc.from), self.name(arc.to));
        match arc.label {
            PROCESS => format!("{from} came before {to} in the same process"),
            REALTIME => format!("{from} had completed before {to} began"),
            _ => match self.known {
                Known::Lists(orders) => self.list_step(orders, arc, from, to),
                Known::Registers(registers) => self.register_step(registers, arc, from, to),
            },
        }
    }

    fn list_step(&self, orders: &Orders, arc: &Arc, from: String, to: String) -> String {
        let key = arc.via;
        let position = |element: &u32| orders.position[*element as usize];
        if arc.label == WR {
            let last = |len: u32| orders.elements(key)[len as usize - 1];
            let mut seen =
                orders.reads_of(arc.to, key).filter(|read| read.len > 0).map(|read| last(read.len));
            let element = seen.find(|&element| self.writer(element) == arc.from);
            let element = element.map_or_else(|| self.txns.object(key), |e| self.element(e));
            return format!("{to} saw {element}, which {from} appended");
        }
        let start = match arc.label {
            RW => orders.reads_of(arc.from, key).map(|read| read.len).min().unwrap_or(0),
            _ => {
                let placed = self.txns.written(arc.from, key).map(|e| position(&e)).filter(|&p| p != NONE);
                placed.min().unwrap_or(0)
            }
        };
        let later = self.txns.written(arc.to, key).find(|e| position(e) >= start);
        let element = later.map_or_else(|| self.txns.object(key), |e| self.element(e));
        match arc.label {
            RW => format!("{from} read {} without {element}, which {to} appended", self.txns.object(key)),
            _ => format!("{from} appended to {} before {to} appended {element}", self.txns.object(key)),
        }
    }

    fn register_step(&self, registers: &Registers, arc: &Arc, from: String, to: String) -> String {
        let key = arc.via;
        let object = self.txns.object(key);
        // What a transaction read, from this writer if one is given.
        let seen = |txn: u32, by: Option<u32>| {
            let first = registers.reads.partition_point(|read| read.txn < txn);
            let mut reads = registers.reads[first..].iter().take_while(|read| read.txn == txn);
            let from = |element: u32| by.is_none_or(|by| element != NONE && self.writer(element) == by);
            reads.find(|read| read.key == key && from(read.element)).map(|read| read.element)
        };
        let written =
            |txn: u32| self.txns.written(txn, key).last().map_or_else(String::new, |e| self.value(e));
        let why = || match (arc.label, seen(arc.to, None).filter(|&element| element != NONE)) {
            (WW | RW, Some(element)) => format!(" after it had read {}", self.value(element)),
            (WW | RW, None) => String::new(),
            _ => ", which is newer in real time".to_owned(),
        };
        match arc.label {
            WR => {
                let value = seen(arc.to, Some(arc.from)).map_or_else(|| written(arc.from), |e| self.value(e));
                format!("{to} read {object} as {value}, which {from} wrote")
            }
            RW | RWI => {
                let value = seen(arc.from, None).map_or_else(|| "null".to_owned(), |e| self.value(e));
                format!("{from} read {object} as {value}, and {to} wrote {}{}", written(arc.to), why())
            }
            _ => {
                format!(
                    "{from} wrote {} to {object}, and {to} wrote {}{}",
                    written(arc.from),
                    written(arc.to),
                    why()
                )
            }
        }
    }

    fn anomaly(&self, kind: &str, key: u32, sentence: String, txns: &[u32]) -> Anomaly {
        let mut witness: Vec<usize> =
            txns.iter().filter(|&&txn| txn != NONE).map(|&txn| self.event(txn)).collect();
        witness.sort_unstable();
        witness.dedup();
        Anomaly {
            kind: kind.to_owned(),
            key: self.txns.key(key),
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
        crate::txn::Teller { txns: self.txns }.name(txn)
    }

    fn wrote(&self) -> &'static str {
        match self.known {
            Known::Lists(_) => "appended",
            Known::Registers(_) => "wrote",
        }
    }

    fn key_of(&self, element: u32) -> u32 {
        self.txns.elements[element as usize].key
    }

    fn writer(&self, element: u32) -> u32 {
        self.txns.elements[element as usize].writer
    }

    /// `7`; null is the initial value of a register.
    fn value(&self, element: u32) -> String {
        let element = self.txns.elements.get(element as usize);
        element.map_or_else(|| "null".to_owned(), |element| self.txns.values.value(element.value).to_string())
    }

    /// `7 of key 2`.
    fn element(&self, element: u32) -> String {
        format!("{} of {}", self.value(element), self.txns.object(self.key_of(element)))
    }

    /// The last few values of a list.
    fn list(&self, elements: &[u32]) -> String {
        const SHOWN: usize = 12;
        let last: Vec<String> =
            elements[elements.len().saturating_sub(SHOWN)..].iter().map(|&e| self.value(e)).collect();
        format!("[{}{}]", if elements.len() > SHOWN { "… " } else { "" }, last.join(" "))
    }
}
