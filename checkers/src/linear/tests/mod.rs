//! The engines and the witnesses against brute force, and the engines against each other.

mod brute;
mod generate;
mod kinds;
mod oracle;
mod small;
mod unique;
mod witnesses;

use super::problem::{Draft, NEVER, Problem};
use crate::model::Model;

/// An operation with its times, which order it as the indices of events do.
#[derive(Clone, Debug)]
struct Timed<O> {
    op: O,
    invoke: u32,
    /// Or [`NEVER`].
    complete: u32,
}

fn problem<M: Model>(model: &M, raw: &[Timed<M::Op>]) -> Problem<M::Op> {
    let mut draft = Draft::default();
    for Timed { op, invoke, complete } in raw.iter().cloned() {
        draft.push(op, invoke, complete);
    }
    Problem::new(draft, |op| model.read_only(op))
}
