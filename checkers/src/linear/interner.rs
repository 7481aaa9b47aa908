//! Hash-consing: equal values get one small number.

use std::hash::{BuildHasher, Hash};

use super::meter::growing;
use crate::intern::FastBuild;

const EMPTY: u32 = u32::MAX;

/// Distinct values by number, and numbers by value: open addressing over indices into a vector.
#[derive(Clone, Debug)]
pub(crate) struct Interner<T> {
    items: Vec<T>,
    table: Vec<u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Interner<T> {
        Interner { items: Vec::new(), table: vec![EMPTY; 8] }
    }
}

impl<T: Eq + Hash> Interner<T> {
    /// The number of `item`, and whether it is new.
    pub(crate) fn intern(&mut self, item: T) -> (u32, bool) {
        let at = self.find(&item);
        if self.table[at] != EMPTY {
            return (self.table[at], false);
        }
        let id = self.items.len() as u32;
        assert!(id != EMPTY, "an interner holds at most 2^32 - 1 values");
        self.table[at] = id;
        self.items.push(item);
        if self.items.len() * 4 > self.table.len() * 3 {
            self.grow();
        }
        (id, true)
    }

    /// The value of a number.
    pub(crate) fn at(&self, id: u32) -> &T {
        &self.items[id as usize]
    }

    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes held, with the room for the next values and without what the values own elsewhere.
    pub(crate) fn memory_bytes(&self) -> usize {
        growing(&self.items) + 3 * self.table.capacity() * 4
    }

    fn find(&self, item: &T) -> usize {
        let mask = self.table.len() - 1;
        let mut at = FastBuild::default().hash_one(item) as usize & mask;
        while self.table[at] != EMPTY && self.items[self.table[at] as usize] != *item {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 2 - 1;
        let mut table = vec![EMPTY; mask + 1];
        for (id, item) in self.items.iter().enumerate() {
            let mut at = FastBuild::default().hash_one(item) as usize & mask;
            while table[at] != EMPTY {
                at = (at + 1) & mask;
            }
            table[at] = id as u32;
        }
        self.table = table;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_number_through_growth() {
        let mut interner = Interner::default();
        for round in 0..2 {
            for i in 0..1000_u64 {
                assert_eq!(interner.intern(i * 4096), (i as u32, round == 0));
            }
        }
        assert_eq!((interner.len(), *interner.at(7)), (1000, 7 * 4096));
    }
}
