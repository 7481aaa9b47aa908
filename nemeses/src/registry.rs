//! The nemeses by name: what `-n` parses, and what `squall list nemeses` and `squall explain` show.

use anyhow::{Result, ensure};
use squall_checkers::Unknown;

use crate::{grudge, nodes};

/// A name and what it means.
pub type Named = (&'static str, &'static str);

/// A nemesis that `-n` knows.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The operations that inject and heal, as they stand in a history.
    pub ops: (&'static str, &'static str),
    /// What may follow its name and a colon; without it, each injection chooses at random.
    pub parameters: &'static [Named],
    /// What its receipts prove.
    pub receipt: &'static str,
}

/// Every nemesis.
pub static ALL: [Entry; 5] = [
    Entry { name: "none", about: "Breaks nothing.", ops: ("", ""), parameters: &[], receipt: "nothing" },
    Entry {
        name: "partition",
        about: "Drops what nodes send to each other, in some directions, until healed. Clients still reach every node.",
        ops: ("start-partition", "stop-partition"),
        parameters: &grudge::SHAPES,
        receipt: "the cut directions read back from the kernel; after healing, the packets that were dropped",
    },
    Entry {
        name: "kill",
        about: "Kills every process of the target on some nodes with SIGKILL, and starts it again there.",
        ops: ("kill", "start"),
        parameters: &nodes::SPECS,
        receipt: "the pids that are gone, and how they ended; after restarting, the pids that run",
    },
    Entry {
        name: "pause",
        about: "Stops every process of the target on some nodes with SIGSTOP, and lets them go on.",
        ops: ("pause", "resume"),
        parameters: &nodes::SPECS,
        receipt: "every process in state T in /proc; after resuming, none",
    },
    Entry {
        name: "membership",
        about: "Removes nodes from the cluster's members, all at once and each through another node, and adds \
                them again. For targets that can change their members.",
        ops: ("leave", "join"),
        parameters: &nodes::SPECS,
        receipt: "the members as the nodes that stay see them",
    },
];

/// The nemesis of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}

/// Splits `partition:halves,kill` into nemeses and their parameters.
pub(crate) fn parse(text: &str) -> Result<Vec<(&'static Entry, Option<&str>)>> {
    text.split(',').map(|item| parse_one(item.trim())).collect()
}

fn parse_one(item: &str) -> Result<(&'static Entry, Option<&str>)> {
    let (name, parameter) = match item.split_once(':') {
        Some((name, parameter)) => (name, Some(parameter)),
        None => (item, None),
    };
    let Some(entry) = find(name) else {
        return Err(Unknown::new("nemesis", name, ALL.iter().map(|entry| entry.name)).into());
    };
    ensure!(parameter.is_none() || !entry.parameters.is_empty(), "{name} takes no parameter");
    Ok((entry, parameter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_nemeses_is_split() {
        let parsed: Vec<_> =
            parse("partition:halves, kill").unwrap().into_iter().map(|(entry, p)| (entry.name, p)).collect();
        assert_eq!(parsed, [("partition", Some("halves")), ("kill", None)]);
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |text| parse(text).unwrap_err().to_string();
        assert_eq!(
            error("partiton"),
            "there is no nemesis `partiton`, did you mean `partition`? \
             There are: none, partition, kill, pause, membership"
        );
        assert!(error("kill,").starts_with("there is no nemesis ``"));
        assert_eq!(error("none:one"), "none takes no parameter");
    }
}
