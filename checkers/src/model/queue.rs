use std::sync::Arc;

use super::{ContainerOp, Model, Symbol};

/// A first-in-first-out queue: `enqueue v` adds `v` at the end, `dequeue` removes the first value and returns it, or
/// `null` where there is none; `peek` returns it. Empty at first. [`ContainerOp`] lists the names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue;

impl Model for Queue {
    /// The first value first.
    type State = Arc<[Symbol]>;
    type Op = ContainerOp<Symbol>;

    fn init(&self) -> Arc<[Symbol]> {
        Arc::default()
    }

    fn step(&self, queue: &Arc<[Symbol]>, op: &ContainerOp<Symbol>) -> Option<Arc<[Symbol]>> {
        match op {
            ContainerOp::Insert(value) => Some(queue.iter().copied().chain([*value]).collect()),
            ContainerOp::Peek(seen) => (*seen == queue.first().copied()).then(|| queue.clone()),
            ContainerOp::Remove(seen) if *seen != queue.first().copied() => None,
            ContainerOp::Remove(_) | ContainerOp::RemoveAny => {
                Some(queue.get(1..).unwrap_or_default().into())
            }
        }
    }

    fn state_bytes(&self, state: &Arc<[Symbol]>) -> usize {
        size_of_val(&**state)
    }

    fn read_only(&self, op: &ContainerOp<Symbol>) -> bool {
        matches!(op, ContainerOp::Peek(_) | ContainerOp::Remove(None))
    }
}
