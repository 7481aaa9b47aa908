//! Faults on processes, seen from outside: by whether and how fast a node answers, and by the ids of its processes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use squall_nemeses::Chaos;
use squall_targets::Cluster;

use crate::chatter::heard;
use crate::{heard_soon, perform};

pub(crate) const NEMESES: &str = "term,restart,rolling,crash-loop,slow,cpu,memory,flags";

pub(crate) async fn scenario(chaos: &Chaos, cluster: &Cluster) -> Result<()> {
    let node = &cluster.nodes[0];
    let pids = async || node.pids().await;

    let before = pids().await?;
    perform(chaos, "term", "n1").await?;
    ensure!(pids().await?.is_empty() && heard(node).is_err(), "n1 has ended");
    perform(chaos, "start-again", "").await?;
    ensure!(pids().await? != before, "n1 is another process");
    heard_soon(node)?;

    // A process that stands does not hear SIGTERM.
    perform(chaos, "pause", "n1").await?;
    perform(chaos, "term", "100ms@n1").await?;
    ensure!(pids().await?.is_empty(), "n1 was killed");
    perform(chaos, "resume", "").await?;
    perform(chaos, "start-again", "").await?;
    heard_soon(node)?;

    for (inject, heal) in
        [("restart", "await-restart"), ("start-crash-loop", "stop-crash-loop"), ("roll", "await-roll")]
    {
        let before = pids().await?;
        perform(chaos, inject, if inject == "roll" { "all" } else { "n1" }).await?;
        let after = pids().await?;
        ensure!(after.len() == 1 && after != before, "{inject}: n1 was {before:?} and is {after:?}");
        heard_soon(node).context(inject)?;
        perform(chaos, heal, "").await?;
        ensure!(pids().await? == after, "{heal} leaves what runs");
    }

    let quick = answers_in(cluster)?;
    perform(chaos, "start-slow", "5%@n1").await?;
    let slow = answers_in(cluster)?;
    perform(chaos, "stop-slow", "").await?;
    println!("n1 answers in {quick:?}, when slow in {slow:?}");
    ensure!(
        slow > quick && slow > Duration::from_millis(20),
        "n1 answers in {slow:?}, not only in {quick:?}"
    );

    perform(chaos, "start-cpu", "1%@n1").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    perform(chaos, "stop-cpu", "").await?;

    perform(chaos, "start-memory", "64K@n1").await?;
    perform(chaos, "stop-memory", "").await?;
    heard_soon(node)?;

    let flagged = async || {
        let commands = node.commands().await?;
        anyhow::Ok(commands.iter().any(|(_, command)| command.contains(&"--softly".to_owned())))
    };
    ensure!(!flagged().await?, "before");
    perform(chaos, "start-flags", "--softly@n1").await?;
    ensure!(flagged().await?, "n1 has the flag");
    perform(chaos, "stop-flags", "").await?;
    ensure!(!flagged().await?, "after");
    heard_soon(node).map(drop)
}

/// The longest of some answers of n1.
fn answers_in(cluster: &Cluster) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        // Else all of them may fall into the moment in which it runs.
        std::thread::sleep(Duration::from_millis(13));
        let began = Instant::now();
        heard_soon(&cluster.nodes[0])?;
        longest = longest.max(began.elapsed());
    }
    Ok(longest)
}
