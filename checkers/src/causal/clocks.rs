//! The causal order: session order and reads-from, closed under transitivity, as vector clocks.
//!
//! **Columns are chains.** A clock has a column for each chain of writes that come causally one after the other: those of
//! a session, and then those of another one that begins to write when it knows all of the first, which is over. So a run
//! in which crashed clients go on under ever new process ids needs about as many columns as it has clients. The end of a
//! chain that is over and that nobody can come to know of any more, because nobody will read it, is cut off.
//!
//! **Clocks are freed when passed.** Operations are visited in the order of their events, as far as reads allow, so that
//! sessions come forward together. The clock of a write is kept while a read of it is to come, and until everybody who
//! knows anything of its chain knows the next write to its key there: then nobody asks for it again.

use std::collections::HashMap;

use super::rows::Rows;
use crate::intern::FastBuild;
use crate::registers::{NONE, Sessions};
use crate::{Budget, Spent};

/// Operations between two looks at the budget.
const STRIDE: usize = 1 << 10;

/// The sessions that wait for each other in a circle, as `(read, write)`: each read waits for the write it read from,
/// which is at or after the next read of the list in its session.
pub(crate) type Circle = Vec<(u32, u32)>;

/// Vector clocks. The clock of an operation counts, for each chain, the writes that come causally before it, the operation
/// itself left out.
pub(crate) struct Clocks<'a> {
    /// Whether the clocks of all writes stay.
    keep: bool,
    writes: Vec<Write>,
    /// The writes of each chain.
    chains: Vec<Vec<u32>>,
    /// The chains of sessions that are over.
    idle: Vec<u32>,
    /// By session: its chain, and its clock while it is under way.
    chain: Vec<u32>,
    clock: Vec<u32>,
    /// By key, for each chain that writes it: the chain, the last write and its rank.
    heads: Vec<Vec<Head>>,
    rows: Rows<'a>,
    /// Writes whose clock is held.
    live: Vec<u32>,
    /// How many may be live until what is passed is freed, and how many writes there were since.
    collect_at: usize,
    since: usize,
}

/// What is known of a write that was visited.
#[derive(Clone, Copy)]
struct Write {
    /// Its chain, or `NONE` until it is visited.
    chain: u32,
    /// The number of writes before it in the chain.
    rank: u32,
    row: u32,
    /// Reads of it that are to come.
    readers: u32,
    /// Whether another session reads it.
    echo: bool,
    /// The rank of the next write to the key in the chain.
    next: u32,
    /// The write to the key before it in the chain, one farther back (Myers 1983, skew-binary), and how many there are.
    before: u32,
    jump: u32,
    depth: u32,
}

/// The last write to a key in a chain.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) chain: u32,
    write: u32,
    pub(crate) rank: u32,
}

const NOT_YET: Write = Write {
    chain: NONE,
    rank: 0,
    row: NONE,
    readers: 0,
    echo: false,
    next: NONE,
    before: NONE,
    jump: NONE,
    depth: 0,
};

