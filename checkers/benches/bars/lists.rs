//! Elle's family: list-append and rw-register transactions.

use squall_checkers::history::write_jsonl;
use squall_checkers::{Append, Valid};

use crate::case::{Case, Input};
use crate::random::Random;
use crate::stores::lists;

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
        quick_bytes_per_op: 8_000,
        quick_steps_per_op: None,
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
    ]
}

fn appends(txns: usize) -> Input {
    let mut bytes = Vec::new();
    write_jsonl(&lists(&mut Random(1), txns, 20), &mut bytes).expect("a vector takes it");
    Input::File(bytes)
}
