//! From a key and a value to the number of that version.

use super::{Element, NONE};

/// Finds versions. The first key that a value is written to finds it in a table by value: where values are globally
/// unique that is all. The rest lies in a hash table in which successive values of one key are neighbours, so that the
/// common orders of access, recent values and lists, stay in the cache.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The key and the element.
    by_value: Vec<(u32, u32)>,
    /// A tag in the upper half, an element in the lower, linear probing, at most half full.
    table: Vec<u64>,
    tabled: usize,
}

/// Successive values that are kept together: a cache line.
const BLOCK: u32 = 8;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const EMPTY: u64 = u64::MAX;

impl Index {
    /// The element of a version, which is appended to `elements` if it is new.
    #[inline]
    pub(super) fn find(&mut self, key: u32, value: u32, elements: &mut Vec<Element>) -> u32 {
        if value as usize >= self.by_value.len() {
            self.by_value.resize(value as usize + 1, (NONE, NONE));
        }
        let (of, first) = self.by_value[value as usize];
        if first == NONE {
            self.by_value[value as usize] = (key, elements.len() as u32);
            return push(key, value, elements);
        }
        if of == key { first } else { self.find_tabled(key, value, elements) }
    }

    fn find_tabled(&mut self, key: u32, value: u32, elements: &mut Vec<Element>) -> u32 {
        if self.tabled * 2 >= self.table.len() {
            self.grow(elements);
        }
        let mask = self.table.len() - 1;
        let (mut slot, tag) = place(key, value);
        loop {
            let found = self.table[slot & mask];
            if found == EMPTY {
                self.table[slot & mask] = tag << 32 | elements.len() as u64;
                self.tabled += 1;
                return push(key, value, elements);
            }
            let element = found as u32;
            let known = || &elements[element as usize];
            if found >> 32 == tag && known().key == key && known().value == value {
                return element;
            }
            slot += 1;
        }
    }

    fn grow(&mut self, elements: &[Element]) {
        let size = (self.table.len() * 2).max(64);
        let old = std::mem::replace(&mut self.table, vec![EMPTY; size]);
        for entry in old.into_iter().filter(|&entry| entry != EMPTY) {
            let Element { key, value, .. } = elements[entry as u32 as usize];
            let mut slot = place(key, value).0 & (size - 1);
            while self.table[slot] != EMPTY {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = entry;
        }
    }

    /// Bytes that it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.by_value.capacity() * size_of::<(u32, u32)>() + self.table.capacity() * size_of::<u64>()
    }
}

fn push(key: u32, value: u32, elements: &mut Vec<Element>) -> u32 {
    elements.push(Element { key, value, writer: NONE, aborted: NONE, last: false, twice: false });
    elements.len() as u32 - 1
}

/// Where a version belongs, before the size of the table is known, and 32 more bits of its hash.
fn place(key: u32, value: u32) -> (usize, u64) {
    let mixed = (u64::from(key) << 32 | u64::from(value / BLOCK)).wrapping_mul(MULTIPLIER);
    let block = (mixed ^ mixed >> 32) as u32 as usize;
    let tag = (mixed >> 32 ^ u64::from(value)) & 0x7fff_ffff;
    (block * BLOCK as usize + (value % BLOCK) as usize, tag)
}
