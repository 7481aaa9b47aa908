//! Operations in words.

use std::collections::HashMap;

use super::{Kv, NONE, Source};
use crate::{Anomaly, Edge};

/// Puts operations into words.
pub(crate) struct Teller<'a> {
    pub(crate) kv: &'a Kv<'a>,
    /// If given, only reads of this key are steps of a causal path.
    pub(crate) within: Option<u32>,
}

impl Teller<'_> {
    pub(crate) fn event(&self, op: u32) -> usize {
        self.kv.ops[op as usize].event() as usize
    }

    pub(crate) fn process(&self, op: u32) -> String {
        self.kv.history.get(self.event(op)).actor()
    }

    pub(crate) fn at(&self, event: usize) -> String {
        format!("{:.3} s", self.kv.history.get(event).time_ns() as f64 / 1e9)
    }

    /// A value in words.
    pub(crate) fn value(&self, value: u32) -> String {
        self.kv.registers.values.value(value).to_string()
    }

    /// What `op` wrote.
    pub(crate) fn wrote(&self, op: u32) -> String {
        self.value(self.kv.ops[op as usize].wrote)
    }

    /// What `op` read.
    pub(crate) fn read(&self, op: u32) -> String {
        match self.kv.ops[op as usize].read {
            read if read == self.kv.registers.initial => "the initial value".to_owned(),
            read => self.value(read),
        }
    }

    pub(crate) fn source_key(&self, op: u32) -> String {
        self.kv.registers.key_phrase(self.kv.ops[op as usize].key)
    }

    /// `write of 7 to key 2 by process 3 at 1.204 s`.
    pub(crate) fn name(&self, op: u32) -> String {
        let from = self.source_key(op);
        let to = from.replacen(" from", " to", 1);
        let at = self.at(self.event(op));
        let what = match self.kv.ops[op as usize] {
            ref op_ if op_.wrote == NONE => format!("read of {}{from}", self.read(op)),
            ref op_ if op_.read == NONE => format!("write of {}{to}", self.wrote(op)),
            _ => format!("cas of {} to {}{}", self.read(op), self.wrote(op), to.replacen(" to", " at", 1)),
        };
        let by = format!("{what} by {}", self.process(op));
        if self.kv.history.get(self.event(op)).is_added() { by } else { format!("{by} at {at}") }
    }

    /// `process 3 read 7 from key 2 at 1.204 s`.
    pub(crate) fn did_read(&self, op: u32) -> String {
        let at = self.at(self.event(op));
        format!("{} read {}{} at {at}", self.process(op), self.read(op), self.source_key(op))
    }

    pub(crate) fn anomaly(&self, kind: &str, op: u32, sentence: String, witness: &[u32]) -> Anomaly {
        let mut events: Vec<usize> =
            witness.iter().flat_map(|&op| self.proof(op)).map(|op| self.event(op)).collect();
        events.sort_unstable();
        events.dedup();
        Anomaly {
            kind: kind.to_owned(),
            key: self.kv.registers.key(self.kv.ops[op as usize].key),
            sentence,
            witness: events,
            steps: Vec::new(),
            edges: Vec::new(),
        }
    }

    /// The operation, and where its outcome is unknown the reads by which it is known to have taken effect.
    fn proof(&self, op: u32) -> Vec<u32> {
        let mut proof = vec![op];
        let mut last = op;
        while self.kv.ops[last as usize].complete == NONE
            && let Some(reader) =
                (0..).zip(&self.kv.ops).find_map(|(id, op)| (op.source == Source::Write(last)).then_some(id))
            && !proof.contains(&reader)
        {
            proof.push(reader);
            last = reader;
        }
        proof
    }

    /// Adds the edge and the step by which `read` saw what `write` wrote.
    pub(crate) fn reads_from(&self, anomaly: &mut Anomaly, write: u32, read: u32) {
        anomaly.steps.push(format!("{} saw what the {} wrote", self.name(read), self.name(write)));
        self.edge(anomaly, write, read, "reads from");
    }

    /// Adds an edge, once.
    pub(crate) fn edge(&self, anomaly: &mut Anomaly, from: u32, to: u32, kind: &str) {
        let edge = Edge { from: self.event(from), to: self.event(to), kind: kind.to_owned() };
        if !anomaly.edges.contains(&edge) {
            anomaly.edges.push(edge);
        }
    }

    /// Adds the edge and the steps by which `from` comes causally before `to`.
    pub(crate) fn causal(&self, anomaly: &mut Anomaly, from: u32, to: u32) {
        let path = self.path(from, to);
        let sessions = path.iter().all(|&(_, kind)| kind == "session order");
        let kind = match path.as_slice() {
            [(_, kind)] => kind,
            _ if sessions && !path.is_empty() => "session order",
            _ => "causal",
        };
        self.edge(anomaly, from, to, kind);
        let mut at = from;
        for (op, kind) in path {
            anomaly.steps.push(match kind {
                "session order" => format!("{}, then {} (session order)", self.name(at), self.name(op)),
                _ => format!("{}, then {}, which saw it", self.name(at), self.name(op)),
            });
            at = op;
        }
    }

    /// The shortest way from `from` to `to` by session order and reads-from; a run inside a session is one step. Empty
    /// if there is none.
    pub(crate) fn path(&self, from: u32, to: u32) -> Vec<(u32, &'static str)> {
        let mut next: HashMap<u32, (u32, &'static str)> = HashMap::new();
        let mut layer = vec![to];
        while !layer.is_empty() && !next.contains_key(&from) {
            let mut before = Vec::new();
            for op in layer {
                let counts = self.within.is_none_or(|key| self.kv.ops[op as usize].key == key);
                let source = self.kv.source(op).filter(|_| counts);
                let steps = [(self.kv.previous(op), "session order"), (source, "reads from")];
                for (step, kind) in steps {
                    if let Some(step) = step.filter(|step| *step != to && !next.contains_key(step)) {
                        next.insert(step, (op, kind));
                        before.push(step);
                    }
                }
            }
            layer = before;
        }
        let mut path: Vec<(u32, &'static str)> = Vec::new();
        let mut at = from;
        while let Some(&(op, kind)) = next.get(&at) {
            match path.last_mut() {
                Some(last) if last.1 == kind && kind == "session order" => last.0 = op,
                _ => path.push((op, kind)),
            }
            at = op;
            if at == to {
                break;
            }
        }
        path
    }
}
