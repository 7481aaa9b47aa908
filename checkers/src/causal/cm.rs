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

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
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

/// Finds the bad patterns of each session. For CM, a history that is CC has none exactly if it is CM (POPL 2017, lemma 6).
///
/// Those sessions are decided, from the first on, whose work is at most `cap` steps in all; what is found in others does
/// not count. So the result does not depend on how many threads there are, nor on which of them is the faster.
pub(crate) fn memory(kv: &Sessions, past: Past, cap: u64, budget: &Budget) -> Memory {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(kv.sessions().max(1));
    let threads = if kv.ops.len() < 1_000 { 1 } else { threads };
    memory_by(kv, past, cap, threads, budget)
}

fn memory_by(kv: &Sessions, past: Past, cap: u64, threads: usize, budget: &Budget) -> Memory {
    // Levels, the past, a stack, nodes.
    let bytes = kv.ops.len() * 24;
    let shared = Shared {
        kv,
        past,
        cap,
        budget,
        next: AtomicUsize::new(0),
        limit: AtomicUsize::new(kv.sessions()),
        before: AtomicU64::new(0),
        progress: Mutex::new(Progress::default()),
    };
    let lease = match budget.lease(kv.ops.len() * 4) {
        Ok(lease) => lease,
        Err(spent) => return Memory { patterns: Vec::new(), decided: 0, work: 0, spent: Some(spent) },
    };
    let writers = Writers::new(kv);
    let work = || match budget.lease(bytes) {
        Ok(_lease) => Saturation::new(&shared, &writers).run(),
        Err(spent) => shared.progress().spent = Some(spent),
    };
    if threads == 1 {
        work();
    } else {
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    }
    drop(lease);
    let Progress { decided, work, mut found, spent, .. } =
        shared.progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Another thread may have been refused its memory while this one did all the work.
    let spent = spent.filter(|_| decided < kv.sessions());
    if spent.is_none() {
        found.retain(|&(session, _)| session < decided);
    }
    found.sort_by_key(|&(session, _)| session);
    Memory { patterns: found.into_iter().map(|(_, pattern)| pattern).collect(), decided, work, spent }
}

/// What the threads share.
struct Shared<'a> {
    kv: &'a Sessions,
    past: Past<'a>,
    cap: u64,
    budget: &'a Budget,
    /// Sessions are taken in order.
    next: AtomicUsize,
    /// From here on sessions need not be judged.
    limit: AtomicUsize,
    /// The work of the sessions that are decided.
    before: AtomicU64,
    progress: Mutex<Progress>,
}

/// How far the sessions are judged.
#[derive(Default)]
struct Progress {
    /// The first so many sessions are decided.
    decided: usize,
    /// The work of these.
    work: u64,
    /// The work of later ones that were judged.
    ahead: BTreeMap<usize, u64>,
    /// The patterns with their sessions.
    found: Vec<(usize, Pattern)>,
    spent: Option<Spent>,
}

impl Shared<'_> {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session is judged: takes it and those after it into what is decided, as far as the cap reaches.
    fn finish(&self, session: usize, work: u64, pattern: Option<Pattern>) {
        let mut progress = self.progress();
        progress.found.extend(pattern.map(|pattern| (session, pattern)));
        progress.ahead.insert(session, work);
        while let Some(work) =
            progress.ahead.get(&progress.decided).map(|work| progress.work.saturating_add(*work))
        {
            if work > self.cap {
                self.limit.fetch_min(progress.decided, Ordering::Relaxed);
                break;
            }
            progress.work = work;
            progress.decided += 1;
        }
        self.before.store(progress.work, Ordering::Relaxed);
    }
}

/// Why a session was not decided.
enum Early {
    /// With the sessions before, it is beyond the cap.
    Cap,
    Spent(Spent),
}

