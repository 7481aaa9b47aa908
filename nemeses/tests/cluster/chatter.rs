//! The target: tells every node its name, over IPv4 and IPv6, and counts what it hears.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::thread::{sleep, spawn};
use std::time::Duration;

use anyhow::{Context as _, Result};
use squall_targets::NodeHandle;
use squall_targets::agent::Spawn;
use squall_targets::cluster::local;

const PORT: u16 = 7001;
const QUESTION: &[u8] = b"?";

/// How often each name was heard.
pub(crate) type Heard = BTreeMap<String, u64>;

/// Starts it on a node, with flags that it ignores.
pub(crate) async fn start(node: &NodeHandle, flags: &[String]) -> Result<()> {
    let argv = ["squall", "chatter", node.name()].map(str::to_owned).into_iter().chain(flags.iter().cloned());
    node.spawn(Spawn::new("chatter", argv)).await.map(drop)
}

/// Runs on a node.
pub(crate) fn run(name: &str) -> Result<()> {
    let socket = UdpSocket::bind(("::", PORT)).context("binding")?;
    let (mouth, name) = (socket.try_clone()?, name.to_owned());
    spawn(move || {
        loop {
            for number in 1..=3 {
                // A node that is down refuses, which is no reason to stop.
                let mapped = local::ip(number).to_ipv6_mapped();
                let _ = mouth.send_to(name.as_bytes(), (mapped, PORT));
                let _ = mouth.send_to(format!("{name}-v6").as_bytes(), (local::ip6(number), PORT));
            }
            sleep(Duration::from_millis(5));
        }
    });
    let mut heard = Heard::new();
    let mut buffer = [0; 64];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        match &buffer[..length] {
            QUESTION => drop(socket.send_to(&serde_json::to_vec(&heard)?, from)),
            said => *heard.entry(String::from_utf8_lossy(said).into_owned()).or_default() += 1,
        }
    }
}

/// Asks a node what it heard. No partition is between it and the controller.
pub(crate) fn heard(node: &NodeHandle) -> Result<Heard> {
    let IpAddr::V4(ip) = node.node.ip else { anyhow::bail!("a local node has an IPv4 address") };
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    socket.send_to(QUESTION, (ip, PORT))?;
    let mut buffer = [0; 4096];
    let length = loop {
        match socket.recv(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => break other.with_context(|| format!("{} does not answer", node.name()))?,
        }
    };
    Ok(serde_json::from_slice(&buffer[..length])?)
}
