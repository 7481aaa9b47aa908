//! Which versions of one key are newer than which.

use crate::causal::clocks::{Circle, Clocks};
use crate::registers::{KvOp, NONE, Sessions, Source};
use crate::{Budget, Lease, Spent};

/// The order of the versions of one key: the causal order of the operations on that key alone. Operations are told by
/// their ids in the whole history.
pub(super) struct KeyOrder<'a> {
    /// The operations on the key.
    local: Sessions,
    clocks: Clocks<'a>,
    /// Local id to id.
    global: Vec<u32>,
    /// Ascending: the sessions that use the key.
    sessions: Vec<u32>,
    /// For each local operation, joined up to and with it over its session: the clocks of the versions that were read
    /// or written. They count what is older than one of these.
    known: Vec<u32>,
    width: usize,
    /// For each local session its first operation that wrote or read a version other than the initial one.
    first: Vec<u32>,
    /// Cycles of the order.
    pub(super) circles: Vec<Circle>,
    _lease: Lease<'a>,
}

/// The operations of a history, key by key.
pub(super) fn by_key(kv: &Sessions) -> Vec<Vec<u32>> {
    let mut keys = vec![Vec::new(); kv.keys];
    for (id, op) in kv.ops.iter().enumerate() {
        keys[op.key as usize].push(id as u32);
    }
    keys
}

impl<'a> KeyOrder<'a> {
    /// The order of the key with these operations. `local_of` is scratch space, one place for each operation of the history.
    ///
    /// # Errors
    /// What is spent.
    pub(super) fn new(
        kv: &Sessions,
        ops: Vec<u32>,
        local_of: &mut [u32],
        budget: &'a Budget,
    ) -> Result<KeyOrder<'a>, Spent> {
        for (local, &op) in ops.iter().enumerate() {
            local_of[op as usize] = local as u32;
        }
        let mut local = Sessions { ops: Vec::with_capacity(ops.len()), starts: vec![0], keys: 1 };
        let mut sessions: Vec<u32> = Vec::new();
        for &op in &ops {
            let KvOp { session, source, .. } = kv.ops[op as usize];
            if sessions.last() != Some(&session) {
                sessions.push(session);
                local.starts.push(local.ops.len() as u32);
            }
            let source = match source {
                Source::Write(write) => Source::Write(local_of[write as usize]),
                other => other,
            };
            let session = sessions.len() as u32 - 1;
            local.ops.push(KvOp { session, key: 0, source, ..kv.ops[op as usize] });
            *local.starts.last_mut().expect("pushed with the session") = local.ops.len() as u32;
        }
        let (clocks, circles) = Clocks::walk(&local, true, budget, |_, _, _| Ok(()))?;
        let tells = |op: &u32| local.ops[*op as usize].is_write() || local.source(*op).is_some();
        let first = (0..local.sessions()).map(|s| local.session(s).find(tells).unwrap_or(NONE)).collect();
        let width = clocks.width();
        let held = ops.len() * (size_of::<KvOp>() + 4 * width + 4);
        let (known, _lease) = (Vec::new(), budget.lease(held)?);
        let mut order =
            KeyOrder { local, clocks, global: ops, sessions, known, width, first, circles, _lease };
        order.join();
        Ok(order)
    }

    fn join(&mut self) {
        self.known = vec![0; self.local.ops.len() * self.width];
        for session in 0..self.local.sessions() {
            let mut now = vec![0u32; self.width];
            for op in self.local.session(session) {
                let versions = [self.local.source(op), self.local.ops[op as usize].is_write().then_some(op)];
                for version in versions.into_iter().flatten() {
                    for (mine, theirs) in now.iter_mut().zip(self.clocks.row(version)) {
                        *mine = (*mine).max(*theirs);
                    }
                }
                let at = op as usize * self.width;
                self.known[at..at + self.width].copy_from_slice(&now);
            }
        }
    }

    /// The local operations of `session` before `end`.
    fn before(&self, session: u32, end: u32) -> std::ops::Range<u32> {
        let Ok(at) = self.sessions.binary_search(&session) else { return 0..0 };
        let ops = self.local.session(at);
        let slice = &self.global[ops.start as usize..ops.end as usize];
        ops.start..ops.start + slice.partition_point(|&op| op < end) as u32
    }

    /// Whether `session`, before its operation `end`, wrote or read a version newer than the one that `read` saw.
    pub(super) fn knows_newer(&self, session: u32, end: u32, read: Seen) -> bool {
        let ops = self.before(session, end);
        let Some(last) = ops.end.checked_sub(1).filter(|_| !ops.is_empty()) else { return false };
        match read {
            Seen::Initial => self.first[self.local.ops[last as usize].session as usize] <= last,
            Seen::Version(write) => {
                let at = last as usize * self.width;
                self.clocks.counts(&self.known[at..at + self.width], write)
            }
        }
    }

    /// What `read` saw, in the terms of this order; `None` if it says nothing.
    pub(super) fn seen(&self, local: u32) -> Option<Seen> {
        match self.local.ops[local as usize].source {
            Source::Initial => Some(Seen::Initial),
            Source::Write(write) => Some(Seen::Version(write)),
            _ => None,
        }
    }

    /// The last operation of `session` before `end` that wrote, and the last that read, a version newer than the one
    /// that `read` saw.
    pub(super) fn newer(&self, session: u32, end: u32, read: Seen) -> (Option<u32>, Option<u32>) {
        let newer = |version: u32| match read {
            Seen::Initial => version != NONE,
            Seen::Version(write) => self.clocks.before(write, version),
        };
        let ops = self.before(session, end);
        let wrote = ops.clone().rev().find(|&op| self.local.ops[op as usize].is_write() && newer(op));
        let read = ops.rev().find(|&op| self.local.source(op).is_some_and(newer));
        let global = |op: u32| self.global[op as usize];
        (wrote.map(global), read.map(global))
    }

    /// The id of a local operation.
    pub(super) fn global(&self, local: u32) -> u32 {
        self.global[local as usize]
    }
}

/// What a read saw: the local id of a write, or the initial version.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen {
    Initial,
    Version(u32),
}
