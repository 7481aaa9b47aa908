//! Which nodes a fault touches.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use rand::Rng as _;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde_json::Value;
use squall_checkers::Unknown;

use crate::nemesis::{Plan, Scene};

/// A choice of nodes, after Jepsen's node specs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeSpec {
    /// A random node.
    One,
    /// As many random nodes as leave a majority: 2 of 5.
    Minority,
    /// The smallest majority of random nodes: 3 of 5.
    Majority,
    /// As many random nodes as are fewer than a third, what Byzantine systems bear: 1 of 5.
    MinorityThird,
    /// The nodes that believe that they lead; a random node if none is known.
    Primaries,
    /// All but one node that believes that it leads; all but a random one if none is known.
    Followers,
    /// All nodes.
    All,
    /// These nodes: `n1+n3`.
    Nodes(Vec<String>),
}

/// What a fault on nodes chooses from if it is not told.
pub(crate) const CHOICES: [NodeSpec; 5] =
    [NodeSpec::One, NodeSpec::Minority, NodeSpec::Majority, NodeSpec::Primaries, NodeSpec::All];

/// The names of the node specs, and what they mean.
pub(crate) static SPECS: [(&str, &str); 7] = [
    ("one", "a random node"),
    ("minority", "as many random nodes as leave a majority"),
    ("majority", "the smallest majority, at random"),
    ("minority-third", "as many random nodes as are fewer than a third"),
    ("primaries", "the nodes that believe that they lead; a random one if none is known"),
    ("followers", "all but one node that believes that it leads; all but a random one if none is known"),
    ("all", "all nodes"),
];

/// The smallest number of nodes that is more than half.
pub(crate) fn majority(n: usize) -> usize {
    n / 2 + 1
}

/// The greatest number of nodes that leaves a majority.
pub(crate) fn minority(n: usize) -> usize {
    n.saturating_sub(1) / 2
}

impl NodeSpec {
    /// The nodes, in the cluster's order, and a remark if they are not quite what was asked for.
    ///
    /// # Errors
    /// If the spec means no node at all (no minority of two nodes), or names one that does not exist.
    pub fn choose(
        &self,
        names: &[String],
        primaries: &[String],
        rng: &mut ChaCha8Rng,
    ) -> Result<(Vec<String>, Option<&'static str>)> {
        let n = names.len();
        let (chosen, remark) = match self {
            NodeSpec::One => (sample(names, 1, rng), None),
            NodeSpec::Minority => (sample(names, minority(n), rng), None),
            NodeSpec::Majority => (sample(names, majority(n), rng), None),
            NodeSpec::MinorityThird => (sample(names, n.saturating_sub(1) / 3, rng), None),
            NodeSpec::Primaries if primaries.is_empty() => {
                (sample(names, 1, rng), Some("no primary known, a random node"))
            }
            NodeSpec::Primaries => (primaries.to_vec(), None),
            NodeSpec::Followers => {
                let leader = sample(if primaries.is_empty() { names } else { primaries }, 1, rng);
                let remark = primaries.is_empty().then_some("no primary known, all but a random node");
                (names.iter().filter(|name| !leader.contains(name)).cloned().collect(), remark)
            }
            NodeSpec::All => (names.to_vec(), None),
            NodeSpec::Nodes(nodes) => (known(nodes, names)?, None),
        };
        ensure!(!chosen.is_empty(), "{self} of {n} nodes is no node at all");
        Ok((chosen, remark))
    }

    /// The same, if it means some node in a cluster of `n`, whose nodes are called `n1` and so on.
    pub(crate) fn checked(self, n: usize) -> Result<NodeSpec> {
        let names: Vec<String> = (1..=n).map(|i| format!("n{i}")).collect();
        self.choose(&names, &[], &mut ChaCha8Rng::seed_from_u64(0))?;
        Ok(self)
    }

    /// A random spec among those that mean some node in a cluster of `n`; primaries only where they can be known.
    pub(crate) fn random(
        among: &[NodeSpec],
        n: usize,
        knows_primaries: bool,
        rng: &mut ChaCha8Rng,
    ) -> NodeSpec {
        let sensible: Vec<&NodeSpec> = among
            .iter()
            .filter(|spec| match spec {
                NodeSpec::Minority => minority(n) > 0,
                NodeSpec::MinorityThird => n > 3,
                NodeSpec::Primaries => knows_primaries,
                _ => true,
            })
            .collect();
        (*sensible.choose(rng).expect("one node is always sensible")).clone()
    }
}

/// Splits `loss=5%@primaries` into what to do and a [`NodeSpec`] as text, or nothing for random nodes.
pub(crate) fn at_nodes(text: &str) -> (&str, Value) {
    match text.split_once('@') {
        Some((what, nodes)) => (what, nodes.into()),
        None => (text, Value::Null),
    }
}

/// The plan of a fault whose value is a [`NodeSpec`] as text, or nothing for a random one of these.
pub(crate) async fn nodes_of(
    value: &Value,
    choices: &[NodeSpec],
    on: &Scene<'_>,
    rng: &mut ChaCha8Rng,
) -> Result<Plan> {
    let names = on.cluster.names();
    let spec = match value {
        Value::Null => NodeSpec::random(choices, names.len(), on.target.primaries().is_some(), rng),
        Value::String(text) => text.parse()?,
        other => bail!("a choice of nodes is text, such as one or n1+n3, not {other}"),
    };
    let led = matches!(spec, NodeSpec::Primaries | NodeSpec::Followers);
    let primaries = if led { on.primaries().await } else { Vec::new() };
    let (nodes, remark) = spec.choose(&names, &primaries, rng)?;
    let plan = Plan::on(nodes);
    Ok(match remark {
        Some(remark) => Plan { what: format!("{} ({remark})", plan.what), ..plan },
        None => plan,
    })
}

