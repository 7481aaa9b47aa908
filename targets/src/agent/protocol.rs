use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_checkers::Receipt;

use super::Guard;
use crate::cluster::Unavailable;
use crate::cluster::local::LocalNode;

/// A message with the number that a reply shares with its request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbered<T> {
    /// The number.
    pub id: u64,
    /// The request or the reply.
    #[serde(flatten)]
    pub message: T,
}

/// What an agent must know before anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// The node's name.
    pub node: String,
    /// The node's data directory, made if it is not there.
    pub data: PathBuf,
    /// Where the logs go, made if it is not there: `<name>.log` for each process, `agent.log` for the agent itself.
    pub logs: PathBuf,
    /// Kinds of faults that the run needs and that must be prepared before the target starts, such as a file system
    /// under its data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepare: Vec<String>,
    /// The namespaces to make and to become the init of; without, the agent acts where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enter: Option<LocalNode>,
    /// On a machine that others use too: what makes sure that nothing is left there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// After so long without a request, in milliseconds, the controller counts as lost: the agent heals everything and
    /// ends. Without it only the end of the input does that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

impl Setup {
    /// Of a node of this name, with nothing said about it.
    pub(crate) fn of(node: impl Into<String>) -> Setup {
        Setup { node: node.into(), ..Setup::default() }
    }
}

/// A process to start on a node, in the node's data directory, which it finds in `SQUALL_DATA`. Its standard input is
/// empty, and it leads a session of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spawn {
    /// Names the process within the node; its output goes to `<name>.log`.
    pub name: String,
    /// The program and its arguments. The program `squall` is this very binary. In arguments
    /// [`DATA_DIR`](crate::cluster::DATA_DIR) becomes the node's data directory.
    pub argv: Vec<String>,
    /// Environment variables in addition to the agent's; [`DATA_DIR`](crate::cluster::DATA_DIR) as in arguments.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl Spawn {
    /// A process of that name: the program and its arguments.
    pub fn new<S: Into<String>>(name: impl Into<String>, argv: impl IntoIterator<Item = S>) -> Spawn {
        let argv = argv.into_iter().map(Into::into).collect();
        Spawn { name: name.into(), argv, ..Spawn::default() }
    }
}

/// What the controller asks of an agent. One JSON object a line, with an `id` beside it that the reply repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Settle in. The first request, and only the first. Reply: `Done`.
    Setup(Setup),
    /// Are you there? I am. Reply: `Done`.
    Ping,
    /// Start a process. Reply: `Pid`.
    Spawn(Spawn),
    /// Kill every process of the node with SIGKILL and wait until they are gone. Reply: `Receipt`, naming the pids.
    Kill,
    /// Ask the node's processes to end, with SIGTERM, and kill what is left after a time. Reply: `Receipt`, with how each
    /// ended and how long that took.
    Terminate {
        /// How long they may take, in milliseconds.
        grace_ms: u64,
    },
    /// The live processes of the node. Reply: `Pids`.
    Pids,
    /// The command lines of the live processes of the node. Reply: `Commands`.
    Commands,
    /// Delete the node's data. Reply: `Done`.
    Wipe,
    /// Can a fault be applied? Reply: `Done`, `Unavailable` or `Error`.
    Probe {
        /// Its kind.
        fault: String,
        /// Its arguments.
        args: Value,
    },
    /// Apply a fault. Reply: `Receipt`.
    Inject {
        /// Its kind.
        fault: String,
        /// Its arguments.
        args: Value,
    },
    /// Look at what a fault acts on, whether it is in force or not. Reply: `Observed`.
    Observe {
        /// Its kind.
        fault: String,
    },
    /// Undo a fault. Reply: `Receipt`.
    Heal {
        /// Its kind.
        fault: String,
    },
    /// Undo every fault and kill every process, as at the end of the input: the logs are whole then. Reply: `Done`.
    End,
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
    /// The live processes and how they were started.
    Commands {
        /// Process ids, each with program and arguments.
        commands: Vec<(i32, Vec<String>)>,
    },
    /// What was seen.
    Observed {
        /// By the fault's own description.
        what: Value,
    },
    /// A fault was applied or undone.
    Receipt(Receipt),
    /// The node's machine cannot do it.
    Unavailable(Unavailable),
    /// It could not be done.
    Error {
        /// Why, and what to do.
        message: String,
    },
}
