//! Pauses: the processes of a node stop for a while, as in a long garbage collection or a suspended machine.

use anyhow::Result;
use async_trait::async_trait;
use futures_util::future::join_all;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::Receipt;

use crate::kill::CHOICES;
use crate::nemesis::{Nemesis, Ops, Plan, Scene};
use crate::nodes::nodes_of;
use crate::receipts;

/// `pause` takes a [`NodeSpec`](crate::NodeSpec) as text, or nothing for a random one, and stops everything of the target
/// there with SIGSTOP; `resume` lets all go on.
#[derive(Clone, Debug, Default)]
pub struct Pause {
    paused: Vec<String>,
}

#[async_trait]
impl Nemesis for Pause {
    fn fault(&self) -> &str {
        "pause"
    }

    fn ops(&self) -> Ops {
        Ops::new("pause", "resume")
    }

    fn stacks(&self) -> bool {
        true
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        nodes_of(value, &CHOICES, on, rng).await
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        self.paused.extend(
            plan.nodes.iter().filter(|name| !self.paused.contains(name)).cloned().collect::<Vec<_>>(),
        );
        let nodes = plan.nodes.iter().filter_map(|name| on.cluster.node(name));
        let calls = nodes.map(|node| node.inject("signal", Value::Null));
        let all = join_all(calls).await.into_iter().collect::<Result<Vec<Receipt>>>()?;
        Ok(receipts::join(&plan.nodes, all))
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let nodes = self.paused.iter().filter_map(|name| on.cluster.node(name));
        let all =
            join_all(nodes.map(|node| node.heal("signal"))).await.into_iter().collect::<Result<Vec<_>>>()?;
        let receipt = receipts::join(&self.paused, all);
        self.paused.clear();
        Ok(receipt)
    }
}
