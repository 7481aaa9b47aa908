//! One row of the table.

use squall_checkers::{Checker, History, Valid, Verdict};

/// What is measured: a checker on a generated input of any size, beside the bar that it must reach.
pub(crate) struct Case {
    /// The row's name; `cargo bench -p squall-checkers --bench bars -- TEXT` runs the rows whose names hold the text.
    pub(crate) name: &'static str,
    /// Number of operations or transactions, and with `--quick`.
    pub(crate) size: usize,
    pub(crate) quick: usize,
    /// Makes the input.
    pub(crate) input: fn(usize) -> Input,
    /// Makes the checker.
    pub(crate) checker: fn() -> Box<dyn Checker>,
    /// What the verdict must be.
    pub(crate) valid: Valid,
    /// Milliseconds of one core's time that are allowed at full size, where the design states them.
    pub(crate) bar_ms: Option<f64>,
    /// MiB that are allowed at full size, besides the input.
    pub(crate) bar_mib: Option<f64>,
    /// What `--quick` allows for each operation: bytes allocated in all, and steps if the checker counts them.
    pub(crate) quick_bytes_per_op: usize,
    pub(crate) quick_steps_per_op: Option<f64>,
}

/// What is judged.
pub(crate) enum Input {
    /// Histories in memory: only the check is measured.
    Histories(Vec<History>),
    /// A file's bytes: reading it is measured too.
    File(Vec<u8>),
    /// There is none here: recorded histories of others that are not part of this repository.
    Missing,
}

impl Input {
    /// One history.
    pub(crate) fn of(history: History) -> Input {
        Input::Histories(vec![history])
    }

    /// Judges all of it; the verdict of the last history.
    pub(crate) fn judge(&self, checker: &dyn Checker) -> Option<Verdict> {
        let read =
            |bytes: &[u8]| squall_checkers::history::read(bytes, "bench").expect("a readable file").history;
        match self {
            Input::Histories(histories) => histories.iter().map(|history| checker.check(history)).last(),
            Input::File(bytes) => Some(checker.check(&read(bytes))),
            Input::Missing => None,
        }
    }
}
