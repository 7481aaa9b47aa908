//! Holds packets back in user space: a thread that reads a netfilter queue and answers when each packet is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::copies::Copies;
use super::counts::BySender;
use super::lines::{Entry, Line, Lines};
use super::packet::Packet;
use super::queue::{Caught, Queue};
use super::shaper::{Fate, Shaper};

/// How long the thread may sleep before it looks whether there is a word for it.
const NAP: Duration = Duration::from_millis(10);

/// The thread and its queue. Dropping it lets everything go on at once.
pub(super) struct Engine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

struct Shared {
    stop: AtomicBool,
    lines: Mutex<Lines>,
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Serves the queue of this number in the network namespace of the caller. Whatever comes passes, so far.
    pub(super) fn start(number: u16) -> Result<Engine> {
        let queue = Queue::open(number).with_context(|| format!("netfilter queue {number}"))?;
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), lines: Mutex::new(Lines::new()) });
        let copies = Copies::open().context("opening raw sockets")?;
        let (start, held) = (shared.lines().start(), BinaryHeap::new());
        let desk = Desk { queue, shared: shared.clone(), start, copies, held, serial: 0 };
        let thread = thread::Builder::new().name("packets".into()).spawn(move || desk.serve())?;
        Ok(Engine { shared, thread: Some(thread) })
    }

    /// From now on each sender's packets have what its shaper says, and those of others pass: what is held by more than that
    /// goes on sooner. Nothing changes for who has the same profile as before. What was counted stays; what that is at this
    /// moment is told.
    pub(super) fn set(&self, shapers: impl IntoIterator<Item = (IpAddr, Shaper)>) -> BySender {
        self.shared.lines().set(shapers)
    }

    /// By sender.
    pub(super) fn counts(&self) -> BySender {
        let lines = self.shared.lines();
        lines.counts(lines.start().elapsed())
    }

    /// Whether it still answers.
    pub(super) fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Lets what is held go on, and ends.
    pub(super) fn stop(mut self) -> Result<BySender> {
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
    /// Since the lines were made, as all times here.
    due: Duration,
    serial: u64,
    entry: Entry,
    /// With its IP header.
    bytes: usize,
    packet: Caught,
    is_changed: bool,
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
    shared: Arc<Shared>,
    /// When the lines were made.
    start: Instant,
    copies: Copies,
    held: BinaryHeap<Reverse<Held>>,
    serial: u64,
}

impl Desk {
    fn serve(mut self) -> io::Result<()> {
        while !self.shared.stop.load(Ordering::Acquire) {
            self.take_in()?;
            let shared = self.shared.clone();
            self.reconsider(&mut shared.lines());
            self.let_go()?;
            self.queue.wait(self.nap())?;
        }
        self.take_in()?;
        while let Some(Reverse(held)) = self.held.pop() {
            self.answer(held)?;
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// How long nothing has to be done unless a packet comes.
    fn nap(&self) -> Duration {
        let due = self.held.peek().map(|Reverse(held)| held.due.saturating_sub(self.now()));
        due.unwrap_or(NAP).min(NAP)
    }

    /// Takes in what has come.
    fn take_in(&mut self) -> io::Result<()> {
        while let Some(packet) = self.queue.next()? {
            self.decide(packet)?;
            // Those that are due do not wait for all that come.
            self.let_go()?;
        }
        Ok(())
    }

    /// Lets what is held go on sooner where less is asked for now, and keeps the order.
    fn reconsider(&mut self, lines: &mut Lines) {
        let changed = lines.changed();
        if changed.is_empty() {
            return;
        }
        let now = self.now();
        let mut all: Vec<Held> = self.held.drain().map(|Reverse(held)| held).collect();
        all.sort();
        for mut held in all {
            if changed.contains(&held.entry.from) {
                held.due = match lines.get_mut(held.entry.from) {
                    Some(Line { shaper, .. }) => {
                        let due = shaper.sooner(nanos(held.due), nanos(now), held.bytes);
                        Duration::from_nanos(due)
                    }
                    None => now,
                };
            }
            self.serial += 1;
            held.serial = self.serial;
            self.held.push(Reverse(held));
        }
    }

    fn decide(&mut self, mut caught: Caught) -> io::Result<()> {
        let came = self.now();
        let shared = self.shared.clone();
        let mut lines = shared.lines();
        // What came before a change goes before what comes after it.
        self.reconsider(&mut lines);
        let packet = Packet::parse(&caught.payload);
        let line = packet.as_ref().and_then(|packet| lines.get_mut(packet.source));
        let (Some(packet), Some(Line { shaper, counts, .. })) = (packet, line) else {
            return self.queue.accept(&caught, false);
        };
        counts.seen += 1;
        let bytes = caught.payload.len();
        match shaper.fate(nanos(came), bytes, bytes - packet.header) {
            Fate::Lost => {
                counts.lost += 1;
                self.queue.drop_it(&caught)
            }
            Fate::Arrives { at_ns, flipped, twice } => {
                if let Some(bit) = flipped {
                    counts.corrupted += 1;
                    caught.payload[packet.header + bit as usize / 8] ^= 1 << (bit % 8);
                }
                if twice && self.copies.send(&caught.payload).is_ok() {
                    counts.doubled += 1;
                }
                let due = Duration::from_nanos(at_ns);
                let is_changed = flipped.is_some();
                if due <= came {
                    return self.queue.accept(&caught, is_changed);
                }
                if !is_changed {
                    caught.payload = Vec::new();
                }
                self.serial += 1;
                let (serial, entry) = (self.serial, lines.hold(packet.source, came));
                self.held.push(Reverse(Held { due, serial, entry, bytes, packet: caught, is_changed }));
                Ok(())
            }
        }
    }

    fn let_go(&mut self) -> io::Result<()> {
        let now = self.now();
        while self.held.peek().is_some_and(|Reverse(held)| held.due <= now) {
            if let Some(Reverse(held)) = self.held.pop() {
                self.answer(held)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, held: Held) -> io::Result<()> {
        self.shared.lines().release(held.entry, self.now());
        self.queue.accept(&held.packet, held.is_changed)
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}
