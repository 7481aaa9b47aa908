//! Kills: the processes of a node end at once, and are started again.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use squall_checkers::Receipt;

use crate::nemesis::{Nemesis, Ops, Plan, Scene, joined};
use crate::words::count;

/// `kill` takes a [`NodeSpec`](crate::NodeSpec) as text, or nothing for a random one, and kills everything of the target
/// there with SIGKILL; `start` starts the target again where it was killed.
#[derive(Clone, Debug, Default)]
pub struct Kill {
    killed: BTreeSet<String>,
}

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
        self.killed.extend(plan.nodes.iter().cloned());
        let live = on.live(&plan.nodes).await?;
        on.each(&live, |node| node.kill()).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let killed: Vec<String> = self.killed.iter().cloned().collect();
        // Others were started by an attempt to heal that failed later, or by hand.
        start_ended(&killed, on).await?;
        let mut started = Vec::new();
        for name in killed {
            let node = on.cluster.node(&name).with_context(|| format!("there is no node {name}"))?;
            // Whatever becomes of the new processes, the kill had its effect.
            let evidence = match node.pids().await?.as_slice() {
                [] => "started, and gone already".to_owned(),
                [pid] => format!("pid {pid} runs"),
                pids => format!("{} processes run", pids.len()),
            };
            started.push((name, Receipt::confirmed(evidence)));
        }
        self.killed.clear();
        let (names, all): (Vec<String>, Vec<Receipt>) = started.into_iter().unzip();
        Ok(match names.len() {
            0 => Receipt::unconfirmed("nothing was killed"),
            n => {
                let receipt = joined(&names, all);
                Receipt {
                    evidence: format!("{} started: {}", count(n as u64, "node"), receipt.evidence),
                    ..receipt
                }
            }
        })
    }
}
