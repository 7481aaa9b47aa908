//! What clients did and saw, and whether it is linearizable.
//!
//! Clients append unique values to lists and read them. A list only grows, so the whole history of a key is one
//! sequence of values, each read is a prefix of it, each append has one position in it, and linearizability is: the
//! positions agree with real time. That takes one pass.

use super::Violation;
use serde_json::{Value, json};
use squall_refkv::machine::Machine;
use squall_refkv::store::{Query, Reply};
use std::collections::BTreeMap;

/// What became of an operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// Not known, or not yet.
    Unknown,
    /// It certainly had no effect.
    Failed,
    /// The length of the list: after the append, or as read.
    Length(usize),
}

/// One operation of a client.
#[derive(Debug, Clone)]
pub(crate) struct ClientOp {
    /// The list.
    pub(crate) key: &'static str,
    /// The value to append; a read has none.
    pub(crate) value: Option<u64>,
    /// When it began.
    pub(crate) begin_ms: u64,
    /// When it was answered.
    pub(crate) end_ms: Option<u64>,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// What a read saw.
    pub(crate) seen: Option<Value>,
}

/// Checks all operations against the final state.
pub(crate) fn check(ops: &[ClientOp], last: &Machine) -> Result<(), Violation> {
    for key in ["a", "b"] {
        let Reply::Value(list) = last.query(&Query::Get { key: key.into() }) else {
            return Err(Violation::new("history", "a read of a key gave no value".into()));
        };
        let list = match list {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        check_key(ops.iter().filter(|op| op.key == key), &list)?;
    }
    Ok(())
}

fn check_key<'a>(ops: impl Iterator<Item = &'a ClientOp>, list: &[Value]) -> Result<(), Violation> {
    let mut position = BTreeMap::new();
    for (at, value) in list.iter().enumerate() {
        if let Some(first) = position.insert(value.as_u64(), at + 1) {
            let detail = format!("{value} was appended at {first} and at {}", at + 1);
            return Err(Violation::new("duplicated write", detail));
        }
    }
    let mut timeline = Vec::new();
    for op in ops {
        let (low, high) = match (op.value, &op.outcome) {
            (Some(value), outcome) => match (position.get(&Some(value)), outcome) {
                (Some(at), Outcome::Length(length)) if at == length => (at - 1, *at),
                (Some(at), Outcome::Unknown) => (at - 1, *at),
                (None, Outcome::Unknown | Outcome::Failed) => continue,
                (None, Outcome::Length(_)) => {
                    return Err(Violation::new("lost write", format!("{op:?} is not in the final list")));
                }
                (Some(at), _) => {
                    return Err(Violation::new("wrong answer", format!("{op:?} stands at {at}")));
                }
            },
            (None, Outcome::Length(length)) => {
                if op.seen.as_ref() != list.get(..*length).map(|prefix| json!(prefix)).as_ref() {
                    return Err(Violation::new(
                        "wrong read",
                        format!("{op:?} is no prefix of the final list"),
                    ));
                }
                (*length, *length)
            }
            (None, _) => continue,
        };
        timeline.push((op.begin_ms, false, low, op));
        if let Some(end_ms) = op.end_ms {
            // An operation that ends in the millisecond in which another begins overlaps it.
            timeline.push((end_ms, true, high, op));
        }
    }
    timeline.sort_by_key(|(at, end, ..)| (*at, *end));
    let mut reached = 0;
    for (_, end, length, op) in timeline {
        if end {
            reached = reached.max(length);
        } else if length < reached {
            let detail = format!("{op:?} is at length {length}, but {reached} was seen before it began");
            return Err(Violation::new("stale read", detail));
        }
    }
    Ok(())
}
