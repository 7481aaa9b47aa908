//! The log in memory: the entries after the last snapshot.

use super::message::{Entry, LogPos};

/// Entries without a gap, after `base`, which the snapshot stands for.
#[derive(Debug, Clone, Default)]
pub struct Log {
    base: LogPos,
    entries: Vec<Entry>,
}

impl Log {
    /// A log that goes on after `base`.
    pub fn new(base: LogPos, entries: Vec<Entry>) -> Log {
        Log { base, entries }
    }

    /// The last place that the snapshot stands for.
    pub fn base(&self) -> LogPos {
        self.base
    }

    /// The last place.
    pub fn last(&self) -> LogPos {
        self.entries.last().map_or(self.base, |entry| entry.pos)
    }

    /// How many entries are held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry at `index`, if it is held.
    pub fn get(&self, index: u64) -> Option<&Entry> {
        self.entries.get(self.offset(index)?)
    }

    /// The term at `index`: known for the entries held and for the base.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.base.index {
            Some(self.base.term)
        } else {
            self.get(index).map(|entry| entry.pos.term)
        }
    }

    /// The place at `index`, if its term is known.
    pub fn pos_at(&self, index: u64) -> Option<LogPos> {
        self.term_at(index).map(|term| LogPos { index, term })
    }

    /// At most `max` entries from `index` on.
    pub fn from(&self, index: u64, max: usize) -> &[Entry] {
        let start = self.offset(index).unwrap_or(self.entries.len()).min(self.entries.len());
        &self.entries[start..self.entries.len().min(start.saturating_add(max))]
    }

    /// Adds an entry at the end.
    pub fn push(&mut self, entry: Entry) {
        debug_assert_eq!(entry.pos.index, self.last().index + 1, "the log has no gap");
        self.entries.push(entry);
    }

    /// Removes the entry at `index` and all after it.
    pub fn truncate_from(&mut self, index: u64) {
        let keep = self.offset(index).unwrap_or(0);
        self.entries.truncate(keep);
    }

    /// Drops what the snapshot that ends at `base` stands for. Entries after it stay if they follow it.
    pub fn compact(&mut self, base: LogPos) {
        let follows = self.term_at(base.index) == Some(base.term);
        let drop = if follows { (base.index - self.base.index) as usize } else { self.entries.len() };
        self.entries.drain(..drop);
        self.base = base;
    }

    /// The first index, after the base, of the run of entries that have the term of the entry at `index`: where a
    /// leader should try next after a conflict there (paper, end of §5.3).
    pub fn first_of_term_at(&self, index: u64) -> u64 {
        let term = self.term_at(index);
        let mut first = index;
        while first > self.base.index + 1 && self.term_at(first - 1) == term {
            first -= 1;
        }
        first
    }

    fn offset(&self, index: u64) -> Option<usize> {
        index.checked_sub(self.base.index + 1).map(|offset| offset as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Payload;
    use super::*;

    fn pos(index: u64, term: u64) -> LogPos {
        LogPos { index, term }
    }

    /// Entries with the given terms, from index 1 on.
    fn log(terms: &[u64]) -> Log {
        let mut log = Log::default();
        for (at, term) in terms.iter().enumerate() {
            log.push(Entry { pos: pos(at as u64 + 1, *term), payload: Payload::Noop });
        }
        log
    }

    #[test]
    fn places_before_and_after_the_log() {
        let log = log(&[1, 1, 2]);
        assert_eq!(log.term_at(0), Some(0));
        assert_eq!(log.term_at(3), Some(2));
        assert_eq!(log.term_at(4), None);
        assert_eq!(log.from(3, 9).len(), 1);
        assert_eq!(log.from(4, 9).len(), 0);
        assert_eq!(log.from(1, 2).len(), 2);
    }

    #[test]
    fn compaction_keeps_what_follows_the_snapshot() {
        let mut kept = log(&[1, 1, 2]);
        kept.compact(pos(2, 1));
        assert_eq!((kept.base(), kept.last(), kept.len()), (pos(2, 1), pos(3, 2), 1));
        assert_eq!(kept.term_at(1), None);
        assert_eq!(kept.from(3, 9).len(), 1);
    }

    #[test]
    fn compaction_drops_what_contradicts_the_snapshot() {
        let mut dropped = log(&[1, 1, 2]);
        dropped.compact(pos(2, 3));
        assert_eq!((dropped.last(), dropped.len()), (pos(2, 3), 0));

        let mut behind = log(&[1]);
        behind.compact(pos(7, 3));
        assert_eq!((behind.last(), behind.len()), (pos(7, 3), 0));
    }

    #[test]
    fn a_conflict_backs_up_by_a_whole_term() {
        let mut log = log(&[1, 2, 2, 2, 3]);
        assert_eq!(log.first_of_term_at(4), 2);
        log.compact(pos(3, 2));
        assert_eq!(log.first_of_term_at(4), 4, "never into the snapshot");
    }

    #[test]
    fn truncation() {
        let mut log = log(&[1, 1, 2]);
        log.truncate_from(2);
        assert_eq!(log.last(), pos(1, 1));
        log.truncate_from(5);
        assert_eq!(log.last(), pos(1, 1));
    }
}
