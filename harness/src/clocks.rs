//! Samples the clocks of the nodes through a run, as the target sees them: for the plot in the report.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use squall_results::ClockSample;
use squall_targets::{Cluster, NodeHandle};
use tokio::time::{MissedTickBehavior, interval};

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Samples until it is dropped. What cannot be recorded is told once and never stops a run.
pub(crate) async fn sample(cluster: Cluster, path: std::path::PathBuf, start: Instant) {
    if let Err(error) = record(&cluster, &path, start).await {
        eprintln!("warning  the clocks are not recorded any more: {error:#}");
    }
}

async fn record(cluster: &Cluster, path: &Path, start: Instant) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let samples = join_all(cluster.nodes.iter().map(|node| look(node, start))).await;
        let mut lines = Vec::new();
        for sample in samples.into_iter().flatten() {
            serde_json::to_writer(&mut lines, &sample)?;
            lines.push(b'\n');
        }
        file.write_all(&lines).with_context(|| format!("cannot write to {}", path.display()))?;
    }
}

/// `None` where nothing runs, or an agent is busy or gone: others tell of that.
async fn look(node: &NodeHandle, start: Instant) -> Option<ClockSample> {
    let seen = node.observe("clock").await.ok()?;
    Some(ClockSample {
        time_ns: start.elapsed().as_nanos() as u64,
        node: node.name().to_owned(),
        offset_ns: seen["offset_ns"].as_i64()?,
        monotonic_ns: seen["monotonic_ns"].as_i64()?,
    })
}
