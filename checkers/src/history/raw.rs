//! Values as they lie in memory.

use std::borrow::Cow;

use serde_json::Value;

use super::json;

/// A value that is looked at without building a [`Value`]: for checkers that must be fast. Equal values are equal.
///
/// Its parts lie in three machine words, so that it is copied word by word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Raw<'a> {
    /// JSON's null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A pair of nulls or small integers, such as an independent key and its value.
    Pair(Option<i32>, Option<i32>),
    /// The JSON text of anything else, as [`Value`] prints it.
    Text(&'a [u8]),
}

/// The items of an array, one after the other.
#[derive(Clone, Debug)]
pub enum Items<'a> {
    /// Of a pair: what is left of it.
    Pair([Option<i32>; 2], usize),
    /// Of a text: what follows the bracket or the comma.
    Text(&'a [u8]),
}

impl<'a> Raw<'a> {
    /// The value of a JSON text that [`Value`] printed.
    #[inline]
    pub(super) fn of_text(text: &'a [u8]) -> Raw<'a> {
        match text {
            [b'"' | b'{', ..] | [b'[', b'[' | b'{' | b'"', ..] => Raw::Text(text),
            _ => Raw::of_short_text(text),
        }
    }

    /// The same of a text that may be an integer or a pair.
    fn of_short_text(text: &'a [u8]) -> Raw<'a> {
        match text {
            b"null" => Raw::Null,
            b"true" => Raw::Bool(true),
            b"false" => Raw::Bool(false),
            [b'-' | b'0'..=b'9', ..] => integer(text).map_or(Raw::Text(text), Raw::Int),
            [b'[', b'-' | b'0'..=b'9' | b'n', ..] => Raw::halves(text).unwrap_or(Raw::Text(text)),
            _ => Raw::Text(text),
        }
    }

    /// The pair of nulls or small integers that this array is.
    fn halves(text: &'a [u8]) -> Option<Raw<'a>> {
        let mut items = Items::Text(&text[1..]);
        let pair = Raw::Pair(items.next()?.half()?, items.next()?.half()?);
        items.next().is_none().then_some(pair)
    }

    /// The items, if it is an array.
    #[inline]
    pub fn items(self) -> Option<Items<'a>> {
        match self {
            Raw::Pair(a, b) => Some(Items::Pair([a, b], 0)),
            Raw::Text([b'[', rest @ ..]) => Some(Items::Text(rest)),
            _ => None,
        }
    }

    /// The two items, if it is an array of two.
    #[inline(always)]
    pub fn pair(self) -> Option<(Raw<'a>, Raw<'a>)> {
        match self {
            Raw::Pair(a, b) => Some((a.into(), b.into())),
            Raw::Text(_) => self.pair_of_text(),
            _ => None,
        }
    }

    fn pair_of_text(self) -> Option<(Raw<'a>, Raw<'a>)> {
        let mut items = self.items()?;
        let pair = (items.next()?, items.next()?);
        items.next().is_none().then_some(pair)
    }

    /// The names and values, if it is an object. A name that is an integer is one: EDN's maps may have such keys.
    #[inline]
    pub fn entries(self) -> Option<Entries<'a>> {
        match self {
            Raw::Text([b'{', rest @ ..]) => Some(Entries(Items::Text(rest))),
            _ => None,
        }
    }

    /// What an object has under `name`.
    pub fn entry(self, name: &str) -> Option<Raw<'a>> {
        self.entries()?.find(|(key, _)| key.plain_str() == Some(name)).map(|(_, value)| value)
    }

    /// The characters, if it is a string without an escape.
    pub fn plain_str(self) -> Option<&'a str> {
        match self {
            Raw::Text([b'"', text @ .., b'"']) if !text.contains(&b'\\') => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// The characters, if it is a string.
    pub fn string(self) -> Option<Cow<'a, str>> {
        match self {
            Raw::Text([b'"', ..]) => match self.plain_str() {
                Some(text) => Some(Cow::Borrowed(text)),
                None => self.to_value().as_str().map(|text| Cow::Owned(text.to_owned())),
            },
            _ => None,
        }
    }

