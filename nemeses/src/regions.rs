//! Regions: distances between groups of nodes that last for a whole run.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::{Receipt, Unknown};

use crate::faults::{Profile, settings};
use crate::nemesis::{Nemesis, Plan, Scene};
use crate::nodes::known;
use crate::packets::{self, Flows};
use crate::registry::Named;
use crate::words;

/// Some maps.
pub(crate) static MAPS: [Named; 3] = [
    ("us+eu+asia", "three continents: 90 to 220 ms"),
    ("us+uswest", "two coasts: 65 ms"),
    ("eu+asia+australia+brazil+africa", "as far as it gets: 95 to 400 ms"),
];

/// The regions that have distances, and where they are.
static REGIONS: [Named; 9] = [
    ("us", "Virginia"),
    ("uswest", "Oregon"),
    ("eu", "Frankfurt"),
    ("brazil", "Sao Paulo"),
    ("asia", "Singapore"),
    ("japan", "Tokyo"),
    ("australia", "Sydney"),
    ("india", "Mumbai"),
    ("africa", "Cape Town"),
];

/// Without a parameter.
pub(crate) const DEFAULT: &str = "us+eu+asia";

/// Round-trip times in milliseconds between data centres of a large provider, as its users publish them, rounded to 5: a
/// row for each region but the first, a column for each before it.
static ROUND_TRIPS_MS: [&[u16]; 8] = [
    &[65],
    &[90, 145],
    &[115, 175, 205],
    &[220, 165, 160, 325],
    &[150, 100, 225, 260, 70],
    &[200, 140, 250, 310, 95, 105],
    &[190, 220, 115, 300, 60, 125, 150],
    &[225, 275, 155, 340, 240, 310, 400, 180],
];

/// The round-trip time between two nodes of one region that is not named: half a millisecond each way.
const WITHIN_MS: f64 = 1.0;

/// Puts nodes into regions with the distances of real networks, for as long as it lasts: usually a whole run.
///
/// `start-regions` takes a map as text: names of known regions, `us+eu+asia`, into which the nodes go in turn; or
/// round-trip times of one's own, `a-b=80ms+b-c=200ms`, and who is where, `a=n1/n2+b=n3`. Half of a time is the delay of
/// each direction.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    /// Where it must bite.
    asked: Vec<String>,
}

/// Which regions there are, how far apart, and which nodes are in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Map {
    /// In the order in which nodes go into them.
    names: Vec<String>,
    /// Round-trip times by two names in their order.
    times_ms: BTreeMap<(String, String), f64>,
    /// Where nodes were put by name.
    placed: BTreeMap<String, String>,
}

