//! All models against their definitions, on random tiny histories.

use super::oracle::{self, KEYS, Store, TinyMop, TinyTxn};
use super::*;
use crate::Valid;
use crate::testing::Random;
use TinyMop::{Append as A, Read as R};
use std::collections::BTreeMap;

/// Transactions whose reads return versions of one order of transactions: often the newest, sometimes any, now and then one that is
/// not whole.
pub(super) fn random(rng: &mut Random, most: usize) -> Vec<TinyTxn> {
    generate(rng, most, false)
}

/// The same, where a transaction reads a key before it writes it.
pub(super) fn random_updates(rng: &mut Random, most: usize) -> Vec<TinyTxn> {
    generate(rng, most, true)
}

fn generate(rng: &mut Random, most: usize, updates: bool) -> Vec<TinyTxn> {
    let n = 2 + rng.below(most - 1);
    let mut value = 0;
    let mut txns: Vec<TinyTxn> = (0..n)
        .map(|at| {
            let (invoke, kind) =
                (rng.below(30), [Type::Ok, Type::Info, Type::Fail][rng.below(12).saturating_sub(9)]);
            let mop = |_| {
                let key = rng.below(KEYS);
                if rng.below(2) == 0 {
                    return R(key, Vec::new());
                }
                value += 1;
                A(key, value)
            };
            let mut mops: Vec<TinyMop> = (0..1 + (at + invoke) % 3).map(mop).collect();
            for key in (0..KEYS).filter(|_| updates) {
                let on = |mop: &TinyMop| matches!(mop, A(to, _) | R(to, _) if *to == key);
                if let Some(first) = mops.iter().position(on).filter(|&first| matches!(mops[first], A(..))) {
                    mops.insert(first, R(key, Vec::new()));
                }
            }
            // Room for unique moments: tens for the place, units for the transaction.
            let complete = (invoke + 1 + (invoke * 7 + at) % 12) * 10 + at;
            TinyTxn { process: at as u32, kind, invoke: invoke * 10 + at, complete, mops }
        })
        .collect();
    share_processes(rng, &mut txns);
    let mut order: Vec<usize> =
        (0..n).filter(|&at| txns[at].kind != Type::Fail || rng.below(8) == 0).collect();
    if rng.below(2) == 0 {
        order.sort_by_key(|&at| txns[at].complete);
    } else {
        (1..order.len()).for_each(|at| order.swap(at, rng.below(at + 1)));
    }
    let versions: Vec<Vec<Vec<u8>>> = (0..KEYS).map(|key| versions(&txns, &order, key)).collect();
    let whims = [0, 2, 2, 4][rng.below(4)];
    for (at, txn) in txns.iter_mut().enumerate() {
        let place = order.iter().position(|&other| other == at).unwrap_or(n);
        for mop in &mut txn.mops {
            let R(key, list) = mop else { continue };
            let newest = place.min(versions[*key].len() - 1);
            let len = if rng.below(5) < whims { rng.below(versions[*key].len()) } else { newest };
            *list = versions[*key][len].clone();
            if rng.below(40) == 0 {
                list.pop();
            }
        }
    }
    txns
}

/// The state of a key before each transaction of the order, and after the last.
fn versions(txns: &[TinyTxn], order: &[usize], key: usize) -> Vec<Vec<u8>> {
    let mut versions = vec![Vec::new()];
    for &at in order {
        let mut next = versions[versions.len() - 1].clone();
        next.extend(txns[at].mops.iter().filter_map(|mop| match mop {
            A(to, value) if *to == key => Some(*value),
            _ => None,
        }));
        versions.push(next);
    }
    versions
}

/// Gives transactions that do not overlap one process, now and then.
fn share_processes(rng: &mut Random, txns: &mut [TinyTxn]) {
    for at in 1..txns.len() {
        let other = rng.below(at);
        let process = txns[other].process;
        let apart = |txn: &TinyTxn| txn.complete < txns[at].invoke || txns[at].complete < txn.invoke;
        if txns[..at].iter().filter(|txn| txn.process == process).all(apart) {
            txns[at].process = process;
        }
    }
}

/// Whether a transaction reads a key that it has appended to: what it then sees of others is not told apart by weak models.
pub(super) fn reads_its_own(txns: &[TinyTxn]) -> bool {
    let own = |txn: &TinyTxn, at: usize| matches!(&txn.mops[at], R(key, _) if txn.mops[..at].iter().any(|mop| matches!(mop, A(to, _) if to == key)));
    txns.iter().any(|txn| (0..txn.mops.len()).any(|at| own(txn, at)))
}

/// Whether each key has at most one transaction with appends that nobody read: then the version order is known.
fn is_told(txns: &[TinyTxn]) -> bool {
    (0..KEYS).all(|key| {
        let reads = |value: u8| {
            let read = |mop: &TinyMop| matches!(mop, R(from, list) if *from == key && list.contains(&value));
            txns.iter().filter(|txn| txn.kind == Type::Ok).any(|txn| txn.mops.iter().any(read))
        };
        let unread = |txn: &&TinyTxn| {
            let value = |mop: &TinyMop| match mop {
                A(to, value) if *to == key => Some(*value),
                _ => None,
            };
            txn.kind != Type::Fail && txn.mops.iter().filter_map(value).any(|value| !reads(value))
        };
        txns.iter().filter(unread).count() <= 1
    })
}

