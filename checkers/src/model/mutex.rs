use super::{Model, Operation, Outcome, RawCall, Values};

/// A lock that one holder has at a time: `acquire` and `release`. Free at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mutex;

/// An operation of [`Mutex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MutexOp {
    /// It took the free lock.
    Acquire,
    /// It freed the held lock.
    Release,
}

impl Model for Mutex {
    type State = bool;
    type Op = MutexOp;

    fn init(&self) -> bool {
        false
    }

    fn step(&self, held: &bool, op: &MutexOp) -> Option<bool> {
        match op {
            MutexOp::Acquire => (!held).then_some(true),
            MutexOp::Release => held.then_some(false),
        }
    }
}

impl Operation for MutexOp {
    fn decode(call: &RawCall<'_>, _values: &mut Values) -> Result<Option<MutexOp>, String> {
        let op = match call.f {
            "acquire" => MutexOp::Acquire,
            "release" => MutexOp::Release,
            f => return Err(format!("a mutex has no `{f}`: it has acquire and release")),
        };
        Ok((!matches!(call.outcome, Outcome::Fail(_))).then_some(op))
    }
}
