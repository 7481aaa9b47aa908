//! Linearizability.

use std::env;
use std::path::PathBuf;

use serde_json::{Value, json};
use squall_checkers::history::read_file;
use squall_checkers::model::{Kv, Model, MultiRegister, Register, Semaphore};
use squall_checkers::{Checker, History, Linearizable, Op, Process, Type, Valid};

use crate::case::{Case, Input};
use crate::random::Random;
use crate::simulated::{Shape, simulate, simulate_each};

pub(crate) fn cases() -> Vec<Case> {
    let base = Case {
        name: "",
        size: 1_000_000,
        quick: 10_000,
        input: unique,
        checker: || independent(Register),
        valid: Valid::True,
        bar_ms: None,
        bar_mib: None,
        quick_bytes_per_op: 400,
        quick_steps_per_op: None,
    };
    vec![
        Case { name: "register, unique writes", bar_ms: Some(30.0), bar_mib: Some(38.0), ..base },
        Case { name: "register, unique writes, 100 keys", input: unique_keys, bar_ms: Some(60.0), ..base },
        Case {
            name: "cas-register, 5 values, 10 clients",
            size: 100_000,
            input: cas,
            bar_ms: Some(300.0),
            bar_mib: Some(50.0),
            quick_steps_per_op: Some(20.0),
            quick_bytes_per_op: 4_000,
            ..base
        },
        Case {
            name: "etcd logs",
            size: 8_000,
            quick: 8_000,
            input: |_| recorded("porcupine/jepsen"),
            checker: || Box::new(Linearizable::new("register", Register)),
            valid: Valid::True,
            bar_ms: Some(40.0),
            quick_bytes_per_op: 20_000,
            ..base
        },
        Case {
            name: "kv c50-ok",
            size: 1_700,
            quick: 1_700,
            input: |_| recorded("porcupine/kv/c50-ok.txt"),
            checker: || independent(Kv),
            bar_ms: Some(15.0),
            quick_bytes_per_op: 20_000,
            ..base
        },
        Case {
            name: "register, unique writes, 10^7",
            size: 10_000_000,
            bar_ms: Some(400.0),
            bar_mib: Some(381.0),
            ..base
        },
        Case {
            name: "kv, unique puts, 100 keys",
            input: unique_puts,
            checker: || independent(Kv),
            bar_ms: Some(60.0),
            ..base
        },
        Case { name: "cas-register, unique values", input: unique_cas, bar_ms: Some(60.0), ..base },
        Case {
            name: "register, unique writes, 5 % crashed",
            input: unique_crashed,
            bar_ms: Some(60.0),
            ..base
        },
        Case {
            name: "cas-register, 5 values, 5 % crashed",
            size: 2_000,
            quick: 500,
            input: cas_crashed,
            quick_steps_per_op: Some(40.0),
            quick_bytes_per_op: 8_000,
            ..base
        },
        Case {
            name: "semaphore, 10 permits, 10 clients",
            size: 100_000,
            input: permits,
            checker: || Box::new(Linearizable::new("semaphore", Semaphore { permits: 10 })),
            bar_ms: Some(300.0),
            quick_steps_per_op: Some(20.0),
            quick_bytes_per_op: 4_000,
            ..base
        },
        Case {
            name: "multi-register, 4 registers, 10 clients",
            size: 100_000,
            input: registers_at_once,
            checker: || Box::new(Linearizable::new("multi-register", MultiRegister).starting_at(0)),
            quick_steps_per_op: Some(50.0),
            quick_bytes_per_op: 6_000,
            ..base
        },
    ]
}

fn independent<M: Model + 'static>(model: M) -> Box<dyn Checker> {
    Box::new(Linearizable::new("linear", model).independent())
}

const UNIQUE: Shape = Shape { ops: 0, clients: 10, keys: 1, values: 0, crash_every: 0, cas: false };

fn registers(shape: Shape) -> Input {
    let mut history = History::new();
    simulate_each(shape, 1, |op| history.push(&op));
    Input::of(history)
}

fn unique(ops: usize) -> Input {
    registers(Shape { ops, ..UNIQUE })
}

fn unique_keys(ops: usize) -> Input {
    registers(Shape { ops, keys: 100, ..UNIQUE })
}

