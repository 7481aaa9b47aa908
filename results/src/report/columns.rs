//! Operations as binary columns of variable-length integers (LEB128), which a browser decodes in one pass.
//!
//! A million register operations take about 18 MB as text of the page, 18 bytes each, where JSON would take 150.
//! `data.js` is the other half: the order and meaning of the columns must agree.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use squall_checkers::history::OpRef;
use squall_checkers::{History, Process, Type};

use super::html::shortened;
use super::ops::{OpRow, Ops};

/// Values whose JSON is longer are cut: a report is for reading, the history has the whole.
const TEXT_CHARS: usize = 2_000;
/// Once the texts of a report take this much, further ones are cut to [`TEXT_CHARS_FULL`].
const TEXTS_BYTES: usize = 32 << 20;
const TEXT_CHARS_FULL: usize = 120;
/// How many values decide whether operations carry `[key, value]`.
const SAMPLE: usize = 4_096;

const NULL: u8 = 0;
const INT: u8 = 1;
const TRUE: u8 = 2;
const FALSE: u8 = 3;
const TEXT: u8 = 4;
const PAIR: u8 = 5;
/// The completion's value is the invocation's.
const SAME: u8 = 6;
/// There was no completion.
const NONE: u8 = 7;
const HAS_ERROR: u8 = 64;
const ALONE: u64 = 4;

/// Differences of integers up to this magnitude, zigzag-coded, are exact as JavaScript numbers, which have 53 bits.
const EXACT: i64 = 1 << 51;

/// What the page needs to decode the columns.
#[derive(Debug, Serialize)]
pub(crate) struct Layout {
    /// Number of operations.
    ops: usize,
    /// Number of events.
    events: usize,
    /// Bytes of each column, in order.
    columns: Vec<usize>,
    /// Functions by number.
    functions: Vec<String>,
    /// Whether operations carry `[key, value]`.
    pub(crate) keyed: bool,
    /// Number of texts that are keys: they come first, from number 1.
    keys: usize,
}

/// A history, encoded.
pub(crate) struct Columns {
    pub(crate) layout: Layout,
    pub(crate) bytes: Vec<u8>,
    /// JSON texts: the keys, then values and errors.
    pub(crate) texts: Vec<String>,
}

pub(crate) fn encode(history: &History, ops: &Ops) -> Columns {
    let mut encoder = Encoder { keyed: is_keyed(history), ..Encoder::default() };
    for row in &ops.rows {
        encoder.push(history, row);
    }
    encoder.finish(history.len(), ops.rows.len())
}

/// Whether client operations carry `[key, value]`: all values that are there are pairs with a plain first half.
pub(crate) fn is_keyed(history: &History) -> bool {
    let mut values =
        history.iter().filter(|event| event.is_client()).map(OpRef::value).filter(|v| !v.is_null());
    let mut any = false;
    let keyed = values.by_ref().take(SAMPLE).all(|value| {
        any = true;
        split(&value).is_some()
    });
    any && keyed
}

/// The key and the value of an operation on independent keys.
pub(crate) fn split(value: &Value) -> Option<(&Value, &Value)> {
    match value.as_array()?.as_slice() {
        [key @ (Value::String(_) | Value::Number(_) | Value::Bool(_)), value] => Some((key, value)),
        _ => None,
    }
}

#[derive(Default)]
struct Texts {
    number: HashMap<String, u64>,
    texts: Vec<String>,
    bytes: usize,
}

impl Texts {
    fn intern(&mut self, text: String) -> u64 {
        let chars = if self.bytes < TEXTS_BYTES { TEXT_CHARS } else { TEXT_CHARS_FULL };
        let text = if text.len() > chars { shortened(&text, chars) } else { text };
        if let Some(&number) = self.number.get(&text) {
            return number;
        }
        let number = self.texts.len() as u64;
        self.bytes += text.len();
        self.number.insert(text.clone(), number);
        self.texts.push(text);
        number
    }
}

#[derive(Default)]
struct Encoder {
    keyed: bool,
    functions: Vec<String>,
    function_number: HashMap<String, u64>,
    keys: Texts,
    texts: Texts,
    starts: Vec<u8>,
    spans: Vec<u8>,
    firsts: Vec<u8>,
    lasts: Vec<u8>,
    processes: Vec<u8>,
    kinds: Vec<u8>,
    tags: Vec<u8>,
    key_numbers: Vec<u8>,
    errors: Vec<u8>,
    values: Vec<u8>,
    last_start: u64,
    last_first: i64,
    /// By key, the last integer seen: the next is usually near.
    near: Vec<i64>,
}

