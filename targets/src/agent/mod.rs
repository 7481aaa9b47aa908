//! The agent: the only thing that acts on a node.
//!
//! It spawns and supervises the target's processes and applies faults. Locally it is the init of the node's
//! namespaces. Requests and replies are JSON lines on its standard input and output. When its input closes it heals
//! everything it did, ends what it spawned, and exits; so it does when its controller has been silent for too long.

pub mod calls;
mod control;
mod ending;
mod fault;
mod guard;
mod helper;
mod lines;
mod node;
mod process_table;
mod protocol;
mod serve;

pub use control::ControlPath;
pub(crate) use control::VARIABLE as CONTROL_VARIABLE;
pub use fault::NodeFault;
pub use guard::Guard;
pub use helper::helper;
pub use process_table::target_pids;
pub use protocol::{Numbered, Reply, Request, Setup, Spawn};
pub use serve::run;

/// The hidden sub-command of the binary that runs the agent: it must call [`run`] before any thread is started.
pub const COMMAND: &str = "agent";
