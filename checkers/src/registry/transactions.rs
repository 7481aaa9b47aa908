//! Models of transactions by all their names, against their definitions.

use serde_json::{Value, json};

use super::*;
use crate::agreement::each;
use crate::isolation::oracle as weak;
use crate::polygraph::oracle::{self, TinyMop, TinyTxn};
use crate::polygraph::tests::random;
use crate::testing::Random;
use crate::{History, IsolationLevel, Op, PolygraphModel, Process, Type};

/// Transactions of these processes, one after the other.
fn history(txns: &[(u32, Value)]) -> History {
    let op = |&(process, ref txn): &(u32, Value)| {
        let op = Op::new("txn").process(Process::Client(process)).value(txn.clone());
        [op.clone(), op.kind(Type::Ok)]
    };
    txns.iter().flat_map(op).collect()
}

/// Transactions of a process each, which all ran at once.
fn at_once(txns: &[Value]) -> History {
    let op =
        |(process, txn): (u32, &Value)| Op::new("txn").process(Process::Client(process)).value(txn.clone());
    let begin = (0..).zip(txns).map(op);
    begin.clone().chain(begin.map(|op| op.kind(Type::Ok))).collect()
}

fn verdict(model: &str, history: &History) -> Verdict {
    let facts = Facts::of(history);
    let entry = find_model(model).unwrap().checker(&facts).unwrap();
    (entry.build)(&facts).check(history)
}

/// Registers tell only a part of the order of versions, and checkers that look at no more were chosen for these models, so
/// that this history was valid. The third transaction read the initial a, so the second came after it and, with its a, not
/// between it and the fourth; after that it cannot have read 1 of b.
#[test]
fn what_no_order_of_versions_explains_is_not_valid() {
    let txns = at_once(&[
        json!([["r", "a", null], ["r", "b", null], ["w", "b", 1]]),
        json!([["r", "b", 1], ["w", "a", 2]]),
        json!([["r", "a", null], ["w", "a", 3], ["r", "b", 1]]),
        json!([["r", "a", 3], ["w", "a", 4], ["r", "b", 1], ["w", "b", 5]]),
    ]);
    let serial = ["rw-register", "strict-serializable", "strong-session-serializable", "serializable"];
    for model in serial.iter().chain(&["repeatable-read", "snapshot-isolation", "psi"]) {
        let verdict = verdict(model, &txns);
        assert_eq!(verdict.valid, Valid::False, "{model}");
        assert!(verdict.summary.starts_with("not "), "{}", verdict.summary);
        let named = find_model(model).unwrap().checker(&Facts::of(&txns)).unwrap().name;
        assert_eq!((verdict.checker.as_str(), &verdict.stats["anomalies, at least"]), (named, &json!(0)));
    }
    assert_eq!(verdict("prefix", &txns).valid, Valid::True);
    let chosen = fitting(&Facts::of(&txns)).unwrap();
    assert_eq!((chosen.build)(&Facts::of(&txns)).check(&txns).valid, Valid::False);
}

/// The same names meant the models of strong sessions for registers and not for lists.
#[test]
fn sessions_count_alike_for_lists_and_registers() {
    let registers = history(&[(0, json!([["w", "x", 1]])), (0, json!([["r", "x", null]]))]);
    let lists = history(&[(0, json!([["append", "x", 1]])), (0, json!([["r", "x", []]]))]);
    for model in MODELS.iter().filter(|model| model.checkers.iter().any(|name| name.starts_with("append"))) {
        // Their lines in the list of models say that they do so for registers alone.
        if ["causal", "read-atomic"].contains(&model.name) {
            continue;
        }
        let [registers, lists] = [&registers, &lists].map(|history| {
            let facts = Facts::of(history);
            model.checker(&facts).map(|entry| (entry.build)(&facts).check(history).valid).ok()
        });
        let strong = model.name.starts_with("strong") || model.name.starts_with("strict");
        let expected = if strong || model.name == "list-append" { Valid::False } else { Valid::True };
        assert_eq!(lists, Some(expected), "{}", model.name);
        assert!(registers == lists || model.name == "list-append", "{}", model.name);
    }
}

