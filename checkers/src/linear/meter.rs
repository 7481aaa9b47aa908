//! What an engine spends, against what it may.

use std::fmt;

use super::portfolio::WIDTH_MAX;
use crate::{Budget, Lease, Spent};

/// What an engine may spend on one object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'b> {
    /// Configurations.
    pub(crate) steps: u64,
    /// Memory, time and a way to cancel, for all objects together.
    pub(crate) budget: &'b Budget,
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Steps,
    /// More operations were pending at once than a window is wide.
    Width,
    /// The beginning of a sub-problem may have left the object in too many states.
    States,
    Spent(Spent),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Steps => f.write_str("no answer within the limit on configurations: raise it"),
            Limit::Spent(spent) => spent.fmt(f),
            Limit::States => f.write_str("its first operations may have left it in too many states"),
            Limit::Width => write!(f, "more than {WIDTH_MAX} operations pending at once: use fewer clients"),
        }
    }
}

impl From<Spent> for Limit {
    fn from(spent: Spent) -> Limit {
        Limit::Spent(spent)
    }
}

/// Ticks between two looks at the budget, where a tick is cheap.
const INTERVAL: usize = 256;

/// Counts an engine's work and holds its memory.
pub(crate) struct Meter<'b> {
    limits: Limits<'b>,
    lease: Lease<'b>,
    interval: usize,
    ticks: usize,
    pub(crate) steps: u64,
    /// Most bytes held.
    pub(crate) bytes_max: usize,
}

impl<'b> Meter<'b> {
    /// For configurations of so many words.
    pub(crate) fn new(limits: &Limits<'b>, words: usize) -> Result<Meter<'b>, Limit> {
        let interval = (INTERVAL / words).max(4);
        let lease = limits.budget.lease(0)?;
        Ok(Meter { limits: *limits, lease, interval, ticks: 0, steps: 0, bytes_max: 0 })
    }

    /// One more configuration was seen. `bytes` says what is held, with the room for the next ones.
    #[inline]
    pub(crate) fn step(&mut self, bytes: impl FnOnce() -> usize) -> Result<(), Limit> {
        self.steps += 1;
        if self.steps >= self.limits.steps {
            return Err(Limit::Steps);
        }
        self.tick(bytes)
    }

    /// A little work was done that is not a step.
    #[inline]
    pub(crate) fn tick(&mut self, bytes: impl FnOnce() -> usize) -> Result<(), Limit> {
        self.ticks += 1;
        if self.ticks < self.interval {
            return Ok(());
        }
        self.ticks = 0;
        self.hold(bytes())?;
        Ok(self.limits.budget.ask()?)
    }

    /// A little work was done and nothing more is held.
    #[inline]
    pub(crate) fn ask(&mut self) -> Result<(), Limit> {
        self.ticks += 1;
        if self.ticks < self.interval {
            return Ok(());
        }
        self.ticks = 0;
        Ok(self.limits.budget.ask()?)
    }

    /// So many bytes are held.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Limit> {
        self.bytes_max = self.bytes_max.max(bytes);
        Ok(self.lease.resize(bytes)?)
    }
}

/// The bytes of a vector, and, where the next items may make it grow, those of the longer one beside it.
pub(crate) fn growing<T>(items: &Vec<T>) -> usize {
    growing_by(items.len(), items.capacity(), size_of::<T>())
}

/// The same of any container that doubles.
pub(crate) fn growing_by(len: usize, capacity: usize, item_bytes: usize) -> usize {
    let grows = len + INTERVAL + 1 >= capacity && len > 0;
    let next = if grows { (2 * capacity).max(len + INTERVAL + 1) } else { 0 };
    (capacity + next) * item_bytes
}

/// The bytes of a hash map and of one twice as large beside it: a configuration may add many entries at once.
pub(crate) fn growing_map(capacity: usize, entry_bytes: usize) -> usize {
    // An eighth of the slots stays free, and each has a control byte.
    3 * (capacity * 8 / 7) * (entry_bytes + 1)
}
