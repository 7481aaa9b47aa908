//! What is wrong with the order so far: a version that was overwritten before it was read.

use super::{Cycle, LITERAL, READ, Solver};
use crate::polygraph::PolygraphModel;
use crate::polygraph::problem::INIT;

impl Solver<'_> {
    /// Two transactions about which the order is wrong, or says what is not yet decided.
    pub(super) fn violation(&mut self) -> Option<(u32, u32)> {
        for node in std::mem::take(&mut self.order.moved) {
            let Some(txn) = self.layout.txn(node) else { continue };
            self.touch(txn);
        }
        loop {
            let (key, at) = match self.current.take() {
                Some(current) => current,
                None => {
                    let key = self.open.pop_front()?;
                    self.is_open[key as usize] = false;
                    (key, 0)
                }
            };
            let mut versions = std::mem::take(&mut self.contended[key as usize]);
            let found = self.walk(&mut versions, at);
            self.contended[key as usize] = versions;
            if let Some((at, pair)) = found {
                self.current = Some((key, at));
                return Some(pair);
            }
        }
    }

    /// The keys that a transaction wrote or read are to be looked at.
    pub(super) fn touch(&mut self, txn: u32) {
        let problem = self.problem;
        let written = problem.entries[txn as usize].writes.clone();
        let read = problem.reads_of(txn).map(|read| problem.reads[read as usize].version);
        for version in written.chain(read) {
            let key = problem.versions[version as usize].key;
            let settled = self.contended[key as usize].is_empty();
            if !settled && !std::mem::replace(&mut self.is_open[key as usize], true) {
                self.open.push_back(key);
            }
        }
    }

    /// Puts the versions of a key in order from `at` on, as far as the first two that are wrong: where, and their writers.
    fn walk(&mut self, versions: &mut [u32], mut at: usize) -> Option<(usize, (u32, u32))> {
        let txn = |version: u32| self.problem.versions[version as usize].txn;
        let place = |version: u32| self.order.place(self.layout.commit(txn(version)));
        let mut steps = 0;
        let mut found = None;
        while at + 1 < versions.len() {
            steps += 1;
            if place(versions[at]) > place(versions[at + 1]) {
                if steps > 4 * versions.len() as u64 {
                    versions.sort_by_key(|&version| place(version));
                    at = 0;
                    continue;
                }
                versions.swap(at, at + 1);
                at = at.saturating_sub(1);
                continue;
            }
            let (a, b) = (txn(versions[at]), txn(versions[at + 1]));
            if a != INIT && self.violated(versions[at], a, b) {
                found = Some((at, (a, b)));
                break;
            }
            at += 1;
        }
        self.steps += steps;
        found
    }

    /// Whether `b`, which wrote the next version, may not stand where it does.
    fn violated(&self, version: u32, a: u32, b: u32) -> bool {
        let (layout, problem) = (self.layout, self.problem);
        if self.parallel() {
            return self.undecided((a, b)) && !self.known.reaches(a, b);
        }
        let commit = self.order.place(layout.commit(b));
        let overlap = self.known.model == PolygraphModel::SnapshotIsolation
            && self.order.place(layout.begin(b)) < self.order.place(layout.commit(a));
        overlap
            || problem.readers(version).iter().any(|&read| {
                let reader = problem.reads[read as usize].txn;
                reader != b && self.order.place(layout.begin(reader)) > commit
            })
    }

    /// For parallel snapshot isolation, where all writers of a key are in order: the cycles of a read and a way to it from
    /// whoever overwrote what it saw.
    pub(super) fn torn(&mut self) -> Vec<Cycle> {
        let pasts = self.pasts();
        let sessions = self.problem.sessions.len();
        let mut found = Vec::new();
        let contended = std::mem::take(&mut self.contended);
        for versions in &contended {
            for pair in versions.windows(2) {
                let [a, b] = [pair[0], pair[1]].map(|version| self.problem.versions[version as usize].txn);
                let problem = self.problem;
                let (session, place) = (problem.session(b) as usize, problem.place[b as usize]);
                for &read in problem.readers(pair[0]) {
                    let reader = problem.reads[read as usize].txn;
                    if reader != b && pasts[reader as usize * sessions + session] > place {
                        let mut cycle = self.order.path(b, reader).expect("it is in its past");
                        let known = self.known.reaches(a, b);
                        let tag = if known { READ | read } else { LITERAL | self.literal(a, b) };
                        cycle.push((reader, b, tag));
                        found.push(cycle);
                    }
                }
            }
        }
        self.contended = contended;
        found
    }

    /// For each node, how many transactions of each session come before it or are it.
    fn pasts(&mut self) -> Vec<u32> {
        let sessions = self.problem.sessions.len();
        let mut nodes: Vec<u32> = (0..self.known.nodes() as u32).collect();
        nodes.sort_unstable_by_key(|&node| self.order.place(node));
        let mut pasts = vec![0u32; nodes.len() * sessions];
        for node in nodes {
            let row = node as usize * sessions;
            for before in self.order.before(node) {
                let before = before as usize * sessions;
                for session in 0..sessions {
                    pasts[row + session] = pasts[row + session].max(pasts[before + session]);
                }
            }
            let own = row + self.problem.session(node) as usize;
            pasts[own] = pasts[own].max(self.problem.place[node as usize] + 1);
        }
        self.steps += self.order.edges() as u64;
        pasts
    }
}
