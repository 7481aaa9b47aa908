//! The search for violations: one pass over each session.

use super::Guarantee;
use super::order::{self, KeyOrder};
use crate::causal::kv::{NONE, Sessions};

/// Violations of each guarantee that are kept and counted. The search goes on, for the other guarantees.
const MOST: usize = 1000;

/// A guarantee that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) guarantee: Guarantee,
    /// The read of something old.
    pub(super) read: u32,
    pub(super) how: How,
}

/// What was newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// What the same session had written or read by `newer`.
    Own { newer: u32 },
    /// What another session had written or read by `newer` before its `write`, which `reader` saw.
    Other { newer: u32, write: u32, reader: u32 },
    /// The versions themselves go in a circle: each read saw a write before which its session did the next read.
    Circle(Vec<(u32, u32)>),
}

pub(super) struct Finder {
    pub(super) violations: Vec<Violation>,
    /// How many of each guarantee.
    kept: [usize; Guarantee::ALL.len()],
    /// Lookups made.
    pub(super) work: u64,
}

impl Finder {
    /// Finds violations of all guarantees. The error says that the version orders would take more than `cap` bytes.
    pub(super) fn run(kv: &Sessions, cap: u64) -> Result<Finder, String> {
        let keys = order::by_key(kv);
        let bytes: u64 = keys.iter().map(|ops| order::bytes(kv, ops)).sum();
        if bytes > cap {
            return Err(format!("the version orders would take {bytes} bytes and the cap is {cap}"));
        }
        let mut local_of = vec![NONE; kv.ops.len()];
        let orders: Vec<KeyOrder> =
            keys.into_iter().map(|ops| KeyOrder::new(kv, ops, &mut local_of)).collect();
        let mut finder = Finder { violations: Vec::new(), kept: [0; Guarantee::ALL.len()], work: 0 };
        finder.cycles(&orders);
        let mut seen = Seen::default();
        for session in 0..kv.sessions() {
            finder.session(kv, &orders, &local_of, session, &mut seen);
        }
        Ok(finder)
    }

    /// A cycle of versions goes through a read and a later write of that session: the write does not follow the read.
    fn cycles(&mut self, orders: &[KeyOrder]) {
        for order in orders {
            let global = |&(read, write): &(u32, u32)| (order.global(read), order.global(write));
            for circle in &order.circles {
                let circle: Vec<(u32, u32)> = circle.iter().map(global).collect();
                let guarantee = Guarantee::WritesFollowReads;
                self.violations.push(Violation { guarantee, read: circle[0].0, how: How::Circle(circle) });
            }
        }
    }

    fn session(
        &mut self,
        kv: &Sessions,
        orders: &[KeyOrder],
        local_of: &[u32],
        session: usize,
        seen: &mut Seen,
    ) {
        seen.clear();
        for read in kv.session(session) {
            let order = &orders[kv.ops[read as usize].key as usize];
            let Some(saw) = order.seen(local_of[read as usize]) else { continue };
            self.work += 1 + seen.list.len() as u64;
            if order.knows_newer(session as u32, read, saw) {
                let (wrote, known) = order.newer(session as u32, read, saw);
                self.report(Guarantee::ReadYourWrites, read, wrote, |newer| How::Own { newer });
                self.report(Guarantee::MonotonicReads, read, known, |newer| How::Own { newer });
            }
            for &(other, write, reader) in &seen.list {
                if order.knows_newer(other, write, saw) {
                    let (wrote, known) = order.newer(other, write, saw);
                    let how = |newer| How::Other { newer, write, reader };
                    self.report(Guarantee::MonotonicWrites, read, wrote, how);
                    self.report(Guarantee::WritesFollowReads, read, known, how);
                }
            }
            if let Some(write) = kv.source(read) {
                let writer = kv.ops[write as usize].session;
                if writer != session as u32 {
                    seen.note(writer, write, read);
                }
            }
        }
    }

    fn report(&mut self, guarantee: Guarantee, read: u32, newer: Option<u32>, how: impl Fn(u32) -> How) {
        let Some(newer) = newer else { return };
        let kept = &mut self.kept[guarantee as usize];
        if *kept < MOST {
            *kept += 1;
            self.violations.push(Violation { guarantee, read, how: how(newer) });
        }
    }
}

/// Of each other session the last write that the present one has read, and by which operation.
#[derive(Default)]
struct Seen {
    list: Vec<(u32, u32, u32)>,
    /// Session to place in the list.
    place: std::collections::HashMap<u32, usize>,
}

impl Seen {
    fn clear(&mut self) {
        self.list.clear();
        self.place.clear();
    }

    fn note(&mut self, session: u32, write: u32, reader: u32) {
        let place = *self.place.entry(session).or_insert(self.list.len());
        match self.list.get_mut(place) {
            None => self.list.push((session, write, reader)),
            // Ids ascend within a session.
            Some(entry) if entry.1 < write => *entry = (session, write, reader),
            Some(_) => {}
        }
    }
}
