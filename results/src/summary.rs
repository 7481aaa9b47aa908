use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};
use squall_checkers::{Valid, Verdict};

use crate::run::JudgedRun;
use crate::{Run, RunConfig, Totals, seed_hex};

/// How a run ended, as a list shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The verdict is `true`.
    Valid,
    /// The verdict is `false`.
    Invalid,
    /// The verdict is `unknown`.
    Unknown,
    /// There is no readable verdict: the run goes on, or was cut short.
    Incomplete,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Valid => "valid",
            Status::Invalid => "invalid",
            Status::Unknown => "unknown",
            Status::Incomplete => "incomplete",
        })
    }
}

impl From<Valid> for Status {
    fn from(valid: Valid) -> Status {
        match valid {
            Valid::True => Status::Valid,
            Valid::Unknown => Status::Unknown,
            Valid::False => Status::Invalid,
        }
    }
}

/// A line of a list of runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run's id, which is the name of its directory.
    pub id: String,
    /// How it ended.
    pub status: Status,
    /// What was found, in a line. Empty while incomplete.
    pub summary: String,
    /// When it began: `2026-11-21T08:30:12.000Z`. Empty where `run.toml` cannot be read.
    pub started: String,
    /// What was tested.
    pub target: String,
    /// What the clients did.
    pub workload: String,
    /// The faults that were asked for.
    pub nemeses: Vec<String>,
    /// The seed, as it is typed.
    pub seed: String,
    /// Counts; absent while incomplete and in verdicts that carry none.
    pub totals: Option<Totals>,
    /// The kinds of the anomalies, each once, worst first.
    pub anomalies: Vec<String>,
}

impl RunSummary {
    /// Reads what a list needs of a run. Never fails: what is missing or torn is shown as such.
    pub fn read(run: &Run) -> RunSummary {
        let config = fs::read_to_string(run.config_path()).ok().and_then(|text| toml::from_str(&text).ok());
        let judged = fs::read(run.verdict_path()).ok().and_then(|json| serde_json::from_slice(&json).ok());
        RunSummary::new(run.id(), config, judged)
    }

    fn new(id: &str, config: Option<RunConfig>, judged: Option<JudgedRun>) -> RunSummary {
        let known = config.is_some();
        let config = config.unwrap_or_default();
        let verdict = judged.as_ref().map(|judged| &judged.verdict);
        RunSummary {
            id: id.to_owned(),
            status: verdict.map_or(Status::Incomplete, |verdict| verdict.valid.into()),
            summary: verdict.map_or_else(String::new, |verdict| verdict.summary.clone()),
            started: if known { config.started.to_string() } else { String::new() },
            target: config.target,
            workload: config.workload,
            nemeses: config.nemeses,
            seed: if known { seed_hex(config.seed) } else { String::new() },
            totals: judged.as_ref().and_then(|judged| judged.totals),
            anomalies: verdict.map_or_else(Vec::new, anomaly_kinds),
        }
    }
}

fn anomaly_kinds(verdict: &Verdict) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for anomaly in verdict.all_anomalies() {
        if !kinds.contains(&anomaly.kind) {
            kinds.push(anomaly.kind.clone());
        }
    }
    kinds
}
