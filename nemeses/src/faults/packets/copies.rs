//! Sends copies of packets to this very machine.

use std::io;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto, socket,
};

use super::packet::Packet;

/// A raw socket for each IP version: what is sent has its own IP header, with the sender's address. It comes in by the
/// loopback device, where the queue's rules do not look.
pub(super) struct Copies {
    v4: OwnedFd,
    v6: OwnedFd,
}

impl Copies {
    pub(super) fn open() -> io::Result<Copies> {
        let raw = |family| socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw);
        Ok(Copies { v4: raw(AddressFamily::Inet)?, v6: raw(AddressFamily::Inet6)? })
    }

    /// Sends a whole IP packet to its destination.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let packet = Packet::parse(bytes).ok_or(io::ErrorKind::InvalidData)?;
        match packet.destination {
            IpAddr::V4(to) => {
                let to = SockaddrIn::from(SocketAddrV4::new(to, 0));
                sendto(self.v4.as_raw_fd(), bytes, &to, MsgFlags::empty())?;
            }
            IpAddr::V6(to) => {
                let to = SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, 0));
                sendto(self.v6.as_raw_fd(), bytes, &to, MsgFlags::empty())?;
            }
        }
        Ok(())
    }
}