fn ordered(a: &str, b: &str) -> (String, String) {
    if a < b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

/// Between two known regions.
fn real_ms(a: &str, b: &str) -> Option<f64> {
    let at = |name: &str| REGIONS.iter().position(|(known, _)| *known == name);
    let (a, b) = (at(a)?, at(b)?);
    Some(f64::from(*ROUND_TRIPS_MS.get(a.max(b).checked_sub(1)?)?.get(a.min(b))?))
}

impl FromStr for Map {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Map> {
        let mut map = Map::default();
        for item in text.split('+') {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            match (name.split_once('-'), value) {
                (Some((a, b)), time) => {
                    map.name(a)?;
                    map.name(b)?;
                    ensure!(a == b || !map.times_ms.contains_key(&ordered(a, b)), "{name} is there twice");
                    let ms = settings::millis(time)
                        .with_context(|| format!("{item}: a round-trip time, such as 80ms"))?;
                    map.times_ms.insert(ordered(a, b), ms);
                }
                (None, "") => {
                    let exists = REGIONS.iter().any(|(known, _)| *known == name);
                    let names = REGIONS.iter().map(|(name, _)| *name).chain(["or times such as a-b=80ms"]);
                    ensure!(exists, Unknown::new("region", name, names));
                    map.name(name)?;
                }
                (None, nodes) => {
                    map.name(name)?;
                    for node in nodes.split('/') {
                        let before = map.placed.insert(node.to_owned(), name.to_owned());
                        ensure!(before.is_none(), "{node} is in two regions");
                    }
                }
            }
        }
        map.complete()
    }
}

impl Map {
    fn name(&mut self, name: &str) -> Result<()> {
        ensure!(!name.is_empty(), "a region without a name");
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        Ok(())
    }

    /// With the times that are known, if there is one for every two regions.
    fn complete(mut self) -> Result<Map> {
        ensure!(self.names.len() >= 2 || !self.times_ms.is_empty(), "one region is near to itself");
        for (at, a) in self.names.iter().enumerate() {
            for b in &self.names[..at] {
                if let Entry::Vacant(unknown) = self.times_ms.entry(ordered(a, b)) {
                    let ms =
                        real_ms(a, b).with_context(|| format!("how far is {b} from {a}? {b}-{a}=80ms"))?;
                    unknown.insert(ms);
                }
            }
        }
        Ok(self)
    }

    /// The same, if it fits a cluster of `n`.
    pub(crate) fn checked(&self, n: usize) -> Result<()> {
        let names: Vec<String> = (1..=n).map(|i| format!("n{i}")).collect();
        ensure!(self.flows(&names)?.0.values().any(|from| !from.is_empty()), "{n} node is near to itself");
        Ok(())
    }

    /// The region of each node.
    fn places(&self, nodes: &[String]) -> Result<Vec<String>> {
        known(&self.placed.keys().cloned().collect::<Vec<_>>(), nodes)?;
        let mut turn = self.names.iter().cycle();
        let place = |node| self.placed.get(node).or_else(|| turn.next()).cloned();
        nodes.iter().map(place).collect::<Option<_>>().context("no regions")
    }

    /// What goes from each node to each other, and words for who is where.
    fn flows(&self, nodes: &[String]) -> Result<(Flows, String)> {
        let places = self.places(nodes)?;
        let mut flows = Flows::new();
        for (to, there) in nodes.iter().zip(&places) {
            for (from, here) in nodes.iter().zip(&places).filter(|(from, _)| *from != to) {
                let ms = self.times_ms.get(&ordered(here, there)).copied().unwrap_or(WITHIN_MS);
                let profile = Profile { delay_ms: ms / 2.0, ..Profile::default() };
                flows.entry(to.clone()).or_default().insert(from.clone(), profile);
            }
        }
        let inhabited: BTreeSet<&String> = places.iter().collect();
        let of = |region: &String| -> Vec<&String> {
            nodes.iter().zip(&places).filter(|(_, place)| *place == region).map(|(node, _)| node).collect()
        };
        let said = self.names.iter().filter(|name| inhabited.contains(name));
        let said: Vec<String> = said.map(|name| format!("{name} {}", words::set(of(name)))).collect();
        let times = self.times_ms.iter().filter(|((a, b), _)| inhabited.contains(a) && inhabited.contains(b));
        let times: Vec<String> = times.map(|((a, b), ms)| format!("{a}-{b} {ms} ms")).collect();
        Ok((flows, format!("{}; {}", said.join(", "), times.join(", "))))
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names come in the order in which nodes go into them.
        let mut items: Vec<String> = Vec::new();
        for (at, a) in self.names.iter().enumerate() {
            for b in &self.names[..at] {
                items.push(format!("{b}-{a}={}ms", self.times_ms[&ordered(a, b)]));
            }
        }
        let within = self.times_ms.iter().filter(|((a, b), _)| a == b);
        items.extend(within.map(|((a, b), ms)| format!("{a}-{b}={ms}ms")));
        items.extend(self.placed.iter().map(|(node, region)| format!("{region}={node}")));
        f.write_str(&items.join("+"))
    }
}

#[async_trait]
impl Nemesis for Regions {
    fn fault(&self) -> &str {
        "regions"
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        on.probe("regions", &Value::Null).await
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let map: Map = match value {
            Value::Null => DEFAULT.parse()?,
            Value::String(text) => text.parse()?,
            other => bail!("regions are text, such as {DEFAULT}, not {other}"),
        };
        let (flows, what) = map.flows(&on.cluster.names())?;
        packets::planned(flows, Vec::new(), what, on, rng)
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        packets::inject("regions", plan, &mut self.asked, on).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        packets::heal("regions", &mut self.asked, on).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(n: usize) -> Vec<String> {
        (1..=n).map(|i| format!("n{i}")).collect()
    }

    #[test]
    fn nodes_go_into_regions_in_turn() {
        let (flows, what) = "us+eu+asia".parse::<Map>().unwrap().flows(&nodes(5)).unwrap();
        assert_eq!(what, "us {n1,n4}, eu {n2,n5}, asia {n3}; asia-eu 160 ms, asia-us 220 ms, eu-us 90 ms");
        assert_eq!((flows["n1"]["n2"].delay_ms, flows["n2"]["n1"].delay_ms), (45.0, 45.0));
        assert_eq!((flows["n3"]["n1"].delay_ms, flows["n1"]["n4"].delay_ms), (110.0, 0.5));
    }

    #[test]
    fn maps_of_ones_own_say_how_far_and_who_is_where() {
        let text = "a-b=80ms+a-c=150ms+b-c=200ms+a-a=4ms+c=n1+a=n3";
        let map: Map = text.parse().unwrap();
        assert_eq!(map.to_string(), text);
        let (flows, what) = map.flows(&nodes(4)).unwrap();
        assert_eq!(what, "a {n2,n3}, b {n4}, c {n1}; a-a 4 ms, a-b 80 ms, a-c 150 ms, b-c 200 ms");
        assert_eq!((flows["n2"]["n3"].delay_ms, flows["n4"]["n1"].delay_ms), (2.0, 100.0));
        let known: Map = DEFAULT.parse().unwrap();
        assert_eq!(known.to_string().parse::<Map>().unwrap(), known);
    }

    #[test]
    fn every_two_regions_have_a_distance() {
        for (a, _) in REGIONS {
            for (b, _) in REGIONS.iter().filter(|(b, _)| *b != a) {
                assert!(real_ms(a, b).unwrap() >= 60.0 && real_ms(a, b) == real_ms(b, a));
            }
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, part) in [
            ("us+europe", "there is no region `europe`"),
            ("a-b=80", "a round-trip time, such as 80ms"),
            ("a-b=80ms+c-a=5ms", "how far is b from c? b-c=80ms"),
            ("us", "one region is near to itself"),
            ("us=n1+eu=n1", "n1 is in two regions"),
            ("a-b=1ms+b-a=2ms", "b-a is there twice"),
        ] {
            let error = format!("{:#}", text.parse::<Map>().unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("us+eu=n9".parse::<Map>().unwrap().checked(3).is_err());
        assert!("us+eu".parse::<Map>().unwrap().checked(1).is_err());
    }
}
