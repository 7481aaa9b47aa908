//! From a history to one problem for each independent object.

use serde_json::Value;

use super::problem::{Draft, NEVER, Problem};
use crate::history::{OpRef, Pairs, Raw};
use crate::intern::Interner;
use crate::model::{Model, Operation, Outcome, RawCall, Values};
use crate::registers::Kind;
use crate::{Budget, History, Lease, Spent, Type};

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
}

/// Numbers the objects of a history. One without a key is number 0.
#[derive(Default)]
pub(crate) struct Objects(Interner);

impl Objects {
    /// The number of the object with this key.
    #[inline]
    pub(crate) fn number(&mut self, key: Option<Raw<'_>>) -> usize {
        key.map_or(0, |key| 1 + self.0.intern_raw(key) as usize)
    }

    fn key(&self, number: usize) -> Option<Value> {
        Some(self.0.value(number.checked_sub(1)? as u32))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
}

/// Why a history was not split.
pub(crate) enum Refusal {
    /// An operation that the model does not have, with its event's index.
    Malformed(String),
    Spent(Spent),
}

impl From<Spent> for Refusal {
    fn from(spent: Spent) -> Refusal {
        Refusal::Spent(spent)
    }
}

/// The objects of a history.
pub(crate) struct Split<'b, M: Model> {
    pub(crate) parts: Vec<Part<M>>,
    pub(crate) values: Values,
    _lease: Lease<'b>,
}

/// Splits a history by key; only the objects that are `wanted`.
pub(crate) fn split<'b, M: Model>(
    model: &M,
    keys: Keys,
    history: &History,
    values: Values,
    wanted: impl Fn(usize) -> bool,
    objects: &mut Objects,
    budget: &'b Budget,
) -> Result<Split<'b, M>, Refusal> {
    let mut splitter = Splitter { model, values, drafts: Vec::new(), ops: 0, heap_bytes: 0 };
    let mut lease = budget.lease(history.len() * size_of::<u32>())?;
    let pairs = history.pairs();
    for event in history.iter().filter(|event| event.is_client()) {
        let completion = completion(history, &pairs, event).map_err(Refusal::Malformed)?;
        let Some(completion) = completion else { continue };
        let (key, call) = call(keys, event, completion);
        if key.is_none() && keys == Keys::Independent && says_nothing(&call) {
            continue;
        }
        let object = match keys {
            Keys::Independent => objects.number(key),
            Keys::Model => match model.partition(&call) {
                None => 0,
                Some(key) => 1 + objects.0.intern(&key) as usize,
            },
        };
        if !wanted(object) {
            continue;
        }
        splitter.take(object, &call, event, completion).map_err(Refusal::Malformed)?;
        if splitter.ops.is_multiple_of(1024) {
            let bytes = splitter.memory_bytes() + objects.memory_bytes();
            lease.resize(history.len() * size_of::<u32>() + bytes)?;
            budget.ask()?;
        }
    }
    drop(pairs);
    lease.resize(splitter.memory_bytes() + objects.memory_bytes())?;
    Ok(splitter.finish(objects, lease))
}

/// The completion of an invocation, which may not have one; nothing for an event that is no invocation.
fn completion<'h>(
    history: &'h History,
    pairs: &Pairs,
    event: OpRef<'h>,
) -> Result<Option<Option<OpRef<'h>>>, String> {
    match (event.kind(), pairs.of(event.index())) {
        (Type::Invoke, completion) => Ok(Some(completion.map(|at| history.get(at)))),
        (Type::Ok, None) => Err(format!("{} completes what was never invoked", event.name())),
        _ => Ok(None),
    }
}

struct Splitter<'m, M: Model> {
    model: &'m M,
    values: Values,
    drafts: Vec<Option<Draft<M::Op>>>,
    ops: usize,
    /// What the operations own elsewhere.
    heap_bytes: usize,
}

impl<M: Model> Splitter<'_, M> {
    fn take(
        &mut self,
        object: usize,
        call: &RawCall<'_>,
        event: OpRef<'_>,
        completion: Option<OpRef<'_>>,
    ) -> Result<(), String> {
        if object >= self.drafts.len() {
            self.drafts.resize_with(object + 1, || None);
        }
        let draft = self.drafts[object].get_or_insert_default();
        self.ops += 1;
        let op = M::Op::decode(call, &mut self.values);
        let Some(op) = op.map_err(|why| format!("{}: {why}", event.name()))? else { return Ok(()) };
        // A failed operation that still says something did so by the time of its completion.
        let complete = completion.filter(|c| c.kind() != Type::Info).map_or(NEVER, |c| c.index() as u32);
        if complete != NEVER || !self.model.read_only(&op) {
            self.heap_bytes += op.heap_bytes();
            draft.push(op, event.index() as u32, complete);
        }
        Ok(())
    }

    /// Bytes held, with the room for the next operations and for the problems that they become.
    fn memory_bytes(&self) -> usize {
        const AHEAD: usize = 1024;
        let per_object = size_of::<Part<M>>() + size_of::<Option<Draft<M::Op>>>() + 64;
        (self.ops + AHEAD) * Draft::<M::Op>::BYTES_PER_OP
            + 3 * self.drafts.len() * per_object
            + 2 * self.heap_bytes
            + 2 * self.values.memory_bytes()
    }

    fn finish<'b>(self, objects: &Objects, lease: Lease<'b>) -> Split<'b, M> {
        let numbered = self.drafts.into_iter().enumerate();
        let parts = numbered.filter_map(|(object, draft)| {
            let problem = Problem::new(draft?, |op| self.model.read_only(op));
            Some(Part { key: objects.key(object), problem })
        });
        Split { parts: parts.collect(), values: self.values, _lease: lease }
    }
}

/// The call that an invocation and its completion record, and its key: a read may name it at its end alone.
pub(crate) fn call<'h>(
    keys: Keys,
    invocation: OpRef<'h>,
    completion: Option<OpRef<'h>>,
) -> (Option<Raw<'h>>, RawCall<'h>) {
    let independent = keys == Keys::Independent;
    let (mut key, input) = strip(invocation.raw(), independent);
    let late = independent && key.is_none() && Kind::of(invocation.f()) == Some(Kind::Read);
    let outcome = match completion.map(|c| (c.kind(), c)) {
        Some((Type::Ok, c)) => {
            let (told, output) = strip(c.raw(), late || key.is_some());
            key = key.or(told);
            Outcome::Ok(output)
        }
        Some((Type::Fail, c)) => Outcome::Fail(c.error()),
        _ => Outcome::Unknown,
    };
    (key, RawCall { f: invocation.f(), input, outcome })
}

/// Whether it is a read that did not return: where it has no key, nobody knows on what it was.
fn says_nothing(call: &RawCall<'_>) -> bool {
    Kind::of(call.f) == Some(Kind::Read) && !matches!(call.outcome, Outcome::Ok(_))
}

/// The key and the value, where there is a key.
#[inline]
pub(crate) fn strip(value: Raw<'_>, independent: bool) -> (Option<Raw<'_>>, Raw<'_>) {
    match if independent { value.pair() } else { None } {
        Some((key, value)) => (Some(key), value),
        None => (None, value),
    }
}
