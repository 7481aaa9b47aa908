//! Bad patterns as anomalies: a sentence, the operations, and the proof.

use std::collections::HashMap;

use super::cc::{Pattern, Step};
use super::kv::{Kv, NONE};
use crate::{Anomaly, Edge};

/// The anomaly that a bad pattern is.
pub(crate) fn explain(kv: &Kv, pattern: &Pattern) -> Anomaly {
    let teller = Teller { kv, within: None };
    match *pattern {
        Pattern::ThinAirRead { read } => teller.thin_air(read),
        Pattern::AbortedRead { event, read } => teller.aborted(event, read),
        Pattern::WriteCoRead { old, new, read } => teller.overwritten(old, new, read),
        Pattern::WriteCoInitRead { write, read } => teller.initial("write-co-init-read", write, read),
        Pattern::WriteHbInitRead { write, read } => teller.initial("write-hb-init-read", write, read),
        Pattern::CyclicCo(ref circle) => {
            let steps: Vec<Step> = (0..circle.len())
                .flat_map(|i| {
                    let (read, write) = circle[i];
                    let (next, _) = circle[(i + 1) % circle.len()];
                    [Step::Causal { from: next, to: write }, Step::Causal { from: write, to: read }]
                })
                .filter(|step| !matches!(step, Step::Causal { from, to } if from == to))
                .collect();
            teller.cycle(
                "cyclic-co",
                "each comes causally before the next, and the last before the first",
                &steps,
            )
        }
        Pattern::CyclicCf(ref steps) => {
            teller.cycle("cyclic-cf", "no one order of the conflicting writes fits all that was read", steps)
        }
        Pattern::CyclicHb(ref steps) => {
            teller.cycle("cyclic-hb", "no one order of the writes fits all that the session read", steps)
        }
    }
}

/// Puts operations into words.
pub(crate) struct Teller<'a> {
    pub(crate) kv: &'a Kv<'a>,
    /// If given, only reads of this key are steps of a causal path.
    pub(crate) within: Option<u32>,
}