impl<'a> Clocks<'a> {
    /// Computes the clocks and shows each operation with its own to `visit`, in an order that extends the causal one.
    /// Where the order is cyclic, the operations on or behind a cycle are left out, and the circles come back.
    /// O(operations × chains). With `keep` the clocks of all writes stay.
    pub(crate) fn walk(
        kv: &Sessions,
        keep: bool,
        budget: &'a Budget,
        mut visit: impl FnMut(&Clocks, u32, &[u32]) -> Result<(), Spent>,
    ) -> Result<(Clocks<'a>, Vec<Circle>), Spent> {
        let n = kv.ops.len();
        let _scratch = budget.lease(n * size_of::<u32>() * 3)?;
        let mut clocks = Clocks::new(kv, keep, budget)?;
        let mut next: Vec<u32> = kv.starts[..kv.sessions()].to_vec();
        let mut due = next.clone();
        let mut waiters: HashMap<u32, Vec<u32>, FastBuild> = HashMap::default();
        let mut ready: Vec<u32> = Vec::new();
        for (count, &event) in kv.by_event().iter().enumerate() {
            if count % STRIDE == 0 {
                budget.ask()?;
            }
            let session = kv.ops[event as usize].session;
            due[session as usize] += 1;
            // What is due is behind a read that waits.
            if due[session as usize] == next[session as usize] + 1 {
                ready.push(session);
            }
            while let Some(session) = ready.pop() {
                let s = session as usize;
                while next[s] < due[s] {
                    let op = next[s];
                    if let Some(write) = kv.source(op)
                        && clocks.writes[write as usize].chain == NONE
                    {
                        waiters.entry(write).or_default().push(session);
                        break;
                    }
                    clocks.step(kv, op, &mut visit)?;
                    if !waiters.is_empty()
                        && let Some(sessions) = waiters.remove(&op)
                    {
                        ready.extend(sessions);
                    }
                    next[s] += 1;
                }
            }
        }
        let circles = circles(kv, &next);
        Ok((clocks, circles))
    }

