//! Grudges: who does not hear whom, and the shapes that partitions commonly have.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::{Deserialize, Serialize};

use crate::nodes::{known, majority, parse_list, random_minority, sample, shuffled, unknown};
use crate::words;

/// For each node the nodes that it does not hear, as in Jepsen: `{"n1": ["n2"]}` drops what n2 sends to n1.
///
/// It reads as `{n1} | {n2,n3}` if it splits the nodes into groups, else as who is deaf to whom. It is written as
/// `{n1|n2,n3}`, or direction by direction: `{n1>n2,n3;n2<>n3}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grudge(BTreeMap<String, BTreeSet<String>>);

impl Grudge {
    /// Nobody hears a node of another group.
    pub fn split(groups: &[Vec<String>]) -> Grudge {
        let mut grudge = Grudge::default();
        for (i, group) in groups.iter().enumerate() {
            for other in groups[..i].iter().chain(&groups[i + 1..]) {
                grudge.deafen(group, other);
            }
        }
        grudge
    }

    /// Nobody hears those who are not linked to it.
    fn linked(nodes: &[String], links: &BTreeSet<(usize, usize)>) -> Grudge {
        let mut grudge = Grudge::default();
        for (i, a) in nodes.iter().enumerate() {
            for (j, b) in nodes.iter().enumerate() {
                if i != j && !links.contains(&(i.min(j), i.max(j))) {
                    grudge.deafen([a], [b]);
                }
            }
        }
        grudge
    }

    /// The receivers no longer hear the senders.
    pub fn deafen<'a>(
        &mut self,
        receivers: impl IntoIterator<Item = &'a String>,
        senders: impl IntoIterator<Item = &'a String> + Clone,
    ) {
        for receiver in receivers {
            self.0.entry(receiver.clone()).or_default().extend(senders.clone().into_iter().cloned());
        }
    }

    /// The directions that are cut: (sender, receiver).
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(to, froms)| froms.iter().map(move |from| (from.as_str(), to.as_str())))
    }

    /// Whether the receiver does not hear the sender.
    pub fn cuts(&self, from: &str, to: &str) -> bool {
        self.0.get(to).is_some_and(|froms| froms.contains(from))
    }

    /// The nodes that it touches, as senders or receivers.
    pub fn nodes(&self) -> BTreeSet<&str> {
        self.pairs().flat_map(|(from, to)| [from, to]).collect()
    }

    /// The groups, if it splits its nodes into groups that hear each other and nobody else; the smallest first.
    fn groups(&self) -> Option<Vec<Vec<&str>>> {
        let mut groups: Vec<Vec<&str>> = Vec::new();
        for node in self.nodes() {
            match groups.iter_mut().find(|group| !self.cuts(group[0], node)) {
                Some(group) => group.push(node),
                None => groups.push(vec![node]),
            }
        }
        let of = |node| groups.iter().position(|group| group.contains(&node));
        let nodes = self.nodes();
        let splits = nodes.iter().all(|a| nodes.iter().all(|b| self.cuts(a, b) == (of(*a) != of(*b))));
        groups.sort_by_key(|group| (group.len(), group[0]));
        splits.then_some(groups)
    }
}

impl FromStr for Grudge {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Grudge> {
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let inner = inner.with_context(|| format!("{text}: expected {{n1|n2,n3}} or {{n1>n2}}"))?;
        let names = |list: &str| -> Result<Vec<String>> {
            let names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
            ensure!(names.iter().all(|name| !name.is_empty()), "{text}: a node without a name");
            Ok(names)
        };
        if !inner.contains('>') {
            return Ok(Grudge::split(&inner.split('|').map(names).collect::<Result<Vec<_>>>()?));
        }
        let mut grudge = Grudge::default();
        for direction in inner.split(';') {
            let (senders, receivers, both) = match (direction.split_once("<>"), direction.split_once('>')) {
                (Some((a, b)), _) => (names(a)?, names(b)?, true),
                (None, Some((from, to))) => (names(from)?, names(to)?, false),
                (None, None) => bail!("{direction}: expected n1>n2 or n1<>n2"),
            };
            grudge.deafen(&receivers, &senders);
            if both {
                grudge.deafen(&senders, &receivers);
            }
        }
        Ok(grudge)
    }
}

