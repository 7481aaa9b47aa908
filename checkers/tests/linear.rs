//! Large histories of simulated registers: valid ones, and ones with a violation at a known place.

#[path = "common/random.rs"]
mod random;
#[path = "common/simulated.rs"]
mod simulated;

use random::Random;
use serde_json::{Value, json};
use simulated::{Shape, simulate};
use squall_checkers::model::{Counter, Kv, Register};
use squall_checkers::{Budget, Checker, History, Linearizable, Op, Process, Type, Valid, Verdict};

fn check(ops: &[Op]) -> Verdict {
    let history: History = ops.iter().cloned().collect();
    Linearizable::new("register", Register).independent().check(&history)
}

const UNIQUE: Shape = Shape { ops: 10_000, clients: 10, keys: 4, values: 0, crash_every: 0, cas: false };
const SMALL: Shape = Shape { ops: 10_000, clients: 5, keys: 4, values: 5, crash_every: 0, cas: true };
const SHAPES: [Shape; 4] =
    [UNIQUE, SMALL, Shape { crash_every: 500, ..SMALL }, Shape { crash_every: 100, ..UNIQUE }];

#[test]
fn simulated_histories_are_linearizable() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let verdict = check(&simulate(shape, seed as u64));
        assert_eq!(verdict.valid, Valid::True, "{verdict:?}");
    }
}

#[test]
fn a_hundred_thousand_operations_with_unique_writes_take_little_memory() {
    let verdict = check(&simulate(Shape { ops: 100_000, keys: 1, ..UNIQUE }, 7));
    assert_eq!(verdict.valid, Valid::True, "{verdict:?}");
    assert!(verdict.stats["search_bytes_max"].as_u64().unwrap() < 40 * 100_000, "{:?}", verdict.stats);
}

#[test]
fn the_search_is_linear_in_a_history_of_few_clients() {
    for (ops, seed) in [(5_000, 1), (20_000, 2)] {
        let verdict = check(&simulate(Shape { ops, keys: 1, ..SMALL }, seed));
        assert_eq!(verdict.valid, Valid::True, "{verdict:?}");
        let (steps, bytes) = (&verdict.stats["configurations"], &verdict.stats["search_bytes_max"]);
        assert!(steps.as_u64().unwrap() < 4 * ops as u64, "{steps} configurations for {ops}");
        assert!(bytes.as_u64().unwrap() < 400 * ops as u64, "{bytes} bytes for {ops}");
    }
}

/// The last read of `key` that begins after `from` events and that `wanted` accepts; (invocation, completion).
fn a_read(ops: &[Op], from: usize, key: u64, wanted: impl Fn(&Op) -> bool) -> (usize, usize) {
    let completion = |at: usize| (at + 1..ops.len()).find(|&c| ops[c].process == ops[at].process);
    (from..ops.len())
        .filter(|&at| ops[at].kind == Type::Invoke && ops[at].f == "read" && ops[at].value[0] == key)
        .filter_map(|at| Some((at, completion(at)?)))
        .find(|&(_, c)| ops[c].kind == Type::Ok && wanted(&ops[c]))
        .expect("there is such a read")
}

/// The sub-history of some events.
fn only(ops: &[Op], events: &[usize]) -> Vec<Op> {
    events.iter().map(|&at| ops[at].clone()).collect()
}

/// Asserts that the verdict convicts `key` with this kind, and that the witness fails alone, holds `reader` and is small.
fn convicts(
    ops: &[Op],
    verdict: &Verdict,
    key: u64,
    kinds: &[&str],
    reader: (usize, usize),
    witness_max: usize,
) {
    assert_eq!(verdict.valid, Valid::False, "{verdict:?}");
    assert_eq!(verdict.anomalies.len(), 1, "{verdict:?}");
    let anomaly = &verdict.anomalies[0];
    assert_eq!(anomaly.key, Some(json!(key)));
    assert!(kinds.contains(&anomaly.kind.as_str()), "{anomaly:?}");
    assert!(
        anomaly.witness.contains(&reader.0) && anomaly.witness.contains(&reader.1),
        "{anomaly:?}, {reader:?}"
    );
    assert!(anomaly.witness.len() <= witness_max, "{anomaly:?}");
    assert_eq!(check(&only(ops, &anomaly.witness)).valid, Valid::False, "{anomaly:?}");
}

