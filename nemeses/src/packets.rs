//! Packet faults between nodes: late, lost, double, overtaken, damaged or slow packets.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use squall_checkers::Receipt;

use crate::faults::{Flow, PacketArgs, Profile};
use crate::nemesis::{Nemesis, Plan, Scene, joined};
use crate::nodes::{CHOICES, NodeSpec, at_nodes, nodes_of};
use crate::presets::Presets;
use crate::words;

/// Profiles by name. Each is a profile's text.
pub(crate) const PRESETS: Presets = Presets {
    noun: "profile",
    known: &[
        ("delay", "delay=50ms+jitter=10ms"),
        ("jitter", "delay=60ms+normal-jitter=40ms"),
        ("loss", "loss=20%"),
        ("burst", "loss=20%+burst=75%"),
        ("gilbert", "gilbert=2%/20%"),
        ("duplicate", "duplicate=30%"),
        ("reorder", "delay=30ms+reorder=30%"),
        ("corrupt", "corrupt=10%"),
        ("slow", "rate=256kbit"),
    ],
    such_as: "delay=50ms+loss=5%",
};

/// Makes what some nodes say to the others, and hear from them, late, rare, double, disordered, damaged or slow. What
/// clients and the controller say to nodes is left alone.
///
/// `start-packets` takes a preset or a [`Profile`] as text, for random nodes or, as in `loss=5%@one`, those of a
/// [`NodeSpec`](crate::NodeSpec); `loss=5%@n1>n2+n3` is one direction between two choices of nodes, `@one<>rest` both. Or
/// it takes an object, `{"flows": {"n2": {"n1": "delay=80ms"}}}`, by receiver and sender. Nothing is a random preset.
///
/// It bit if something happened to what each of the nodes received that it is around, or else each of the receivers.
#[derive(Clone, Debug, Default)]
pub struct Packets {
    /// Those.
    asked: Vec<String>,
}

/// By receiver, then by sender.
pub(crate) type Flows = BTreeMap<String, BTreeMap<String, Profile>>;

/// What is asked for, as text: `loss=5%@n1>n2`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    profile: Profile,
    between: Between,
}

/// Which packets.
#[derive(Clone, Debug, PartialEq)]
enum Between {
    /// Those of random nodes or these with all others, in both directions.
    Around(Value),
    /// Those from the first to the second; `both` is also the other way.
    Two { from: NodeSpec, to: Option<NodeSpec>, both: bool },
}

impl FromStr for Asked {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Asked> {
        let (what, nodes) = at_nodes(text);
        let two = |from: &str, to: &str, both: bool| -> Result<Between> {
            let to = if to == "rest" { None } else { Some(to.parse()?) };
            Ok(Between::Two { from: from.parse()?, to, both })
        };
        let named = nodes.as_str().unwrap_or_default();
        let between = match (named.split_once("<>"), named.split_once('>')) {
            (Some((from, to)), _) => two(from, to, true)?,
            (None, Some((from, to))) => two(from, to, false)?,
            (None, None) => Between::Around(nodes),
        };
        Ok(Asked { profile: PRESETS.parse(what)?, between })
    }
}

impl Asked {
    /// The same, if it means any packets in a cluster of `n`.
    pub(crate) fn checked(self, n: usize) -> Result<Asked> {
        let specs = match &self.between {
            Between::Around(nodes) => vec![nodes.as_str().map(str::parse::<NodeSpec>).transpose()?],
            Between::Two { from, to, .. } => vec![Some(from.clone()), to.clone()],
        };
        specs.into_iter().flatten().try_for_each(|spec| spec.checked(n).map(drop))?;
        if let Between::Two { from: NodeSpec::Nodes(from), to: Some(NodeSpec::Nodes(to)), .. } = &self.between
        {
            let between = from.iter().any(|from| to.iter().any(|to| from != to));
            ensure!(between, "from {} to {} there are no packets", from.join("+"), to.join("+"));
        }
        Ok(self)
    }