impl fmt::Display for Grudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(groups) = self.groups() {
            let groups: Vec<String> = groups.into_iter().map(words::set).collect();
            return f.write_str(&groups.join(" | "));
        }
        // Receivers that are deaf to the same nodes share a phrase.
        let mut phrases: BTreeMap<&BTreeSet<String>, Vec<&str>> = BTreeMap::new();
        for (to, froms) in &self.0 {
            phrases.entry(froms).or_default().push(to);
        }
        let mut phrases: Vec<String> = phrases
            .into_iter()
            .map(|(froms, tos)| format!("{} deaf to {}", words::set(tos), words::set(froms)))
            .collect();
        phrases.sort();
        f.write_str(&phrases.join("; "))
    }
}

/// A shape of partition, as `-n partition:SHAPE` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Two random halves.
    Halves,
    /// A random node alone.
    One,
    /// Every node sees a majority, but no two see the same.
    MajoritiesRing,
    /// Two halves, and one node that hears and is heard by both.
    Bridge,
    /// A random part does not hear the rest, which hears it.
    OneWay,
    /// Each node that believes that it leads is alone; a random node if none is known.
    Primaries,
    /// A random minority, of any size, against the rest.
    Minority,
    /// Every node alone.
    Isolate,
    /// These nodes against the rest: `n1+n3`.
    Nodes(Vec<String>),
    /// This and no other, as it was written: `{n1,n2|n3}`.
    Given {
        /// What was written.
        text: String,
        /// What it means.
        grudge: Grudge,
    },
}

/// The names of the shapes, and what they mean.
pub(crate) const SHAPES: [(&str, &str); 8] = [
    ("halves", "two random halves"),
    ("one", "a random node alone"),
    ("majorities-ring", "every node sees a majority, no two the same"),
    ("bridge", "two halves, joined by one node"),
    ("one-way", "a random part does not hear the rest, which hears it"),
    ("primaries", "each node that believes that it leads alone; a random node if none is known"),
    ("minority", "a random minority of any size against the rest"),
    ("isolate", "every node alone: nobody hears anybody"),
];

impl Shape {
    /// A grudge of this shape, and words for it.
    ///
    /// # Errors
    /// If there are too few nodes for it, or a node that it names does not exist.
    pub fn draw(
        &self,
        names: &[String],
        primaries: &[String],
        rng: &mut ChaCha8Rng,
    ) -> Result<(Grudge, String)> {
        let least = self.nodes_min();
        ensure!(names.len() >= least, "{self} needs {least} nodes, and there are {}", names.len());
        let split = |one_side: &[String]| {
            let rest: Vec<String> = names.iter().filter(|name| !one_side.contains(name)).cloned().collect();
            Grudge::split(&[one_side.to_vec(), rest])
        };
        let n = names.len();
        let mut remark = "";
        let grudge = match self {
            Shape::Halves => split(&sample(names, n / 2, rng)),
            Shape::One => split(&sample(names, 1, rng)),
            Shape::Minority => split(&sample(names, random_minority(n, rng), rng)),
            Shape::Isolate => Grudge::split(&names.iter().map(|name| vec![name.clone()]).collect::<Vec<_>>()),
            Shape::MajoritiesRing => return Ok(majorities_ring(&shuffled(names, rng))),
            Shape::Bridge => return Ok(bridge(&shuffled(names, rng))),
            Shape::OneWay => return Ok(one_way(&shuffled(names, rng), rng)),
            Shape::Primaries if primaries.is_empty() => {
                remark = " (no primary known, a random node)";
                split(&sample(names, 1, rng))
            }
            Shape::Primaries => {
                let mut groups: Vec<Vec<String>> = primaries.iter().map(|name| vec![name.clone()]).collect();
                groups.push(names.iter().filter(|name| !primaries.contains(name)).cloned().collect());
                Grudge::split(&groups)
            }
            Shape::Nodes(nodes) => split(&known(nodes, names)?),
            Shape::Given { grudge, .. } => {
                known(&grudge.nodes().into_iter().map(str::to_owned).collect::<Vec<_>>(), names)?;
                ensure!(grudge.pairs().all(|(from, to)| from != to), "{self} cuts a node off from itself");
                grudge.clone()
            }
        };
        ensure!(grudge.pairs().next().is_some(), "{self} of {n} nodes cuts nothing");
        let what = format!("{grudge}{remark}");
        Ok((grudge, what))
    }

