//! Packet faults between nodes: late, lost, double, overtaken, damaged or slow packets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use squall_checkers::{Receipt, Unknown};

use crate::faults::{Flow, PacketArgs, Profile};
use crate::nemesis::{Nemesis, Plan, Scene};
use crate::nodes::{CHOICES, at_nodes, nodes_of};
use crate::registry::Named;

/// Profiles by name. Each is a profile's text.
pub(crate) static PRESETS: [Named; 8] = [
    ("delay", "delay=50ms+jitter=10ms"),
    ("jitter", "delay=60ms+normal-jitter=40ms"),
    ("loss", "loss=20%"),
    ("burst", "loss=20%+burst=75%"),
    ("duplicate", "duplicate=30%"),
    ("reorder", "delay=30ms+reorder=30%"),
    ("corrupt", "corrupt=10%"),
    ("slow", "rate=256kbit"),
];

/// Makes what some nodes say to the others, and hear from them, late, rare, double, disordered, damaged or slow. What
/// clients and the controller say to nodes is left alone.
///
/// `start-packets` takes a preset or a [`Profile`] as text, for random nodes or, as in `loss=5%@one`, those of a
/// [`NodeSpec`](crate::NodeSpec); or an object, `{"flows": {"n2": {"n1": "delay=80ms"}}}`, by receiver and sender, such as
/// a matrix of the delays between regions. Nothing is a random preset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packets;

/// By receiver, then by sender.
type Flows = BTreeMap<String, BTreeMap<String, Profile>>;

/// What is asked for, as an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    flows: BTreeMap<String, BTreeMap<String, String>>,
}

/// What a plan holds.
#[derive(Serialize, Deserialize)]
struct Planned {
    seed: u64,
    flows: Flows,
}

/// The profile of that name, or the text of one.
pub(crate) fn profile(text: &str) -> Result<Profile> {
    if let Some((_, profile)) = PRESETS.iter().find(|(name, _)| *name == text) {
        return profile.parse();
    }
    if !text.contains('=') {
        bail!(
            "{}, or settings such as delay=50ms+loss=5%",
            Unknown::new("profile", text, PRESETS.map(|(name, _)| name))
        );
    }
    text.parse()
}

/// A random preset.
pub(crate) fn random(rng: &mut ChaCha8Rng) -> &'static str {
    PRESETS.choose(rng).map_or("delay", |(name, _)| name)
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

/// The flows around the chosen nodes.
async fn chosen(text: &str, nodes: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<(Flows, String)> {
    let profile = profile(text)?;
    let plan = nodes_of(nodes, &CHOICES, on, rng).await?;
    let what = format!("{profile} around {}", plan.what);
    Ok((around(&plan.nodes, &on.cluster.names(), profile), what))
}

#[async_trait]
impl Nemesis for Packets {
    fn fault(&self) -> &str {
        "packets"
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let (flows, what) = match value {
            Value::Null => chosen(random(rng), &Value::Null, on, rng).await?,
            Value::String(text) => {
                let (profile, nodes) = at_nodes(text);
                chosen(profile, &nodes, on, rng).await?
            }
            Value::Object(_) => {
                let asked = Asked::deserialize(value).context("a packet fault")?;
                (named(&asked.flows, on)?, "flows by receiver and sender".to_owned())
            }
            other => bail!("a packet fault is a profile or flows, not {other}"),
        };
        ensure!(!flows.is_empty(), "no packets go between these nodes");
        let names = on.cluster.names();
        let touches =
            |name: &String| flows.contains_key(name) || flows.values().any(|from| from.contains_key(name));
        let nodes = names.into_iter().filter(touches).collect();
        Ok(Plan { what, nodes, args: serde_json::to_value(Planned { seed: rng.random(), flows })? })
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let Planned { seed, flows } = Planned::deserialize(&plan.args)?;
        let receivers: Vec<String> = flows.keys().cloned().collect();
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
        on.each(&receivers, |node| node.inject("packets", args[node.name()].clone())).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        // All nodes: nobody knows how far an injection came that failed.
        let receipt = on.each(&on.cluster.names(), |node| node.heal("packets")).await?;
        Ok(summed(receipt))
    }
}

/// Confirmed if a node touched packets as it was asked to; those that had nothing to do are left out.
fn summed(receipt: Receipt) -> Receipt {
    let total =
        |what: &str| -> u64 { receipt.measured.values().filter_map(|node| node.get(what)?.as_u64()).sum() };
    let confirmed = ["lost", "delayed", "doubled", "corrupted"].iter().any(|what| total(what) > 0);
    let busy: Vec<&str> =
        receipt.evidence.split("; ").filter(|node| !node.ends_with("no packet was touched")).collect();
    let evidence = if busy.is_empty() { "no packet was touched".to_owned() } else { busy.join("; ") };
    Receipt { confirmed, evidence, measured: receipt.measured }
}

fn named(asked: &BTreeMap<String, BTreeMap<String, String>>, on: &Scene<'_>) -> Result<Flows> {
    let mut flows = Flows::new();
    for (to, senders) in asked {
        for (from, text) in senders {
            for name in [to, from] {
                on.cluster.node(name).with_context(|| format!("there is no node {name}"))?;
            }
            ensure!(from != to, "{from} does not send to itself");
            flows.entry(to.clone()).or_default().insert(from.clone(), profile(text)?);
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
    use super::*;

    #[test]
    fn presets_are_profiles_and_mistakes_are_explained() {
        for (name, text) in PRESETS {
            assert_eq!(profile(name).unwrap().to_string(), text);
        }
        assert_eq!(
            profile("lost").unwrap_err().to_string(),
            "there is no profile `lost`, did you mean `loss`? There are: delay, jitter, loss, burst, duplicate, \
             reorder, corrupt, slow, or settings such as delay=50ms+loss=5%"
        );
        assert_eq!(profile("loss=2%").unwrap().loss, 0.02);
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
