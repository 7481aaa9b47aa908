//! Power failures: the processes of a node end at once, and what they did not fsync is lost.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize as _;
use serde_json::{Value, json};
use squall_checkers::Receipt;

use crate::faults::{DISK, DiskArgs, FUSE};
use crate::kill::start_again;
use crate::nemesis::{Nemesis, Ops, Plan, Scene, joined};
use crate::nodes::{CHOICES, at_nodes, nodes_of};
use crate::registry::Named;

/// What becomes of what was not fsynced.
pub(crate) static KINDS: [Named; 2] = [
    ("lost", "all that was not fsynced is lost"),
    ("torn", "of what was not fsynced some is there, some is lost, and some is torn"),
];

/// `power-off` takes a [`NodeSpec`](crate::NodeSpec) as text, `lost` or `torn`, or both as in `torn@all`; what is not said
/// is random. It kills everything of the target there with SIGKILL and then throws away what was not fsynced; `power-on`
/// starts the target again.
#[derive(Clone, Debug, Default)]
pub struct Power {
    off: BTreeSet<String>,
}

/// Splits `torn@all` into whether it is torn, if it says so, and a choice of nodes, if it does.
pub(crate) fn parse(text: &str) -> (Option<bool>, Value) {
    let (what, nodes) = at_nodes(text);
    match (what, nodes) {
        ("torn", nodes) => (Some(true), nodes),
        ("lost", nodes) => (Some(false), nodes),
        // A choice of nodes, or a mistake that the choice will explain.
        _ => (None, text.into()),
    }
}

#[async_trait]
impl Nemesis for Power {
    fn fault(&self) -> &str {
        "power"
    }

    fn ops(&self) -> Ops {
        Ops::new("power-off", "power-on")
    }

    fn stacks(&self) -> bool {
        true
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        on.probe(DISK, &FUSE.into()).await
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let (torn, nodes) = match value {
            Value::Null => (None, Value::Null),
            Value::String(text) => parse(text),
            other => bail!("a power failure is a choice of nodes, such as all or torn@one, not {other}"),
        };
        let plan = nodes_of(&nodes, &CHOICES, on, rng).await?;
        let tearing = torn.unwrap_or_else(|| rng.random()).then(|| rng.random());
        let how = if tearing.is_some() { "torn" } else { "lost" };
        let args = json!(DiskArgs::Lose { tearing });
        Ok(Plan { what: format!("{} ({how})", plan.what), args, ..plan })
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let DiskArgs::Lose { tearing } = DiskArgs::deserialize(&plan.args).context("a power failure")? else {
            bail!("a power failure loses data");
        };
        // All are dead before the first disk is touched: power fails at once.
        let killed = on.live_receipts(&plan.nodes, &mut self.off, |node| node.kill()).await?;
        let args =
            |at: usize| json!(DiskArgs::Lose { tearing: tearing.map(|seed| seed.wrapping_add(at as u64)) });
        let at = |name: &str| plan.nodes.iter().position(|node| node == name).unwrap_or_default();
        let lost = on.receipts(&plan.nodes, |node| node.inject(DISK, args(at(node.name())))).await?;
        let both = killed.into_iter().zip(lost).map(|((name, killed), (_, mut lost))| {
            lost.confirmed &= killed.confirmed;
            lost.evidence = format!("{}, {}", killed.evidence, lost.evidence);
            lost.measured.extend(killed.measured);
            (name, lost)
        });
        Ok(joined(both.collect()))
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        start_again(&mut self.off, on).await
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;
    use crate::testing::{cluster, take};

    #[tokio::test]
    async fn all_are_dead_before_anything_is_lost() {
        let (cluster, target, calls) = cluster(3, true);
        let on = Scene { cluster: &cluster, target: target.as_ref() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut power = Power::default();
        let plan = power.plan(&"lost@n1+n3".into(), &on, &mut rng).await.unwrap();
        assert_eq!(plan.what, "n1,n3 (lost)");
        let receipt = power.inject(&plan, &on).await.unwrap();
        assert!(receipt.confirmed, "{receipt:?}");
        let lose = r#"inject disk {"lose":{"tearing":null}}"#;
        assert_eq!(
            take(&calls),
            ["n1: kill".to_owned(), "n3: kill".to_owned(), format!("n1: {lose}"), format!("n3: {lose}")]
        );
        let told: Vec<&str> = receipt.evidence.split("; ").collect();
        assert_eq!(told, ["n1: pid 9 gone, in force", "n3: pid 9 gone, in force"], "a phrase for each");
        power.heal(&on).await.unwrap();
        assert_eq!(take(&calls), ["n1: start", "n3: start"]);

        let plan = power.plan(&"torn".into(), &on, &mut rng).await.unwrap();
        assert!(plan.what.ends_with("(torn)") && plan.args["lose"]["tearing"].is_u64(), "{plan:?}");
        let error = power.plan(&"tron@all".into(), &on, &mut rng).await.unwrap_err().to_string();
        assert!(error.contains("there is no choice of nodes `tron@all`"), "{error}");
    }
}
