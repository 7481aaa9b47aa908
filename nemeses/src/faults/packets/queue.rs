//! A netfilter queue: packets that the kernel holds until user space has decided about each.
//!
//! `linux/netfilter/nfnetlink_queue.h`; numbers there are big-endian, those of netlink itself are not.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeSpec;

/// Packets that wait in the kernel at most; further ones pass untouched, rather than being lost.
const WAITING_MAX: u32 = 65_535;
/// What the kernel may have told and we not read yet, in bytes. What is beyond passes untouched, so this is many packets.
const UNREAD_MAX: usize = 64 << 20;
/// One packet with all that is told about it.
const MESSAGE_MAX: usize = (64 << 10) + 4096;

const HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;
const SUBSYSTEM: u16 = 3 << 8;
const PACKET: u16 = SUBSYSTEM;
const VERDICT: u16 = SUBSYSTEM | 1;
const CONFIG: u16 = SUBSYSTEM | 2;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;

const CONFIG_COMMAND: u16 = 1;
const CONFIG_PARAMETERS: u16 = 2;
const CONFIG_WAITING_MAX: u16 = 3;
const CONFIG_MASK: u16 = 4;
const CONFIG_FLAGS: u16 = 5;
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const FAIL_OPEN: u32 = 1;

const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
const PAYLOAD: u16 = 10;

/// The queue of one number in the network namespace in which it was opened. It goes when this is dropped, or when the
/// process ends: children do not inherit it.
pub(super) struct Queue {
    socket: OwnedFd,
    number: u16,
    buffer: Vec<u8>,
}

/// A packet that the kernel holds.
pub(super) struct Caught {
    id: u32,
    /// From the IP header on.
    pub(super) payload: Vec<u8>,
}

impl Queue {
    pub(super) fn open(number: u16) -> Result<Queue> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkNetFilter;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)
            .context("opening a netfilter socket")?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0)).context("binding a netfilter socket")?;
        // Only root outside of namespaces may have so much. The most that others may have is some hundred packets: of a burst
        // that comes while the machine is too busy to read them, the rest passes.
        if setsockopt(&socket, sockopt::RcvBufForce, &UNREAD_MAX).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &UNREAD_MAX).context("asking for room for packets")?;
        }
        let mut queue = Queue { socket, number, buffer: vec![0; MESSAGE_MAX] };
        queue.configure(CONFIG_COMMAND, &[BIND, 0, 0, 0]).context("the kernel makes no netfilter queue")?;
        let whole = [&u32::from(u16::MAX).to_be_bytes()[..], &[COPY_PACKET]].concat();
        queue.configure(CONFIG_PARAMETERS, &whole)?;
        queue.configure(CONFIG_WAITING_MAX, &WAITING_MAX.to_be_bytes())?;
        let mut flags = Message::new(CONFIG, NLM_F_REQUEST | NLM_F_ACK, number);
        flags.attribute(CONFIG_FLAGS, &FAIL_OPEN.to_be_bytes());
        flags.attribute(CONFIG_MASK, &FAIL_OPEN.to_be_bytes());
        queue.ask(flags)?;
        Ok(queue)
    }

    fn configure(&mut self, attribute: u16, value: &[u8]) -> Result<()> {
        let mut message = Message::new(CONFIG, NLM_F_REQUEST | NLM_F_ACK, self.number);
        message.attribute(attribute, value);
        self.ask(message)
    }

    /// Sends a message and waits for its acknowledgement. No packet comes before the rules lead some here.
    fn ask(&mut self, message: Message) -> Result<()> {
        self.send(message)?;
        if !self.wait(Duration::from_secs(5))? {
            bail!("the kernel does not answer");
        }
        let length = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
        let answer = self.buffer.get(..length).filter(|answer| answer.len() >= HEADER + 4);
        let answer = answer.context("the kernel's answer is too short")?;
        let code = i32::from_ne_bytes(answer[HEADER..HEADER + 4].try_into()?);
        match (u16::from_ne_bytes([answer[4], answer[5]]), code) {
            (NLMSG_ERROR, 0) => Ok(()),
            (NLMSG_ERROR, code) => Err(io::Error::from_raw_os_error(-code).into()),
            (kind, _) => bail!("the kernel answers with a message of type {kind}"),
        }
    }

    fn send(&self, message: Message) -> io::Result<()> {
        send(self.socket.as_raw_fd(), &message.finish(), MsgFlags::empty())?;
        Ok(())
    }

    /// Waits until a packet comes, at most for so long; whether one came.
    pub(super) fn wait(&self, at_most: Duration) -> io::Result<bool> {
        let mut ends = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut ends, Some(TimeSpec::from_duration(at_most)), None) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The next packet, if one has come.
    pub(super) fn next(&mut self) -> io::Result<Option<Caught>> {
        loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Ok(length) => {
                    if let Some(caught) = caught(&self.buffer[..length]) {
                        return Ok(Some(caught));
                    }
                }
                Err(Errno::EAGAIN) => return Ok(None),
                // Packets that were too many have passed.
                Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Lets a packet go on, with another payload if it was changed.
    pub(super) fn accept(&self, caught: &Caught, is_changed: bool) -> io::Result<()> {
        self.decide(caught, 1, is_changed)
    }

    /// Ends a packet.
    pub(super) fn drop_it(&self, caught: &Caught) -> io::Result<()> {
        self.decide(caught, 0, false)
    }

    fn decide(&self, caught: &Caught, verdict: u32, is_changed: bool) -> io::Result<()> {
        let mut message = Message::new(VERDICT, NLM_F_REQUEST, self.number);
        message.attribute(VERDICT_HEADER, &[verdict.to_be_bytes(), caught.id.to_be_bytes()].concat());
        if is_changed {
            message.attribute(PAYLOAD, &caught.payload);
        }
        match self.send(message) {
            // The device by which it came has gone, and the packet with it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// The packet in a message.
fn caught(message: &[u8]) -> Option<Caught> {
    if u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?) != PACKET {
        return None;
    }
    let length = u32::from_ne_bytes(message.get(..4)?.try_into().ok()?) as usize;
    let mut rest = message.get(HEADER + GENERIC_HEADER..length.min(message.len()))?;
    let (mut id, mut payload) = (None, Vec::new());
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]) & 0x3fff;
        let value = rest.get(4..length)?;
        match kind {
            PACKET_HEADER => id = Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?)),
            PAYLOAD => payload = value.to_vec(),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Caught { id: id?, payload })
}

/// A message under construction.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, queue: u16) -> Message {
        let mut bytes = vec![0; HEADER + GENERIC_HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[HEADER + 2..].copy_from_slice(&queue.to_be_bytes());
        Message(bytes)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_and_scraps_are_not() {
        let mut message = Message::new(PACKET, 0, 5);
        message.attribute(PACKET_HEADER, &[0, 0, 1, 2, 8, 0, 1]);
        message.attribute(PAYLOAD, b"abcde");
        let bytes = message.finish();
        let packet = caught(&bytes).unwrap();
        assert_eq!((packet.id, packet.payload.as_slice()), (258, &b"abcde"[..]));
        assert!(
            (0..bytes.len() - 8).all(|n| caught(&bytes[..n]).is_none_or(|packet| packet.payload.is_empty()))
        );
        assert!(caught(&Message::new(CONFIG, 0, 5).finish()).is_none());
    }
}
