use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{History, Process, Type};

/// How long a cluster took to answer again after a healing, as the nemesis' operation `recover` found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Seconds until every node had answered, or until that was given up.
    pub took_s: f64,
    /// Seconds until each node answered.
    pub nodes: BTreeMap<String, f64>,
    /// The nodes that did not, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub silent: BTreeMap<String, String>,
}

impl Recovery {
    /// The last one in a history: where the run came to its end, that after the final healing.
    pub fn last(history: &History) -> Option<Recovery> {
        let ended = |op: &super::OpRef<'_>| {
            op.process() == Process::Nemesis && op.kind() == Type::Info && op.f() == "recover"
        };
        let op = history.iter().filter(ended).last()?;
        serde_json::from_value(op.value()).ok()
    }

    /// Whether every node answered.
    pub fn is_complete(&self) -> bool {
        self.silent.is_empty()
    }
}
