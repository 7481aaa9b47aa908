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

/// Checks so many random histories against the axioms.
fn random_agree(seed: u64, rounds: usize) {
    let mut rng = Random(seed);
    let mut held = [0; 5];
    for round in 0..rounds {
        let most = [3, 4, 4, 5, 5, 6][round % 6];
        let txns = random(&mut rng, most);
        for (held, holds) in held.iter_mut().zip(agrees(&txns)) {
            *held += usize::from(holds);
        }
    }
    println!("{rounds} random histories, of which the models hold: {held:?}");
    assert!(held.iter().all(|&held| held > rounds / 20 && held < rounds * 19 / 20));
}

#[test]
fn random_small_histories_agree_with_the_axioms() {
    random_agree(1, 50_000);
}

#[test]
fn more_random_small_histories_agree_with_the_axioms() {
    random_agree(2, 50_000);
}

/// What can be done in two micro-operations on two keys; a write has the value 0 as long as it is not known.
fn shapes() -> Vec<[TinyMop; 2]> {
    let all = [W(0, 0), W(1, 0), R(0, 0), R(1, 0)];
    all.iter().flat_map(|&a| all.map(|b| [a, b])).collect()
}

/// All histories of three transactions of two micro-operations on two keys, at once or one after the other, in any sessions.
#[test]
fn all_tiny_histories_agree_with_the_axioms() {
    let shapes = shapes();
    let (mut cases, mut held) = (0, [0; 5]);
    let sessions = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [0, 1, 2]];
    for a in 0..shapes.len() {
        for b in 0..shapes.len() {
            // Transactions of different sessions may change places.
            for c in 0..shapes.len() {
                for sessions in
                    sessions.iter().filter(|s| (s[0] == s[1] || a <= b) && (s[1] == s[2] || b <= c))
                {
                    let mut txns: Vec<TinyTxn> = [a, b, c]
                        .iter()
                        .enumerate()
                        .map(|(i, &shape)| {
                            let mops = (0..2)
                                .map(|at| match shapes[shape][at] {
                                    W(key, _) => W(key, (2 * i + at + 1) as u8),
                                    read => read,
                                })
                                .collect();
                            let process = sessions[i];
                            TinyTxn { process, kind: Type::Ok, invoke: 2 * i, complete: 2 * i + 1, mops }
                        })
                        .collect();
                    every_read(&mut txns, 0, &mut |txns| {
                        cases += 1;
                        for (held, holds) in held.iter_mut().zip(agrees(txns)) {
                            *held += u32::from(holds);
                        }
                    });
                }
            }
        }
    }
    println!("{cases} histories, of which the models hold: {held:?}");
    assert!(cases > 20_000);
}

