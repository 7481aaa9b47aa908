//! A history as the operations on each collection, in compact form.

use std::collections::HashMap;

use super::Kind;
use crate::history::{OpRef, Pairs, Raw};
use crate::intern::Interner;
use crate::model::container::priority;
use crate::model::set::RawSetOp;
use crate::model::{ContainerOp, Outcome, RawCall};
use crate::{Budget, History, Spent, Type};

/// The end of an operation that never returned.
pub(crate) const NEVER: u32 = u32::MAX;

/// Events between two looks at the clock.
const EVENTS_PER_ASK: usize = 1 << 16;

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Act {
    /// It inserts the value; of a set: where it may have been in it already, unless it returned `true`.
    Insert,
    /// It removed the value; of a set: where it was in it.
    Remove,
    /// It removed whatever was next, or nothing: nobody knows.
    RemoveAny,
    /// It found nothing.
    Empty,
    /// It found that the value is next.
    Peek,
    /// Of a set: it removed the value, which was in it.
    RemovePresent,
    /// Of a set: it found the value in it.
    Present,
    /// Of a set: it did not find the value in it.
    Absent,
    /// Of a set: it found just some values.
    Read,
}

/// An operation. Its times are positions: it takes effect in a *gap*, where gap `g` follows position `g`, from gap `start`
/// to gap `end - 1`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) value: u32,
    pub(crate) act: Act,
}

/// The operations on one collection, in the order of their invocations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) key: Option<u32>,
    pub(crate) ops: Vec<Op>,
    /// Number of positions, and of values.
    pub(crate) len: u32,
    pub(crate) values: u32,
    /// Of a priority queue: the value of each number, negated where the greatest comes first.
    pub(crate) priorities: Vec<i128>,
    /// The event at each position, where that is not its number.
    events: Option<Vec<u32>>,
    names: Interner,
}

impl Object {
    /// The event at a position.
    pub(crate) fn event(&self, position: u32) -> usize {
        self.events.as_ref().map_or(position, |events| events[position as usize]) as usize
    }

    /// The operations that are wanted, with times and values numbered anew.
    pub(crate) fn only(&self, mut wanted: impl FnMut(usize, &Op) -> bool) -> Object {
        let kept = self.ops.iter().enumerate().filter(|&(at, op)| wanted(at, op)).map(|(_, op)| *op);
        let mut object = Object { key: self.key, ops: kept.collect(), ..Object::default() };
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        for op in &mut object.ops {
            if !matches!(op.act, Act::RemoveAny | Act::Empty | Act::Read) {
                let next = numbers.len() as u32;
                op.value = *numbers.entry(op.value).or_insert_with_key(|&value| {
                    object.priorities.extend(self.priorities.get(value as usize));
                    next
                });
            }
        }
        object.values = numbers.len() as u32;
        object.rank(|position| self.event(position) as u32);
        object
    }

    /// Numbers the times from 0 up.
    fn rank(&mut self, event: impl Fn(u32) -> u32) {
        let mut times: Vec<u32> = self.ops.iter().flat_map(|op| [op.start, op.end]).collect();
        times.retain(|&time| time != NEVER);
        times.sort_unstable();
        let rank = |time: u32| times.partition_point(|&other| other < time) as u32;
        for op in &mut self.ops {
            op.start = rank(op.start);
            op.end = if op.end == NEVER { NEVER } else { rank(op.end) };
        }
        self.len = times.len() as u32;
        self.events = Some(times.into_iter().map(event).collect());
    }
}

/// Why a history cannot be taken apart.
pub(crate) enum Stop {
    /// It holds an operation that the collection does not have.
    Bad(String),
    Spent(Spent),
}

impl From<Spent> for Stop {
    fn from(spent: Spent) -> Stop {
        Stop::Spent(spent)
    }
}