#[test]
fn a_planted_stale_read_is_found() {
    for seed in 0..8 {
        let mut ops = simulate(UNIQUE, seed);
        let reader = a_read(&ops, 8_000, 2, |_| true);
        let old = a_read(&ops, 5_000, 2, |op| !op.value[1].is_null());
        ops[reader.1].value = ops[old.1].value.clone();
        convicts(&ops, &check(&ops), 2, &["stale-read", "lost-write"], reader, 6);
    }
}

#[test]
fn a_planted_read_of_a_value_that_nobody_wrote_is_found() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let mut ops = simulate(shape, seed as u64);
        let reader = a_read(&ops, 9_000, 1, |_| true);
        ops[reader.1].value = json!([1, "ghost"]);
        convicts(&ops, &check(&ops), 1, &["phantom-read"], reader, 2);
    }
}

#[test]
fn a_planted_read_of_the_future_is_found() {
    let mut ops = simulate(UNIQUE, 5);
    let reader = a_read(&ops, 4_000, 3, |_| true);
    let later = a_read(&ops, 9_000, 3, |_| true);
    ops[reader.1].value = ops[later.1].value.clone();
    convicts(&ops, &check(&ops), 3, &["future-read"], reader, 4);
}

#[test]
fn a_planted_stale_read_among_few_values_is_found() {
    let mut found = 0;
    for seed in 0..8 {
        let mut ops = simulate(SMALL, 20 + seed);
        let reader = a_read(&ops, 8_000, 0, |_| true);
        let value = ops[reader.1].value[1].as_u64().unwrap_or(0);
        ops[reader.1].value = json!([0, (value + 2) % 5]);
        let verdict = check(&ops);
        // Another operation that overlaps may have set that value after all.
        if verdict.valid == Valid::False {
            found += 1;
            let anomaly = &verdict.anomalies[0];
            assert_eq!(anomaly.key, Some(json!(0)));
            assert!(anomaly.witness.len() <= 24, "{anomaly:?}");
            assert_eq!(check(&only(&ops, &anomaly.witness)).valid, Valid::False, "{anomaly:?}");
        }
    }
    assert!(found >= 4, "{found}");
}

/// What never makes a valid history invalid.
#[test]
fn harmless_changes_keep_a_history_valid() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let shape = Shape { ops: 2_000, ..shape };
        let ops = simulate(shape, 40 + seed as u64);
        let mut crashed = ops.clone();
        for at in [10, 500, 1_000] {
            let ghost = Op::new("write").process(Process::Client(1_000_000 + at)).value(json!([0, "unseen"]));
            crashed.insert(at as usize, ghost);
        }
        assert_eq!(check(&crashed).valid, Valid::True);

        let renamed: Vec<Op> = ops.iter().cloned().map(rename).collect();
        assert_eq!(check(&renamed).valid, Valid::True);

        assert_eq!(check(&widen(&ops, seed as u64)).valid, Valid::True);
    }
}

fn rename(mut op: Op) -> Op {
    let name = |v: &mut Value| {
        if !v.is_null() {
            *v = json!({"name": format!("value {v}")});
        }
    };
    match &mut op.value[1] {
        Value::Array(pair) => pair.iter_mut().for_each(name),
        value => name(value),
    }
    op
}

/// Moves completions later and invocations earlier, past events of other processes.
fn widen(ops: &[Op], seed: u64) -> Vec<Op> {
    let mut random = Random(seed);
    let mut ops = ops.to_vec();
    for _ in 0..ops.len() {
        let at = random.below(ops.len() - 1);
        let (a, b) = (&ops[at], &ops[at + 1]);
        if a.process != b.process && a.kind != Type::Invoke && b.kind == Type::Invoke {
            ops.swap(at, at + 1);
        }
    }
    ops
}

/// `k` crashed writes of one value and a read that no order explains: the search must refute each way to use them.
fn crashed_writes(k: u32, distinct: bool) -> Vec<Op> {
    let by = |p, f: &'static str, kind, value: Value| {
        Op::new(f).process(Process::Client(p)).kind(kind).value(json!([0, value]))
    };
    let mut ops = Vec::new();
    for p in 0..k {
        ops.push(by(p, "write", Type::Invoke, json!(if distinct { p } else { 0 })));
        ops.push(by(p, "write", Type::Info, json!(if distinct { p } else { 0 })));
    }
    for round in 0..10 {
        // Twice the same value, so that the writes are not unique and the zones do not apply.
        for value in ["x", "x", "y"] {
            ops.push(by(k, "write", Type::Invoke, json!(value)));
            ops.push(by(k + 1, "read", Type::Invoke, Value::Null));
            ops.push(by(k, "write", Type::Ok, json!(value)));
            ops.push(by(k + 1, "read", Type::Ok, json!(if round == 9 { "z" } else { value })));
        }
    }
    ops
}

