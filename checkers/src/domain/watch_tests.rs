//! Watches beside a plain definition.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Watch;
use super::testing::{Choice, Whole, agree};
use crate::{Checker, History, Op, Process, Type, Valid};

/// A change as a watcher saw it: the revision, the value, and whether it can stand in a chain.
type Change = (Option<i64>, Value, bool);

fn change(ops: &[Whole], value: &Value) -> (Option<i64>, Value) {
    let wrote = |value: &Value| ops.iter().any(|op| op.f == "write" && op.asked == *value);
    let pairs = ops.iter().any(|op| op.f == "write" && op.asked.is_array());
    match value.as_array() {
        Some(pair) if !pairs || wrote(&pair[1]) && !wrote(value) => (pair[0].as_i64(), pair[1].clone()),
        _ => (None, value.clone()),
    }
}

/// Whether a change may be a value, and another one at a revision.
fn ambiguous(ops: &[Whole]) -> bool {
    let wrote = |value: &Value| ops.iter().any(|op| op.f == "write" && op.asked == *value);
    let both = |value: &Value| value.is_array() && wrote(value) && wrote(&value[1]);
    ops.iter().filter(|op| is_watch(op) && op.ok()).any(|op| list(op).iter().any(both))
}

/// What an acknowledged watch returned.
fn list(op: &Whole) -> &Vec<Value> {
    let list = if op.told.is_object() { &op.told["log"] } else { &op.told };
    list.as_array().unwrap()
}

fn is_watch(op: &Whole) -> bool {
    op.f.ends_with("watch")
}

/// What each process saw.
fn logs(ops: &[Whole]) -> Vec<(Process, Vec<Change>)> {
    let processes: BTreeSet<Process> = ops.iter().filter(|op| is_watch(op)).map(|op| op.process).collect();
    let seen = |process: Process| {
        let mine = ops.iter().filter(|op| op.process == process && is_watch(op) && op.ok());
        let all: Vec<(Option<i64>, Value)> =
            mine.flat_map(|op| list(op).iter().map(|value| change(ops, value))).collect();
        let good = |at: usize| {
            let (revision, value) = &all[at];
            let back = at > 0 && revision.is_some() && *revision <= all[at - 1].0;
            !back && !all[..at].iter().any(|(_, other)| other == value) && writes(ops, value).len() < 2
        };
        (0..all.len()).map(|at| (all[at].0, all[at].1.clone(), good(at))).collect()
    };
    processes.into_iter().map(|process| (process, seen(process))).collect()
}

/// The writes of a value that did not fail.
fn writes<'a>(ops: &'a [Whole], value: &Value) -> Vec<&'a Whole> {
    ops.iter().filter(|op| op.f == "write" && op.asked == *value && op.kind != Type::Fail).collect()
}

fn given(op: &Whole) -> Option<i64> {
    let pair = op.told.as_array().filter(|_| op.ok() && op.f == "write")?;
    pair[0].as_i64().filter(|_| pair[1] == op.asked)
}

/// The end of the first watch that has a value.
fn first_seen(ops: &[Whole], value: &Value) -> usize {
    let has =
        |op: &&Whole| is_watch(op) && op.ok() && list(op).iter().any(|other| change(ops, other).1 == *value);
    ops.iter().filter(has).map(|op| op.complete).min().unwrap_or(usize::MAX)
}

fn of_logs(ops: &[Whole], logs: &[(Process, Vec<Change>)]) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    let steps = || logs.iter().flat_map(|(_, log)| log.windows(2)).filter(|pair| pair[0].2 && pair[1].2);
    for a in steps() {
        if steps().any(|b| a[0].1 == b[0].1 && a[1].1 != b[1].1) {
            kinds.insert("divergence");
        }
        let passed = |op: &Whole| {
            let (Some(from), Some(to), Some(given)) = (a[0].0, a[1].0, given(op)) else { return false };
            op.f == "write" && from < given && given < to
        };
        if ops.iter().any(passed) {
            kinds.insert("gap");
        }
    }
    let starts: BTreeSet<String> = logs
        .iter()
        .filter_map(|(_, log)| log.first().filter(|first| first.2))
        .map(|c| c.1.to_string())
        .collect();
    if starts.len() > 1 {
        kinds.insert("divergent-start");
    }
    for (_, log) in logs {
        for (at, (revision, value, _)) in log.iter().enumerate() {
            if log[..at].iter().any(|other| other.1 == *value) && writes(ops, value).len() < 2 {
                kinds.insert("duplicate");
            }
            if at > 0 && revision.is_some() && *revision <= log[at - 1].0 && log[at - 1].0.is_some() {
                kinds.insert("nonmonotonic-watch");
            }
        }
    }
    let seen = logs.iter().flat_map(|(_, log)| log).filter_map(|c| Some((c.0?, c.1.clone())));
    let told = ops.iter().filter(|op| op.f == "write").filter_map(|op| Some((given(op)?, op.asked.clone())));
    let revisions: Vec<(i64, Value)> = seen.chain(told).collect();
    for (revision, value) in &revisions {
        let differs = |(other, with): &(i64, Value)| {
            (other == revision && with != value)
                || (other != revision && with == value && writes(ops, value).len() < 2)
        };
        if revisions.iter().any(differs) {
            kinds.insert("inconsistent-revisions");
        }
    }
    kinds
}