/// The collections of a history, and the numbers of their keys.
///
/// # Errors
/// An operation that the collection does not have, with its event's index; or a spent budget.
pub(crate) fn objects(
    kind: Kind,
    independent: bool,
    history: &History,
    pairs: &Pairs,
    budget: &Budget,
) -> Result<(Vec<Object>, Interner), Stop> {
    let mut keys = Interner::default();
    let mut objects: Vec<Object> = Vec::new();
    if !independent {
        let ops = Vec::with_capacity(history.len() / 2 + 1);
        objects.push(Object { ops, len: history.len() as u32, ..Object::default() });
    }
    for event in history.iter() {
        if event.index() % EVENTS_PER_ASK == 0 {
            budget.ask()?;
        }
        if !event.is_client() {
            continue;
        }
        let completion = pairs.of(event.index()).map(|at| history.get(at));
        match (event.kind(), completion) {
            (Type::Invoke, _) => {}
            (Type::Ok, None) => {
                return Err(Stop::Bad(format!("{} completes what was never invoked", event.name())));
            }
            _ => continue,
        }
        let (key, call) = recorded(event, completion, independent);
        let bad = |why: String| Stop::Bad(format!("{}: {why}", event.name()));
        let Some((act, value)) = kind.decode(&call).map_err(bad)? else { continue };
        let at = if independent { keys.intern_raw(key) as usize } else { 0 };
        if at == objects.len() {
            objects.push(Object { key: Some(at as u32), ..Object::default() });
        }
        let object = &mut objects[at];
        let value = match value {
            Some(value) => object.number(kind, value).map_err(bad)?,
            None => 0,
        };
        let complete = completion.filter(|c| c.kind() != Type::Info).map_or(NEVER, |c| c.index() as u32);
        object.ops.push(Op { start: event.index() as u32, end: complete, value, act });
    }
    for object in &mut objects {
        object.values = object.names.len() as u32;
        object.names = Interner::default();
        if independent {
            budget.ask()?;
            object.rank(|time| time);
        }
    }
    Ok((objects, keys))
}

impl Object {
    fn number(&mut self, kind: Kind, value: Raw<'_>) -> Result<u32, String> {
        let number = self.names.intern_raw(value);
        if let Kind::PriorityQueue { greatest_first } = kind
            && number as usize == self.priorities.len()
        {
            let priority = i128::from(priority(value)?);
            self.priorities.push(if greatest_first { -priority } else { priority });
        }
        Ok(number)
    }
}

/// The call that an invocation and its completion record, and its key.
pub(crate) fn recorded<'a>(
    invoke: OpRef<'a>,
    completion: Option<OpRef<'a>>,
    independent: bool,
) -> (Raw<'a>, RawCall<'a>) {
    let split = |raw: Raw<'a>| match raw.pair() {
        Some(pair) if independent => pair,
        _ => (Raw::Null, raw),
    };
    let (key, input) = split(invoke.raw());
    let outcome = match completion.map(|c| (c.kind(), c)) {
        Some((Type::Ok, c)) => Outcome::Ok(split(c.raw()).1),
        Some((Type::Fail, c)) => Outcome::Fail(c.error()),
        _ => Outcome::Unknown,
    };
    (key, RawCall { f: invoke.f(), input, outcome })
}

/// An act, and the value that it has to do with.
pub(crate) type Decoded<'a> = (Act, Option<Raw<'a>>);

impl Kind {
    /// What a call did; `None` where it says nothing.
    pub(crate) fn decode<'a>(self, call: &RawCall<'a>) -> Result<Option<Decoded<'a>>, String> {
        if self == Kind::Set {
            return Ok(RawSetOp::of(call)?.map(|op| match op {
                RawSetOp::Add(value, Some(false)) | RawSetOp::Contains(value, true) => {
                    (Act::Present, Some(value))
                }
                RawSetOp::Add(value, _) => (Act::Insert, Some(value)),
                RawSetOp::Remove(value, Some(false)) | RawSetOp::Contains(value, false) => {
                    (Act::Absent, Some(value))
                }
                RawSetOp::Remove(value, Some(true)) => (Act::RemovePresent, Some(value)),
                RawSetOp::Remove(value, None) => (Act::Remove, Some(value)),
                RawSetOp::Read(_) => (Act::Read, None),
            }));
        }
        Ok(ContainerOp::of(call)?.map(|op| match op {
            ContainerOp::Insert(value) => (Act::Insert, Some(value)),
            ContainerOp::Remove(Some(value)) => (Act::Remove, Some(value)),
            ContainerOp::Peek(Some(value)) => (Act::Peek, Some(value)),
            ContainerOp::Remove(None) | ContainerOp::Peek(None) => (Act::Empty, None),
            ContainerOp::RemoveAny => (Act::RemoveAny, None),
        }))
    }
}

#[cfg(test)]
impl Object {
    /// From operations in the order of their invocations; the value of a priority queue is its priority.
    pub(crate) fn of(ops: Vec<Op>, len: u32, values: u32) -> Object {
        let priorities = (0..i128::from(values)).collect();
        Object { ops, len, values, priorities, ..Object::default() }
    }
}
