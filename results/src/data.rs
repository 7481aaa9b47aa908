use squall_checkers::{FaultEvent, History, Verdict};

use crate::{ClockSample, RunConfig};

/// Everything that a run left behind, as far as it can be read.
#[derive(Clone, Debug, Default)]
pub struct RunData {
    /// The run's id.
    pub id: String,
    /// How it was started.
    pub config: RunConfig,
    /// What the clients saw.
    pub history: History,
    /// The fault journal, in order.
    pub faults: Vec<FaultEvent>,
    /// What the nodes' clocks showed, in the order of their sampling; none where no clock was to be skewed.
    pub clocks: Vec<ClockSample>,
    /// The verdict; `None` where there is none yet or it cannot be read.
    pub verdict: Option<Verdict>,
    /// The files of the run: what squall keeps, then the nodes' logs.
    pub files: Vec<RunFile>,
    /// What was missing or torn, one sentence each.
    pub notes: Vec<String>,
}

/// A file that a run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFile {
    /// Path below the run's directory, with `/`: `nodes/n1/server.log`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}
