//! The committed transactions, who read what from whom, and who wrote which key.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use crate::txn::NONE;
use crate::{Budget, Spent};

/// Writes the initial version of every key, before all others.
pub(super) const INIT: u32 = 0;

/// A transaction that is put in.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its number in the history, or `NONE` for [`INIT`].
    pub(super) id: u32,
    pub(super) session: u32,
    pub(super) invoke: u32,
    /// `NONE` if nobody knows whether it ended.
    pub(super) complete: u32,
    /// Into the keys that were written, each once.
    pub(super) writes: Range<u32>,
    /// Into the reads.
    pub(super) reads: Range<u32>,
}

/// Transactions as they are collected. The first is [`INIT`].
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) entries: Vec<Entry>,
    /// Keys, ascending in each entry.
    pub(super) writes: Vec<u32>,
    /// The key, and the entry that wrote what was read.
    pub(super) reads: Vec<(u32, u32)>,
}

/// A read of another transaction's version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) txn: u32,
    pub(super) version: u32,
}

/// A version of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub(super) txn: u32,
    pub(super) key: u32,
}

/// The transactions of one session that wrote a key, in order, with their versions.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) session: u32,
    /// Into [`Lanes::versions`].
    pub(super) versions: Range<u32>,
}

/// Versions by key, session and place in the session.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    /// For each key.
    pub(super) keys: Vec<Vec<Lane>>,
    pub(super) versions: Vec<u32>,
    /// The place of each version's writer in its session.
    places: Vec<u32>,
}

impl Lanes {
    /// `versions` are in order of transactions, so those of a session are in order of its places.
    fn new(problem: &Problem, versions: Vec<u32>, budget: &Budget) -> Result<Lanes, Spent> {
        let place = |version: u32| {
            let Version { txn, key } = problem.versions[version as usize];
            (key, problem.entries[txn as usize].session, problem.place[txn as usize])
        };
        let versions = grouped(versions, problem.sessions.len(), |version| place(version).1, budget)?;
        let versions = grouped(versions, problem.names.len(), |version| place(version).0, budget)?;
        let mut keys: Vec<Vec<Lane>> = vec![Vec::new(); problem.names.len()];
        for (at, &version) in (0u32..).zip(&versions) {
            let (key, session, _) = place(version);
            match keys[key as usize].last_mut() {
                Some(lane) if lane.session == session => lane.versions.end = at + 1,
                _ => keys[key as usize].push(Lane { session, versions: at..at + 1 }),
            }
        }
        let places = versions.iter().map(|&version| place(version).2).collect();
        budget.ask()?;
        Ok(Lanes { keys, versions, places })
    }

    /// The last version of a lane whose writer is among the first so many transactions of its session.
    pub(super) fn last(&self, lane: &Lane, transactions: u32) -> Option<u32> {
        let range = lane.versions.start as usize..lane.versions.end as usize;
        let after = self.places[range].partition_point(|&place| place < transactions);
        after.checked_sub(1).map(|at| self.versions[lane.versions.start as usize + at])
    }
}

/// Items between two looks at the budget.
const ASK_EVERY: usize = 1 << 16;

/// The items by group, in each as they were: a counting sort, which can be given up at any time.
fn grouped(
    items: Vec<u32>,
    groups: usize,
    of: impl Fn(u32) -> u32,
    budget: &Budget,
) -> Result<Vec<u32>, Spent> {
    let mut next = vec![0u32; groups + 1];
    for items in items.chunks(ASK_EVERY) {
        budget.ask()?;
        items.iter().for_each(|&item| next[of(item) as usize + 1] += 1);
    }
    for group in 0..groups {
        next[group + 1] += next[group];
    }
    let mut sorted = vec![0; items.len()];
    for items in items.chunks(ASK_EVERY) {
        budget.ask()?;
        for &item in items {
            let at = &mut next[of(item) as usize];
            sorted[*at as usize] = item;
            *at += 1;
        }
    }
    Ok(sorted)
}