    fn new(kv: &Sessions, keep: bool, budget: &'a Budget) -> Result<Clocks<'a>, Spent> {
        let (n, sessions) = (kv.ops.len(), kv.sessions());
        let writing =
            (0..sessions).filter(|&s| kv.session(s).any(|op| kv.ops[op as usize].is_write())).count();
        let fixed = n * size_of::<Write>() + sessions * 8 + kv.keys * size_of::<Vec<Head>>();
        let mut writes = vec![NOT_YET; n];
        for op in 0..n as u32 {
            if let Some(write) = kv.source(op) {
                let other = kv.ops[write as usize].session != kv.ops[op as usize].session;
                let write = &mut writes[write as usize];
                (write.readers, write.echo) = (write.readers + 1, write.echo || other);
            }
        }
        Ok(Clocks {
            keep,
            writes,
            chains: Vec::new(),
            idle: Vec::new(),
            chain: vec![NONE; sessions],
            clock: vec![NONE; sessions],
            heads: vec![Vec::new(); kv.keys],
            rows: Rows::new(writing, fixed, budget)?,
            live: Vec::new(),
            collect_at: 1024,
            since: 0,
        })
    }

    fn step(
        &mut self,
        kv: &Sessions,
        op: u32,
        visit: &mut impl FnMut(&Clocks, u32, &[u32]) -> Result<(), Spent>,
    ) -> Result<(), Spent> {
        let s = kv.ops[op as usize].session as usize;
        if self.clock[s] == NONE {
            self.clock[s] = self.rows.take()?;
        }
        let clock = self.clock[s];
        let source = kv.source(op).map(|write| write as usize);
        if let Some(write) = source {
            let Write { chain, rank, row, .. } = self.writes[write];
            self.rows.join(clock, row);
            let known = &mut self.rows.of_mut(clock)[chain as usize];
            *known = (*known).max(rank + 1);
        }
        visit(self, op, self.rows.of(clock))?;
        if let Some(write) = source {
            self.writes[write].readers -= 1;
        }
        if kv.ops[op as usize].is_write() {
            self.write(kv, op, s)?;
        }
        if op + 1 == kv.starts[s + 1] {
            self.rows.give(clock);
            self.clock[s] = NONE;
            self.end(kv, s);
        }
        Ok(())
    }

    fn write(&mut self, kv: &Sessions, op: u32, session: usize) -> Result<(), Spent> {
        let clock = self.clock[session];
        // What nobody can know of any more may be what keeps a new session from a chain that is idle.
        if self.chain[session] == NONE && self.idle.len() >= 16 && self.since > 64 + self.live.len() / 4 {
            self.collect(kv);
        }
        self.since += 1;
        let chain = self.chain_of(session)?;
        let rank = self.chains[chain as usize].len() as u32;
        self.chains[chain as usize].push(op);
        let row = self.rows.take()?;
        self.rows.copy(row, clock);
        self.rows.of_mut(clock)[chain as usize] = rank + 1;
        let heads = &mut self.heads[kv.ops[op as usize].key as usize];
        let head = Head { chain, write: op, rank };
        let mut before = NONE;
        match heads.iter_mut().find(|head| head.chain == chain) {
            Some(last) => before = std::mem::replace(last, head).write,
            None => heads.push(head),
        }
        let (mut jump, mut depth) = (NONE, 0);
        if before != NONE {
            self.writes[before as usize].next = rank;
            (jump, depth) = (before, self.depth(before) + 1);
            let far = self.writes[before as usize].jump;
            if far != NONE && self.depth(before) - self.depth(far) == self.depth(far) - self.depth_beyond(far)
            {
                jump = self.writes[far as usize].jump;
            }
        }
        let Write { readers, echo, .. } = self.writes[op as usize];
        self.writes[op as usize] = Write { chain, rank, row, readers, echo, next: NONE, before, jump, depth };
        if !self.keep {
            self.live.push(op);
            if self.live.len() >= self.collect_at {
                self.collect(kv);
            }
        }
        Ok(())
    }

    fn depth(&self, write: u32) -> u32 {
        self.writes[write as usize].depth
    }

    fn depth_beyond(&self, write: u32) -> u32 {
        match self.writes[write as usize].jump {
            NONE => self.depth(write),
            far => self.depth(far),
        }
    }

    /// The chain that the session writes on: its own, one that is idle and of which it knows all, or a new one.
    fn chain_of(&mut self, session: usize) -> Result<u32, Spent> {
        if self.chain[session] == NONE {
            let clock = self.rows.of(self.clock[session]);
            let known = |chain: &u32| clock[*chain as usize] as usize == self.chains[*chain as usize].len();
            self.chain[session] = match self.idle.iter().position(known) {
                Some(at) => self.idle.swap_remove(at),
                None => {
                    self.chains.push(Vec::new());
                    self.rows.widen(self.chains.len())?;
                    self.chains.len() as u32 - 1
                }
            };
        }
        Ok(self.chain[session])
    }

    /// Lets another session have the chain of one that is over.
    fn end(&mut self, kv: &Sessions, session: usize) {
        let chain = self.chain[session];
        if chain == NONE {
            return;
        }
        // What it wrote last and nobody else reads, nobody else will ever know of.
        let own = kv.session(session);
        let heard = |op: &&u32| **op < own.start || self.writes[**op as usize].echo;
        let writes = &self.chains[chain as usize];
        let len = writes.iter().rposition(|op| heard(&op)).map_or(0, |at| at + 1);
        self.shorten(kv, chain, len);
        self.idle.push(chain);
    }

    /// Cuts off the end of a chain, of which nobody knows.
    fn shorten(&mut self, kv: &Sessions, chain: u32, len: usize) {
        while !self.keep && self.chains[chain as usize].len() > len {
            let Some(op) = self.chains[chain as usize].pop() else { break };
            let heads = &mut self.heads[kv.ops[op as usize].key as usize];
            let Write { before, row, .. } = self.writes[op as usize];
            if let Some(at) = heads.iter().position(|head| head.chain == chain) {
                if before == NONE {
                    heads.swap_remove(at);
                } else {
                    let before_write = &mut self.writes[before as usize];
                    before_write.next = NONE;
                    heads[at] = Head { chain, write: before, rank: before_write.rank };
                }
            }
            if row != NONE {
                self.rows.give(row);
                self.writes[op as usize].row = NONE;
            }
        }
    }

    /// Frees the clocks that nobody will ask for.
    fn collect(&mut self, kv: &Sessions) {
        // What anybody will ever know is joined from the clocks of sessions and of writes that will be read. Of a chain
        // each of these knows nothing, or from so much to so much.
        let mut known = vec![(NONE, 0); self.chains.len()];
        let mut note = |chain: usize, count: u32| {
            if count > 0 {
                let (least, most) = &mut known[chain];
                (*least, *most) = (count.min(*least), count.max(*most));
            }
        };
        for &row in self.clock.iter().filter(|row| **row != NONE) {
            self.rows.of(row).iter().enumerate().for_each(|(chain, &count)| note(chain, count));
        }
        for &write in &self.live {
            let Write { chain, rank, readers, row, .. } = self.writes[write as usize];
            if readers > 0 && row != NONE {
                self.rows.of(row).iter().enumerate().for_each(|(chain, &count)| note(chain, count));
                note(chain as usize, rank + 1);
            }
        }
        for at in 0..self.idle.len() {
            let chain = self.idle[at];
            self.shorten(kv, chain, known[chain as usize].1 as usize);
        }
        let (writes, rows) = (&mut self.writes, &mut self.rows);
        self.live.retain(|&write| {
            let Write { chain, row, readers, next, .. } = writes[write as usize];
            let passed = readers == 0 && next != NONE && next < known[chain as usize].0;
            if passed && row != NONE {
                rows.give(row);
                writes[write as usize].row = NONE;
            }
            !passed && row != NONE
        });
        (self.collect_at, self.since) = (1024.max(2 * self.live.len()), 0);
    }

    /// The clock of a write. Empty if it was not visited, or is freed.
    #[inline]
    pub(crate) fn row(&self, write: u32) -> &[u32] {
        match self.writes[write as usize].row {
            NONE => &[],
            row => self.rows.of(row),
        }
    }

    /// Number of chains.
    pub(crate) fn width(&self) -> usize {
        self.chains.len()
    }

    /// Most bytes held.
    pub(crate) fn rows_most(&self) -> usize {
        self.rows.most()
    }

    /// Whether `write` comes before the operation with this clock.
    #[inline]
    pub(crate) fn counts(&self, clock: &[u32], write: u32) -> bool {
        let Write { chain, rank, .. } = self.writes[write as usize];
        clock.get(chain as usize).is_some_and(|&known| known > rank)
    }

    /// Whether the write `a` comes causally before the write `b`: false where one of them was not visited.
    pub(crate) fn before(&self, a: u32, b: u32) -> bool {
        self.counts(self.row(b), a)
    }

    /// The chains that write a key.
    pub(crate) fn heads(&self, key: u32) -> &[Head] {
        &self.heads[key as usize]
    }

    /// Of the writes to a key in a chain the last that is among the first `known` of the chain, and its rank. The earlier
    /// ones come before that one, so whatever they would show, it shows.
    #[inline]
    pub(crate) fn last_known(&self, head: &Head, known: u32) -> Option<(u32, u32)> {
        if head.rank < known {
            return Some((head.write, head.rank));
        }
        let mut at = head.write;
        while at != NONE && self.writes[at as usize].rank >= known {
            let Write { before, jump, .. } = self.writes[at as usize];
            let far = jump != NONE && self.writes[jump as usize].rank >= known;
            at = if far { jump } else { before };
        }
        (at != NONE).then(|| (at, self.writes[at as usize].rank))
    }
}

/// Each blocked session waits for a write in a blocked session: following that ends in a circle.
fn circles(kv: &Sessions, next: &[u32]) -> Vec<Circle> {
    let blocked = |s: usize| next[s] < kv.starts[s + 1];
    let mut seen = vec![NONE; next.len()];
    let mut found = Vec::new();
    for start in (0..next.len()).filter(|&s| blocked(s)) {
        let mut trail: Circle = Vec::new();
        let mut sessions: Vec<usize> = Vec::new();
        let mut at = start;
        while seen[at] == NONE {
            seen[at] = start as u32;
            let read = next[at];
            let write = kv.source(read).expect("a session waits only for the source of a read");
            trail.push((read, write));
            sessions.push(at);
            at = kv.ops[write as usize].session as usize;
        }
        if seen[at] == start as u32 {
            let first = sessions.iter().position(|&s| s == at).expect("it was seen on this trail");
            found.push(trail.split_off(first));
        }
    }
    found
}
