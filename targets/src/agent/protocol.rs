use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_checkers::Receipt;

/// A process to start on a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spawn {
    /// Names the process within the node; its output goes to `<name>.log`.
    pub name: String,
    /// The program and its arguments. The program `squall` is this very binary.
    pub argv: Vec<String>,
    /// Environment variables in addition to the agent's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// What the controller asks of an agent. One JSON object a line, with an `id` beside it that the reply repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Are you there?
    Ping,
    /// Start a process. Reply: `Pid`.
    Spawn(Spawn),
    /// Kill every process of the node with SIGKILL and wait until they are gone. Reply: `Receipt`, naming the pids.
    Kill,
    /// The live processes of the node. Reply: `Pids`.
    Pids,
    /// Delete the node's data. Reply: `Done`.
    Wipe,
    /// Apply a fault. Reply: `Receipt`.
    Inject {
        /// Its kind.
        fault: String,
        /// Its arguments.
        args: Value,
    },
    /// Undo a fault. Reply: `Receipt`.
    Heal {
        /// Its kind.
        fault: String,
    },
}

/// What an agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Reply {
    /// It is done.
    Done,
    /// A process was started.
    Pid {
        /// Its id in the node's pid namespace.
        pid: i32,
    },
    /// The live processes.
    Pids {
        /// Their ids in the node's pid namespace.
        pids: Vec<i32>,
    },
    /// A fault was applied or undone.
    Receipt(Receipt),
    /// It could not be done.
    Error {
        /// Why, and what to do.
        message: String,
    },
}