    /// The same, if it cuts anything in a cluster of `n`.
    pub(crate) fn checked(self, n: usize) -> Result<Shape> {
        let least = self.nodes_min();
        ensure!(n >= least, "{self} needs {least} nodes, and there are {n}");
        if let Shape::Nodes(_) | Shape::Given { .. } = &self {
            let names: Vec<String> = (1..=n).map(|i| format!("n{i}")).collect();
            self.draw(&names, &[], &mut ChaCha8Rng::seed_from_u64(0))?;
        }
        Ok(self)
    }

    /// The smallest cluster in which it cuts anything.
    fn nodes_min(&self) -> usize {
        match self {
            Shape::MajoritiesRing | Shape::Bridge | Shape::Minority => 3,
            _ => 2,
        }
    }

    /// A random shape among those that cut anything in a cluster of `n`; `primaries` only where they can be known.
    pub(crate) fn random(n: usize, knows_primaries: bool, rng: &mut ChaCha8Rng) -> Shape {
        let mut shapes = vec![Shape::Halves, Shape::One, Shape::OneWay];
        if n >= 3 {
            shapes.extend([Shape::MajoritiesRing, Shape::Bridge, Shape::Minority]);
        }
        if knows_primaries {
            shapes.push(Shape::Primaries);
        }
        shapes.choose(rng).expect("not empty").clone()
    }
}

/// A ring in this order. Each node is linked with its nearest neighbours on both sides, as many as make a majority with
/// itself. Where that number is odd, some are linked across the ring as well: all with their opposite if `n` is even;
/// if it is odd one node gets a link too many, which cannot be helped. Unlike the windows of Jepsen's exact solution,
/// links are symmetric for every `n`, so that TCP works wherever packets do.
fn majorities_ring(nodes: &[String]) -> (Grudge, String) {
    let n = nodes.len();
    let degree = majority(n) - 1;
    let mut links = BTreeSet::new();
    let mut link = |a: usize, b: usize| links.insert((a.min(b % n), a.max(b % n)));
    for i in 0..n {
        for distance in 1..=degree / 2 {
            link(i, i + distance);
        }
    }
    if degree % 2 == 1 {
        for i in 0..n.div_ceil(2) {
            link(i, i + n / 2);
        }
    }
    let sees = majority(n);
    let what = format!("majorities ring {}, each sees {sees} of {n}", nodes.join("-"));
    (Grudge::linked(nodes, &links), what)
}

/// The first node joins the halves of the others.
fn bridge(nodes: &[String]) -> (Grudge, String) {
    let (middle, rest) = nodes.split_first().expect("at least three nodes");
    let (left, right) = rest.split_at(rest.len() / 2);
    let grudge = Grudge::split(&[left.to_vec(), right.to_vec()]);
    let what = format!("{grudge}, bridged by {middle}");
    (grudge, what)
}

/// Some of the nodes, at most half of them, either do not hear the others or are not heard by them.
fn one_way(nodes: &[String], rng: &mut ChaCha8Rng) -> (Grudge, String) {
    let sizes: Vec<usize> = (1..=nodes.len() / 2).collect();
    let (part, rest) = nodes.split_at(*sizes.choose(rng).expect("at least two nodes"));
    let (deaf, to) = *[(part, rest), (rest, part)].choose(rng).expect("two");
    let mut grudge = Grudge::default();
    grudge.deafen(deaf, to);
    let sorted = |names: &[String]| words::set(names.iter().collect::<BTreeSet<_>>());
    let what = format!("one-way: {} hears nothing from {}", sorted(deaf), sorted(to));
    (grudge, what)
}

