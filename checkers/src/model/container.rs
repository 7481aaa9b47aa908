use super::{Operation, Outcome, RawCall, Symbol, Values};
use crate::history::Raw;

/// The error of a failed removal that proves an empty container.
const EMPTY: &str = "empty";

/// An operation of a [`Queue`](super::Queue), [`Stack`](super::Stack) or [`PriorityQueue`](super::PriorityQueue).
///
/// The usual names are known: `enqueue`, `enq`, `push`, `offer`, `put`, `insert`, `add` and `send` insert the value of
/// the invocation; `dequeue`, `deq`, `pop`, `poll`, `take`, `receive` and `remove` remove the next value and return it;
/// `peek`, `front`, `top`, `first` and `head` return it. A removal or a peek that returns `null`, or that failed with the
/// error `empty`, says that there was nothing; other failures say nothing. `null` itself cannot be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerOp<V> {
    /// It inserts this.
    Insert(V),
    /// It removed this, or found nothing.
    Remove(Option<V>),
    /// It removes whatever is next, if anything is: nobody knows what it returned.
    RemoveAny,
    /// It saw that this is next, or found nothing.
    Peek(Option<V>),
}

/// What an operation's name says that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Insert,
    Remove,
    Peek,
}

impl Action {
    fn of(f: &str) -> Result<Action, String> {
        Ok(match f {
            "enqueue" | "enq" | "push" | "offer" | "put" | "insert" | "add" | "send" => Action::Insert,
            "dequeue" | "deq" | "pop" | "poll" | "take" | "receive" | "remove" => Action::Remove,
            "peek" | "front" | "top" | "first" | "head" => Action::Peek,
            _ => {
                return Err(format!(
                    "no queue or stack has a `{f}`: they have enqueue, dequeue, push, pop, insert, poll and peek"
                ));
            }
        })
    }
}

impl<'a> ContainerOp<Raw<'a>> {
    /// The operation that a call is; `None` where it says nothing.
    pub(crate) fn of(call: &RawCall<'a>) -> Result<Option<Self>, String> {
        let found = |found: Raw<'a>| if found == Raw::Null { None } else { Some(found) };
        Ok(match (Action::of(call.f)?, call.outcome) {
            (Action::Remove, Outcome::Fail(Some(EMPTY))) => Some(ContainerOp::Remove(None)),
            (Action::Peek, Outcome::Fail(Some(EMPTY))) => Some(ContainerOp::Peek(None)),
            (_, Outcome::Fail(_)) | (Action::Peek, Outcome::Unknown) => None,
            (Action::Insert, _) if call.input == Raw::Null => return Err(NO_NULL.to_owned()),
            (Action::Insert, _) => Some(ContainerOp::Insert(call.input)),
            (Action::Remove, Outcome::Ok(output)) => Some(ContainerOp::Remove(found(output))),
            (Action::Remove, Outcome::Unknown) => Some(ContainerOp::RemoveAny),
            (Action::Peek, Outcome::Ok(output)) => Some(ContainerOp::Peek(found(output))),
        })
    }

    fn map<V>(self, mut value: impl FnMut(Raw<'a>) -> Result<V, String>) -> Result<ContainerOp<V>, String> {
        Ok(match self {
            ContainerOp::Insert(v) => ContainerOp::Insert(value(v)?),
            ContainerOp::Remove(v) => ContainerOp::Remove(v.map(value).transpose()?),
            ContainerOp::RemoveAny => ContainerOp::RemoveAny,
            ContainerOp::Peek(v) => ContainerOp::Peek(v.map(value).transpose()?),
        })
    }
}

/// Why null is not inserted.
const NO_NULL: &str = "null cannot be inserted: as a result it says that there was nothing";

impl Operation for ContainerOp<Symbol> {
    fn decode(call: &RawCall<'_>, values: &mut Values) -> Result<Option<Self>, String> {
        ContainerOp::of(call)?.map(|op| op.map(|value| Ok(values.intern(value)))).transpose()
    }
}

impl Operation for ContainerOp<i64> {
    fn decode(call: &RawCall<'_>, _values: &mut Values) -> Result<Option<Self>, String> {
        ContainerOp::of(call)?.map(|op| op.map(priority)).transpose()
    }
}

/// The place of a value in a priority queue.
pub(crate) fn priority(value: Raw<'_>) -> Result<i64, String> {
    match value {
        Raw::Int(int) => Ok(int),
        other => Err(format!("a priority queue holds integers, not {}", other.to_value())),
    }
}
