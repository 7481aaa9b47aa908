//! Replacements: a node leaves for good, and a new one of the same name and without data takes its place.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::NodeHandle;
use tokio::time::{Instant, sleep};

use crate::kill::KILLED;
use crate::membership::{SETTLE, capability, leaving, list, others, settled};
use crate::nemesis::{Nemesis, Ops, Plan, Scene, joined};
use crate::nodes::NodeSpec;

/// How long the new node may take to be a member that answers.
const JOINS: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// `replace` takes a [`NodeSpec`] as text, or nothing for a random node. One node after the other is removed from the
/// members, killed, wiped, started as a new one and added. `rejoin` adds again what could not be added then.
///
/// A node is wiped only when others list the members without it: a member that forgets what it promised breaks any
/// protocol, and that would be the nemesis' fault.
#[derive(Clone, Debug, Default)]
pub struct Replace {
    /// Nodes that were told to leave and may not be back, and whether they were wiped.
    out: BTreeMap<String, bool>,
}

/// What a replacement without parameter chooses from.
pub(crate) const CHOICES: [NodeSpec; 1] = [NodeSpec::One];

#[async_trait]
impl Nemesis for Replace {
    fn fault(&self) -> &str {
        "replace"
    }

    fn ops(&self) -> Ops {
        Ops::new("replace", "rejoin")
    }

    fn stacks(&self) -> bool {
        true
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        leaving(value, &CHOICES, on, rng).await
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let mut receipts = Vec::new();
        for name in &plan.nodes {
            let node = on.cluster.node(name).with_context(|| format!("there is no node {name}"))?;
            receipts.push((name.clone(), self.replace(node, on).await?));
        }
        Ok(joined(receipts))
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        if self.out.is_empty() {
            return Ok(Receipt::confirmed("every replacement is a member"));
        }
        let (mut phrases, mut down) = (Vec::new(), Vec::new());
        for (name, is_new) in self.out.clone() {
            let node = on.cluster.node(&name).with_context(|| format!("there is no node {name}"))?;
            if node.pids().await?.is_empty() {
                if node.was_killed() {
                    down.push(name);
                    continue;
                }
                on.target.start(on.cluster, node).await.with_context(|| format!("starting {name} again"))?;
            }
            let who = if is_new { "a new one" } else { "still the old one" };
            phrases.push(format!("{name}: {who} {}", join(node, on).await?));
            self.out.remove(&name);
        }
        ensure!(down.is_empty(), "{} cannot join: {KILLED}", down.join(","));
        Ok(Receipt::confirmed(phrases.join("; ")))
    }
}

impl Replace {
    async fn replace(&mut self, node: &NodeHandle, on: &Scene<'_>) -> Result<Receipt> {
        let members = capability(on)?;
        let via = others(on, &[node]);
        self.out.insert(node.node.name.clone(), false);
        let (began, mut refused) = (Instant::now(), Some(anyhow::anyhow!("no node is left to ask")));
        for asked in &via {
            refused = members.remove(asked, node).await.err();
            // Others wait for this one. The next may know what to do where the first is dead or cut off.
            if refused.is_none() || began.elapsed() > SETTLE {
                break;
            }
        }
        if let Some(error) = refused {
            // It may have been heard all the same: `rejoin` looks.
            return Ok(Receipt::unconfirmed(format!("stays a member: {error:#}")));
        }
        let listed = |seen: &[String]| seen.iter().any(|name| name == node.name());
        if settled(members, &via, |seen| !listed(seen)).await.map_or(true, |seen| listed(&seen)) {
            return Ok(Receipt::unconfirmed("still a member, so it was not wiped"));
        }
        let killed = node.kill_to_restart().await?;
        node.wipe().await?;
        self.out.insert(node.node.name.clone(), true);
        on.target.start(on.cluster, node).await.context("starting the new one")?;
        let pids = node.pids().await?;
        let (joined, confirmed) = match join(node, on).await {
            Ok(joined) => {
                self.out.remove(node.name());
                (joined, true)
            }
            Err(error) => (format!("is not back yet: {error:#}"), false),
        };
        let evidence = format!("no member, {}, wiped; a new one {joined}", killed.evidence);
        Ok(Receipt { confirmed, ..Receipt::confirmed(evidence) }.with("new_pids", pids))
    }
}

/// Adds a node, and waits until it is a member that answers. Tells how long that took.
async fn join(node: &NodeHandle, on: &Scene<'_>) -> Result<String> {
    let members = capability(on)?;
    let via = others(on, &[node]);
    let began = Instant::now();
    let mut why = anyhow::anyhow!("no answer");
    for asked in via.iter().cycle().take_while(|_| began.elapsed() < JOINS) {
        let is_member = match list(members, &via).await {
            Ok(seen) => seen.iter().any(|name| name == node.name()),
            Err(error) => {
                why = error;
                false
            }
        };
        if !is_member && let Err(error) = members.add(asked, node).await {
            why = error;
        }
        if is_member {
            match on.target.ready(node).await {
                Ok(()) => {
                    return Ok(format!("is a member and answers after {} ms", began.elapsed().as_millis()));
                }
                Err(error) => why = error,
            }
        }
        sleep(POLL).await;
    }
    Err(why.context(format!("{} is not back after {} s", node.name(), JOINS.as_secs())))
}
