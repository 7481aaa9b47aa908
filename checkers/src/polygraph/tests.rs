use super::oracle::{self, TinyMop, TinyTxn};
use super::*;
use crate::testing::Random;
use crate::{Type, Valid};
use TinyMop::{Read as R, Write as W};

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
        holds
    });
    let [strict, serial, snapshot, parallel, prefix] = holds;
    assert!(!strict || serial);
    assert!(!serial || snapshot);
    assert!(!snapshot || parallel && prefix);
    holds
}

/// Up to so many transactions in up to four sessions on up to three keys, at any moments, with reads of anything.
fn random(rng: &mut Random, most: usize) -> Vec<TinyTxn> {
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

#[test]
fn random_small_histories_agree_with_the_axioms() {
    let mut rng = Random(1);
    let mut held = [0; 5];
    let rounds = 100_000;
    for round in 0..rounds {
        let most = [3, 4, 4, 5, 5, 6][round % 6];
        let txns = random(&mut rng, most);
        for (held, holds) in held.iter_mut().zip(agrees(&txns)) {
            *held += u32::from(holds);
        }
    }
    println!("{rounds} random histories, of which the models hold: {held:?}");
    assert!(held.iter().all(|&held| held > 5_000 && held < 95_000));
}
