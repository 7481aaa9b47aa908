use std::io::{self, Write};
use std::slice;

use serde_json::{Value, map};

use super::{History, OpRef, Process};

/// Text is handed to the output in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// Micro-operations of a transaction, which Elle knows by these keywords.
const MICRO_OPS: [&str; 3] = ["append", "r", "w"];

/// Writes a history as EDN that Jepsen's tools read: one map a line.
///
/// Types, functions, errors that look like a name and micro-operations are keywords; other strings stay strings.
/// Keys of maps that look like an integer or a name become one.
pub fn write_edn(history: &History, mut out: impl Write) -> io::Result<()> {
    let mut text = String::with_capacity(2 * PIECE_BYTES);
    for op in history.iter() {
        write_op(&mut text, op);
        if text.len() >= PIECE_BYTES {
            out.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    out.write_all(text.as_bytes())
}

fn write_op(out: &mut String, op: OpRef<'_>) {
    let process = match op.process() {
        Process::Nemesis => ":nemesis".to_owned(),
        Process::Client(id) => id.to_string(),
    };
    out.push_str(&format!(
        "{{:index {}, :time {}, :type :{}, :process {process}, :f ",
        op.index(),
        op.time_ns(),
        op.kind().name()
    ));
    write_name(out, op.f());
    out.push_str(", :value ");
    let value = op.value();
    match micro_ops(op.f(), &value) {
        Some(items) => write_txn(out, items),
        None => write_value(out, &value),
    }
    if let Some(error) = op.error() {
        out.push_str(", :error ");
        write_name(out, error);
    }
    out.push_str("}\n");
}

/// The value as a list of `[f key value]`, if it is one.
fn micro_ops<'a>(f: &str, value: &'a Value) -> Option<&'a [Value]> {
    let items = value.as_array().filter(|_| f == "txn")?;
    let is_micro_op = |item: &Value| {
        let parts = item.as_array().filter(|parts| parts.len() == 3);
        parts.and_then(|parts| parts[0].as_str()).is_some_and(|f| MICRO_OPS.contains(&f))
    };
    items.iter().all(is_micro_op).then_some(items)
}

fn write_txn(out: &mut String, items: &[Value]) {
    out.push('[');
    for (n, item) in items.iter().enumerate() {
        out.push_str(if n > 0 { " [:" } else { "[:" });
        out.push_str(item[0].as_str().unwrap_or_default());
        for part in [&item[1], &item[2]] {
            out.push(' ');
            write_value(out, part);
        }
        out.push(']');
    }
    out.push(']');
}

enum Frame<'a> {
    Vector(slice::Iter<'a, Value>),
    Map(map::Iter<'a>),
}

/// Writes without recursion: a client may return what nests deeply.
fn write_value(out: &mut String, value: &Value) {
    let mut stack = Vec::new();
    let mut next = Some(value);
    loop {
        match next.take() {
            Some(Value::Array(items)) => {
                out.push('[');
                stack.push((Frame::Vector(items.iter()), true));
            }
            Some(Value::Object(entries)) => {
                out.push('{');
                stack.push((Frame::Map(entries.iter()), true));
            }
            Some(Value::Null) => out.push_str("nil"),
            // Booleans, numbers and strings are the same in JSON and EDN.
            Some(scalar) => out.push_str(&scalar.to_string()),
            None => {}
        }
        let Some((frame, first)) = stack.last_mut() else { return };
        let comma = if std::mem::take(first) { "" } else { ", " };
        match frame {
            Frame::Vector(items) => match items.next() {
                Some(item) => {
                    out.push_str(if comma.is_empty() { "" } else { " " });
                    next = Some(item);
                    continue;
                }
                None => out.push(']'),
            },
            Frame::Map(entries) => match entries.next() {
                Some((key, item)) => {
                    out.push_str(comma);
                    write_key(out, key);
                    out.push(' ');
                    next = Some(item);
                    continue;
                }
                None => out.push('}'),
            },
        }
        stack.pop();
    }
}

fn write_key(out: &mut String, key: &str) {
    let integer = key.parse::<i64>().is_ok_and(|n| n.to_string() == key);
    if integer { out.push_str(key) } else { write_name(out, key) }
}

/// A keyword, if the name can be one, or else a string.
fn write_name(out: &mut String, name: &str) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.?!*".contains(&b);
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(plain) {
        out.push(':');
        out.push_str(name);
    } else {
        out.push_str(&Value::from(name).to_string());
    }
}
