//! The causal order: session order and reads-from, closed under transitivity, as vector clocks.

use super::kv::{NONE, Sessions};

/// Vector clocks over the sessions that write. The clock of an operation counts, for each session, the writes that
/// come causally before it, the operation itself left out. Only the clocks of writes are kept: 4 bytes for each write
/// and writing session.
pub(crate) struct Clocks {
    /// Number of sessions that write.
    width: usize,
    /// Session to column, or `NONE`.
    column: Vec<u32>,
    /// For each operation the number of writes before it in its session.
    rank: Vec<u32>,
    /// For each write its row.
    row: Vec<u32>,
    rows: Vec<u32>,
    done: Vec<bool>,
}

/// The sessions that wait for each other in a circle, as `(read, write)`: each read waits for the write it read from,
/// which is at or after the next read of the list in its session.
pub(crate) type Circle = Vec<(u32, u32)>;

impl Clocks {
    /// How many bytes the clocks of this history take.
    pub(crate) fn bytes(kv: &Sessions) -> u64 {
        let writes = kv.ops.iter().filter(|op| op.is_write()).count() as u64;
        let writers = (0..kv.sessions())
            .filter(|&s| kv.session(s).any(|op| kv.ops[op as usize].is_write()))
            .count() as u64;
        4 * writes * writers
    }

    fn new(kv: &Sessions) -> Clocks {
        let mut column = vec![NONE; kv.sessions()];
        let (mut rank, mut row) = (Vec::with_capacity(kv.ops.len()), vec![NONE; kv.ops.len()]);
        let (mut width, mut writes) = (0, 0);
        for (session, column) in column.iter_mut().enumerate() {
            let before = writes;
            for op in kv.session(session) {
                rank.push(writes - before);
                if kv.ops[op as usize].is_write() {
                    row[op as usize] = writes;
                    writes += 1;
                }
            }
            if writes > before {
                *column = width;
                width += 1;
            }
        }
        let width = width as usize;
        let done = vec![false; kv.ops.len()];
        Clocks { width, column, rank, row, rows: vec![0; writes as usize * width], done }
    }

    /// Computes the clocks and shows each operation with its own to `visit`, in an order that extends the causal one.
    /// Where the order is cyclic, the operations on or behind a cycle are left out, and the circles come back.
    /// O(operations × writing sessions).
    pub(crate) fn walk(kv: &Sessions, mut visit: impl FnMut(&Clocks, u32, &[u32])) -> (Clocks, Vec<Circle>) {
        let mut clocks = Clocks::new(kv);
        let width = clocks.width;
        let mut now = vec![0u32; kv.sessions() * width];
        let mut next: Vec<u32> = kv.starts[..kv.sessions()].to_vec();
        let mut waiters: Vec<Vec<u32>> = vec![Vec::new(); kv.ops.len()];
        let mut ready: Vec<u32> = (0..kv.sessions() as u32).rev().collect();
        while let Some(session) = ready.pop() {
            let s = session as usize;
            while next[s] < kv.starts[s + 1] {
                let op = next[s];
                let clock = &mut now[s * width..(s + 1) * width];
                if let Some(write) = kv.source(op) {
                    if !clocks.done[write as usize] {
                        waiters[write as usize].push(session);
                        break;
                    }
                    clocks.join(kv, clock, write);
                }
                visit(&clocks, op, clock);
                clocks.finish(kv, op, clock);
                ready.append(&mut waiters[op as usize]);
                next[s] += 1;
            }
        }
        let circles = circles(kv, &next);
        (clocks, circles)
    }

    fn join(&self, kv: &Sessions, clock: &mut [u32], write: u32) {
        for (mine, theirs) in clock.iter_mut().zip(self.row(write)) {
            *mine = (*mine).max(*theirs);
        }
        let column = self.column_of(kv, write);
        clock[column] = clock[column].max(self.rank[write as usize] + 1);
    }

    fn finish(&mut self, kv: &Sessions, op: u32, clock: &mut [u32]) {
        self.done[op as usize] = true;
        if kv.ops[op as usize].is_write() {
            let at = self.row[op as usize] as usize * self.width;
            self.rows[at..at + self.width].copy_from_slice(clock);
            let column = self.column_of(kv, op);
            clock[column] = self.rank[op as usize] + 1;
        }
    }

    fn column_of(&self, kv: &Sessions, write: u32) -> usize {
        self.column[kv.ops[write as usize].session as usize] as usize
    }

    /// The clock of a write. All zero until it has been visited.
    pub(crate) fn row(&self, write: u32) -> &[u32] {
        let at = self.row[write as usize] as usize * self.width;
        &self.rows[at..at + self.width]
    }

    /// Number of sessions that write.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The column of a session that writes.
    pub(crate) fn column(&self, session: u32) -> usize {
        self.column[session as usize] as usize
    }

    /// The number of writes before `op` in its session.
    pub(crate) fn rank(&self, op: u32) -> u32 {
        self.rank[op as usize]
    }

    /// Whether `write` comes before the operation with this clock.
    pub(crate) fn counts(&self, kv: &Sessions, clock: &[u32], write: u32) -> bool {
        clock[self.column_of(kv, write)] > self.rank[write as usize]
    }

    /// Whether the write `a` comes causally before the write `b`. Both must have been visited.
    pub(crate) fn before(&self, kv: &Sessions, a: u32, b: u32) -> bool {
        self.counts(kv, self.row(b), a)
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

/// The writes of each key, grouped by session, in session order.
pub(crate) struct Writers {
    /// Key `k` has the groups `groups[starts[k]..starts[k + 1]]`.
    starts: Vec<u32>,
    groups: Vec<(u32, u32)>,
    writes: Vec<u32>,
}

impl Writers {
    pub(crate) fn new(kv: &Sessions) -> Writers {
        let mut writes: Vec<u32> =
            (0..kv.ops.len() as u32).filter(|&op| kv.ops[op as usize].is_write()).collect();
        let key = |op: u32| kv.ops[op as usize].key;
        let session = |op: u32| kv.ops[op as usize].session;
        // Ids ascend within a session and sessions ascend with ids: a stable sort by key keeps both.
        writes.sort_by_key(|&op| key(op));
        let (mut starts, mut groups) = (vec![0u32], Vec::new());
        for (at, &op) in writes.iter().enumerate() {
            let fresh = at == 0 || key(writes[at - 1]) != key(op);
            if fresh {
                starts.resize(key(op) as usize + 1, groups.len() as u32);
            }
            if fresh || session(writes[at - 1]) != session(op) {
                groups.push((at as u32, 0));
            }
            groups.last_mut().expect("just pushed").1 = at as u32 + 1;
        }
        starts.resize(kv.keys + 1, groups.len() as u32);
        Writers { starts, groups, writes }
    }

    /// For each session that writes `key`, its writes in session order.
    pub(crate) fn of(&self, key: u32) -> impl Iterator<Item = &[u32]> {
        let range = self.starts[key as usize] as usize..self.starts[key as usize + 1] as usize;
        self.groups[range].iter().map(|&(from, to)| &self.writes[from as usize..to as usize])
    }
}
