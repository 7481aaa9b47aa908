//! The oracle: tries every order.

use crate::linear::problem::{NEVER, Raw};
use crate::model::Model;

/// Whether some order of the operations is legal, by trying all of them.
pub(super) fn linearizable<M: Model>(model: &M, ops: &[Raw<M::Op>]) -> bool {
    assert!(ops.len() <= 16);
    extend(model, ops, &model.init(), 0)
}

fn extend<M: Model>(model: &M, ops: &[Raw<M::Op>], state: &M::State, done: u32) -> bool {
    let left = || (0..ops.len()).filter(|at| done & (1 << at) == 0);
    if left().all(|at| ops[at].complete == NEVER) {
        return true;
    }
    left().any(|at| {
        left().all(|other| ops[at].invoke < ops[other].complete)
            && model.step(state, &ops[at].op).is_some_and(|next| extend(model, ops, &next, done | (1 << at)))
    })
}
