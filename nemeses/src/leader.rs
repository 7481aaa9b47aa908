//! Leadership transfers: the one that leads hands over while everything works.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use squall_checkers::Receipt;
use tokio::time::{Instant, sleep};

use crate::nemesis::{Nemesis, Ops, Plan, Scene};
use crate::registry::Named;

/// How long the other one may take to lead.
const TAKES_OVER: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(10);

/// What can be done to a leader that is not simply a fault on the primaries.
pub(crate) static ACTS: [Named; 1] = [(
    "transfer",
    "hands leadership to a random other node, or with transfer@n2 to that one; to kill, pause or isolate the one that \
     leads take kill:primaries, pause:primaries or partition:primaries",
)];

/// `transfer-leader` asks the one that leads to let another one lead, for targets that can. Takes `transfer`, or
/// `transfer@n2`. Nothing has to be healed: `await-leader` tells who leads.
#[derive(Clone, Debug, Default)]
pub struct Leader;

/// To whom `transfer` or `transfer@n2` hands over, if that is said.
pub(crate) fn to(text: &str) -> Result<Option<&str>> {
    match text.split_once('@') {
        None if text == "transfer" => Ok(None),
        Some(("transfer", to)) if !to.is_empty() => Ok(Some(to)),
        _ => bail!("there is transfer, and transfer@n2, but not {text}"),
    }
}

#[async_trait]
impl Nemesis for Leader {
    fn fault(&self) -> &str {
        "leader"
    }

    fn ops(&self) -> Ops {
        Ops::new("transfer-leader", "await-leader")
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let text = match value {
            Value::Null => "transfer",
            Value::String(text) => text,
            other => bail!("a transfer is text, not {other}"),
        };
        let leaders = on.primaries().await;
        // Of several the last elected is not known; whoever does not lead refuses, and the receipt says so.
        let from = leaders.choose(rng).cloned().unwrap_or_default();
        let names = on.cluster.names();
        let others: Vec<&String> = names.iter().filter(|name| **name != from).collect();
        let to = match to(text)? {
            Some(to) => {
                names.iter().find(|name| *name == to).with_context(|| format!("there is no node {to}"))?
            }
            None => others.choose(rng).copied().context("there is no other node")?,
        };
        let what =
            if from.is_empty() { format!("to {to} (no leader known)") } else { format!("{from} to {to}") };
        let nodes = names.iter().filter(|name| **name == from || *name == to).cloned().collect();
        Ok(Plan { what, nodes, args: json!({"from": from, "to": to}) })
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let capability = on.target.transfer().context("this target cannot hand leadership over")?;
        let name = |key: &str| plan.args[key].as_str().unwrap_or_default();
        let Some(from) = on.cluster.node(name("from")) else {
            return Ok(Receipt::unconfirmed("no leader was known"));
        };
        let to = on.cluster.node(name("to")).context("a node to hand over to")?;
        if from.name() == to.name() {
            return Ok(Receipt::unconfirmed(format!("{} leads already", to.name())));
        }
        let began = Instant::now();
        if let Err(error) = capability.transfer(from, to).await {
            return Ok(Receipt::unconfirmed(format!("{error:#}")));
        }
        while began.elapsed() < TAKES_OVER {
            if on.primaries().await.iter().any(|leader| leader == to.name()) {
                let took = began.elapsed();
                let evidence = format!("{} leads after {} ms", to.name(), took.as_millis());
                return Ok(Receipt::confirmed(evidence).with("took_ms", took.as_millis() as u64));
            }
            sleep(POLL).await;
        }
        let leaders = on.primaries().await;
        let who = if leaders.is_empty() { "nobody".to_owned() } else { leaders.join(", ") };
        Ok(Receipt::unconfirmed(format!("after {} s {who} leads", TAKES_OVER.as_secs())))
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let leaders = on.primaries().await;
        Ok(Receipt::confirmed(match leaders.as_slice() {
            [] => "nobody is known to lead".to_owned(),
            leaders => format!("{} leads", leaders.join(", ")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_read() {
        assert_eq!((to("transfer").unwrap(), to("transfer@n2").unwrap()), (None, Some("n2")));
        assert!(to("kill").is_err() && to("transfer@").is_err());
    }
}
