//! The target trait: a system under test; and the targets that squall knows.

mod options;
mod registry;

use async_trait::async_trait;
use squall_workloads::Client;

pub use options::TargetOptions;
pub use registry::{ALL, Entry, find};

use crate::cluster::{Cluster, NodeHandle};

/// A system that can be started on the nodes of a cluster and that clients can talk to.
///
/// Kill, pause and restart need nothing from a target: the agent supervises whatever [`start`](Target::start) spawned,
/// and a restart is another `start`. What only some systems can do is an optional capability.
#[async_trait]
pub trait Target: Send + Sync {
    /// The op sets that its clients know: see [`squall_workloads::Workload`].
    fn op_sets(&self) -> &[&str];

    /// Starts it on a node, whose data may be fresh or left from before. Returns once the process is spawned.
    async fn start(&self, cluster: &Cluster, node: &NodeHandle) -> anyhow::Result<()>;

    /// Whether the node answers clients; `Err` says why not (yet). Polled until it is `Ok` or the start-up time is over.
    async fn ready(&self, node: &NodeHandle) -> anyhow::Result<()>;

    /// A client prototype for an op set of [`op_sets`](Target::op_sets), connected to nothing.
    fn client(&self, op_set: &str) -> anyhow::Result<Box<dyn Client>>;

    /// If it knows which nodes lead.
    fn primaries(&self) -> Option<&dyn Primaries> {
        None
    }

    /// If nodes can be added and removed.
    fn membership(&self) -> Option<&dyn Membership> {
        None
    }

    /// If it can be started with other flags than usual.
    fn flags(&self) -> Option<&dyn Flags> {
        None
    }

    /// If the one that leads can hand that over.
    fn transfer(&self) -> Option<&dyn Transfer> {
        None
    }
}

/// The capability to tell which nodes believe that they lead.
#[async_trait]
pub trait Primaries: Send + Sync {
    /// Names of the nodes that believe that they lead, possibly several; nodes that do not answer are not among them.
    async fn primaries(&self, cluster: &Cluster) -> Vec<String>;
}

/// The capability to change which nodes belong.
#[async_trait]
pub trait Membership: Send + Sync {
    /// Names of the members as one node sees them.
    async fn members(&self, via: &NodeHandle) -> anyhow::Result<Vec<String>>;

    /// Adds a node by asking another.
    async fn add(&self, via: &NodeHandle, node: &NodeHandle) -> anyhow::Result<()>;

    /// Removes a node by asking another.
    async fn remove(&self, via: &NodeHandle, node: &NodeHandle) -> anyhow::Result<()>;
}

/// The capability to be started with other flags.
#[async_trait]
pub trait Flags: Send + Sync {
    /// Flags that make a difference and do no harm by themselves, to choose from: those of one start each.
    fn choices(&self) -> &[&[&str]];

    /// Starts it on a node as [`Target::start`] does, with these added to its command line.
    async fn start_with(&self, cluster: &Cluster, node: &NodeHandle, flags: &[String]) -> anyhow::Result<()>;
}

/// The capability to hand leadership over.
#[async_trait]
pub trait Transfer: Primaries {
    /// Asks the node that leads to let another one lead. Returns when it has agreed or refused, which may be before the
    /// other one leads.
    async fn transfer(&self, from: &NodeHandle, to: &NodeHandle) -> anyhow::Result<()>;
}
