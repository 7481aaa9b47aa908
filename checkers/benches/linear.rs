//! Linearizability and sets: `cargo bench -p squall-checkers --bench linear`.
//!
//! Prints for each history its operations, the configurations explored, the bytes of the largest search, and the best
//! wall-clock time of a few checks, without reading the history. Recorded histories of others are found as the
//! conformance test finds them; without them only simulated ones are judged.

#[path = "../tests/common/simulated.rs"]
mod simulated;

use std::env;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};
use simulated::{Shape, simulate};
use squall_checkers::history::read_file;
use squall_checkers::model::{Kv, Model, Register};
use squall_checkers::{Checker, History, Linearizable, Op, SetFull, Type};

const ROUNDS: usize = 5;

fn main() {
    println!("{:<34} {:>8} {:>14} {:>12} {:>10}", "history", "ops", "configurations", "search bytes", "ms");
    recorded();
    let shape = Shape { ops: 100_000, clients: 10, keys: 1, values: 0, crash_every: 0, cas: false };
    register("unique writes, 1 key", shape);
    register("unique writes, 10^6 ops, 100 keys", Shape { ops: 1_000_000, keys: 100, ..shape });
    register("unique writes, 1 in 50 crashed", Shape { crash_every: 50, ..shape });
    let small = Shape { values: 5, cas: true, ..shape };
    register("cas, 5 values, 10 clients, 1 key", small);
    register("cas, 5 values, 10 clients, 100 keys", Shape { keys: 100, ..small });
    register("cas, 5 values, 1 in 1000 crashed", Shape { crash_every: 1000, ..small });
    register("cas, 5 values, 1 in 20 crashed", Shape { crash_every: 20, keys: 500, ..small });
    let saturated: History =
        simulate(Shape { ops: 1_000, clients: 50, values: 50, ..small }, 1).into_iter().collect();
    // Nobody decides this one: what it shows is what giving up costs.
    measure("cas, 50 clients, to 10^6 steps", &independent(Register).steps_max(1_000_000), &[saturated]);
    set(1_000_000);
}

fn recorded() {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/histories"));
    let folder = env::var_os("SQUALL_HISTORIES").map_or_else(beside, PathBuf::from);
    let Ok(logs) = folder.join("porcupine/jepsen").read_dir() else { return };
    let load = |path: PathBuf| read_file(path).expect("a recorded history is read").history;
    let logs: Vec<History> = logs.flatten().map(|log| load(log.path())).collect();
    measure(&format!("{} etcd logs", logs.len()), &Linearizable::new("register", Register), &logs);
    for name in ["c10-ok", "c10-bad", "c50-ok"] {
        let history = load(folder.join(format!("porcupine/kv/{name}.txt")));
        measure(&format!("kv {name}"), &Linearizable::new("kv", Kv).independent(), &[history]);
    }
}

fn register(name: &str, shape: Shape) {
    let history: History = simulate(shape, 1).into_iter().collect();
    measure(name, &independent(Register), &[history]);
}

fn independent<M: Model>(model: M) -> Linearizable<M> {
    Linearizable::new("linear", model).independent()
}

/// Adds, and now and then a read of what was added last; at the end one of everything.
fn set(adds: usize) {
    let mut history = History::new();
    let mut push = |f: &'static str, asked: Value, answer: Value| {
        let at = history.len() as u64 * 1000;
        history.push(&Op::new(f).value(asked).at(at));
        history.push(&Op::new(f).value(answer).kind(Type::Ok).at(at + 500));
    };
    for n in 0..adds {
        push("add", json!(n), json!(n));
    }
    push("read", Value::Null, (0..adds).collect());
    measure("set, 10^6 adds and a read", &SetFull::new(), &[history]);
}

fn measure(name: &str, checker: &dyn Checker, histories: &[History]) {
    let mut best_ms = f64::INFINITY;
    let mut verdicts = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        verdicts = histories.iter().map(|history| checker.check(history)).collect();
        best_ms = best_ms.min(start.elapsed().as_secs_f64() * 1e3);
    }
    let number =
        |name: &'static str| verdicts.iter().filter_map(move |verdict| verdict.stats.get(name)?.as_u64());
    let ops: usize = histories.iter().map(|history| history.len() / 2).sum();
    let (steps, bytes) =
        (number("configurations").sum::<u64>(), number("search_bytes_max").max().unwrap_or(0));
    println!("{name:<34} {ops:>8} {steps:>14} {bytes:>12} {best_ms:>10.2}");
}
