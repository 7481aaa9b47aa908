//! What is left of a run: its directory, its report, and the pages that show both.
//!
//! A [`Store`] is a folder of runs. A [`Run`] is one directory that stands alone: `run.toml`, `history.jsonl.zst`,
//! `faults.jsonl`, `verdict.json`, `report.html`, the nodes' logs. Nothing here judges: a failure to record or to
//! report is an `Err` for the caller to mention, and never changes a verdict.

mod clocks;
mod config;
mod data;
mod files;
mod index;
pub mod report;
mod run;
mod serve;
mod store;
mod summary;
mod timestamp;
mod totals;

pub use clocks::ClockSample;
pub use config::{RunConfig, seed_hex, shell_quoted};
pub use data::{RunData, RunFile};
pub use report::{Outline, Report};
pub use run::Run;
pub use serve::{router, serve};
pub use store::{FindError, Store};
pub use summary::{RunSummary, Status};
pub use timestamp::Timestamp;
pub use totals::Totals;
