use serde_json::{Value, json};

use super::set::SetFull;
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
    let sentence = "2 was acknowledged to process 1 at 3.000 s, but read by process 4 that began at 8.000 s does not \
                    have it, nor does a later one";
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
    assert_eq!(kinds(&[add, ("read", json!([1, 1, 1]), OK)]), [("duplicate".into(), vec![0, 1, 2, 3])]);
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
    assert_eq!(verdict.reason.as_deref(), Some("event 0: a set has no `pop`: it has add and read"));
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

/// Jepsen's rules, read by read, on every element: slow and plain.
fn naive_lost(history: &History) -> Vec<i64> {
    let pairs = history.pairs();
    let reads: Vec<(usize, usize)> = (0..history.len())
        .filter(|&at| history.get(at).kind() == Type::Invoke && history.get(at).f() == "read")
        .filter_map(|at| Some((at, pairs.of(at)?)))
        .collect();
    let has =
        |read: usize, element: i64| history.get(read).value().as_array().unwrap().contains(&json!(element));
    let adds = (0..history.len())
        .filter(|&at| history.get(at).kind() == Type::Invoke && history.get(at).f() == "add");
    adds.filter_map(|at| {
        let element = history.get(at).value().as_i64().unwrap();
        let acknowledged = pairs.of(at).filter(|&c| history.get(c).kind() == Type::Ok);
        let seen = reads.iter().filter(|&&(_, c)| has(c, element));
        let known = seen.clone().map(|&(_, c)| c).chain(acknowledged).min()?;
        let present = seen.map(|&(i, _)| i).max();
        let absent = reads.iter().filter(|&&(_, c)| c > at && !has(c, element)).map(|&(i, _)| i).max()?;
        (present.is_none_or(|p| p < absent) && known < absent).then_some(element)
    })
    .collect()
}

#[test]
fn random_histories_lose_what_the_plain_rules_lose() {
    let mut rng = Random(11);
    let mut lossy = 0;
    for _ in 0..3_000 {
        let mut history = History::new();
        let mut open: Vec<Option<Op>> = vec![None; 3];
        let (mut added, mut events) = (0, 0);
        while events < 16 || open.iter().any(Option::is_some) {
            let p = rng.below(3);
            events += 1;
            let done = match open[p].take() {
                Some(op) if op.f == "add" => op.kind([OK, OK, Type::Info][rng.below(3)]),
                Some(op) => {
                    let values: Vec<i64> = (0..added).filter(|_| rng.below(3) > 0).collect();
                    op.value(values).kind(OK)
                }
                None if events > 16 => continue,
                None => {
                    let op = if rng.below(2) == 0 {
                        added += 1;
                        Op::new("add").value(added - 1)
                    } else {
                        Op::new("read")
                    };
                    let op = op.process(Process::Client(p as u32));
                    open[p] = Some(op.clone());
                    op
                }
            };
            history.push(&done);
        }
        let lost = naive_lost(&history);
        lossy += usize::from(!lost.is_empty());
        assert_eq!(SetFull::new().check(&history).stats["lost"], json!(lost.len()), "{history:?}");
    }
    assert!((300..2_900).contains(&lossy), "{lossy}");
}
