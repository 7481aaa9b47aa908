use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::set::SetFull;
use super::testing::{Choice, Whole, agree, scattered, text, wholes};
use crate::testing::Random;
use crate::{Checker, History, Op, Process, Type, Valid, Verdict};

/// Whole operations one after another: `(f, value or result, outcome)`, one event a second.
fn history(ops: &[(&'static str, Value, Type)]) -> History {
    let event = |at: usize, f: &'static str, kind, value: Value| {
        Op::new(f)
            .process(Process::Client((at / 2) as u32))
            .kind(kind)
            .value(value)
            .at(at as u64 * 1_000_000_000)
    };
    let both = ops.iter().enumerate().flat_map(|(at, (f, value, kind))| {
        let asked = if *f == "read" { Value::Null } else { value.clone() };
        [event(2 * at, f, Type::Invoke, asked), event(2 * at + 1, f, *kind, value.clone())]
    });
    both.collect()
}

fn check(ops: &[(&'static str, Value, Type)]) -> Verdict {
    SetFull::new().check(&history(ops))
}

const OK: Type = Type::Ok;

#[test]
fn a_set_that_keeps_everything_is_valid() {
    let verdict = check(&[("add", json!(1), OK), ("add", json!("b"), OK), ("read", json!(["b", 1]), OK)]);
    assert_eq!((verdict.valid, verdict.stats["stable"].as_u64()), (Valid::True, Some(2)));
    assert_eq!(verdict.stats["visible_ms"], json!({"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}));
}

#[test]
fn an_acknowledged_element_that_is_gone_for_good_is_lost() {
    let ops = [
        ("add", json!(1), OK),
        ("add", json!(2), OK),
        ("read", json!([1, 2]), OK),
        ("read", json!([1]), OK),
        ("read", json!([1]), OK),
    ];
    let verdict = check(&ops);
    assert_eq!(verdict.valid, Valid::False);
    let anomaly = &verdict.anomalies[0];
    assert_eq!((anomaly.kind.as_str(), &anomaly.witness), ("lost-write", &vec![2, 3, 8, 9]));
    let sentence =
        "2 was added by process 1 at 3.000 s and is missing from the last read, by process 4 at 9.000 s";
    assert_eq!(anomaly.sentence, sentence);
    let witness: History = anomaly.witness.iter().map(|&at| history(&ops).get(at).to_op()).collect();
    assert_eq!(SetFull::new().check(&witness).anomalies[0].kind, "lost-write");
}

#[test]
fn an_element_of_unknown_outcome_is_lost_once_it_was_read_and_recovered_if_it_stays() {
    let gone = [("add", json!(1), Type::Info), ("read", json!([1]), OK), ("read", json!([]), OK)];
    let verdict = check(&gone);
    assert_eq!((verdict.valid, &verdict.anomalies[0].witness), (Valid::False, &vec![0, 1, 2, 3, 4, 5]));
    let kept = [("add", json!(1), Type::Info), ("read", json!([1]), OK)];
    assert_eq!(check(&kept).stats["recovered"], json!(1));
    let never = [("add", json!(1), Type::Info), ("read", json!([]), OK)];
    assert_eq!((check(&never).valid, &check(&never).stats["never_read"]), (Valid::True, &json!(1)));
}

#[test]
fn an_element_that_shows_late_is_stale_and_that_is_invalid_only_where_it_is_said() {
    let ops = [("add", json!(1), OK), ("read", json!([]), OK), ("read", json!([1]), OK)];
    let verdict = check(&ops);
    assert_eq!((verdict.valid, &verdict.stats["stale"]), (Valid::True, &json!(1)));
    // Known at 1 s; the read that lacks it began at 2 s.
    assert!((verdict.stats["visible_ms"]["max"].as_f64().unwrap() - 1000.0).abs() < 0.001);
    let strict = SetFull::new().linearizable().check(&history(&ops));
    assert_eq!((strict.valid, strict.anomalies[0].kind.as_str()), (Valid::False, "stale-read"));
    assert_eq!(strict.anomalies[0].witness, [0, 1, 2, 3]);
}

#[test]
fn phantoms_duplicates_and_failed_adds_that_show() {
    let kinds = |ops: &[(&'static str, Value, Type)]| -> Vec<(String, Vec<usize>)> {
        let verdict = check(ops);
        verdict.anomalies.into_iter().map(|a| (a.kind, a.witness)).collect()
    };
    let add = ("add", json!(1), OK);
    assert_eq!(kinds(&[add.clone(), ("read", json!([1, 9]), OK)]), [("phantom-read".into(), vec![2, 3])]);
    assert_eq!(kinds(&[add, ("read", json!([1, 1, 1]), OK)]), [("duplicate".into(), vec![2, 3])]);
    let failed = [("add", json!(1), Type::Fail), ("read", json!([1]), OK)];
    assert_eq!(kinds(&failed), [("aborted-read".into(), vec![0, 1, 2, 3])]);
}

#[test]
fn without_a_read_after_the_last_add_nothing_is_known() {
    let verdict = check(&[("add", json!(1), OK), ("read", json!([1]), OK), ("add", json!(2), OK)]);
    assert_eq!(verdict.valid, Valid::Unknown);
    assert!(verdict.reason.unwrap().contains("no ok read"));
    assert_eq!(check(&[("add", json!(1), OK), ("read", Value::Null, Type::Fail)]).valid, Valid::Unknown);
}

#[test]
fn what_is_not_a_set_is_unknown_and_says_where() {
    let verdict = check(&[("add", json!(1), OK), ("read", json!({"a": 1}), OK)]);
    assert_eq!(verdict.reason.as_deref(), Some("event 3: a set is read as a list, not {\"a\":1}"));
    let verdict = check(&[("pop", json!(1), OK)]);
    assert_eq!(verdict.reason.as_deref(), Some("event 0: there is no `pop` here: a set has add and read"));
}

#[test]
fn keys_are_judged_apart() {
    let ops = [("add", json!(["x", 1]), OK), ("add", json!(["y", 1]), OK)];
    let mut history = history(&ops);
    for (key, values) in [("x", json!([1])), ("y", json!([]))] {
        history.push(&Op::new("read").value(json!([key, null])));
        history.push(&Op::new("read").value(json!([key, values])).kind(OK));
    }
    let verdict = SetFull::new().independent().check(&history);
    assert_eq!((verdict.anomalies.len(), verdict.anomalies[0].key.clone()), (1, Some(json!("y"))));
}

/// The kinds of anomalies, by their plain definitions.
fn kinds(ops: &[Whole], linearizable: bool) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    let adds =
        |element: &Value| ops.iter().filter(|op| op.f == "add" && op.asked == *element).collect::<Vec<_>>();
    let reads: Vec<(&Whole, Vec<Value>)> = ops
        .iter()
        .filter(|op| op.f == "read" && op.ok())
        .map(|op| (op, op.told.as_array().unwrap().clone()))
        .collect();
    let elements: Vec<Value> = (1..4).map(Value::from).collect();
    for element in &elements {
        let adds = adds(element);
        let tried: Vec<&&Whole> = adds.iter().filter(|op| op.kind != Type::Fail).collect();
        let has: Vec<&Whole> =
            reads.iter().filter(|(_, list)| list.contains(element)).map(|(op, _)| *op).collect();
        let first = has.iter().map(|op| op.complete).min();
        if let Some(first) = first.filter(|&first| !tried.iter().any(|op| op.invoke < first)) {
            let failed = adds.iter().any(|op| op.kind == Type::Fail && op.invoke < first);
            kinds.insert(if failed { "aborted-read" } else { "phantom-read" });
        } else {
            let known = tried.iter().filter(|op| op.ok()).map(|op| op.complete).chain(first).min();
            let lack = |op: &&Whole| known.is_some_and(|known| known < op.invoke);
            let lacking =
                reads.iter().filter(|(_, list)| !list.contains(element)).map(|(op, _)| *op).filter(lack);
            let last = has.iter().map(|op| op.invoke).max();
            for read in lacking {
                if last.is_none_or(|last| last < read.invoke) {
                    kinds.insert("lost-write");
                } else if linearizable
                    && !reads.iter().any(|(op, list)| op.invoke > last.unwrap() && !list.contains(element))
                {
                    kinds.insert("stale-read");
                }
            }
        }
        if reads.iter().any(|(_, list)| list.iter().filter(|other| *other == element).count() > 1) {
            kinds.insert("duplicate");
        }
    }
    let in_order = ["lost-write", "stale-read", "duplicate"].iter().all(|kind| !kinds.contains(kind));
    if linearizable && in_order {
        let lacks = |a: &[Value], b: &[Value]| a.iter().any(|value| !b.contains(value));
        let forked = |a: &[Value]| reads.iter().any(|(_, b)| lacks(a, b) && lacks(b, a));
        let reordered = |a: &Value, b: &Value| {
            let acknowledged = adds(a).iter().filter(|op| op.ok()).map(|op| op.complete).min();
            let tried = adds(b).iter().filter(|op| op.kind != Type::Fail).map(|op| op.invoke).min();
            let sound = |element: &Value| {
                let tried = adds(element).iter().filter(|op| op.kind != Type::Fail).map(|op| op.invoke).min();
                reads.iter().all(|(op, list)| {
                    !list.contains(element) || tried.is_some_and(|tried| tried < op.complete)
                })
            };
            sound(a)
                && sound(b)
                && acknowledged.zip(tried).is_some_and(|(a, b)| a < b)
                && reads.iter().any(|(_, list)| list.contains(b) && !list.contains(a))
        };
        if reads.iter().any(|(_, list)| forked(list)) {
            kinds.insert("incomparable-reads");
        } else if elements.iter().any(|a| elements.iter().any(|b| reordered(a, b))) {
            kinds.insert("reordered-adds");
        }
    }
    let last_add = ops.iter().filter(|op| op.f == "add" && op.ok()).map(|op| op.complete).max();
    let last_read = reads.iter().map(|(op, _)| op.invoke).max();
    if kinds.is_empty() && last_read.is_none_or(|read| last_add.is_some_and(|add| read < add)) {
        kinds.insert("unknown");
    }
    kinds
}

fn choices() -> Vec<Choice> {
    let mut choices: Vec<Choice> = (1..4).map(|n| ("add", json!(n), json!(n))).collect();
    let reads =
        [json!([]), json!([1]), json!([2]), json!([1, 2]), json!([2, 3, 1]), json!([3]), json!([1, 1])];
    choices.extend(reads.map(|told| ("read", json!(null), told)));
    choices
}

#[test]
fn agrees_with_the_plain_definition() {
    agree(&SetFull::new(), |ops| kinds(ops, false), &choices(), [2, 100_000, 8]);
}

#[test]
fn agrees_with_the_plain_definition_of_a_linearizable_set() {
    agree(&SetFull::new().linearizable(), |ops| kinds(ops, true), &choices(), [2, 100_000, 8]);
}

/// Tries every order.
fn linearizable(ops: &[Whole]) -> bool {
    let ops: Vec<&Whole> =
        ops.iter().filter(|op| if op.f == "add" { op.kind != Type::Fail } else { op.ok() }).collect();
    let mut stack = vec![(0_u32, BTreeSet::new())];
    let mut seen = BTreeSet::new();
    while let Some((done, set)) = stack.pop() {
        if !seen.insert((done, set.clone())) {
            continue;
        }
        let open = |at: &usize| done & 1 << at == 0;
        let left: Vec<usize> = (0..ops.len()).filter(open).collect();
        if left.iter().all(|&at| !ops[at].ok()) {
            return true;
        }
        for &at in &left {
            if left.iter().any(|&other| ops[other].ok() && ops[other].complete < ops[at].invoke) {
                continue;
            }
            if ops[at].f == "add" {
                let mut set = set.clone();
                set.insert(ops[at].asked.to_string());
                stack.push((done | 1 << at, set));
                continue;
            }
            let told = ops[at].told.as_array().unwrap();
            if told.len() == set.len() && told.iter().all(|value| set.contains(&value.to_string())) {
                stack.push((done | 1 << at, set.clone()));
            }
        }
    }
    false
}

#[test]
fn decides_linearizability() {
    let mut random = Random(11);
    let (mut cases, mut invalid) = (0, 0);
    let choices: Vec<Choice> = choices().into_iter().filter(|choice| choice.2 != json!([1, 1])).collect();
    while cases < 100_000 {
        let ops = 1 + random.below(7);
        let history = scattered(&mut random, ops, &choices);
        let verdict = SetFull::new().linearizable().check(&history);
        let legal = linearizable(&wholes(&history));
        assert_eq!(verdict.valid != Valid::False, legal, "{verdict:#?}\n{}", text(&history));
        (cases, invalid) = (cases + 1, invalid + usize::from(!legal));
    }
    println!("set: {cases} histories tried in every order, {invalid} of them not linearizable");
    assert!((10_000..90_000).contains(&invalid));
}
