//! What stands in a target file.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::Deserialize;
use squall_workloads::Node;

use super::question::Question;
use crate::systems::host;

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Spec {
    /// What runs on each node; started in this order.
    pub(super) process: Vec<Process>,
    /// How `{cluster}` is made.
    #[serde(default)]
    pub(super) cluster: Listing,
    /// Whether a node answers clients. Without it, it does as soon as its processes run.
    #[serde(default)]
    pub(super) ready: Option<Question>,
    /// Whether a node believes that it leads.
    #[serde(default)]
    pub(super) primaries: Option<Question>,
    /// What carries out operations.
    #[serde(default)]
    pub(super) client: Option<ClientSpec>,
}

/// A process of a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Process {
    /// Names it, and its log.
    pub(super) name: String,
    /// Program and arguments.
    pub(super) argv: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
}

/// A list of all nodes as one word.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Listing {
    /// What stands for one node.
    each: String,
    /// What stands between two.
    join: String,
}

impl Default for Listing {
    fn default() -> Listing {
        Listing { each: "{ip}".to_owned(), join: ",".to_owned() }
    }
}

/// A client in a language of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ClientSpec {
    /// The op sets that it knows: `register`, `set`, `txn`.
    pub(super) op_sets: Vec<String>,
    /// Program and arguments, started in the folder of the file.
    pub(super) argv: Vec<String>,
}

impl Spec {
    pub(super) fn parse(text: &str) -> Result<Spec> {
        let spec: Spec = toml::from_str(text)?;
        ensure!(!spec.process.is_empty(), "a target has at least one [[process]]");
        for process in &spec.process {
            ensure!(!process.argv.is_empty(), "process {}: argv is empty", process.name);
        }
        if let Some(client) = &spec.client {
            ensure!(!client.argv.is_empty(), "the client's argv is empty");
            ensure!(!client.op_sets.is_empty(), "the client knows no op-sets");
        }
        for question in spec.ready.iter().chain(&spec.primaries) {
            question.checked()?;
        }
        Ok(spec)
    }
}

/// What the placeholders stand for on a node.
pub(super) struct Places(Vec<(&'static str, String)>);

impl Places {
    /// `{node}`, `{ip}`, `{id}` (from 1) and `{cluster}`.
    pub(super) fn of(node: &Node, all: &[&Node], listing: &Listing) -> Places {
        let one = |node: &Node| {
            let id = all.iter().position(|other| other.name == node.name).map_or(0, |at| at + 1);
            vec![("{node}", node.name.clone()), ("{ip}", host(node.ip)), ("{id}", id.to_string())]
        };
        let each: Vec<String> = all.iter().map(|node| Places(one(node)).fill(&listing.each)).collect();
        let mut places = one(node);
        places.push(("{cluster}", each.join(&listing.join)));
        Places(places)
    }

    /// The text with everything filled in. What is no placeholder stays: `{data}` is the agent's to fill.
    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in() {
        let nodes = [Node::new("n1", [10, 0, 0, 1]), Node::new("n2", [10, 0, 0, 2])];
        let listing = Listing { each: "{id}:{node}={ip}".to_owned(), join: ";".to_owned() };
        let places = Places::of(&nodes[1], &nodes.each_ref(), &listing);
        assert_eq!(
            places.fill("{node} {ip} {id} in {cluster}, {data}"),
            "n2 10.0.0.2 2 in 1:n1=10.0.0.1;2:n2=10.0.0.2, {data}"
        );
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let error = |text: &str| format!("{:#}", Spec::parse(text).unwrap_err());
        let unknown = error("[[process]]\nname = \"a\"\nargs = []");
        assert!(unknown.contains("line 3") && unknown.contains("args"), "{unknown}");
        assert!(error("").contains("process"));
        assert!(error("process = []").contains("at least one [[process]]"));
        assert!(error("[[process]]\nname = \"a\"\nargv = []").contains("process a: argv is empty"));
        let process = "[[process]]\nname = \"a\"\nargv = [\"a\"]\n";
        assert!(error(&format!("{process}[client]\nargv = [\"a\"]\nop-sets = []")).contains("op-sets"));
        assert!(error(&format!("{process}[ready]\ncontains = \"a\"")).contains("url or tcp"));
        assert!(error(&format!("{process}[ready]\ntcp = 1\nurl = \"http://a\"")).contains("url or tcp"));
        assert!(error(&format!("{process}[ready]\ntcp = 1\ncontains = \"a\"")).contains("only a url"));
        let whole = Spec::parse(process).unwrap();
        assert!(whole.ready.is_none() && whole.client.is_none());
    }
}
