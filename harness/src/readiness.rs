//! Getting a target to answer: at the start of a run, and again after everything was healed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use squall_results::Run;
use squall_targets::{Cluster, NodeHandle, Target};

use crate::cli::NothingRan;

/// How long the nodes may take to answer after they were started.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long they may take to answer again after everything was healed, before the final reads go ahead all the same.
const RECOVER_MAX: Duration = Duration::from_secs(30);
/// How often a node is asked whether it answers.
const READY_EVERY: Duration = Duration::from_millis(20);

/// Starts the target on all nodes and waits until each answers.
pub(crate) async fn start_target(target: &dyn Target, cluster: &Cluster, run: &Run) -> Result<()> {
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
            let logs = run.node_dir(node.name());
            if let Err(error) = node.fetch_logs().await {
                eprintln!("warning  {error:#}");
            }
            bail!(NothingRan(format!(
                "the target on {} does not answer: {error:#}; its output is in {}{}",
                node.name(),
                logs.display(),
                last_words(&logs).map_or_else(String::new, |line| format!(", and ends with: {line}"))
            )));
        }
    }
    Ok(())
}

/// Returns when no process of the target lives on the node any more, and does not come back within a second.
async fn ended(node: &NodeHandle) {
    let mut since: Option<Instant> = None;
    while since.is_none_or(|since| since.elapsed() < Duration::from_secs(1)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let gone = node.pids().await.is_ok_and(|pids| pids.is_empty());
        since = if gone { since.or(Some(Instant::now())) } else { None };
    }
}

/// The last line that is not empty in the log of the target on a node.
fn last_words(logs: &Path) -> Option<String> {
    let logs = std::fs::read_dir(logs).ok()?.flatten().map(|entry| entry.path());
    let mut logs = logs.filter(|path| path.file_name().is_some_and(|name| name != "agent.log"));
    let text = std::fs::read_to_string(logs.next()?).ok()?;
    text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// Asks a node until it answers, at most this long; the error is that of the last time.
async fn await_ready(target: &dyn Target, node: &NodeHandle, max: Duration) -> Result<()> {
    let deadline = Instant::now() + max;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let asked = tokio::time::timeout(left.max(READY_EVERY), target.ready(node)).await;
        match asked.context("it did not reply").and_then(|ready| ready) {
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(READY_EVERY).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// Waits until every node answers, within a bound for all; tells which do not, and why.
pub(crate) async fn recover(target: &dyn Target, cluster: &Cluster) -> Vec<String> {
    let start = Instant::now();
    let mut notes = Vec::new();
    for node in &cluster.nodes {
        let left = RECOVER_MAX.saturating_sub(start.elapsed());
        let Err(error) = await_ready(target, node, left).await else { continue };
        let ended = node.pids().await.is_ok_and(|pids| pids.is_empty());
        notes.push(if ended {
            format!("The target on {0} ended by itself: see nodes/{0}.", node.name())
        } else {
            format!(
                "{} did not answer within {} s of healing: {error:#}.",
                node.name(),
                RECOVER_MAX.as_secs()
            )
        });
    }
    notes
}
