//! Kills: the processes of a node end at once, and are started again.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use futures_util::future::join_all;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::Receipt;

use crate::nemesis::{Nemesis, Ops, Plan, Scene};
use crate::nodes::{NodeSpec, nodes_of};
use crate::receipts;
use crate::words::count;

/// `kill` takes a [`NodeSpec`] as text, or nothing for a random one, and kills everything of the target there with
/// SIGKILL; `start` starts the target again where it was killed.
#[derive(Clone, Debug, Default)]
pub struct Kill {
    killed: BTreeSet<String>,
}

/// What a kill or a pause without parameter chooses from.
pub(crate) const CHOICES: [NodeSpec; 5] =
    [NodeSpec::One, NodeSpec::Minority, NodeSpec::Majority, NodeSpec::Primaries, NodeSpec::All];

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

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        nodes_of(value, &CHOICES, on, rng).await
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        self.killed.extend(plan.nodes.iter().cloned());
        let calls = plan.nodes.iter().filter_map(|name| on.cluster.node(name)).map(|node| node.kill());
        let all = join_all(calls).await.into_iter().collect::<Result<Vec<Receipt>>>()?;
        Ok(receipts::join(&plan.nodes, all))
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let mut started = Vec::new();
        for name in self.killed.clone() {
            let node = on.cluster.node(&name).with_context(|| format!("there is no node {name}"))?;
            // Started by an attempt to heal that failed later, or by hand.
            if node.pids().await?.is_empty() {
                on.target.start(on.cluster, node).await.with_context(|| format!("starting {name} again"))?;
            }
            let pids = node.pids().await?;
            let evidence = match pids.len() {
                0 => Receipt::unconfirmed("started, and gone already"),
                1 => Receipt::confirmed(format!("pid {} runs", pids[0])),
                n => Receipt::confirmed(format!("{n} processes run")),
            };
            started.push((name, evidence));
        }
        self.killed.clear();
        let (names, all): (Vec<String>, Vec<Receipt>) = started.into_iter().unzip();
        Ok(match names.len() {
            0 => Receipt::unconfirmed("nothing was killed"),
            n => {
                let receipt = receipts::join(&names, all);
                Receipt {
                    evidence: format!("{} started: {}", count(n as u64, "node"), receipt.evidence),
                    ..receipt
                }
            }
        })
    }
}
