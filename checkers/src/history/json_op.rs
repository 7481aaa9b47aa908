//! An event as a JSON object, and a JSON array of them.

use std::borrow::Cow;

use super::cursor::{Cursor, DEPTH_MAX};
use super::error::{LineCounter, Parse};
use super::fields::{Field, Fields};
use super::json::{self, small_integer};
use super::loader::Loader;
use super::{Process, Type};

/// Reads the object under the cursor.
pub(super) fn op<'a>(c: &mut Cursor<'a>, loader: &mut Loader) -> Parse<Fields<'a>> {
    let mut fields = Fields::new(c.at);
    let mut seen = 0u32;
    c.expect(b'{', "an operation: a JSON object")?;
    c.skip_space();
    if c.eat(b'}') {
        return Ok(fields);
    }
    loop {
        let start = c.at;
        let field = match known_field(c) {
            Some(field) => Some(field),
            None => Field::from_name(&json::string(c, "a key in quotes")?),
        };
        if let Some(field) = field {
            let bit = 1 << field as u32;
            if seen & bit != 0 {
                return Err(c.misread_since(start, "each key once"));
            }
            seen |= bit;
        }
        c.skip_space();
        c.expect(b':', "\":\"")?;
        c.skip_space();
        match field {
            Some(Field::Value) => fields.value = loader.history.arena.read_json(c)?,
            Some(field) if fast(c, field, &mut fields) => {}
            _ => slow(c, field, &mut fields, loader)?,
        }
        c.skip_space();
        if !c.eat(b',') {
            c.expect(b'}', "\",\" or \"}\"")?;
            return Ok(fields);
        }
        c.skip_space();
    }
}

/// Steps over a key that squall writes; the byte that tells it from the others is looked at first.
#[inline]
fn known_field(c: &mut Cursor<'_>) -> Option<Field> {
    let rest = c.rest();
    let (field, key): (_, &[u8]) = match rest.get(1)? {
        b'i' => (Field::Index, b"\"index\""),
        b'p' => (Field::Process, b"\"process\""),
        b'f' => (Field::F, b"\"f\""),
        b'v' => (Field::Value, b"\"value\""),
        b'e' => (Field::Error, b"\"error\""),
        b't' if rest.get(2) == Some(&b'i') => (Field::Time, b"\"time\""),
        b't' => (Field::Type, b"\"type\""),
        _ => return None,
    };
    let found = rest.starts_with(key);
    c.at += if found { key.len() } else { 0 };
    found.then_some(field)
}

/// The shapes that squall writes, without a detour over a [`serde_json::Value`]. False if it is another shape.
#[inline]
fn fast<'a>(c: &mut Cursor<'a>, field: Field, fields: &mut Fields<'a>) -> bool {
    if c.peek() == Some(b'"') {
        let text = &c.rest()[1..];
        let Some(len) = text.iter().position(|&b| b == b'"' || b == b'\\' || !(0x20..0x80).contains(&b))
        else {
            return false;
        };
        if text[len] != b'"' {
            return false;
        }
        let text = str::from_utf8(&text[..len]).expect("ASCII is UTF-8");
        match field {
            Field::Type => match Type::from_name(text) {
                Some(kind) => fields.kind = Some(kind),
                None => return false,
            },
            Field::Process if text == "nemesis" => fields.process = Some(Process::Nemesis),
            Field::F => fields.f = Some(Cow::Borrowed(text)),
            Field::Error => fields.error = Some(Cow::Borrowed(text)),
            _ => return false,
        }
        c.at += len + 2;
        return true;
    }
    let Some((n, len)) = small_integer(c.rest()) else { return false };
    let Ok(n) = u64::try_from(n) else { return false };
    match field {
        Field::Index => fields.index = Some(n),
        Field::Time => fields.time_ns = Some(n),
        Field::Process if n < u64::from(u32::MAX) => fields.process = Some(Process::Client(n as u32)),
        _ => return false,
    }
    c.at += len;
    true
}

#[cold]
fn slow(c: &mut Cursor<'_>, field: Option<Field>, fields: &mut Fields<'_>, loader: &Loader) -> Parse<()> {
    let start = c.at;
    let value = json::value(c, DEPTH_MAX)?;
    match field {
        None | Some(Field::Key) => Ok(()),
        Some(field) => fields
            .set(field, value)
            .map_err(|holds| c.misread_since(start, loader.wrong(field.name(), holds))),
    }
}

/// Reads a JSON array of objects: the whole text.
pub(super) fn array(c: &mut Cursor<'_>, loader: &mut Loader) -> Parse<()> {
    c.skip_space();
    c.expect(b'[', "a JSON array of operations")?;
    c.skip_space();
    let mut lines = LineCounter::new();
    if !c.eat(b']') {
        loop {
            c.skip_space();
            let fields = op(c, loader)?;
            loader.push(&fields, lines.line(c.text, fields.at))?;
            c.skip_space();
            if !c.eat(b',') {
                c.expect(b']', "\",\" or \"]\"")?;
                break;
            }
        }
    }
    c.skip_space();
    if c.rest().is_empty() { Ok(()) } else { Err(c.misread("the end of the file after the array")) }
}
