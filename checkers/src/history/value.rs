use serde_json::Value;

use super::cursor::{Cursor, DEPTH_MAX};
use super::error::Parse;
use super::json;
use super::raw::Raw;

/// A value in one machine word: small values inline, others as an offset into an [`Arena`].
///
/// The low two bits are the tag; the other 62 hold null and booleans, an integer, a pair of small integers
/// (an independent key and its value, the commonest case), or the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    pub(super) const NULL: Word = Word(TAG_CONST);
}

const TAG_CONST: u64 = 0;
const TAG_INT: u64 = 1;
const TAG_PAIR: u64 = 2;
const TAG_ARENA: u64 = 3;

const INT_MIN: i64 = -(1 << 61);
const INT_MAX: i64 = (1 << 61) - 1;

/// Halves of a pair are 31-bit: an integer below 2^30 in magnitude, or this for null.
const HALF_NULL: i64 = -(1 << 30);
const HALF_MASK: u64 = (1 << 31) - 1;

/// Values that do not fit a word: a length (4 bytes, little endian), then the JSON text.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
}

impl Arena {
    pub(super) fn encode(&mut self, value: &Value) -> Word {
        match value {
            Value::Null => Word(TAG_CONST),
            Value::Bool(b) => Word(TAG_CONST | (1 + u64::from(*b)) << 2),
            Value::Number(n) => match n.as_i64() {
                Some(i) if (INT_MIN..=INT_MAX).contains(&i) => Word(TAG_INT | (i as u64) << 2),
                _ => self.store_value(value),
            },
            Value::Array(items) => match items.as_slice() {
                [a, b] => match (half(a), half(b)) {
                    (Some(a), Some(b)) => Word(TAG_PAIR | a << 2 | b << 33),
                    _ => self.store_value(value),
                },
                _ => self.store_value(value),
            },
            _ => self.store_value(value),
        }
    }

    pub(super) fn decode(&self, word: Word) -> Value {
        match word.0 & 3 {
            TAG_ARENA => json::trusted(self.stored(word)),
            _ => self.raw(word).to_value(),
        }
    }

