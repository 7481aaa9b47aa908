use std::sync::Arc;

use serde_json::Value;

use super::{Call, Model, Operation, Outcome, Symbol, Values};

/// One key of a map: `get`, `put v`, `append s`, `delete`. Check a whole map with independent keys.
///
/// `append` joins strings; a missing key reads as `null` or as the empty string, and appending to it sets it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kv;

/// An operation on one key of a [`Kv`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// It returned this.
    Get(KvValue),
    /// It sets this; a delete sets nothing.
    Put(KvValue),
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
    fn new(value: &Value, values: &mut Values) -> KvValue {
        match value {
            Value::Null => KvValue::Text("".into()),
            Value::String(text) => KvValue::Text(text.as_str().into()),
            other => KvValue::Json(values.intern(other)),
        }
    }
}

impl Model for Kv {
    type State = KvValue;
    type Op = KvOp;

    fn init(&self) -> KvValue {
        KvValue::Text("".into())
    }

    fn step(&self, state: &KvValue, op: &KvOp) -> Option<KvValue> {
        match (op, state) {
            (KvOp::Get(value), _) => (value == state).then(|| state.clone()),
            (KvOp::Put(value), _) => Some(value.clone()),
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
        matches!(op, KvOp::Get(_))
    }
}

impl Operation for KvOp {
    fn decode(call: &Call, values: &mut Values) -> Result<Option<KvOp>, String> {
        Ok(match (call.f.as_str(), &call.outcome) {
            ("get" | "put" | "append" | "delete", Outcome::Fail(_)) | ("get", Outcome::Unknown) => None,
            ("get", Outcome::Ok(value)) => Some(KvOp::Get(KvValue::new(value, values))),
            ("put", _) => Some(KvOp::Put(KvValue::new(&call.input, values))),
            ("delete", _) => Some(KvOp::Put(KvValue::new(&Value::Null, values))),
            ("append", _) => match &call.input {
                Value::String(end) => Some(KvOp::Append(end.as_str().into())),
                other => return Err(format!("an append takes a string, not {other}")),
            },
            (f, _) => return Err(format!("a kv has no `{f}`: it has get, put, append and delete")),
        })
    }
}
