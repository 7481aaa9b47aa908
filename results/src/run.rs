use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use squall_checkers::{FaultEvent, Verdict};

use crate::config::slug;
use crate::{RunConfig, Totals, files};

/// One run's directory. Cheap to make: nothing is read until it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    dir: PathBuf,
    id: String,
}

/// What `verdict.json` holds: the verdict's own fields and the totals beside them.
#[derive(Serialize, Deserialize)]
pub(crate) struct JudgedRun {
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) totals: Option<Totals>,
}

/// The open fault journal of a run. Each line is with the operating system before
/// [`append`](FaultJournal::append) returns, so an intent is known even if this process dies next.
#[derive(Debug)]
pub struct FaultJournal(File);

impl FaultJournal {
    /// Adds a line.
    pub fn append(&mut self, event: &FaultEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

impl Run {
    /// The run in that directory, which need not exist yet.
    pub fn at(dir: impl Into<PathBuf>) -> Run {
        let dir = dir.into();
        let named = dir.file_name().map(|name| name.to_string_lossy().into_owned());
        Run { id: named.unwrap_or_else(|| dir.to_string_lossy().into_owned()), dir }
    }

    /// The name of its directory.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `run.toml`: how it was started.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("run.toml")
    }

    /// `history.jsonl.zst`: what the clients saw.
    pub fn history_path(&self) -> PathBuf {
        self.dir.join("history.jsonl.zst")
    }

    /// `faults.jsonl`: the fault journal with its receipts.
    pub fn faults_path(&self) -> PathBuf {
        self.dir.join("faults.jsonl")
    }

    /// `verdict.json`: the verdict and the totals.
    pub fn verdict_path(&self) -> PathBuf {
        self.dir.join("verdict.json")
    }

    /// `report.html`.
    pub fn report_path(&self) -> PathBuf {
        self.dir.join("report.html")
    }

    /// `squall.log`: what the controller did.
    pub fn log_path(&self) -> PathBuf {
        self.dir.join("squall.log")
    }

    /// `nodes/<node>/`, where that node's logs go.
    pub fn node_dir(&self, node: &str) -> PathBuf {
        self.dir.join("nodes").join(slug(node))
    }

    /// Makes `nodes/<node>/` and returns it.
    pub fn create_node_dir(&self, node: &str) -> Result<PathBuf> {
        let dir = self.node_dir(node);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// Replaces `run.toml` in one step.
    pub fn write_config(&self, config: &RunConfig) -> Result<()> {
        let text = toml::to_string(config).context("the run's configuration does not fit TOML")?;
        let path = self.config_path();
        files::replace(&path, |out| out.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Opens `faults.jsonl` to add to it.
    pub fn fault_journal(&self) -> Result<FaultJournal> {
        let path = self.faults_path();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(FaultJournal(file.with_context(|| format!("cannot open {}", path.display()))?))
    }

    /// Replaces `verdict.json` in one step. From here on the run is no longer incomplete.
    pub fn write_verdict(&self, verdict: &Verdict, totals: &Totals) -> Result<()> {
        let judged = JudgedRun { verdict: verdict.clone(), totals: Some(*totals) };
        let path = self.verdict_path();
        files::replace(&path, |out| {
            serde_json::to_writer_pretty(&mut *out, &judged)?;
            out.write_all(b"\n")
        })
        .with_context(|| format!("cannot write {}", path.display()))
    }
}
