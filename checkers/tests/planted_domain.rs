//! A violation that is planted in a large valid history of a set, a counter, a log … is found, with a small witness.
//! Where the history tells nothing of real time, it is found by those checkers only that do without.

use std::time::Duration;

use serde_json::{Value, json};
use squall_checkers::domain::{
    Bank, Convergence, Counter, ExactlyOnce, Fencing, Kafka, LongFork, Monotonic, Queue, SetFull, Staleness,
    UniqueIds, Watch,
};
use squall_checkers::{Checker, History, Op, Process, Type, Valid};

const OPS: usize = 20_000;

/// Who did what, with which argument, and what came of it.
type Done = (u32, &'static str, Value, Value);

struct Case {
    checker: Box<dyn Checker>,
    valid: Vec<Done>,
    /// Where to plant what, and what that shows.
    at: usize,
    planted: Vec<Done>,
    kind: &'static str,
    /// Events of the witness.
    witness: usize,
    /// Whether it takes real time to say so.
    timed: bool,
}

fn history(ops: &[Done]) -> History {
    let mut history = History::new();
    for (process, f, asked, told) in ops {
        let time_ns = history.len() as u64 * 1_000_000;
        let op = Op::new(*f).process(Process::Client(*process)).at(time_ns);
        history.push(&op.clone().value(asked.clone()));
        history.push(&op.value(told.clone()).kind(Type::Ok));
    }
    history
}

fn check(case: Case) {
    let Case { checker, valid, at, planted, kind, witness, timed } = case;
    let name = checker.name();
    let verdict = checker.check(&history(&valid));
    assert_eq!(verdict.valid, Valid::True, "{name}: {}", verdict.summary);

    let mut broken = valid;
    broken.splice(at..at, planted);
    let mut broken = history(&broken);
    let verdict = checker.check(&broken);
    assert_eq!(verdict.valid, Valid::False, "{name}: {}", verdict.summary);
    assert_eq!(verdict.anomalies[0].kind, kind, "{verdict:#?}");
    assert_eq!(verdict.anomalies[0].witness.len(), witness, "{verdict:#?}");
    let again = checker.check(&broken.witness(&verdict.anomalies[0].witness));
    assert_eq!(again.valid, Valid::False, "{again:#?}");

    broken.set_real_time(false);
    let expected = if timed { Valid::Unknown } else { Valid::False };
    assert_eq!(checker.check(&broken).valid, expected, "{name} without real time");
}

/// `f`, and what it takes and returns.
fn op(n: usize, f: &'static str, asked: Value, told: Value) -> Done {
    ((n % 10) as u32, f, asked, told)
}

fn same(n: usize, f: &'static str, value: Value) -> Done {
    op(n, f, value.clone(), value)
}

fn read(n: usize, told: Value) -> Done {
    op(n, "read", json!(null), told)
}

fn adds() -> Vec<Done> {
    (0..OPS).map(|n| same(n, "add", json!(n))).collect()
}

#[test]
fn sets_and_replicas() {
    let all: Value = (0..OPS).collect();
    let with_reads = || adds().into_iter().chain((0..2).map(|n| read(n, all.clone()))).collect::<Vec<Done>>();
    for (checker, kind, planted, witness) in [
        (SetFull::new(), "lost-write", vec![same(11, "add", json!(-1))], 4),
        (SetFull::new(), "phantom-read", vec![read(11, json!([-1]))], 2),
        (SetFull::new().linearizable(), "stale-read", vec![read(11, (1..OPS / 2).collect())], 4),
    ] {
        let (checker, valid) = (Box::new(checker), with_reads());
        check(Case { checker, valid, at: OPS / 2, planted, kind, witness, timed: true });
    }
    check(Case {
        checker: Box::new(Convergence::new()),
        valid: with_reads(),
        at: OPS + 2,
        planted: vec![read(7, (1..OPS).collect())],
        kind: "divergence",
        witness: 4,
        timed: true,
    });
}

#[test]
fn counters_ids_and_monotonic_values() {
    let counted =
        (0..OPS).map(|n| if n % 2 == 0 { same(n, "add", json!(1)) } else { read(n, json!(n / 2 + 1)) });
    check(Case {
        checker: Box::new(Counter::new()),
        valid: counted.collect(),
        at: 10,
        planted: vec![read(3, json!(2))],
        kind: "too-low",
        witness: 8,
        timed: true,
    });
    let ids = |n: usize| op(n, "generate", json!(null), json!(n * 7));
    check(Case {
        checker: Box::new(UniqueIds::new()),
        valid: (0..OPS).map(ids).collect(),
        at: OPS / 2,
        planted: vec![ids(3)],
        kind: "duplicate-id",
        witness: 4,
        timed: false,
    });
    let grows = || (0..OPS).map(|n| op(n, "inc", json!(null), json!(n))).collect::<Vec<Done>>();
    for (checker, kind, process, timed) in [
        (Monotonic::new(), "regression", 77, true),
        (Monotonic::new().per_process(), "process-regression", 3, false),
    ] {
        check(Case {
            checker: Box::new(checker),
            valid: grows(),
            at: OPS / 2,
            planted: vec![(process, "read", json!(null), json!(2))],
            kind,
            witness: 4,
            timed,
        });
    }
}

#[test]
fn queues_and_work() {
    let through = || {
        let both = |n: usize| [same(n, "enqueue", json!(n)), op(n + 1, "dequeue", json!(null), json!(n))];
        let last = op(0, "drain", json!(null), json!([]));
        (0..OPS / 2).flat_map(both).chain([last]).collect::<Vec<Done>>()
    };
    check(Case {
        checker: Box::new(Queue::new()),
        valid: through(),
        at: OPS / 2,
        planted: vec![op(4, "dequeue", json!(null), json!(-1))],
        kind: "phantom-dequeue",
        witness: 2,
        timed: true,
    });
    check(Case {
        checker: Box::new(Queue::total()),
        valid: through(),
        at: OPS / 2,
        planted: vec![same(4, "enqueue", json!(-1))],
        kind: "lost-element",
        witness: 4,
        timed: true,
    });
    let done: Value = (0..OPS).collect();
    let work = (0..OPS).map(|n| same(n, "submit", json!(n))).chain([read(0, done)]);
    check(Case {
        checker: Box::new(ExactlyOnce::new()),
        valid: work.collect(),
        at: OPS / 2,
        planted: vec![same(4, "submit", json!(-1))],
        kind: "lost",
        witness: 4,
        timed: true,
    });
}

#[test]
fn banks_forks_locks_and_stale_registers() {
    let balances = |n: usize| json!({"0": 100 - n % 50, "1": 100 + n % 50});
    check(Case {
        checker: Box::new(Bank::new()),
        valid: (0..OPS).map(|n| read(n, balances(n))).collect(),
        at: OPS / 2,
        planted: vec![read(0, json!({"0": 100, "1": 101}))],
        kind: "wrong-total",
        witness: 4,
        timed: false,
    });
    let pair = |x: usize, values: [Value; 2]| {
        let [a, b] = values;
        let mops = json!([["r", x, a], ["r", x + 1, b]]);
        op(x, "txn", json!([["r", x, null], ["r", x + 1, null]]), mops)
    };
    let group = |n: usize| {
        let write = |key: usize| same(key, "txn", json!([["w", key, 1]]));
        let nothing = pair(2 * n, [json!(null), json!(null)]);
        [write(2 * n), pair(2 * n, [json!(1), json!(null)]), write(2 * n + 1), nothing]
    };
    check(Case {
        checker: Box::new(LongFork::new()),
        valid: (0..OPS / 4).flat_map(group).collect(),
        at: OPS / 2,
        planted: vec![pair(100, [json!(null), json!(1)])],
        kind: "long-fork",
        witness: 4,
        timed: false,
    });
    let locked = |n: usize| {
        let of = |f, asked, told| ((n % 10) as u32, f, asked, told);
        let (token, null) = (json!(n), json!(null));
        [
            of("acquire", null.clone(), token.clone()),
            of("write", token, null.clone()),
            of("release", null.clone(), null),
        ]
    };
    check(Case {
        checker: Box::new(Fencing::new()),
        valid: (0..OPS / 3).flat_map(locked).collect(),
        at: OPS / 2,
        planted: vec![(33, "write", json!(5), json!(null))],
        kind: "stale-write",
        witness: 4,
        timed: true,
    });
    let registers =
        (0..OPS).map(|n| if n % 2 == 0 { same(n, "write", json!(n)) } else { read(n, json!(n - 1)) });
    check(Case {
        checker: Box::new(Staleness::new().bound(Duration::from_millis(100))),
        valid: registers.collect(),
        at: OPS / 2,
        planted: vec![read(3, json!(8))],
        kind: "stale-read",
        witness: 6,
        timed: true,
    });
}

#[test]
fn logs_and_watches() {
    let sent = |n: usize| op(n, "send", json!([["send", "x", n]]), json!([["send", "x", [n, n]]]));
    let polled = |process: u32, offsets: &[usize]| -> Done {
        let pairs: Vec<[usize; 2]> = offsets.iter().map(|&offset| [offset, offset]).collect();
        (process, "poll", json!([["poll"]]), json!([["poll", { "x": pairs }]]))
    };
    let log = || (0..OPS / 2).flat_map(|n| [sent(n), polled(11, &[n])]).collect::<Vec<Done>>();
    let middle = OPS / 4;
    let never = op(3, "send", json!([["send", "x", "z"]]), json!([["send", "x", [-1, "z"]]]));
    for (planted, kind, witness) in [
        (vec![never], "lost-write", 4),
        (vec![polled(33, &[5, 4])], "int-nonmonotonic-poll", 2),
        (vec![polled(33, &[4, 6])], "int-poll-skip", 4),
        (vec![polled(33, &[5]), polled(33, &[4])], "nonmonotonic-poll", 4),
        (vec![polled(33, &[4]), polled(33, &[6])], "poll-skip", 6),
        (vec![polled(33, &[OPS])], "phantom-read", 2),
    ] {
        let checker = Box::new(Kafka::new());
        check(Case { checker, valid: log(), at: 2 * middle, planted, kind, witness, timed: false });
    }
    let changes = |n: usize| {
        let write = |n: usize| same(0, "write", json!(n));
        let watch =
            |process: u32| (process, "watch", json!(null), json!([[2 * n, 2 * n], [2 * n + 1, 2 * n + 1]]));
        [write(2 * n), write(2 * n + 1), watch(1), watch(2)]
    };
    let missed = (1, "watch", json!(null), json!([[7, 7]]));
    for (planted, kind, witness) in [
        (vec![(3, "watch", json!(null), json!([[0, 0], [2, 2]]))], "divergence", 4),
        (vec![missed], "duplicate", 4),
    ] {
        let (checker, valid) = (Box::new(Watch::new()), (0..OPS / 4).flat_map(changes).collect());
        check(Case { checker, valid, at: OPS / 2, planted, kind, witness, timed: false });
    }
}