impl FromStr for Shape {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Shape> {
        Ok(match text {
            "halves" => Shape::Halves,
            "one" => Shape::One,
            "majorities-ring" => Shape::MajoritiesRing,
            "bridge" => Shape::Bridge,
            "one-way" => Shape::OneWay,
            "primaries" => Shape::Primaries,
            "minority" => Shape::Minority,
            "isolate" => Shape::Isolate,
            _ if text.starts_with('{') => Shape::Given { text: text.to_owned(), grudge: text.parse()? },
            _ => match parse_list(text) {
                Some(nodes) => Shape::Nodes(nodes),
                None => return Err(unknown("shape of a partition", text, &SHAPES).into()),
            },
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Halves => f.write_str("halves"),
            Shape::One => f.write_str("one"),
            Shape::MajoritiesRing => f.write_str("majorities-ring"),
            Shape::Bridge => f.write_str("bridge"),
            Shape::OneWay => f.write_str("one-way"),
            Shape::Primaries => f.write_str("primaries"),
            Shape::Minority => f.write_str("minority"),
            Shape::Isolate => f.write_str("isolate"),
            Shape::Given { text, .. } => f.write_str(text),
            Shape::Nodes(nodes) => f.write_str(&nodes.join("+")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (1..=n).map(|i| format!("n{i}")).collect()
    }

    /// A hundred grudges of a shape for each cluster of `least` to 9 nodes, as (nodes, grudge, words).
    fn drawn(shape: &Shape, least: usize) -> Vec<(Vec<String>, Grudge, String)> {
        let draw = |(n, seed)| {
            let (grudge, what) = shape.draw(&names(n), &[], &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            (names(n), grudge, what)
        };
        (least..=9).flat_map(|n| (0..100).map(move |seed| (n, seed))).map(draw).collect()
    }

    /// The nodes that a node hears, itself included.
    fn sees<'a>(node: &str, names: &'a [String], grudge: &Grudge) -> BTreeSet<&'a str> {
        names.iter().map(String::as_str).filter(|from| !grudge.cuts(from, node)).collect()
    }

    fn is_symmetric(grudge: &Grudge) -> bool {
        grudge.pairs().all(|(from, to)| grudge.cuts(to, from))
    }

    fn sizes(grudge: &Grudge) -> Vec<usize> {
        grudge.groups().expect("groups").iter().map(Vec::len).collect()
    }

    #[test]
    fn halves_cover_all_nodes() {
        for (names, grudge, _) in drawn(&Shape::Halves, 2) {
            assert_eq!(sizes(&grudge), [names.len() / 2, names.len().div_ceil(2)]);
        }
    }

    #[test]
    fn one_is_alone_and_a_minority_leaves_a_majority() {
        for (names, grudge, _) in drawn(&Shape::One, 2) {
            assert_eq!(sizes(&grudge), [1, names.len() - 1]);
        }
        for (names, grudge, _) in drawn(&Shape::Minority, 3) {
            assert!(sizes(&grudge)[1] >= majority(names.len()), "{grudge}");
        }
    }

    #[test]
    fn in_a_majorities_ring_every_node_sees_a_majority_and_no_two_the_same() {
        for (names, grudge, what) in drawn(&Shape::MajoritiesRing, 3) {
            assert!(is_symmetric(&grudge), "{what}");
            let views: Vec<_> = names.iter().map(|node| sees(node, &names, &grudge)).collect();
            let least = majority(names.len());
            assert!(views.iter().all(|view| view.len() >= least), "{what}");
            let too_many = views.iter().filter(|view| view.len() > least).count();
            assert!(too_many <= 1, "{what}: as few links as there can be");
            assert_eq!(views.iter().collect::<BTreeSet<_>>().len(), names.len(), "{what}");
        }
    }

    #[test]
    fn a_bridge_sees_all_and_the_sides_see_only_it() {
        for (names, grudge, what) in drawn(&Shape::Bridge, 3) {
            assert!(is_symmetric(&grudge), "{what}");
            let middles = names.iter().filter(|node| sees(node, &names, &grudge).len() == names.len());
            assert_eq!(middles.count(), 1, "{what}");
            assert_eq!(grudge.nodes().len(), names.len() - 1, "{what}");
        }
    }

    #[test]
    fn one_way_cuts_one_direction_of_each_link() {
        for (_, grudge, what) in drawn(&Shape::OneWay, 2) {
            assert!(grudge.pairs().all(|(from, to)| !grudge.cuts(to, from)), "{what}");
            assert!(grudge.pairs().count() > 0);
        }
    }

    #[test]
    fn no_node_is_cut_off_from_itself() {
        for shape in SHAPES.map(|(name, _)| name.parse::<Shape>().unwrap()) {
            for (_, grudge, what) in drawn(&shape, 3) {
                assert!(grudge.pairs().all(|(from, to)| from != to), "{what}");
                assert!(grudge.pairs().count() > 0, "{shape}: {what}");
            }
        }
    }

    #[test]
    fn one_node_cannot_be_partitioned() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for shape in SHAPES.map(|(name, _)| name.parse::<Shape>().unwrap()) {
            assert!(shape.draw(&names(1), &[], &mut rng).is_err(), "{shape}");
        }
        let error = Shape::Bridge.draw(&names(2), &[], &mut rng).unwrap_err();
        assert_eq!(error.to_string(), "bridge needs 3 nodes, and there are 2");
        let all = Shape::Nodes(names(3)).draw(&names(3), &[], &mut rng).unwrap_err();
        assert_eq!(all.to_string(), "n1+n2+n3 of 3 nodes cuts nothing");
    }

