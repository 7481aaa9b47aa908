//! Membership changes: nodes leave the cluster and join it again.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use futures_util::future::join_all;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::{self as targets, NodeHandle};
use tokio::time::{Instant, sleep, timeout};

use crate::nemesis::{Nemesis, Ops, Plan, Scene, joined};
use crate::nodes::{NodeSpec, nodes_of};

/// How long a change may take. Other nemeses wait meanwhile, and one of them may be what it waits for; what has not joined
/// by then is tried again with the next healing.
pub(crate) const SETTLE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(100);
/// How long a node may take to list the members where another may be asked instead.
const ANSWERS_MAX: Duration = Duration::from_millis(250);

/// `leave` takes a [`NodeSpec`] as text, or nothing for a random one, and removes those nodes at once, each by asking
/// another of those that stay: two changes at a time are what a membership protocol must be careful about. `join` adds
/// back in the same way whatever is missing. A node's processes are left alone.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    asked: BTreeSet<String>,
}

/// What a change without parameter chooses from.
pub(crate) const CHOICES: [NodeSpec; 2] = [NodeSpec::One, NodeSpec::Minority];

#[async_trait]
impl Nemesis for Membership {
    fn fault(&self) -> &str {
        "membership"
    }

    fn ops(&self) -> Ops {
        Ops::new("leave", "join")
    }

    fn stacks(&self) -> bool {
        true
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        leaving(value, &CHOICES, on, rng).await
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let members = capability(on)?;
        self.asked.extend(plan.nodes.iter().cloned());
        let leaving: Vec<&NodeHandle> = self.asked.iter().filter_map(|name| on.cluster.node(name)).collect();
        let via = others(on, &leaving);
        let changes = plan.nodes.iter().filter_map(|name| on.cluster.node(name)).zip(via.iter().cycle());
        let outcomes =
            join_all(changes.map(|(node, via)| async move { (node, members.remove(via, node).await) })).await;
        let seen = settled(members, &via, |seen| {
            outcomes
                .iter()
                .all(|(node, outcome)| outcome.is_err() || !seen.iter().any(|name| name == node.name()))
        })
        .await;
        // A refusal may be right: only one change at a time is safe in some protocols.
        let told = |(node, outcome): (&NodeHandle, Result<()>)| {
            let receipt = match (&seen, outcome) {
                (Ok(seen), _) if !seen.iter().any(|name| name == node.name()) => Receipt::confirmed("left"),
                (_, Err(error)) => Receipt::unconfirmed(format!("stays: {error:#}")),
                (Ok(_), Ok(())) => Receipt::unconfirmed("is still a member"),
                (Err(error), Ok(())) => Receipt::unconfirmed(format!("nobody lists the members: {error:#}")),
            };
            (node.name().to_owned(), receipt)
        };
        Ok(joined(outcomes.into_iter().map(told).collect()))
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let members = capability(on)?;
        let asked: Vec<&NodeHandle> = self.asked.iter().filter_map(|name| on.cluster.node(name)).collect();
        if asked.is_empty() {
            return Ok(Receipt::unconfirmed("no node left"));
        }
        let mut via = others(on, &asked);
        let deadline = Instant::now() + SETTLE;
        let mut refused = None;
        loop {
            let seen = match list(members, &via).await {
                Ok(seen) => seen,
                // Whoever could tell may be down or cut off for now.
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => {
                    sleep(POLL).await;
                    continue;
                }
            };
            let missing: Vec<&NodeHandle> =
                asked.iter().copied().filter(|node| !seen.iter().any(|name| name == node.name())).collect();
            if missing.is_empty() {
                let names: Vec<String> = std::mem::take(&mut self.asked).into_iter().collect();
                return Ok(Receipt::confirmed(format!(
                    "{} joined: members {}",
                    names.join(","),
                    seen.join(",")
                )));
            }
            if Instant::now() > deadline {
                let names: Vec<&str> = missing.iter().map(|node| node.name()).collect();
                let why = refused.map(|error: anyhow::Error| format!(": {error:#}")).unwrap_or_default();
                bail!("{} not a member again after {} s{why}", names.join(", "), SETTLE.as_secs());
            }
            let changes = missing.into_iter().zip(via.iter().cycle());
            let outcomes = join_all(changes.map(|(node, via)| members.add(via, node))).await;
            // Another one is asked the next time: this one may be dead or cut off.
            via.rotate_left(1);
            refused = outcomes.into_iter().filter_map(Result::err).next().or(refused);
            sleep(POLL).await;
        }
    }
}

/// The nodes that shall leave: not all of them.
pub(crate) async fn leaving(
    value: &Value,
    choices: &[NodeSpec],
    on: &Scene<'_>,
    rng: &mut ChaCha8Rng,
) -> Result<Plan> {
    capability(on)?;
    let plan = nodes_of(value, choices, on, rng).await?;
    if plan.nodes.len() == on.cluster.nodes.len() {
        bail!("not all nodes can leave");
    }
    Ok(plan)
}

pub(crate) fn capability<'a>(on: &Scene<'a>) -> Result<&'a dyn targets::Membership> {
    on.target.membership().context("this target cannot add and remove nodes")
}

/// The nodes that stay; all, if none does: some of those that were told to leave may never have left.
pub(crate) fn others<'a>(on: &Scene<'a>, leaving: &[&NodeHandle]) -> Vec<&'a NodeHandle> {
    let stays = |node: &&NodeHandle| leaving.iter().all(|other| other.name() != node.name());
    let staying: Vec<&NodeHandle> = on.cluster.nodes.iter().filter(stays).collect();
    if staying.is_empty() { on.cluster.nodes.iter().collect() } else { staying }
}

/// The members as the first node that answers sees them.
pub(crate) async fn list(members: &dyn targets::Membership, via: &[&NodeHandle]) -> Result<Vec<String>> {
    let mut error = anyhow::anyhow!("no node is left to ask");
    for node in via {
        match members.members(node).await {
            Ok(names) => return Ok(names),
            Err(failed) => error = failed.context(format!("asking {}", node.name())),
        }
    }
    Err(error)
}

/// The members now, as the first of them says that answers soon; nothing if the target or nobody there can tell. A node that
/// has left may not know what came after.
pub(crate) async fn members(on: &Scene<'_>) -> Option<Vec<String>> {
    let members = on.target.membership()?;
    for node in &on.cluster.nodes {
        if let Ok(Ok(seen)) = timeout(ANSWERS_MAX, members.members(node)).await
            && seen.iter().any(|name| name == node.name())
        {
            return Some(seen);
        }
    }
    None
}

/// Lists the members until they are as wished, or for as long as that may take, and returns the last list.
pub(crate) async fn settled(
    members: &dyn targets::Membership,
    via: &[&NodeHandle],
    wished: impl Fn(&[String]) -> bool,
) -> Result<Vec<String>> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let seen = list(members, via).await;
        if Instant::now() > deadline || seen.as_ref().is_ok_and(|seen| wished(seen)) {
            return seen;
        }
        sleep(POLL).await;
    }
}
