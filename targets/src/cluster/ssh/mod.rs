//! The ssh environment: nodes that are machines of their own, reached through the user's own `ssh`, with its
//! configuration, agent and jump hosts.
//!
//! Each node gets the binary (once: it is known by its hash) and one resident agent, over one connection, with a
//! [guard](crate::agent::Guard) beside it. When the connection ends the agent heals and ends; when it is cut so that it
//! never ends, the agent does so after a [lease](LEASE) without a word from the controller. Everything of a run lies in a
//! directory of its own on the node, which goes with the agent.

mod address;
mod leftovers;
mod link;
mod machine;
mod remote;
mod said;
mod trouble;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use squall_workloads::Node;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use address::SshAddress;
pub use leftovers::{Leftovers, leftovers};
pub use link::LEASE;
use link::SshLink;
use machine::Machine;
use remote::{Binary, Remote};

use super::{AgentLink as _, Cluster, NodeHandle, PipeLink, Unavailable};
use crate::agent::{Guard, Reply, Request, Setup};

/// The greatest number of nodes.
pub const NODES_MAX: usize = 99;
/// So many nodes are brought up at a time: a jump host has its limits.
const AT_A_TIME: usize = 8;

/// How to reach nodes through ssh, and what to do there.
#[derive(Clone, Debug)]
pub struct SshOptions {
    /// Them, in order: they are called `n1`, `n2` and so on.
    pub nodes: Vec<SshAddress>,
    /// The number of the first: 1, but where one of several is meant alone.
    pub first: usize,
    /// A configuration file for ssh instead of the user's own.
    pub config: Option<PathBuf>,
    /// Options for ssh, as in its configuration: `IdentityFile=…`.
    pub options: Vec<String>,
    /// Runs the agent with `sudo` where the user is not root.
    pub sudo: bool,
    /// Where on the nodes binaries and runs lie, in a directory of their own.
    pub dir: PathBuf,
    /// The program to copy to the nodes, if not this one.
    pub agent: Option<PathBuf>,
    /// Leaves the directory of the run on the nodes.
    pub keep: bool,
}

impl SshOptions {
    /// Where binaries and runs lie unless told: it survives a restart, and is not in memory.
    pub const DIR: &str = "/var/tmp";

    /// Nodes at these addresses, and everything else as it is by default.
    pub fn new(nodes: Vec<SshAddress>) -> SshOptions {
        SshOptions {
            nodes,
            first: 1,
            config: None,
            options: Vec::new(),
            sudo: false,
            dir: Self::DIR.into(),
            agent: None,
            keep: false,
        }
    }

    /// One of the nodes, under its name.
    pub fn only(&self, at: usize) -> SshOptions {
        SshOptions { nodes: vec![self.nodes[at].clone()], first: self.first + at, ..self.clone() }
    }

    /// The name of a node.
    pub fn name(&self, at: usize) -> String {
        format!("n{}", self.first + at)
    }
}

/// The ssh environment.
pub struct SshCluster;

