//! Large histories of correct stores have no anomaly, and one that is planted in them is found where it is.

#[path = "common/random.rs"]
mod random;
#[path = "common/simulated.rs"]
mod simulated;
#[path = "common/stores.rs"]
mod stores;

use random::Random;
use serde_json::json;
use simulated::{Shape, simulate};
use squall_checkers::{
    Append, Causal, CausalModel, Checker, Consistency, History, Op, Process, RwRegister, Session, Type,
    Valid, Verdict,
};
use stores::{Conflicts, lists, push, registers, replicated};

const SESSIONS: usize = 20;

fn steps(verdict: &Verdict) -> usize {
    verdict.stats["steps"].as_u64().expect("a number") as usize
}

fn causal(model: CausalModel, history: &History) -> Verdict {
    Causal::new(model).check(history)
}

#[test]
fn a_causal_store_passes_in_linear_work() {
    let ops = 20_000;
    for (conflicts, model) in
        [(Conflicts::LastArrived, CausalModel::Cm), (Conflicts::LastWritten, CausalModel::Ccv)]
    {
        let history = replicated(&mut Random(1), ops, SESSIONS, 50, conflicts);
        for model in [CausalModel::Cc, model] {
            let verdict = causal(model, &history);
            assert_eq!(verdict.valid, Valid::True, "{conflicts:?} {model:?}: {}", verdict.summary);
            // Each read looks at one write of each session; CM does so in two rounds and for the cycles, and walks over the
            // past of each session.
            assert!(steps(&verdict) <= 5 * ops * SESSIONS, "{model:?}: {} steps", steps(&verdict));
        }
        assert_eq!(Session::default().check(&history).valid, Valid::True);
    }
}

/// Clients that crash go on under ever new process ids: here 2,000 sessions, of which ten are under way at a time. The
/// clocks once had a column for each and were all kept, took 76 MB here, and long runs hit the memory cap.
#[test]
fn many_sessions_one_after_the_other_need_little_memory() {
    let shape = Shape { ops: 20_000, clients: 10, keys: 5, values: 0, crash_every: 10, cas: false };
    let history: History = simulate(shape, 7).into_iter().collect();
    let verdict = causal(CausalModel::Cc, &history);
    assert_eq!(verdict.valid, Valid::True, "{}", verdict.summary);
    let stat = |name: &str| verdict.stats[name].as_u64().expect("a number");
    assert!(stat("sessions") > 1_500, "{}", stat("sessions"));
    assert!(stat("clock_bytes_max") < 40 << 20, "{} bytes", stat("clock_bytes_max"));
    assert_eq!(Session::default().check(&history).valid, Valid::True);
}

