//! From a history to one problem for each independent object.

use std::collections::HashMap;

use serde_json::Value;

use super::problem::{NEVER, Problem, Raw};
use crate::history::OpRef;
use crate::model::{Call, Model, Operation, Outcome, Symbol, Values};
use crate::{History, Type};

/// Whether operations carry an independent key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// The whole history is one object, or the model partitions it.
    Model,
    /// Each value is `[key, value]`.
    Independent,
}

/// The operations on one object, ready for an engine.
pub(crate) struct Part<M: Model> {
    pub(crate) key: Option<Value>,
    pub(crate) problem: Problem<M::Op>,
    values: Values,
}

impl<M: Model> Part<M> {
    /// The value of a symbol of this object's calls.
    pub(crate) fn value(&self, symbol: Symbol) -> Value {
        self.values.value(symbol)
    }
}

struct Draft<O> {
    key: Option<Value>,
    values: Values,
    raw: Vec<Raw<O>>,
}

/// Splits a history by key.
///
/// # Errors
/// An operation that the model does not have, with its event's index.
pub(crate) fn split<M: Model>(model: &M, keys: Keys, history: &History) -> Result<Vec<Part<M>>, String> {
    let pairs = history.pairs();
    let mut drafts: Vec<Draft<M::Op>> = Vec::new();
    let mut by_key: HashMap<Option<Value>, usize> = HashMap::new();
    for event in history.iter().filter(|event| event.is_client()) {
        let index = event.index();
        let completion = pairs.of(index).map(|at| history.get(at));
        match (event.kind(), completion) {
            (Type::Invoke, _) => {}
            (Type::Ok, None) => return Err(format!("event {index} completes what was never invoked")),
            _ => continue,
        }
        let (key, call) = call(model, keys, event, completion);
        let key_index = *by_key.entry(key).or_insert_with_key(|key| {
            drafts.push(Draft { key: key.clone(), values: Values::default(), raw: Vec::new() });
            drafts.len() - 1
        });
        let draft = &mut drafts[key_index];
        let op = M::Op::decode(&call, &mut draft.values).map_err(|why| format!("event {index}: {why}"))?;
        let Some(op) = op else { continue };
        // A failed operation that still says something did so by the time of its completion.
        let complete = completion.filter(|c| c.kind() != Type::Info).map_or(NEVER, |c| c.index() as u32);
        if complete == NEVER && model.read_only(&op) {
            continue;
        }
        draft.raw.push(Raw { op, invoke: index as u32, complete });
    }
    Ok(drafts
        .into_iter()
        .map(|draft| Part {
            key: draft.key,
            problem: Problem::new(draft.raw, |op| model.read_only(op)),
            values: draft.values,
        })
        .collect())
}

/// The call that an invocation and its completion record, and its key.
pub(crate) fn call<M: Model>(
    model: &M,
    keys: Keys,
    invocation: OpRef<'_>,
    completion: Option<OpRef<'_>>,
) -> (Option<Value>, Call) {
    let independent = keys == Keys::Independent;
    let (key, input) = strip(invocation.value(), independent);
    let outcome = match completion.map(|c| (c.kind(), c)) {
        Some((Type::Ok, c)) => Outcome::Ok(strip(c.value(), independent && key.is_some()).1),
        Some((Type::Fail, c)) => Outcome::Fail(c.error().map(str::to_owned)),
        _ => Outcome::Unknown,
    };
    let call = Call { f: invocation.f().to_owned(), input, outcome };
    let key = if independent { key } else { model.partition(&call) };
    (key, call)
}

fn strip(value: Value, independent: bool) -> (Option<Value>, Value) {
    match value {
        Value::Array(mut pair) if independent && pair.len() == 2 => {
            let value = pair.pop().unwrap_or_default();
            (pair.pop(), value)
        }
        other => (None, other),
    }
}