impl SshCluster {
    /// Starts an agent on each node, for a run with this id. When the cluster is closed, logs are fetched to
    /// `<log_dir>/<node>/`. There is no switch: each node drops what it receives. The faults of the kinds in `prepare` are
    /// prepared on every node: see [`Setup`].
    ///
    /// # Errors
    /// [`Unavailable`] that says which node cannot be used, why, and what to do. What was begun is ended.
    pub async fn start(
        options: &SshOptions,
        run: &str,
        log_dir: &Path,
        prepare: &[String],
    ) -> Result<Cluster> {
        if !(1..=NODES_MAX).contains(&options.nodes.len()) {
            bail!("an ssh cluster has 1 to {NODES_MAX} nodes, not {}", options.nodes.len());
        }
        let machines = make_ready(options).await?;
        machines.iter().for_each(warn_of_missing_rights);
        let nodes =
            machines.iter().map(|machine| node(machine, machines.len())).collect::<Result<Vec<_>>>()?;
        distinct(&nodes)?;
        let mut starting = JoinSet::new();
        let bound = Arc::new(Semaphore::new(AT_A_TIME));
        for (at, (machine, node)) in machines.into_iter().zip(nodes).enumerate() {
            let (bound, logs) = (bound.clone(), log_dir.join(&node.name));
            let scratch = machine.dir.join("runs").join(run).join(&node.name);
            let setup = Setup {
                data: scratch.join("data"),
                logs: scratch.join("logs"),
                prepare: prepare.to_vec(),
                guard: Some(Guard { scratch, keep: options.keep }),
                lease_ms: Some(LEASE.as_millis() as u64),
                ..Setup::of(&node.name)
            };
            starting.spawn(async move {
                let _turn = bound.acquire().await;
                start_agent(machine, node, setup, logs).await.map(|handle| (at, handle))
            });
        }
        let (mut handles, mut failed) = (Vec::new(), None);
        while let Some(started) = starting.join_next().await {
            match started.context("starting an agent")? {
                Ok(handle) => handles.push(handle),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        handles.sort_by_key(|(at, _)| *at);
        let cluster =
            Cluster { nodes: handles.into_iter().map(|(_, handle)| handle).collect(), switch: None };
        match failed {
            None => Ok(cluster),
            Some(error) => {
                cluster.close().await;
                Err(error)
            }
        }
    }
}

/// Makes every node ready to start an agent, some at a time.
async fn make_ready(options: &SshOptions) -> Result<Vec<Machine>> {
    let binary = Arc::new(Binary::find(options.agent.as_ref()).await?);
    let options = Arc::new(options.clone());
    let bound = Arc::new(Semaphore::new(AT_A_TIME));
    let mut preparing = JoinSet::new();
    for (at, address) in options.nodes.iter().cloned().enumerate() {
        let remote = Remote { name: options.name(at), address, options: options.clone() };
        let (binary, bound) = (binary.clone(), bound.clone());
        preparing.spawn(async move {
            let _turn = bound.acquire().await;
            (at, Machine::prepare(remote, &binary).await)
        });
    }
    let mut prepared = preparing.join_all().await;
    prepared.sort_by_key(|(at, _)| *at);
    let failed = prepared.iter().filter(|(_, machine)| machine.is_err()).count();
    let all = prepared.len();
    let machines: Result<Vec<Machine>> = prepared.into_iter().map(|(_, machine)| machine).collect();
    if failed > 1 {
        machines.with_context(|| format!("{failed} of {all} nodes cannot be used"))
    } else {
        machines
    }
}

fn warn_of_missing_rights(machine: &Machine) {
    let Remote { name, address, options } = &machine.remote;
    if machine.uid != 0 && !options.sudo {
        eprintln!(
            "warning  {name} ({address}): the agent is not root there, so it can neither cut links nor touch packets; \
             log in as root, or pass --sudo"
        );
    }
}

/// Its name, and the addresses by which others reach it.
fn node(machine: &Machine, of: usize) -> Result<Node> {
    let Remote { name, address, .. } = &machine.remote;
    let remedy =
        || format!("write the address by which the other nodes reach it behind it: {address}/10.0.0.1");
    let (ip, other_ips) = match (address.ips.split_first(), machine.ip) {
        (Some((&ip, others)), _) => (ip, others.to_vec()),
        (None, Some(ip)) if of == 1 || !ip.is_loopback() => (ip, Vec::new()),
        (None, Some(ip)) => {
            let what = format!("{name} ({address}) is reached at {ip}, where no other node can reach it");
            return Err(Unavailable::new(what, remedy()).into());
        }
        (None, None) => {
            let what = format!("{name} ({address}) does not say at which address ssh arrives");
            return Err(Unavailable::new(what, remedy()).into());
        }
    };
    Ok(Node { name: name.clone(), ip, other_ips })
}

fn distinct(nodes: &[Node]) -> Result<()> {
    for (at, node) in nodes.iter().enumerate() {
        let same = |ip: IpAddr| nodes[..at].iter().find(move |other| other.ips().any(|theirs| theirs == ip));
        if let Some((ip, other)) = node.ips().find_map(|ip| Some((ip, same(ip)?))) {
            return Err(Unavailable::new(
                format!("{} and {} are the same machine: both are {ip}", other.name, node.name),
                "name each machine once, or tell their addresses apart: HOST/IP",
            )
            .into());
        }
    }
    Ok(())
}

async fn start_agent(machine: Machine, node: Node, setup: Setup, logs: PathBuf) -> Result<NodeHandle> {
    let logs = (setup.logs.clone(), logs);
    let running = machine.start_agent().await?;
    let said = running.said.clone();
    let last = said.clone();
    let epitaph = move || format!("ssh: {}", last.last());
    let link = PipeLink::over(node.name.clone(), running.child, running.output, epitaph);
    match link.call(Request::Setup(setup)).await {
        Ok(Reply::Done) => {}
        Ok(Reply::Unavailable(what)) => {
            return Err(anyhow::Error::from(what).context(format!("{} cannot start", node.name)));
        }
        Ok(Reply::Error { message }) => bail!("{}: {message}", node.name),
        Ok(other) => bail!("{}: the agent answered setup with {other:?}", node.name),
        Err(_) => {
            // What the shell or sudo said may still be on its way.
            let _ = timeout(Duration::from_secs(1), running.listening).await;
            return Err(machine.failed("starting the agent", &said.lines()));
        }
    }
    Ok(NodeHandle::new(node, Arc::new(SshLink::new(link, machine, logs))))
}
