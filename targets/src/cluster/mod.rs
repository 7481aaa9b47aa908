//! Clusters: nodes, each with its agent, in an environment.

pub mod local;
mod pipe;
pub mod ssh;
mod unavailable;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use serde_json::Value;
use squall_checkers::Receipt;
use squall_workloads::Node;
use tokio::task::JoinSet;

pub use pipe::PipeLink;
pub use unavailable::Unavailable;

use crate::agent::{Reply, Request, Spawn};

/// In the arguments and environment values of a [`Spawn`], what stands for the node's data directory:
/// `--data {data}`. The process also finds the directory in the environment variable `SQUALL_DATA`, and starts in it.
/// It is what `wipe` empties.
pub const DATA_DIR: &str = "{data}";

/// The line to an agent.
#[async_trait]
pub trait AgentLink: Send + Sync {
    /// Sends a request and waits for its reply, within a bound. An agent that is gone is an error.
    async fn call(&self, request: Request) -> Result<Reply>;

    /// Brings the node's logs to where the controller keeps them, if they are not there already.
    async fn fetch_logs(&self) -> Result<()> {
        Ok(())
    }

    /// Ends the agent, which first heals and ends everything that it did, and waits until it is gone. What goes wrong
    /// with it is printed.
    async fn close(&self) {}
}

/// A node and the line to its agent. Cheap to clone.
#[derive(Clone)]
pub struct NodeHandle {
    /// Name and address.
    pub node: Node,
    agent: Arc<dyn AgentLink>,
    /// Whether `kill` came after the last `spawn`.
    killed: Arc<AtomicBool>,
}

/// The nodes of a run and what connects them.
#[derive(Clone)]
pub struct Cluster {
    /// The nodes, in order.
    pub nodes: Vec<NodeHandle>,
    /// The switch that all traffic between nodes crosses, if the environment has one: an agent that can cut links.
    pub switch: Option<NodeHandle>,
}

impl Cluster {
    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&NodeHandle> {
        self.nodes.iter().find(|handle| handle.node.name == name)
    }

    /// Ends all agents, and so everything on the nodes.
    pub async fn close(&self) {
        let mut closing = JoinSet::new();
        for handle in self.nodes.iter().chain(&self.switch) {
            let agent = handle.agent.clone();
            closing.spawn(async move { agent.close().await });
        }
        closing.join_all().await;
    }

    /// The names of all nodes, in order.
    pub fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|handle| handle.node.name.clone()).collect()
    }
}

impl NodeHandle {
    /// A node behind a line to its agent.
    pub fn new(node: Node, agent: Arc<dyn AgentLink>) -> NodeHandle {
        NodeHandle { node, agent, killed: Arc::default() }
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.node.name
    }

    /// Starts a process on the node; its output goes to the node's `<name>.log`. Returns its pid there.
    pub async fn spawn(&self, spawn: Spawn) -> Result<i32> {
        match self.call(Request::Spawn(spawn)).await? {
            Reply::Pid { pid } => {
                self.killed.store(false, Ordering::Relaxed);
                Ok(pid)
            }
            other => self.unexpected("spawn", &other),
        }
    }

    /// Kills every process of the node.
    pub async fn kill(&self) -> Result<Receipt> {
        self.killed.store(true, Ordering::Relaxed);
        self.receipt("kill", Request::Kill).await
    }

    /// Kills them too, by one who starts the node again at once: if that goes wrong it is not missing on purpose.
    pub async fn kill_to_restart(&self) -> Result<Receipt> {
        self.receipt("kill", Request::Kill).await
    }

    /// Whether its processes were killed, and none started since: what is missing there is missing on purpose.
    pub fn was_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Asks the node's processes to end, with SIGTERM; what is left after the grace time is killed.
    pub async fn terminate(&self, grace: Duration) -> Result<Receipt> {
        self.killed.store(true, Ordering::Relaxed);
        let grace_ms = grace.as_millis() as u64;
        self.receipt("terminate", Request::Terminate { grace_ms }).await
    }

    /// The live processes of the node: their ids there and their command lines.
    pub async fn commands(&self) -> Result<Vec<(i32, Vec<String>)>> {
        match self.call(Request::Commands).await? {
            Reply::Commands { commands } => Ok(commands),
            other => self.unexpected("commands", &other),
        }
    }

    /// The live processes of the node, by their ids there.
    pub async fn pids(&self) -> Result<Vec<i32>> {
        match self.call(Request::Pids).await? {
            Reply::Pids { pids } => Ok(pids),
            other => self.unexpected("pids", &other),
        }
    }

    /// Deletes the node's data.
    pub async fn wipe(&self) -> Result<()> {
        match self.call(Request::Wipe).await? {
            Reply::Done => Ok(()),
            other => self.unexpected("wipe", &other),
        }
    }

    /// Brings the node's logs to where the controller keeps them.
    pub async fn fetch_logs(&self) -> Result<()> {
        self.agent.fetch_logs().await
    }

    /// Whether a fault of this kind can be applied on the node.
    ///
    /// # Errors
    /// [`Unavailable`] if its machine cannot do it.
    pub async fn probe(&self, fault: &str, args: Value) -> Result<()> {
        match self.call(Request::Probe { fault: fault.to_owned(), args }).await? {
            Reply::Done => Ok(()),
            other => self.unexpected("probe", &other),
        }
    }

    /// Applies a fault of this kind on the node.
    pub async fn inject(&self, fault: &str, args: Value) -> Result<Receipt> {
        self.receipt("inject", Request::Inject { fault: fault.to_owned(), args }).await
    }

    /// What can be seen on the node of what a fault of this kind acts on; `null` if there is nothing to see.
    pub async fn observe(&self, fault: &str) -> Result<Value> {
        match self.call(Request::Observe { fault: fault.to_owned() }).await? {
            Reply::Observed { what } => Ok(what),
            other => self.unexpected("observe", &other),
        }
    }

    /// Undoes the fault of this kind on the node.
    pub async fn heal(&self, fault: &str) -> Result<Receipt> {
        self.receipt("heal", Request::Heal { fault: fault.to_owned() }).await
    }

    async fn receipt(&self, asked: &str, request: Request) -> Result<Receipt> {
        match self.call(request).await? {
            Reply::Receipt(receipt) => Ok(receipt),
            other => self.unexpected(asked, &other),
        }
    }

    async fn call(&self, request: Request) -> Result<Reply> {
        match self.agent.call(request).await? {
            Reply::Error { message } => bail!("{}: {message}", self.node.name),
            Reply::Unavailable(what) => {
                Err(anyhow::Error::from(what).context(format!("{} cannot do it", self.node.name)))
            }
            reply => Ok(reply),
        }
    }

    fn unexpected<T>(&self, asked: &str, reply: &Reply) -> Result<T> {
        bail!("{}: the agent answered {asked} with {reply:?}", self.node.name)
    }
}
