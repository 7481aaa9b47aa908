//! The oracle: tries every order, on sequential collections of its own.

use crate::collection::Kind;
use crate::collection::object::{Act, NEVER, Object, Op};

/// Whether some order of the operations is legal, by trying all of them.
pub(super) fn linearizable(kind: Kind, ops: &[Op]) -> bool {
    assert!(ops.len() <= 16);
    extend(kind, ops, &mut Vec::new(), 0)
}

fn extend(kind: Kind, ops: &[Op], held: &mut Vec<u32>, done: u32) -> bool {
    let left = |at: &usize| done & (1 << at) == 0;
    if (0..ops.len()).filter(left).all(|at| ops[at].end == NEVER) {
        return true;
    }
    let first_end = (0..ops.len()).filter(left).map(|at| ops[at].end).min().unwrap_or(NEVER);
    for at in (0..ops.len()).filter(left).filter(|&at| ops[at].start < first_end) {
        let before = held.clone();
        if apply(kind, &ops[at], held) && extend(kind, ops, held, done | 1 << at) {
            return true;
        }
        *held = before;
    }
    false
}

/// Does an operation, if it is legal. The values lie in the order of their insertion.
fn apply(kind: Kind, op: &Op, held: &mut Vec<u32>) -> bool {
    let next = match kind {
        Kind::Queue => held.first().map(|_| 0),
        Kind::Stack => held.len().checked_sub(1),
        Kind::PriorityQueue { greatest_first: false } => (0..held.len()).min_by_key(|&at| held[at]),
        Kind::PriorityQueue { greatest_first: true } => (0..held.len()).max_by_key(|&at| held[at]),
        Kind::Set => held.iter().position(|&value| value == op.value),
    };
    match (op.act, next) {
        (Act::Insert, Some(_)) if kind == Kind::Set => {}
        (Act::Insert, _) => held.push(op.value),
        (Act::Remove, Some(at)) if held[at] == op.value => drop(held.remove(at)),
        (Act::Remove, None) if kind == Kind::Set => {}
        (Act::RemovePresent, Some(at)) => drop(held.remove(at)),
        (Act::Peek, Some(at)) if held[at] == op.value => {}
        (Act::RemoveAny, Some(at)) => drop(held.remove(at)),
        (Act::Present, Some(_)) | (Act::Empty | Act::Absent | Act::RemoveAny, None) => {}
        _ => return false,
    }
    true
}

/// The operations without those that are not wanted.
pub(super) fn only(object: &Object, wanted: impl Fn(&Op) -> bool) -> Vec<Op> {
    object.ops.iter().filter(|op| wanted(op)).copied().collect()
}

pub(super) fn show(ops: &[Op]) -> String {
    let show = |op: &Op| match op.end {
        NEVER => format!("{:?} {} [{}, ", op.act, op.value, op.start),
        end => format!("{:?} {} [{}, {end}] ", op.act, op.value, op.start),
    };
    ops.iter().map(show).collect()
}
