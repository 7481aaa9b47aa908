use std::sync::Arc;

use serde_json::Value;

use super::{Growth, Model, Operation, Outcome, RawCall, RegisterNames, RegisterOp, Symbol, Values};
use crate::history::Raw;

/// One key of a map: `get`, `put v`, `append s`, `delete`. Check a whole map with independent keys.
///
/// `append` joins strings; a missing key reads as `null` or as the empty string, and appending to it sets it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kv;

/// An operation on one key of a [`Kv`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// It returned this.
    Get(KvValue, Symbol),
    /// It sets this; a delete sets nothing.
    Put(KvValue, Symbol),
    /// It adds this at the end.
    Append(Arc<str>),
}

/// What a key of a [`Kv`] holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvValue {
    /// A string; empty where the key is missing.
    Text(Arc<str>),
    /// Any other JSON value.
    Json(Symbol),
}

impl KvValue {
    /// The value and its symbol. `null` and the empty string are the same: that of the initial value, if it is one of them.
    fn new(value: Raw<'_>, values: &mut Values) -> (KvValue, Symbol) {
        match value.string() {
            _ if value == Raw::Null => (KvValue::Text("".into()), values.missing()),
            Some(text) if text.is_empty() => KvValue::new(Raw::Null, values),
            Some(text) => (KvValue::Text(text.as_ref().into()), values.intern(value)),
            None => {
                let symbol = values.intern(value);
                (KvValue::Json(symbol), symbol)
            }
        }
    }
}

impl Model for Kv {
    type State = KvValue;
    type Op = KvOp;

    fn init(&self) -> KvValue {
        KvValue::Text("".into())
    }

    fn starting_at(&self, value: &Value) -> Option<KvValue> {
        Some(match value {
            Value::Null => self.init(),
            Value::String(text) => KvValue::Text(text.as_str().into()),
            _ => KvValue::Json(Symbol::NIL),
        })
    }

    fn step(&self, state: &KvValue, op: &KvOp) -> Option<KvValue> {
        match (op, state) {
            (KvOp::Get(value, _), _) => (value == state).then(|| state.clone()),
            (KvOp::Put(value, _), _) => Some(value.clone()),
            (KvOp::Append(end), KvValue::Text(text)) => {
                let mut joined = String::with_capacity(text.len() + end.len());
                joined.push_str(text);
                joined.push_str(end);
                Some(KvValue::Text(joined.into()))
            }
            (KvOp::Append(_), KvValue::Json(_)) => None,
        }
    }

    fn read_only(&self, op: &KvOp) -> bool {
        matches!(op, KvOp::Get(..))
    }

    fn state_bytes(&self, state: &KvValue) -> usize {
        match state {
            KvValue::Text(text) => shared_bytes(text),
            KvValue::Json(_) => 0,
        }
    }

    fn growth(&self, op: &KvOp) -> Growth {
        match op {
            KvOp::Get(..) => Growth::Observes,
            KvOp::Put(..) => Growth::Resets,
            KvOp::Append(_) => Growth::Extends,
        }
    }

    fn leads_to(&self, state: &KvValue, op: &KvOp, goal: &KvOp) -> bool {
        let KvOp::Get(seen, _) = goal else { return true };
        match (op, state, seen) {
            (KvOp::Put(KvValue::Text(put), _), _, KvValue::Text(seen)) => seen.starts_with(&**put),
            (KvOp::Put(put, _), _, seen) => put == seen,
            (KvOp::Append(end), KvValue::Text(text), KvValue::Text(seen)) => {
                seen.as_bytes().get(text.len()..).is_some_and(|rest| rest.starts_with(end.as_bytes()))
            }
            (KvOp::Append(_), ..) => false,
            (KvOp::Get(..), ..) => true,
        }
    }

    fn register_names(&self) -> Option<RegisterNames> {
        Some(RegisterNames { read: "get", write: "put", cas: None })
    }

    fn as_register(&self, op: &KvOp) -> Option<RegisterOp> {
        match op {
            KvOp::Get(_, value) => Some(RegisterOp::Read(*value)),
            KvOp::Put(_, value) => Some(RegisterOp::Write(*value)),
            KvOp::Append(_) => None,
        }
    }
}

impl Operation for KvOp {
    fn decode(call: &RawCall<'_>, values: &mut Values) -> Result<Option<KvOp>, String> {
        let get = |(value, symbol)| KvOp::Get(value, symbol);
        let put = |(value, symbol)| KvOp::Put(value, symbol);
        Ok(match (call.f, call.outcome) {
            ("get" | "put" | "append" | "delete", Outcome::Fail(_)) | ("get", Outcome::Unknown) => None,
            ("get", Outcome::Ok(value)) => Some(get(KvValue::new(value, values))),
            ("put", _) => Some(put(KvValue::new(call.input, values))),
            ("delete", _) => Some(put(KvValue::new(Raw::Null, values))),
            ("append", _) => match call.input.string() {
                Some(end) => Some(KvOp::Append(end.as_ref().into())),
                None => return Err(format!("an append takes a string, not {}", call.input.to_value())),
            },
            (f, _) => return Err(format!("a kv has no `{f}`: it has get, put, append and delete")),
        })
    }

    fn heap_bytes(&self) -> usize {
        match self {
            KvOp::Get(KvValue::Text(text), _) | KvOp::Put(KvValue::Text(text), _) | KvOp::Append(text) => {
                shared_bytes(text)
            }
            _ => 0,
        }
    }
}

/// With the two counts of an [`Arc`].
fn shared_bytes(text: &Arc<str>) -> usize {
    text.len() + 2 * size_of::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Checker, History, Linearizable, Op, Type, Valid};

    #[test]
    fn the_empty_string_is_null_at_first_too() {
        // A map that held "" at first was said never to have held it: its symbol was not that of a key that is missing.
        let got = |value: Value| [Op::new("get"), Op::new("get").value(value).kind(Type::Ok)];
        let put =
            |value: Value| [Op::new("put").value(value.clone()), Op::new("put").value(value).kind(Type::Ok)];
        for initial in [json!(""), json!(null)] {
            for value in [json!(""), json!(null)] {
                let judge = |ops: &[[Op; 2]]| {
                    let history: History = ops.iter().flatten().cloned().collect();
                    Linearizable::new("kv", Kv).starting_at(initial.clone()).check(&history).valid
                };
                assert_eq!(judge(&[got(value.clone())]), Valid::True, "{initial} {value}");
                assert_eq!(judge(&[put(json!("x")), got(value.clone())]), Valid::False, "{initial} {value}");
                assert_eq!(judge(&[put(json!("x")), put(value.clone()), got(initial.clone())]), Valid::True);
            }
        }
    }
}
