use serde_json::Value;

use super::{Model, Operation, Outcome, RawCall, Values};
use crate::history::Raw;

/// A number that starts at 0: `add n` changes it by `n` (1 where no number is given), `read` returns it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

/// An operation of [`Counter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterOp {
    /// It changes the number by this.
    Add(i64),
    /// It returned this.
    Read(i64),
}

impl Model for Counter {
    type State = i64;
    type Op = CounterOp;

    fn init(&self) -> i64 {
        0
    }

    fn starting_at(&self, value: &Value) -> Option<i64> {
        value.as_i64()
    }

    fn step(&self, state: &i64, op: &CounterOp) -> Option<i64> {
        match op {
            CounterOp::Add(n) => state.checked_add(*n),
            CounterOp::Read(n) => (n == state).then_some(*state),
        }
    }

    fn read_only(&self, op: &CounterOp) -> bool {
        matches!(op, CounterOp::Read(_) | CounterOp::Add(0))
    }
}

impl Operation for CounterOp {
    fn decode(call: &RawCall<'_>, _values: &mut Values) -> Result<Option<CounterOp>, String> {
        let int = |value: Raw<'_>| match value {
            Raw::Int(n) => Ok(n),
            other => Err(format!("a counter holds integers, not {}", other.to_value())),
        };
        Ok(match (call.f, call.outcome) {
            ("read" | "add", Outcome::Fail(_)) | ("read", Outcome::Unknown) => None,
            ("read", Outcome::Ok(value)) => Some(CounterOp::Read(int(value)?)),
            ("add", _) if call.input == Raw::Null => Some(CounterOp::Add(1)),
            ("add", _) => Some(CounterOp::Add(int(call.input)?)),
            (f, _) => return Err(format!("a counter has no `{f}`: it has add and read")),
        })
    }
}
