//! A node from inside: the agent makes the node's namespaces and becomes their init.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::exit;

use anyhow::Context;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, chdir, sethostname};
use serde::{Deserialize, Serialize};

use super::rtnl::Rtnl;
use super::{mounts, namespaces};
use crate::cluster::Unavailable;
use crate::sys;

/// The namespaces of a local node, as its agent is told to make them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalNode {
    /// Host name, and the name of the node's port on the bridge.
    pub name: String,
    /// The address of `eth0`, in a /24.
    pub ip: Ipv4Addr,
    /// The second address of `eth0`, in a /64.
    pub ip6: Ipv6Addr,
    /// The bridge, in the namespace in which the agent starts.
    pub bridge: String,
    /// The text of `/etc/hosts`.
    pub hosts: String,
}

impl LocalNode {
    /// Moves this process, which must have one thread, into the node: own network, mounts, host name, IPC and process
    /// tree, of which it returns as PID 1. (The process that called stays behind as its parent, and exits with it.)
    pub(crate) fn enter(&self, data: &Path) -> anyhow::Result<()> {
        let mut outside = Rtnl::open().context("opening a netlink socket")?;
        let node = CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWPID;
        unshare(node).map_err(namespaces::forbidden)?;
        sethostname(&self.name).context("setting the host name")?;
        self.connect(&mut outside)?;
        drop(outside);
        if let ForkResult::Parent { child } = sys::fork_single_threaded()? {
            exit(exit_code(child));
        }
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        self.mount(data)?;
        chdir("/").context("changing to /")
    }

    fn connect(&self, outside: &mut Rtnl) -> anyhow::Result<()> {
        let here = File::open("/proc/self/ns/net").context("opening the network namespace")?;
        outside.add_veth(&self.name, &self.bridge, "eth0", &here).map_err(no_virtual_network)?;
        let mut inside = Rtnl::open().context("opening a netlink socket")?;
        let mut set_up = || {
            inside.up("lo")?;
            inside.add_address("eth0", IpAddr::V4(self.ip), 24)?;
            super::tolerate_no_ipv6(inside.add_address("eth0", IpAddr::V6(self.ip6), 64))?;
            inside.up("eth0")
        };
        set_up().with_context(|| format!("setting up eth0 of {}", self.name))?;
        super::recover_fast()
    }

    fn mount(&self, data: &Path) -> anyhow::Result<()> {
        mounts::private()?;
        mounts::proc()?;
        mounts::tmpfs("/tmp", "1777")?;
        mounts::tmpfs("/run", "755")?;
        if Path::new("/dev/shm").is_dir() {
            mounts::tmpfs("/dev/shm", "1777")?;
        }
        let hosts = Path::new("/run/hosts");
        fs::write(hosts, &self.hosts).context("writing the node's hosts file")?;
        mounts::bind(hosts, "/etc/hosts")?;
        fs::create_dir_all(data).with_context(|| format!("making {}", data.display()))?;
        mounts::tmpfs(&data.to_string_lossy(), "755")
    }
}

/// Why a bridge or a veth pair could not be made.
pub(super) fn no_virtual_network(error: std::io::Error) -> anyhow::Error {
    if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) {
        Unavailable::new(
            "the kernel cannot make bridges or veth pairs",
            "load the modules (sudo modprobe bridge veth), or use a kernel that has them",
        )
        .into()
    } else {
        anyhow::Error::from(error).context("connecting the node to the bridge")
    }
}

/// Waits for the node's init and turns its end into an exit code.
fn exit_code(child: Pid) -> i32 {
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return code,
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as i32,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 255,
        }
    }
}
