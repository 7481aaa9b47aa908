//! Links and addresses over rtnetlink(7): one message for each change, and no need for `ip`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;

use crate::sys;

const HEADER: usize = 16;
/// From linux/veth.h.
const VETH_INFO_PEER: u16 = 1;
/// From linux/if_link.h. Without a querier on the network, snooping can hold back neighbour discovery.
const IFLA_BR_MCAST_SNOOPING: u16 = 23;

/// A socket to the kernel's link table of one network namespace: the one in which it was opened.
pub(super) struct Rtnl {
    socket: File,
    sequence: u32,
}

impl Rtnl {
    pub(super) fn open() -> io::Result<Rtnl> {
        Ok(Rtnl { socket: sys::netlink_route_socket()?, sequence: 0 })
    }

    /// Makes a bridge, up.
    pub(super) fn add_bridge(&mut self, name: &str) -> io::Result<()> {
        let mut message = Message::new_link(name);
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.attribute(libc::IFLA_INFO_KIND, b"bridge");
            info.nested(libc::IFLA_INFO_DATA, |data| data.attribute(IFLA_BR_MCAST_SNOOPING, &[0]));
        });
        self.change(message)
    }

    /// Makes a pair of interfaces: `name` here, up, a port of the bridge `master`; `peer` in the namespace `there`.
    pub(super) fn add_veth(
        &mut self,
        name: &str,
        master: &str,
        peer: &str,
        there: impl AsFd,
    ) -> io::Result<()> {
        let master = self.index(master)?;
        let mut message = Message::new_link(name);
        message.attribute(libc::IFLA_MASTER, &master.to_ne_bytes());
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.attribute(libc::IFLA_INFO_KIND, b"veth");
            info.nested(libc::IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |other| {
                    other.link(0, 0);
                    other.name(peer);
                    other.attribute(libc::IFLA_NET_NS_FD, &there.as_fd().as_raw_fd().to_ne_bytes());
                });
            });
        });
        self.change(message)
    }

    /// Removes an interface; one that is not there is fine.
    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_DELLINK, libc::NLM_F_ACK);
        message.link(0, 0);
        message.name(name);
        match self.change(message) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            other => other,
        }
    }

    /// Sets an interface up.
    pub(super) fn up(&mut self, name: &str) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK);
        message.link(0, libc::IFF_UP as u32);
        message.name(name);
        self.change(message)
    }

    /// Gives an interface an address, usable at once (no duplicate address detection).
    pub(super) fn add_address(&mut self, name: &str, address: IpAddr, prefix: u8) -> io::Result<()> {
        let index = self.index(name)?;
        let (family, octets) = match address {
            IpAddr::V4(ip) => (libc::AF_INET, ip.octets().to_vec()),
            IpAddr::V6(ip) => (libc::AF_INET6, ip.octets().to_vec()),
        };
        let create = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut message = Message::new(libc::RTM_NEWADDR, create);
        message.bytes.extend([family as u8, prefix, libc::IFA_F_NODAD as u8, libc::RT_SCOPE_UNIVERSE]);
        message.bytes.extend(index.to_ne_bytes());
        message.attribute(libc::IFA_LOCAL, &octets);
        message.attribute(libc::IFA_ADDRESS, &octets);
        self.change(message)
    }

    fn index(&mut self, name: &str) -> io::Result<u32> {
        let mut message = Message::new(libc::RTM_GETLINK, 0);
        message.link(0, 0);
        message.name(name);
        let answer = self.call(message)?;
        let index = answer.get(HEADER + 4..HEADER + 8).ok_or_else(malformed)?;
        Ok(u32::from_ne_bytes(index.try_into().expect("4 bytes")))
    }

    fn change(&mut self, message: Message) -> io::Result<()> {
        self.call(message).map(drop)
    }

    /// Sends a message and returns the first of the answer, which ends there: an acknowledgement or one link.
    fn call(&mut self, message: Message) -> io::Result<Vec<u8>> {
        self.sequence += 1;
        self.socket.write_all(&message.finish(self.sequence))?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = self.socket.read(&mut buffer)?;
            let answer = buffer.get(..length).filter(|a| a.len() >= HEADER + 4).ok_or_else(malformed)?;
            let sequence = u32::from_ne_bytes(answer[8..12].try_into().expect("4 bytes"));
            if sequence != self.sequence {
                continue;
            }
            let kind = u16::from_ne_bytes(answer[4..6].try_into().expect("2 bytes"));
            let code = i32::from_ne_bytes(answer[HEADER..HEADER + 4].try_into().expect("4 bytes"));
            return match (i32::from(kind), code) {
                (libc::NLMSG_ERROR, code) if code != 0 => Err(io::Error::from_raw_os_error(-code)),
                _ => Ok(answer.to_vec()),
            };
        }
    }
}

fn malformed() -> io::Error {
    io::Error::other("the kernel's rtnetlink answer is too short")
}

/// A netlink message under construction.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: i32) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
        Message { bytes }
    }

    fn new_link(name: &str) -> Message {
        let create = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut message = Message::new(libc::RTM_NEWLINK, create);
        message.link(0, libc::IFF_UP as u32);
        message.name(name);
        message
    }

    /// A `struct ifinfomsg`: the flags given are set, the others left.
    fn link(&mut self, index: i32, flags: u32) {
        self.bytes.extend([0; 4]);
        self.bytes.extend(index.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
    }

    fn name(&mut self, name: &str) {
        self.attribute(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
    }

    fn attribute(&mut self, kind: u16, payload: &[u8]) {
        self.nested(kind, |inner| inner.bytes.extend(payload));
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        fill(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}
