//! Partitions of the network between nodes.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use futures_util::future::join_all;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize as _;
use serde_json::{Value, json};
use squall_checkers::Receipt;
use squall_targets::{Cluster, NodeHandle};

use crate::faults::{At, CutArgs};
use crate::grudge::{Grudge, Shape};
use crate::nemesis::{Nemesis, Plan, Scene};
use crate::words::{count, thousands};

/// Cuts nodes off from each other: on the switch if there is one, else on each receiver.
///
/// `start-partition` takes a [`Shape`] as text, a [`Grudge`] as an object, or nothing for a random shape. What clients
/// and the controller say to nodes is never cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Partition;

#[async_trait]
impl Nemesis for Partition {
    fn fault(&self) -> &str {
        "partition"
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let names = on.cluster.names();
        let (grudge, what) = match value {
            Value::Object(_) => {
                let grudge = Grudge::deserialize(value).context("a grudge: {\"n1\": [\"n2\"]}")?;
                let what = grudge.to_string();
                (grudge, what)
            }
            Value::Null | Value::String(_) => {
                let shape = match value.as_str() {
                    Some(text) => text.parse()?,
                    None => Shape::random(names.len(), on.target.primaries().is_some(), rng),
                };
                let primaries = if shape == Shape::Primaries { on.primaries().await } else { Vec::new() };
                shape.draw(&names, &primaries, rng)?
            }
            other => bail!("a partition is a shape or a grudge, not {other}"),
        };
        Ok(Plan {
            what,
            nodes: names.into_iter().filter(|name| grudge.nodes().contains(name.as_str())).collect(),
            args: serde_json::to_value(&grudge)?,
        })
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let grudge = Grudge::deserialize(&plan.args)?;
        let pairs = addresses(&grudge, on.cluster)?;
        ensure!(!pairs.is_empty(), "the grudge cuts nothing");
        if let Some(switch) = &on.cluster.switch {
            return switch.inject("cut", cut(At::Switch, pairs)).await;
        }
        let received = |node: &NodeHandle| -> Vec<(IpAddr, IpAddr)> {
            pairs.iter().filter(|(_, to)| node.node.ips().any(|ip| ip == *to)).copied().collect()
        };
        let calls =
            on.cluster.nodes.iter().map(|node| (node, received(node))).filter(|(_, pairs)| !pairs.is_empty());
        let calls = calls.map(|(node, pairs)| async move { node.inject("cut", cut(At::Node, pairs)).await });
        let receipts: Vec<Receipt> = join_all(calls).await.into_iter().collect::<Result<_>>()?;
        let directions = sum(&receipts, "directions");
        let evidence =
            format!("{} cut on {}", count(directions, "direction"), count(receipts.len() as u64, "node"));
        let confirmed = receipts.iter().all(|receipt| receipt.confirmed);
        Ok(Receipt { confirmed, ..Receipt::confirmed(evidence) }.with("directions", directions))
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        if let Some(switch) = &on.cluster.switch {
            return switch.heal("cut").await;
        }
        // All nodes: nobody knows how far an injection came that failed.
        let calls = on.cluster.nodes.iter().map(|node: &NodeHandle| node.heal("cut"));
        let receipts: Vec<Receipt> = join_all(calls).await.into_iter().collect::<Result<_>>()?;
        let dropped = sum(&receipts, "dropped");
        let evidence = match dropped {
            0 => "no packet was dropped".to_owned(),
            1 => "1 packet dropped".to_owned(),
            _ => format!("{} packets dropped", thousands(dropped)),
        };
        Ok(Receipt { confirmed: dropped > 0, ..Receipt::confirmed(evidence) }.with("dropped", dropped))
    }
}

fn cut(at: At, pairs: Vec<(IpAddr, IpAddr)>) -> Value {
    json!(CutArgs { at, pairs })
}

/// The directions to cut, for each address that the nodes have.
fn addresses(grudge: &Grudge, cluster: &Cluster) -> Result<Vec<(IpAddr, IpAddr)>> {
    let mut pairs = Vec::new();
    for (from, to) in grudge.pairs() {
        let node = |name: &str| cluster.node(name).with_context(|| format!("there is no node {name}"));
        let (from, to) = (&node(from)?.node, &node(to)?.node);
        for to in to.ips() {
            pairs.extend(from.ips().filter(|from| from.is_ipv4() == to.is_ipv4()).map(|from| (from, to)));
        }
    }
    Ok(pairs)
}

fn sum(receipts: &[Receipt], what: &str) -> u64 {
    receipts.iter().filter_map(|receipt| receipt.measured.get(what)?.as_u64()).sum()
}
