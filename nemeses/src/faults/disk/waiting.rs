use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The calls that are held back, by numbers of their own, and since when.
#[derive(Default)]
pub(super) struct Waiting {
    since: BTreeMap<u64, Instant>,
    last: u64,
}

impl Waiting {
    /// One more, and its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.last += 1;
        self.since.insert(self.last, Instant::now());
        self.last
    }

    /// Whether it need not go on yet.
    pub(super) fn has(&self, number: u64) -> bool {
        self.since.contains_key(&number)
    }

    /// It goes on, if it has not yet: for how long it was held.
    pub(super) fn end(&mut self, number: u64) -> Option<Duration> {
        self.since.remove(&number).map(|since| since.elapsed())
    }

    /// All go on: for how long they were held altogether.
    pub(super) fn end_all(&mut self) -> Duration {
        std::mem::take(&mut self.since).into_values().map(|since| since.elapsed()).sum()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }
}
