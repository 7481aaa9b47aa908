//! Partitions of the network between nodes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use futures_util::future::join_all;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use squall_checkers::Receipt;
use squall_targets::{Cluster, NodeHandle};

use crate::faults::{At, CutArgs, How, LOST};
use crate::grudge::{Grudge, Shape};
use crate::nemesis::{Nemesis, Plan, Scene, joined};
use crate::words::{count, thousands};

/// Cuts nodes off from each other: on the switch if there is one, else on each receiver, where connections are reset, too.
///
/// `start-partition` takes a [`Shape`] and [`How`] as text, such as `halves+port=2380+reset`, a [`Grudge`] as an object, or
/// nothing for a random shape. What clients and the controller say to nodes is never cut.
///
/// It bit if every direction was cut, as the kernel tells at both ends of its time, and packets were dropped in some: where
/// nobody says anything, there is nothing to drop, and nothing would have passed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Partition {
    /// Whether nodes may have cut something, and not only the switch.
    on_nodes: bool,
}

/// What is asked for, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// A random one if absent.
    pub(crate) shape: Option<Shape>,
    pub(crate) how: How,
}

impl FromStr for Asked {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Asked> {
        let (shape, how) = How::split(text)?;
        let shape = if shape.is_empty() { None } else { Some(shape.parse()?) };
        ensure!(shape.is_some() || !how.is_plain(), "an empty partition");
        Ok(Asked { shape, how })
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = self.shape.as_ref().map(Shape::to_string);
        let how = Some(self.how.to_string()).filter(|how| !how.is_empty());
        f.write_str(&shape.into_iter().chain(how).collect::<Vec<_>>().join("+"))
    }
}

/// What a plan holds.
#[derive(Serialize, Deserialize)]
struct Planned {
    grudge: Grudge,
    how: How,
}

#[async_trait]
impl Nemesis for Partition {
    fn fault(&self) -> &str {
        "partition"
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        match &on.cluster.switch {
            Some(switch) => switch.probe("cut", cut(At::Switch, Vec::new(), &How::default())).await,
            None => on.probe("cut", &cut(At::Node, Vec::new(), &How::default())).await,
        }
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let names = on.cluster.names();
        let (grudge, mut what, how) = match value {
            Value::Object(_) => {
                let grudge = Grudge::deserialize(value).context("a grudge: {\"n1\": [\"n2\"]}")?;
                let what = grudge.to_string();
                (grudge, what, How::default())
            }
            Value::Null | Value::String(_) => {
                let asked: Option<Asked> = value.as_str().map(str::parse).transpose()?;
                let (shape, how) = asked.map(|asked| (asked.shape, asked.how)).unwrap_or_default();
                let knows = on.target.primaries().is_some();
                let shape = shape.unwrap_or_else(|| Shape::random(names.len(), knows, rng));
                let primaries = if shape == Shape::Primaries { on.primaries().await } else { Vec::new() };
                let (grudge, what) = shape.draw(&names, &primaries, rng)?;
                (grudge, what, how)
            }
            other => bail!("a partition is a shape or a grudge, not {other}"),
        };
        if !how.is_plain() {
            what += &format!(" ({how})");
        }
        Ok(Plan {
            what,
            nodes: names.into_iter().filter(|name| grudge.nodes().contains(name.as_str())).collect(),
            args: serde_json::to_value(Planned { grudge, how })?,
        })
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let Planned { grudge, how } = Planned::deserialize(&plan.args)?;
        let pairs = addresses(&grudge, on.cluster)?;
        ensure!(!pairs.is_empty(), "the grudge cuts nothing");
        if let Some(switch) = on.cluster.switch.as_ref().filter(|_| !how.reset) {
            return switch.inject("cut", cut(At::Switch, pairs, &how)).await;
        }
        self.on_nodes = true;
        let received = |node: &NodeHandle| -> Vec<(IpAddr, IpAddr)> {
            pairs.iter().filter(|(_, to)| node.node.ips().any(|ip| ip == *to)).copied().collect()
        };
        let receives = |node: &&NodeHandle| !received(node).is_empty();
        let receivers: Vec<String> =
            on.cluster.nodes.iter().filter(receives).map(|node| node.name().to_owned()).collect();
        let receipts =
            on.receipts(&receivers, |node| node.inject("cut", cut(At::Node, received(node), &how))).await?;
        let directions = sum(&receipts, "directions");
        let reset = sum(&receipts, "connections_reset");
        let mut receipt = joined(receipts);
        if receipt.confirmed {
            let nodes = count(receivers.len() as u64, "node");
            receipt.evidence = format!("{} cut on {nodes}", count(directions, "direction"));
        }
        if how.reset {
            receipt.evidence += &format!(", {} reset", count(reset, "connection"));
        }
        receipt.measured = Map::new();
        Ok(receipt.with("directions", directions).with("connections_reset", reset))
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let switch = on.cluster.switch.as_ref();
        if let Some(switch) = switch.filter(|_| !self.on_nodes) {
            return switch.heal("cut").await;
        }
        // All: nobody knows how far an injection came that failed.
        let calls = on
            .cluster
            .nodes
            .iter()
            .chain(switch)
            .map(async |node: &NodeHandle| Ok((node.name().to_owned(), node.heal("cut").await?)));
        let receipts: Vec<(String, Receipt)> = join_all(calls).await.into_iter().collect::<Result<_>>()?;
        self.on_nodes = switch.is_none();
        // Nobody knows for how long those were open.
        let lost: Vec<(String, Receipt)> =
            receipts.iter().filter(|(_, receipt)| receipt.measured.contains_key(LOST)).cloned().collect();
        if !lost.is_empty() {
            return Ok(joined(lost));
        }
        let dropped = sum(&receipts, "dropped");
        let evidence = match dropped {
            0 => "no packet was dropped".to_owned(),
            1 => "1 packet dropped".to_owned(),
            _ => format!("{} packets dropped", thousands(dropped)),
        };
        Ok(Receipt { confirmed: dropped > 0, ..Receipt::confirmed(evidence) }.with("dropped", dropped))
    }
}

fn cut(at: At, pairs: Vec<(IpAddr, IpAddr)>, how: &How) -> Value {
    json!(CutArgs { at, pairs, how: how.clone() })
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

fn sum(receipts: &[(String, Receipt)], what: &str) -> u64 {
    receipts.iter().filter_map(|(_, receipt)| receipt.measured.get(what)?.as_u64()).sum()
}