/// A witness of nothing but reads was taken for one of lists, so that it was no witness.
#[test]
fn reads_of_values_are_of_registers() {
    let cases = [
        (json!([["r", "x", 1], ["r", "y", null]]), "rw-register"),
        (json!([[":r", "x", 1]]), "rw-register"),
        (json!([["r", "x", [1]], ["r", "y", null]]), "append"),
        (json!([["r", "x", [1]], ["w", "y", [2]]]), "rw-register"),
        (json!([["r", "x", 1], ["append", "y", 2]]), "append"),
    ];
    for (txn, expected) in cases {
        assert_eq!(fitting(&Facts::of(&history(&[(0, txn.clone())]))).unwrap().name, expected, "{txn}");
    }
}

/// For these models there was said to be no checker of single operations, although their checkers take them.
#[test]
fn models_of_transactions_take_single_operations_on_registers() {
    let op = |process, f: &'static str, value: Value| {
        let op = Op::new(f).process(Process::Client(process)).value(value);
        [op.clone(), op.kind(Type::Ok)]
    };
    let stale = |last: Value| -> History {
        let ops = [
            op(0, "write", json!(["x", 1])),
            op(0, "cas", json!(["x", [1, 2]])),
            op(1, "read", json!(["x", 2])),
            op(1, "read", last),
        ];
        ops.into_iter().flatten().collect()
    };
    let (right, wrong) = (stale(json!(["x", 2])), stale(json!(["x", 3])));
    let names = ["serializable", "si", "psi", "prefix", "rr", "ra", "rc", "strict", "ru", "causal"];
    for model in names {
        assert_eq!(verdict(model, &right).valid, Valid::True, "{model}");
        assert_eq!(verdict(model, &wrong).valid, Valid::False, "{model}");
    }
    let old = stale(json!(["x", 1]));
    for (model, valid) in [("serializable", Valid::True), ("strong-session-serializable", Valid::False)] {
        assert_eq!(verdict(model, &old).valid, valid, "{model}");
    }
}

/// Operations without keys were on key null of the transactions beside them.
#[test]
fn the_register_without_a_key_is_not_key_null() {
    let both = |op: Op| [op.clone(), op.kind(Type::Ok)];
    let txn = |key: Value| both(Op::new("txn").value(json!([["w", key, 1]])));
    let read = |value: Value| both(Op::new("read").value(value));
    for (first, second, valid) in [
        (txn(Value::Null), read(Value::Null), Valid::True),
        (txn(Value::Null), read(json!(1)), Valid::False),
        (
            both(Op::new("write").value(1)),
            both(Op::new("txn").value(json!([["r", null, null]]))),
            Valid::True,
        ),
    ] {
        let history: History = first.into_iter().chain(second).collect();
        let entry = all().find(|entry| entry.name == "rw-register").unwrap();
        let verdict = (entry.build)(&Facts::of(&history)).check(&history);
        assert_eq!(verdict.valid, valid, "{verdict:?}");
        assert!(!format!("{verdict:?}").contains("key null"), "{verdict:?}");
    }
}

/// Registers without keys were called key null.
#[test]
fn no_key_is_named_where_operations_have_none() {
    const ROUNDS: usize = 2_000;
    let mut rng = Random(5);
    let mut told = 0;
    for _ in 0..ROUNDS {
        let op = |rng: &mut Random| {
            let (process, value) = (rng.below(2) as u32, 1 + rng.below(4));
            let op = if rng.below(2) == 0 { Op::new("write") } else { Op::new("read") };
            let op = op.process(Process::Client(process)).value(value);
            [op.clone(), op.kind(Type::Ok)]
        };
        let history: History = (0..5).flat_map(|_| op(&mut rng)).collect();
        let facts = Facts::of(&history);
        for entry in all().filter(|entry| entry.on == Object::Registers) {
            let verdict = (entry.build)(&facts).check(&history);
            let said = format!("{verdict:?}");
            let named =
                said.contains("key null") || verdict.anomalies.iter().any(|anomaly| anomaly.key.is_some());
            assert!(!named, "{}: {said}", entry.name);
            told += usize::from(said.contains("the register"));
        }
    }
    println!("{told} verdicts on {ROUNDS} histories name the register");
    assert!(told > ROUNDS);
}

