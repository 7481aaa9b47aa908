//! The committed transactions, who read what from whom, and who wrote which key.

use std::ops::Range;

use crate::txn::NONE;

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
    fn new(problem: &Problem, mut versions: Vec<u32>) -> Lanes {
        let place = |version: &u32| {
            let Version { txn, key } = problem.versions[*version as usize];
            (key, problem.entries[txn as usize].session, problem.place[txn as usize])
        };
        versions.sort_unstable_by_key(place);
        let mut keys: Vec<Vec<Lane>> = vec![Vec::new(); problem.names.len()];
        for (at, version) in (0u32..).zip(&versions) {
            let (key, session, _) = place(version);
            match keys[key as usize].last_mut() {
                Some(lane) if lane.session == session => lane.versions.end = at + 1,
                _ => keys[key as usize].push(Lane { session, versions: at..at + 1 }),
            }
        }
        let places = versions.iter().map(|version| place(version).2).collect();
        Lanes { keys, versions, places }
    }

    /// The last version of a lane whose writer is among the first so many transactions of its session.
    pub(super) fn last(&self, lane: &Lane, transactions: u32) -> Option<u32> {
        let range = lane.versions.start as usize..lane.versions.end as usize;
        let after = self.places[range].partition_point(|&place| place < transactions);
        after.checked_sub(1).map(|at| self.versions[lane.versions.start as usize + at])
    }
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
    pub(super) fn new(draft: &Draft) -> Problem {
        let mut names: Vec<u32> =
            draft.writes.iter().copied().chain(draft.reads.iter().map(|read| read.0)).collect();
        names.sort_unstable();
        names.dedup();
        let dense = |name: u32| names.binary_search(&name).expect("every key is named") as u32;
        let mut versions: Vec<Version> =
            (0..names.len() as u32).map(|key| Version { txn: INIT, key }).collect();
        let mut entries = draft.entries.clone();
        let mut keys: Vec<u32> = Vec::new();
        for (txn, entry) in entries.iter_mut().enumerate() {
            if txn == INIT as usize {
                entry.writes = 0..versions.len() as u32;
                continue;
            }
            keys.clear();
            keys.extend(
                draft.writes[entry.writes.start as usize..entry.writes.end as usize]
                    .iter()
                    .map(|&name| dense(name)),
            );
            keys.sort_unstable();
            entry.writes = versions.len() as u32..(versions.len() + keys.len()) as u32;
            versions.extend(keys.iter().map(|&key| Version { txn: txn as u32, key }));
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
            let reads = problem.entries[txn as usize].reads.clone();
            for &(name, writer) in &draft.reads[reads.start as usize..reads.end as usize] {
                let key = problem.names.binary_search(&name).expect("every key is named") as u32;
                let version = problem.version(writer, key).expect("it was read from its writer");
                problem.reads.push(Read { txn, version });
            }
        }
        problem.index_readers();
        let all = 0..problem.versions.len() as u32;
        problem.written = Lanes::new(&problem, all.clone().collect());
        problem.read =
            Lanes::new(&problem, all.filter(|&version| !problem.readers(version).is_empty()).collect());
        problem
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
    fn index_readers(&mut self) {
        let mut order: Vec<u32> = (0..self.reads.len() as u32).collect();
        let place = |read: &u32| {
            let Read { txn, version } = self.reads[*read as usize];
            (version, self.entries[txn as usize].session, self.place[txn as usize])
        };
        order.sort_unstable_by_key(place);
        let last = |at: usize| {
            let (version, session, _) = place(&order[at]);
            order.get(at + 1).is_none_or(|next| {
                let (next, other, _) = place(next);
                (next, other) != (version, session)
            })
        };
        self.readers = (0..order.len()).filter(|&at| last(at)).map(|at| order[at]).collect();
        self.reader_starts = vec![0; self.versions.len() + 1];
        for &read in &self.readers {
            self.reader_starts[self.reads[read as usize].version as usize + 1] += 1;
        }
        for version in 0..self.versions.len() {
            self.reader_starts[version + 1] += self.reader_starts[version];
        }
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
    pub(super) fn only(&self, txns: &[u32]) -> Problem {
        let mut draft = Draft::default();
        let kept: Vec<u32> =
            std::iter::once(INIT).chain(txns.iter().copied().filter(|&txn| txn != INIT)).collect();
        let mut sessions: Vec<u32> = kept.iter().map(|&txn| self.session(txn)).collect();
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
                session: sessions.binary_search(&entry.session).expect("it is among them") as u32,
                writes: writes..draft.writes.len() as u32,
                reads: reads..draft.reads.len() as u32,
                ..*entry
            });
        }
        Problem::new(&draft)
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        60 * self.entries.len() + 40 * self.versions.len() + 24 * self.reads.len() + 64 * self.names.len()
    }
}

impl Draft {
    /// Without any transaction but [`INIT`].
    pub(super) fn new() -> Draft {
        let init = Entry { id: NONE, session: 0, invoke: 0, complete: 0, writes: 0..0, reads: 0..0 };
        Draft { entries: vec![init], ..Draft::default() }
    }
}