/// What is to be ordered. Sessions are chains: transactions of a session are numbered by `place`.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) entries: Vec<Entry>,
    /// The position of each transaction in its session.
    pub(super) place: Vec<u32>,
    pub(super) sessions: Vec<Vec<u32>>,
    /// In order of transactions, each sorted by key. The first are those of [`INIT`].
    pub(super) versions: Vec<Version>,
    pub(super) reads: Vec<Read>,
    /// Who wrote what.
    pub(super) written: Lanes,
    /// The same of versions that others read. Whoever read an earlier version of a session read before the next was written.
    pub(super) read: Lanes,
    /// The name of each key in the draft.
    pub(super) names: Vec<u32>,
    reader_starts: Vec<u32>,
    readers: Vec<u32>,
}

impl Problem {
    /// The problem of a draft, in linear time and [as many bytes](Problem::bytes).
    pub(super) fn new(draft: &Draft, budget: &Budget) -> Result<Problem, Spent> {
        let (names, dense) = names(draft);
        let mut versions: Vec<Version> =
            (0..names.len() as u32).map(|key| Version { txn: INIT, key }).collect();
        versions.reserve_exact(draft.writes.len());
        let mut entries = draft.entries.clone();
        for (txn, entry) in entries.iter_mut().enumerate() {
            if txn.is_multiple_of(ASK_EVERY) {
                budget.ask()?;
            }
            if txn == INIT as usize {
                entry.writes = 0..versions.len() as u32;
                continue;
            }
            let first = versions.len() as u32;
            let written = &draft.writes[entry.writes.start as usize..entry.writes.end as usize];
            versions
                .extend(written.iter().map(|&name| Version { txn: txn as u32, key: dense[name as usize] }));
            entry.writes = first..versions.len() as u32;
        }
        let mut problem = Problem {
            place: Vec::with_capacity(entries.len()),
            sessions: Vec::new(),
            entries,
            versions,
            reads: Vec::with_capacity(draft.reads.len()),
            written: Lanes::default(),
            read: Lanes::default(),
            reader_starts: Vec::new(),
            readers: Vec::new(),
            names,
        };
        problem.place();
        for txn in 0..problem.entries.len() as u32 {
            if (txn as usize).is_multiple_of(ASK_EVERY) {
                budget.ask()?;
            }
            let reads = problem.entries[txn as usize].reads.clone();
            for &(name, writer) in &draft.reads[reads.start as usize..reads.end as usize] {
                let key = dense[name as usize];
                let version = problem.version(writer, key).expect("it was read from its writer");
                problem.reads.push(Read { txn, version });
            }
        }
        problem.index_readers(budget)?;
        let all = 0..problem.versions.len() as u32;
        problem.written = Lanes::new(&problem, all.clone().collect(), budget)?;
        let read = all.filter(|&version| !problem.readers(version).is_empty()).collect();
        problem.read = Lanes::new(&problem, read, budget)?;
        Ok(problem)
    }

    fn place(&mut self) {
        let sessions = self.entries.iter().map(|entry| entry.session as usize + 1).max().unwrap_or(0);
        self.sessions = vec![Vec::new(); sessions];
        for (txn, entry) in self.entries.iter().enumerate() {
            let session = &mut self.sessions[entry.session as usize];
            self.place.push(session.len() as u32);
            session.push(txn as u32);
        }
    }

    /// Of the readers of a version, the last in each session: whoever wrote the next version comes after that one, and so
    /// after those before it too.
    fn index_readers(&mut self, budget: &Budget) -> Result<(), Spent> {
        let group = |read: u32| {
            let Read { txn, version } = self.reads[read as usize];
            (version, self.entries[txn as usize].session)
        };
        // Reads are in order of transactions, so those of a session are in order of its places.
        let order = (0..self.reads.len() as u32).collect();
        let order = grouped(order, self.sessions.len(), |read| group(read).1, budget)?;
        let order = grouped(order, self.versions.len(), |read| group(read).0, budget)?;
        let last = |at: &usize| order.get(at + 1).is_none_or(|&next| group(next) != group(order[*at]));
        self.readers = (0..order.len()).filter(last).map(|at| order[at]).collect();
        self.reader_starts = vec![0; self.versions.len() + 1];
        for &read in &self.readers {
            self.reader_starts[self.reads[read as usize].version as usize + 1] += 1;
        }
        for version in 0..self.versions.len() {
            self.reader_starts[version + 1] += self.reader_starts[version];
        }
        budget.ask()
    }

