//! Holds packets back in user space: a thread that reads a netfilter queue and answers when each packet is due.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nfq::{Message, Queue, Verdict};
use squall_targets::agent::keep_descriptors;

use super::copies::Copies;
use super::packet::Packet;
use super::shaper::{Fate, Shaper};

/// Packets that wait in the kernel at most; further ones pass untouched, rather than being lost.
const WAITING_MAX: u32 = 65_535;

/// How long the thread may sleep before it looks whether there is a packet or a word for it. A packet that comes meanwhile
/// waits no longer than this beyond its due time.
const NAP: Duration = Duration::from_micros(200);

/// How long it naps while nothing comes.
const IDLE_NAP: Duration = Duration::from_millis(1);

/// What was done to packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) seen: u64,
    pub(super) lost: u64,
    pub(super) delayed: u64,
    /// All time for which packets were held.
    pub(super) held_us: u64,
    pub(super) doubled: u64,
    pub(super) corrupted: u64,
}

/// The thread and its queue. Dropping it lets everything go on at once.
pub(super) struct Engine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

struct Shared {
    stop: AtomicBool,
    counts: Mutex<Counts>,
}

impl Engine {
    /// Serves the queue of this number in the network namespace of the caller, with a shaper for each sender.
    pub(super) fn start(number: u16, shapers: HashMap<IpAddr, Shaper>) -> Result<Engine> {
        let mut queue = Queue::open().context("opening a netfilter queue")?;
        // A process that is started meanwhile would keep the queue bound beyond its end, and the library does not see to it.
        keep_descriptors();
        queue.bind(number).with_context(|| format!("binding netfilter queue {number}"))?;
        queue.set_queue_max_len(number, WAITING_MAX)?;
        queue.set_copy_range(number, u16::MAX)?;
        queue.set_fail_open(number, true)?;
        queue.set_recv_enobufs(false)?;
        queue.set_nonblocking(true);
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), counts: Mutex::default() });
        let copies = Copies::open().context("opening raw sockets")?;
        let desk =
            Desk { queue, shapers, copies, held: BinaryHeap::new(), serial: 0, counts: Counts::default() };
        let with = shared.clone();
        let thread = thread::Builder::new().name("packets".into()).spawn(move || desk.serve(&with))?;
        Ok(Engine { shared, thread: Some(thread) })
    }

    pub(super) fn counts(&self) -> Counts {
        *self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it still answers.
    pub(super) fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Lets what is held go on, and ends.
    pub(super) fn stop(mut self) -> Result<Counts> {
        self.shared.stop.store(true, Ordering::Release);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended.context("the packet engine failed")?,
            Some(Err(_)) => anyhow::bail!("the packet engine panicked"),
            None => {}
        }
        Ok(self.counts())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A packet that waits, the earliest first; of two that are due at once the one that came first.
struct Held {
    due: Instant,
    serial: u64,
    came: Instant,
    message: Message,
}

impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        (self.due, self.serial) == (other.due, other.serial)
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Held) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Held) -> std::cmp::Ordering {
        (self.due, self.serial).cmp(&(other.due, other.serial))
    }
}

/// What the thread works with.
struct Desk {
    queue: Queue,
    shapers: HashMap<IpAddr, Shaper>,
    copies: Copies,
    held: BinaryHeap<Reverse<Held>>,
    serial: u64,
    counts: Counts,
}

impl Desk {
    fn serve(mut self, shared: &Shared) -> io::Result<()> {
        let start = Instant::now();
        while !shared.stop.load(Ordering::Acquire) {
            let came = self.take_in(start)?;
            self.let_go(Instant::now())?;
            *shared.counts.lock().unwrap_or_else(PoisonError::into_inner) = self.counts;
            if came == 0 {
                thread::sleep(if self.held.is_empty() { IDLE_NAP } else { self.nap() });
            }
        }
        self.take_in(start)?;
        while let Some(Reverse(held)) = self.held.pop() {
            self.answer(held, Instant::now())?;
        }
        *shared.counts.lock().unwrap_or_else(PoisonError::into_inner) = self.counts;
        Ok(())
    }

    fn nap(&self) -> Duration {
        let due = self.held.peek().map(|Reverse(held)| held.due.saturating_duration_since(Instant::now()));
        due.unwrap_or(NAP).min(NAP)
    }

    /// Takes in what has come, and says how many packets that were.
    fn take_in(&mut self, start: Instant) -> io::Result<usize> {
        let mut came = 0;
        loop {
            match self.queue.recv() {
                Ok(message) => self.decide(message, start)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(came),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            came += 1;
        }
    }

    fn decide(&mut self, mut message: Message, start: Instant) -> io::Result<()> {
        let came = Instant::now();
        self.counts.seen += 1;
        let packet = Packet::parse(message.get_payload());
        let shaper = packet.as_ref().and_then(|packet| self.shapers.get_mut(&packet.source));
        let (Some(packet), Some(shaper)) = (packet, shaper) else {
            message.set_verdict(Verdict::Accept);
            return self.queue.verdict(message);
        };
        let bytes = message.get_payload().len();
        match shaper.fate((came - start).as_nanos() as u64, bytes, bytes - packet.header) {
            Fate::Lost => {
                self.counts.lost += 1;
                message.set_verdict(Verdict::Drop);
                self.queue.verdict(message)
            }
            Fate::Arrives { at_ns, flipped, twice } => {
                if let Some(bit) = flipped {
                    self.counts.corrupted += 1;
                    message.get_payload_mut()[packet.header + bit as usize / 8] ^= 1 << (bit % 8);
                }
                if twice && self.copies.send(message.get_payload()).is_ok() {
                    self.counts.doubled += 1;
                }
                let due = start + Duration::from_nanos(at_ns);
                self.serial += 1;
                let held = Held { due, serial: self.serial, came, message };
                if due <= came {
                    return self.answer(held, came);
                }
                self.held.push(Reverse(held));
                Ok(())
            }
        }
    }

    fn let_go(&mut self, now: Instant) -> io::Result<()> {
        while self.held.peek().is_some_and(|Reverse(held)| held.due <= now) {
            if let Some(Reverse(held)) = self.held.pop() {
                self.answer(held, now)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, mut held: Held, now: Instant) -> io::Result<()> {
        if held.due > held.came {
            self.counts.delayed += 1;
            self.counts.held_us += (now - held.came).as_micros() as u64;
        }
        held.message.set_verdict(Verdict::Accept);
        self.queue.verdict(held.message)
    }
}
