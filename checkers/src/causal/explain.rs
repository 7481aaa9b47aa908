//! Bad patterns as anomalies: a sentence, the operations, and the proof.

use super::cc::{Pattern, Step};
use crate::registers::{Kv, Teller};
use crate::{Anomaly, Edge};

/// The anomaly that a bad pattern is.
pub(crate) fn explain(kv: &Kv, pattern: &Pattern) -> Anomaly {
    let teller = &Teller { kv, within: None };
    match *pattern {
        Pattern::ThinAirRead { read } => thin_air(teller, read),
        Pattern::AbortedRead { event, read } => aborted(teller, event, read),
        Pattern::WriteCoRead { old, new, read } => overwritten(teller, old, new, read),
        Pattern::WriteCoInitRead { write, read } => initial(teller, "write-co-init-read", write, read),
        Pattern::WriteHbInitRead { write, read } => initial(teller, "write-hb-init-read", write, read),
        Pattern::CyclicCo(ref circle) => {
            let steps: Vec<Step> = (0..circle.len())
                .flat_map(|i| {
                    let (read, write) = circle[i];
                    let (next, _) = circle[(i + 1) % circle.len()];
                    [Step::Causal { from: next, to: write }, Step::Causal { from: write, to: read }]
                })
                .filter(|step| !matches!(step, Step::Causal { from, to } if from == to))
                .collect();
            cycle(
                teller,
                "cyclic-co",
                "each comes causally before the next, and the last before the first",
                &steps,
            )
        }
        Pattern::CyclicCf(ref steps) => {
            cycle(teller, "cyclic-cf", "no one order of the conflicting writes fits all that was read", steps)
        }
        Pattern::CyclicHb(ref steps) => {
            cycle(teller, "cyclic-hb", "no one order of the writes fits all that the session read", steps)
        }
    }
}

fn thin_air(teller: &Teller, read: u32) -> Anomaly {
    let sentence = format!("{}, which nobody ever wrote", teller.did_read(read));
    teller.anomaly("thin-air-read", read, sentence, &[read])
}

fn aborted(teller: &Teller, event: u32, read: u32) -> Anomaly {
    let failed = teller.kv.history.get(event as usize);
    let sentence = format!(
        "{}, which only the failed {} of process {} wrote",
        teller.did_read(read),
        failed.f(),
        failed.process()
    );
    let mut anomaly = teller.anomaly("aborted-read", read, sentence, &[read]);
    anomaly.witness.insert(0, event as usize);
    anomaly.edges.push(Edge { from: event as usize, to: teller.event(read), kind: "reads from".to_owned() });
    anomaly
}

fn overwritten(teller: &Teller, old: u32, new: u32, read: u32) -> Anomaly {
    let sentence = format!(
        "{}{}, although {} was causally overwritten by {}",
        teller.did_read(read),
        knowing(teller, new, read),
        teller.wrote(old),
        teller.wrote(new)
    );
    let mut anomaly = teller.anomaly("write-co-read", read, sentence, &[old, new, read]);
    teller.causal(&mut anomaly, old, new);
    teller.causal(&mut anomaly, new, read);
    teller.reads_from(&mut anomaly, old, read);
    anomaly
}

/// How the session of `read` knew of `write`.
fn knowing(teller: &Teller, write: u32, read: u32) -> String {
    let session = teller.kv.ops[read as usize].session;
    if teller.kv.ops[write as usize].session == session {
        return format!(" after writing {}", teller.wrote(write));
    }
    let start = teller.kv.session(session as usize).start;
    match (start..read).rev().any(|op| teller.kv.source(op) == Some(write)) {
        true => format!(" after reading {}", teller.wrote(write)),
        false => String::new(),
    }
}

fn initial(teller: &Teller, kind: &str, write: u32, read: u32) -> Anomaly {
    let order =
        if kind == "write-co-init-read" { "causally before" } else { "before, in every order that fits," };
    let sentence = format!(
        "{}{}, although the {} comes {order} that read",
        teller.did_read(read),
        knowing(teller, write, read),
        teller.name(write)
    );
    let mut anomaly = teller.anomaly(kind, read, sentence, &[write, read]);
    teller.causal(&mut anomaly, write, read);
    anomaly
}

