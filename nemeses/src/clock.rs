//! Clock skew: the clocks of some nodes are ahead, behind, fast, slow, jumping, or stand still.

use anyhow::{Result, bail};
use async_trait::async_trait;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::Receipt;

use crate::faults::{CLOCK, Skew};
use crate::nemesis::{Nemesis, Plan, Scene};
use crate::nodes::{CHOICES, at_nodes, nodes_of};
use crate::presets::Presets;

/// Skews by name. Each is a skew's text.
pub(crate) const PRESETS: Presets = Presets {
    noun: "skew",
    known: &[
        ("ahead", "offset=2s"),
        ("behind", "offset=-2s"),
        ("hour", "offset=1h"),
        ("hour-behind", "offset=-1h"),
        ("fast", "drift=200000ppm"),
        ("slow", "drift=-200000ppm"),
        ("strobe", "strobe=500ms/200ms"),
        ("frozen", "drift=-1000000ppm"),
    ],
    such_as: "offset=-5s+clock=both",
};

/// Skews the clocks of some nodes.
///
/// `start-clock` takes a preset or a [`Skew`] as text, for random nodes or, as in `offset=1h@one`, those of a
/// [`NodeSpec`](crate::NodeSpec). Nothing is a random preset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    skewed: Vec<String>,
}

#[async_trait]
impl Nemesis for Clock {
    fn fault(&self) -> &str {
        CLOCK
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        on.probe(CLOCK, &Value::Null).await
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let (text, nodes) = match value {
            Value::Null => (PRESETS.random(rng), Value::Null),
            Value::String(text) => at_nodes(text),
            other => bail!("a clock fault is a skew, not {other}"),
        };
        let skew: Skew = PRESETS.parse(text)?;
        let plan = nodes_of(&nodes, &CHOICES, on, rng).await?;
        Ok(Plan { what: format!("{skew} on {}", plan.what), args: serde_json::to_value(skew)?, ..plan })
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        // Nodes without a process too: what starts there is skewed as well.
        self.skewed.clone_from(&plan.nodes);
        on.each(&plan.nodes, |node| node.inject(CLOCK, plan.args.clone())).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let receipt = on.each(&self.skewed, |node| node.heal(CLOCK)).await?;
        self.skewed.clear();
        Ok(receipt)
    }
}