#[test]
fn crashed_writes_cost_a_polynomial() {
    for (k, distinct) in [(20, false), (200, false), (20, true), (100, true)] {
        let verdict = check(&crashed_writes(k, distinct));
        assert_eq!((verdict.valid, verdict.anomalies[0].kind.as_str()), (Valid::False, "phantom-read"));
        let steps = verdict.stats["configurations"].as_u64().unwrap();
        let classes = if distinct { u64::from(k) } else { 1 };
        assert!(steps < 400 * (classes + 1) * (classes + 1), "{steps} configurations for {k} crashed writes");
    }
}

#[test]
fn a_limit_gives_unknown_with_its_reason_and_the_prefix_that_was_decided() {
    let ops = simulate(Shape { keys: 1, clients: 8, ..SMALL }, 3);
    let history: History = ops.into_iter().collect();
    let limited = Linearizable::new("register", Register).independent().steps_max(500).check(&history);
    assert_eq!(limited.valid, Valid::Unknown);
    let reason = limited.reason.unwrap();
    assert!(reason.starts_with("key 0: no answer after 500 configurations; raise the limit"), "{reason}");
    assert!(reason.contains("it is linearizable before event "), "{reason}");
    let small = Budget::default().memory_bytes(1 << 10);
    let small = Linearizable::new("register", Register).independent().check_within(&history, &small);
    assert!(small.reason.unwrap().contains("the memory cap is"));
}

#[test]
fn a_sentence_says_what_was_read_and_what_had_been_acknowledged() {
    let at = |seconds: f64| (seconds * 1e9) as u64;
    let op = |p, f: &'static str, kind, value: Value, time| {
        Op::new(f).process(Process::Client(p)).kind(kind).value(json!([4, value])).at(time)
    };
    let ops = [
        op(1, "write", Type::Invoke, json!(12), at(13.0)),
        op(1, "write", Type::Ok, json!(12), at(13.1)),
        op(2, "write", Type::Invoke, json!(15), at(13.8)),
        op(2, "write", Type::Ok, json!(15), at(13.88)),
        op(7, "read", Type::Invoke, Value::Null, at(14.0)),
        op(7, "read", Type::Ok, json!(12), at(14.203)),
    ];
    let anomaly = check(&ops).anomalies.remove(0);
    let sentence = "key 4 is not linearizable: read by process 7 at 14.203 s returned 12, but 15 was acknowledged at \
                    13.880 s";
    assert_eq!((anomaly.kind.as_str(), anomaly.sentence.as_str()), ("stale-read", sentence));
    assert_eq!(anomaly.witness, [0, 1, 2, 3, 4, 5]);
    assert_eq!(
        anomaly.steps.first().unwrap(),
        "Everything before event 5 at 14.203 s is linearizable; with it nothing is."
    );
    assert_eq!(anomaly.steps[2], "write 15 by process 2 from 13.800 s to 13.880 s.");

    // Two readers that miss it, and no one who ever saw it: the write is lost.
    let mut lost = ops.to_vec();
    lost.insert(4, op(8, "read", Type::Invoke, Value::Null, at(14.0)));
    lost.push(op(8, "read", Type::Ok, json!(12), at(14.3)));
    assert_eq!(check(&lost).anomalies[0].kind, "lost-write");

    // A write that failed, and shows.
    let mut failed = ops.to_vec();
    failed[1].kind = Type::Fail;
    let sentence = "key 4 is not linearizable: read by process 7 at 14.203 s returned 12, but process 1 failed to write \
                    it at 13.100 s; if that may have taken effect, record it as info";
    assert_eq!(check(&failed).anomalies[0].sentence, sentence);
}

#[test]
fn what_a_register_does_not_have_is_unknown_and_says_where() {
    let ops = [Op::new("pop"), Op::new("pop").kind(Type::Ok)];
    let verdict = check(&ops);
    assert_eq!(verdict.valid, Valid::Unknown);
    let reason = "event 0: a register has no `pop`: it has read, write and cas";
    assert_eq!(verdict.reason.as_deref(), Some(reason));
    let orphan = check(&[Op::new("read").kind(Type::Ok)]);
    assert_eq!(orphan.reason.as_deref(), Some("event 0 completes what was never invoked"));
    assert_eq!(check(&[]).valid, Valid::True);
}