    #[test]
    fn mistakes_in_a_grudge_are_explained() {
        let error = |text: &str| match text.parse::<Shape>() {
            Ok(shape) => format!("{:#}", shape.checked(3).unwrap_err()),
            Err(error) => format!("{error:#}"),
        };
        for (text, part) in [
            ("{n1|n2", "expected {n1|n2,n3} or {n1>n2}"),
            ("{n1,|n2}", "a node without a name"),
            ("{n1>n2;n3}", "n3: expected n1>n2 or n1<>n2"),
            ("{n1|n7}", "there is no node n7"),
            ("{n1>n1}", "cuts a node off from itself"),
            ("{n1,n2,n3}", "cuts nothing"),
        ] {
            assert!(error(text).contains(part), "{text}: {}", error(text));
        }
        assert_eq!("{n1,n2|n3}".parse::<Shape>().unwrap().checked(3).unwrap().to_string(), "{n1,n2|n3}");
    }

    #[test]
    fn grudges_read_as_words() {
        let say = |shape: &str, n, primaries: &[&str]| {
            let primaries: Vec<String> = primaries.iter().map(|name| name.to_string()).collect();
            let shape: Shape = shape.parse().unwrap();
            shape.draw(&names(n), &primaries, &mut ChaCha8Rng::seed_from_u64(3)).unwrap().1
        };
        assert_eq!(say("n1", 3, &[]), "{n1} | {n2,n3}");
        assert_eq!(say("n2+n4", 5, &[]), "{n2,n4} | {n1,n3,n5}");
        assert_eq!(say("primaries", 5, &["n3"]), "{n3} | {n1,n2,n4,n5}");
        assert_eq!(say("primaries", 5, &["n1", "n3"]), "{n1} | {n3} | {n2,n4,n5}");
        let ring = say("majorities-ring", 5, &[]);
        assert!(ring.starts_with("majorities ring n") && ring.ends_with(", each sees 3 of 5"), "{ring}");
        assert!(say("bridge", 5, &[]).contains("}, bridged by n"));
        assert!(say("one-way", 2, &[]).starts_with("one-way: {n"));
        assert!(say("primaries", 3, &[]).ends_with(" (no primary known, a random node)"));
        assert_eq!(say("isolate", 3, &[]), "{n1} | {n2} | {n3}");
        assert_eq!(say("{n2,n1|n3}", 3, &[]), "{n3} | {n1,n2}");
        assert_eq!(say("{n1>n2;n2<>n3}", 3, &[]), "{n2} deaf to {n1,n3}; {n3} deaf to {n2}");
        let odd: Grudge = serde_json::from_str(r#"{"n1": ["n2", "n3"], "n2": ["n3"]}"#).unwrap();
        assert_eq!(odd.to_string(), "{n1} deaf to {n2,n3}; {n2} deaf to {n3}");
    }
}
