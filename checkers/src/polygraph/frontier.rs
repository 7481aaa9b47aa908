//! A search that is polynomial for a fixed number of sessions.
//!
//! Biswas and Enea, *On the complexity of checking transactional consistency*, OOPSLA 2019: transactions are run one after
//! the other, and a version may be overwritten only once all its readers have run. Then how the search goes on
//! depends on nothing but how far each session has come, and no such frontier need be visited twice. Where a transaction
//! reads a snapshot, its beginning and its commit are two events.

use std::collections::HashSet;

use super::PolygraphModel;
use super::known::{Known, Layout};
use super::problem::Problem;
use crate::intern::FastBuild;
use crate::{Budget, Spent};

pub(super) struct Frontier<'a> {
    known: &'a Known<'a>,
    problem: &'a Problem,
    layout: Layout,
    /// How many events of each session have happened.
    done: Vec<u32>,
    /// The newest version of each key.
    newest: Vec<u32>,
    /// The frontiers that were visited.
    visited: HashSet<Box<[u32]>, FastBuild>,
}

/// An event that has happened, and those that might have instead.
struct Step {
    session: u32,
    /// The versions that its commit replaced.
    replaced: Vec<u32>,
    /// Other sessions that could go on, the best last.
    others: Vec<u32>,
}

impl<'a> Frontier<'a> {
    /// A search that goes on from a known graph without cycles. Not for parallel snapshot isolation, which has no one order.
    pub(super) fn new(known: &'a Known<'a>) -> Frontier<'a> {
        let problem = known.problem;
        let mut done = vec![0; problem.sessions.len()];
        done[0] = if known.layout.split { 2 } else { 1 };
        Frontier {
            known,
            problem,
            layout: known.layout,
            done,
            newest: (0..problem.names.len() as u32).collect(),
            visited: HashSet::default(),
        }
    }

    /// Whether there is an order that explains every read, or `None` after so many events.
    pub(super) fn search(&mut self, cap: u64, budget: &Budget) -> Result<Option<bool>, Spent> {
        let mut lease = budget.lease(0)?;
        let mut path: Vec<Step> = Vec::new();
        let mut steps = 0u64;
        let mut others = self.candidates();
        loop {
            steps += 1;
            if steps > cap {
                return Ok(None);
            }
            if steps.is_multiple_of(64) {
                budget.ask()?;
                lease.resize(self.visited.capacity() * (24 + 4 * self.done.len()))?;
            }
            match others.pop() {
                Some(session) => {
                    let replaced = self.run(session);
                    path.push(Step { session, replaced, others });
                    if self.finished() {
                        return Ok(Some(true));
                    }
                    let new = self.visited.insert(self.done.clone().into_boxed_slice());
                    others = if new { self.candidates() } else { Vec::new() };
                }
                None if path.is_empty() => return Ok(Some(self.finished())),
                None => {
                    let step = path.pop().expect("it is not empty");
                    self.undo(&step);
                    others = step.others;
                }
            }
        }
    }

    fn finished(&self) -> bool {
        let events = if self.layout.split { 2 } else { 1 };
        self.problem
            .sessions
            .iter()
            .zip(&self.done)
            .all(|(session, done)| session.len() as u32 * events == *done)
    }

    /// The next event of a session: the transaction, and its node.
    fn next(&self, session: u32) -> Option<(u32, u32)> {
        let (txns, done) = (&self.problem.sessions[session as usize], self.done[session as usize]);
        if !self.layout.split {
            return txns.get(done as usize).map(|&txn| (txn, txn));
        }
        let txn = *txns.get(done as usize / 2)?;
        Some((txn, if done % 2 == 0 { self.layout.begin(txn) } else { self.layout.commit(txn) }))
    }

    /// The sessions that can go on, the one that was recorded first last. One alone where going on can do no harm.
    fn candidates(&self) -> Vec<u32> {
        let mut found: Vec<(u32, u32)> = Vec::new();
        for session in 0..self.done.len() as u32 {
            let Some((txn, node)) = self.next(session) else { continue };
            if self.known.ready(node, &self.done) && self.may(txn, node) {
                if self.harmless(txn, node) {
                    return vec![session];
                }
                found.push((self.known.recorded(node), session));
            }
        }
        found.sort_unstable();
        found.into_iter().rev().map(|(_, session)| session).collect()
    }

    fn may(&self, txn: u32, node: u32) -> bool {
        let commits = node == self.layout.commit(txn);
        let apart = self.known.model == PolygraphModel::SnapshotIsolation && !commits;
        self.problem.entries[txn as usize].writes.clone().all(|version| {
            let key = self.problem.versions[version as usize].key;
            let read = || {
                let waits = |&read: &u32| {
                    let reader = self.problem.reads[read as usize].txn;
                    reader != txn && !self.happened(self.layout.begin(reader), reader)
                };
                !self.problem.readers(self.newest[key as usize]).iter().any(waits)
            };
            (!commits || read()) && !(apart && self.writing(key))
        })
    }

    /// Whether the event can be moved to the front of every order that goes on from here: nothing that is left comes before it,
    /// and it keeps nothing else from happening. A snapshot is one, except that under snapshot isolation other writers of
    /// its keys must wait for its commit; and whatever writes nothing.
    fn harmless(&self, txn: u32, node: u32) -> bool {
        let snapshot = self.layout.split && node == self.layout.begin(txn);
        let writes = !self.problem.entries[txn as usize].writes.is_empty();
        !writes || (snapshot && self.known.model != PolygraphModel::SnapshotIsolation)
    }

    fn happened(&self, node: u32, txn: u32) -> bool {
        let at = self.problem.place[txn as usize];
        let done = self.done[self.problem.session(txn) as usize];
        match self.layout.split {
            true => done > 2 * at + node % 2,
            false => done > at,
        }
    }

    /// Whether a transaction that writes the key has begun and not committed.
    fn writing(&self, key: u32) -> bool {
        self.problem.written.keys[key as usize].iter().any(|lane| {
            let done = self.done[lane.session as usize];
            let txn = self.problem.sessions[lane.session as usize].get(done as usize / 2);
            done % 2 == 1 && txn.is_some_and(|&txn| self.problem.version(txn, key).is_some())
        })
    }

    fn run(&mut self, session: u32) -> Vec<u32> {
        let (txn, node) = self.next(session).expect("it could go on");
        self.done[session as usize] += 1;
        let mut replaced = Vec::new();
        if node == self.layout.commit(txn) {
            for version in self.problem.entries[txn as usize].writes.clone() {
                let newest = &mut self.newest[self.problem.versions[version as usize].key as usize];
                replaced.push(std::mem::replace(newest, version));
            }
        }
        replaced
    }

    fn undo(&mut self, step: &Step) {
        self.done[step.session as usize] -= 1;
        for &version in &step.replaced {
            self.newest[self.problem.versions[version as usize].key as usize] = version;
        }
    }
}