fn unique_puts(ops: usize) -> Input {
    let named = |mut op: Op| {
        op.f = if op.f == "read" { "get".into() } else { "put".into() };
        op
    };
    Input::of(simulate(Shape { ops, keys: 100, ..UNIQUE }, 1).into_iter().map(named).collect())
}

fn unique_cas(ops: usize) -> Input {
    registers(Shape { ops, cas: true, ..UNIQUE })
}

fn unique_crashed(ops: usize) -> Input {
    registers(Shape { ops, crash_every: 20, ..UNIQUE })
}

fn cas_crashed(ops: usize) -> Input {
    registers(Shape { ops, values: 5, cas: true, crash_every: 20, ..UNIQUE })
}

/// Clients that take up to three permits each and give them back.
fn permits(ops: usize) -> Input {
    let mut random = Random(1);
    let mut held = [0; 10];
    let mut free = 10;
    let mut open: [Option<(&'static str, usize, bool)>; 10] = [None; 10];
    let mut history = History::new();
    let mut started = 0;
    while started < ops || open.iter().any(Option::is_some) {
        let client = random.below(10);
        let event =
            |f, kind, n: usize| Op::new(f).process(Process::Client(client as u32)).kind(kind).value(n);
        match open[client] {
            None if started < ops || held[client] > 0 => {
                started += 1;
                let (f, n) = match held[client] {
                    0 => ("acquire", 1 + random.below(3)),
                    held => ("release", held),
                };
                history.push(&event(f, Type::Invoke, n));
                open[client] = Some((f, n, false));
            }
            Some(("acquire", n, false)) if n <= free => {
                free -= n;
                open[client] = Some(("acquire", n, true));
            }
            Some(("release", n, false)) => {
                free += n;
                open[client] = Some(("release", n, true));
            }
            Some((f, n, true)) => {
                held[client] = if f == "acquire" { n } else { 0 };
                history.push(&event(f, Type::Ok, n));
                open[client] = None;
            }
            _ => {}
        }
    }
    Input::of(history)
}

/// Transactions of two reads or writes on four registers with five values.
fn registers_at_once(ops: usize) -> Input {
    let mut random = Random(1);
    let mut values = [0; 4];
    let mut open: Vec<Option<(Value, bool)>> = vec![None; 10];
    let mut history = History::new();
    let mut started = 0;
    while started < ops || open.iter().any(Option::is_some) {
        let client = random.below(10);
        let event = |kind, micros: &Value| {
            Op::new("txn").process(Process::Client(client as u32)).kind(kind).value(micros.clone())
        };
        match &mut open[client] {
            None if started < ops => {
                started += 1;
                let mut micro = |_| match (random.below(2), random.below(4), random.below(5)) {
                    (0, register, _) => json!(["r", register, null]),
                    (_, register, value) => json!(["w", register, value]),
                };
                let micros = Value::from_iter((0..2).map(&mut micro));
                history.push(&event(Type::Invoke, &micros));
                open[client] = Some((micros, false));
            }
            Some((micros, done @ false)) => {
                for micro in micros.as_array_mut().into_iter().flatten() {
                    let register = &mut values[micro[1].as_u64().unwrap_or(0) as usize];
                    match micro[0] == "r" {
                        true => micro[2] = json!(*register),
                        false => *register = micro[2].as_u64().unwrap_or(0),
                    }
                }
                *done = true;
            }
            Some((micros, true)) => {
                history.push(&event(Type::Ok, micros));
                open[client] = None;
            }
            None => {}
        }
    }
    Input::of(history)
}

fn cas(ops: usize) -> Input {
    registers(Shape { ops, values: 5, cas: true, ..UNIQUE })
}

/// A recorded history of others, or all in a folder, found as the conformance test finds them.
fn recorded(path: &str) -> Input {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/histories"));
    let path = env::var_os("SQUALL_HISTORIES").map_or_else(beside, PathBuf::from).join(path);
    let load = |path: PathBuf| -> History { read_file(path).expect("a recorded history is read").history };
    if path.is_file() {
        return Input::of(load(path));
    }
    let Ok(folder) = path.read_dir() else { return Input::Missing };
    let mut files: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Input::Histories(files.into_iter().map(load).collect())
}
