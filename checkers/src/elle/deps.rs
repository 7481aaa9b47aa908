//! The direct serialization graph (Adya 1999; Kingsbury and Alvaro, *Elle*, VLDB 2020): who must come before whom.

use std::collections::HashMap;

use super::lists::Orders;
use crate::graph::{Arc, Graph, Mask};
use crate::intern::FastBuild;
use crate::txn::{NONE, Outcome, Txns};
use crate::{Budget, Lease, Spent};

/// Wrote the version just before, in the version order of a key.
pub(super) const WW: Mask = 1;
/// Wrote what the other read.
pub(super) const WR: Mask = 2;
/// Read a version, and the other wrote the next.
pub(super) const RW: Mask = 4;
/// Earlier in the same process.
pub(super) const PROCESS: Mask = 8;
/// Completed before the other began.
pub(super) const REALTIME: Mask = 16;
/// Goes on from an auxiliary node; the edge before tells why.
pub(super) const LINK: Mask = 32;
/// As ww, where the version order follows from real time.
pub(super) const WWI: Mask = 64;
/// As rw, where the version order follows from real time.
pub(super) const RWI: Mask = 128;

/// The graph. Nodes are transactions, then auxiliary ones. Edges in the order of processes are not among them: real time
/// implies these; where there is none they are.
#[derive(Debug)]
pub(super) struct Dependencies<'a> {
    pub(super) graph: Graph<'a>,
    /// Number of nodes that are transactions.
    pub(super) txns: usize,
}

/// Draws edges between committed transactions.
pub(super) struct Builder<'a> {
    txns: &'a Txns<'a>,
    committed: &'a [bool],
    arcs: Vec<Arc>,
    nodes: u32,
    lease: Lease<'a>,
    budget: &'a Budget,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        txns: &'a Txns,
        committed: &'a [bool],
        budget: &'a Budget,
    ) -> Result<Builder<'a>, Spent> {
        let nodes = txns.list.len() as u32;
        Ok(Builder { txns, committed, arcs: Vec::new(), nodes, lease: budget.lease(0)?, budget })
    }

    pub(super) fn edge(&mut self, from: u32, to: u32, label: Mask, via: u32) {
        if from != to && from != NONE && to != NONE {
            self.arcs.push(Arc { from, to, label, via });
        }
    }

    /// Pays for the edges that there are.
    pub(super) fn pay(&mut self) -> Result<(), Spent> {
        self.lease.resize(self.arcs.capacity() * size_of::<Arc>())?;
        self.budget.ask()
    }

    /// From each source to each target but itself, in linear size: two chains of auxiliary nodes, where node `i` of the one
    /// leads to the targets up to `i`, of the other to those from `i` on. Targets ascend.
    pub(super) fn fan(&mut self, sources: impl Iterator<Item = (u32, Mask)>, targets: &[u32], via: u32) {
        let count = targets.len() as u32;
        let (up_to, onward) = (self.nodes, self.nodes + count);
        self.nodes += 2 * count;
        for (at, &txn) in (0..count).zip(targets) {
            self.edge(up_to + at, txn, LINK, via);
            self.edge(onward + at, txn, LINK, via);
            if at > 0 {
                self.edge(up_to + at, up_to + at - 1, LINK, via);
                self.edge(onward + at - 1, onward + at, LINK, via);
            }
        }
        for (from, label) in sources {
            match targets.binary_search(&from) {
                Err(_) => self.edge(from, onward, label, via),
                Ok(at) => {
                    let at = at as u32;
                    if at > 0 {
                        self.edge(from, up_to + at - 1, label, via);
                    }
                    if at + 1 < count {
                        self.edge(from, onward + at + 1, label, via);
                    }
                }
            }
        }
    }

    /// The same, without auxiliary nodes where there are few edges.
    pub(super) fn connect(
        &mut self,
        sources: impl Iterator<Item = (u32, Mask)> + Clone,
        targets: &[u32],
        via: u32,
    ) {
        const FEW: usize = 2;
        if targets.len() > FEW && sources.clone().nth(FEW).is_some() {
            return self.fan(sources, targets, via);
        }
        for (from, label) in sources {
            targets.iter().for_each(|&to| self.edge(from, to, label, via));
        }
    }

    /// A new node.
    pub(super) fn auxiliary(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    /// From each acknowledged transaction to those that began after it had completed, by a chain of auxiliary nodes:
    /// transactions lead into it when they complete and out of it when they begin, and completions without an invocation between
    /// them share a node. So the whole real-time order takes at most three edges a transaction, whatever the concurrency.
    fn realtime_edges(&mut self) -> Result<(), Spent> {
        let _lease = self.budget.lease(self.txns.history.len() * size_of::<u32>())?;
        let mut at = vec![NONE; self.txns.history.len()];
        for (id, txn) in (0..).zip(&self.txns.list).filter(|(id, _)| self.committed[*id as usize]) {
            at[txn.invoke as usize] = id;
            if let Some(end) = txn.complete().filter(|_| txn.outcome == Outcome::Ok) {
                at[end as usize] = id;
            }
        }
        let (mut now, mut used) = (NONE, true);
        for (event, id) in (0..).zip(at).filter(|(_, id)| *id != NONE) {
            if event == self.txns.list[id as usize].invoke {
                self.edge(now, id, LINK, NONE);
                used = true;
                continue;
            }
            if used {
                self.edge(now, self.nodes, LINK, NONE);
                (now, used) = (self.nodes, false);
                self.nodes += 1;
            }
            self.edge(id, now, REALTIME, NONE);
        }
        Ok(())
    }

    /// From each acknowledged transaction to the next of its session.
    fn process_edges(&mut self) {
        let mut last: HashMap<u32, u32, FastBuild> = HashMap::default();
        for (id, txn) in (0..).zip(&self.txns.list).filter(|(id, _)| self.committed[*id as usize]) {
            let before = last.insert(txn.session, if txn.outcome == Outcome::Ok { id } else { NONE });
            self.edge(before.unwrap_or(NONE), id, PROCESS, NONE);
        }
    }

    /// The graph of these edges and those of real time, or of processes where there is none.
    pub(super) fn finish(mut self) -> Result<Dependencies<'a>, Spent> {
        if self.txns.history.has_real_time() {
            self.realtime_edges()?;
        } else {
            self.process_edges();
        }
        self.pay()?;
        let graph = Graph::new(self.nodes as usize, &self.arcs, self.budget)?;
        Ok(Dependencies { graph, txns: self.txns.list.len() })
    }
}

