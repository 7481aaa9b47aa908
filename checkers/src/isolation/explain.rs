//! Misreads and cycles as anomalies: a sentence, the transactions, and the proof.

use super::IsolationLevel;
use super::order::{CO, Forced, SO};
use super::plan::{Misread, Plan};
use super::witness::{Proof, path};
use crate::graph::Arc;
use crate::txn::{Mop, NONE, Txns};
use crate::{Anomaly, Edge, Value};

/// Puts transactions into words.
pub(super) struct Teller<'a> {
    pub(super) txns: &'a Txns<'a>,
    pub(super) level: IsolationLevel,
}

impl Teller<'_> {
    /// The anomaly that a misread is.
    pub(super) fn misread(&self, misread: &Misread) -> Anomaly {
        let aborted = |element: u32| self.txns.elements[element as usize].aborted;
        let key_of = |element: u32| self.txns.elements[element as usize].key;
        let (kind, key, txn, other, what) = match *misread {
            Misread::ThinAir { txn, element } => {
                let what = format!("read {}, which nobody wrote", self.element(element));
                ("thin-air-read", key_of(element), txn, NONE, what)
            }
            Misread::Aborted { txn, element } => {
                let other = aborted(element);
                let what = format!(
                    "read {}, which only {} wrote, and that failed",
                    self.element(element),
                    self.name(other)
                );
                ("G1a", key_of(element), txn, other, what)
            }
            Misread::Future { txn, element } => {
                let what = format!("read {} before it wrote it", self.element(element));
                ("future-read", key_of(element), txn, NONE, what)
            }
            Misread::NotOwn { txn, key, element, own } => {
                let what = format!(
                    "read {}, although it had written {} itself before",
                    self.version(key, element),
                    self.element(own)
                );
                let other = self.txns.elements.get(element as usize).map_or(NONE, |element| element.writer);
                ("not-my-own-write", key, txn, other, what)
            }
            Misread::NotLast { txn, element, own } => {
                let what = format!(
                    "read {}, which it had overwritten with {} itself before",
                    self.element(element),
                    self.element(own)
                );
                ("not-my-last-write", key_of(element), txn, NONE, what)
            }
            Misread::Intermediate { txn, element } => {
                let other = self.txns.elements[element as usize].writer;
                let what = format!(
                    "read {}, but {} overwrote that before it committed",
                    self.element(element),
                    self.name(other)
                );
                ("G1b", key_of(element), txn, other, what)
            }
            Misread::NonRepeatable { txn, key, first, second } => {
                let what = format!(
                    "read {} and then {} of the same key",
                    self.version(key, first),
                    self.version(key, second)
                );
                let writers = [first, second].map(|element| {
                    self.txns.elements.get(element as usize).map_or(NONE, |element| element.writer)
                });
                let mut anomaly =
                    self.anomaly("non-repeatable-read", key, what, &[txn, writers[0], writers[1]]);
                anomaly.sentence = format!("{} {}", self.name(txn), anomaly.sentence);
                return anomaly;
            }
        };
        self.anomaly(kind, key, format!("{} {what}", self.name(txn)), &[txn, other])
    }

    /// The anomaly of a small plan, all of which is the witness.
    pub(super) fn proof(&self, plan: &Plan, kind: &str, proof: &Proof) -> Anomaly {
        let Proof { cycle, forced } = proof;
        let (key, steps, sentence) = if cycle.is_empty() {
            let steps: Vec<String> = forced.iter().map(|edge| self.reason(plan, edge)).collect();
            let sentence = format!("{kind}: {}", steps.join("; "));
            (forced.first().map_or(NONE, |edge| edge.key), steps, sentence)
        } else {
            let steps: Vec<String> = cycle.iter().map(|arc| self.step(plan, arc, forced)).collect();
            let sentence = format!("{kind}: {}; so each comes before itself", steps.join("; "));
            let drawn = cycle.iter().find(|arc| arc.label == CO).map(|arc| forced[arc.via as usize].key);
            (drawn.unwrap_or(NONE), steps, sentence)
        };
        let mut anomaly = self.anomaly(kind, key, sentence, &plan.origin);
        anomaly.steps = steps;
        anomaly.edges = cycle.iter().map(|arc| self.edge(plan, arc, forced)).collect();
        anomaly
    }

    fn edge(&self, plan: &Plan, arc: &Arc, forced: &[Forced]) -> Edge {
        let kind = match arc.label {
            SO => "session order".to_owned(),
            CO => {
                let Forced { by, key, .. } = forced[arc.via as usize];
                let (by, key) = (self.name(plan.origin[by as usize]), self.key(key));
                format!("commit order because {by} read key {key} from the later")
            }
            _ => format!("reads from, key {}", self.key(arc.via)),
        };
        Edge {
            from: self.event(plan.origin[arc.from as usize]),
            to: self.event(plan.origin[arc.to as usize]),
            kind,
        }
    }

    /// Why the one transaction comes before the other.
    fn step(&self, plan: &Plan, arc: &Arc, forced: &[Forced]) -> String {
        let [from, to] = [arc.from, arc.to].map(|node| plan.origin[node as usize]);
        match arc.label {
            SO => format!("{} came before {} in the same session", self.name(from), self.name(to)),
            CO => {
                let edge = &forced[arc.via as usize];
                format!(
                    "{}, so {} commits before {}",
                    self.reason(plan, edge),
                    self.name(from),
                    self.name(to)
                )
            }
            _ => format!("{} read {} from {}", self.name(to), self.seen(to, from, arc.via), self.name(from)),
        }
    }

    /// What the axiom is about: a read although another write was known.
    fn reason(&self, plan: &Plan, edge: &Forced) -> String {
        let [by, from] = [edge.by, edge.from].map(|node| plan.origin[node as usize]);
        let to = if edge.to == NONE { NONE } else { plan.origin[edge.to as usize] };
        let written = self.txns.written(from, edge.key).last().unwrap_or(NONE);
        let reads = plan.reads.row(edge.by).iter().any(|read| read.from == edge.from);
        let known = if reads {
            format!("read from {}", self.name(from))
        } else {
            let path = path(plan, edge.from, edge.by);
            let through: Vec<String> =
                path[1..path.len() - 1].iter().map(|&node| self.name(plan.origin[node as usize])).collect();
            match through.as_slice() {
                [] => format!("came after {} in the same session", self.name(from)),
                _ => format!("came, by way of {}, after {}", through.join(" and "), self.name(from)),
            }
        };
        format!(
            "{} read {}, although it {known}, and the latter wrote {}",
            self.name(by),
            self.seen(by, to, edge.key),
            self.version(edge.key, written)
        )
    }

    /// What `txn` read of `key` that `writer` wrote.
    fn seen(&self, txn: u32, writer: u32, key: u32) -> String {
        let of =
            |element: u32| self.txns.elements.get(element as usize).map_or(NONE, |element| element.writer);
        let read = self.txns.mops(txn).iter().find_map(|mop| match *mop {
            Mop::Get { key: of_key, element } if of_key == key && of(element) == writer => Some(element),
            _ => None,
        });
        self.version(key, read.unwrap_or(NONE))
    }

    fn anomaly(&self, kind: &str, key: u32, sentence: String, txns: &[u32]) -> Anomaly {
        let txns = txns.iter().filter_map(|&txn| self.txns.list.get(txn as usize));
        let mut witness: Vec<usize> = txns.flat_map(|txn| [txn.invoke as usize, txn.event()]).collect();
        witness.sort_unstable();
        witness.dedup();
        Anomaly {
            kind: kind.to_owned(),
            key: (key != NONE).then(|| self.key(key)),
            sentence,
            witness,
            steps: Vec::new(),
            edges: Vec::new(),
        }
    }

    fn event(&self, txn: u32) -> usize {
        self.txns.list[txn as usize].event()
    }

    /// `process 3's transaction of 1.204 s`, or `process 3's transaction at event 17` where there are no times.
    fn name(&self, txn: u32) -> String {
        let event = self.txns.history.get(self.event(txn));
        if !self.txns.history.has_real_time() {
            return format!("process {}'s transaction at event {}", event.process(), event.index());
        }
        format!("process {}'s transaction of {:.3} s", event.process(), event.time_ns() as f64 / 1e9)
    }

    fn key(&self, key: u32) -> Value {
        self.txns.keys.value(key)
    }

    /// `7 of key 2`.
    fn element(&self, element: u32) -> String {
        let element = self.txns.elements[element as usize];
        format!("{} of key {}", self.txns.values.value(element.value), self.key(element.key))
    }

    fn version(&self, key: u32, element: u32) -> String {
        match element {
            NONE => format!("the initial value of key {}", self.key(key)),
            element => self.element(element),
        }
    }
}