/// Single operations beside transactions over lists were dropped without a word, and what is left was valid.
#[test]
fn what_is_no_transaction_is_told_unless_it_says_nothing() {
    let append = ("txn", json!([["append", "x", 1]]));
    let read = ("txn", json!([["r", "x", [1]]]));
    let write = ("txn", json!([["w", "x", 1]]));
    let cases = [
        ("strict", vec![append.clone(), ("read", json!(["x", []]))], Some("event 2 (read [\"x\",[]])")),
        ("serializable", vec![("read", json!(["x", []])), append.clone()], Some("event 0 (read")),
        ("append", vec![append.clone(), read.clone()], None),
        // What carries no value says nothing.
        ("append", vec![append.clone(), ("sleep", json!(null)), read.clone()], None),
        (
            "append",
            vec![append.clone(), ("add", json!(1)), ("add", json!(2))],
            Some("2 operations were left out"),
        ),
        ("rw-register", vec![write.clone(), ("read", json!(["x", 1]))], None),
        ("rw-register", vec![write.clone(), ("add", json!(["x", 1]))], Some("event 2 (add")),
        ("causal", vec![write.clone(), ("add", json!(["x", 1]))], Some("event 2 (add")),
        ("prefix", vec![write, ("add", json!(["x", 1]))], Some("event 2 (add")),
    ];
    for (model, ops, reason) in cases {
        let both = |(f, value): &(&'static str, Value)| {
            [Type::Invoke, Type::Ok].map(|kind| Op::new(*f).value(value.clone()).kind(kind))
        };
        let verdict = verdict(model, &ops.iter().flat_map(both).collect());
        match reason {
            None => assert_eq!(verdict.valid, Valid::True, "{model} {ops:?}: {}", verdict.summary),
            Some(reason) => {
                assert_eq!(verdict.valid, Valid::Unknown, "{model} {ops:?}: {}", verdict.summary);
                assert!(verdict.reason.as_ref().is_some_and(|why| why.contains(reason)), "{verdict:?}");
            }
        }
    }
    // A read that failed or did not return says nothing, and what is wrong is wrong.
    let mut crashed: Vec<Op> =
        vec![Op::new("txn").value(append.1.clone()), Op::new("txn").value(append.1).kind(Type::Ok)];
    crashed.push(Op::new("read").value(json!(["x", null])));
    assert_eq!(verdict("append", &crashed.iter().cloned().collect()).valid, Valid::True);
    let lost = ("txn", json!([["r", "x", []]]));
    crashed.extend(
        [Type::Invoke, Type::Ok]
            .map(|kind| Op::new(lost.0).value(lost.1.clone()).kind(kind).process(Process::Client(1))),
    );
    crashed.push(Op::new("add").value(1).process(Process::Client(1)));
    assert_eq!(verdict("append", &crashed.into_iter().collect()).valid, Valid::False);
}

/// The same transactions, each of a process of its own.
fn without_sessions(txns: &[TinyTxn]) -> Vec<TinyTxn> {
    let of = |(process, txn): (u32, &TinyTxn)| TinyTxn { process, ..txn.clone() };
    (0..).zip(txns).map(of).collect()
}