/// Goes through all that the reads from the `at`-th micro-operation on could have returned of others.
fn every_read(txns: &mut Vec<TinyTxn>, at: usize, check: &mut dyn FnMut(&[TinyTxn])) {
    if at == 2 * txns.len() {
        return check(txns);
    }
    let (txn, mop) = (at / 2, at % 2);
    let R(key, _) = txns[txn].mops[mop] else { return every_read(txns, at + 1, check) };
    let own = mop == 1 && matches!(txns[txn].mops[0], W(k, _) | R(k, _) if k == key);
    let mut from = vec![0];
    for (i, other) in txns.iter().enumerate() {
        from.extend(other.mops.iter().filter_map(|mop| match *mop {
            W(k, value) if k == key && i != txn => Some(value),
            _ => None,
        }));
    }
    if own {
        let (W(_, value) | R(_, value)) = txns[txn].mops[0];
        from = vec![value];
    }
    for value in from {
        txns[txn].mops[mop] = R(key, value);
        every_read(txns, at + 1, check);
    }
    txns[txn].mops[mop] = R(key, 0);
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

/// Events after which a search over frontiers is given up.
const FRONTIERS: u64 = 20_000;

/// What the search with learning says, and that over frontiers where there is one. Counts the decisions of the first.
fn both(problem: &Problem, model: PolygraphModel, decisions: &mut u64) -> (bool, Option<bool>) {
    let budget = Budget::default();
    let decision = decide(problem, model, u64::MAX, &budget).unwrap();
    let holds = decision.answer == Answer::Holds;
    *decisions += decision.decisions;
    if model == PolygraphModel::ParallelSnapshotIsolation {
        return (holds, None);
    }
    // Without what the known graph implies, so that they have as little as may be in common.
    let mut known = known::Known::new(problem, model, &budget).unwrap();
    if !known.carry(&budget).unwrap() {
        return (holds, Some(false));
    }
    let frontiers = frontier::Frontier::new(&known).search(FRONTIERS, &budget).unwrap();
    (holds, frontiers)
}

#[test]
fn both_engines_agree_on_random_histories() {
    let (decisions, given_up) = (AtomicU64::new(0), AtomicU64::new(0));
    let rounds = 100_000;
    let held = each(rounds, 2, |rng| {
        let count = size(rng);
        let txns = nearly(rng, count, Mops::Any);
        let problem = problem(&oracle::record(&txns));
        let holds = MODELS.map(|model| {
            let mut made = 0;
            let (holds, other) = both(&problem, model, &mut made);
            decisions.fetch_add(made, Ordering::Relaxed);
            let parallel = model == PolygraphModel::ParallelSnapshotIsolation;
            given_up.fetch_add(u64::from(other.is_none() && !parallel), Ordering::Relaxed);
            assert!(other.is_none_or(|other| other == holds), "{model:?} {holds} {txns:#?}");
            holds
        });
        let [strict, serial, snapshot, parallel, prefix] = holds;
        assert!(
            (!strict || serial) && (!serial || snapshot) && (!snapshot || parallel && prefix),
            "{txns:#?}"
        );
        holds
    });
    let [decisions, given_up] = [decisions.into_inner(), given_up.into_inner()];
    println!(
        "{rounds} histories of 10 to 60 transactions by 4 models and two engines, of which {given_up} were too many frontiers; \
         the models held {held:?} times, with {decisions} decisions"
    );
    assert!(held.iter().all(|&held| held > rounds / 50 && held < rounds * 19 / 20));
    assert!(decisions > 10_000 && given_up < rounds / 20);
}

/// Every process whose transaction had an unknown outcome made all that is known of each transaction longer: 2,000 of them, one
/// after the other, were too much for this memory.
#[test]
fn processes_that_take_turns_need_no_memory() {
    let txn = |n: u64| {
        let before = if n < 2 { Value::Null } else { json!(n - 1 - u64::from(n % 10 == 1)) };
        let mops = |read: &Value| json!([["r", n % 7, null], ["r", "x", read], ["w", "x", n]]);
        let (kind, told) = match n % 10 {
            0 => (Type::Info, Value::Null),
            _ => (Type::Ok, mops(&before)),
        };
        let op = |kind, value| {
            Op::new("txn").process(Process::Client((n as u32 - 1) / 10)).kind(kind).value(value)
        };
        [op(Type::Invoke, mops(&Value::Null)), op(kind, told)]
    };
    let history: History = (1..20_000).flat_map(txn).collect();
    let budget = Budget::default().memory_bytes(64 << 20);
    let verdict = Polygraph::new(PolygraphModel::StrictSerializable).check_within(&history, &budget);
    assert_eq!(verdict.valid, Valid::True, "{}", verdict.summary);
}

/// Without sessions every transaction is one of its own; the search looks for chains of reads in their place.
#[test]
fn without_sessions_each_transaction_has_its_own() {
    let (rounds, invalid) = (20_000, AtomicU64::new(0));
    let held = each(rounds, 3, |rng| {
        let count = size(rng);
        let shape = [Mops::Any, Mops::Updates][rng.below(2)];
        let txns = nearly(rng, count, shape);
        let apart: Vec<TinyTxn> =
            (0..).zip(&txns).map(|(process, txn)| TinyTxn { process, ..txn.clone() }).collect();
        let (history, problem) = (oracle::record(&txns), problem(&oracle::record(&apart)));
        let model = MODELS[1 + rng.below(4)];
        let holds = decide(&problem, model, u64::MAX, &Budget::default()).unwrap().answer == Answer::Holds;
        let free = |history: &History| Polygraph::new(model).without_sessions().check(history);
        let verdict = free(&history);
        assert_eq!(
            verdict.valid,
            if holds { Valid::True } else { Valid::False },
            "{model:?} {txns:#?} {verdict:#?}"
        );
        for anomaly in &verdict.anomalies {
            closes(anomaly);
            assert!(anomaly.edges.iter().all(|edge| edge.kind != "session order"), "{anomaly:#?}");
            assert_eq!(free(&history.witness(&anomaly.witness)).valid, Valid::False);
            invalid.fetch_add(1, Ordering::Relaxed);
        }
        [holds, Polygraph::new(model).check(&history).valid == Valid::True]
    });
    println!("{rounds} histories, of which {held:?} held without sessions and with them");
    assert!(held[0] > held[1] + rounds / 50 && invalid.into_inner() > rounds / 50);
}

#[test]
fn from_a_witness_no_transaction_can_be_taken() {
    let mut rng = Random(3);
    let mut sizes = [0; 24];
    for _ in 0..6_000 {
        let txns = nearly(&mut rng, 20, Mops::Any);
        let problem = problem(&oracle::record(&txns));
        let budget = Budget::default();
        let model = MODELS[rng.below(5)];
        let Answer::Fails(core) = decide(&problem, model, u64::MAX, &budget).unwrap().answer else {
            continue;
        };
        let witness = witness::reduce(&problem, model, core, &budget);
        assert!(witness.minimal);
        let fails = |txns: &[u32]| {
            let part = problem.only(txns, &budget).unwrap();
            decide(&part, model, u64::MAX, &budget).unwrap().answer != Answer::Holds
        };
        assert!(fails(&witness.txns));
        for &gone in &witness.txns {
            let rest: Vec<u32> = witness.txns.iter().copied().filter(|&txn| txn != gone).collect();
            assert!(!fails(&rest), "{model:?} {txns:#?} {:?} {gone}", witness.txns);
        }
        sizes[witness.txns.len()] += 1;
    }
    println!("witnesses by size: {sizes:?}");
    assert!(sizes.iter().sum::<i32>() > 500 && sizes[2] > 0 && sizes[4..].iter().any(|&count| count > 0));
}

#[test]
fn what_nobody_saw_and_longer_intervals_break_nothing() {
    let mut rng = Random(4);
    let mut valid = 0;
    for _ in 0..4_000 {
        let mut txns = nearly(&mut rng, 10, Mops::Any);
        let before = MODELS.map(|model| Polygraph::new(model).check(&oracle::record(&txns)).valid);
        for txn in &mut txns {
            (txn.invoke, txn.complete) = (3 * txn.invoke + 3, 3 * txn.complete + 3);
        }
        let begun = rng.below(300);
        let mops = vec![W(rng.below(3), 250), W(rng.below(3), 251)];
        txns.push(TinyTxn { process: 99, kind: Type::Info, invoke: begun, complete: begun + 1, mops });
        let longer = rng.below(10);
        txns[longer].invoke -= rng.below(3);
        txns[longer].complete += rng.below(2);
        let after = MODELS.map(|model| Polygraph::new(model).check(&oracle::record(&txns)).valid);
        for (before, after) in before.iter().zip(&after) {
            assert!(*before == Valid::False || *after == Valid::True, "{txns:#?}");
            valid += u32::from(*before == Valid::True);
        }
    }
    println!("{valid} valid verdicts stayed so");
    assert!(valid > 2_000);
}

/// Acknowledged transactions of one process each, of which all but those in `after` run at once.
fn history(txns: &[Value]) -> History {
    let op = |n: usize, mops: &Value| Op::new("txn").process(Process::Client(n as u32)).value(mops.clone());
    let invoked = txns.iter().enumerate().map(|(n, mops)| op(n, mops));
    invoked.chain(txns.iter().enumerate().map(|(n, mops)| op(n, mops).kind(Type::Ok))).collect()
}

#[test]
fn anomalies_have_their_names() {
    use PolygraphModel::{ParallelSnapshotIsolation as Psi, PrefixConsistency as Pc, Serializable as Ser};
    use PolygraphModel::{SnapshotIsolation as Si, StrictSerializable as Strict};
    let initial = json!([["w", "x", 1], ["w", "y", 1]]);
    let lost =
        [initial.clone(), json!([["r", "x", 1], ["w", "x", 2]]), json!([["r", "x", 1], ["w", "x", 3]])];
    let skew =
        [initial.clone(), json!([["r", "x", 1], ["w", "y", 2]]), json!([["r", "y", 1], ["w", "x", 3]])];
    let fork = [
        json!([["w", "x", 1]]),
        json!([["w", "y", 1]]),
        json!([["r", "x", 1], ["r", "y", null]]),
        json!([["r", "y", 1], ["r", "x", null]]),
    ];
    let causality = [
        json!([["w", "x", 1]]),
        json!([["r", "x", 1], ["w", "y", 1]]),
        json!([["r", "y", 1], ["r", "x", null]]),
    ];
    let circular = [json!([["w", "x", 1], ["r", "y", 1]]), json!([["w", "y", 1], ["r", "x", 1]])];
    let torn = [json!([["w", "x", 1], ["w", "y", 1]]), json!([["r", "x", 1], ["r", "y", null]])];
    let cases: [(&[Value], &[PolygraphModel], &str, usize); 6] = [
        (&lost, &[Ser, Si, Psi, Strict], "lost-update", 3),
        (&skew, &[Ser, Strict], "write-skew", 3),
        (&fork, &[Ser, Si, Pc, Strict], "long-fork", 4),
        (&causality, &[Ser, Si, Psi, Pc, Strict], "G-single", 3),
        (&circular, &[Ser, Si, Psi, Pc, Strict], "G1c", 2),
        (&torn, &[Ser, Si, Psi, Pc, Strict], "G-single", 2),
    ];
    for (txns, forbidding, name, size) in cases {
        for model in MODELS {
            let verdict = Polygraph::new(model).check(&history(txns));
            let kinds: Vec<&str> = verdict.anomalies.iter().map(|anomaly| anomaly.kind.as_str()).collect();
            let expected = if forbidding.contains(&model) { vec![name] } else { vec![] };
            assert_eq!(kinds, expected, "{model:?} {verdict:#?}");
            for anomaly in &verdict.anomalies {
                assert_eq!(anomaly.witness.len(), size, "{model:?} {anomaly:#?}");
                closes(anomaly);
            }
        }
    }
}

#[test]
fn a_lost_update_is_told_as_it_happened() {
    let txns = [json!([["r", "x", null], ["w", "x", 2]]), json!([["r", "x", null], ["w", "x", 3]])];
    let verdict = Polygraph::new(PolygraphModel::SnapshotIsolation).check(&history(&txns));
    assert_eq!(
        verdict.summary,
        "not snapshot isolation: process 0's transaction of 0.000 s and process 1's transaction of 0.000 s both read the \
         initial value of key \"x\", and both overwrote it: one of the two updates is lost"
    );
}

#[test]
fn reads_that_no_order_explains_have_their_names() {
    let cases: [(&[Value], &str); 5] = [
        (&[json!([["r", "x", 7]])], "thin-air-read"),
        (&[json!([["w", "x", 1], ["w", "x", 2]]), json!([["r", "x", 1]])], "G1b"),
        (&[json!([["r", "x", 1], ["w", "x", 1]])], "future-read"),
        (&[json!([["w", "x", 1], ["r", "x", null]])], "internal"),
        (&[json!([["w", "x", 1]]), json!([["r", "x", 1], ["r", "x", null]])], "internal"),
    ];
    for (txns, name) in cases {
        for model in MODELS {
            let verdict = Polygraph::new(model).check(&history(txns));
            assert_eq!(verdict.anomalies[0].kind, name, "{verdict:#?}");
        }
    }
}

#[test]
fn a_failed_write_that_was_seen_may_have_been_unknown() {
    let write = json!([["w", "x", 1]]);
    let read = json!([["r", "x", 1]]);
    let op = |process, mops: &Value| Op::new("txn").process(Process::Client(process)).value(mops.clone());
    let history: History =
        [op(0, &write), op(0, &write).kind(Type::Fail), op(1, &read), op(1, &read).kind(Type::Ok)]
            .into_iter()
            .collect();
    let verdict = Polygraph::new(PolygraphModel::StrictSerializable).check(&history);
    assert_eq!(
        (verdict.anomalies[0].kind.as_str(), verdict.anomalies[0].witness.as_slice()),
        ("G1a", &[1, 3][..])
    );
    assert!(verdict.anomalies[0].steps.last().unwrap().starts_with("recorded as info"));
}

#[test]
fn a_value_that_was_written_twice_leaves_it_open() {
    let twice = [json!([["w", "x", 1]]), json!([["w", "x", 1]]), json!([["r", "x", 1], ["r", "y", null]])];
    let verdict = Polygraph::new(PolygraphModel::Serializable).check(&history(&twice));
    assert_eq!(verdict.valid, Valid::Unknown);
    assert_eq!(
        verdict.reason.unwrap(),
        "events 0 and 1 both write 1 to key \"x\"; write each value to a key once"
    );
    let mut more = twice.to_vec();
    more.extend([json!([["w", "y", 1], ["r", "z", 1]]), json!([["w", "z", 1], ["r", "y", 1]])]);
    assert_eq!(Polygraph::new(PolygraphModel::Serializable).check(&history(&more)).valid, Valid::False);
}

#[test]
fn caps_are_kept_and_told() {
    let mut rng = Random(5);
    let history = oracle::record(&nearly(&mut rng, 60, Mops::Any));
    let checker = Polygraph::new(PolygraphModel::Serializable);
    let small = Budget::default().memory_bytes(10_000);
    let verdict = checker.check_within(&history, &small);
    assert_eq!(verdict.valid, Valid::Unknown);
    assert!(verdict.reason.unwrap().contains("memory cap"));
    let cancelled = Budget::default();
    cancelled.cancel();
    assert!(checker.check_within(&history, &cancelled).reason.unwrap().contains("cancelled"));
    let capped = (0..2_000u64).find_map(|seed| {
        let history = oracle::record(&nearly(&mut Random(seed), 20, Mops::Any));
        let verdict = checker.clone().work_cap(0).check(&history);
        (verdict.valid == Valid::Unknown).then_some(verdict)
    });
    assert!(capped.unwrap().reason.unwrap().contains("the cap of 0 steps was reached"));
}