fn done(process: u32, f: &'static str, asked: Value, returned: Value) -> [Op; 2] {
    let by = |kind, value| Op::new(f).process(Process::Client(process)).kind(kind).value(value);
    [by(Type::Invoke, asked), by(Type::Ok, returned)]
}

#[test]
fn an_object_holds_its_initial_value_at_first() {
    let null = Value::Null;
    let read = |f, value: Value| -> History { done(0, f, Value::Null, value).into_iter().collect() };
    let valid = |checker: &dyn Checker, history: &History| checker.check(history).valid;
    let register = Linearizable::new("register", Register);
    assert_eq!(valid(&register, &read("read", null.clone())), Valid::True);
    assert_eq!(valid(&register, &read("read", json!(0))), Valid::False);
    let register = register.starting_at(0);
    assert_eq!(valid(&register, &read("read", json!(0))), Valid::True);
    assert_eq!(valid(&register, &read("read", null)), Valid::False);
    // The same where writes are not unique, and the search decides.
    let twice = [done(0, "write", json!(1), json!(1)), done(0, "write", json!(1), json!(1))].concat();
    let first = |value: Value| -> History {
        done(0, "read", Value::Null, value).into_iter().chain(twice.clone()).collect()
    };
    assert_eq!(valid(&register, &first(json!(0))), Valid::True);
    assert_eq!(valid(&register, &first(json!(null))), Valid::False);
    for initial in [json!("a"), json!(7)] {
        let kv = Linearizable::new("kv", Kv).starting_at(initial.clone());
        assert_eq!(valid(&kv, &read("get", initial)), Valid::True);
        assert_eq!(valid(&kv, &read("get", json!(null))), Valid::False);
    }
    let counter = Linearizable::new("counter", Counter).starting_at(3);
    assert_eq!(valid(&counter, &read("read", json!(3))), Valid::True);
    let lock = Linearizable::new("mutex", squall_checkers::model::Mutex).starting_at(3);
    assert_eq!(valid(&lock, &History::new()), Valid::Unknown);
}

#[test]
fn keys_that_events_decide_and_keys_that_are_searched_are_counted_together() {
    let mut ops = simulate(Shape { ops: 2_000, ..UNIQUE }, 8);
    ops.extend(simulate(Shape { ops: 2_000, ..SMALL }, 9).into_iter().map(|mut op| {
        let process = if let Process::Client(id) = op.process { id + 100 } else { 0 };
        op.process = Process::Client(process);
        op.value[0] = json!(format!("small {}", op.value[0]));
        op
    }));
    let verdict = check(&ops);
    assert_eq!(verdict.valid, Valid::True, "{verdict:?}");
    assert_eq!(verdict.stats["keys"], 8);
    let mut wrong = ops.clone();
    let reader = a_read(&ops, 1_000, 2, |_| true);
    wrong[reader.1].value = json!([2, "ghost"]);
    let verdict = check(&wrong);
    assert_eq!((verdict.valid, &verdict.stats["keys_invalid"]), (Valid::False, &json!(1)));
    assert_eq!(verdict.stats["valid_prefix_events"], reader.1);
}

#[test]
fn thousands_of_operations_pending_at_once_are_decided() {
    let by =
        |p: u32, f: &'static str, kind, value| Op::new(f).process(Process::Client(p)).kind(kind).value(value);
    let all = |kind| (0..5_000).map(move |p| by(p, "write", kind, json!([0, p % 7])));
    let mut ops: Vec<Op> = all(Type::Invoke).chain(all(Type::Ok)).collect();
    assert_eq!(check(&ops).valid, Valid::True);
    ops.extend(done(0, "read", json!([0, null]), json!([0, "ghost"])));
    // To refute every order takes more than there is: the answer says how far it came.
    let (history, budget) = (ops.into_iter().collect(), Budget::default().memory_bytes(64 << 20));
    let verdict = Linearizable::new("register", Register).independent().check_within(&history, &budget);
    assert_eq!(verdict.valid, Valid::Unknown, "{verdict:?}");
    assert!(verdict.reason.is_some_and(|reason| reason.contains("it is linearizable before event")));
}
