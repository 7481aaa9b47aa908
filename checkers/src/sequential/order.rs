//! What every sequential order of a history must hold.

use crate::causal::Writers;
use crate::registers::{Sessions, Source};
use crate::{Budget, Lease, Spent};

/// A partial order on the operations of a history that each of its sequential orders extends, as vector clocks.
pub(super) struct Order<'a> {
    /// By operation and session: the number of operations of the session that come before.
    clocks: Vec<u32>,
    width: usize,
    /// Pairs that were looked at.
    pub(super) steps: u64,
    _lease: Lease<'a>,
}

impl<'a> Order<'a> {
    /// The session order and reads-from, closed under transitivity and two rules, for a read `r` of what `w` wrote to a key
    /// and another write `v` to it: if `v` comes before `r`, it comes before `w`; if `w` comes before `v`, so does `r`.
    /// `None` if that is cyclic: no order exists. O(operations × sessions) for each of its rounds.
    ///
    /// # Errors
    /// What is spent.
    pub(super) fn new(kv: &Sessions, budget: &'a Budget) -> Result<Option<Order<'a>>, Spent> {
        let (n, width) = (kv.ops.len(), kv.sessions());
        let lease = budget.lease(n.saturating_mul(width).saturating_mul(4).saturating_add(n * 24))?;
        let writers = Writers::new(kv);
        let mut order = Order { clocks: vec![0; n * width], width, steps: 0, _lease: lease };
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        let mut grown = budget.lease(0)?;
        loop {
            budget.ask()?;
            if !order.close(kv, &mut pairs) {
                return Ok(None);
            }
            let before = pairs.len();
            for read in 0..n as u32 {
                if read % 1024 == 0 {
                    budget.ask()?;
                }
                order.derive(kv, &writers, read, &mut pairs);
            }
            grown.resize(pairs.capacity() * 16)?;
            if pairs.len() == before {
                return Ok(Some(order));
            }
        }
    }

    /// The clock of an operation.
    pub(super) fn clock(&self, op: u32) -> &[u32] {
        &self.clocks[op as usize * self.width..][..self.width]
    }

    /// Whether `a` comes before `b`.
    fn before(&self, kv: &Sessions, a: u32, b: u32) -> bool {
        let session = kv.ops[a as usize].session as usize;
        self.clock(b)[session] > a - kv.starts[session]
    }

    /// Computes the clocks from the pairs. False if there is a cycle.
    fn close(&mut self, kv: &Sessions, pairs: &mut [(u32, u32)]) -> bool {
        pairs.sort_unstable_by_key(|&(from, _)| from);
        let n = kv.ops.len();
        let mut waits = vec![0u32; n];
        let mut readers: Vec<(u32, u32)> =
            (0..n as u32).filter_map(|op| kv.source(op).map(|write| (write, op))).collect();
        readers.sort_unstable();
        for op in 0..n as u32 {
            waits[op as usize] += u32::from(kv.previous(op).is_some()) + u32::from(kv.source(op).is_some());
        }
        pairs.iter().for_each(|&(_, to)| waits[to as usize] += 1);
        self.clocks.fill(0);
        let mut ready: Vec<u32> = (0..n as u32).filter(|&op| waits[op as usize] == 0).collect();
        let mut done = 0;
        while let Some(op) = ready.pop() {
            done += 1;
            let session = kv.ops[op as usize].session as usize;
            let next = Some(op + 1).filter(|&next| next < kv.starts[session + 1]);
            let of = |list: &[(u32, u32)]| {
                let start = list.partition_point(|&(from, _)| from < op);
                start..start + list[start..].iter().take_while(|&&(from, _)| from == op).count()
            };
            let after = next.into_iter().chain(readers[of(&readers)].iter().map(|&(_, to)| to));
            let after: Vec<u32> = after.chain(pairs[of(pairs)].iter().map(|&(_, to)| to)).collect();
            for to in after {
                self.steps += 1;
                self.join(op, to, session, op - kv.starts[session] + 1);
                waits[to as usize] -= 1;
                if waits[to as usize] == 0 {
                    ready.push(to);
                }
            }
        }
        done == n
    }

    fn join(&mut self, from: u32, to: u32, session: usize, count: u32) {
        let (a, b, width) = (from as usize * self.width, to as usize * self.width, self.width);
        let (mine, theirs) = if a < b {
            let (low, high) = self.clocks.split_at_mut(b);
            (&mut high[..width], &low[a..a + width])
        } else {
            let (low, high) = self.clocks.split_at_mut(a);
            (&mut low[b..b + width], &high[..width])
        };
        mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
        mine[session] = mine[session].max(count);
    }

    /// Adds the pairs that the rules give for a read and the order does not hold.
    fn derive(&mut self, kv: &Sessions, writers: &Writers, read: u32, pairs: &mut Vec<(u32, u32)>) {
        let op = &kv.ops[read as usize];
        if !op.tells() {
            return;
        }
        for writes in writers.of(op.key) {
            self.steps += 1;
            let session = kv.ops[writes[0] as usize].session as usize;
            let Source::Write(saw) = op.source else {
                let first = writes[0];
                if op.source == Source::Initial && first != read && !self.before(kv, read, first) {
                    pairs.push((read, first));
                }
                continue;
            };
            let known = self.clock(read)[session];
            let past = writes.partition_point(|&write| write - kv.starts[session] < known);
            if let Some(&last) = past.checked_sub(1).map(|at| &writes[at])
                && last != saw
                && !self.before(kv, last, saw)
            {
                pairs.push((last, saw));
            }
            let later = writes.partition_point(|&write| !self.before(kv, saw, write));
            if let Some(&next) = writes.get(later)
                && next != read
                && !self.before(kv, read, next)
            {
                pairs.push((read, next));
            }
        }
    }
}
