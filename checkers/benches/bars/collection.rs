//! Queues, stacks, priority queues and sets.

use squall_checkers::{Collection, Valid};

use crate::case::{Case, Input};
use crate::collections::{Order, Use, collection};

pub(crate) fn cases() -> Vec<Case> {
    let base = Case {
        name: "queue",
        size: 1_000_000,
        quick: 10_000,
        input: |ops| uses(Use { ops, ..QUEUE }),
        checker: || Box::new(Collection::queue()),
        valid: Valid::True,
        bar_ms: Some(250.0),
        bar_mib: Some(100.0),
        quick_bytes_per_op: 400,
        quick_steps_per_op: None,
    };
    vec![
        Case { ..base },
        Case {
            name: "queue, 1 % crashed",
            input: |ops| uses(Use { ops, crash_every: 100, ..QUEUE }),
            ..base
        },
        Case {
            name: "queue, empty at times",
            input: |ops| uses(Use { ops, empties: true, ..QUEUE }),
            ..base
        },
        Case {
            name: "stack",
            input: |ops| uses(Use { ops, order: Order::Lifo, ..QUEUE }),
            checker: || Box::new(Collection::stack()),
            bar_ms: None,
            bar_mib: None,
            ..base
        },
        Case {
            name: "priority queue",
            input: |ops| uses(Use { ops, order: Order::Least, ..QUEUE }),
            checker: || Box::new(Collection::priority_queue()),
            bar_ms: None,
            bar_mib: None,
            ..base
        },
        Case {
            name: "set",
            input: |ops| uses(Use { ops, order: Order::Named, ..QUEUE }),
            checker: || Box::new(Collection::set()),
            bar_ms: Some(200.0),
            bar_mib: None,
            ..base
        },
    ]
}

const QUEUE: Use = Use { order: Order::Fifo, ops: 0, clients: 10, crash_every: 0, empties: false };

fn uses(with: Use) -> Input {
    Input::of(collection(with, 1))
}
