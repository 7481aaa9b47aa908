//! Weaker models of single operations: causal consistency and session guarantees.

use squall_checkers::{Causal, CausalModel, Session, Valid};

use crate::case::{Case, Input};
use crate::random::Random;
use crate::stores::{Conflicts, replicated};

pub(crate) fn cases() -> Vec<Case> {
    let base = Case {
        name: "causal (CC)",
        size: 100_000,
        quick: 5_000,
        input: memory,
        checker: || Box::new(Causal::new(CausalModel::Cc)),
        valid: Valid::True,
        bar_ms: None,
        bar_mib: None,
        quick_bytes_per_op: 4_000,
        quick_steps_per_op: None,
    };
    vec![
        Case { ..base },
        Case {
            name: "causal (CC), 100 sessions, 10^6",
            size: 1_000_000,
            input: wide,
            bar_ms: Some(1_000.0),
            bar_mib: Some(190.0),
            ..base
        },
        Case {
            name: "causal-convergence (CCv)",
            input: convergent,
            checker: || Box::new(Causal::new(CausalModel::Ccv)),
            ..base
        },
        Case {
            name: "causal-memory (CM)",
            checker: || Box::new(Causal::new(CausalModel::Cm)),
            bar_ms: Some(30_000.0),
            ..base
        },
        Case {
            name: "session guarantees",
            size: 1_000_000,
            checker: || Box::new(Session::default()),
            bar_ms: Some(50.0),
            ..base
        },
    ]
}

fn memory(ops: usize) -> Input {
    Input::of(replicated(&mut Random(1), ops, 20, 100, Conflicts::LastArrived))
}

fn wide(ops: usize) -> Input {
    Input::of(replicated(&mut Random(1), ops, 100, 1_000, Conflicts::LastArrived))
}

fn convergent(ops: usize) -> Input {
    Input::of(replicated(&mut Random(1), ops, 20, 100, Conflicts::LastWritten))
}
