//! The states of one object and the transitions between them, by number.

use std::collections::HashMap;

use super::interner::Interner;
use super::problem::Problem;
use crate::intern::FastBuild;
use crate::model::Model;

/// A transition that the model forbids.
const ILLEGAL: u32 = u32::MAX;

/// Interned states with remembered transitions: the model computes each step once.
pub(crate) struct Space<'m, M: Model> {
    model: &'m M,
    states: Interner<M::State>,
    steps: HashMap<(u32, u32), u32, FastBuild>,
}

impl<'m, M: Model> Space<'m, M> {
    /// With the initial state, which has number 0.
    pub(crate) fn new(model: &'m M) -> Space<'m, M> {
        let mut states = Interner::default();
        states.intern(model.init());
        Space { model, states, steps: HashMap::default() }
    }

    /// The state after the operation of this kind, where it is legal.
    pub(crate) fn step(&mut self, problem: &Problem<M::Op>, state: u32, kind: u32) -> Option<u32> {
        let next = match self.steps.get(&(state, kind)) {
            Some(&next) => next,
            None => {
                let next = match self.model.step(self.states.at(state), problem.kinds.at(kind)) {
                    Some(next) => self.states.intern(next).0,
                    None => ILLEGAL,
                };
                self.steps.insert((state, kind), next);
                next
            }
        };
        (next != ILLEGAL).then_some(next)
    }

    /// Bytes held, without what a state owns elsewhere.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.states.memory_bytes() + self.steps.capacity() * size_of::<((u32, u32), u32)>()
    }
}
