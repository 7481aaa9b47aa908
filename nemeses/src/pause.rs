//! Pauses: the processes of a node stop for a while, as in a long garbage collection or a suspended machine.

use std::collections::BTreeSet;

use anyhow::Result;
use async_trait::async_trait;
use serde_json::Value;
use squall_checkers::Receipt;

use crate::nemesis::{Nemesis, Ops, Plan, Scene};

/// `pause` takes a [`NodeSpec`](crate::NodeSpec) as text, or nothing for a random one, and stops everything of the
/// target there with SIGSTOP; `resume` lets all go on.
#[derive(Clone, Debug, Default)]
pub struct Pause {
    paused: BTreeSet<String>,
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

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        on.probe("signal", &Value::Null).await
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        on.each_live(&plan.nodes, &mut self.paused, |node| node.inject("signal", Value::Null)).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let paused: Vec<String> = self.paused.iter().cloned().collect();
        let receipt = on.each(&paused, |node| node.heal("signal")).await?;
        self.paused.clear();
        Ok(receipt)
    }
}