/// The nodes in the cluster's order, if all exist.
pub(crate) fn known(nodes: &[String], names: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = nodes.iter().find(|node| !names.contains(node)) {
        bail!("there is no node {unknown}; the nodes are {}", names.join(", "));
    }
    Ok(names.iter().filter(|name| nodes.contains(name)).cloned().collect())
}

/// `count` random nodes in their order.
pub(crate) fn sample(names: &[String], count: usize, rng: &mut ChaCha8Rng) -> Vec<String> {
    let mut picked: Vec<usize> =
        rand::seq::index::sample(rng, names.len(), count.min(names.len())).into_vec();
    picked.sort_unstable();
    picked.into_iter().map(|i| names[i].clone()).collect()
}

/// All nodes in random order.
pub(crate) fn shuffled(names: &[String], rng: &mut ChaCha8Rng) -> Vec<String> {
    let mut names = names.to_vec();
    names.shuffle(rng);
    names
}

/// 1 to the greatest minority, at random; 0 if there is none.
pub(crate) fn random_minority(n: usize, rng: &mut ChaCha8Rng) -> usize {
    match minority(n) {
        0 => 0,
        most => rng.random_range(1..=most),
    }
}

/// `n1+n3` as names; a single word is a list only if it looks like the name of a node, ending in a digit.
pub(crate) fn parse_list(text: &str) -> Option<Vec<String>> {
    let listed = text.contains('+') || text.ends_with(|last: char| last.is_ascii_digit());
    (listed && text.split('+').all(|name| !name.is_empty()))
        .then(|| text.split('+').map(str::to_owned).collect())
}

/// An error about a word that is neither one of these names nor a list of nodes.
pub(crate) fn unknown(kind: &'static str, word: &str, names: &[(&'static str, &str)]) -> Unknown {
    Unknown::new(kind, word, names.iter().map(|(name, _)| *name).chain(["or nodes such as n1+n3"]))
}

impl FromStr for NodeSpec {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<NodeSpec> {
        Ok(match text {
            "one" => NodeSpec::One,
            "minority" => NodeSpec::Minority,
            "majority" => NodeSpec::Majority,
            "minority-third" => NodeSpec::MinorityThird,
            "primaries" => NodeSpec::Primaries,
            "followers" => NodeSpec::Followers,
            "all" => NodeSpec::All,
            _ => match parse_list(text) {
                Some(nodes) => NodeSpec::Nodes(nodes),
                None => return Err(unknown("choice of nodes", text, &SPECS).into()),
            },
        })
    }
}

impl fmt::Display for NodeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeSpec::One => f.write_str("one"),
            NodeSpec::Minority => f.write_str("minority"),
            NodeSpec::Majority => f.write_str("majority"),
            NodeSpec::MinorityThird => f.write_str("minority-third"),
            NodeSpec::Primaries => f.write_str("primaries"),
            NodeSpec::Followers => f.write_str("followers"),
            NodeSpec::All => f.write_str("all"),
            NodeSpec::Nodes(nodes) => f.write_str(&nodes.join("+")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (1..=n).map(|i| format!("n{i}")).collect()
    }

    #[test]
    fn sizes_are_jepsens() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut size =
            |spec: NodeSpec, n| spec.choose(&names(n), &[], &mut rng).map_or(0, |(nodes, _)| nodes.len());
        let sizes = |spec: NodeSpec, size: &mut dyn FnMut(NodeSpec, usize) -> usize| {
            (1..=9).map(|n| size(spec.clone(), n)).collect::<Vec<_>>()
        };
        assert_eq!(sizes(NodeSpec::One, &mut size), [1; 9]);
        assert_eq!(sizes(NodeSpec::Minority, &mut size), [0, 0, 1, 1, 2, 2, 3, 3, 4]);
        assert_eq!(sizes(NodeSpec::Majority, &mut size), [1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert_eq!(sizes(NodeSpec::MinorityThird, &mut size), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        assert_eq!(sizes(NodeSpec::Followers, &mut size), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(sizes(NodeSpec::All, &mut size), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn primaries_fall_back_to_a_random_node_and_say_so() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let known = NodeSpec::Primaries.choose(&names(3), &["n2".to_owned()], &mut rng).unwrap();
        assert_eq!(known, (vec!["n2".to_owned()], None));
        let (nodes, remark) = NodeSpec::Primaries.choose(&names(3), &[], &mut rng).unwrap();
        assert_eq!((nodes.len(), remark), (1, Some("no primary known, a random node")));
    }

    #[test]
    fn names_round_trip_and_mistakes_are_explained() {
        for (name, _) in SPECS {
            assert_eq!(name.parse::<NodeSpec>().unwrap().to_string(), name);
        }
        assert_eq!("n3+n1".parse::<NodeSpec>().unwrap().to_string(), "n3+n1");
        assert_eq!(
            "majorty".parse::<NodeSpec>().unwrap_err().to_string(),
            "there is no choice of nodes `majorty`, did you mean `majority`? There are: one, minority, majority, \
             minority-third, primaries, followers, all, or nodes such as n1+n3"
        );
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let error = NodeSpec::Nodes(vec!["n7".into()]).choose(&names(2), &[], &mut rng).unwrap_err();
        assert_eq!(error.to_string(), "there is no node n7; the nodes are n1, n2");
    }
}
