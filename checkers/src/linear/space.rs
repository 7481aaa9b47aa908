//! The states of one object and the transitions between them, by number.

use std::collections::HashMap;

use super::interner::Interner;
use super::meter::growing_map;
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
    /// What the states own elsewhere.
    owned_bytes: usize,
}

impl<'m, M: Model> Space<'m, M> {
    /// With the initial state, which has number 0.
    pub(crate) fn new(model: &'m M) -> Space<'m, M> {
        let mut states = Interner::default();
        states.intern(model.init());
        let owned_bytes = model.state_bytes(states.at(0));
        Space { model, states, steps: HashMap::default(), owned_bytes }
    }

    /// The state after the operation of this kind, where it is legal.
    pub(crate) fn step(&mut self, problem: &Problem<M::Op>, state: u32, kind: u32) -> Option<u32> {
        let next = match self.steps.get(&(state, kind)) {
            Some(&next) => next,
            None => {
                let next = match self.model.step(self.states.at(state), problem.kinds.at(kind)) {
                    Some(next) => self.number(next),
                    None => ILLEGAL,
                };
                self.steps.insert((state, kind), next);
                next
            }
        };
        (next != ILLEGAL).then_some(next)
    }

    fn number(&mut self, state: M::State) -> u32 {
        let (number, new) = self.states.intern(state);
        if new {
            self.owned_bytes += self.model.state_bytes(self.states.at(number));
        }
        number
    }

    /// Whether the state that the operation leaves can grow into what the goal saw.
    pub(crate) fn leads_to(&self, problem: &Problem<M::Op>, state: u32, kind: u32, goal: u32) -> bool {
        self.model.leads_to(self.states.at(state), problem.kinds.at(kind), problem.kinds.at(goal))
    }

    /// Bytes held, with the room for the next ones.
    pub(crate) fn memory_bytes(&self) -> usize {
        let steps = growing_map(self.steps.capacity(), size_of::<((u32, u32), u32)>());
        self.states.memory_bytes() + self.owned_bytes + steps
    }
}
