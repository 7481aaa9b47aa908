//! Histories of stores that keep their promises, of any size.

use std::collections::HashMap;

use serde_json::{Value, json};
use squall_checkers::{History, Op, Process, Type};

use crate::random::Random;

/// How replicas settle conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflicts {
    /// Each keeps what reached it last: the store is causal memory.
    LastArrived,
    /// All keep the write with the highest Lamport clock: the store is causally convergent.
    LastWritten,
}

struct Write {
    key: usize,
    value: u64,
    stamp: (u64, usize),
    needs: Vec<usize>,
}

struct Replica {
    applied: Vec<usize>,
    clock: u64,
    store: HashMap<usize, (u64, (u64, usize))>,
}

impl Replica {
    fn apply(&mut self, write: &Write, conflicts: Conflicts) {
        self.clock = self.clock.max(write.stamp.0);
        let newer = |old: &(u64, (u64, usize))| conflicts == Conflicts::LastArrived || old.1 < write.stamp;
        if self.store.get(&write.key).is_none_or(newer) {
            self.store.insert(write.key, (write.value, write.stamp));
        }
    }
}

/// `ops` reads and writes of as many clients as `sessions`, each with a replica of its own; writes reach the other
/// replicas late, but in causal order.
pub(crate) fn replicated(
    rng: &mut Random,
    ops: usize,
    sessions: usize,
    keys: usize,
    conflicts: Conflicts,
) -> History {
    let mut logs: Vec<Vec<Write>> = (0..sessions).map(|_| Vec::new()).collect();
    let mut replicas: Vec<Replica> = (0..sessions)
        .map(|_| Replica { applied: vec![0; sessions], clock: 0, store: HashMap::new() })
        .collect();
    let mut history = History::new();
    for n in 0..ops {
        let at = rng.below(sessions);
        for _ in 0..sessions {
            let from = rng.below(sessions);
            let replica = &mut replicas[at];
            let Some(write) = logs[from].get(replica.applied[from]) else { continue };
            if from != at && write.needs.iter().zip(&replica.applied).all(|(need, have)| need <= have) {
                replica.apply(write, conflicts);
                replica.applied[from] += 1;
            }
        }
        let (key, replica) = (rng.below(keys), &mut replicas[at]);
        if rng.below(2) == 0 {
            let stamp = (replica.clock + 1, at);
            let write = Write { key, value: n as u64, stamp, needs: replica.applied.clone() };
            replica.apply(&write, conflicts);
            replica.applied[at] += 1;
            logs[at].push(write);
            push(&mut history, at, "write", json!([key, n]), json!([key, n]));
        } else {
            let value = replica.store.get(&key).map(|(value, _)| *value);
            push(&mut history, at, "read", json!([key, null]), json!([key, value]));
        }
    }
    history
}

/// Appends an acknowledged operation.
pub(crate) fn push(history: &mut History, process: usize, f: &'static str, asked: Value, told: Value) {
    let op = Op::new(f).process(Process::Client(process as u32)).at(history.len() as u64 * 1_000_000);
    history.push(&op.clone().value(asked));
    history.push(&op.value(told).kind(Type::Ok));
}

/// `txns` transactions of one to four micro-operations on ever fresh keys by `clients` clients against lists in one
/// place. Each runs at one moment between its invocation and its completion.
pub(crate) fn lists(rng: &mut Random, txns: usize, clients: usize) -> History {
    const APPENDS: u64 = 32;
    let mut store: HashMap<usize, Vec<u64>> = HashMap::new();
    let mut active: Vec<(usize, u64)> = (0..10).map(|key| (key, 0)).collect();
    let mut fresh = active.len();
    let mut busy: Vec<Option<(Value, Option<Value>)>> = vec![None; clients];
    let (mut history, mut begun) = (History::new(), 0);
    while begun < txns || busy.iter().any(Option::is_some) {
        let client = rng.below(clients);
        let op = Op::new("txn").process(Process::Client(client as u32)).at(history.len() as u64 * 100_000);
        match busy[client].take() {
            None if begun < txns => {
                begun += 1;
                let mops: Vec<Value> = (0..1 + rng.below(4))
                    .map(|_| {
                        let slot = rng.below(active.len());
                        let (key, appends) = &mut active[slot];
                        if rng.below(2) == 0 {
                            return json!(["r", *key, null]);
                        }
                        *appends += 1;
                        let mop = json!(["append", *key, *appends]);
                        if *appends == APPENDS {
                            (*key, *appends) = (fresh, 0);
                            fresh += 1;
                        }
                        mop
                    })
                    .collect();
                history.push(&op.value(mops.clone()));
                busy[client] = Some((mops.into(), None));
            }
            None => {}
            Some((asked, None)) => {
                let told = run(&mut store, &asked);
                busy[client] = Some((asked, Some(told)));
            }
            Some((_, Some(told))) => history.push(&op.value(told).kind(Type::Ok)),
        }
    }
    history
}

fn run(store: &mut HashMap<usize, Vec<u64>>, mops: &Value) -> Value {
    let run = |mop: &Value| {
        let key = mop[1].as_u64().expect("keys are numbers") as usize;
        let list = store.entry(key).or_default();
        match mop[2].as_u64() {
            Some(value) => {
                list.push(value);
                mop.clone()
            }
            None => json!(["r", key, list]),
        }
    };
    mops.as_array().expect("a list of micro-operations").iter().map(run).collect()
}

/// The last element of each list is the value of a register.
pub(crate) fn registers(lists: &History) -> History {
    let mop = |mop: &Value| match mop[0].as_str() {
        Some("append") => json!(["w", mop[1], mop[2]]),
        _ => json!(["r", mop[1], mop[2].as_array().and_then(|list| list.last())]),
    };
    let op = |mut op: Op| {
        op.value = op.value.as_array().expect("a transaction").iter().map(mop).collect();
        op
    };
    lists.iter().map(|event| op(event.to_op())).collect()
}
