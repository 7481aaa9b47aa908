use serde_json::Value;

use super::{Model, Operation, Outcome, RawCall, Values};
use crate::history::Raw;

/// A number that starts at 0: `add n` changes it by `n` (1 where no number is given), `read` returns it.
///
/// Numbers of 64 bits, signed or not, are read; their sum is one of 128 bits, which no history can exceed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

/// An operation of [`Counter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterOp {
    /// It changes the number by this.
    Add(i128),
    /// It returned this.
    Read(i128),
}

impl Model for Counter {
    type State = i128;
    type Op = CounterOp;

    fn init(&self) -> i128 {
        0
    }

    fn starting_at(&self, value: &Value) -> Option<i128> {
        number(value)
    }

    fn step(&self, state: &i128, op: &CounterOp) -> Option<i128> {
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
            Raw::Int(n) => Ok(n.into()),
            other => {
                let value = other.to_value();
                number(&value).ok_or_else(|| format!("a counter holds integers, not {value}"))
            }
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

fn number(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Checker, History, Linearizable, Op, Type, Valid};

    #[test]
    fn a_counter_goes_beyond_64_bits() {
        // An add beyond 2^63 was taken for one that cannot happen: the history was called invalid, though nobody had read
        // the counter.
        let both = |f: &'static str, value: Value| {
            [Op::new(f).value(value.clone()), Op::new(f).value(value).kind(Type::Ok)]
        };
        let judge = |ops: &[[Op; 2]]| {
            let history: History = ops.iter().flatten().cloned().collect();
            Linearizable::new("counter", Counter).check(&history).valid
        };
        let adds = [both("add", json!(i64::MAX)), both("add", json!(1)), both("add", json!(1))];
        let read = |value: u64| [&adds[..2], &[both("read", json!(value))]].concat();
        assert_eq!(judge(&adds), Valid::True);
        assert_eq!(judge(&read(1 << 63)), Valid::True);
        assert_eq!(judge(&read((1 << 63) + 1)), Valid::False);
        assert_eq!(judge(&[both("add", json!(i64::MIN)), both("add", json!(-1))]), Valid::True);
        assert_eq!(judge(&[both("read", json!(1.5))]), Valid::Unknown);
    }
}
