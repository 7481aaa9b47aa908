//! Histories of simulated stores with transactions over registers, of any size.

use std::collections::HashMap;

use serde_json::{Value, json};
use squall_checkers::{History, Op, Process, Type};

use crate::random::Random;

/// What the store promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// Transactions run one at a time.
    Serial,
    /// Each reads a snapshot, and starts again when another has meanwhile written a key that it writes.
    Snapshot,
    /// The same, with one node a client: what others committed arrives there late, but nothing before what it depends on.
    Parallel,
}

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) txns: usize,
    pub(crate) clients: usize,
    /// Micro-operations of a transaction.
    pub(crate) mops: usize,
    pub(crate) keys: usize,
    /// Reads in a hundred.
    pub(crate) reads: usize,
    /// The exponent of Zipf's law for keys; 0: all alike.
    pub(crate) skew: f64,
}

/// A transaction that is on its way.
struct Running {
    mops: Vec<(usize, Option<u64>)>,
    /// How much of each client's log it sees, once it has a snapshot.
    snapshot: Option<Vec<usize>>,
    told: Option<Value>,
}

/// How much of each client's log a committed transaction saw.
type Seen = Vec<usize>;

/// What all commits saw, by client, and for each key the commits that wrote it in order, with what they wrote.
#[derive(Default)]
struct Versions {
    logs: Vec<Vec<Seen>>,
    by_key: HashMap<usize, Vec<(usize, usize, u64)>>,
}

impl Versions {
    /// The newest version of a key within a snapshot. All versions of a key come after one another.
    fn read(&self, key: usize, snapshot: &[usize]) -> Option<u64> {
        let versions = self.by_key.get(&key)?;
        versions.iter().rev().find(|(client, at, _)| *at < snapshot[*client]).map(|(.., value)| *value)
    }

    /// Whether a key has a version that is not in the snapshot.
    fn overwritten(&self, key: usize, snapshot: &[usize]) -> bool {
        let newest = self.by_key.get(&key).and_then(|versions| versions.last());
        newest.is_some_and(|(client, at, _)| *at >= snapshot[*client])
    }
}

/// A history of clients on a store. Every value is different.
pub(crate) fn transactions(rng: &mut Random, load: Load, store: Store) -> History {
    let Load { txns, clients, .. } = load;
    let weights = weights(load);
    let mut versions = Versions { logs: (0..clients).map(|_| Vec::new()).collect(), ..Versions::default() };
    let mut nodes: Vec<Vec<usize>> = vec![vec![0; clients]; clients];
    let mut running: Vec<Option<Running>> = (0..clients).map(|_| None).collect();
    let (mut history, mut begun, mut value) = (History::new(), 0, 0);
    while begun < txns || running.iter().any(Option::is_some) {
        let client = rng.below(clients);
        let op = Op::new("txn").process(Process::Client(client as u32)).at(history.len() as u64 * 100_000);
        match running[client].take() {
            None if begun < txns => {
                begun += 1;
                let mops: Vec<(usize, Option<u64>)> = (0..load.mops)
                    .map(|_| {
                        value += 1;
                        (key(rng, &weights), (rng.below(100) >= load.reads).then_some(value))
                    })
                    .collect();
                let asked: Value = mops.iter().map(|&(key, write)| mop(key, write, None)).collect();
                history.push(&op.value(asked));
                running[client] = Some(Running { mops, snapshot: None, told: None });
            }
            None => {}
            Some(mut txn) => match txn.told.take() {
                Some(told) => history.push(&op.value(told).kind(Type::Ok)),
                None => {
                    proceed(rng, &mut versions, &mut nodes, store, client, &mut txn);
                    running[client] = Some(txn);
                }
            },
        }
    }
    history
}

/// Takes a snapshot, or commits.
fn proceed(
    rng: &mut Random,
    versions: &mut Versions,
    nodes: &mut [Vec<usize>],
    store: Store,
    client: usize,
    txn: &mut Running,
) {
    let now: Vec<usize> = versions.logs.iter().map(Vec::len).collect();
    let conflict = |snapshot: &Vec<usize>| {
        txn.mops.iter().any(|&(key, write)| write.is_some() && versions.overwritten(key, snapshot))
    };
    let snapshot = match (store, txn.snapshot.take()) {
        (Store::Serial, _) => now,
        (Store::Snapshot, None) => {
            txn.snapshot = Some(now);
            return;
        }
        (Store::Snapshot, Some(snapshot)) if conflict(&snapshot) => {
            txn.snapshot = Some(now);
            return;
        }
        (_, Some(snapshot)) => snapshot,
        (Store::Parallel, None) => {
            // Some of what others committed arrives, and all of it if the keys were overwritten.
            loop {
                for _ in 0..nodes.len() {
                    arrive(versions, &mut nodes[client], rng.below(now.len()));
                }
                if !conflict(&nodes[client]) {
                    break nodes[client].clone();
                }
            }
        }
    };
    let mut own: HashMap<usize, u64> = HashMap::new();
    let told: Vec<Value> = txn
        .mops
        .iter()
        .map(|&(key, write)| {
            let read = own.get(&key).copied().or_else(|| versions.read(key, &snapshot));
            own.extend(write.map(|value| (key, value)));
            mop(key, write, read)
        })
        .collect();
    txn.told = Some(told.into());
    let at = versions.logs[client].len();
    let mut writes: Vec<(usize, u64)> = Vec::new();
    for &(key, write) in &txn.mops {
        if let Some(value) = write {
            writes.retain(|(other, _)| *other != key);
            writes.push((key, value));
        }
    }
    for &(key, value) in &writes {
        versions.by_key.entry(key).or_default().push((client, at, value));
    }
    nodes[client][client] = at + 1;
    versions.logs[client].push(snapshot);
}

/// The next commit of `from` arrives, if all that it depends on has.
fn arrive(versions: &Versions, node: &mut [usize], from: usize) {
    let next = versions.logs[from].get(node[from]);
    if next.is_some_and(|seen| seen.iter().zip(node.iter()).all(|(need, have)| need <= have)) {
        node[from] += 1;
    }
}

fn mop(key: usize, write: Option<u64>, read: Option<u64>) -> Value {
    match write {
        Some(value) => json!(["w", key, value]),
        None => json!(["r", key, read]),
    }
}

/// How likely each key is, added up.
fn weights(load: Load) -> Vec<f64> {
    let mut sum = 0.0;
    let weight = |key: usize| ((key + 1) as f64).powf(-load.skew);
    (0..load.keys)
        .map(|key| {
            sum += weight(key);
            sum
        })
        .collect()
}

fn key(rng: &mut Random, weights: &[f64]) -> usize {
    let unit = (rng.next() >> 11) as f64 / (1u64 << 53) as f64;
    let at = unit * weights[weights.len() - 1];
    weights.partition_point(|&weight| weight <= at).min(weights.len() - 1)
}