fn naive(ops: &[Whole]) -> BTreeSet<&'static str> {
    if ambiguous(ops) {
        return BTreeSet::from(["unknown"]);
    }
    let logs = logs(ops);
    let mut kinds = of_logs(ops, &logs);
    let changes: Vec<&Change> = logs.iter().flat_map(|(_, log)| log).collect();
    let saw = |value: &Value| changes.iter().any(|change| change.1 == *value);
    let twice = ops.iter().any(|op| op.f == "write" && writes(ops, &op.asked).len() > 1);
    let broken = twice || kinds.iter().any(|kind| *kind != "gap");
    let longest = logs.iter().map(|(_, log)| log).max_by_key(|log| log.len()).cloned().unwrap_or_default();
    if !broken {
        // Then each log is the beginning of the longest one, unless a change is not judged.
        for (_, log) in logs.iter().filter(|_| changes.iter().all(|change| change.2)) {
            assert!(log.iter().zip(&longest).all(|(a, b)| a.1 == b.1), "{logs:?}");
        }
        let before = |a: &Whole, b: &Whole| a.ok() && a.complete < b.invoke;
        let chain: Vec<&Whole> = longest
            .iter()
            .take_while(|change| change.2)
            .filter_map(|change| writes(ops, &change.1).first().copied())
            .collect();
        for (at, first) in chain.iter().enumerate() {
            if chain[at..].iter().any(|second| before(second, first)) {
                kinds.insert("reordered-events");
            }
        }
        let lost =
            |op: &&Whole| op.f == "write" && op.ok() && !saw(&op.asked) && writes(ops, &op.asked).len() < 2;
        if ops.iter().filter(lost).any(|lost| chain.iter().any(|seen| before(lost, seen))) {
            kinds.insert("lost-event");
        }
    }
    for (_, value, _) in &changes {
        let end = first_seen(ops, value);
        if !writes(ops, value).iter().any(|op| op.invoke < end) {
            let failed = |op: &Whole| op.f == "write" && op.asked == *value && op.kind == Type::Fail;
            let aborted = ops.iter().any(|op| failed(op) && op.invoke < end);
            kinds.insert(if aborted { "aborted-event" } else { "phantom-event" });
        }
    }
    if kinds.is_empty() {
        let alive = |process: Process| {
            let counts = |op: &&Whole| is_watch(op) && op.kind != Type::Fail || op.kind == Type::Info;
            let mine = ops.iter().filter(|op| op.process == process).filter(counts);
            mine.max_by_key(|op| op.invoke).is_some_and(Whole::ok)
        };
        let behind = |(process, log): &(Process, Vec<Change>)| log.len() < longest.len() && alive(*process);
        let unseen = |op: &Whole| op.f == "write" && op.ok() && !saw(&op.asked);
        if twice || changes.is_empty() || logs.iter().any(behind) || ops.iter().any(unseen) {
            kinds.insert("unknown");
        }
    }
    kinds
}

fn watch(changes: Value) -> Choice {
    ("watch", json!(null), changes)
}

fn write(value: i64) -> Choice {
    ("write", json!(value), json!(value))
}

#[test]
fn agrees_with_the_plain_definition() {
    let mut choices = vec![write(1), write(2), write(3)];
    for changes in [json!([]), json!([1]), json!([2]), json!([1, 2]), json!([1, 2, 3]), json!([2, 1])] {
        choices.push(watch(changes));
    }
    choices.push(("final-watch", json!(null), json!({"revision": 7, "log": [1, 3]})));
    agree(&Watch::new(), naive, &choices, [2, 50_000, 7]);
}

/// Histories in which most is right: three writes, one after the other or side by side, and watches of what they
/// wrote.
#[test]
fn agrees_with_the_plain_definition_on_likely_histories() {
    let choices = [write(1), write(2), watch(json!([1])), watch(json!([2])), watch(json!([1, 2]))];
    agree(&Watch::new(), naive, &choices, [2, 50_000, 6]);
}

#[test]
fn agrees_with_the_plain_definition_with_revisions() {
    let give = |revision: i64, value: i64| ("write", json!(value), json!([revision, value]));
    let mut choices = vec![give(4, 10), give(6, 20), give(5, 30), write(20)];
    for changes in [
        json!([[4, 10]]),
        json!([[6, 20]]),
        json!([[4, 10], [6, 20]]),
        json!([[4, 10], [5, 30], [6, 20]]),
        json!([[6, 20], [5, 30]]),
        json!([[5, 20]]),
    ] {
        choices.push(watch(changes));
    }
    agree(&Watch::new(), naive, &choices, [2, 50_000, 7]);
}