    /// The value, built.
    pub fn to_value(self) -> Value {
        let half = |half: Option<i32>| half.map_or(Value::Null, Value::from);
        match self {
            Raw::Null => Value::Null,
            Raw::Bool(b) => Value::Bool(b),
            Raw::Int(n) => Value::from(n),
            Raw::Pair(a, b) => Value::Array(vec![half(a), half(b)]),
            Raw::Text(text) => json::trusted(text),
        }
    }

    /// Appends it as JSON.
    pub(super) fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Raw::Text(text) => out.extend_from_slice(text),
            other => serde_json::to_writer(out, &other.to_value()).expect("a Value is always JSON"),
        }
    }

    /// The same, where a string that holds an integer is one: the names of objects are strings in JSON.
    pub(crate) fn unquoted(self) -> Raw<'a> {
        match self {
            Raw::Text([b'"', text @ .., b'"']) => integer(text).map_or(self, Raw::Int),
            _ => self,
        }
    }

    /// The pair of small integers that a text begins with, and its length: what items are most often besides integers.
    #[inline(always)]
    pub(super) fn small_pair(text: &'a [u8]) -> Option<(Raw<'a>, usize)> {
        let inner = text.strip_prefix(b"[")?;
        let (first, first_len) = json::small_integer(inner)?;
        let after = inner[first_len..].strip_prefix(b",")?;
        let (second, second_len) = json::small_integer(after)?;
        let closed = after.get(second_len) == Some(&b']');
        let pair = Raw::Pair(Raw::Int(first).half()?, Raw::Int(second).half()?);
        closed.then_some((pair, first_len + second_len + 3))
    }

    #[inline]
    fn half(self) -> Option<Option<i32>> {
        const BELOW: u64 = 1 << 30;
        match self {
            Raw::Null => Some(None),
            Raw::Int(n) if n.unsigned_abs() < BELOW => Some(Some(n as i32)),
            _ => None,
        }
    }
}

impl<'a> Items<'a> {
    /// None.
    pub(crate) const EMPTY: Items<'static> = Items::Text(&[]);

    /// The next item, if it is a pair of small integers: without a [`Raw`], which would go through memory.
    #[inline(always)]
    pub(crate) fn next_small_pair(&mut self) -> Option<(i64, i64)> {
        let Items::Text(rest) = self else { return None };
        let (Raw::Pair(Some(first), Some(second)), len) = Raw::small_pair(rest)? else { return None };
        *rest = rest.get(len + 1..).unwrap_or_default();
        Some((first.into(), second.into()))
    }

    /// What `of` makes of the next item. Quicker than [`next`](Iterator::next): see [`item_to`].
    #[inline]
    pub(crate) fn next_to<R>(&mut self, of: impl FnOnce(Raw<'a>) -> R) -> Option<R> {
        match self {
            Items::Pair(halves, at) => {
                let half = *halves.get(*at)?;
                *at += 1;
                Some(of(half.into()))
            }
            Items::Text(rest) => {
                let (result, after) = item_to(rest, of)?;
                *rest = after.get(1..).unwrap_or_default();
                Some(result)
            }
        }
    }
}

/// The names and values of an object, one after the other.
#[derive(Clone, Debug)]
pub struct Entries<'a>(Items<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (Raw<'a>, Raw<'a>);

    #[inline]
    fn next(&mut self) -> Option<(Raw<'a>, Raw<'a>)> {
        let Items::Text(rest) = &mut self.0 else { return None };
        if rest.first() != Some(&b'"') {
            return None;
        }
        let end = string_end(rest, 0);
        let (name, value) = (&rest[..=end.min(rest.len() - 1)], rest.get(end + 2..).unwrap_or_default());
        *rest = value;
        let inner = name.get(1..name.len() - 1).unwrap_or_default();
        Some((integer(inner).map_or(Raw::Text(name), Raw::Int), self.0.next()?))
    }
}

impl From<Option<i32>> for Raw<'_> {
    fn from(half: Option<i32>) -> Self {
        half.map_or(Raw::Null, |n| Raw::Int(n.into()))
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        self.next_to(|item| item)
    }
}

