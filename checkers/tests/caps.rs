//! Caps on memory hold, by the allocator's count, and a check that is cancelled ends.
//!
//! A row for each checker with an input that is hard for it. More rows are welcome: a name and a history.

#[path = "common/counting.rs"]
mod counting;
#[path = "common/random.rs"]
mod random;
#[path = "common/simulated.rs"]
mod simulated;

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use counting::{Counting, counted};
use serde_json::{Value, json};
use simulated::{Shape, simulate};
use squall_checkers::registry::Facts;
use squall_checkers::{Budget, Checker, History, Op, Process, Type, Valid, registry};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocator counts for all threads, so one test runs at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Bytes beyond the cap: threads, the verdict, and what is smaller than one look at the budget.
const SLACK_BYTES: usize = 1 << 20;

/// A checker's name, and a history that would cost it far more than the caps.
type Row = (&'static str, fn() -> History);

const HARD: &[Row] = &[
    ("linearizable-register", || saturated(|value| value)),
    ("linearizable-registers", || saturated(|value| json!([0, value]))),
    ("linearizable-kv", appends),
    ("linearizable-counter", || distinct("add", "read")),
    ("linearizable-semaphore", || distinct("acquire", "release")),
    ("linearizable-multi-register", many_registers),
];

/// Histories that need memory in proportion to their length.
const LONG: &[Row] = &[
    ("linearizable-register", || simulate_register(0)),
    ("linearizable-register", || simulate_register(5)),
    ("linearizable-mutex", long_mutex),
    // Processes whose numbers are far apart had a table of 64 MiB before it was asked whether there is so much.
    ("linearizable-register", || far_processes(60_000, 40_000)),
    ("linearizable-register", || far_processes(100, 400_000)),
    ("sequential", || far_processes(100, 100_000)),
];

fn checker(name: &str) -> Box<dyn Checker> {
    let entry = registry::all().find(|entry| entry.name == name).expect("a checker of that name");
    (entry.build)(&Facts::default())
}

fn event(process: usize, f: &'static str, kind: Type, value: Value) -> Op {
    Op::new(f).process(Process::Client(process as u32)).kind(kind).value(value)
}

/// Clients that all have an operation pending, again and again, on few values; the last read is wrong.
fn saturated(value: fn(Value) -> Value) -> History {
    let mut random = random::Random(1);
    let mut ops = Vec::new();
    for round in 0..20 {
        let asked: Vec<usize> = (0..40).map(|_| random.below(10)).collect();
        for (process, &n) in asked.iter().enumerate() {
            let (f, v) = if n < 5 { ("write", json!(n)) } else { ("cas", json!([n - 5, (n + round) % 5])) };
            ops.push(event(process, f, Type::Invoke, value(v)));
        }
        for (process, &n) in asked.iter().enumerate() {
            let (f, v) = if n < 5 { ("write", json!(n)) } else { ("cas", json!([n - 5, (n + round) % 5])) };
            ops.push(event(process, f, Type::Ok, value(v)));
        }
    }
    ops.push(event(0, "read", Type::Invoke, value(json!(null))));
    ops.push(event(0, "read", Type::Ok, value(json!(77))));
    ops.push(event(0, "read", Type::Invoke, value(json!(null))));
    ops.push(event(0, "read", Type::Ok, value(json!(0))));
    ops.into_iter().collect()
}

/// Appends whose order nothing shows, and a put that nobody saw: the strings are all different.
fn appends() -> History {
    let mut ops = Vec::new();
    for process in 0..24 {
        let value = json!([0, format!("{process} {}", "x".repeat(1_000))]);
        ops.push(event(process, "append", Type::Invoke, value.clone()));
    }
    for process in 0..24 {
        ops.push(event(process, "append", Type::Ok, json!([0, "done"])));
    }
    ops.push(event(0, "get", Type::Invoke, json!([0, null])));
    ops.push(event(0, "get", Type::Ok, json!([0, 5])));
    ops.into_iter().collect()
}

/// Operations at once whose numbers have very many sums, and one that fits none.
fn distinct(more: &'static str, end: &'static str) -> History {
    let mut ops = Vec::new();
    let number = |process: usize| json!((1_u64 << process) % 1_000_003 + 7);
    let by = |kind| (0..40).map(move |process| event(process, more, kind, number(process)));
    ops.extend(by(Type::Invoke));
    ops.extend(by(Type::Ok));
    ops.push(event(0, end, Type::Invoke, json!(3_000_000_000_u64)));
    ops.push(event(0, end, Type::Ok, json!(3_000_000_000_u64)));
    if more == "acquire" {
        // Nobody has so many permits: give some back first, all at once.
        let give = |kind| (100..140).map(move |process| event(process, end, kind, number(process - 100)));
        ops.splice(40..40, give(Type::Invoke));
    }
    ops.into_iter().collect()
}

fn many_registers() -> History {
    let mut ops = Vec::new();
    let write = |process: usize| json!([["w", process % 20, process]]);
    let by = |kind| (0..40).map(move |process| event(process, "txn", kind, write(process)));
    ops.extend(by(Type::Invoke));
    ops.extend(by(Type::Ok));
    ops.push(event(0, "txn", Type::Invoke, json!([["r", 3, null]])));
    ops.push(event(0, "txn", Type::Ok, json!([["r", 3, 1]])));
    ops.into_iter().collect()
}

fn far_processes(ops: usize, apart: u32) -> History {
    let far = |mut op: Op| {
        if let Process::Client(process) = &mut op.process {
            *process *= apart;
        }
        op
    };
    register(ops, 0).map(far).collect()
}

fn simulate_register(values: usize) -> History {
    register(60_000, values).collect()
}

fn register(ops: usize, values: usize) -> impl Iterator<Item = Op> {
    let shape = Shape { ops, clients: 10, keys: 1, values, crash_every: 0, cas: false };
    let plain = |mut op: Op| {
        op.value = op.value[1].take();
        op
    };
    simulate(shape, 1).into_iter().map(plain)
}

fn long_mutex() -> History {
    let turn = |n: usize| {
        ["acquire", "release"]
            .map(|f| [Type::Invoke, Type::Ok].map(|kind| event(n % 5, f, kind, json!(null))))
    };
    (0..20_000).flat_map(turn).flatten().collect()
}

#[test]
fn memory_caps_hold() {
    let _one = ONE_AT_A_TIME.lock();
    let mut unknown = 0;
    for (&(name, history), cap) in
        HARD.iter().chain(LONG).flat_map(|row| [1, 4, 16].map(|mib: usize| (row, mib << 20)))
    {
        let (history, checker) = (history(), checker(name));
        let budget = Budget::default().memory_bytes(cap);
        let (verdict, allocated) = counted(|| checker.check_within(&history, &budget));
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let (peak, total) = (mib(allocated.peak), mib(allocated.total));
        println!("{name}: {peak:.1} MiB of {:.0}, {total:.1} in all: {}", mib(cap), verdict.summary);
        assert!(
            allocated.peak <= cap + SLACK_BYTES,
            "{name}: {} bytes of {cap}: {verdict:?}",
            allocated.peak
        );
        assert_eq!(budget.memory_left(), cap, "{name} gave back what it took");
        if verdict.valid == Valid::Unknown {
            unknown += 1;
            assert!(verdict.reason.is_some_and(|reason| reason.contains("memory cap")), "{name}");
        }
    }
    assert!(unknown >= 9, "{unknown}");
}

#[test]
fn a_cancelled_check_ends() {
    let _one = ONE_AT_A_TIME.lock();
    for &(name, history) in HARD {
        let (history, checker, budget) = (history(), checker(name), Budget::default());
        let begun = Instant::now();
        let verdict = thread::scope(|scope| {
            let check = scope.spawn(|| checker.check_within(&history, &budget));
            thread::sleep(Duration::from_millis(30));
            budget.cancel();
            check.join().expect("no checker panics")
        });
        println!("{name}: {}", verdict.summary);
        assert!(begun.elapsed() < Duration::from_secs(60), "{name} goes on");
        if verdict.valid == Valid::Unknown {
            assert!(verdict.reason.is_some_and(|reason| reason.contains("it was cancelled")), "{name}");
        }
    }
}
