use serde_json::Value;

use crate::model::{Call, Growth, Model, RawCall, RegisterNames, RegisterOp};

/// A model whose objects hold a given value at first, where one is given.
pub(crate) struct Begun<'m, M> {
    pub(crate) model: &'m M,
    pub(crate) initial: Option<&'m Value>,
}

impl<M: Model> Model for Begun<'_, M> {
    type State = M::State;
    type Op = M::Op;

    fn init(&self) -> M::State {
        self.initial.and_then(|value| self.model.starting_at(value)).unwrap_or_else(|| self.model.init())
    }

    fn step(&self, state: &M::State, op: &M::Op) -> Option<M::State> {
        self.model.step(state, op)
    }

    fn partition(&self, call: &RawCall<'_>) -> Option<Value> {
        self.model.partition(call)
    }

    fn describe(&self, call: &Call) -> String {
        self.model.describe(call)
    }

    fn read_only(&self, op: &M::Op) -> bool {
        self.model.read_only(op)
    }

    fn state_bytes(&self, state: &M::State) -> usize {
        self.model.state_bytes(state)
    }

    fn growth(&self, op: &M::Op) -> Growth {
        self.model.growth(op)
    }

    fn leads_to(&self, state: &M::State, op: &M::Op, goal: &M::Op) -> bool {
        self.model.leads_to(state, op, goal)
    }

    fn register_names(&self) -> Option<RegisterNames> {
        self.model.register_names()
    }

    fn as_register(&self, op: &M::Op) -> Option<RegisterOp> {
        self.model.as_register(op)
    }
}
