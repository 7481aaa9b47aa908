//! The serial models against all orders, on small histories and on somewhat larger ones.

use super::oracle::{self, Store, TinyMop, TinyTxn};
use super::*;
use crate::Valid;
use crate::testing::Random;
use TinyMop::{Append as A, Read as R};

const MODELS: [Consistency; 3] =
    [Consistency::Serializable, Consistency::StrongSessionSerializable, Consistency::StrictSerializable];

/// Checks all models against the oracle and returns what it said.
fn agrees(txns: &[TinyTxn]) -> [bool; 3] {
    let history = oracle::record(txns, Store::Lists);
    MODELS.map(|model| {
        let holds = oracle::has_serial_order(model, txns);
        let verdict = Append::new(model).check(&history);
        let expected = if holds { Valid::True } else { Valid::False };
        assert_eq!(verdict.valid, expected, "{model:?} {txns:#?} {verdict:#?}");
        for anomaly in &verdict.anomalies {
            assert!(!anomaly.witness.is_empty() && !anomaly.sentence.is_empty());
            kinds::closes(anomaly);
        }
        holds
    })
}

/// Every list of at most two different ones of these values.
fn lists(values: &[u8]) -> Vec<Vec<u8>> {
    let mut lists = vec![vec![]];
    for &a in values {
        lists.push(vec![a]);
        lists.extend(values.iter().filter(|&&b| b != a).map(|&b| vec![a, b]));
    }
    lists
}

fn fill(txns: &mut Vec<TinyTxn>, at: usize, visit: &mut impl FnMut(&[TinyTxn])) {
    let slots: Vec<(usize, usize)> =
        (0..txns.len()).flat_map(|t| (0..txns[t].mops.len()).map(move |m| (t, m))).collect();
    let Some(&(t, m)) = slots.get(at) else { return visit(txns) };
    let R(key, _) = txns[t].mops[m] else { return fill(txns, at + 1, visit) };
    let appended = |mop: &TinyMop| match mop {
        A(to, value) if *to == key => Some(*value),
        _ => None,
    };
    let values: Vec<u8> = txns.iter().flat_map(|txn| &txn.mops).filter_map(appended).collect();
    for list in lists(&values) {
        txns[t].mops[m] = R(key, list);
        fill(txns, at + 1, visit);
    }
}

#[test]
fn every_history_of_three_small_transactions_agrees_with_trying_all_orders() {
    let menu: [&[TinyMop]; 6] = [
        &[A(0, 0)],
        &[R(0, vec![])],
        &[R(0, vec![]), A(0, 0)],
        &[A(0, 0), A(0, 0)],
        &[A(0, 0), R(1, vec![])],
        &[A(1, 0)],
    ];
    // All at once; one after the other in one process; the last after the other two.
    let times: [[(u32, usize, usize); 3]; 3] = [
        [(0, 0, 5), (1, 1, 4), (2, 2, 3)],
        [(0, 0, 1), (0, 2, 3), (0, 4, 5)],
        [(0, 0, 2), (1, 1, 3), (1, 4, 5)],
    ];
    let mut seen = std::collections::BTreeMap::new();
    for code in 0..6 * 6 * 6 * 3 * 3 {
        let (time, kind) = (times[code % 3], [Type::Ok, Type::Info, Type::Fail][code / 3 % 3]);
        if kind != Type::Ok && code % 3 != 1 {
            continue;
        }
        let mut value = 0;
        let mut txns: Vec<TinyTxn> = [code / 9 % 6, code / 54 % 6, code / 324]
            .into_iter()
            .zip(time)
            .enumerate()
            .map(|(at, (choice, (process, invoke, complete)))| {
                let mut mops = menu[choice].to_vec();
                for mop in &mut mops {
                    if let A(_, slot) = mop {
                        value += 1;
                        *slot = value;
                    }
                }
                // A transaction of unknown outcome ends its process: let it be the last.
                let kind = if at == 2 { kind } else { Type::Ok };
                TinyTxn { process, kind, invoke, complete, mops }
            })
            .collect();
        fill(&mut txns, 0, &mut |txns| *seen.entry(agrees(txns)).or_insert(0) += 1);
    }
    println!("{} histories: {seen:?}", seen.values().sum::<i32>());
    assert!(seen.len() == 4 && seen.values().sum::<i32>() > 10_000, "{seen:?}");
}

/// Runs a list store in a random order, with intervals around each run, and then often spoils something.
fn random(rng: &mut Random) -> Vec<TinyTxn> {
    let n = 4 + rng.below(4);
    let mut store = [const { Vec::new() }; 2];
    let (mut value, mut txns) = (0, Vec::<TinyTxn>::new());
    for at in 0..n {
        let kind = [Type::Ok, Type::Ok, Type::Ok, Type::Ok, Type::Info, Type::Fail][rng.below(6)];
        let (early, late) = (rng.below(25), rng.below(25));
        let mut txn = TinyTxn { process: at as u32, kind, invoke: 0, complete: 0, mops: Vec::new() };
        // Room for unique moments: tens for the place, units for the transaction.
        txn.invoke = (300 + at * 100 - early * 10) * 10 + at;
        txn.complete = (310 + at * 100 + late * 10) * 10 + at;
        for earlier in &txns {
            let ended = earlier.complete < txn.invoke;
            let busy = |other: &TinyTxn| other.process == earlier.process && other.complete > txn.invoke;
            if ended && !txns.iter().any(busy) && rng.below(2) == 0 {
                txn.process = earlier.process;
            }
        }
        let mut view = store.clone();
        for _ in 0..1 + rng.below(3) {
            let key = rng.below(2);
            if rng.below(2) == 0 {
                value += 1;
                view[key].push(value);
                txn.mops.push(A(key, value));
            } else {
                txn.mops.push(R(key, view[key].clone()));
            }
        }
        if kind == Type::Ok || (kind == Type::Info && rng.below(2) == 0) {
            store = view;
        }
        txns.push(txn);
    }
    if rng.below(3) > 0 {
        spoil(rng, &mut txns, value);
    }
    txns
}

fn spoil(rng: &mut Random, txns: &mut [TinyTxn], value: u8) {
    let txn = rng.below(txns.len());
    let other = rng.below(txns.len());
    let mop = rng.below(txns[txn].mops.len());
    match (rng.below(5), &mut txns[txn].mops[mop]) {
        (0, R(_, list)) => drop(list.pop()),
        (1, R(_, list)) if list.len() > 1 => list.swap(0, 1),
        (2, R(_, list)) => list.push(1 + rng.below(usize::from(value) + 1) as u8),
        (3, _) => {
            let mops = std::mem::take(&mut txns[txn].mops);
            txns[txn].mops = std::mem::replace(&mut txns[other].mops, mops);
            if txn == other {
                txns[txn].mops.reverse();
            }
        }
        (_, R(_, list)) => list.truncate(1),
        _ => {}
    }
}

#[test]
fn random_histories_of_up_to_seven_transactions_agree_with_trying_all_orders() {
    let mut rng = Random(11);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..50_000 {
        let txns = random(&mut rng);
        if txns.iter().all(|txn| !txn.mops.is_empty()) {
            *seen.entry(agrees(&txns)).or_insert(0) += 1;
        }
    }
    println!("{} histories: {seen:?}", seen.values().sum::<i32>());
    assert!(seen.len() == 4 && seen.values().all(|&count| count > 20), "the verdicts are mixed: {seen:?}");
}
