//! Whether a cluster answers again, and since when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use futures_util::future::join_all;
use squall_checkers::Recovery;
use squall_targets::{Cluster, NodeHandle, Target};

/// The operation of the nemesis that waits until every node answers again. Its value says how long at most, as
/// `{"within_s": 30}`; that of its completion is a [`Recovery`].
pub const RECOVER: &str = "recover";

/// How long a node may take to reply before it is asked again: what was sent to it may be lost for good.
const REPLY_MAX: Duration = Duration::from_secs(5);

/// How often a node is asked whether it answers.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Asks a node until it answers, at most this long; the error is that of the last time.
pub async fn await_ready(target: &dyn Target, node: &NodeHandle, max: Duration) -> Result<()> {
    let deadline = Instant::now() + max;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let asked = tokio::time::timeout(left.clamp(ASK_EVERY, REPLY_MAX), target.ready(node)).await;
        match asked.context("it did not reply").and_then(|ready| ready) {
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(ASK_EVERY).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// Returns when no process of the target lives on the node any more, and does not come back within a second.
pub async fn ended(node: &NodeHandle) {
    let mut since: Option<Instant> = None;
    while since.is_none_or(|since| since.elapsed() < Duration::from_secs(1)) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let gone = node.pids().await.is_ok_and(|pids| pids.is_empty());
        since = if gone { since.or(Some(Instant::now())) } else { None };
    }
}

/// Waits until every node answers or has ended for good, at most this long, and tells how long each took.
pub async fn recovery(target: &dyn Target, cluster: &Cluster, within: Duration) -> Recovery {
    let start = Instant::now();
    let asked = cluster.nodes.iter().map(|node| async {
        let answered = tokio::select! {
            answered = await_ready(target, node, within) => answered,
            () = ended(node) => Err(anyhow!("it has ended")),
        };
        (node.name().to_owned(), answered.map(|()| start.elapsed().as_secs_f64()))
    });
    let (mut nodes, mut silent) = (BTreeMap::new(), BTreeMap::new());
    for (name, answered) in join_all(asked).await {
        match answered {
            Ok(took_s) => drop(nodes.insert(name, took_s)),
            Err(error) => drop(silent.insert(name, format!("{error:#}"))),
        }
    }
    Recovery { took_s: start.elapsed().as_secs_f64(), nodes, silent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cluster;

    #[tokio::test]
    async fn it_ends_when_every_node_answers_and_names_those_that_do_not() {
        let (cluster, target, _) = cluster(3, true);
        let all = recovery(target.as_ref(), &cluster, Duration::from_secs(30)).await;
        assert!(all.is_complete() && all.nodes.len() == 3 && all.took_s < 20.0, "{all:?}");

        cluster.nodes[1].kill().await.unwrap();
        // Nobody waits long for what has ended.
        let some = recovery(target.as_ref(), &cluster, Duration::from_secs(30)).await;
        assert_eq!(some.nodes.keys().collect::<Vec<_>>(), ["n1", "n3"]);
        assert_eq!(some.silent, [("n2".to_owned(), "it has ended".to_owned())].into());
        assert!(some.took_s < 20.0, "{some:?}");

        let (waited, started) =
            tokio::join!(recovery(target.as_ref(), &cluster, Duration::from_secs(30)), async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                target.start(&cluster, &cluster.nodes[1]).await
            });
        started.unwrap();
        assert!(waited.is_complete() && waited.nodes["n2"] >= 0.2, "{waited:?}");
    }
}
