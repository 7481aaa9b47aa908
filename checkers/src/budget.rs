//! What a check may spend, and how much of it is left.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bytes that a check may take, where nothing else is said.
const MEMORY_BYTES_MAX: usize = 2 << 30;

/// The caps on one check, or on several that run one after the other: on memory, on time, and a way to cancel.
///
/// Checkers ask it now and then. When it is spent they answer `unknown` with the reason and how far they came.
/// By default it has 2 GiB and no end, so that a verdict is a function of the history alone.
///
/// ```
/// use std::time::Duration;
/// use squall_checkers::Budget;
///
/// let budget = Budget::default().memory_bytes(64 << 20).time(Duration::from_secs(10));
/// assert!(budget.ask().is_ok());
/// assert!(budget.lease(65 << 20).is_err());
/// ```
#[derive(Debug)]
pub struct Budget {
    memory_bytes: usize,
    held: AtomicUsize,
    deadline: Option<(Duration, Instant)>,
    cancelled: AtomicBool,
}

/// Why a check ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It ran for this long, which is the cap.
    Time(Duration),
    /// It would hold `wanted` bytes, and `cap` is the cap.
    Memory {
        /// Bytes that it would hold.
        wanted: usize,
        /// Bytes that it may hold.
        cap: usize,
    },
    /// Somebody cancelled it.
    Cancelled,
}

/// Bytes that are held until this is dropped.
#[derive(Debug)]
pub struct Lease<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            memory_bytes: MEMORY_BYTES_MAX,
            held: AtomicUsize::new(0),
            deadline: None,
            cancelled: AtomicBool::new(false),
        }
    }
}

impl Budget {
    /// With this cap on the bytes that checkers hold, besides the history itself.
    pub fn memory_bytes(self, memory_bytes: usize) -> Budget {
        Budget { memory_bytes, ..self }
    }

    /// Which ends so long from now. The one cap that makes a verdict depend on more than the history.
    pub fn time(self, time: Duration) -> Budget {
        // A time that is beyond all clocks is no cap.
        Budget { deadline: Instant::now().checked_add(time).map(|end| (time, end)), ..self }
    }

    /// Ends it now: whoever works with it stops within 100 ms.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether there is time left. Costs as much as reading a clock: ask every few microseconds of work, not at every step.
    ///
    /// # Errors
    /// What is spent.
    pub fn ask(&self) -> Result<(), Spent> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Spent::Cancelled);
        }
        match self.deadline {
            Some((cap, end)) if Instant::now() >= end => Err(Spent::Time(cap)),
            _ => Ok(()),
        }
    }

    /// Takes this many bytes before they are allocated.
    ///
    /// # Errors
    /// If they are not left.
    pub fn lease(&self, bytes: usize) -> Result<Lease<'_>, Spent> {
        let mut lease = Lease { budget: self, bytes: 0 };
        lease.resize(bytes)?;
        Ok(lease)
    }

    /// Bytes that may still be taken.
    pub fn memory_left(&self) -> usize {
        self.memory_bytes.saturating_sub(self.held.load(Ordering::Relaxed))
    }
}

impl Lease<'_> {
    /// Holds so many bytes from now on, more or fewer than before: for what grows.
    ///
    /// # Errors
    /// If they are not left; what was held stays held.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Spent> {
        let (budget, before) = (self.budget, self.bytes);
        if bytes == before {
            return Ok(());
        }
        let moved = |held: usize| {
            Some(held - before + bytes).filter(|&held| bytes <= before || held <= budget.memory_bytes)
        };
        match budget.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved) {
            Ok(_) => {
                self.bytes = bytes;
                Ok(())
            }
            Err(held) => Err(Spent::Memory { wanted: held - before + bytes, cap: budget.memory_bytes }),
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl fmt::Display for Spent {
    /// What is spent and what would help, without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spent::Time(cap) => write!(f, "the time cap of {cap:?} was reached: raise it with --time-cap"),
            Spent::Memory { wanted, cap } => write!(
                f,
                "it would take {} MiB and the memory cap is {}: raise it with --memory-cap",
                wanted.div_ceil(1 << 20),
                if *cap < 1 << 20 {
                    format!("{} KiB", cap.div_ceil(1 << 10))
                } else {
                    format!("{} MiB", cap >> 20)
                }
            ),
            Spent::Cancelled => f.write_str("it was cancelled"),
        }
    }
}

impl std::error::Error for Spent {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_add_up_and_come_back() {
        let budget = Budget::default().memory_bytes(100);
        let mut first = budget.lease(60).unwrap();
        assert_eq!(budget.lease(50).unwrap_err(), Spent::Memory { wanted: 110, cap: 100 });
        first.resize(40).unwrap();
        let second = budget.lease(50).unwrap();
        assert!(first.resize(51).is_err());
        assert_eq!(budget.memory_left(), 10, "what was held stays held");
        drop((first, second));
        assert_eq!(budget.memory_left(), 100);
    }

    #[test]
    fn time_and_a_word_end_it() {
        let budget = Budget::default().time(Duration::ZERO);
        assert_eq!(budget.ask(), Err(Spent::Time(Duration::ZERO)));
        let budget = Budget::default();
        budget.ask().unwrap();
        budget.cancel();
        assert_eq!(budget.ask(), Err(Spent::Cancelled));
    }
}