    /// The value without decoding it.
    #[inline(always)]
    pub(super) fn raw(&self, word: Word) -> Raw<'_> {
        match word.0 & 3 {
            TAG_CONST => match word.0 >> 2 {
                0 => Raw::Null,
                n => Raw::Bool(n == 2),
            },
            TAG_INT => Raw::Int((word.0 as i64) >> 2),
            TAG_PAIR => Raw::Pair(half_of(word.0 >> 2), half_of(word.0 >> 33)),
            _ => Raw::of_text(self.stored(word)),
        }
    }

    /// Appends the value as JSON.
    pub(super) fn write_json(&self, word: Word, out: &mut Vec<u8>) {
        match word.0 & 3 {
            TAG_ARENA => out.extend_from_slice(self.stored(word)),
            TAG_INT => write_integer(out, (word.0 as i64) >> 2),
            TAG_PAIR => {
                out.push(b'[');
                write_half(out, word.0 >> 2);
                out.push(b',');
                write_half(out, word.0 >> 33);
                out.push(b']');
            }
            _ => serde_json::to_writer(out, &self.decode(word)).expect("a Value is always JSON"),
        }
    }

    /// Reads the JSON value under the cursor. The usual shapes never become a [`Value`].
    pub(super) fn read_json(&mut self, c: &mut Cursor<'_>) -> Parse<Word> {
        let text = c.rest();
        if let Some((word, len)) = inline_word(text) {
            c.at += len;
            return Ok(word);
        }
        if text.first() == Some(&b'[')
            && let Some(len) = json::canonical_array(text)
        {
            c.at += len;
            return Ok(self.store(|bytes| bytes.extend_from_slice(&text[..len])));
        }
        Ok(self.encode(&json::value(c, DEPTH_MAX)?))
    }

    /// Whether the value is an array.
    pub(super) fn is_array(&self, word: Word) -> bool {
        word.0 & 3 == TAG_PAIR || word.0 & 3 == TAG_ARENA && self.stored(word).first() == Some(&b'[')
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The JSON text behind a word with that tag.
    fn stored(&self, word: Word) -> &[u8] {
        let at = (word.0 >> 2) as usize;
        let len = u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
        &self.bytes[at + 4..at + 4 + len]
    }

    fn store_value(&mut self, value: &Value) -> Word {
        self.store(|bytes| serde_json::to_writer(bytes, value).expect("a Value is always JSON"))
    }

    /// Puts a text of at most the same length in the place of a stored one.
    pub(super) fn shorten(&mut self, word: Word, text: &[u8]) {
        let room = self.stored(word).len();
        assert!(word.0 & 3 == TAG_ARENA && text.len() <= room, "{} bytes into {room}", text.len());
        let at = (word.0 >> 2) as usize;
        self.bytes[at..at + 4].copy_from_slice(&(text.len() as u32).to_le_bytes());
        self.bytes[at + 4..at + 4 + text.len()].copy_from_slice(text);
    }

    /// Stores the JSON text of an array or object, as [`Value`] prints it.
    pub(super) fn store(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Word {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        let len = u32::try_from(self.bytes.len() - at - 4).expect("a value takes less than 4 GiB of JSON");
        self.bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
        Word(TAG_ARENA | (at as u64) << 2)
    }
}

/// The word and the length of a null, a boolean, a small integer or a pair of small halves at the start of `text`.
#[inline]
fn inline_word(text: &[u8]) -> Option<(Word, usize)> {
    match text.first()? {
        b'n' => text.starts_with(b"null").then_some((Word::NULL, 4)),
        b't' => text.starts_with(b"true").then_some((Word(TAG_CONST | 2 << 2), 4)),
        b'f' => text.starts_with(b"false").then_some((Word(TAG_CONST | 1 << 2), 5)),
        b'[' => {
            let (a, len) = half_text(&text[1..])?;
            let mut at = 1 + len;
            if text.get(at) != Some(&b',') {
                return None;
            }
            let (b, len) = half_text(&text[at + 1..])?;
            at += 1 + len;
            (text.get(at) == Some(&b']')).then_some((Word(TAG_PAIR | a << 2 | b << 33), at + 1))
        }
        _ => json::small_integer(text).map(|(n, len)| (Word(TAG_INT | (n as u64) << 2), len)),
    }
}

fn half_text(text: &[u8]) -> Option<(u64, usize)> {
    if text.starts_with(b"null") {
        return Some((HALF_NULL as u64 & HALF_MASK, 4));
    }
    let (n, len) = json::small_integer(text)?;
    (n.abs() < -HALF_NULL).then_some((n as u64 & HALF_MASK, len))
}

pub(super) fn write_integer(out: &mut Vec<u8>, n: impl serde::Serialize) {
    serde_json::to_writer(out, &n).expect("an integer is always JSON");
}

fn write_half(out: &mut Vec<u8>, bits: u64) {
    serde_json::to_writer(out, &half_of(bits)).expect("a Value is always JSON");
}

fn half(value: &Value) -> Option<u64> {
    let n = match value {
        Value::Null => HALF_NULL,
        Value::Number(n) => n.as_i64().filter(|n| n.unsigned_abs() < HALF_NULL.unsigned_abs())?,
        _ => return None,
    };
    Some(n as u64 & HALF_MASK)
}

fn half_of(bits: u64) -> Option<i32> {
    let n = ((bits & HALF_MASK) << 33) as i64 >> 33;
    (n != HALF_NULL).then_some(n as i32)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_shape_survives_the_word() {
        for value in shapes() {
            let mut arena = Arena::default();
            let word = arena.encode(&value);
            assert_eq!(arena.decode(word), value);
            let mut text = Vec::new();
            arena.write_json(word, &mut text);
            assert_eq!(text, value.to_string().into_bytes());
        }
    }

    #[test]
    fn text_and_value_give_the_same_word_and_the_same_bytes() {
        let (mut by_value, mut by_text) = (Arena::default(), Arena::default());
        for value in shapes() {
            let text = format!("{value}}}");
            let mut c = Cursor::new(text.as_bytes());
            assert_eq!(by_text.read_json(&mut c).unwrap(), by_value.encode(&value), "{value}");
            assert_eq!(c.rest(), b"}");
        }
        assert_eq!(by_text.bytes, by_value.bytes);
    }

    fn shapes() -> Vec<Value> {
        vec![
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(-1),
            json!(INT_MAX),
            json!(INT_MIN),
            json!(i64::MAX),
            json!(-0.0),
            json!([i64::MIN, 1]),
            json!(12345678901234567u64),
            json!(123456789012345678u64),
            json!("é\n"),
            json!([1, "é\n", [2]]),
            json!([1.5, 2]),
            json!(u64::MAX),
            json!(1.5),
            json!("a"),
            json!([1, 2]),
            json!([-1, null]),
            json!([(1 << 30) - 1, -((1 << 30) - 1)]),
            json!([1 << 30, 0]),
            json!([null, null]),
            json!([3, [1, 2]]),
            json!([["append", "x", 1], ["r", "x", [1, 2]]]),
            json!({"a": [1]}),
            json!([]),
        ]
    }
}