fn cycle(teller: &Teller, kind: &str, why: &str, steps: &[Step]) -> Anomaly {
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
    let names: Vec<String> = ops.iter().map(|&op| teller.name(op)).collect();
    let sentence = format!("{why}: {}", names.join("; "));
    let mut anomaly = teller.anomaly(kind, first, sentence, &ops);
    for step in steps {
        match *step {
            Step::Causal { from, to } => teller.causal(&mut anomaly, from, to),
            Step::Conflict { from, to, read } => conflict(teller, &mut anomaly, from, to, read),
        }
    }
    anomaly
}

fn conflict(teller: &Teller, anomaly: &mut Anomaly, from: u32, to: u32, read: u32) {
    anomaly.steps.push(format!(
        "{} must come before {}: {} with {} in its past",
        teller.wrote(from),
        teller.wrote(to),
        teller.did_read(read),
        teller.wrote(from)
    ));
    teller.edge(anomaly, from, to, "conflict");
    teller.reads_from(anomaly, to, read);
}

/// The operations of a pattern and those by which they come causally one before the other.
pub(crate) fn ops(kv: &Kv, pattern: &Pattern) -> Vec<u32> {
    let teller = Teller { kv, within: None };
    let mut ops = Vec::new();
    let mut way = |from: u32, to: u32| {
        ops.extend([from, to]);
        ops.extend(teller.path(from, to).iter().map(|&(op, _)| op));
    };
    match *pattern {
        Pattern::ThinAirRead { read } | Pattern::AbortedRead { read, .. } => ops.push(read),
        Pattern::WriteCoInitRead { write, read } | Pattern::WriteHbInitRead { write, read } => {
            way(write, read)
        }
        Pattern::WriteCoRead { old, new, read } => {
            way(old, new);
            way(new, read);
        }
        Pattern::CyclicCo(ref circle) => circle.iter().for_each(|&(read, write)| ops.extend([read, write])),
        Pattern::CyclicCf(ref steps) | Pattern::CyclicHb(ref steps) => {
            for step in steps {
                match *step {
                    Step::Causal { from, to } => way(from, to),
                    Step::Conflict { from, read, .. } => way(from, read),
                }
            }
        }
    }
    ops
}

/// The session whose order a pattern of CM or PRAM is about.
pub(crate) fn session(kv: &Kv, pattern: &Pattern) -> u32 {
    let conflict = |step: &Step| match *step {
        Step::Conflict { read, .. } => Some(read),
        Step::Causal { .. } => None,
    };
    let read = match *pattern {
        Pattern::CyclicHb(ref steps) | Pattern::CyclicCf(ref steps) => steps.iter().find_map(conflict),
        Pattern::CyclicCo(ref circle) => circle.first().map(|&(read, _)| read),
        Pattern::WriteHbInitRead { read, .. }
        | Pattern::WriteCoInitRead { read, .. }
        | Pattern::WriteCoRead { read, .. }
        | Pattern::ThinAirRead { read }
        | Pattern::AbortedRead { read, .. } => Some(read),
    };
    read.map_or(0, |read| kv.ops[read as usize].session)
}

/// All operations causally before the end of a session.
pub(crate) fn past(kv: &Kv, session: u32) -> Vec<u32> {
    let mut seen = vec![false; kv.ops.len()];
    let mut past: Vec<u32> = kv.session(session as usize).last().into_iter().collect();
    let mut at = 0;
    while let Some(&op) = past.get(at) {
        at += 1;
        for before in [kv.previous(op), kv.source(op)].into_iter().flatten() {
            if !std::mem::replace(&mut seen[before as usize], true) {
                past.push(before);
            }
        }
    }
    past.sort_unstable();
    past.dedup();
    past
}