impl Encoder {
    fn push(&mut self, history: &History, row: &OpRow) {
        let (first, last) = (history.get(row.first as usize), history.get(row.last as usize));
        push_unsigned(&mut self.starts, row.start_ns - self.last_start);
        push_unsigned(&mut self.spans, row.end_ns - row.start_ns);
        push_signed(&mut self.firsts, i64::from(row.first) - self.last_first);
        push_unsigned(&mut self.lasts, u64::from(row.last - row.first));
        (self.last_start, self.last_first) = (row.start_ns, i64::from(row.first));
        let process = match first.process() {
            Process::Nemesis => 0,
            Process::Client(id) => 1 + u64::from(id),
        };
        push_unsigned(&mut self.processes, process);
        let alone = if first.kind() == Type::Invoke { 0 } else { ALONE };
        let function = self.function(first.f());
        push_unsigned(&mut self.kinds, function << 3 | alone | row.outcome as u64);
        self.push_values(first, (row.first != row.last).then_some(last));
        let error = last.error().or(first.error());
        if let Some(error) = error {
            *self.tags.last_mut().expect("push_values pushes a tag") |= HAS_ERROR;
            let number = self.texts.intern(Value::from(error).to_string());
            push_unsigned(&mut self.errors, number);
        }
    }

    fn function(&mut self, name: &str) -> u64 {
        if let Some(&number) = self.function_number.get(name) {
            return number;
        }
        let number = self.functions.len() as u64;
        self.functions.push(name.to_owned());
        self.function_number.insert(name.to_owned(), number);
        number
    }

    fn push_values(&mut self, first: OpRef<'_>, last: Option<OpRef<'_>>) {
        let (argument, result) = (first.value(), last.map(OpRef::value));
        let keyed = self.keyed && first.is_client();
        let (argument_key, argument_value) = keyed.then(|| split(&argument)).flatten().unzip();
        let (result_key, result_value) = match (&result, keyed) {
            (Some(result), true) => split(result).unzip(),
            _ => (None, None),
        };
        let key = match (argument_key, result_key) {
            (Some(a), Some(b)) if a != b => None,
            (a, b) => a.or(b),
        };
        let number = key.map_or(0, |key| 1 + self.keys.intern(key.to_string()));
        push_unsigned(&mut self.key_numbers, number);
        let slot = number as usize;
        self.near.resize(self.near.len().max(slot + 1), 0);
        let (argument_value, result_value) = match key {
            Some(_) => (argument_value.unwrap_or(&argument), result_value.or(result.as_ref())),
            None => (&argument, result.as_ref()),
        };
        let argument_tag = self.push_value(argument_value, slot);
        let result_tag = match result_value {
            None => NONE,
            Some(value) if value == argument_value => SAME,
            Some(value) => self.push_value(value, slot),
        };
        self.tags.push(argument_tag | result_tag << 3);
    }

    fn push_value(&mut self, value: &Value, slot: usize) -> u8 {
        let near = self.near[slot];
        match value {
            Value::Null => NULL,
            Value::Bool(true) => TRUE,
            Value::Bool(false) => FALSE,
            _ => match (exact(value), value.as_array().map(Vec::as_slice)) {
                (Some(n), _) => {
                    push_signed(&mut self.values, n - near);
                    self.near[slot] = n;
                    INT
                }
                (None, Some([a, b])) if exact(a).is_some() && exact(b).is_some() => {
                    for n in [a, b].into_iter().filter_map(exact) {
                        push_signed(&mut self.values, n - near);
                    }
                    PAIR
                }
                _ => {
                    let number = self.texts.intern(value.to_string());
                    push_unsigned(&mut self.values, number);
                    TEXT
                }
            },
        }
    }

    fn finish(self, events: usize, ops: usize) -> Columns {
        let columns = [
            self.starts,
            self.spans,
            self.firsts,
            self.lasts,
            self.processes,
            self.kinds,
            self.tags,
            self.key_numbers,
            self.errors,
            self.values,
        ];
        let layout = Layout {
            ops,
            events,
            columns: columns.iter().map(Vec::len).collect(),
            functions: self.functions,
            keyed: self.keyed,
            keys: self.keys.texts.len(),
        };
        let mut texts = self.keys.texts;
        texts.extend(self.texts.texts);
        Columns { layout, bytes: columns.concat(), texts }
    }
}

fn exact(value: &Value) -> Option<i64> {
    value.as_i64().filter(|n| (-EXACT..=EXACT).contains(n))
}

fn push_unsigned(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn push_signed(out: &mut Vec<u8>, n: i64) {
    push_unsigned(out, (n << 1 ^ n >> 63) as u64);
}