/// The history with these operations put in at an event, each by a process of its own number.
fn planted(history: &History, at: usize, extra: &[(usize, &'static str, serde_json::Value)]) -> History {
    let mut mixed = History::new();
    for op in history.iter() {
        if op.index() == at {
            for (process, f, value) in extra {
                push(&mut mixed, *process, f, value.clone(), value.clone());
            }
        }
        mixed.push(&op.to_op());
    }
    mixed
}

#[test]
fn a_planted_causal_anomaly_is_found_where_it_is() {
    let store = replicated(&mut Random(2), 10_000, SESSIONS, 50, Conflicts::LastWritten);
    let (a, b, c) = (SESSIONS, SESSIONS + 1, SESSIONS + 2);
    let fresh = |value| json!([1000, value]);
    let stale =
        [(a, "write", fresh(1)), (a, "write", fresh(2)), (b, "read", fresh(2)), (b, "read", fresh(1))];
    let split =
        [(a, "write", fresh(1)), (b, "write", fresh(2)), (a, "read", fresh(2)), (b, "read", fresh(1))];
    let flip = [
        (a, "write", fresh(1)),
        (b, "write", fresh(2)),
        (c, "read", fresh(1)),
        (c, "read", fresh(2)),
        (c, "read", fresh(1)),
    ];
    // The witness as positions among the planted operations.
    type Case<'a> = (&'a [(usize, &'static str, serde_json::Value)], CausalModel, &'a str, &'a [usize]);
    let cases: [Case; 5] = [
        (&stale, CausalModel::Cc, "write-co-read", &[0, 1, 2, 3]),
        (&stale, CausalModel::Cm, "write-co-read", &[0, 1, 2, 3]),
        (&split, CausalModel::Ccv, "cyclic-cf", &[0, 1, 2, 3]),
        (&flip, CausalModel::Ccv, "cyclic-cf", &[0, 1, 2, 3, 4]),
        (&flip, CausalModel::Cc, "", &[]),
    ];
    for (extra, model, kind, witness) in cases {
        for at in [0, 2 * 777, store.len() - 2] {
            let verdict = causal(model, &planted(&store, at, extra));
            let found: Vec<_> =
                verdict.anomalies.iter().map(|a| (a.kind.as_str(), a.witness.clone())).collect();
            let events: Vec<usize> = witness.iter().map(|nth| at + 2 * nth + 1).collect();
            let expected = if kind.is_empty() { vec![] } else { vec![(kind, events)] };
            assert_eq!(found, expected, "{model:?}");
        }
    }
    let store = replicated(&mut Random(3), 10_000, SESSIONS, 50, Conflicts::LastArrived);
    let verdict = causal(CausalModel::Cm, &planted(&store, 2 * 777, &flip));
    assert_eq!(verdict.anomalies.len(), 1);
    assert_eq!((verdict.anomalies[0].kind.as_str(), verdict.valid), ("cyclic-hb", Valid::False));
    assert!(verdict.anomalies[0].witness.iter().all(|event| (1554..1564).contains(event)));
    assert_eq!(causal(CausalModel::Cm, &planted(&store, 2 * 777, &split)).valid, Valid::True);
}

#[test]
fn a_planted_session_violation_is_found_where_it_is() {
    let store = replicated(&mut Random(4), 10_000, SESSIONS, 50, Conflicts::LastWritten);
    let (a, b) = (SESSIONS, SESSIONS + 1);
    let extra = [
        (a, "write", json!([1000, 1])),
        (a, "write", json!([1001, 2])),
        (b, "read", json!([1001, 2])),
        (b, "read", json!([1000, null])),
    ];
    let verdict = Session::default().check(&planted(&store, 5000, &extra));
    let [anomaly] = verdict.all_anomalies()[..] else { panic!("{verdict:#?}") };
    assert_eq!(
        (anomaly.kind.as_str(), anomaly.witness.as_slice()),
        ("monotonic-writes", &[5001, 5003, 5005, 5007][..])
    );
}

#[test]
fn a_serializable_list_store_passes_with_few_edges_and_a_planted_stale_read_is_found() {
    let history = lists(&mut Random(5), 10_000, SESSIONS);
    for model in Consistency::all() {
        let verdict = Append::new(model).check(&history);
        assert_eq!(verdict.valid, Valid::True, "{}", verdict.summary);
        let edges = verdict.stats["edges"].as_u64().expect("a number");
        assert!(edges <= 12 * 10_000, "{edges} edges");
    }
    // The first read of more than one element after the middle misses its last one.
    let mut ops: Vec<Op> = history.iter().map(|op| op.to_op()).collect();
    let spoilt = ops.iter().position(|op| {
        let mop = &op.value[0];
        op.index > 10_000
            && op.kind == Type::Ok
            && mop[0] == "r"
            && op.value.as_array().unwrap().len() == 1
            && mop[2].as_array().unwrap().len() > 8
    });
    let spoilt = spoilt.expect("there is such a read");
    let list = ops[spoilt].value[0][2].as_array_mut().unwrap();
    list.truncate(2);
    let verdict = Append::default().check(&ops.into_iter().collect());
    assert_eq!(verdict.valid, Valid::False);
    assert!(verdict.anomalies[0].kind.starts_with("G"), "{}", verdict.summary);
    assert!(verdict.anomalies.iter().all(|anomaly| anomaly.witness.contains(&spoilt)), "{verdict:#?}");
}

/// Transactions put into a history at some event, by processes of their own, one after the other.
fn plant_txns(history: &History, at: usize, txns: &[(usize, serde_json::Value)]) -> History {
    let extra: Vec<(usize, &'static str, serde_json::Value)> =
        txns.iter().map(|(process, txn)| (SESSIONS + process, "txn", txn.clone())).collect();
    planted(history, at, &extra)
}

/// The planted anomaly is found among the planted transactions, and nothing anywhere else.
fn finds(checker: &dyn Checker, history: &History, kind: &str, txns: &[(usize, serde_json::Value)]) {
    let at = 5_000;
    let verdict = checker.check(&plant_txns(history, at, txns));
    let kinds: Vec<&str> = verdict.anomalies.iter().map(|anomaly| anomaly.kind.as_str()).collect();
    assert!(kinds.contains(&kind), "{kind}: {kinds:?} {}", verdict.summary);
    let witness = verdict.anomalies.iter().flat_map(|anomaly| &anomaly.witness);
    assert!(witness.copied().all(|event| (at..at + 2 * txns.len()).contains(&event)), "{verdict:#?}");
}

#[test]
fn every_planted_anomaly_of_lists_is_found_by_its_name() {
    let store = lists(&mut Random(7), 10_000, SESSIONS);
    let (x, y) = (1_000_000, 1_000_001);
    let cases: &[(&str, &[(usize, serde_json::Value)])] = &[
        ("internal", &[(0, json!([["append", x, 1], ["r", x, []]]))]),
        ("future-read", &[(0, json!([["r", x, [1]], ["append", x, 1]]))]),
        ("thin-air-read", &[(0, json!([["r", x, [1]]]))]),
        ("duplicate-elements", &[(0, json!([["append", x, 1]])), (1, json!([["r", x, [1, 1]]]))]),
        ("G1b", &[(0, json!([["append", x, 1], ["append", x, 2]])), (1, json!([["r", x, [1]]]))]),
        ("lost-append", &[(0, json!([["append", x, 1]])), (1, json!([["r", x, []]]))]),
        (
            "incompatible-order",
            &[
                (0, json!([["append", x, 1]])),
                (1, json!([["append", x, 2]])),
                (2, json!([["r", x, [1, 2]]])),
                (3, json!([["r", x, [2, 1]]])),
            ],
        ),
        (
            "lost-update",
            &[
                (0, json!([["r", x, []], ["append", x, 1]])),
                (1, json!([["r", x, []], ["append", x, 2]])),
                (2, json!([["r", x, [1, 2]]])),
            ],
        ),
        (
            "G0",
            &[
                (0, json!([["append", x, 1], ["append", y, 1]])),
                (1, json!([["append", x, 2], ["append", y, 2]])),
                (2, json!([["r", x, [1, 2]], ["r", y, [2, 1]]])),
            ],
        ),
        (
            "G0-process",
            &[(0, json!([["append", x, 1]])), (0, json!([["append", x, 2]])), (1, json!([["r", x, [2, 1]]]))],
        ),
        (
            "G0-realtime",
            &[(0, json!([["append", x, 1]])), (1, json!([["append", x, 2]])), (2, json!([["r", x, [2, 1]]]))],
        ),
        (
            "G1c",
            &[(0, json!([["append", x, 1], ["r", y, [1]]])), (1, json!([["append", y, 1], ["r", x, [1]]]))],
        ),
        ("G1c-process", &[(0, json!([["r", x, [1]]])), (0, json!([["append", x, 1]]))]),
        ("G1c-realtime", &[(0, json!([["r", x, [1]]])), (1, json!([["append", x, 1]]))]),
        (
            "G-single",
            &[
                (0, json!([["append", x, 1], ["append", y, 1]])),
                (1, json!([["r", x, [1]], ["r", y, []]])),
                (2, json!([["r", y, [1]]])),
            ],
        ),
        (
            "G-single-process",
            &[(0, json!([["append", x, 1]])), (0, json!([["r", x, []]])), (1, json!([["r", x, [1]]]))],
        ),
        (
            "G-single-realtime",
            &[(0, json!([["append", x, 1]])), (1, json!([["r", x, []]])), (2, json!([["r", x, [1]]]))],
        ),
        (
            "G-nonadjacent",
            &[
                (0, json!([["append", x, 1]])),
                (1, json!([["append", y, 1]])),
                (2, json!([["r", x, [1]], ["r", y, []]])),
                (3, json!([["r", x, []], ["r", y, [1]]])),
            ],
        ),
        (
            "G-nonadjacent-process",
            &[
                (0, json!([["append", x, 1]])),
                (1, json!([["append", y, 1]])),
                (0, json!([["r", y, []]])),
                (1, json!([["r", x, []]])),
                (2, json!([["r", x, [1]], ["r", y, [1]]])),
            ],
        ),
        (
            "G2-item",
            &[(0, json!([["append", x, 1], ["r", y, []]])), (1, json!([["append", y, 1], ["r", x, []]]))],
        ),
        (
            "G2-item-process",
            &[
                (0, json!([["append", y, 1]])),
                (0, json!([["r", x, []]])),
                (1, json!([["append", x, 1], ["r", y, []]])),
                (2, json!([["r", x, [1]], ["r", y, [1]]])),
            ],
        ),
    ];
    for (kind, txns) in cases {
        finds(&Append::default(), &store, kind, txns);
    }
}

#[test]
fn every_planted_anomaly_of_registers_is_found_by_its_name() {
    let store = registers(&lists(&mut Random(8), 10_000, SESSIONS));
    for model in Consistency::all() {
        let verdict = RwRegister::new(model).linearizable_keys().check(&store);
        assert_eq!(verdict.valid, Valid::True, "{}", verdict.summary);
    }
    let (x, y) = (1_000_000, 1_000_001);
    let cases: &[(&str, &[(usize, serde_json::Value)])] = &[
        ("internal", &[(0, json!([["w", x, 1], ["r", x, 2], ["w", x, 2]]))]),
        ("future-read", &[(0, json!([["r", x, 1], ["w", x, 1]]))]),
        ("thin-air-read", &[(0, json!([["r", x, 1]]))]),
        ("G1b", &[(0, json!([["w", x, 1], ["w", x, 2]])), (1, json!([["r", x, 1]]))]),
        (
            "lost-update",
            &[(0, json!([["r", x, null], ["w", x, 1]])), (1, json!([["r", x, null], ["w", x, 2]]))],
        ),
        (
            "cyclic-versions",
            &[(0, json!([["r", x, 1], ["w", x, 2]])), (1, json!([["r", x, 2], ["w", x, 1]]))],
        ),
        ("G1c", &[(0, json!([["w", x, 1], ["r", y, 1]])), (1, json!([["w", y, 1], ["r", x, 1]]))]),
        ("G-single", &[(0, json!([["w", x, 1], ["w", y, 1]])), (1, json!([["r", x, 1], ["r", y, null]]))]),
        ("G-single-process", &[(0, json!([["w", x, 1]])), (0, json!([["r", x, null]]))]),
        (
            "G-single-realtime",
            &[(0, json!([["w", x, 1]])), (1, json!([["w", x, 2]])), (2, json!([["r", x, 1]]))],
        ),
        (
            "G-nonadjacent",
            &[
                (0, json!([["w", x, 1]])),
                (1, json!([["w", y, 1]])),
                (2, json!([["r", x, 1], ["r", y, null]])),
                (3, json!([["r", x, null], ["r", y, 1]])),
            ],
        ),
        ("G2-item", &[(0, json!([["w", x, 1], ["r", y, null]])), (1, json!([["w", y, 1], ["r", x, null]]))]),
    ];
    for (kind, txns) in cases {
        finds(&RwRegister::default(), &store, kind, txns);
    }
}

/// Thousands of broken transactions are counted, a few are told.
#[test]
fn many_anomalies_take_no_more_than_linear_work() {
    let n = 4_000;
    let skew: Vec<(usize, serde_json::Value)> = (0..n)
        .flat_map(|at| {
            let (x, y) = (2 * at, 2 * at + 1);
            [
                (at % 5, json!([["append", x, 1], ["r", y, []]])),
                (5 + at % 5, json!([["append", y, 1], ["r", x, []]])),
            ]
        })
        .collect();
    let verdict = Append::new(Consistency::Serializable).check(&plant_txns(&History::new(), 0, &[]));
    assert_eq!(verdict.valid, Valid::True);
    let mut apart = History::new();
    skew.iter().for_each(|(process, txn)| push(&mut apart, *process, "txn", txn.clone(), txn.clone()));
    let verdict = Append::new(Consistency::Serializable).check(&apart);
    assert_eq!(verdict.valid, Valid::False);
    assert!(verdict.stats["anomalies, at least"].as_u64().unwrap() >= n as u64);
    assert!(verdict.anomalies.len() < 50, "{}", verdict.anomalies.len());
    assert!(steps(&verdict) < 2_000 * n, "{}", steps(&verdict));
    // One component of everybody: each reads what the next appends, and the last what the first does.
    let ring = (0..n).map(|at| json!([["append", at, 1], ["r", (at + 1) % n, [1]]]));
    let mut whole = History::new();
    ring.enumerate().for_each(|(at, txn)| push(&mut whole, at % 5, "txn", txn.clone(), txn));
    let verdict = Append::new(Consistency::ReadCommitted).check(&whole);
    assert_eq!(verdict.anomalies[0].kind, "G1c", "{}", verdict.summary);
}

/// An event of any shape: completions without invocations, values that do not fit, keys and values of every kind.
fn any_event(rng: &mut Random) -> Op {
    let atoms = [json!(null), json!(1), json!(2), json!("a"), json!(1.5), json!([1, 2]), json!({"k": 1})];
    let atom = |rng: &mut Random| {
        let most = 3 + rng.below(5);
        atoms[rng.below(most)].clone()
    };
    let mop = |rng: &mut Random| match rng.below(8) {
        0..2 => json!(["append", atom(rng), atom(rng)]),
        2 => json!(["w", atom(rng), atom(rng)]),
        3..6 => json!(["r", atom(rng), [atom(rng), atom(rng)]]),
        6 => json!(["r", atom(rng), null]),
        _ => atom(rng),
    };
    let f = ["read", "write", "cas", "txn"][rng.below(4)];
    let value = match (f, rng.below(6)) {
        (_, 0) => atom(rng),
        ("txn", _) => (0..rng.below(4)).map(|_| mop(rng)).collect(),
        ("cas", _) => json!([atom(rng), [atom(rng), atom(rng)]]),
        _ => json!([atom(rng), atom(rng)]),
    };
    let kind = [Type::Invoke, Type::Ok, Type::Ok, Type::Fail, Type::Info][rng.below(5)];
    let process =
        [Process::Nemesis, Process::Client(0), Process::Client(1), Process::Client(2)][rng.below(4)];
    Op::new(f).value(value).kind(kind).process(process)
}

#[test]
fn no_history_makes_a_checker_panic_and_every_verdict_has_its_grounds() {
    let mut rng = Random(6);
    let checkers: [Box<dyn Checker>; 6] = [
        Box::new(Causal::new(CausalModel::Cc)),
        Box::new(Causal::new(CausalModel::Ccv)),
        Box::new(Causal::new(CausalModel::Cm)),
        Box::new(Session::default()),
        Box::new(Append::default()),
        Box::new(RwRegister::default().linearizable_keys()),
    ];
    for _ in 0..4_000 {
        let keep = ["read", "write", "cas", "txn"][rng.below(4)];
        let len = 1 + rng.below(12);
        let mixed = rng.below(2) == 0;
        let history: History =
            (0..len).map(|_| any_event(&mut rng)).filter(|op| mixed || op.f == keep).collect();
        for checker in &checkers {
            let verdict = checker.check(&history);
            match verdict.valid {
                Valid::True => {}
                Valid::Unknown => assert!(verdict.reason.is_some()),
                Valid::False => {
                    let anomalies = verdict.all_anomalies();
                    let events = anomalies.iter().flat_map(|a| &a.witness);
                    assert!(!anomalies.is_empty() && events.copied().all(|event| event < history.len()));
                }
            }
        }
    }
}