    /// Number of transactions with [`INIT`].
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn session(&self, txn: u32) -> u32 {
        self.entries[txn as usize].session
    }

    /// The version of `key` that `txn` wrote.
    pub(super) fn version(&self, txn: u32, key: u32) -> Option<u32> {
        let writes = self.entries[txn as usize].writes.clone();
        let own = &self.versions[writes.start as usize..writes.end as usize];
        own.binary_search_by_key(&key, |version| version.key).ok().map(|at| writes.start + at as u32)
    }

    /// The reads of a version by which the next writer is bound: one a session.
    pub(super) fn readers(&self, version: u32) -> &[u32] {
        let at = version as usize;
        &self.readers[self.reader_starts[at] as usize..self.reader_starts[at + 1] as usize]
    }

    pub(super) fn reads_of(&self, txn: u32) -> Range<u32> {
        self.entries[txn as usize].reads.clone()
    }

    /// Pairs of versions that both wrote, of the same key each.
    pub(super) fn common(&self, a: u32, b: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let (a, b) = (self.entries[a as usize].writes.clone(), self.entries[b as usize].writes.clone());
        let (few, many) = if a.len() <= b.len() { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
        let swapped = few != a;
        few.filter_map(move |version| {
            let key = self.versions[version as usize].key;
            let own = &self.versions[many.start as usize..many.end as usize];
            let at = own.binary_search_by_key(&key, |version| version.key).ok()?;
            let other = many.start + at as u32;
            Some(if swapped { (other, version) } else { (version, other) })
        })
    }

    /// Only these transactions, ascending, and [`INIT`]. What is read from others is left aside: so whatever holds of the
    /// whole holds of a part.
    pub(super) fn only(&self, txns: &[u32], budget: &Budget) -> Result<Problem, Spent> {
        self.part(txns, |txn| self.session(txn), budget)
    }

    /// The same, where these are the sessions of all.
    pub(super) fn in_sessions(&self, txns: &[u32], all: &[u32], budget: &Budget) -> Result<Problem, Spent> {
        self.part(txns, |txn| all[txn as usize], budget)
    }

    /// The same, where no two transactions are of one session.
    pub(super) fn apart(&self, txns: &[u32], budget: &Budget) -> Result<Problem, Spent> {
        self.part(txns, |txn| txn, budget)
    }

    /// The problem without sessions. In their place are chains of transactions, each of which reads from the one before and
    /// so comes after it in any case: there are fewer of them than of transactions.
    pub(super) fn chained(&self, budget: &Budget) -> Result<Problem, Spent> {
        let mut chain: Vec<u32> = Vec::with_capacity(self.len());
        let mut has_next = vec![false; self.len()];
        for txn in 0..self.len() as u32 {
            let writers = self.reads_of(txn).map(|read| {
                let version = self.reads[read as usize].version;
                self.versions[version as usize].txn
            });
            let before = writers.filter(|&by| by != INIT && by < txn).find(|&by| !has_next[by as usize]);
            if let Some(before) = before {
                has_next[before as usize] = true;
            }
            chain.push(before.map_or(txn, |before| chain[before as usize]));
        }
        self.part(&(0..self.len() as u32).collect::<Vec<_>>(), |txn| chain[txn as usize], budget)
    }

    /// Only these transactions, ascending, and [`INIT`], in these sessions.
    fn part(&self, txns: &[u32], session_of: impl Fn(u32) -> u32, budget: &Budget) -> Result<Problem, Spent> {
        let mut draft = Draft::default();
        let kept: Vec<u32> =
            std::iter::once(INIT).chain(txns.iter().copied().filter(|&txn| txn != INIT)).collect();
        let mut sessions: Vec<u32> = kept.iter().map(|&txn| session_of(txn)).collect();
        sessions.sort_unstable();
        sessions.dedup();
        for &txn in &kept {
            let entry = &self.entries[txn as usize];
            let (writes, reads) = (draft.writes.len() as u32, draft.reads.len() as u32);
            if txn != INIT {
                let own = &self.versions[entry.writes.start as usize..entry.writes.end as usize];
                draft.writes.extend(own.iter().map(|version| self.names[version.key as usize]));
            }
            for read in &self.reads[entry.reads.start as usize..entry.reads.end as usize] {
                let version = self.versions[read.version as usize];
                if let Ok(writer) = kept.binary_search(&version.txn) {
                    draft.reads.push((self.names[version.key as usize], writer as u32));
                }
            }
            draft.entries.push(Entry {
                session: sessions.binary_search(&session_of(txn)).expect("it is among them") as u32,
                writes: writes..draft.writes.len() as u32,
                reads: reads..draft.reads.len() as u32,
                ..*entry
            });
        }
        Problem::new(&draft, budget)
    }

    /// Bytes that the problem of a draft takes, with those that it takes only while it is built.
    pub(super) fn bytes(draft: &Draft) -> usize {
        let versions = draft.writes.len() + draft.keys();
        60 * draft.entries.len() + 40 * versions + 32 * draft.reads.len() + 72 * draft.keys()
    }

    /// The same of another problem of as many transactions, with a draft of them.
    pub(super) fn bytes_again(&self) -> usize {
        let (entries, versions) = (self.entries.len(), self.versions.len());
        100 * entries + 48 * versions + 40 * self.reads.len() + 72 * self.names.len()
    }
}

/// The keys of a draft, ascending, and the place of each among them.
fn names(draft: &Draft) -> (Vec<u32>, Vec<u32>) {
    let mut dense = vec![NONE; draft.keys()];
    draft.writes.iter().for_each(|&name| dense[name as usize] = 0);
    draft.reads.iter().for_each(|&(name, _)| dense[name as usize] = 0);
    let mut names = Vec::new();
    for (name, place) in (0u32..).zip(&mut dense) {
        if *place != NONE {
            *place = names.len() as u32;
            names.push(name);
        }
    }
    (names, dense)
}

impl Draft {
    /// Without any transaction but [`INIT`].
    pub(super) fn new() -> Draft {
        let init = Entry { id: NONE, session: 0, invoke: 0, complete: 0, writes: 0..0, reads: 0..0 };
        Draft { entries: vec![init], ..Draft::default() }
    }

