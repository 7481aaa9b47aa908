//! squall: a fault-injection test harness for distributed systems, after Jepsen.
//!
//! The binary is [`Squall`] with what comes built in. A program of your own adds targets, workloads, nemeses and
//! checkers to it and has the same command line: see `examples/own.rs`.

#[macro_use]
mod print;

mod cli;
mod clocks;
mod display;
mod environment;
pub mod event;
mod exit;
mod explain;
pub mod interpreter;
mod judge;
mod readiness;
mod recorder;
mod run;
mod run_log;
mod say;
mod seed;
mod squall;
mod suite;
mod sys;
mod worker;

pub use exit::Exit;
pub use squall::{CheckerEntry, NemesisEntry, Squall, TargetEntry, WorkloadEntry};
