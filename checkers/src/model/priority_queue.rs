use std::sync::Arc;

use super::{ContainerOp, Model};

/// A priority queue of integers: `insert v` adds `v`, `poll` removes the least value and returns it, or `null` where there
/// is none; `peek` returns it. Empty at first. [`ContainerOp`] lists the names.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriorityQueue {
    greatest_first: bool,
}

impl PriorityQueue {
    /// One that gives the greatest value first.
    pub fn greatest_first() -> PriorityQueue {
        PriorityQueue { greatest_first: true }
    }
}

impl Model for PriorityQueue {
    /// In ascending order.
    type State = Arc<[i64]>;
    type Op = ContainerOp<i64>;

    fn init(&self) -> Arc<[i64]> {
        Arc::default()
    }

    fn step(&self, queue: &Arc<[i64]>, op: &ContainerOp<i64>) -> Option<Arc<[i64]>> {
        let next = if self.greatest_first { queue.last() } else { queue.first() }.copied();
        match op {
            ContainerOp::Insert(value) => {
                let at = queue.partition_point(|other| other < value);
                Some(queue[..at].iter().chain([value]).chain(&queue[at..]).copied().collect())
            }
            ContainerOp::Peek(seen) => (*seen == next).then(|| queue.clone()),
            ContainerOp::Remove(seen) if *seen != next => None,
            ContainerOp::Remove(_) | ContainerOp::RemoveAny if self.greatest_first => {
                Some(queue[..queue.len().saturating_sub(1)].into())
            }
            ContainerOp::Remove(_) | ContainerOp::RemoveAny => {
                Some(queue.get(1..).unwrap_or_default().into())
            }
        }
    }

    fn state_bytes(&self, state: &Arc<[i64]>) -> usize {
        size_of_val(&**state)
    }

    fn read_only(&self, op: &ContainerOp<i64>) -> bool {
        matches!(op, ContainerOp::Peek(_) | ContainerOp::Remove(None))
    }
}
