//! Causal memory (CM): each session could have seen all writes of its causal past in one order.
//!
//! For a session with operations `o_0 … o_m` the order `hb` of POPL 2017 is the smallest transitive relation that
//! holds the causal order of the past of `o_m` and, for each read `o_i` of `w2` and each other write `w1` of that
//! key with `w1 hb o_i`, the pair `w1 → w2`. It grows with the session, so its last operation decides for all.
//!
//! The pasts of `o_0, o_1, …` grow as well, so one number for each operation stands for all of them: its *level*, the
//! least `i` with the operation in the hb-past of `o_i`. The rule then reads: a write `w1` of level at most `i` has no
//! higher level than `w2`. Saturation lowers levels until nothing changes. An edge never leads to a lower level, so a
//! cycle lies within one level, and it needs a derived pair that the causal order does not imply: only operations on such
//! levels are searched. A history in which no read hides a concurrent write costs O(operations) for each session.

use super::cc::{Causality, Pattern};
use super::ccv::{CAUSAL, CONFLICT, shortest};
use super::kv::{Kv, NONE, Source};
use crate::graph::{Arc, Graph};

/// The result of the search.
pub(crate) struct Memory {
    /// At most one for each session.
    pub(crate) patterns: Vec<Pattern>,
    /// Number of sessions that were decided before the cap was reached.
    pub(crate) decided: usize,
    pub(crate) work: u64,
}

/// Finds the bad patterns that CM adds to CC, session by session, until `cap` steps are spent. A history that is CC
/// has none exactly if it is CM (POPL 2017, lemma 6).
pub(crate) fn memory(kv: &Kv, causality: &Causality, cap: u64) -> Memory {
    let mut saturation = Saturation::new(kv, causality, cap);
    let mut patterns = Vec::new();
    for session in 0..kv.sessions() {
        match saturation.session(session) {
            Some(pattern) => patterns.extend(pattern),
            None => return Memory { patterns, decided: session, work: saturation.work },
        }
    }
    Memory { patterns, decided: kv.sessions(), work: saturation.work }
}

/// A derived pair: `from` before `to`, because `read` saw `to` although `from` is in its past.
#[derive(Clone, Copy)]
struct Derived {
    from: u32,
    to: u32,
    read: u32,
}

struct Saturation<'a> {
    kv: &'a Kv<'a>,
    causality: &'a Causality,
    cap: u64,
    work: u64,
    /// By operation; `NONE` outside the past of the session.
    level: Vec<u32>,
    /// The past of the session.
    past: Vec<u32>,
    stack: Vec<(u32, u32)>,
    /// By operation, while a graph is built: its node.
    node: Vec<u32>,
}

