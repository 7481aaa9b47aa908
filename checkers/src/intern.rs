//! Small numbers for values, so that the checkers compare integers.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use serde_json::Value;

use crate::history::Raw;

/// No number.
const NONE: u32 = u32::MAX;

/// Entries of a table that may be sparse: 16 MiB.
const DENSE_MAX: usize = 1 << 22;

/// Gives equal values equal numbers, from 0 up.
///
/// Integers that are about as large as they are many lie in a table; others in a hash map. The rest is kept as JSON text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interner {
    dense: Vec<u32>,
    sparse: HashMap<i64, u32, FastBuild>,
    texts: Texts,
    /// By number, the integers; of a text any.
    ints: Vec<i64>,
}

impl Interner {
    /// The number of `value`.
    pub(crate) fn intern(&mut self, value: &Value) -> u32 {
        match value.as_i64() {
            Some(int) => self.int(int),
            None => self.text(value.to_string().as_bytes()),
        }
    }

    /// The number of `value`: the same as [`intern`](Interner::intern) gives it.
    #[inline]
    pub(crate) fn intern_raw(&mut self, value: Raw<'_>) -> u32 {
        match value {
            Raw::Int(int) => self.int(int),
            Raw::Text(text) => self.text(text),
            _ => self.text(value.to_value().to_string().as_bytes()),
        }
    }

    #[inline]
    fn int(&mut self, int: i64) -> u32 {
        let at = usize::try_from(int).unwrap_or(usize::MAX);
        if let Some(&id) = self.dense.get(at)
            && id != NONE
        {
            return id;
        }
        self.rare_int(int, at)
    }

    /// A new integer, or one that is not in the table.
    fn rare_int(&mut self, int: i64, at: usize) -> u32 {
        if !self.sparse.is_empty()
            && let Some(&id) = self.sparse.get(&int)
        {
            return id;
        }
        let id = self.ints.len() as u32;
        if at < self.tabled_below() {
            if at >= self.dense.len() {
                self.dense.resize((at + 1).next_power_of_two(), NONE);
            }
            self.dense[at] = id;
        } else {
            self.sparse.insert(int, id);
        }
        self.ints.push(int);
        id
    }

    /// Integers below this lie in the table: it takes little for each value, or is not large. Sessions that are recorded one
    /// after the other use a few values of the whole range each.
    fn tabled_below(&self) -> usize {
        let known = self.ints.len();
        (4 * known + 1024).max((64 * known).min(DENSE_MAX))
    }

    fn text(&mut self, text: &[u8]) -> u32 {
        let next = self.ints.len() as u32;
        let (id, _) = self.texts.intern(text, next);
        if id == next {
            self.ints.push(0);
        }
        id
    }

    /// The value that has this number.
    pub(crate) fn value(&self, id: u32) -> Value {
        match self.texts.numbered(id) {
            Some(text) => Raw::Text(text).to_value(),
            None => self.ints[id as usize].into(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ints.len()
    }

    /// Bytes that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        // A hash table keeps an eighth of its slots free and a control byte for each.
        let slot = size_of::<(i64, u32)>() + 1;
        self.dense.capacity() * size_of::<u32>()
            + self.sparse.capacity() * slot * 8 / 7
            + self.ints.capacity() * size_of::<i64>()
            + self.texts.memory_bytes()
    }
}

/// Distinct texts with a number each: open addressing over texts that lie one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    /// Where each text ends, and its number. Numbers ascend.
    ends: Vec<(usize, u32)>,
    table: Vec<u32>,
}

impl Texts {
    /// The number of a text, which is `number` if it is new, and its position.
    pub(crate) fn intern(&mut self, text: &[u8], number: u32) -> (u32, u32) {
        if self.ends.len() * 2 >= self.table.len() {
            self.grow();
        }
        let slot = self.slot(text);
        if self.table[slot] == NONE {
            self.table[slot] = self.ends.len() as u32;
            self.bytes.extend_from_slice(text);
            self.ends.push((self.bytes.len(), number));
        }
        let at = self.table[slot];
        (self.ends[at as usize].1, at)
    }

    /// Where `text` is in the table, or the free slot where it belongs.
    fn slot(&self, text: &[u8]) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = FastBuild::default().hash_one(text) as usize & mask;
        while self.table[slot] != NONE && self.text(self.table[slot]) != text {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.table = vec![NONE; (self.table.len() * 2).max(16)];
        for at in 0..self.ends.len() as u32 {
            let slot = self.slot(self.text(at));
            self.table[slot] = at;
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.ends.capacity() * size_of::<(usize, u32)>()
            + self.table.capacity() * size_of::<u32>()
    }

    /// The text at this position.
    pub(crate) fn text(&self, at: u32) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at as usize - 1].0 };
        &self.bytes[start..self.ends[at as usize].0]
    }

    /// The text that has this number, if one has.
    fn numbered(&self, number: u32) -> Option<&[u8]> {
        let at = self.ends.binary_search_by_key(&number, |(_, number)| *number).ok()?;
        Some(self.text(at as u32))
    }
}

/// A fast hash for short keys, after rustc's: multiply and rotate. Not for keys that an adversary picks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FastHasher(u64);

pub(crate) type FastBuild = BuildHasherDefault<FastHasher>;

const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(23) ^ n).wrapping_mul(MULTIPLIER);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn finish(&self) -> u64 {
        (self.0 ^ self.0 >> 32).wrapping_mul(MULTIPLIER) ^ self.0 >> 29
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Random;
    use crate::{History, Op};

    #[test]
    fn equal_values_have_equal_numbers_and_come_back() {
        let mut random = Random(3);
        let mut interner = Interner::default();
        let mut known: HashMap<Value, u32> = HashMap::new();
        for _ in 0..50_000 {
            let n = random.below(5_000);
            let value = match random.below(6) {
                0 => json!(n),
                1 => json!(n as i64 * 1_000_003),
                2 => json!(-(n as i64)),
                3 => json!(format!("v{n}")),
                4 => json!([n, null]),
                _ => [json!(null), json!(true), json!(1.5), json!(u64::MAX)][n % 4].clone(),
            };
            let history: History = [Op::new("read").value(value.clone())].into_iter().collect();
            let id =
                if n < 2_500 { interner.intern(&value) } else { interner.intern_raw(history.get(0).raw()) };
            let next = known.len() as u32;
            assert_eq!(*known.entry(value.clone()).or_insert(next), id);
            assert_eq!(interner.value(id), value);
        }
        assert_eq!(interner.len(), known.len());
    }

    #[test]
    fn a_value_nested_deeply_comes_back() {
        // It was parsed by what gives up at 128 levels, so that a checker panicked when it told of such a value.
        let deep = (0..500).fold(json!(1), |value, _| json!([value]));
        let mut interner = Interner::default();
        let id = interner.intern(&deep);
        assert_eq!(interner.value(id), deep);
    }
}
