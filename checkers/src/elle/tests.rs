use super::oracle::{self, TinyMop, TinyTxn};
use super::*;
use crate::testing::Random;
use crate::{Op, Process, Type, Valid};
use TinyMop::{Append as A, Read as R};
use serde_json::{Value, json};

const MODELS: [AppendModel; 3] =
    [AppendModel::Serializable, AppendModel::StrongSessionSerializable, AppendModel::StrictSerializable];

/// Checks all models against the oracle and returns what it said.
fn agrees(txns: &[TinyTxn]) -> [bool; 3] {
    let history = oracle::record(txns);
    MODELS.map(|model| {
        let holds = oracle::holds(model, txns);
        let verdict = Append::new(model).check(&history);
        let expected = if holds { Valid::True } else { Valid::False };
        assert_eq!(verdict.valid, expected, "{model:?} {txns:#?} {verdict:#?}");
        for anomaly in &verdict.anomalies {
            assert!(!anomaly.witness.is_empty() && !anomaly.sentence.is_empty());
            closes(anomaly);
        }
        holds
    })
}

/// Edges form a cycle.
fn closes(anomaly: &Anomaly) {
    for (at, edge) in anomaly.edges.iter().enumerate() {
        assert_eq!(edge.to, anomaly.edges[(at + 1) % anomaly.edges.len()].from, "{anomaly:#?}");
    }
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
            let ended = earlier.complete < txn.invoke && earlier.kind != Type::Info;
            let busy = |other: &TinyTxn| other.process == earlier.process && other.complete > txn.invoke;
            let retired = |other: &TinyTxn| other.process == earlier.process && other.kind == Type::Info;
            if ended && !txns.iter().any(|other| busy(other) || retired(other)) && rng.below(2) == 0 {
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
fn random_histories_agree_with_trying_all_orders() {
    let mut rng = Random(11);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..10_500 {
        let txns = random(&mut rng);
        if txns.iter().all(|txn| !txn.mops.is_empty()) {
            *seen.entry(agrees(&txns)).or_insert(0) += 1;
        }
    }
    assert!(seen.len() == 4 && seen.values().all(|&count| count > 20), "the verdicts are mixed: {seen:?}");
}

fn history(events: &[(u32, Type, Value)]) -> History {
    let mut time = 0;
    let op = |(process, kind, value): &(u32, Type, Value)| {
        time += 100_000_000;
        Op::new("txn").process(Process::Client(*process)).kind(*kind).value(value.clone()).at(time)
    };
    events.iter().map(op).collect()
}

/// Acknowledged transactions, one after the other, each by its own process.
fn one_by_one(txns: &[Value]) -> History {
    let pair = |(process, txn): (u32, &Value)| {
        [(process, Type::Invoke, txn.clone()), (process, Type::Ok, txn.clone())]
    };
    history(&(0..).zip(txns).flat_map(pair).collect::<Vec<_>>())
}

/// Acknowledged transactions that all ran at once.
fn at_once(txns: &[Value]) -> History {
    let begin = (0..).zip(txns).map(|(process, txn)| (process, Type::Invoke, txn.clone()));
    let end = (0..).zip(txns).map(|(process, txn)| (process, Type::Ok, txn.clone()));
    history(&begin.chain(end).collect::<Vec<_>>())
}

fn kinds(history: &History) -> Vec<String> {
    let verdict = Append::default().check(history);
    verdict.anomalies.iter().map(|anomaly| anomaly.kind.clone()).collect()
}

#[test]
fn each_anomaly_has_its_name() {
    let cases = [
        ("internal", one_by_one(&[json!([["append", 0, 1], ["r", 0, []]])])),
        ("future-read", one_by_one(&[json!([["r", 0, [1]], ["append", 0, 1]])])),
        ("thin-air-read", one_by_one(&[json!([["r", 0, [9]]])])),
        ("duplicate-elements", one_by_one(&[json!([["append", 0, 1]]), json!([["r", 0, [1, 1]]])])),
        (
            "incompatible-order",
            at_once(&[
                json!([["append", 0, 1]]),
                json!([["append", 0, 2]]),
                json!([["r", 0, [1, 2]]]),
                json!([["r", 0, [2, 1]]]),
            ]),
        ),
        ("G1b G-single", at_once(&[json!([["append", 0, 1], ["append", 0, 2]]), json!([["r", 0, [1]]])])),
        (
            "reordered-append G-single",
            at_once(&[json!([["append", 0, 1], ["append", 0, 2]]), json!([["r", 0, [2]]])]),
        ),
        ("lost-append", one_by_one(&[json!([["append", 0, 1]]), json!([["r", 0, []]])])),
        (
            "G0",
            at_once(&[
                json!([["append", 0, 1], ["append", 1, 1]]),
                json!([["append", 0, 2], ["append", 1, 2]]),
                json!([["r", 0, [1, 2]]]),
                json!([["r", 1, [2, 1]]]),
            ]),
        ),
        (
            "G1c",
            at_once(&[json!([["append", 0, 1], ["r", 1, [2]]]), json!([["append", 1, 2], ["r", 0, [1]]])]),
        ),
        (
            "G-single",
            at_once(&[
                json!([["append", 0, 1], ["append", 1, 1]]),
                json!([["r", 0, [1]], ["r", 1, []]]),
                json!([["r", 1, [1]]]),
            ]),
        ),
        (
            "G2-item",
            at_once(&[json!([["append", 0, 1], ["r", 1, []]]), json!([["append", 1, 1], ["r", 0, []]])]),
        ),
        (
            "G-single-realtime",
            one_by_one(&[json!([["append", 0, 1]]), json!([["r", 0, []]]), json!([["r", 0, [1]]])]),
        ),
    ];
    for (kind, history) in cases {
        assert_eq!(kinds(&history).join(" "), kind, "{:#?}", Append::default().check(&history));
    }
}

#[test]
fn a_cycle_in_one_process_has_its_own_name() {
    let events: Vec<_> = [json!([["append", 0, 1]]), json!([["r", 0, []]])]
        .iter()
        .flat_map(|txn| [(7, Type::Invoke, txn.clone()), (7, Type::Ok, txn.clone())])
        .chain([(8, Type::Invoke, json!([["r", 0, null]])), (8, Type::Ok, json!([["r", 0, [1]]]))])
        .collect();
    assert_eq!(kinds(&history(&events)), ["G-single-process"]);
    let weak = Append::new(AppendModel::Serializable).check(&history(&events));
    assert_eq!(weak.valid, Valid::True);
}

#[test]
fn an_aborted_append_is_dirty_when_another_builds_upon_it() {
    let (first, second, read) =
        (json!([["append", 0, 1]]), json!([["append", 0, 2]]), json!([["r", 0, [1, 2]]]));
    let history = history(&[
        (0, Type::Invoke, first.clone()),
        (0, Type::Fail, first),
        (1, Type::Invoke, second.clone()),
        (1, Type::Ok, second),
        (2, Type::Invoke, json!([["r", 0, null]])),
        (2, Type::Ok, read),
    ]);
    assert_eq!(kinds(&history), ["dirty-update", "G1a"]);
}

#[test]
fn a_stale_read_is_told_as_a_cycle_with_its_keys_and_times() {
    let history = one_by_one(&[json!([["append", 3, 1]]), json!([["r", 3, []]]), json!([["r", 3, [1]]])]);
    let verdict = Append::default().check(&history);
    let anomaly = &verdict.anomalies[0];
    assert_eq!(
        anomaly.steps,
        [
            "process 1's transaction of 0.400 s read key 3 without 1 of key 3, \
             which process 0's transaction of 0.200 s appended",
            "process 0's transaction of 0.200 s had completed before process 1's transaction of 0.400 s began",
        ]
    );
    assert_eq!(anomaly.witness, [1, 3]);
    let edges: Vec<_> = anomaly.edges.iter().map(|e| (e.from, e.to, e.kind.as_str())).collect();
    assert_eq!(edges, [(3, 1, "rw"), (1, 3, "real time")]);
}

#[test]
fn a_value_appended_twice_is_unknown_unless_something_else_is_wrong() {
    let twice = [json!([["append", 0, 1]]), json!([["append", 0, 1]]), json!([["r", 0, [1, 1]]])];
    let verdict = Append::default().check(&one_by_one(&twice));
    assert_eq!(
        (verdict.valid, verdict.reason.as_deref()),
        (Valid::Unknown, Some("events 0 and 2 both append 1 to key 0; append each value to a key once"))
    );
    let more = [&twice[..], &[json!([["append", 1, 1], ["r", 1, []]])]].concat();
    assert_eq!(kinds(&one_by_one(&more)), ["internal"]);
}

#[test]
fn malformed_transactions_are_a_reason_and_no_panic() {
    for value in [json!(null), json!([["w", 0, 1]]), json!([["append", 0]]), json!([["r", 0, 5]]), json!([3])]
    {
        let events = [(0, Type::Invoke, value.clone()), (0, Type::Ok, value)];
        let verdict = Append::default().check(&history(&events));
        assert_eq!(verdict.valid, Valid::Unknown, "{verdict:?}");
        assert!(verdict.reason.unwrap().starts_with("event "));
    }
    let other: History = [Op::new("read"), Op::new("read").kind(Type::Ok)].into_iter().collect();
    assert_eq!(Append::default().check(&other).valid, Valid::True);
}
