use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{ContainerOp, Model, Symbol};

/// A last-in-first-out stack: `push v` puts `v` on top, `pop` removes the top value and returns it, or `null` where there
/// is none; `peek` returns it. Empty at first. [`ContainerOp`] lists the names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stack;

/// The values of a [`Stack`]. Stacks share what lies below their tops, so a step takes constant time and space.
#[derive(Clone, Debug, Default)]
pub struct Pile(Option<Arc<Layer>>);

#[derive(Debug)]
struct Layer {
    top: Symbol,
    below: Pile,
    height: usize,
    hash: u64,
}

impl Pile {
    fn top(&self) -> Option<Symbol> {
        self.0.as_ref().map(|layer| layer.top)
    }

    fn height(&self) -> usize {
        self.0.as_ref().map_or(0, |layer| layer.height)
    }

    fn push(&self, top: Symbol) -> Pile {
        let below = self.0.as_ref().map_or(0, |layer| layer.hash);
        let hash = (below.rotate_left(23) ^ u64::from(top.0 + 1)).wrapping_mul(0xf135_7aea_2e62_a9c5);
        Pile(Some(Arc::new(Layer { top, below: self.clone(), height: self.height() + 1, hash })))
    }

    fn pop(&self) -> Pile {
        self.0.as_ref().map_or_else(Pile::default, |layer| layer.below.clone())
    }
}

impl PartialEq for Pile {
    fn eq(&self, other: &Pile) -> bool {
        let (mut a, mut b) = (&self.0, &other.0);
        loop {
            match (a, b) {
                (None, None) => return true,
                (Some(x), Some(y)) if Arc::ptr_eq(x, y) => return true,
                (Some(x), Some(y)) if (x.hash, x.height, x.top) == (y.hash, y.height, y.top) => {
                    (a, b) = (&x.below.0, &y.below.0);
                }
                _ => return false,
            }
        }
    }
}

impl Eq for Pile {}

impl Hash for Pile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.as_ref().map_or(0, |layer| layer.hash));
    }
}

/// One layer after the other: a high stack must not take a deep call stack.
impl Drop for Layer {
    fn drop(&mut self) {
        let mut below = self.below.0.take();
        while let Some(mut layer) = below.and_then(Arc::into_inner) {
            below = layer.below.0.take();
        }
    }
}

impl Model for Stack {
    type State = Pile;
    type Op = ContainerOp<Symbol>;

    fn init(&self) -> Pile {
        Pile::default()
    }

    fn step(&self, stack: &Pile, op: &ContainerOp<Symbol>) -> Option<Pile> {
        match op {
            ContainerOp::Insert(value) => Some(stack.push(*value)),
            ContainerOp::Peek(seen) => (*seen == stack.top()).then(|| stack.clone()),
            ContainerOp::Remove(seen) if *seen != stack.top() => None,
            ContainerOp::Remove(_) | ContainerOp::RemoveAny => Some(stack.pop()),
        }
    }

    /// Its top layer: the others are owned by the stacks that they were the tops of.
    fn state_bytes(&self, _state: &Pile) -> usize {
        size_of::<Layer>() + 2 * size_of::<usize>()
    }

    fn read_only(&self, op: &ContainerOp<Symbol>) -> bool {
        matches!(op, ContainerOp::Peek(_) | ContainerOp::Remove(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_stack_is_dropped_and_compared_layer_by_layer() {
        let pile = |n| (0..n).fold(Pile::default(), |pile, v| pile.push(Symbol(v)));
        let (a, b) = (pile(300_000), pile(300_000));
        assert!(a == b && a != a.pop() && a.pop() == b.pop());
        assert_eq!((a.top(), Pile::default().pop()), (Some(Symbol(299_999)), Pile::default()));
    }
}
