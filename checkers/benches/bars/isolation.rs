//! Isolation of transactions over registers, without a version order.

use squall_checkers::history::read;
use squall_checkers::{Checker, Isolation, IsolationLevel, Valid};

use crate::case::{Case, Input};
use crate::random::Random;
use crate::registers::{Load, awdit, registers};

pub(crate) fn cases() -> Vec<Case> {
    let base = Case {
        name: "read committed, 8 mops, 100 sessions, parsing",
        size: 1_000_000,
        quick: 5_000,
        input: |txns| Input::File(text(Load { txns, ..LOAD })),
        checker: || checker(IsolationLevel::ReadCommitted),
        valid: Valid::True,
        bar_ms: Some(1_500.0),
        bar_mib: None,
        quick_bytes_per_op: 3_000,
        quick_steps_per_op: None,
    };
    let causal = || checker(IsolationLevel::Causal);
    vec![
        Case { ..base },
        Case {
            name: "read atomic, the same",
            checker: || checker(IsolationLevel::ReadAtomic),
            bar_ms: Some(2_000.0),
            ..base
        },
        Case {
            name: "transactional causal, 8 mops, 100 sessions",
            input: |txns| in_memory(Load { txns, ..LOAD }),
            checker: causal,
            bar_ms: Some(8_000.0),
            bar_mib: Some(1536.0),
            ..base
        },
        Case {
            name: "transactional causal, stale snapshots",
            input: |txns| in_memory(Load { txns, lag: 1_000, ..LOAD }),
            checker: causal,
            bar_ms: Some(8_000.0),
            bar_mib: Some(1536.0),
            ..base
        },
        Case {
            name: "transactional causal, 20 mops, 100 sessions",
            size: 100_000,
            input: |txns| in_memory(Load { txns, mops: 20, ..LOAD }),
            checker: causal,
            bar_ms: Some(3_000.0),
            bar_mib: Some(716.0),
            quick_bytes_per_op: 6_000,
            ..base
        },
    ]
}

const LOAD: Load = Load { txns: 0, mops: 8, sessions: 100, keys: 1_000, lag: 0 };

fn text(load: Load) -> Vec<u8> {
    awdit(&registers(&mut Random(1), load)).into_bytes()
}

fn in_memory(load: Load) -> Input {
    Input::of(read(&text(load)[..], "bench").expect("a readable file").history)
}

fn checker(level: IsolationLevel) -> Box<dyn Checker> {
    Box::new(Isolation::new(level))
}
