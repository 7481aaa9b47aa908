//! How many values are critical in each class of gaps.

/// Counts over a range of classes that are lowered range by range. Which class is at zero is found in logarithmic time.
///
/// A tree of minima in which each node holds its minimum less its parent's share, so that a change of a range
/// touches two paths (after the segment trees of Bentley 1977, bottom up).
pub(crate) struct Layers {
    leaves: usize,
    nodes: Vec<i32>,
}

/// Above every count.
const PASSED: i32 = i32::MAX / 4;

impl Layers {
    pub(crate) fn new(counts: &[i32]) -> Layers {
        let leaves = counts.len().next_power_of_two();
        let mut nodes = vec![PASSED; 2 * leaves];
        nodes[leaves..leaves + counts.len()].copy_from_slice(counts);
        nodes[..leaves].fill(0);
        let mut layers = Layers { leaves, nodes };
        for node in (1..leaves).rev() {
            layers.settle(node);
        }
        layers
    }

    /// Moves what both children share to their parent.
    fn settle(&mut self, node: usize) {
        let shared = self.nodes[2 * node].min(self.nodes[2 * node + 1]);
        self.nodes[2 * node] -= shared;
        self.nodes[2 * node + 1] -= shared;
        self.nodes[node] += shared;
    }

    fn settle_above(&mut self, leaf: usize) {
        let mut node = leaf >> 1;
        while node > 0 {
            self.settle(node);
            node >>= 1;
        }
    }

    /// Takes one layer off the classes from `first` to the one before `end`, of which there is at least one.
    pub(crate) fn lower(&mut self, first: usize, end: usize) {
        let (mut low, mut high) = (first + self.leaves, end + self.leaves);
        while low < high {
            if low & 1 == 1 {
                self.nodes[low] -= 1;
                low += 1;
            }
            if high & 1 == 1 {
                high -= 1;
                self.nodes[high] -= 1;
            }
            (low, high) = (low >> 1, high >> 1);
        }
        self.settle_above(first + self.leaves);
        self.settle_above(end - 1 + self.leaves);
    }

    /// A class without a layer that was not given before.
    pub(crate) fn next_bare(&mut self) -> Option<usize> {
        if self.nodes[1] > 0 {
            return None;
        }
        let mut node = 1;
        while node < self.leaves {
            node = 2 * node + usize::from(self.nodes[2 * node] > 0);
        }
        self.nodes[node] += PASSED;
        self.settle_above(node);
        Some(node - self.leaves)
    }
}

/// Ranges of classes, from which those that hold a class are taken.
pub(crate) struct Ranges {
    /// In ascending order.
    firsts: Vec<u32>,
    /// Level by level, the last class of each range, and the largest of each [`FAN`] entries of the level before. Plus one;
    /// 0 where the range was taken.
    levels: Vec<Vec<u32>>,
}

const FAN: usize = 16;

impl Ranges {
    /// From first and last classes, in ascending order of the first.
    pub(crate) fn new(firsts: Vec<u32>, lasts: impl Iterator<Item = u32>) -> Ranges {
        let mut levels: Vec<Vec<u32>> = vec![lasts.map(|last| last + 1).collect()];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let above = level.chunks(FAN).map(|chunk| chunk.iter().copied().max().unwrap_or(0));
            levels.push(above.collect());
        }
        Ranges { firsts, levels }
    }

    /// Takes a range that holds `class`, and returns its number.
    pub(crate) fn take(&mut self, class: u32) -> Option<usize> {
        let count = self.firsts.partition_point(|&first| first <= class);
        let at = self.before(count, class)?;
        self.clear(at);
        Some(at)
    }

    /// The last of the first `count` ranges that reaches `class`.
    fn before(&self, count: usize, class: u32) -> Option<usize> {
        let (mut level, mut end) = (0, count);
        // Up, until the entries before `end` in the same group have one; then down again.
        let mut at = loop {
            let begin = (end.checked_sub(1)?) / FAN * FAN;
            let group = self.levels.get(level)?.get(begin..end)?;
            if let Some(at) = group.iter().rposition(|&last| last > class) {
                break begin + at;
            }
            (level, end) = (level + 1, begin / FAN);
        };
        while level > 0 {
            level -= 1;
            let begin = at * FAN;
            let end = (begin + FAN).min(self.levels[level].len());
            at = begin + self.levels[level][begin..end].iter().rposition(|&last| last > class)?;
        }
        Some(at)
    }

    fn clear(&mut self, mut at: usize) {
        self.levels[0][at] = 0;
        for level in 1..self.levels.len() {
            let (below, here) = self.levels.split_at_mut(level);
            at /= FAN;
            let group = &below[level - 1][at * FAN..((at + 1) * FAN).min(below[level - 1].len())];
            let largest = group.iter().copied().max().unwrap_or(0);
            if std::mem::replace(&mut here[0][at], largest) == largest {
                break;
            }
        }
    }
}