/// What a model means for registers; nothing for those that are not of transactions.
fn holds(model: &str, txns: &[TinyTxn]) -> Option<bool> {
    use PolygraphModel as P;
    let whole = |model: P| Some(oracle::holds(model, txns));
    let free = |model: P| Some(oracle::holds(model, &without_sessions(txns)));
    match model {
        "rw-register" | "strict-serializable" => whole(P::StrictSerializable),
        "strong-session-serializable" => whole(P::Serializable),
        "strong-session-snapshot-isolation" => whole(P::SnapshotIsolation),
        "serializable" | "repeatable-read" => free(P::Serializable),
        "snapshot-isolation" => free(P::SnapshotIsolation),
        "parallel-snapshot-isolation" => free(P::ParallelSnapshotIsolation),
        "prefix" => free(P::PrefixConsistency),
        "causal" => Some(weak::holds(IsolationLevel::Causal, &weaker(txns))),
        "read-atomic" => Some(weak::holds(IsolationLevel::ReadAtomic, &weaker(txns))),
        "read-committed" => Some(weak::holds(IsolationLevel::ReadCommitted, &weaker(txns))),
        "read-uncommitted" => Some(!reads(txns).any(|value| value == NOWHERE)),
        _ => None,
    }
}

/// A value that nobody writes.
const NOWHERE: u8 = 255;

fn reads(txns: &[TinyTxn]) -> impl Iterator<Item = u8> {
    let read = |mop: &TinyMop| match *mop {
        TinyMop::Read(_, value) => Some(value),
        TinyMop::Write(..) => None,
    };
    txns.iter().filter(|txn| txn.kind == Type::Ok).flat_map(move |txn| txn.mops.iter().filter_map(read))
}

fn weaker(txns: &[TinyTxn]) -> Vec<weak::TinyTxn> {
    let mop = |mop: &TinyMop| match *mop {
        TinyMop::Write(key, value) => weak::TinyMop::Write(key as u8, value),
        TinyMop::Read(key, value) => weak::TinyMop::Read(key as u8, Some(value).filter(|&value| value > 0)),
    };
    let of = |txn: &TinyTxn| weak::TinyTxn {
        process: txn.process,
        kind: txn.kind,
        mops: txn.mops.iter().map(mop).collect(),
    };
    txns.iter().map(of).collect()
}

/// Random transactions, where a process ends with an outcome that nobody knows, and now and then a value comes from nowhere.
fn generate(rng: &mut Random) -> Vec<TinyTxn> {
    let most = [3, 3, 4, 4, 5][rng.below(5)];
    let mut txns = random(rng, most);
    for at in 0..txns.len() {
        if txns[at].kind == Type::Info {
            let (old, new) = (txns[at].process, 100 + at as u32);
            txns[at + 1..].iter_mut().filter(|txn| txn.process == old).for_each(|txn| txn.process = new);
        }
    }
    if rng.below(30) == 0 {
        let mops = txns.iter_mut().flat_map(|txn| &mut txn.mops);
        let read = mops.filter_map(|mop| match mop {
            TinyMop::Read(_, value) => Some(value),
            TinyMop::Write(..) => None,
        });
        read.take(1).for_each(|value| *value = NOWHERE);
    }
    txns
}

#[test]
fn every_name_of_a_model_agrees_with_its_definition() {
    const ROUNDS: u64 = 100_000;
    let names: Vec<(&str, &str)> = MODELS
        .iter()
        .filter(|model| holds(model.name, &[]).is_some())
        .flat_map(|model| model.aliases.iter().chain([&model.name]).map(|name| (*name, model.name)))
        .collect();
    assert!(names.len() > 30);
    let held = each(ROUNDS, 71, |rng| {
        let txns = generate(rng);
        let history = oracle::record(&txns);
        let facts = Facts::of(&history);
        let (name, model) = names[rng.below(names.len())];
        let named = find_model(name).unwrap().checker(&facts).unwrap();
        let cases = [(named, model), (fitting(&facts).unwrap(), "strict-serializable")];
        cases.map(|(entry, model)| {
            let expected = holds(model, &txns).unwrap();
            let verdict = (entry.build)(&facts).check(&history);
            let valid = if expected { Valid::True } else { Valid::False };
            assert_eq!(verdict.valid, valid, "{name} by {}\n{txns:#?}\n{verdict:#?}", entry.name);
            expected
        })
    });
    println!("{ROUNDS} histories by {} names and by default, of which {held:?} held", names.len());
    assert!(held.iter().all(|&held| held > ROUNDS / 20 && held < ROUNDS * 19 / 20));
}
