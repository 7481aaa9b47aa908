//! The oracle: tries every order.

use super::{NEVER, Timed};
use crate::model::Model;

/// Whether some order of the operations is legal, by trying all of them.
pub(super) fn linearizable<M: Model>(model: &M, ops: &[Timed<M::Op>]) -> bool {
    linearizable_without(model, ops, 0)
}

/// The same where the operations in this mask may be left out.
pub(super) fn linearizable_without<M: Model>(model: &M, ops: &[Timed<M::Op>], optional: u32) -> bool {
    assert!(ops.len() <= 16);
    let crashed = (0..ops.len()).filter(|&at| ops[at].complete == NEVER).map(|at| 1 << at);
    extend(model, ops, &model.init(), 0, optional | crashed.sum::<u32>())
}

fn extend<M: Model>(model: &M, ops: &[Timed<M::Op>], state: &M::State, done: u32, optional: u32) -> bool {
    let left = || (0..ops.len()).filter(move |at| done & (1 << at) == 0);
    if left().all(|at| optional & (1 << at) != 0) {
        return true;
    }
    left().any(|at| {
        // What was over before `at` began must come before it, and if it did not, was left out.
        let missed: u32 =
            left().filter(|&other| ops[other].complete < ops[at].invoke).map(|other| 1 << other).sum();
        missed & !optional == 0
            && model
                .step(state, &ops[at].op)
                .is_some_and(|next| extend(model, ops, &next, done | missed | (1 << at), optional))
    })
}