/// A value that is itself `[integer, x]` was taken for `x` at a revision whenever a watch returned it: so a watch that
/// showed just what had been written was a phantom event.
#[test]
fn agrees_with_the_plain_definition_on_values_that_look_like_revisions() {
    let pair = |value: Value| ("write", value.clone(), value);
    let mut choices = vec![pair(json!([4, "a"])), pair(json!([3, "b"])), pair(json!("c"))];
    choices.push(("write", json!("a"), json!([7, "a"])));
    for changes in [
        json!([[4, "a"]]),
        json!([[3, "b"]]),
        json!([[4, "a"], [3, "b"]]),
        json!([[4, "a"], [3, "b"], "c"]),
        json!([[3, "b"], [8, "c"]]),
        json!([[9, [4, "a"]], [9, "c"]]),
    ] {
        choices.push(watch(changes));
    }
    agree(&Watch::new(), naive, &choices, [2, 20_000, 7]);
}

#[test]
fn a_pair_that_was_written_is_seen_as_it_was_written() {
    let check = |values: [Value; 2], seen: Value| {
        let write = |value: &Value| {
            [Type::Invoke, Type::Ok].map(|kind| Op::new("write").value(value.clone()).kind(kind))
        };
        let watch = [Op::new("watch"), Op::new("watch").value(seen).kind(Type::Ok)];
        Watch::new().check(&values.iter().flat_map(write).chain(watch).collect::<History>())
    };
    let seen = check([json!([7, "a"]), json!([3, "b"])], json!([[7, "a"], [3, "b"]]));
    assert_eq!(seen.valid, Valid::True, "{seen:?}");
    let both = check([json!([7, "a"]), json!("a")], json!([[7, "a"]]));
    assert_eq!(
        both.reason.unwrap(),
        "the change [7,\"a\"] may be that value, or \"a\" at revision 7: both were written"
    );
}

/// A process that went on after a watch of unknown outcome was one watcher: what that watch had got, and nobody recorded, was
/// missing, so that it diverged from those who saw all; and one that began anew saw all twice.
#[test]
fn a_process_that_goes_on_after_an_unknown_outcome_is_another_watcher() {
    let op = |process: u32, f: &'static str, kind: Type, value: Value| {
        let op = Op::new(f).process(Process::Client(process)).value(value);
        [op.clone(), op.kind(kind)]
    };
    let watch = |process, seen: Value| op(process, "watch", Type::Ok, seen);
    let judged = |crash: Option<[Op; 2]>, then: Value| {
        let writes = [1, 2, 3].map(|value| op(0, "write", Type::Ok, json!(value)));
        let ops = writes.into_iter().chain([watch(1, json!([1]))]).chain(crash);
        let ops = ops.chain([watch(1, then), watch(2, json!([1, 2, 3]))]);
        Watch::new().check(&ops.flatten().collect::<History>())
    };
    let kinds = |verdict: &crate::Verdict| {
        verdict.anomalies.iter().map(|anomaly| anomaly.kind.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(kinds(&judged(None, json!([3]))), "divergence");
    let info = |f: &'static str| Some(op(1, f, Type::Info, json!(null)));
    for f in ["watch", "compact"] {
        for then in [json!([2, 3]), json!([3]), json!([1, 2, 3])] {
            let verdict = judged(info(f), then);
            assert_eq!((verdict.valid, &verdict.stats["watchers"]), (Valid::True, &json!(3)), "{verdict:?}");
        }
        assert_eq!(judged(info(f), json!([])).valid, Valid::Unknown, "it lacks what others saw");
        let wrong = judged(info(f), json!([1, 3]));
        assert_eq!(kinds(&wrong), "divergence");
        let twice = judged(info(f), json!([2, 3, 3]));
        assert_eq!(kinds(&twice), "duplicate");
        assert_eq!(twice.anomalies[0].witness.len(), 2);
    }
}

#[test]
fn a_write_that_was_overtaken_is_lost_and_one_at_the_end_may_still_come() {
    let op = |process: u32, f: &'static str, told: Value| {
        let op = Op::new(f).process(Process::Client(process));
        let asked = if f == "write" { told.clone() } else { json!(null) };
        [op.clone().value(asked), op.value(told).kind(Type::Ok)]
    };
    let check = |seen: Value| -> crate::Verdict {
        let ops = [op(0, "write", json!("a")), op(0, "write", json!("b")), op(1, "watch", seen)];
        Watch::new().check(&ops.into_iter().flatten().collect::<History>())
    };
    assert_eq!(
        check(json!(["b"])).anomalies[0].sentence,
        "write by process 0 at 0.000 s wrote \"a\" and nobody saw it, though watch by process 1 at 0.000 s has \"b\", which \
         was written later"
    );
    let behind = check(json!(["a"]));
    assert_eq!((behind.valid, behind.stats["unseen"].as_u64()), (Valid::Unknown, Some(1)));
    assert_eq!(check(json!(["a", "b"])).valid, Valid::True);
    assert_eq!(check(json!(["b", "a"])).anomalies[0].kind, "reordered-events");
    assert_eq!(check(json!(7)).valid, Valid::Unknown);
}
