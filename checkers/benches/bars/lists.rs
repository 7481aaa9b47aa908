//! Elle's family: list-append and rw-register transactions.

use squall_checkers::history::write_jsonl;
use squall_checkers::{Append, History, RwRegister, Valid};

use crate::case::{Case, Input};
use crate::random::Random;
use crate::stores::{lists, registers};

pub(crate) fn cases() -> Vec<Case> {
    let base = Case {
        name: "list-append, strict serializable, with parsing",
        size: 100_000,
        quick: 5_000,
        input: appends,
        checker: || Box::new(Append::default()),
        valid: Valid::True,
        bar_ms: Some(250.0),
        bar_mib: None,
        quick_bytes_per_op: 2_000,
        quick_steps_per_op: Some(10.0),
    };
    vec![
        Case { ..base },
        Case {
            name: "list-append, the same, 10^6",
            size: 1_000_000,
            quick: 10_000,
            bar_ms: Some(3_000.0),
            bar_mib: Some(1024.0),
            ..base
        },
        Case {
            name: "rw-register, strict serializable, with parsing",
            input: values,
            checker: || Box::new(RwRegister::default()),
            bar_ms: None,
            // The search over what is left open of the order of versions comes after, and holds as much again.
            quick_bytes_per_op: 5_000,
            quick_steps_per_op: Some(16.0),
            ..base
        },
    ]
}

fn appends(txns: usize) -> Input {
    file(&lists(&mut Random(1), txns, 20))
}

fn values(txns: usize) -> Input {
    file(&registers(&lists(&mut Random(1), txns, 20)))
}

fn file(history: &History) -> Input {
    let mut bytes = Vec::new();
    write_jsonl(history, &mut bytes).expect("a vector takes it");
    Input::File(bytes)
}
