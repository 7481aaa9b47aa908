//! Getting a target to answer: at the start of a run, and again after everything was healed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use squall_checkers::{Op, Recovery, Type};
use squall_nemeses::{Chaos, RECOVER, await_ready, ended, recovery};
use squall_targets::{Cluster, NodeHandle, Target};
use squall_workloads::{Client, Completion, Node};
use tokio::sync::watch;

use crate::cli::NothingRan;

/// How long the nodes may take to answer after they were started.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long they may take to answer again after everything was healed, before the final reads go ahead all the same.
const RECOVER_MAX: Duration = Duration::from_secs(30);

/// Starts the target on all nodes and waits until each answers. Logs of nodes are in `<logs>/<node>`.
pub(crate) async fn start_target(target: &dyn Target, cluster: &Cluster, logs: &Path) -> Result<()> {
    for node in &cluster.nodes {
        target
            .start(cluster, node)
            .await
            .with_context(|| format!("the target could not be started on {}", node.name()))?;
    }
    for node in &cluster.nodes {
        let answered = tokio::select! {
            ready = await_ready(target, node, READY_MAX) => ready,
            () = ended(node) => Err(anyhow::anyhow!("it has ended")),
        };
        if let Err(error) = answered {
            let output = output(node, logs).await;
            bail!(NothingRan(format!("the target on {} does not answer: {error:#}; {output}", node.name())));
        }
    }
    Ok(())
}

/// Where the output of the target on a node is, and its last line.
async fn output(node: &NodeHandle, logs: &Path) -> String {
    let logs = logs.join(node.name());
    if let Err(error) = node.fetch_logs().await {
        eprintln!("warning  {error:#}");
    }
    let last = last_words(&logs).map_or_else(String::new, |line| format!(", and ends with: {line}"));
    format!("its output is in {}{last}", logs.display())
}

/// The last line that is not empty in the log of the target on a node.
fn last_words(logs: &Path) -> Option<String> {
    let logs = std::fs::read_dir(logs).ok()?.flatten().map(|entry| entry.path());
    let mut logs = logs.filter(|path| path.file_name().is_some_and(|name| name != "agent.log"));
    let text = std::fs::read_to_string(logs.next()?).ok()?;
    text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// Waits for recovery, between phases of a schedule and after the last healing, unless the run is told to stop.
#[derive(Clone)]
pub(crate) struct Patience {
    pub(crate) target: Arc<dyn Target>,
    pub(crate) cluster: Cluster,
    pub(crate) stop: watch::Receiver<bool>,
    /// Where the logs of nodes are.
    pub(crate) logs: PathBuf,
}

impl Patience {
    /// Waits until every node answers, at most this long; `None` if the run is told to stop.
    pub(crate) async fn recovery(&mut self, within: Duration) -> Option<Recovery> {
        tokio::select! {
            recovery = recovery(self.target.as_ref(), &self.cluster, within) => Some(recovery),
            _ = self.stop.wait_for(|&stop| stop) => None,
        }
    }

    /// The same after the last healing.
    pub(crate) async fn last(&mut self) -> Option<Recovery> {
        self.recovery(RECOVER_MAX).await
    }

    /// Which nodes do not answer, and why, a sentence each.
    pub(crate) async fn notes(&self, recovery: &Recovery) -> Vec<String> {
        let mut notes = Vec::new();
        for (name, error) in &recovery.silent {
            let node = self.cluster.node(name).expect("a node that was asked");
            let ended = node.pids().await.is_ok_and(|pids| pids.is_empty());
            notes.push(if ended {
                let output = output(node, &self.logs).await;
                format!("The target on {name} ended by itself, or could not start again: {output}.")
            } else {
                format!("{name} did not answer within {} s of healing: {error}.", RECOVER_MAX.as_secs())
            });
        }
        notes
    }
}

/// What performs the nemesis' operations: faults, and waits for recovery. Those keep no fault from being healed.
#[derive(Clone)]
pub(crate) struct NemesisClient {
    pub(crate) chaos: Chaos,
    pub(crate) patience: Patience,
}

#[async_trait]
impl Client for NemesisClient {
    async fn open(&self, _node: &Node) -> Result<Box<dyn Client>> {
        Ok(Box::new(self.clone()))
    }

    async fn invoke(&mut self, op: &Op) -> Result<Completion> {
        if op.f != RECOVER {
            return Ok(self.chaos.perform(op).await);
        }
        let within = op.value["within_s"].as_f64().map_or(Ok(RECOVER_MAX), Duration::try_from_secs_f64)?;
        let recovery = self.patience.recovery(within).await.context("the run was told to stop")?;
        let silent: Vec<&str> = recovery.silent.keys().map(String::as_str).collect();
        let error = (!silent.is_empty()).then(|| format!("{} did not answer", silent.join(", ")));
        Ok(Completion { kind: Type::Info, value: Some(serde_json::to_value(&recovery)?), error })
    }
}
