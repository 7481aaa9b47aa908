//! A set of slots.

/// A bitset of `64 * N` slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window<const N: usize>([u64; N]);

impl<const N: usize> Window<N> {
    pub(crate) const EMPTY: Window<N> = Window([0; N]);
    pub(crate) const CAPACITY: usize = 64 * N;

    pub(crate) fn insert(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    pub(crate) fn remove(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    pub(crate) fn contains(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    /// The slots of `self` that are not in `other`.
    pub(crate) fn minus(&self, other: &Window<N>) -> Window<N> {
        let mut difference = *self;
        for (a, b) in difference.0.iter_mut().zip(other.0) {
            *a &= !b;
        }
        difference
    }

    /// The first slot at or above `from`.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        if word >= N {
            return None;
        }
        let mut bits = self.0[word] & (u64::MAX << (from % 64));
        while bits == 0 {
            word += 1;
            if word == N {
                return None;
            }
            bits = self.0[word];
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// The slots in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let slot = self.next(from)?;
            from = slot + 1;
            Some(slot)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_back_in_order_across_words() {
        let mut window = Window::<3>::EMPTY;
        for slot in [191, 0, 63, 64, 130] {
            window.insert(slot);
        }
        let mut low = Window::EMPTY;
        low.insert(0);
        low.insert(1);
        window.remove(130);
        assert_eq!(window.minus(&low).iter().collect::<Vec<_>>(), [63, 64, 191]);
        assert!(window.contains(0) && !window.contains(1) && window.next(192).is_none());
    }
}
