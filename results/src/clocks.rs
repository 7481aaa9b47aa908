use serde::{Deserialize, Serialize};

/// A line of `clocks.jsonl`: how far the clocks of a node were from the true ones, by the code for reading
/// clocks that a process of the target had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSample {
    /// Nanoseconds since the start of the run, by the true clock.
    pub time_ns: u64,
    /// The node.
    pub node: String,
    /// The clock of the day, in nanoseconds ahead.
    pub offset_ns: i64,
    /// The clock since boot, in nanoseconds ahead.
    pub monotonic_ns: i64,
}
