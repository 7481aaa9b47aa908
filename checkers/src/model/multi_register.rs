use std::sync::Arc;

use serde_json::Value;

use super::{Model, Operation, Outcome, RawCall, Symbol, Values};
use crate::history::Raw;

/// Several registers that one operation reads and writes at once. Any JSON values; `null` at first, unless something
/// else is said.
///
/// `read` and `write` carry a map from register to value, as in Knossos; `txn` carries micro-operations
/// `[["r", register, value], ["w", register, value]]`, as in Jepsen, which take effect one after the other with
/// nothing in between. A read of `null` in a map or a micro-operation that did not return is of no value.
#[derive(Clone, Copy, Debug, Default)]
pub struct MultiRegister;

/// An operation of [`MultiRegister`]: its reads and writes in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MultiRegisterOp(Arc<[Micro]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Micro {
    writes: bool,
    register: Symbol,
    value: Symbol,
}

impl MultiRegisterOp {
    /// Of reads and writes in order: whether it writes, the register and the value.
    pub fn new(micros: impl IntoIterator<Item = (bool, Symbol, Symbol)>) -> MultiRegisterOp {
        let micro = |(writes, register, value)| Micro { writes, register, value };
        MultiRegisterOp(micros.into_iter().map(micro).collect())
    }
}

impl Model for MultiRegister {
    /// The registers that do not hold the initial value, in order.
    type State = Vec<(Symbol, Symbol)>;
    type Op = MultiRegisterOp;

    fn init(&self) -> Self::State {
        Vec::new()
    }

    fn starting_at(&self, _value: &Value) -> Option<Self::State> {
        Some(Vec::new())
    }

    fn step(&self, state: &Self::State, op: &MultiRegisterOp) -> Option<Self::State> {
        let mut state = state.clone();
        for micro in op.0.iter() {
            let place = state.binary_search_by_key(&micro.register, |&(register, _)| register);
            match (place, micro.writes) {
                (Ok(at), false) if state[at].1 != micro.value => return None,
                (Err(_), false) if micro.value != Symbol::NIL => return None,
                (_, false) => {}
                (Ok(at), true) if micro.value == Symbol::NIL => drop(state.remove(at)),
                (Ok(at), true) => state[at].1 = micro.value,
                (Err(_), true) if micro.value == Symbol::NIL => {}
                (Err(at), true) => state.insert(at, (micro.register, micro.value)),
            }
        }
        Some(state)
    }

    fn read_only(&self, op: &MultiRegisterOp) -> bool {
        op.0.iter().all(|micro| !micro.writes)
    }

    fn state_bytes(&self, state: &Self::State) -> usize {
        state.capacity() * size_of::<(Symbol, Symbol)>()
    }
}

impl Operation for MultiRegisterOp {
    fn decode(call: &RawCall<'_>, values: &mut Values) -> Result<Option<MultiRegisterOp>, String> {
        if matches!(call.outcome, Outcome::Fail(_)) {
            return Ok(None);
        }
        let returned = match call.outcome {
            Outcome::Ok(value) => Some(value),
            _ => None,
        };
        let micros = match call.f {
            "read" => match returned {
                Some(value) => map(value, false, values)?,
                None => Vec::new(),
            },
            "write" => map(call.input, true, values)?,
            "txn" => micros(returned.unwrap_or(call.input), returned.is_some(), values)?,
            f => return Err(format!("a multi-register has no `{f}`: it has read, write and txn")),
        };
        Ok((!micros.is_empty()).then(|| MultiRegisterOp(micros.into())))
    }

    fn heap_bytes(&self) -> usize {
        size_of_val(&*self.0) + 2 * size_of::<usize>()
    }
}

/// The micro-operations of a map from register to value.
fn map(value: Raw<'_>, writes: bool, values: &mut Values) -> Result<Vec<Micro>, String> {
    let built = value.to_value();
    if built.is_array() {
        return micros(value, true, values);
    }
    let Value::Object(map) = &built else {
        return Err(format!("a multi-register takes a map from register to value, not {built}"));
    };
    // A register's name is text here and may be a number in a micro-operation. `07` is no number.
    let micro = |(name, value): (&String, &Value)| {
        let number = name.parse::<i64>().ok().filter(|number| number.to_string() == *name);
        let register = number.map_or_else(|| Value::from(name.as_str()), Value::from);
        Micro { writes, register: values.intern_value(&register), value: values.intern_value(value) }
    };
    Ok(map.iter().filter(|(_, value)| writes || !value.is_null()).map(micro).collect())
}

/// The micro-operations of a transaction; those that read only where they returned something.
fn micros(value: Raw<'_>, returned: bool, values: &mut Values) -> Result<Vec<Micro>, String> {
    let wrong = || {
        format!(
            "a transaction holds [\"r\", register, value] and [\"w\", register, value], not {}",
            value.to_value()
        )
    };
    let mut micros = Vec::new();
    for item in value.items().ok_or_else(wrong)? {
        let mut parts = item.items().ok_or_else(wrong)?;
        let (Some(f), Some(register), value) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let writes = match f.plain_str() {
            Some("r" | "read") => false,
            Some("w" | "write") => true,
            _ => return Err(wrong()),
        };
        if writes || returned {
            let value = values.intern(value.unwrap_or(Raw::Null));
            micros.push(Micro { writes, register: values.intern(register), value });
        }
    }
    Ok(micros)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Checker, History, Linearizable, Op, Type, Valid};

    #[test]
    fn a_register_named_07_is_not_7() {
        // The two were one register: a write to one was read from the other.
        let both = |f: &'static str, value: Value| {
            [Op::new(f).value(value.clone()), Op::new(f).value(value).kind(Type::Ok)]
        };
        let judge = |wrote: Value, saw: Value| {
            let history: History = [both("write", wrote), both("txn", saw)].into_iter().flatten().collect();
            Linearizable::new("registers", MultiRegister).check(&history).valid
        };
        assert_eq!(judge(json!({"7": 1}), json!([["r", 7, 1]])), Valid::True);
        assert_eq!(judge(json!({"07": 1}), json!([["r", 7, 1]])), Valid::False);
        assert_eq!(judge(json!({"07": 1}), json!([["r", 7, null], ["r", "07", 1]])), Valid::True);
    }
}
