//! The direct serialization graph (Adya 1999; Kingsbury and Alvaro, *Elle*, VLDB 2020): who must come before whom.

use std::collections::HashMap;

use super::version_order::Orders;
use crate::graph::{Arc, Graph, Mask};
use crate::txn::{NONE, Outcome, Txns};

/// Appended just before, in the version order of a key.
pub(super) const WW: Mask = 1;
/// Appended what the other read last.
pub(super) const WR: Mask = 2;
/// Read a version, and the other appended the next.
pub(super) const RW: Mask = 4;
/// Earlier in the same process.
pub(super) const PROCESS: Mask = 8;
/// Completed before the other began.
pub(super) const REALTIME: Mask = 16;
/// Goes on from an auxiliary node; the edge before tells why.
pub(super) const LINK: Mask = 32;

/// The graph. Nodes are transactions, then auxiliary ones.
pub(super) struct Dependencies {
    pub(super) graph: Graph,
    /// Number of nodes that are transactions.
    pub(super) txns: usize,
}

/// Draws all edges between committed transactions that `mask` asks for.
pub(super) fn dependencies(txns: &Txns, orders: &Orders, mask: Mask) -> Dependencies {
    let mut builder = Builder { txns, orders, arcs: Vec::new(), nodes: txns.list.len() as u32 };
    let mut readers: Vec<Vec<u32>> = vec![Vec::new(); orders.keys.len()];
    builder.read_edges(&mut readers);
    for (key, readers) in readers.iter().enumerate() {
        builder.version_edges(key as u32);
        builder.unread_edges(key as u32, readers);
    }
    if mask & PROCESS != 0 {
        builder.process_edges();
    }
    if mask & REALTIME != 0 {
        builder.realtime_edges();
    }
    Dependencies { graph: Graph::new(builder.nodes as usize, &builder.arcs), txns: txns.list.len() }
}

struct Builder<'a> {
    txns: &'a Txns<'a>,
    orders: &'a Orders,
    arcs: Vec<Arc>,
    nodes: u32,
}

impl Builder<'_> {
    fn edge(&mut self, from: u32, to: u32, label: Mask, via: u32) {
        if from != to && from != NONE && to != NONE {
            self.arcs.push(Arc { from, to, label, via });
        }
    }

    fn writer(&self, element: u32) -> u32 {
        self.txns.elements[element as usize].writer
    }

    /// wr and rw edges of external reads; the reads of a whole order go to `readers`, by key.
    fn read_edges(&mut self, readers: &mut [Vec<u32>]) {
        for read in &self.orders.external {
            let versions = &self.orders.keys[read.key as usize];
            if versions.tainted {
                continue;
            }
            let at = read.len as usize;
            if at > 0 {
                self.edge(self.writer(versions.elements[at - 1]), read.txn, WR, read.key);
            }
            match versions.elements.get(at) {
                Some(&next) => self.edge(read.txn, self.writer(next), RW, read.key),
                None => readers[read.key as usize].push(read.txn),
            }
        }
    }

    fn version_edges(&mut self, key: u32) {
        let versions = &self.orders.keys[key as usize];
        if !versions.tainted {
            for pair in versions.elements.windows(2) {
                self.edge(self.writer(pair[0]), self.writer(pair[1]), WW, key);
            }
        }
    }

    /// From the last writer (ww) and the readers of the whole order (rw) to every other transaction with an unread
    /// append. Two chains of auxiliary nodes keep that linear: node `i` of the one leads to the transactions up to `i`, of
    /// the other to those from `i` on, and so everyone can reach all but himself.
    fn unread_edges(&mut self, key: u32, readers: &[u32]) {
        let versions = &self.orders.keys[key as usize];
        let last = versions.elements.last().map(|&element| self.writer(element));
        let sources = last.map(|txn| (txn, WW)).into_iter().chain(readers.iter().map(|&txn| (txn, RW)));
        if versions.tainted || versions.unread.is_empty() {
            return;
        }
        let count = versions.unread.len() as u32;
        let (up_to, onward) = (self.nodes, self.nodes + count);
        self.nodes += 2 * count;
        for (at, &txn) in (0..count).zip(&versions.unread) {
            self.edge(up_to + at, txn, LINK, key);
            self.edge(onward + at, txn, LINK, key);
            if at > 0 {
                self.edge(up_to + at, up_to + at - 1, LINK, key);
                self.edge(onward + at - 1, onward + at, LINK, key);
            }
        }
        for (from, label) in sources {
            match versions.unread.binary_search(&from) {
                Err(_) => self.edge(from, onward, label, key),
                Ok(at) => {
                    let at = at as u32;
                    if at > 0 {
                        self.edge(from, up_to + at - 1, label, key);
                    }
                    if at + 1 < count {
                        self.edge(from, onward + at + 1, label, key);
                    }
                }
            }
        }
    }

    /// From each acknowledged transaction to the next of its process.
    fn process_edges(&mut self) {
        let mut last: HashMap<u32, u32> = HashMap::new();
        for (id, txn) in self.txns.list.iter().enumerate().filter(|(id, _)| self.orders.committed[*id]) {
            let id = id as u32;
            let before = last.insert(txn.process, if txn.outcome == Outcome::Ok { id } else { NONE });
            self.edge(before.unwrap_or(NONE), id, PROCESS, NONE);
        }
    }

    /// From each acknowledged transaction to those that began after it had completed, by a chain of auxiliary nodes,
    /// one for each completion: transactions lead into it when they complete and out of it when they begin. So the
    /// whole real-time order takes three edges a transaction, whatever the concurrency.
    fn realtime_edges(&mut self) {
        let mut events: Vec<(u32, u32)> = Vec::new();
        for (id, txn) in self.txns.list.iter().enumerate().filter(|(id, _)| self.orders.committed[*id]) {
            events.push((txn.invoke, id as u32));
            events.extend(txn.complete().filter(|_| txn.outcome == Outcome::Ok).map(|end| (end, id as u32)));
        }
        events.sort_unstable();
        let mut now = NONE;
        for (event, id) in events {
            if event == self.txns.list[id as usize].invoke {
                self.edge(now, id, LINK, NONE);
                continue;
            }
            let next = self.nodes;
            self.nodes += 1;
            self.edge(now, next, LINK, NONE);
            self.edge(id, next, REALTIME, NONE);
            now = next;
        }
    }
}
