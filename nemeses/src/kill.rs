//! Kills: the processes of a node end, at once or when asked to, and are started again.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::NodeHandle;

use crate::nemesis::{Nemesis, Ops, Plan, Scene, joined};
use crate::nodes::{CHOICES, at_nodes, nodes_of};
use crate::words::count;

/// `kill` takes a [`NodeSpec`](crate::NodeSpec) as text, or nothing for a random one, and kills everything of the target
/// there with SIGKILL; `start` starts the target again where it was killed.
#[derive(Clone, Debug, Default)]
pub struct Kill {
    killed: BTreeSet<String>,
}

/// What healing says of a node that another fault keeps down.
pub(crate) const KILLED: &str = "left down: another fault killed it";

/// Starts the target on those of these nodes where it has ended, and tells which.
pub(crate) async fn start_ended(names: &[String], on: &Scene<'_>) -> Result<Vec<String>> {
    let live = on.live(names).await?;
    let ended: Vec<String> = names.iter().filter(|name| !live.contains(name)).cloned().collect();
    for name in &ended {
        let node = on.cluster.node(name).with_context(|| format!("there is no node {name}"))?;
        on.target.start(on.cluster, node).await.with_context(|| format!("starting {name} again"))?;
    }
    Ok(ended)
}

#[async_trait]
impl Nemesis for Kill {
    fn fault(&self) -> &str {
        "kill"
    }

    fn ops(&self) -> Ops {
        Ops::new("kill", "start")
    }

    fn stacks(&self) -> bool {
        true
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        on.each_live(&plan.nodes, &mut self.killed, |node| node.kill()).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        start_again(&mut self.killed, on).await
    }
}

/// How long processes may take to end if they are not told.
const GRACE: Duration = Duration::from_secs(5);
/// The longest that they can be given: an agent answers within less than a step of a nemesis may take.
const GRACE_MAX: Duration = Duration::from_secs(10);

/// `term` asks everything of the target on some nodes to end, with SIGTERM, and kills what has not ended after a grace
/// time; `start-again` starts the target there again. Takes a [`NodeSpec`](crate::NodeSpec) as text, and before an `@`
/// the grace time: `one`, `500ms@one`.
#[derive(Clone, Debug, Default)]
pub struct Term {
    ended: BTreeSet<String>,
}

fn duration(text: &str) -> Result<Duration> {
    let (number, unit_ms) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1),
        (None, Some(number)) => (number, 1000),
        (None, None) => bail!("{text} has no unit: ms or s"),
    };
    let number: u64 = number.parse().with_context(|| format!("{number:?} is no whole number"))?;
    Ok(Duration::from_millis(number.saturating_mul(unit_ms)))
}

/// The grace time and the nodes of a text such as `500ms@one`.
pub(crate) fn grace(text: &str) -> Result<(Duration, Value)> {
    let (grace, nodes) = match at_nodes(text) {
        (grace, nodes @ Value::String(_)) => (duration(grace)?, nodes),
        (nodes, _) => (GRACE, nodes.into()),
    };
    if grace > GRACE_MAX {
        bail!("a grace time is at most {} s", GRACE_MAX.as_secs());
    }
    Ok((grace, nodes))
}

#[async_trait]
impl Nemesis for Term {
    fn fault(&self) -> &str {
        "term"
    }

    fn ops(&self) -> Ops {
        Ops::new("term", "start-again")
    }

    fn stacks(&self) -> bool {
        true
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let (grace, nodes) = match value {
            Value::String(text) => grace(text)?,
            other => (GRACE, other.clone()),
        };
        let plan = nodes_of(&nodes, &CHOICES, on, rng).await?;
        Ok(Plan { args: (grace.as_millis() as u64).into(), ..plan })
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let grace = Duration::from_millis(plan.args.as_u64().context("a grace time")?);
        on.each_live(&plan.nodes, &mut self.ended, |node| node.terminate(grace)).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        start_again(&mut self.ended, on).await
    }
}

/// Starts the target on those of these nodes where none of its processes lives, and forgets them. All were taken down by the
/// fault that is healed.
pub(crate) async fn start_again(down: &mut BTreeSet<String>, on: &Scene<'_>) -> Result<Receipt> {
    start_but(&BTreeSet::new(), down, on).await
}

/// The same for a fault after which nodes run, unless something went wrong: what another one killed is that one's to start.
pub(crate) async fn start_unless_killed(touched: &mut BTreeSet<String>, on: &Scene<'_>) -> Result<Receipt> {
    let killed = |name: &&String| on.cluster.node(name).is_some_and(NodeHandle::was_killed);
    let killed = touched.iter().filter(killed).cloned().collect();
    start_but(&killed, touched, on).await
}

async fn start_but(
    killed: &BTreeSet<String>,
    touched: &mut BTreeSet<String>,
    on: &Scene<'_>,
) -> Result<Receipt> {
    if touched.is_empty() {
        return Ok(Receipt::unconfirmed("nothing had ended"));
    }
    let names: Vec<String> = touched.difference(killed).cloned().collect();
    // Others were started by an attempt to heal that failed later, or by hand.
    let started = start_ended(&names, on).await?.len();
    let mut all = Vec::new();
    for name in touched.iter() {
        let node = on.cluster.node(name).with_context(|| format!("there is no node {name}"))?;
        // Whatever becomes of the new processes, the fault had its effect.
        let evidence = match node.pids().await?.as_slice() {
            [] if killed.contains(name) => KILLED.to_owned(),
            [] => "started, and gone already".to_owned(),
            [pid] => format!("pid {pid} runs"),
            pids => format!("{} processes run", pids.len()),
        };
        all.push((name.clone(), Receipt::confirmed(evidence)));
    }
    touched.clear();
    let receipt = joined(all);
    let evidence = match started {
        0 => receipt.evidence,
        n => format!("{} started: {}", count(n as u64, "node"), receipt.evidence),
    };
    Ok(Receipt { evidence, ..receipt })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_time_may_stand_before_the_nodes() {
        assert_eq!(grace("one").unwrap(), (GRACE, "one".into()));
        assert_eq!(grace("500ms@n1+n2").unwrap(), (Duration::from_millis(500), "n1+n2".into()));
        for (text, part) in [("5@one", "no unit"), ("xs@one", "no whole number"), ("11s@one", "at most 10 s")]
        {
            let error = format!("{:#}", grace(text).unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
