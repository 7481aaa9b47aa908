//! Causal memory (CM): each session could have seen all writes of its causal past in one order. And PRAM, where the past
//! is what the sessions did, whatever they had read.
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
//!
//! Sessions are independent of each other and are judged on all cores.
//!
//! **PRAM** (Lipton and Sandberg, *PRAM: a scalable shared memory*, 1988) is the same with the session order in the place of
//! the causal one, and the reads of the session alone: the order of the writes that a session sees need not respect what
//! the writers had read. The proof of POPL 2017, lemma 6, uses of the causal order only that it is a partial order, that
//! it holds the session order, and that the reads of the session are each after the write that they saw.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::cc::Pattern;
use super::ccv::{CAUSAL, CONFLICT, shortest};
use super::clocks::Clocks;
use super::writers::Writers;
use crate::graph::{Arc, Graph};
use crate::registers::{NONE, Sessions, Source};
use crate::{Budget, Spent};

/// The result of the search.
pub(crate) struct Memory {
    /// At most one for each session, with the sessions in order.
    pub(crate) patterns: Vec<Pattern>,
    /// Number of sessions that were decided before a cap was reached.
    pub(crate) decided: usize,
    pub(crate) work: u64,
    /// What is spent, if it was not the cap on steps.
    pub(crate) spent: Option<Spent>,
}

/// Which order a session's past is.
#[derive(Clone, Copy)]
pub(crate) enum Past<'a> {
    /// The causal order.
    Causal(&'a Clocks<'a>),
    /// The session order, and what the session itself read.
    Pram,
}

/// Finds the bad patterns of each session, until `cap` steps are spent. For CM, a history that is CC has none
/// exactly if it is CM (POPL 2017, lemma 6).
pub(crate) fn memory(kv: &Sessions, past: Past, cap: u64, budget: &Budget) -> Memory {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(kv.sessions().max(1));
    // Levels, the past, a stack, nodes.
    let bytes = kv.ops.len() * 24;
    let shared = Shared {
        kv,
        past,
        cap,
        budget,
        work: AtomicU64::new(0),
        next: AtomicUsize::new(0),
        decided: AtomicUsize::new(0),
        found: Mutex::new((Vec::new(), None)),
    };
    let lease = match budget.lease(kv.ops.len() * 4) {
        Ok(lease) => lease,
        Err(spent) => return Memory { patterns: Vec::new(), decided: 0, work: 0, spent: Some(spent) },
    };
    let writers = Writers::new(kv);
    let work = || match budget.lease(bytes) {
        Ok(_lease) => Saturation::new(&shared, &writers).run(),
        Err(spent) => shared.stop(spent),
    };
    if threads == 1 || kv.ops.len() < 1_000 {
        work();
    } else {
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    }
    drop(lease);
    let (decided, work) = (shared.decided.into_inner(), shared.work.into_inner());
    let (mut found, spent) = shared.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|&(session, _)| session);
    let patterns = found.into_iter().map(|(_, pattern)| pattern).collect();
    // Another thread may have been refused its memory while this one did all the work.
    let spent = spent.filter(|_| decided < kv.sessions());
    Memory { patterns, decided, work, spent }
}

/// What the threads share.
struct Shared<'a> {
    kv: &'a Sessions,
    past: Past<'a>,
    cap: u64,
    budget: &'a Budget,
    work: AtomicU64,
    next: AtomicUsize,
    decided: AtomicUsize,
    found: Mutex<Found>,
}

/// The patterns with their sessions, and what is spent.
type Found = (Vec<(usize, Pattern)>, Option<Spent>);

impl Shared<'_> {
    fn stop(&self, spent: Spent) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(spent);
    }
}

/// Why a session was not decided.
enum Early {
    Cap,
    Spent(Spent),
}

/// A derived pair: `from` before `to`, because `read` saw `to` although `from` is in its past.
#[derive(Clone, Copy)]
struct Derived {
    from: u32,
    to: u32,
    read: u32,
}

struct Saturation<'a> {
    shared: &'a Shared<'a>,
    kv: &'a Sessions,
    writers: &'a Writers,
    work: u64,
    /// Of the work, what is told to the others.
    told: u64,
    /// The session that is judged.
    session: u32,
    /// By operation; `NONE` outside the past of the session.
    level: Vec<u32>,
    /// The past of the session.
    past: Vec<u32>,
    stack: Vec<(u32, u32)>,
    /// By operation, while a graph is built: its node.
    node: Vec<u32>,
}

