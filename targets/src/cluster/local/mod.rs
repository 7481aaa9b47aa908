//! The local environment: a cluster of namespaces on this machine that cannot outlive its controller.
//!
//! [`enter`] moves the program into a *cell* of namespaces; [`LocalCluster::start`] makes nodes inside it. No root is
//! needed where unprivileged user namespaces are allowed; [`probe`] says what is missing.
//!
//! After a cut TCP waits up to [`TCP_RTO_MAX_MS`] between retransmissions where the kernel can be told so (Linux 6.15 and
//! later), in the nodes and in the cell. Elsewhere the back-off of a long cut may outlast it by many seconds.
//!
//! Interfaces in the cell: the bridge [`BRIDGE`], with the controller's own addresses, and one port for each node,
//! named as the node is. A node sees `lo` and `eth0`.

mod cell;
pub(crate) mod mounts;
mod namespaces;
mod node;
mod probe;
mod rtnl;
mod start;

use std::{env, fs, io};

use anyhow::Context;
pub(crate) use cell::attend;
pub use cell::{Place, enter};
use nix::errno::Errno;
pub use node::LocalNode;
pub use probe::{Probe, probe};
pub use start::{BRIDGE, CONTROLLER_IP, CONTROLLER_IP6, LocalCluster, ip, ip6};

/// A machine without IPv6 gets a cluster without it.
fn tolerate_no_ipv6(result: io::Result<()>) -> io::Result<()> {
    const OFF: [Errno; 4] = [Errno::EOPNOTSUPP, Errno::EAFNOSUPPORT, Errno::EACCES, Errno::EPERM];
    match result {
        Err(error) if OFF.iter().any(|&errno| error.raw_os_error() == Some(errno as i32)) => Ok(()),
        other => other,
    }
}

/// `nft` and its like lie where the path of an ordinary user may not lead.
pub(crate) fn path_with_sbin() -> String {
    const SYSTEM: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin";
    match env::var("PATH") {
        Ok(path) if !path.is_empty() => format!("{path}:{SYSTEM}"),
        _ => SYSTEM.to_owned(),
    }
}

/// The longest time between TCP retransmissions, in milliseconds, where the kernel lets it be set.
pub const TCP_RTO_MAX_MS: u32 = 1_000;

/// Bounds the retransmission back-off in this network namespace. An older kernel cannot, which is no error.
fn recover_fast() -> anyhow::Result<()> {
    match fs::write("/proc/sys/net/ipv4/tcp_rto_max_ms", TCP_RTO_MAX_MS.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.context("setting net.ipv4.tcp_rto_max_ms"),
    }
}