impl Teller<'_> {
    pub(crate) fn event(&self, op: u32) -> usize {
        self.kv.ops[op as usize].event as usize
    }

    pub(crate) fn process(&self, op: u32) -> String {
        format!("process {}", self.kv.history.get(self.event(op)).process())
    }

    pub(crate) fn at(&self, event: usize) -> String {
        format!("{:.3} s", self.kv.history.get(event).time_ns() as f64 / 1e9)
    }

    fn value(&self, value: u32) -> String {
        self.kv.register.values.value(value).to_string()
    }

    /// What `op` wrote.
    pub(crate) fn wrote(&self, op: u32) -> String {
        self.value(self.kv.ops[op as usize].wrote)
    }

    /// What `op` read.
    pub(crate) fn read(&self, op: u32) -> String {
        match self.kv.ops[op as usize].read {
            read if read == self.kv.register.initial => "the initial value".to_owned(),
            read => self.value(read),
        }
    }

    pub(crate) fn source_key(&self, op: u32) -> String {
        self.kv.register.key_phrase(self.kv.ops[op as usize].key)
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
        format!("{what} by {} at {at}", self.process(op))
    }

    /// `process 3 read 7 from key 2 at 1.204 s`.
    pub(crate) fn did_read(&self, op: u32) -> String {
        let at = self.at(self.event(op));
        format!("{} read {}{} at {at}", self.process(op), self.read(op), self.source_key(op))
    }

    pub(crate) fn anomaly(&self, kind: &str, op: u32, sentence: String, witness: &[u32]) -> Anomaly {
        let mut events: Vec<usize> = witness.iter().map(|&op| self.event(op)).collect();
        events.sort_unstable();
        events.dedup();
        Anomaly {
            kind: kind.to_owned(),
            key: self.kv.register.key(self.kv.ops[op as usize].key),
            sentence,
            witness: events,
            steps: Vec::new(),
            edges: Vec::new(),
        }
    }

    fn thin_air(&self, read: u32) -> Anomaly {
        let sentence = format!("{}, which nobody ever wrote", self.did_read(read));
        self.anomaly("thin-air-read", read, sentence, &[read])
    }

    fn aborted(&self, event: u32, read: u32) -> Anomaly {
        let failed = self.kv.history.get(event as usize);
        let sentence = format!(
            "{}, which only the failed {} of process {} wrote",
            self.did_read(read),
            failed.f(),
            failed.process()
        );
        let mut anomaly = self.anomaly("aborted-read", read, sentence, &[read]);
        anomaly.witness.insert(0, event as usize);
        anomaly.edges.push(Edge {
            from: event as usize,
            to: self.event(read),
            kind: "reads from".to_owned(),
        });
        anomaly
    }

    fn overwritten(&self, old: u32, new: u32, read: u32) -> Anomaly {
        let sentence = format!(
            "{}{}, although {} was causally overwritten by {}",
            self.did_read(read),
            self.knowing(new, read),
            self.wrote(old),
            self.wrote(new)
        );
        let mut anomaly = self.anomaly("write-co-read", read, sentence, &[old, new, read]);
        self.causal(&mut anomaly, old, new);
        self.causal(&mut anomaly, new, read);
        self.reads_from(&mut anomaly, old, read);
        anomaly
    }

    /// How the session of `read` knew of `write`.
    fn knowing(&self, write: u32, read: u32) -> String {
        let session = self.kv.ops[read as usize].session;
        if self.kv.ops[write as usize].session == session {
            return format!(" after writing {}", self.wrote(write));
        }
        let start = self.kv.session(session as usize).start;
        match (start..read).rev().any(|op| self.kv.source(op) == Some(write)) {
            true => format!(" after reading {}", self.wrote(write)),
            false => String::new(),
        }
    }

    fn initial(&self, kind: &str, write: u32, read: u32) -> Anomaly {
        let order = if kind == "write-co-init-read" {
            "causally before"
        } else {
            "before, in every order that fits,"
        };
        let sentence = format!(
            "{}{}, although the {} comes {order} that read",
            self.did_read(read),
            self.knowing(write, read),
            self.name(write)
        );
        let mut anomaly = self.anomaly(kind, read, sentence, &[write, read]);
        self.causal(&mut anomaly, write, read);
        anomaly
    }

    fn cycle(&self, kind: &str, why: &str, steps: &[Step]) -> Anomaly {
        let mut ops: Vec<u32> = Vec::new();
        for step in steps {
            match *step {
                Step::Causal { from, to } => ops.extend([from, to]),
                Step::Conflict { from, to, read } => ops.extend([from, to, read]),
            }
        }
        ops.sort_unstable();
        ops.dedup();
        let first = match steps[0] {
            Step::Causal { from, .. } | Step::Conflict { from, .. } => from,
        };
        let names: Vec<String> = ops.iter().map(|&op| self.name(op)).collect();
        let sentence = format!("{why}: {}", names.join("; "));
        let mut anomaly = self.anomaly(kind, first, sentence, &ops);
        for step in steps {
            match *step {
                Step::Causal { from, to } => self.causal(&mut anomaly, from, to),
                Step::Conflict { from, to, read } => self.conflict(&mut anomaly, from, to, read),
            }
        }
        anomaly
    }

    fn conflict(&self, anomaly: &mut Anomaly, from: u32, to: u32, read: u32) {
        anomaly.steps.push(format!(
            "{} must come before {}: {} with {} in its past",
            self.wrote(from),
            self.wrote(to),
            self.did_read(read),
            self.wrote(from)
        ));
        self.edge(anomaly, from, to, "conflict");
        self.reads_from(anomaly, to, read);
    }

    fn reads_from(&self, anomaly: &mut Anomaly, write: u32, read: u32) {
        anomaly.steps.push(format!("{} saw what the {} wrote", self.name(read), self.name(write)));
        self.edge(anomaly, write, read, "reads from");
    }

    fn edge(&self, anomaly: &mut Anomaly, from: u32, to: u32, kind: &str) {
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
    fn path(&self, from: u32, to: u32) -> Vec<(u32, &'static str)> {
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
