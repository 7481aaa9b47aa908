//! The search for violations: one pass over each session.

use super::Guarantee;
use super::order::{self, KeyOrder};
use crate::causal::cc::{self, Keep, Pattern};
use crate::registers::{NONE, Sessions};
use crate::{Budget, Spent};

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
    /// Finds violations of all guarantees.
    ///
    /// A read that violates one has a bad pattern of causal consistency: what is newer comes causally after what it saw,
    /// and causally before it. So the version orders are made only for the keys of reads that have one.
    ///
    /// # Errors
    /// What is spent.
    pub(super) fn run(kv: &Sessions, budget: &Budget) -> Result<Finder, Spent> {
        let causality = cc::causality(kv, Keep::Nothing, budget)?;
        let suspects = Suspects::new(kv, &causality.patterns);
        let mut finder =
            Finder { violations: Vec::new(), kept: [0; Guarantee::ALL.len()], work: causality.work };
        drop(causality);
        if suspects.reads.is_empty() {
            return Ok(finder);
        }
        let _lease = budget.lease(2 * kv.ops.len() * size_of::<u32>())?;
        let mut local_of = vec![NONE; kv.ops.len()];
        let mut orders: Vec<Option<KeyOrder>> = Vec::with_capacity(kv.keys);
        for (ops, suspect) in order::by_key(kv).into_iter().zip(&suspects.keys) {
            let order = suspect.then(|| KeyOrder::new(kv, ops, &mut local_of, budget));
            orders.push(order.transpose()?);
        }
        finder.cycles(&orders);
        let mut seen = Seen::default();
        for session in 0..kv.sessions() {
            budget.ask()?;
            let reads = suspects.of(kv.session(session));
            if !reads.is_empty() {
                finder.session(kv, &orders, &local_of, (session, reads), &mut seen);
            }
        }
        Ok(finder)
    }

    /// A cycle of versions goes through a read and a later write of that session: the write does not follow the read.
    fn cycles(&mut self, orders: &[Option<KeyOrder>]) {
        for order in orders.iter().flatten() {
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
        orders: &[Option<KeyOrder>],
        local_of: &[u32],
        (session, suspects): (usize, &[u32]),
        seen: &mut Seen,
    ) {
        seen.clear();
        let last = suspects[suspects.len() - 1];
        for read in kv.session(session).start..=last {
            seen.take(
                kv,
                session as u32,
                read.checked_sub(1).filter(|&before| before >= kv.session(session).start),
            );
            if suspects.binary_search(&read).is_err() {
                continue;
            }
            let Some(order) = &orders[kv.ops[read as usize].key as usize] else { continue };
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

    /// Notes what the operation `read` of `session` saw.
    fn take(&mut self, kv: &Sessions, session: u32, read: Option<u32>) {
        let Some(read) = read else { return };
        let Some(write) = kv.source(read) else { return };
        let writer = kv.ops[write as usize].session;
        if writer != session {
            self.note(writer, write, read);
        }
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

/// The reads that may violate a guarantee, and the keys that they read.
struct Suspects {
    /// Ascending.
    reads: Vec<u32>,
    keys: Vec<bool>,
}

impl Suspects {
    fn new(kv: &Sessions, patterns: &[Pattern]) -> Suspects {
        // Behind a cycle of the causal order nothing is known.
        if patterns.iter().any(|pattern| matches!(pattern, Pattern::CyclicCo(_))) {
            return Suspects { reads: (0..kv.ops.len() as u32).collect(), keys: vec![true; kv.keys] };
        }
        let mut suspects = Suspects { reads: Vec::new(), keys: vec![false; kv.keys] };
        for pattern in patterns {
            if let Pattern::WriteCoInitRead { read, .. } | Pattern::WriteCoRead { read, .. } = *pattern {
                suspects.reads.push(read);
                suspects.keys[kv.ops[read as usize].key as usize] = true;
            }
        }
        suspects.reads.sort_unstable();
        suspects
    }

    /// Those in a range of operations.
    fn of(&self, ops: std::ops::Range<u32>) -> &[u32] {
        let at = |op| self.reads.partition_point(|&read| read < op);
        &self.reads[at(ops.start)..at(ops.end)]
    }
}
