use serde_json::Value;

/// A value in one machine word: small values inline, others as an offset into an [`Arena`].
///
/// The low two bits are the tag; the other 62 hold null and booleans, an integer, a pair of small integers
/// (an independent key and its value, the commonest case), or the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

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
                _ => self.store(value),
            },
            Value::Array(items) => match items.as_slice() {
                [a, b] => match (half(a), half(b)) {
                    (Some(a), Some(b)) => Word(TAG_PAIR | a << 2 | b << 33),
                    _ => self.store(value),
                },
                _ => self.store(value),
            },
            _ => self.store(value),
        }
    }

    pub(super) fn decode(&self, word: Word) -> Value {
        match word.0 & 3 {
            TAG_CONST => match word.0 >> 2 {
                0 => Value::Null,
                n => Value::Bool(n == 2),
            },
            TAG_INT => Value::from((word.0 as i64) >> 2),
            TAG_PAIR => Value::Array(vec![unhalf(word.0 >> 2), unhalf(word.0 >> 33)]),
            _ => {
                let at = (word.0 >> 2) as usize;
                let len = u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
                serde_json::from_slice(&self.bytes[at + 4..at + 4 + len])
                    .expect("the arena holds JSON that we wrote")
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn store(&mut self, value: &Value) -> Word {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        serde_json::to_writer(&mut self.bytes, value).expect("a Value is always JSON");
        let len = (self.bytes.len() - at - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
        Word(TAG_ARENA | (at as u64) << 2)
    }
}

fn half(value: &Value) -> Option<u64> {
    let n = match value {
        Value::Null => HALF_NULL,
        Value::Number(n) => n.as_i64().filter(|n| n.abs() < -HALF_NULL)?,
        _ => return None,
    };
    Some(n as u64 & HALF_MASK)
}

fn unhalf(bits: u64) -> Value {
    let n = ((bits & HALF_MASK) << 33) as i64 >> 33;
    if n == HALF_NULL { Value::Null } else { Value::from(n) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_shape_survives_the_word() {
        let mut arena = Arena::default();
        let values = [
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(-1),
            json!(INT_MAX),
            json!(INT_MIN),
            json!(i64::MAX),
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
        ];
        let words: Vec<Word> = values.iter().map(|v| arena.encode(v)).collect();
        for (value, word) in values.iter().zip(words) {
            assert_eq!(&arena.decode(word), value);
        }
    }
}