    /// The flows, the nodes that they are around if they are so, and words for both.
    async fn draw(&self, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<(Flows, Vec<String>, String)> {
        let Asked { profile, between } = self;
        let names = on.cluster.names();
        let Between::Two { from, to, both } = between else {
            let Between::Around(nodes) = between else { unreachable!("the other kind is above") };
            let plan = nodes_of(nodes, &CHOICES, on, rng).await?;
            let flows = around(&plan.nodes, &names, *profile);
            return Ok((flows, plan.nodes, format!("{profile} around {}", plan.what)));
        };
        let primaries = on.primaries().await;
        let (senders, _) = from.choose(&names, &primaries, rng)?;
        let receivers = match to {
            Some(to) => to.choose(&names, &primaries, rng)?.0,
            None => names.iter().filter(|name| !senders.contains(name)).cloned().collect(),
        };
        let mut flows = Flows::new();
        for (from, to) in senders.iter().flat_map(|from| receivers.iter().map(move |to| (from, to))) {
            if from == to {
                continue;
            }
            flows.entry(to.clone()).or_default().insert(from.clone(), *profile);
            if *both {
                flows.entry(from.clone()).or_default().insert(to.clone(), *profile);
            }
        }
        let sign = if *both { "<>" } else { ">" };
        let what = format!("{profile}, {}{sign}{}", words::set(&senders), words::set(&receivers));
        Ok((flows, Vec::new(), what))
    }
}

/// What is asked for, as an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matrix {
    flows: BTreeMap<String, BTreeMap<String, String>>,
}

/// What a plan holds.
#[derive(Serialize, Deserialize)]
struct Planned {
    seed: u64,
    flows: Flows,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    around: Vec<String>,
}

/// Everything between these nodes and all others, in both directions.
fn around(nodes: &[String], names: &[String], profile: Profile) -> Flows {
    let mut flows = Flows::new();
    for to in names {
        for from in names.iter().filter(|from| *from != to && (nodes.contains(from) || nodes.contains(to))) {
            flows.entry(to.clone()).or_default().insert(from.clone(), profile);
        }
    }
    flows
}

#[async_trait]
impl Nemesis for Packets {
    fn fault(&self) -> &str {
        "packets"
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        on.probe("packets", &Value::Null).await
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let (flows, around, what) = match value {
            Value::Null => PRESETS.random(rng).parse::<Asked>()?.draw(on, rng).await?,
            Value::String(text) => text.parse::<Asked>()?.draw(on, rng).await?,
            Value::Object(_) => {
                let asked = Matrix::deserialize(value).context("a packet fault")?;
                (named(&asked.flows, on)?, Vec::new(), "flows by receiver and sender".to_owned())
            }
            other => bail!("a packet fault is a profile or flows, not {other}"),
        };
        planned(flows, around, what, on, rng)
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        inject("packets", plan, &mut self.asked, on).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        heal("packets", &mut self.asked, on).await
    }
}

/// The plan of a fault with these flows, around these nodes if there are any.
pub(crate) fn planned(
    flows: Flows,
    around: Vec<String>,
    what: String,
    on: &Scene<'_>,
    rng: &mut ChaCha8Rng,
) -> Result<Plan> {
    ensure!(!flows.is_empty(), "no packets go between these nodes");
    let touches =
        |name: &String| flows.contains_key(name) || flows.values().any(|from| from.contains_key(name));
    let nodes = on.cluster.names().into_iter().filter(touches).collect();
    Ok(Plan { what, nodes, args: serde_json::to_value(Planned { seed: rng.random(), flows, around })? })
}

/// Carries out a plan by the fault of this kind on each receiver. `asked` is then where it must bite.
pub(crate) async fn inject(
    kind: &str,
    plan: &Plan,
    asked: &mut Vec<String>,
    on: &Scene<'_>,
) -> Result<Receipt> {
    let Planned { seed, flows, around } = Planned::deserialize(&plan.args)?;
    let receivers: Vec<String> = flows.keys().cloned().collect();
    *asked = if around.is_empty() { receivers.clone() } else { around };
    let mut args = BTreeMap::new();
    for (at, (receiver, senders)) in flows.iter().enumerate() {
        let mut flows = Vec::new();
        for (sender, &profile) in senders {
            for from in addresses(sender, on)? {
                flows.push(Flow { from, profile });
            }
        }
        args.insert(receiver.as_str(), json!(PacketArgs { seed: seed.wrapping_add(at as u64), flows }));
    }
    on.each(&receivers, |node| node.inject(kind, args[node.name()].clone())).await
}

