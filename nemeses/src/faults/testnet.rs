//! Nodes for tests: network namespaces joined by a bridge, inside scratch namespaces that end with the test.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

#[path = "../../../.ci/again.rs"]
mod again;

pub(crate) use again::{in_guest, is_guest};

/// Runs a test again, by its full name, in namespaces of its own: in a user namespace, as an ordinary user would, or
/// (if this is root) without one too.
pub(crate) fn in_namespaces(test: &str, body: impl FnOnce()) {
    let user: &[&str] = &["--user", "--map-root-user"];
    let ways: &[&[&str]] = if nix::unistd::geteuid().is_root() { &[user, &[]] } else { &[user] };
    again::in_namespaces(test, ways, body);
}

/// Measures until what is measured is as it should be, and panics with the last reason why not. Other tests keep the machine
/// busy, and then one measurement tells little; a fault that is wrong is wrong each time.
pub(crate) fn measured(mut measure: impl FnMut() -> Result<(), String>) {
    const TRIES: u32 = 6;
    for n in 1.. {
        let Err(why) = measure() else { return };
        assert!(n < TRIES, "measured {n} times, at last: {why}");
        println!("measured again: {why}");
        thread::sleep(Duration::from_millis(500));
    }
}

/// Nodes `1..=n` with addresses 10.92.0.N and fd92::N on a bridge in the namespace of the test.
pub(crate) struct TestNet {
    n: usize,
}

impl TestNet {
    pub(crate) fn new(n: usize) -> TestNet {
        let mut script = "set -e; mount -t tmpfs none /run; ip link set lo up; ip link add br0 type bridge; \
            ip link set br0 up\n"
            .to_owned();
        for i in 1..=n {
            script += &format!(
                "ip netns add n{i}; ip link add v{i} type veth peer name eth0 netns n{i}; \
                 ip link set v{i} master br0 up; ip -n n{i} link set lo up; ip -n n{i} link set eth0 up; \
                 ip -n n{i} addr add 10.92.0.{i}/24 dev eth0; ip -n n{i} addr add fd92::{i}/64 dev eth0 nodad\n"
            );
        }
        sh(&script);
        TestNet { n }
    }

    /// Runs something in the network namespace of a node.
    pub(crate) fn on<T: Send>(&self, i: usize, act: impl FnOnce() -> T + Send) -> T {
        assert!((1..=self.n).contains(&i));
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(File::open(format!("/run/netns/n{i}")).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
                act()
            });
            inside.join().expect("no panic on the node")
        })
    }

    /// Whether a datagram from one node arrives at another.
    pub(crate) fn reaches(&self, from: usize, to: usize, version: u8) -> bool {
        self.reaches_port(from, to, version, 0)
    }

    /// The same, at a port; 0 is any.
    pub(crate) fn reaches_port(&self, from: usize, to: usize, version: u8, port: u16) -> bool {
        let bind = |i, port| move || UdpSocket::bind((address(i, version), port)).unwrap();
        let (sender, receiver) = (self.on(from, bind(from, 0)), self.on(to, bind(to, port)));
        receiver.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
        sender.send_to(b"hello", receiver.local_addr().unwrap()).unwrap();
        loop {
            match receiver.recv(&mut [0; 8]) {
                Ok(5) => return true,
                // A wait with a limit does not go on by itself after a signal.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return false;
                }
                other => panic!("{from} to {to}: {other:?}"),
            }
        }
    }
}

/// So that a test may have one after the other.
impl Drop for TestNet {
    fn drop(&mut self) {
        let nodes: String = (1..=self.n).map(|i| format!("ip link del v{i}; ip netns del n{i}; ")).collect();
        sh(&format!("{nodes} ip link del br0; true"));
    }
}

/// The address of a node.
pub(crate) fn address(i: usize, version: u8) -> IpAddr {
    if version == 4 { format!("10.92.0.{i}") } else { format!("fd92::{i}") }.parse().unwrap()
}

/// Runs a shell script and returns what it printed.
pub(crate) fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