impl<'a> Saturation<'a> {
    fn new(kv: &'a Kv<'a>, causality: &'a Causality, cap: u64) -> Saturation<'a> {
        let n = kv.ops.len();
        Saturation {
            kv,
            causality,
            cap,
            work: 0,
            level: vec![NONE; n],
            past: Vec::new(),
            stack: Vec::new(),
            node: vec![NONE; n],
        }
    }

    /// The bad pattern of a session, if it has one. `None` if the cap was reached.
    fn session(&mut self, session: usize) -> Option<Option<Pattern>> {
        let ops = self.kv.session(session);
        let reads: Vec<u32> =
            ops.clone().filter(|&op| !matches!(self.kv.ops[op as usize].source, Source::Nothing)).collect();
        if reads.is_empty() {
            return Some(None);
        }
        for (level, op) in ops.clone().enumerate() {
            self.lower(op, level as u32);
        }
        let result = self
            .saturate(ops.start, &reads)
            .map(|()| self.initial_read(ops.start, &reads).or_else(|| self.cycle(ops.start, &reads)));
        for &op in &self.past {
            self.level[op as usize] = NONE;
        }
        self.past.clear();
        result
    }

    /// Gives `op` and all before it a level of at most `level`.
    fn lower(&mut self, op: u32, level: u32) {
        self.stack.push((op, level));
        while let Some((op, level)) = self.stack.pop() {
            let old = self.level[op as usize];
            if old <= level {
                continue;
            }
            self.work += 1;
            self.level[op as usize] = level;
            if old == NONE {
                self.past.push(op);
            }
            let before = [self.kv.previous(op), self.kv.source(op)];
            self.stack.extend(before.into_iter().flatten().map(|before| (before, level)));
        }
    }

    /// Lowers levels until the rule holds everywhere. `None` if the cap was reached.
    fn saturate(&mut self, first: u32, reads: &[u32]) -> Option<()> {
        loop {
            let mut changed = false;
            for &read in reads {
                if self.work > self.cap {
                    return None;
                }
                for Derived { from, to, .. } in self.derived(first, read) {
                    let level = self.level[to as usize];
                    if self.level[from as usize] > level {
                        self.lower(from, level);
                        changed = true;
                    }
                }
            }
            if !changed {
                return Some(());
            }
        }
    }

    /// Of each session the last write of the key of `read` in the past of `read`, but for the read itself.
    fn past_writes(&mut self, first: u32, read: u32) -> Vec<u32> {
        let level = read - first;
        let mut found = Vec::new();
        for writes in self.causality.writers.of(self.kv.ops[read as usize].key) {
            self.work += 1;
            let past = writes.partition_point(|&write| self.level[write as usize] <= level);
            found.extend(writes[..past].iter().rev().find(|&&write| write != read));
        }
        found
    }

    fn derived(&mut self, first: u32, read: u32) -> Vec<Derived> {
        let Some(to) = self.kv.source(read) else { return Vec::new() };
        let past = self.past_writes(first, read);
        past.into_iter().filter(|&from| from != to).map(|from| Derived { from, to, read }).collect()
    }

    fn initial_read(&mut self, first: u32, reads: &[u32]) -> Option<Pattern> {
        let initial = |read: &&u32| self.kv.ops[**read as usize].source == Source::Initial;
        let reads: Vec<u32> = reads.iter().filter(initial).copied().collect();
        reads.into_iter().find_map(|read| {
            let write = *self.past_writes(first, read).first()?;
            Some(Pattern::WriteHbInitRead { write, read })
        })
    }

    fn cycle(&mut self, first: u32, reads: &[u32]) -> Option<Pattern> {
        let mut pairs = Vec::new();
        for &read in reads {
            for pair in self.derived(first, read) {
                let same = self.level[pair.from as usize] == self.level[pair.to as usize];
                if same && !self.causality.clocks.before(self.kv, pair.from, pair.to) {
                    pairs.push(pair);
                }
            }
        }
        if pairs.is_empty() {
            return None;
        }
        let mut levels: Vec<u32> = pairs.iter().map(|pair| self.level[pair.to as usize]).collect();
        levels.sort_unstable();
        levels.dedup();
        let ops: Vec<u32> = self
            .past
            .iter()
            .copied()
            .filter(|&op| levels.binary_search(&self.level[op as usize]).is_ok())
            .collect();
        self.work += self.past.len() as u64;
        let graph = self.graph(&ops, &pairs);
        let components = graph.components(CAUSAL | CONFLICT, |_| true);
        let steps = shortest(&graph, components.first()?, 1, self.cap, &mut self.work);
        Some(Pattern::CyclicHb(steps.into_iter().map(|step| step.map(|node| ops[node as usize])).collect()))
    }

    /// The causal order and the derived pairs among `ops`; nodes are positions in `ops`.
    fn graph(&mut self, ops: &[u32], pairs: &[Derived]) -> Graph {
        for (node, &op) in ops.iter().enumerate() {
            self.node[op as usize] = node as u32;
        }
        let mut arcs = Vec::new();
        for (to, &op) in ops.iter().enumerate() {
            for before in [self.kv.previous(op), self.kv.source(op)].into_iter().flatten() {
                let from = self.node[before as usize];
                if from != NONE {
                    arcs.push(Arc { from, to: to as u32, label: CAUSAL, via: 0 });
                }
            }
        }
        for pair in pairs {
            let (from, to) = (self.node[pair.from as usize], self.node[pair.to as usize]);
            arcs.push(Arc { from, to, label: CONFLICT, via: pair.read });
        }
        for &op in ops {
            self.node[op as usize] = NONE;
        }
        Graph::new(ops.len(), &arcs)
    }
}
