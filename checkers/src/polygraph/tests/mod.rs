mod axioms;
mod engines;
mod names;
mod witnesses;

use super::oracle::{self, TinyMop, TinyTxn};
use super::*;
use crate::agreement::{each, size};
use crate::testing::Random;
use crate::{Op, Process, Type, Valid};
use TinyMop::{Read as R, Write as W};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

const MODELS: [PolygraphModel; 5] = [
    PolygraphModel::StrictSerializable,
    PolygraphModel::Serializable,
    PolygraphModel::SnapshotIsolation,
    PolygraphModel::ParallelSnapshotIsolation,
    PolygraphModel::PrefixConsistency,
];

/// Checks all models against the oracle and returns what it said.
fn agrees(txns: &[TinyTxn]) -> [bool; 5] {
    let history = oracle::record(txns);
    let holds = MODELS.map(|model| {
        let holds = oracle::holds(model, txns);
        let verdict = Polygraph::new(model).check(&history);
        let expected = if holds { Valid::True } else { Valid::False };
        assert_eq!(verdict.valid, expected, "{model:?} {txns:#?} {verdict:#?}");
        for anomaly in &verdict.anomalies {
            assert!(!anomaly.witness.is_empty() && !anomaly.sentence.is_empty());
            closes(anomaly);
        }
        holds
    });
    let [strict, serial, snapshot, parallel, prefix] = holds;
    assert!(!strict || serial);
    assert!(!serial || snapshot);
    assert!(!snapshot || parallel && prefix);
    holds
}

/// Edges form a cycle.
fn closes(anomaly: &Anomaly) {
    for (at, edge) in anomaly.edges.iter().enumerate() {
        assert_eq!(edge.to, anomaly.edges[(at + 1) % anomaly.edges.len()].from, "{anomaly:#?}");
    }
}

/// Up to so many transactions in up to four sessions on up to three keys, at any moments, with reads of anything.
pub(crate) fn random(rng: &mut Random, most: usize) -> Vec<TinyTxn> {
    let (sessions, keys) = (2 + rng.below(3), 2 + rng.below(2));
    let count = 2 + rng.below(most - 1);
    let crashes = rng.below(3) == 0;
    let mut txns: Vec<TinyTxn> = Vec::new();
    let mut open: Vec<Option<usize>> = vec![None; sessions];
    let mut now = 0;
    while txns.len() < count || open.iter().any(Option::is_some) {
        let session = rng.below(sessions);
        now += 1;
        match open[session].take() {
            Some(txn) => txns[txn].complete = now,
            None if txns.len() < count => {
                open[session] = Some(txns.len());
                let kind = match rng.below(12) {
                    0 if crashes => Type::Fail,
                    1 | 2 if crashes => Type::Info,
                    _ => Type::Ok,
                };
                let mops = (0..1 + rng.below(3))
                    .map(|at| {
                        let key = rng.below(keys);
                        match rng.below(2) {
                            0 => W(key, (4 * txns.len() + at + 1) as u8),
                            _ => R(key, 0),
                        }
                    })
                    .collect();
                let process = session as u32;
                txns.push(TinyTxn { process, kind, invoke: now, complete: 0, mops });
            }
            None => {}
        }
    }
    fill(rng, &mut txns);
    txns
}

/// Chooses what was read: mostly the last that somebody wrote to the key, and what the transaction itself wrote.
fn fill(rng: &mut Random, txns: &mut [TinyTxn]) {
    for txn in 0..txns.len() {
        let mut own: [Option<u8>; 4] = [None; 4];
        for at in 0..txns[txn].mops.len() {
            match txns[txn].mops[at] {
                W(key, value) => own[key] = Some(value),
                R(key, _) => {
                    let last = |other: &TinyTxn| {
                        let wrote = |mop: &TinyMop| match *mop {
                            W(k, value) if k == key => Some(value),
                            _ => None,
                        };
                        other.mops.iter().rev().find_map(wrote)
                    };
                    let others = txns.iter().enumerate().filter(|(i, _)| *i != txn);
                    let mut from: Vec<u8> = others.filter_map(|(_, other)| last(other)).collect();
                    from.push(0);
                    let value = match own[key] {
                        Some(value) if rng.below(50) > 0 => value,
                        _ => from[rng.below(from.len())],
                    };
                    own[key] = Some(value);
                    txns[txn].mops[at] = R(key, value);
                }
            }
        }
    }
}