impl<'a> Saturation<'a> {
    fn new(shared: &'a Shared<'a>, writers: &'a Writers) -> Saturation<'a> {
        let n = shared.kv.ops.len();
        Saturation {
            shared,
            kv: shared.kv,
            writers,
            work: 0,
            told: 0,
            session: 0,
            level: vec![NONE; n],
            past: Vec::new(),
            stack: Vec::new(),
            node: vec![NONE; n],
        }
    }

    /// Judges sessions until none is left.
    fn run(&mut self) {
        loop {
            let session = self.shared.next.fetch_add(1, Ordering::Relaxed);
            if session >= self.kv.sessions() {
                break;
            }
            match self.session(session) {
                Ok(pattern) => {
                    self.shared.decided.fetch_add(1, Ordering::Relaxed);
                    let mut found = self.shared.found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.0.extend(pattern.map(|pattern| (session, pattern)));
                }
                Err(Early::Spent(spent)) => {
                    self.shared.stop(spent);
                    break;
                }
                Err(Early::Cap) => break,
            }
        }
        self.shared.work.fetch_add(self.work - self.told, Ordering::Relaxed);
    }

    /// Whether there is more to spend.
    fn ask(&mut self) -> Result<(), Early> {
        let before = self.shared.work.fetch_add(self.work - self.told, Ordering::Relaxed);
        let all = before + (self.work - self.told);
        self.told = self.work;
        if all > self.shared.cap {
            return Err(Early::Cap);
        }
        self.shared.budget.ask().map_err(Early::Spent)
    }

    /// The bad pattern of a session, if it has one.
    fn session(&mut self, session: usize) -> Result<Option<Pattern>, Early> {
        self.session = session as u32;
        let ops = self.kv.session(session);
        let reads: Vec<u32> = ops.clone().filter(|&op| self.kv.ops[op as usize].tells()).collect();
        if reads.is_empty() {
            return Ok(None);
        }
        if let Past::Pram = self.shared.past
            && let Some(pattern) = self.misread(&reads)
        {
            return Ok(Some(pattern));
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

    /// What CC would have found in the reads of this session: values from nowhere, and from its own future.
    fn misread(&self, reads: &[u32]) -> Option<Pattern> {
        reads.iter().find_map(|&read| match self.kv.ops[read as usize].source {
            Source::ThinAir => Some(Pattern::ThinAirRead { read }),
            Source::Aborted(event) => Some(Pattern::AbortedRead { event, read }),
            Source::Write(write) if write > read && self.kv.ops[write as usize].session == self.session => {
                Some(Pattern::CyclicCo(vec![(read, write)]))
            }
            _ => None,
        })
    }

    /// The operations just before `op`.
    fn before(&self, op: u32) -> impl Iterator<Item = u32> + use<> {
        let own = self.kv.ops[op as usize].session == self.session;
        let source = match self.shared.past {
            Past::Causal(_) => self.kv.source(op),
            Past::Pram => self.kv.source(op).filter(|_| own),
        };
        [self.kv.previous(op), source].into_iter().flatten()
    }

    /// Whether the order that the session begins with holds this pair of writes.
    fn ordered(&self, from: u32, to: u32) -> bool {
        match self.shared.past {
            Past::Causal(clocks) => clocks.before(from, to),
            Past::Pram => from < to && self.kv.ops[from as usize].session == self.kv.ops[to as usize].session,
        }
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
            let before = self.before(op);
            self.stack.extend(before.map(|before| (before, level)));
        }
    }

    /// Lowers levels until the rule holds everywhere.
    fn saturate(&mut self, first: u32, reads: &[u32]) -> Result<(), Early> {
        loop {
            let mut changed = false;
            for &read in reads {
                if self.work - self.told > 10_000 || self.shared.cap == 0 {
                    self.ask()?;
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
                return Ok(());
            }
        }
    }

    /// Of each session the last write of the key of `read` in the past of `read`, but for the read itself.
    fn past_writes(&mut self, first: u32, read: u32) -> Vec<u32> {
        let level = read - first;
        let mut found = Vec::new();
        for writes in self.writers.of(self.kv.ops[read as usize].key) {
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
                if same && !self.ordered(pair.from, pair.to) {
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
        let steps = shortest(&graph, components.first()?, 1, self.shared.cap, &mut self.work);
        Some(Pattern::CyclicHb(steps.into_iter().map(|step| step.map(|node| ops[node as usize])).collect()))
    }

    /// The order that the session begins with and the derived pairs among `ops`; nodes are positions in `ops`.
    fn graph(&mut self, ops: &[u32], pairs: &[Derived]) -> Graph {
        for (node, &op) in ops.iter().enumerate() {
            self.node[op as usize] = node as u32;
        }
        let mut arcs = Vec::new();
        for (to, &op) in ops.iter().enumerate() {
            for before in self.before(op) {
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