/// The graph of list-append transactions.
pub(super) fn of_lists<'a>(orders: &'a Orders, budget: &'a Budget) -> Result<Dependencies<'a>, Spent> {
    let mut builder = Builder::new(orders.txns, &orders.committed, budget)?;
    builder.arcs.reserve(2 * orders.external.len() + orders.position.len() + 3 * orders.txns.list.len());
    builder.pay()?;
    let mut readers: Vec<(u32, u32)> = Vec::new();
    for read in &orders.external {
        if orders.keys[read.key as usize].tainted {
            continue;
        }
        let (elements, at) = (orders.elements(read.key), read.len as usize);
        if at > 0 {
            builder.edge(orders.writer(elements[at - 1]), read.txn, WR, read.key);
        }
        // What failed transactions appended has no writer.
        match elements[at..].iter().map(|&next| orders.writer(next)).find(|&next| next != NONE) {
            Some(next) => builder.edge(read.txn, next, RW, read.key),
            None if orders.unread.is_empty() => {}
            None => readers.push((read.key, read.txn)),
        }
    }
    builder.pay()?;
    for key in (0..orders.keys.len() as u32).filter(|&key| !orders.keys[key as usize].tainted) {
        let mut before = NONE;
        for writer in orders.elements(key).iter().map(|&e| orders.writer(e)).filter(|&w| w != NONE) {
            builder.edge(before, writer, WW, key);
            before = writer;
        }
    }
    readers.sort_unstable();
    for chunk in orders.unread.chunk_by(|a, b| a.key == b.key) {
        let key = chunk[0].key;
        let mut targets: Vec<u32> = chunk.iter().map(|unread| unread.txn).collect();
        targets.sort_unstable();
        targets.dedup();
        let first = readers.partition_point(|reader| reader.0 < key);
        let readers =
            readers[first..].iter().take_while(|reader| reader.0 == key).map(|reader| (reader.1, RW));
        let last = orders.elements(key).iter().rev().map(|&e| orders.writer(e)).find(|&w| w != NONE);
        builder.fan(last.map(|txn| (txn, WW)).into_iter().chain(readers), &targets, key);
    }
    builder.pay()?;
    builder.finish()
}