    /// Puts transactions of which each began after the one before had completed into one session; the sessions that they were
    /// of come back. Where real time counts, that orders nothing anew, and there are no more sessions than transactions at
    /// once, however many processes took turns.
    pub(super) fn merge_sessions(&mut self) -> Vec<u32> {
        let own = self.entries.iter().map(|entry| entry.session).collect();
        // When the last transaction of a session completes, and the session.
        let mut last: BinaryHeap<Reverse<(u32, u32)>> = BinaryHeap::new();
        let mut sessions = 0;
        for entry in self.entries.iter_mut().skip(1) {
            let done = last.peek().is_some_and(|Reverse((complete, _))| *complete < entry.invoke);
            let free = if done { last.pop() } else { None };
            sessions += u32::from(free.is_none());
            entry.session = free.map_or(sessions, |Reverse((_, session))| session);
            if entry.complete != NONE {
                last.push(Reverse((entry.complete, entry.session)));
            }
        }
        own
    }

    /// One more than the last of its keys.
    fn keys(&self) -> usize {
        let last = |keys: &mut dyn Iterator<Item = u32>| keys.max().map_or(0, |key| key as usize + 1);
        last(&mut self.writes.iter().copied()).max(last(&mut self.reads.iter().map(|read| read.0)))
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.writes.capacity() * 4 + self.reads.capacity() * 8
    }
}
