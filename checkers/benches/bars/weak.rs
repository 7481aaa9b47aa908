//! Weaker models of single operations: causal consistency and session guarantees.

use std::collections::VecDeque;

use serde_json::json;
use squall_checkers::{
    Causal, CausalModel, DeltaAtomicity, EventualConsistency, History, KAtomicity, LamportRegister,
    Sequential, Session, Valid,
};

use crate::case::{Case, Input};
use crate::random::Random;
use crate::simulated::{Shape, simulate};
use crate::stores::{Conflicts, push, replicated};

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
        Case { name: "PRAM", checker: || Box::new(Causal::new(CausalModel::Pram)), ..base },
        Case {
            name: "sequential consistency, 20 processes",
            size: 10_000,
            quick: 2_000,
            input: busy_copy,
            checker: || Box::new(Sequential::default()),
            bar_ms: Some(1_000.0),
            quick_bytes_per_op: 20_000,
            ..base
        },
        // Nobody knows how to decide these fast: what the row shows is what giving up costs.
        Case {
            name: "sequential consistency, recorded late",
            size: 10_000,
            quick: 2_000,
            input: lagging,
            checker: || Box::new(Sequential::default()),
            valid: Valid::Unknown,
            quick_bytes_per_op: 1_000_000,
            ..base
        },
        Case {
            name: "regular register, 100 keys",
            size: 1_000_000,
            input: single_copy,
            checker: || Box::new(LamportRegister::Regular),
            bar_ms: Some(200.0),
            ..base
        },
        Case {
            name: "k-atomicity, 100 keys",
            size: 1_000_000,
            input: single_copy,
            checker: || Box::new(KAtomicity::default()),
            bar_ms: Some(1_000.0),
            ..base
        },
        Case {
            name: "delta-atomicity, 100 keys",
            size: 1_000_000,
            input: single_copy,
            checker: || Box::new(DeltaAtomicity::default()),
            bar_ms: Some(1_000.0),
            ..base
        },
        Case {
            name: "eventual consistency, 100 keys",
            size: 1_000_000,
            input: single_copy,
            checker: || Box::new(EventualConsistency),
            bar_ms: Some(200.0),
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

/// Ten clients of one copy.
fn single_copy(ops: usize) -> Input {
    let shape = Shape { ops, clients: 10, keys: 100, values: 0, crash_every: 0, cas: false };
    Input::of(simulate(shape, 1).into_iter().collect())
}

fn busy_copy(ops: usize) -> Input {
    let shape = Shape { ops, clients: 20, keys: 50, values: 0, crash_every: 0, cas: false };
    Input::of(simulate(shape, 1).into_iter().collect())
}

/// One copy, whose clients' operations are recorded late, each client by a delay of its own: sequential, and far from
/// linearizable.
fn lagging(ops: usize) -> Input {
    const PROCESSES: usize = 20;
    let mut rng = Random(1);
    let mut store = [None; 50];
    let mut late: Vec<VecDeque<_>> = (0..PROCESSES).map(|_| VecDeque::new()).collect();
    let mut history = History::new();
    for n in 0..2 * ops {
        let process = rng.below(PROCESSES);
        if n < ops {
            let key = rng.below(store.len());
            if rng.below(2) == 0 {
                store[key] = Some(n);
                late[process].push_back(("write", json!([key, n]), json!([key, n])));
            } else {
                late[process].push_back(("read", json!([key, null]), json!([key, store[key]])));
            }
        }
        if n > ops / 2
            && let Some((f, asked, told)) = late[process].pop_front()
        {
            push(&mut history, process, f, asked, told);
        }
    }
    for (process, rest) in late.into_iter().enumerate() {
        rest.into_iter().for_each(|(f, asked, told)| push(&mut history, process, f, asked, told));
    }
    Input::of(history)
}