/// Heals the fault of this kind.
pub(crate) async fn heal(kind: &str, asked: &mut Vec<String>, on: &Scene<'_>) -> Result<Receipt> {
    // All nodes: nobody knows how far an injection came that failed.
    let healed = on.receipts(&on.cluster.names(), |node| node.heal(kind)).await?;
    let asked = std::mem::take(asked);
    let decides = |(name, _): &(String, Receipt)| asked.is_empty() || asked.contains(name);
    let (deciding, others): (Vec<_>, Vec<_>) = healed.into_iter().partition(decides);
    let mut receipt = joined(deciding);
    for (name, other) in others.into_iter().filter(|(_, other)| !other.measured.is_empty()) {
        receipt.evidence += &format!("; {name}: {}", other.evidence);
        receipt.measured.insert(name, other.measured.into());
    }
    Ok(receipt)
}

fn named(asked: &BTreeMap<String, BTreeMap<String, String>>, on: &Scene<'_>) -> Result<Flows> {
    let mut flows = Flows::new();
    for (to, senders) in asked {
        for (from, text) in senders {
            for name in [to, from] {
                on.cluster.node(name).with_context(|| format!("there is no node {name}"))?;
            }
            ensure!(from != to, "{from} does not send to itself");
            flows.entry(to.clone()).or_default().insert(from.clone(), PRESETS.parse(text)?);
        }
    }
    Ok(flows)
}

/// The addresses of a node.
fn addresses(name: &str, on: &Scene<'_>) -> Result<Vec<IpAddr>> {
    Ok(on.cluster.node(name).with_context(|| format!("there is no node {name}"))?.node.ips().collect())
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    #[tokio::test]
    async fn flows_go_from_some_nodes_to_others_one_way_or_both() {
        let (cluster, target, _) = crate::testing::cluster(3, true);
        let on = Scene { cluster: &cluster, target: target.as_ref() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (text, expected, what) in [
            ("loss=5%@n1>n2+n3", vec!["n1>n2", "n1>n3"], "loss=5%, {n1}>{n2,n3}"),
            ("loss=5%@n1<>rest", vec!["n2>n1", "n3>n1", "n1>n2", "n1>n3"], "loss=5%, {n1}<>{n2,n3}"),
            ("loss=5%@n2>all", vec!["n2>n1", "n2>n3"], "loss=5%, {n2}>{n1,n2,n3}"),
        ] {
            let (flows, _, said) =
                text.parse::<Asked>().unwrap().checked(3).unwrap().draw(&on, &mut rng).await.unwrap();
            let pairs: Vec<String> = flows
                .iter()
                .flat_map(|(to, from)| from.keys().map(move |from| format!("{from}>{to}")))
                .collect();
            assert_eq!(
                (pairs, said.as_str()),
                (expected.iter().map(|pair| pair.to_string()).collect(), what)
            );
        }
        assert!("loss=5%@n1>nobody".parse::<Asked>().is_err());
        assert!("loss=5%@n1>n9".parse::<Asked>().unwrap().checked(3).is_err());
    }

    /// It was enough that it bit anywhere.
    #[tokio::test]
    async fn it_must_bite_wherever_it_was_asked_to() {
        let (cluster, target, _) = crate::testing::cluster(4, true);
        let on = Scene { cluster: &cluster, target: target.as_ref() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        target.end("n3");
        for (text, confirmed) in
            [("n1", true), ("n3", false), ("n1+n3", false), ("n3+n1>n2", true), ("n1>n2+n3", false)]
        {
            let mut packets = Packets::default();
            let plan = packets.plan(&format!("loss@{text}").into(), &on, &mut rng).await.unwrap();
            packets.inject(&plan, &on).await.unwrap();
            let receipt = packets.heal(&on).await.unwrap();
            assert_eq!(receipt.confirmed, confirmed, "{text}: {receipt:?}");
            assert_eq!(receipt.measured.len(), 4, "the others are told too: {receipt:?}");
            let named = receipt.evidence.starts_with("it did not bite on n3; ");
            assert_eq!(named, ["n1+n3", "n1>n2+n3"].contains(&text), "{text}: {receipt:?}");
        }
    }

    #[test]
    fn flows_go_around_nodes_in_both_directions() {
        let names: Vec<String> = ["n1", "n2", "n3"].map(str::to_owned).to_vec();
        let flows = around(&names[..1], &names, Profile::default());
        let pairs: Vec<(&str, &str)> = flows
            .iter()
            .flat_map(|(to, from)| from.keys().map(|from| (from.as_str(), to.as_str())))
            .collect();
        assert_eq!(pairs, [("n2", "n1"), ("n3", "n1"), ("n1", "n2"), ("n1", "n3")]);
    }
}
