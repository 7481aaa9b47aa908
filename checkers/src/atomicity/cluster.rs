//! The operations of one key, each write with its reads, and their zones.

use crate::History;
use crate::registers::{NONE, Sessions};

/// What [`keys`] and the measures on them take for each operation.
pub(super) const BYTES: usize = 120;

/// A moment: a time, and where times are equal the order of events. The events of a history are numbered from 1; 0 is
/// before the first.
pub(super) type Moment = (u64, u32);

/// What the events' numbers mean in time.
pub(super) struct Times {
    clock: Vec<u64>,
}

impl Times {
    /// The order of events alone.
    pub(super) fn events() -> Times {
        Times { clock: Vec::new() }
    }

    /// The times of a history; one that goes back counts as standing still.
    pub(super) fn clock(history: &History) -> Times {
        let mut last = 0;
        let later = |time: u64| {
            last = time.max(last);
            last
        };
        Times { clock: history.iter().map(|event| event.time_ns()).map(later).collect() }
    }

    fn at(&self, event: u32) -> Moment {
        let before = (event as usize).checked_sub(1);
        (before.and_then(|at| self.clock.get(at)).copied().unwrap_or(0), event)
    }

    /// `delta` earlier; at the same time as a completion counts as before it.
    fn earlier(&self, event: u32, delta: u64) -> Moment {
        if delta == 0 { self.at(event) } else { (self.at(event).0.saturating_sub(delta), 0) }
    }
}

/// A write, or the initial value as one that ended before the first event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    /// `NONE` for the initial value.
    pub(super) op: u32,
    pub(super) start: u32,
    /// When it had surely taken effect: when it ended, or the first of its reads did.
    pub(super) end: u32,
    /// The operation that ended then.
    pub(super) end_op: u32,
    /// Of its reads the one that began last, and when; `NONE` and 0 without one.
    last_read: u32,
    last_start: u32,
}

/// A read, and which of the writes it saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) op: u32,
    pub(super) write: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The operations of a key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) key: u32,
    pub(super) ops: Vec<u32>,
    /// By end.
    pub(super) writes: Vec<Write>,
    /// By start.
    pub(super) reads: Vec<Read>,
}

/// The operations by key. Each read must have ended after the write that it saw began.
pub(super) fn keys(kv: &Sessions) -> Vec<Key> {
    let mut by_key: Vec<Vec<u32>> = vec![Vec::new(); kv.keys];
    for (id, op) in (0..).zip(&kv.ops) {
        by_key[op.key as usize].push(id);
    }
    let used = by_key.into_iter().enumerate().filter(|(_, ops)| !ops.is_empty());
    used.map(|(key, ops)| Key::new(kv, key as u32, ops)).collect()
}

impl Key {
    fn new(kv: &Sessions, key: u32, ops: Vec<u32>) -> Key {
        let mut writes =
            vec![Write { op: NONE, start: 0, end: 0, end_op: NONE, last_read: NONE, last_start: 0 }];
        let mut place: std::collections::HashMap<u32, usize, crate::intern::FastBuild> = Default::default();
        for &id in &ops {
            let op = &kv.ops[id as usize];
            if op.is_write() {
                place.insert(id, writes.len());
                let end = if op.complete == NONE { NONE } else { op.complete + 1 };
                writes.push(Write {
                    op: id,
                    start: op.invoke + 1,
                    end,
                    end_op: id,
                    last_read: NONE,
                    last_start: 0,
                });
            }
        }
        let mut reads = Vec::with_capacity(ops.len() + 1 - writes.len());
        for &id in ops.iter().filter(|&&id| !kv.ops[id as usize].is_write()) {
            let op = &kv.ops[id as usize];
            let at = kv.source(id).map_or(0, |write| place[&write]);
            let (start, end) = (op.invoke + 1, op.complete.saturating_add(1));
            let write = &mut writes[at];
            if end < write.end {
                (write.end, write.end_op) = (end, id);
            }
            if start > write.last_start {
                (write.last_read, write.last_start) = (id, start);
            }
            reads.push(Read { op: id, write: at as u32, start, end });
        }
        // By end, with the reads told.
        let mut order: Vec<u32> = (0..writes.len() as u32).collect();
        order.sort_unstable_by_key(|&write| writes[write as usize].end);
        let mut rank = vec![0; writes.len()];
        (0..).zip(&order).for_each(|(new, &old)| rank[old as usize] = new);
        let writes = order.iter().map(|&write| writes[write as usize]).collect();
        reads.iter_mut().for_each(|read| read.write = rank[read.write as usize]);
        reads.sort_unstable_by_key(|read| read.start);
        Key { key, ops, writes, reads }
    }
}

/// Two writes that cannot both be ordered with their reads.
pub(super) struct Conflict(Write, Write);

impl Conflict {
    /// The operations that make it: of each write it, what ended first and what began last.
    pub(super) fn ops(&self) -> Vec<u32> {
        let ops = [self.0, self.1].into_iter().flat_map(|write| [write.op, write.end_op, write.last_read]);
        let mut ops: Vec<u32> = ops.filter(|&op| op != NONE).collect();
        ops.sort_unstable();
        ops.dedup();
        ops
    }
}

/// Why a key is not linearizable, where each read is taken to have begun `delta` earlier: two forward zones that
/// overlap, or a backward one inside a forward one. O(n log n).
pub(super) fn conflict(key: &Key, times: &Times, delta: u64) -> Option<Conflict> {
    let zone = |write: &Write| {
        let begun = times.at(write.start);
        let read = (write.last_read != NONE).then(|| times.earlier(write.last_start, delta));
        (times.at(write.end), read.map_or(begun, |read| read.max(begun)))
    };
    let mut forward: Vec<(Moment, Moment, &Write)> = Vec::new();
    for write in &key.writes {
        let (low, high) = zone(write);
        if low >= high {
            continue;
        }
        if let Some(&(_, last, other)) = forward.last()
            && low < last
        {
            return Some(Conflict(*other, *write));
        }
        forward.push((low, high, write));
    }
    key.writes.iter().find_map(|write| {
        let (high, low) = zone(write);
        if high < low {
            return None;
        }
        let around = forward.get(forward.partition_point(|zone| zone.1 < low))?;
        (around.0 < low && high < around.1).then_some(Conflict(*around.2, *write))
    })
}

/// The least Δ in nanoseconds, and how often it was tried.
pub(super) fn least_delta(key: &Key, times: &Times) -> (u64, u64) {
    if conflict(key, times, 0).is_none() {
        return (0, 1);
    }
    // Conflicts with `low`, none with `high`: then all reads begin with the first event.
    let (mut low, mut high) = (0, times.clock.last().map_or(1, |last| last + 1));
    let mut tried = 1;
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        tried += 1;
        if conflict(key, times, middle).is_some() { low = middle } else { high = middle }
    }
    (high, tried)
}
