//! Large histories of simulated collections: valid ones, and ones with a violation at a known place.

#[path = "common/collections.rs"]
mod collections;
#[path = "common/random.rs"]
mod random;

use collections::{Order, Use, collection};
use squall_checkers::{Checker, Collection, History, Op, Type, Valid, Verdict};

const QUEUE: Use = Use { order: Order::Fifo, ops: 100_000, clients: 10, crash_every: 0, empties: false };

fn check(order: Order, history: &History) -> Verdict {
    match order {
        Order::Fifo => Collection::queue().check(history),
        Order::Lifo => Collection::stack().check(history),
        Order::Least => Collection::priority_queue().check(history),
        Order::Named => Collection::set().check(history),
    }
}

#[test]
fn large_collections_are_linearizable() {
    for order in [Order::Fifo, Order::Lifo, Order::Least, Order::Named] {
        let crash_every = if matches!(order, Order::Fifo | Order::Named) { 100 } else { 0 };
        for with in [
            Use { order, ..QUEUE },
            Use { order, empties: true, ..QUEUE },
            Use { order, crash_every, ..QUEUE },
        ] {
            let verdict = check(order, &collection(with, 1));
            assert_eq!(verdict.valid, Valid::True, "{with:?} {verdict:?}");
        }
    }
}

/// Exchanges the results of two removals that are far from each other.
#[test]
fn removals_out_of_order_are_found() {
    for order in [Order::Fifo, Order::Lifo, Order::Least] {
        let mut ops: Vec<Op> =
            collection(Use { order, ops: 20_000, ..QUEUE }, 2).iter().map(|op| op.to_op()).collect();
        let removal = |op: &Op| op.kind == Type::Ok && matches!(&*op.f, "dequeue" | "pop" | "poll");
        let first = (10_000..ops.len()).find(|&at| removal(&ops[at])).unwrap();
        let second = (first + 500..ops.len()).find(|&at| removal(&ops[at])).unwrap();
        let value = std::mem::take(&mut ops[first].value);
        ops[first].value = std::mem::replace(&mut ops[second].value, value);
        let history: History = ops.iter().cloned().collect();
        let verdict = check(order, &history);
        assert_eq!(verdict.valid, Valid::False, "{order:?} {verdict:?}");
        let witness = &verdict.anomalies[0].witness;
        let part: History = witness.iter().map(|&at| ops[at].clone()).collect();
        assert!(witness.len() <= 16 && check(order, &part).valid == Valid::False, "{order:?} {verdict:?}");
    }
}
