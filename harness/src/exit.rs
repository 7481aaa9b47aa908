//! Exit codes.

use std::process::ExitCode;

use squall_checkers::Valid;

/// How the program ends, as CI sees it. The codes are Jepsen's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked is valid.
    Valid = 0,
    /// An anomaly was found.
    Invalid = 1,
    /// Undecided, or too few ok operations to say anything.
    Unknown = 2,
    /// The environment cannot do what was asked.
    Environment = 3,
    /// Nothing ran: no operation was performed, no run matched.
    NothingRan = 4,
    /// Ctrl-C: healed, the partial run is kept.
    Interrupted = 130,
    /// SIGTERM, or a terminal that was closed: healed, the partial run is kept.
    Terminated = 143,
    /// A flag or an argument is wrong.
    BadArguments = 254,
    /// squall itself failed.
    Internal = 255,
}

impl Exit {
    /// The table for `--help`.
    pub const HELP: &str = "Exit codes:
  0 valid   1 invalid   2 unknown, or too few ok ops   3 the environment cannot do it   4 nothing ran
  130/143 interrupted (healed, partial run kept)   254 bad arguments   255 squall itself failed";
}

impl From<Valid> for Exit {
    fn from(valid: Valid) -> Exit {
        match valid {
            Valid::True => Exit::Valid,
            Valid::Unknown => Exit::Unknown,
            Valid::False => Exit::Invalid,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
