use std::borrow::Cow;

use serde_json::Value;

use super::value::Word;
use super::{Process, Type};

/// The fields of one event as a reader found them.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    /// Where the event begins in the text.
    pub(super) at: usize,
    pub(super) index: Option<u64>,
    pub(super) time_ns: Option<u64>,
    pub(super) process: Option<Process>,
    pub(super) kind: Option<Type>,
    pub(super) f: Option<Cow<'a, str>>,
    pub(super) value: Word,
    pub(super) error: Option<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(at: usize) -> Fields<'a> {
        Fields {
            at,
            index: None,
            time_ns: None,
            process: None,
            kind: None,
            f: None,
            value: Word::NULL,
            error: None,
        }
    }

    /// Takes the value of a field other than `value`; on failure says what that field holds.
    pub(super) fn set(&mut self, field: Field, value: Value) -> Result<(), &'static str> {
        if value.is_null() {
            return Ok(());
        }
        match field {
            Field::Index => self.index = Some(value.as_u64().ok_or("an integer from 0")?),
            Field::Time => self.time_ns = Some(nanoseconds(&value).ok_or("nanoseconds, an integer from 0")?),
            Field::Process => {
                self.process = Some(process(&value).ok_or("an integer from 0 to 4294967294, or nemesis")?);
            }
            Field::Type => {
                let kind = value.as_str().and_then(Type::from_name);
                self.kind = Some(kind.ok_or("invoke, ok, fail or info")?);
            }
            Field::F => self.f = Some(Cow::Owned(text(value))),
            Field::Error => self.error = Some(Cow::Owned(text(value))),
            Field::Value | Field::Key => unreachable!("the readers take values and keys themselves"),
        }
        Ok(())
    }
}

/// A name or message as it stands; anything richer as JSON.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn nanoseconds(value: &Value) -> Option<u64> {
    // Jepsen computed times as doubles for a while.
    value.as_u64().or_else(|| value.as_f64().filter(|ns| (0.0..1e18).contains(ns)).map(|ns| ns as u64))
}

fn process(value: &Value) -> Option<Process> {
    if value.as_str() == Some("nemesis") {
        return Some(Process::Nemesis);
    }
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.filter(|&id| id != u32::MAX).map(Process::Client)
}

/// The fields that are read; others are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Index,
    Time,
    Process,
    Type,
    F,
    Value,
    Error,
    /// In Porcupine's kv data.
    Key,
}

impl Field {
    pub(super) fn name(self) -> &'static str {
        match self {
            Field::Index => "index",
            Field::Time => "time",
            Field::Process => "process",
            Field::Type => "type",
            Field::F => "f",
            Field::Value => "value",
            Field::Error => "error",
            Field::Key => "key",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Field> {
        const ALL: [Field; 8] = [
            Field::Index,
            Field::Time,
            Field::Process,
            Field::Type,
            Field::F,
            Field::Value,
            Field::Error,
            Field::Key,
        ];
        ALL.into_iter().find(|field| field.name() == name)
    }
}