/// What `of` makes of the item at the start of a text, and what comes after the item: a comma, a bracket or nothing. Most items
/// are integers or pairs of them: for these `of` is compiled by itself, so that they do not go through memory.
#[inline]
pub(super) fn item_to<'a, R>(text: &'a [u8], of: impl FnOnce(Raw<'a>) -> R) -> Option<(R, &'a [u8])> {
    if text.first()? == &b'[' {
        if let Some((pair, len)) = Raw::small_pair(text) {
            return Some((of(pair), &text[len..]));
        }
    } else if let Some((n, len)) = json::small_integer(text) {
        return Some((of(Raw::Int(n)), &text[len..]));
    }
    let (item, rest) = match text.strip_prefix(b"null") {
        Some(rest) => (Raw::Null, rest),
        None => {
            let (item, rest) = text.split_at(item_end(text));
            if item.is_empty() {
                return None;
            }
            (Raw::of_text(item), rest)
        }
    };
    Some((of(item), rest))
}

/// Where the item at the start of `text` ends: at a comma or a bracket that is not inside it.
fn item_end(text: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at),
            b'[' | b'{' => depth += 1,
            b',' | b']' | b'}' if depth == 0 => break,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    at.min(text.len())
}

/// Where the quote at `at` is closed.
pub(super) fn string_end(text: &[u8], mut at: usize) -> usize {
    at += 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// An integer as it is printed: `07`, `-0` and `+7` are none, but names of their own.
fn integer(text: &[u8]) -> Option<i64> {
    match json::small_integer(text) {
        Some((n, len)) => (len == text.len()).then_some(n),
        None if matches!(text, [b'0', ..] | [b'-', b'0', ..] | [b'+', ..]) => None,
        // Longer ones, and what is no integer.
        None => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Scan;
    use super::*;
    use crate::{History, Op};

    #[test]
    fn what_is_raw_is_what_was_recorded() {
        let values = [
            json!(null),
            json!(true),
            json!(-7),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(1.5),
            json!(-0.0),
            json!("a\"],[\\"),
            json!([1, null]),
            json!([1 << 30, 1]),
            json!([i64::MIN, 1]),
            json!([]),
            json!([[]]),
            json!([["append", "x]", 1], ["r", "x", [1, 2]]]),
            json!({"a": [1, {"b": "}"}], "c": 2}),
            json!({"7": -1, "\\\"": {}, "": []}),
            json!({}),
            json!([1, 2, 3]),
            json!([
                [1, 2],
                [-3, 4],
                [1 << 30, 1],
                [1, null],
                [1, 2, 3],
                [0.5, 1],
                [1, 2.5],
                null,
                [[1, 2], 3]
            ]),
        ];
        let history: History = values.iter().map(|value| Op::new("read").value(value.clone())).collect();
        for (op, value) in history.iter().zip(&values) {
            assert_eq!(op.raw().to_value(), *value);
            assert_eq!(Raw::of_text(value.to_string().as_bytes()), op.raw(), "one value has one shape");
            let items = op.raw().items().map(|items| items.map(Raw::to_value).collect::<Vec<_>>());
            assert_eq!(items, value.as_array().cloned());
            for item in op.raw().items().into_iter().flatten() {
                let text = item.to_value().to_string();
                assert_eq!(item, Raw::of_text(text.as_bytes()), "also in an array");
                assert_eq!(Some(item), Scan::new(text.as_bytes()).item(), "also in one pass");
            }
            let entries =
                op.raw().entries().map(|entries| entries.map(|(_, value)| value.to_value()).collect());
            let values: Option<Vec<_>> = value.as_object().map(|object| object.values().cloned().collect());
            assert_eq!(entries, values);
        }
    }

    #[test]
    fn only_a_name_that_is_printed_as_an_integer_is_one() {
        // `07` was the integer 7: two accounts of a bank were one.
        let value = serde_json::json!({"7": 1, "07": 2, "-0": 3, "-7": 4, "0": 5, "+7": 6});
        let history: crate::History = [crate::Op::new("read").value(value)].into_iter().collect();
        let mut names: Vec<serde_json::Value> =
            history.get(0).raw().entries().unwrap().map(|(name, _)| name.to_value()).collect();
        names.sort_by_key(|name| name.to_string());
        assert_eq!(serde_json::json!(names), serde_json::json!(["+7", "-0", "07", -7, 0, 7]));
        for name in ["07", "-0", "+7", "-07"] {
            let quoted = format!("\"{name}\"");
            let raw = Raw::of_text(quoted.as_bytes());
            assert_eq!(raw.unquoted(), raw, "so were two keys of a log");
        }
    }
}
