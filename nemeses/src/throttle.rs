//! Nodes that lack something for a while: time, processor time, memory.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use async_trait::async_trait;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::{Receipt, Unknown};

use crate::faults::{Headroom, Share};
use crate::kill::start_unless_killed;
use crate::nemesis::{Nemesis, Plan, Scene};
use crate::nodes::{CHOICES, at_nodes, nodes_of};
use crate::registry::Named;

/// Shares of the time by name.
pub(crate) static SHARES: [Named; 3] = [("half", "50%"), ("slow", "20%"), ("crawl", "5%")];
/// Shares of a processor by name.
pub(crate) static QUOTAS: [Named; 3] = [("little", "10%"), ("less", "5%"), ("least", "2%")];
/// Headrooms by name.
pub(crate) static HEADROOMS: [Named; 3] = [("some", "16M"), ("little", "4M"), ("none", "0K")];

/// A fault that leaves a node less of something than it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Its processes run for a [`Share`] of the time.
    Time,
    /// They get a [`Share`] of one processor.
    Processor,
    /// Each may take a [`Headroom`] more memory than now.
    Memory,
}

impl Lack {
    /// What can be asked for by name.
    pub(crate) fn presets(self) -> &'static [Named] {
        match self {
            Lack::Time => &SHARES,
            Lack::Processor => &QUOTAS,
            Lack::Memory => &HEADROOMS,
        }
    }

    fn fault(self) -> &'static str {
        match self {
            Lack::Time => "slow",
            Lack::Processor => "cpu",
            Lack::Memory => "memory",
        }
    }

    /// The arguments of a preset or of an amount as text, and the amount for a person.
    pub(crate) fn amount(self, text: &str) -> Result<(Value, String)> {
        let named = self.presets().iter().find(|(name, _)| *name == text);
        let text = named.map_or(text, |(_, amount)| *amount);
        if !text.starts_with(|first: char| first.is_ascii_digit()) {
            let such = if self == Lack::Memory { "8M" } else { "15%" };
            bail!(
                "{}, or {such}",
                Unknown::new("amount", text, self.presets().iter().map(|(name, _)| *name))
            );
        }
        Ok(match self {
            Lack::Memory => {
                let headroom: Headroom = text.parse()?;
                (serde_json::to_value(headroom)?, format!("{headroom} more"))
            }
            Lack::Time | Lack::Processor => {
                let share: Share = text.parse()?;
                (serde_json::to_value(share)?, share.to_string())
            }
        })
    }

    /// A random preset.
    pub(crate) fn random(self, rng: &mut ChaCha8Rng) -> &'static str {
        self.presets().choose(rng).map_or("", |(name, _)| name)
    }
}

/// Leaves some nodes less than they want of something. Takes a preset or an amount as text and, after an `@`, a
/// [`NodeSpec`](crate::NodeSpec): `slow`, `10%@one`, `8M@primaries`.
#[derive(Clone, Debug)]
pub struct Throttle {
    lack: Lack,
    touched: BTreeSet<String>,
    /// Where something ended for want of memory, which nobody else will make good.
    ended: BTreeSet<String>,
}

impl Throttle {
    /// Of that.
    pub fn new(lack: Lack) -> Throttle {
        Throttle { lack, touched: BTreeSet::new(), ended: BTreeSet::new() }
    }
}

#[async_trait]
impl Nemesis for Throttle {
    fn fault(&self) -> &str {
        self.lack.fault()
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        on.probe(self.lack.fault(), &Value::Null).await
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let (text, nodes) = match value {
            Value::Null => (self.lack.random(rng), Value::Null),
            Value::String(text) => at_nodes(text),
            other => bail!("an amount is text, not {other}"),
        };
        let (args, amount) = self.lack.amount(text)?;
        let plan = nodes_of(&nodes, &CHOICES, on, rng).await?;
        Ok(Plan { what: format!("{amount} on {}", plan.what), args, ..plan })
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let (fault, args) = (self.lack.fault(), &plan.args);
        on.each_live(&plan.nodes, &mut self.touched, |node| node.inject(fault, args.clone())).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let names: Vec<String> = self.touched.iter().cloned().collect();
        let receipt = on.each(&names, |node| node.heal(self.lack.fault())).await?;
        let pids = |name: &str| receipt.measured.get(name)?.get("ended")?.as_array();
        let touched = std::mem::take(&mut self.touched).into_iter();
        self.ended.extend(touched.filter(|name| pids(name).is_some_and(|pids| !pids.is_empty())));
        if !self.ended.is_empty() {
            let started = start_unless_killed(&mut self.ended, on).await?;
            return Ok(Receipt {
                evidence: format!("{}; {}", receipt.evidence, started.evidence),
                ..receipt
            });
        }
        Ok(receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_amounts_and_mistakes_are_explained() {
        for lack in [Lack::Time, Lack::Processor, Lack::Memory] {
            for (name, _) in lack.presets() {
                lack.amount(name).unwrap();
            }
        }
        let error = |lack: Lack, text| format!("{:#}", lack.amount(text).unwrap_err());
        assert_eq!(
            error(Lack::Time, "halt"),
            "there is no amount `halt`, did you mean `half`? There are: half, slow, crawl, or 15%"
        );
        assert!(error(Lack::Memory, "8").contains("no unit"), "{}", error(Lack::Memory, "8"));
    }
}
