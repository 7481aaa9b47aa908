//! What squall breaks: clusters of nodes, the agent on each node, and the systems that run on them.

pub mod agent;
pub mod cluster;
mod sys;
pub mod systems;
pub mod target;

pub use cluster::{Cluster, NodeHandle, Unavailable};
pub use squall_checkers::Receipt;
pub use squall_workloads::{Client, Completion, Node};
pub use target::{Flags, Membership, Primaries, Target, Transfer};