/// What transactions do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mops {
    /// Reads and writes.
    Any,
    /// The same, but each key is read before it is written.
    Updates,
    /// Reads and writes, where a read now and then is of another snapshot than the one before.
    Torn,
}

/// Transactions that read snapshots of a store, now and then an older one than they should or something else.
pub(crate) fn nearly(rng: &mut Random, count: usize, shape: Mops) -> Vec<TinyTxn> {
    let (sessions, keys) = (2 + rng.below(5), 2 + rng.below(3));
    let (lag, noise) = (1 + rng.below(4), [0, 0, 3, 10][rng.below(4)]);
    let mut log: Vec<[u8; 4]> = vec![[0; 4]];
    let mut own = vec![0; sessions];
    let mut last = [0; 4];
    let mut txns: Vec<TinyTxn> = Vec::new();
    let torn = if shape == Mops::Torn { [0, 1, 5][rng.below(3)] } else { 0 };
    for n in 0..count {
        let session = rng.below(sessions);
        let (mut store, mut seen) = (*log.last().expect("it is not empty"), [None; 4]);
        let mut mops: Vec<TinyMop> = (0..1 + rng.below(4))
            .map(|at| match rng.below(2) {
                0 => W(rng.below(keys), (4 * n + at + 1) as u8),
                _ => R(rng.below(keys), 0),
            })
            .collect();
        for key in (0..keys).filter(|_| shape == Mops::Updates) {
            let on = |mop: &TinyMop| matches!(*mop, W(to, _) | R(to, _) if to == key);
            if let Some(first) = mops.iter().position(on).filter(|&first| matches!(mops[first], W(..))) {
                mops.insert(first, R(key, 0));
            }
        }
        let mut snapshot = log.len().saturating_sub(1 + rng.below(lag)).max(own[session]);
        for mop in &mops {
            if let W(key, _) = *mop
                && rng.below(10) > 0
            {
                snapshot = snapshot.max(last[key]);
            }
        }
        if rng.below(100) < noise {
            snapshot = rng.below(log.len());
        }
        for mop in &mut mops {
            match *mop {
                W(key, value) => (store[key], seen[key], last[key]) = (value, Some(value), log.len()),
                R(key, _) => {
                    let other = torn > 0 && rng.below(100) < torn;
                    let snapshot = if other { rng.below(log.len()) } else { snapshot };
                    let value = seen[key].unwrap_or(log[snapshot][key]);
                    seen[key] = Some(value);
                    *mop = R(key, value);
                }
            }
        }
        log.push(store);
        own[session] = log.len() - 1;
        let late = rng.below(6);
        let process = session as u32;
        txns.push(TinyTxn {
            process,
            kind: Type::Ok,
            invoke: 10 * n,
            complete: 10 * n + 5 + 10 * late,
            mops,
        });
    }
    // A client is not invoked before it is answered.
    for n in 0..count {
        let next = (n + 1..count).find(|&next| txns[next].process == txns[n].process);
        if let Some(next) = next {
            txns[n].complete = txns[n].complete.min(txns[next].invoke - 1);
        }
    }
    txns
}

/// Whether a model holds of transactions whose reads are right by themselves.
pub(crate) fn holds(txns: &Txns, model: PolygraphModel) -> bool {
    let budget = Budget::default();
    let reads = collect(txns, false, &budget).unwrap();
    assert_eq!(reads.misreads, []);
    let problem = Problem::new(&reads.draft, &budget).unwrap();
    decide(&problem, model, u64::MAX, &budget).unwrap().answer == Answer::Holds
}

fn problem(history: &History) -> Problem {
    let budget = Budget::default();
    let txns = Txns::parse(history, Shape::Registers, &budget).unwrap();
    let reads = collect(&txns, false, &budget).unwrap();
    assert_eq!(reads.misreads, []);
    Problem::new(&reads.draft, &budget).unwrap()
}

/// Acknowledged transactions of one process each, of which all but those in `after` run at once.
fn history(txns: &[Value]) -> History {
    let op = |n: usize, mops: &Value| Op::new("txn").process(Process::Client(n as u32)).value(mops.clone());
    let invoked = txns.iter().enumerate().map(|(n, mops)| op(n, mops));
    invoked.chain(txns.iter().enumerate().map(|(n, mops)| op(n, mops).kind(Type::Ok))).collect()
}