impl From<Spent> for Early {
    fn from(spent: Spent) -> Early {
        Early::Spent(spent)
    }
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
    /// The work on the session, and how much there was when the budget was last asked.
    work: u64,
    asked: u64,
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
            asked: 0,
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
            if session >= self.shared.limit.load(Ordering::Relaxed) {
                break;
            }
            (self.work, self.asked) = (0, 0);
            match self.session(session) {
                Ok(pattern) => self.shared.finish(session, self.work, pattern),
                Err(Early::Spent(spent)) => {
                    self.shared.progress().spent = Some(spent);
                    break;
                }
                Err(Early::Cap) => {
                    self.shared.limit.fetch_min(session, Ordering::Relaxed);
                    break;
                }
            }
        }
    }

    /// Whether there is more to spend, every few steps.
    #[inline]
    fn ask(&mut self) -> Result<(), Early> {
        const ASK_EVERY: u64 = 10_000;
        if self.work - self.asked < ASK_EVERY {
            return Ok(());
        }
        self.asked = self.work;
        if self.shared.before.load(Ordering::Relaxed).saturating_add(self.work) > self.shared.cap {
            return Err(Early::Cap);
        }
        Ok(self.shared.budget.ask()?)
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
            self.lower(op, level as u32)?;
        }
        self.saturate(ops.start, &reads)?;
        let pattern = match self.initial_read(ops.start, &reads) {
            None => self.cycle(ops.start, &reads)?,
            found => found,
        };
        for &op in &self.past {
            self.level[op as usize] = NONE;
        }
        self.past.clear();
        Ok(pattern)
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
    fn lower(&mut self, op: u32, level: u32) -> Result<(), Early> {
        self.stack.push((op, level));
        while let Some((op, level)) = self.stack.pop() {
            let old = self.level[op as usize];
            if old <= level {
                continue;
            }
            self.work += 1;
            self.ask()?;
            self.level[op as usize] = level;
            if old == NONE {
                self.past.push(op);
            }
            let before = self.before(op);
            self.stack.extend(before.map(|before| (before, level)));
        }
        Ok(())
    }

    /// Lowers levels until the rule holds everywhere.
    fn saturate(&mut self, first: u32, reads: &[u32]) -> Result<(), Early> {
        loop {
            let mut changed = false;
            for &read in reads {
                self.ask()?;
                for Derived { from, to, .. } in self.derived(first, read) {
                    let level = self.level[to as usize];
                    if self.level[from as usize] > level {
                        self.lower(from, level)?;
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

    fn cycle(&mut self, first: u32, reads: &[u32]) -> Result<Option<Pattern>, Early> {
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
            return Ok(None);
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
        let budget = self.shared.budget;
        let graph = self.graph(&ops, &pairs)?;
        let components = graph.components(CAUSAL | CONFLICT, |_| true, budget)?;
        let Some(component) = components.first() else { return Ok(None) };
        let steps = shortest(&graph, component, 1, self.shared.cap, &mut self.work, budget)?;
        let steps = steps.into_iter().map(|step| step.map(|node| ops[node as usize]));
        Ok(Some(Pattern::CyclicHb(steps.collect())))
    }

    /// The order that the session begins with and the derived pairs among `ops`; nodes are positions in `ops`.
    fn graph(&mut self, ops: &[u32], pairs: &[Derived]) -> Result<Graph<'a>, Spent> {
        let _lease = self.shared.budget.lease((2 * ops.len() + pairs.len()) * size_of::<Arc>())?;
        for (node, &op) in ops.iter().enumerate() {
            self.node[op as usize] = node as u32;
        }
        let mut arcs = Vec::with_capacity(2 * ops.len() + pairs.len());
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
        Graph::new(ops.len(), &arcs, self.shared.budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causal::cc::{Keep, causality};
    use crate::registers::{resolve, tiny};
    use crate::testing::Random;

    /// All threads drew on one cap, so that it depended on their pace which sessions were decided: of two runs on one history
    /// one could say `unknown` and the other `false`.
    #[test]
    fn what_a_cap_leaves_undecided_does_not_depend_on_threads() {
        let mut rng = Random(41);
        let (mut capped, mut found, mut runs) = (0, 0, 0);
        for _ in 0..5_000 {
            let ops = tiny::random(&mut rng, 7);
            let (history, budget) = (tiny::record(&ops), Budget::default());
            let kv = resolve(&history, true, &budget).unwrap();
            let causality = causality(&kv, Keep::Clocks, &budget).unwrap();
            if !causality.patterns.is_empty() {
                continue;
            }
            let judge = |cap, threads| {
                let Memory { patterns, decided, work, spent } =
                    memory_by(&kv, Past::Causal(&causality.clocks), cap, threads, &budget);
                assert_eq!(spent, None);
                (format!("{patterns:?}"), decided, work)
            };
            let (_, _, all) = judge(u64::MAX, 1);
            for cap in [0, all / 3, all / 2, all] {
                let alone = judge(cap, 1);
                assert_eq!(judge(cap, 4), alone, "{ops:?} {cap}");
                capped += u32::from(alone.1 < kv.sessions());
                found += u32::from(alone.0 != "[]");
                assert!(alone.2 <= cap && (cap < all || alone.1 == kv.sessions()));
                runs += 1;
            }
        }
        println!(
            "{runs} runs by one and by four threads: {capped} ended at the cap, {found} found a pattern"
        );
        assert!(capped > 2_000 && found >= 10);
    }
}
