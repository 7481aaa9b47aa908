//! Which crashed operations a configuration has used.

use std::collections::HashMap;

use super::interner::Interner;
use super::meter::growing_map;
use crate::intern::FastBuild;

/// Interned bags (multisets) of crashed classes. The empty bag is number 0.
///
/// Crashed operations of one class are interchangeable, so a bag holds counts: k equal ones cost k + 1 bags, not 2^k.
pub(crate) struct Bags {
    bags: Interner<Box<[(u32, u32)]>>,
    with: HashMap<(u32, u32), u32, FastBuild>,
    bytes: usize,
}

impl Bags {
    pub(crate) fn new() -> Bags {
        let mut bags = Interner::default();
        bags.intern(Box::default());
        Bags { bags, with: HashMap::default(), bytes: 0 }
    }

    /// How often `class` is in the bag.
    pub(crate) fn count(&self, bag: u32, class: u32) -> u32 {
        let items = self.bags.at(bag);
        items.binary_search_by_key(&class, |&(c, _)| c).map_or(0, |at| items[at].1)
    }

    /// The bag with one more of `class`.
    pub(crate) fn with(&mut self, bag: u32, class: u32) -> u32 {
        if let Some(&more) = self.with.get(&(bag, class)) {
            return more;
        }
        let mut items = self.bags.at(bag).to_vec();
        match items.binary_search_by_key(&class, |&(c, _)| c) {
            Ok(at) => items[at].1 += 1,
            Err(at) => items.insert(at, (class, 1)),
        }
        let size = items.len() * size_of::<(u32, u32)>() + size_of::<usize>();
        let (more, new) = self.bags.intern(items.into());
        self.bytes += if new { size } else { 0 };
        self.with.insert((bag, class), more);
        more
    }

    /// Whether everything in `small` is in `large`, as often.
    pub(crate) fn included(&self, small: u32, large: u32) -> bool {
        if small == large || small == 0 {
            return true;
        }
        let mut rest = self.bags.at(large).iter();
        self.bags.at(small).iter().all(|&(class, count)| rest.any(|&(c, n)| c == class && n >= count))
    }

    /// Bytes held, with the room for the next ones.
    pub(crate) fn memory_bytes(&self) -> usize {
        let with = growing_map(self.with.capacity(), size_of::<((u32, u32), u32)>());
        self.bags.memory_bytes() + self.bytes + with
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bags_count_and_include() {
        let mut bags = Bags::new();
        let a = bags.with(0, 7);
        let ab = bags.with(a, 3);
        let b = bags.with(0, 3);
        assert_eq!(bags.with(b, 7), ab);
        let aab = bags.with(ab, 7);
        assert_eq!((bags.count(aab, 7), bags.count(aab, 3), bags.count(aab, 5)), (2, 1, 0));
        assert!(bags.included(0, a) && bags.included(ab, aab) && bags.included(b, aab));
        assert!(!bags.included(aab, ab) && !bags.included(a, b));
    }
}
