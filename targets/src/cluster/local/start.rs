//! Making the nodes of a local cluster.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use squall_workloads::Node;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::node::no_virtual_network;
use super::rtnl::Rtnl;
use super::{LocalNode, cell};
use crate::agent::{self, Reply, Request, Setup};
use crate::cluster::{AgentLink, Cluster, NodeHandle, PipeLink};

/// The bridge that connects the nodes, in the cell.
pub const BRIDGE: &str = "squall";
/// The controller's own address on the bridge.
pub const CONTROLLER_IP: Ipv4Addr = Ipv4Addr::new(10, 92, 0, 254);
/// The controller's own second address on the bridge.
pub const CONTROLLER_IP6: Ipv6Addr = Ipv6Addr::new(0xfd92, 0, 0, 0, 0, 0, 0, 0xfe);

const NODES_MAX: usize = 9;
/// A file system of its own in each node.
const NODE_DATA: &str = "/run/data";
const SWITCH_DATA: &str = "/run/squall/switch";

/// The address of the `number`-th node, from 1.
pub fn ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 92, 0, number)
}

/// The second address of the `number`-th node, from 1.
pub fn ip6(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd92, 0, 0, 0, 0, 0, 0, u16::from(number))
}

/// The local environment.
pub struct LocalCluster;

impl LocalCluster {
    /// Starts nodes `n1` … `n9`, each a set of namespaces with an agent as its init, connected by a bridge, and an agent
    /// for the switch between them. Logs go to `<log_dir>/<node>/`. One cluster at a time in a cell.
    ///
    /// A node resolves the names of all nodes (`n1`, and `n1-v6` for the second address) and `controller`. `/tmp`,
    /// `/run`, `/dev/shm` and the data directory are its own, in memory, and gone with it.
    ///
    /// The faults of the kinds in `prepare` are prepared on every node: see [`Setup`].
    ///
    /// # Errors
    /// [`Unavailable`](crate::cluster::Unavailable) where the machine cannot do it. What was made is unmade.
    pub async fn start(nodes: usize, log_dir: &Path, prepare: &[String]) -> Result<Cluster> {
        if !cell::inside() {
            bail!("a local cluster needs the cell: call local::enter first thing in main");
        }
        if !(1..=NODES_MAX).contains(&nodes) {
            bail!("a local cluster has 1 to {NODES_MAX} nodes, not {nodes}");
        }
        fs::create_dir_all(log_dir).with_context(|| format!("making {}", log_dir.display()))?;
        let log_dir = log_dir.canonicalize().with_context(|| format!("finding {}", log_dir.display()))?;
        let numbers = 1..=nodes as u8;
        build_bridge(numbers.clone())?;

        let mut starting = JoinSet::new();
        let hosts = hosts(numbers.clone());
        starting.spawn(start_agent(CONTROLLER_IP.into(), switch(&log_dir)));
        for number in numbers {
            starting.spawn(start_agent(ip(number).into(), node(number, &hosts, &log_dir, prepare)));
        }
        let mut handles = Vec::new();
        while let Some(started) = starting.join_next().await {
            // Returning drops the links, upon which the agents that came up end.
            handles.push(started.context("starting an agent")??);
        }
        handles.sort_by(|a, b| a.name().cmp(b.name()));
        let switch = handles.pop();
        Ok(Cluster { nodes: handles, switch })
    }
}

fn build_bridge(numbers: impl Iterator<Item = u8>) -> Result<()> {
    let mut links = Rtnl::open().context("opening a netlink socket")?;
    // The kernel takes its time over the interfaces of an earlier cluster.
    for name in numbers.map(name).chain([BRIDGE.to_owned()]) {
        links.remove(&name).with_context(|| format!("removing the old interface {name}"))?;
    }
    links.add_bridge(BRIDGE).map_err(no_virtual_network)?;
    let mut address = || {
        links.add_address(BRIDGE, CONTROLLER_IP.into(), 24)?;
        super::tolerate_no_ipv6(links.add_address(BRIDGE, CONTROLLER_IP6.into(), 64))
    };
    address().context("giving the controller its address")?;
    super::recover_fast()
}

async fn start_agent(ip: IpAddr, setup: Setup) -> Result<NodeHandle> {
    let other_ips = setup.enter.iter().map(|node| node.ip6.into()).collect();
    let node = Node { name: setup.node.clone(), ip, other_ips };
    let mut command = Command::new("/proc/self/exe");
    command.arg0("squall").arg(agent::COMMAND).env("PATH", super::path_with_sbin());
    let link = PipeLink::start(&node.name, &mut command)?;
    match link.call(Request::Setup(setup)).await? {
        Reply::Done => Ok(NodeHandle::new(node, Arc::new(link))),
        Reply::Unavailable(what) => {
            Err(anyhow::Error::from(what).context(format!("{} cannot start", node.name)))
        }
        Reply::Error { message } => bail!("{}: {message}", node.name),
        other => bail!("{}: the agent answered setup with {other:?}", node.name),
    }
}

fn switch(log_dir: &Path) -> Setup {
    Setup { data: SWITCH_DATA.into(), logs: log_dir.join("switch"), ..Setup::of("switch") }
}

fn node(number: u8, hosts: &str, log_dir: &Path, prepare: &[String]) -> Setup {
    let name = name(number);
    Setup {
        data: PathBuf::from(NODE_DATA),
        logs: log_dir.join(&name),
        prepare: prepare.to_vec(),
        enter: Some(LocalNode {
            name,
            ip: ip(number),
            ip6: ip6(number),
            bridge: BRIDGE.into(),
            hosts: hosts.to_owned(),
        }),
        ..Setup::of(self::name(number))
    }
}

fn name(number: u8) -> String {
    format!("n{number}")
}

fn hosts(numbers: impl Iterator<Item = u8>) -> String {
    let mut text = format!(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n\
         {CONTROLLER_IP} controller\n{CONTROLLER_IP6} controller-v6\n"
    );
    for number in numbers {
        let name = name(number);
        text.push_str(&format!("{} {name}\n{} {name}-v6\n", ip(number), ip6(number)));
    }
    text
}
