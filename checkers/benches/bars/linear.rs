//! Linearizability.

use std::env;
use std::path::PathBuf;

use squall_checkers::history::read_file;
use squall_checkers::model::{Kv, Model, Register};
use squall_checkers::{Checker, History, Linearizable, Valid};

use crate::case::{Case, Input};
use crate::simulated::{Shape, simulate};

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
            size: 10_000,
            input: |_| recorded("porcupine/kv/c50-ok.txt"),
            checker: || independent(Kv),
            bar_ms: Some(15.0),
            quick_bytes_per_op: 20_000,
            ..base
        },
    ]
}

fn independent<M: Model + 'static>(model: M) -> Box<dyn Checker> {
    Box::new(Linearizable::new("linear", model).independent())
}

const UNIQUE: Shape = Shape { ops: 0, clients: 10, keys: 1, values: 0, crash_every: 0, cas: false };

fn registers(shape: Shape) -> Input {
    Input::of(simulate(shape, 1).into_iter().collect())
}

fn unique(ops: usize) -> Input {
    registers(Shape { ops, ..UNIQUE })
}

fn unique_keys(ops: usize) -> Input {
    registers(Shape { ops, keys: 100, ..UNIQUE })
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