/// Compares what the engine says of these models with their definitions on this many histories.
fn compare(models: &[Consistency], seed: u64, cases: usize, most: usize, own: bool) {
    let mut rng = Random(seed);
    let mut counts: BTreeMap<Consistency, [usize; 3]> = BTreeMap::new();
    let mut done = 0;
    while done < cases {
        let txns = random(&mut rng, most);
        if !own && reads_its_own(&txns) {
            continue;
        }
        done += 1;
        let history = oracle::record(&txns, Store::Lists);
        let verdict = Append::default().check(&history);
        let broken = broken(&verdict);
        for &model in models {
            let holds = oracle::holds(model, &txns, Store::Lists).unwrap();
            let says = !broken.contains(&model);
            let right = holds == says || (says && !is_told(&txns));
            assert!(right, "{model} holds: {holds}\n{txns:#?}\n{verdict:#?}");
            counts.entry(model).or_default()[if holds == says { usize::from(holds) } else { 2 }] += 1;
        }
    }
    for (model, [no, yes, missed]) in counts {
        println!("{model}: {yes} hold, {no} do not, {missed} not decided for want of reads");
        assert!(no > cases / 200 && yes > cases / 200 && missed < cases / 10, "{model} {no} {yes} {missed}");
    }
}

#[test]
fn snapshot_models_agree_with_their_axioms() {
    let models = [
        Consistency::ParallelSnapshotIsolation,
        Consistency::SnapshotIsolation,
        Consistency::StrongSessionSnapshotIsolation,
        Consistency::StrongSnapshotIsolation,
    ];
    compare(&models, 21, 100_000, 4, true);
}

#[test]
fn serial_models_agree_with_their_axioms() {
    let models =
        [Consistency::Serializable, Consistency::StrongSessionSerializable, Consistency::StrictSerializable];
    compare(&models, 22, 100_000, 4, true);
}

#[test]
fn causal_models_agree_with_their_axioms() {
    let models = [Consistency::ReadAtomic, Consistency::CausalCerone, Consistency::Prefix];
    compare(&models, 23, 100_000, 4, false);
}

#[test]
fn adyas_levels_agree_with_their_cycles() {
    let models = [
        Consistency::ReadCommitted,
        Consistency::StrongSessionReadCommitted,
        Consistency::StrongReadCommitted,
        Consistency::CursorStability,
        Consistency::ConsistentView,
        Consistency::RepeatableRead,
    ];
    compare(&models, 24, 100_000, 4, false);
}

#[test]
fn larger_histories_agree() {
    let models =
        [Consistency::ParallelSnapshotIsolation, Consistency::Prefix, Consistency::SnapshotIsolation];
    compare(&models, 25, 10_000, 5, false);
}

/// A lost update was told as its two transactions, of which one had only appended: nobody in it told that its element came
/// before the other's, so that the witness was valid by itself. So it was where only others showed that one committed.
#[test]
fn witnesses_of_lists_fail_by_themselves() {
    let history = one_by_one(&[
        serde_json::json!([["append", 0, 1]]),
        serde_json::json!([["r", 0, []], ["append", 0, 2]]),
        serde_json::json!([["append", 0, 3], ["r", 0, [1, 2, 3]]]),
    ]);
    let verdict = Append::new(Consistency::SnapshotIsolation).check(&history);
    assert_eq!(
        (&*verdict.anomalies[0].kind, &verdict.anomalies[0].witness[..]),
        ("lost-update", &[1, 3, 5][..])
    );
    let mut rng = Random(34);
    let mut alone: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..6_000 {
        let txns = if round % 2 == 0 { random(&mut rng, 5) } else { random_updates(&mut rng, 5) };
        let history = oracle::record(&txns, Store::Lists);
        for model in [
            Consistency::SnapshotIsolation,
            Consistency::ParallelSnapshotIsolation,
            Consistency::StrictSerializable,
        ] {
            let checker = Append::new(model);
            for anomaly in checker.check(&history).anomalies {
                let valid = checker.check(&history.witness(&anomaly.witness)).valid;
                if valid != Valid::False {
                    println!("{model} {anomaly:#?} {txns:#?}");
                    *wrong.entry(anomaly.kind.clone()).or_default() += 1;
                }
                *alone.entry(anomaly.kind).or_default() += 1;
            }
        }
    }
    println!("judged alone: {alone:?} {wrong:?}");
    assert!(wrong.is_empty() && alone["lost-update"] > 100 && alone.len() > 10, "{wrong:?} {alone:?}");
}

#[test]
fn each_checker_fails_when_its_model_is_broken() {
    let mut rng = Random(26);
    for _ in 0..2_000 {
        let history = oracle::record(&random(&mut rng, 4), Store::Lists);
        let all = Append::default().check(&history);
        let broken = broken(&all);
        for model in Consistency::all() {
            let verdict = Append::new(model).check(&history);
            assert_eq!(verdict.valid == Valid::False, broken.contains(&model), "{model} {verdict:#?}");
            for anomaly in &verdict.anomalies {
                kinds::closes(anomaly);
            }
        }
    }
}
