//! Clock skew: the clocks of some nodes are ahead, behind, fast, slow, jumping, or stand still.

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize as _;
use serde_json::Value;
use squall_checkers::Receipt;

use crate::faults::{CLOCK, MACHINE_CLOCK, MachineClockArgs, Skew};
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
/// [`NodeSpec`](crate::NodeSpec). Nothing is a random preset. The clocks are those that the target sees, or, with
/// `offset=1h+machine`, those of the machines.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    skewed: Vec<String>,
    /// Whether it was made for clocks of machines.
    machines: bool,
}

impl Clock {
    /// One that is going to skew the clocks of machines too.
    pub(crate) fn of_machines(machines: bool) -> Clock {
        Clock { machines, ..Clock::default() }
    }
}

#[async_trait]
impl Nemesis for Clock {
    fn fault(&self) -> &str {
        CLOCK
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        if self.machines {
            let args = serde_json::to_value(MachineClockArgs::from_here(None)?)?;
            return on.probe(MACHINE_CLOCK, &args).await;
        }
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

    fn parameter(&self, plan: &Plan) -> Option<String> {
        Some(Skew::deserialize(&plan.args).ok()?.to_string())
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        // Nodes without a process too: what starts there is skewed as well.
        self.skewed.clone_from(&plan.nodes);
        let skew = Skew::deserialize(&plan.args).context("the skew of a clock")?;
        let (kind, args) = match skew.machine {
            true => (MACHINE_CLOCK, serde_json::to_value(MachineClockArgs::from_here(Some(skew))?)?),
            false => (CLOCK, plan.args.clone()),
        };
        self.machines |= skew.machine;
        on.each(&plan.nodes, |node| node.inject(kind, args.clone())).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let mut receipt = on.each(&self.skewed, |node| node.heal(CLOCK)).await?;
        if self.machines {
            let machines = on.each(&self.skewed, |node| node.heal(MACHINE_CLOCK)).await?;
            receipt = if receipt.confirmed { receipt } else { machines };
        }
        self.skewed.clear();
        Ok(receipt)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;
    use crate::testing::{cluster, take};

    #[tokio::test]
    async fn the_clock_of_a_machine_is_a_fault_of_its_own() {
        let (cluster, target, calls) = cluster(2, true);
        let on = Scene { cluster: &cluster, target: target.as_ref() };
        let (mut clock, mut rng) = (Clock::default(), ChaCha8Rng::seed_from_u64(1));
        for (value, what, injected, healed) in [
            ("hour@n1", "offset=3600s on n1", "n1: inject clock", &["n1: heal clock"][..]),
            (
                "hour+machine@n2",
                "offset=3600s+machine on n2",
                "n2: inject machine-clock",
                &["n2: heal clock", "n2: heal machine-clock"],
            ),
        ] {
            let plan = clock.plan(&value.into(), &on, &mut rng).await.unwrap();
            assert_eq!(plan.what, what);
            clock.inject(&plan, &on).await.unwrap();
            let asked = take(&calls);
            assert!(asked.len() == 1 && asked[0].starts_with(&format!("{injected} ")), "{asked:?}");
            clock.heal(&on).await.unwrap();
            assert_eq!(take(&calls), healed);
        }
    }
}
