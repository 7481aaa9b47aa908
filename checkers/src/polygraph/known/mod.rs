//! What must come before what in every order: the known graph, and its growth by whatever it implies.
//!
//! Each session is a chain, so reachability is one number for each node and session: how far into the session the past of
//! the node reaches. That takes O(nodes × sessions) memory, and an edge is followed in O(sessions).
//!
//! An edge is implied where the other order of two writers of a key would close a cycle (the pruning of Tan et al.,
//! *Cobra*, OSDI 2020, and Huang et al., *PolySI*, VLDB 2023). Along a session it is enough to look at the last such writer,
//! so that no pair of writers is ever written down.

mod infer;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::PolygraphModel;
use super::problem::{INIT, Problem};
use crate::intern::FastBuild;
use crate::txn::NONE;
use crate::{Budget, Lease, Spent};

/// Steps between two looks at the budget.
const ASK_EVERY: u32 = 1 << 14;

/// Why one event comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A transaction begins before it commits.
    Own,
    /// The same session, or the initial versions.
    Session,
    /// The read saw the other's version.
    Read(u32),
    /// It had completed before the other began.
    RealTime,
    /// Goes on from an auxiliary node; the edge before tells why.
    Link,
    /// The read saw the version of `to`, and `from` wrote that key and came before the read.
    Overwritten(u32),
    /// The read saw the version before which `to` could not have been written.
    Unread(u32),
    /// Both wrote that version's key, and `from` began before `to` committed.
    Overlap(u32),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) why: Why,
    /// The edge into `to` that was drawn before this one, or `NONE`.
    next: u32,
}

/// Which nodes a transaction has: one for all of it, or one for its snapshot and one for its commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) split: bool,
    /// Nodes of transactions; those from here on are auxiliary.
    pub(super) nodes: u32,
}

impl Layout {
    pub(super) fn new(model: PolygraphModel, txns: usize) -> Layout {
        let split = model.split();
        Layout { split, nodes: txns as u32 * if split { 2 } else { 1 } }
    }

    /// When it reads.
    pub(super) fn begin(self, txn: u32) -> u32 {
        if self.split { 2 * txn } else { txn }
    }

    /// When it writes.
    pub(super) fn commit(self, txn: u32) -> u32 {
        if self.split { 2 * txn + 1 } else { txn }
    }

    /// The transaction of a node that is not auxiliary.
    pub(super) fn txn(self, node: u32) -> Option<u32> {
        (node < self.nodes).then_some(if self.split { node / 2 } else { node })
    }
}

/// The known graph.
pub(super) struct Known<'a> {
    pub(super) problem: &'a Problem,
    pub(super) model: PolygraphModel,
    pub(super) layout: Layout,
    pub(super) edges: Vec<Edge>,
    /// All nodes, each after those before it, once [`grow`](Known::grow) has found no cycle.
    pub(super) order: Vec<u32>,
    /// Edges and reads that were looked at.
    pub(super) steps: u64,
    last_in: Vec<u32>,
    /// When each node was recorded.
    recorded: Vec<u32>,
    sessions: usize,
    /// Whether to draw what is implied.
    implies: bool,
    /// For each node, for each session: twice the number of transactions that it comes after, less one if it comes only
    /// after the snapshot of the last.
    rows: Vec<u32>,
    dirty: Vec<bool>,
    /// How far into a session the edges reach that a node has not taken over yet.
    drawn: HashMap<(u32, u32), u32, FastBuild>,
}

impl<'a> Known<'a> {
    /// The graph of session order, reads-from and real time.
    pub(super) fn new(
        problem: &'a Problem,
        model: PolygraphModel,
        budget: &Budget,
    ) -> Result<Known<'a>, Spent> {
        let layout = Layout::new(model, problem.len());
        let mut known = Known {
            problem,
            model,
            layout,
            edges: Vec::new(),
            order: Vec::new(),
            steps: 0,
            last_in: vec![NONE; layout.nodes as usize],
            recorded: vec![0; layout.nodes as usize],
            sessions: problem.sessions.len(),
            implies: false,
            rows: Vec::new(),
            dirty: Vec::new(),
            drawn: HashMap::default(),
        };
        for (txn, entry) in problem.entries.iter().enumerate() {
            let complete = if entry.complete == NONE { entry.invoke } else { entry.complete };
            known.recorded[layout.begin(txn as u32) as usize] = entry.invoke;
            known.recorded[layout.commit(txn as u32) as usize] = complete;
        }
        known.draw_sessions();
        for read in 0..problem.reads.len() as u32 {
            if read.is_multiple_of(ASK_EVERY) {
                budget.ask()?;
            }
            let writer = problem.versions[problem.reads[read as usize].version as usize].txn;
            known.draw(
                layout.commit(writer),
                layout.begin(problem.reads[read as usize].txn),
                Why::Read(read),
            );
        }
        if model == PolygraphModel::StrictSerializable {
            known.draw_real_time();
        }
        budget.ask()?;
        Ok(known)
    }

    /// Bytes that it takes with as many edges as it has.
    pub(super) fn bytes(&self) -> usize {
        let nodes = self.last_in.len();
        self.edges.capacity() * size_of::<Edge>() + nodes * (4 * self.sessions + 32)
    }

    fn draw(&mut self, from: u32, to: u32, why: Why) {
        let edge = self.edges.len() as u32;
        self.edges.push(Edge { from, to, why, next: self.last_in[to as usize] });
        self.last_in[to as usize] = edge;
    }

    /// Draws an edge from a node of a transaction, unless it is known.
    fn draw_new(&mut self, from: u32, to: u32, why: Why) {
        let Some((session, number)) = self.number(from) else { return };
        if self.row(to, session) >= number {
            return;
        }
        let reached = self.drawn.entry((to, session)).or_insert(0);
        if *reached < number {
            *reached = number;
            self.draw(from, to, why);
        }
    }

    fn draw_sessions(&mut self) {
        let (layout, problem) = (self.layout, self.problem);
        for session in &problem.sessions {
            if layout.split {
                for &txn in session {
                    self.draw(layout.begin(txn), layout.commit(txn), Why::Own);
                }
            }
            for pair in session.windows(2) {
                self.draw(layout.commit(pair[0]), layout.begin(pair[1]), Why::Session);
            }
            if let Some(&first) = session.first().filter(|&&first| first != INIT) {
                self.draw(layout.commit(INIT), layout.begin(first), Why::Session);
            }
        }
    }

    /// From each completed transaction to those that began later, by a chain of auxiliary nodes, one for each
    /// completion: three edges a transaction, whatever the concurrency.
    fn draw_real_time(&mut self) {
        let mut events: Vec<(u32, u32)> = Vec::new();
        for (txn, entry) in (0u32..).zip(&self.problem.entries).filter(|(txn, _)| *txn != INIT) {
            events.push((entry.invoke, txn));
            events.extend((entry.complete != NONE).then_some((entry.complete, txn)));
        }
        events.sort_unstable();
        let mut now = NONE;
        for (event, txn) in events {
            if event == self.problem.entries[txn as usize].invoke {
                if now != NONE {
                    self.draw(now, self.layout.begin(txn), Why::Link);
                }
                continue;
            }
            let next = self.last_in.len() as u32;
            self.last_in.push(NONE);
            self.recorded.push(event);
            if now != NONE {
                self.draw(now, next, Why::Link);
            }
            self.draw(self.layout.commit(txn), next, Why::RealTime);
            now = next;
        }
    }

    pub(super) fn nodes(&self) -> usize {
        self.last_in.len()
    }

    /// The edges into a node, the newest first.
    pub(super) fn into(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let next = |edge: &u32| Some(self.edges[*edge as usize].next).filter(|&edge| edge != NONE);
        std::iter::successors(Some(self.last_in[node as usize]).filter(|&edge| edge != NONE), next)
    }

    /// The number of a snapshot or a commit in its session.
    fn begun(&self, txn: u32) -> u32 {
        2 * self.problem.place[txn as usize] + if self.layout.split { 1 } else { 2 }
    }

    fn committed(&self, txn: u32) -> u32 {
        2 * self.problem.place[txn as usize] + 2
    }

    /// How far into a session the past of a node reaches.
    fn row(&self, node: u32, session: u32) -> u32 {
        self.rows[node as usize * self.sessions + session as usize]
    }

    /// The session of a node of a transaction, and its number in it.
    fn number(&self, node: u32) -> Option<(u32, u32)> {
        let txn = self.layout.txn(node)?;
        let number = if node == self.layout.commit(txn) { self.committed(txn) } else { self.begun(txn) };
        Some((self.problem.session(txn), number))
    }

    /// Whether it is known that `from`, which is no auxiliary node, comes before `to` or is it.
    pub(super) fn reaches(&self, from: u32, to: u32) -> bool {
        self.number(from).is_some_and(|(session, number)| self.row(to, session) >= number)
    }

    /// Whether all that is known to come before `node` is among the first so many events of each session.
    pub(super) fn ready(&self, node: u32, done: &[u32]) -> bool {
        let start = node as usize * self.sessions;
        let own = self.number(node).map_or(NONE, |(session, _)| session);
        let row = &self.rows[start..start + self.sessions];
        (0u32..).zip(row.iter().zip(done)).all(|(session, (&past, &done))| {
            let done = if self.layout.split { done } else { 2 * done };
            session == own || past <= done
        })
    }

    /// When a node was recorded.
    pub(super) fn recorded(&self, node: u32) -> u32 {
        self.recorded[node as usize]
    }

    /// Draws all edges that are implied. False if there is a cycle.
    pub(super) fn grow(&mut self, budget: &Budget) -> Result<bool, Spent> {
        self.implies = true;
        self.carry(budget)
    }

    /// Finds out what comes before what, and no more. False if there is a cycle.
    pub(super) fn carry(&mut self, budget: &Budget) -> Result<bool, Spent> {
        let mut lease = budget.lease(self.bytes())?;
        self.rows = vec![0; self.nodes() * self.sessions];
        self.dirty = vec![true; self.nodes()];
        loop {
            if !self.sort(budget)? {
                return Ok(false);
            }
            let again = self.sweep(budget, &mut lease)?;
            if !again {
                return Ok(true);
            }
        }
    }

    /// Finds an order of all nodes, as near as may be to that in which they were recorded. False if there is a cycle; then
    /// the order ends before it.
    fn sort(&mut self, budget: &Budget) -> Result<bool, Spent> {
        let nodes = self.nodes();
        let mut waiting = vec![0u32; nodes];
        let mut starts = vec![0u32; nodes + 1];
        for edge in &self.edges {
            waiting[edge.to as usize] += 1;
            starts[edge.from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut out = vec![0u32; self.edges.len()];
        for edge in &self.edges {
            out[next[edge.from as usize] as usize] = edge.to;
            next[edge.from as usize] += 1;
        }
        let ready = (0..nodes as u32).filter(|&node| waiting[node as usize] == 0);
        let mut heap: BinaryHeap<Reverse<(u32, u32)>> =
            ready.map(|node| Reverse((self.recorded[node as usize], node))).collect();
        self.order.clear();
        while let Some(Reverse((_, node))) = heap.pop() {
            if self.order.len().is_multiple_of(ASK_EVERY as usize) {
                budget.ask()?;
            }
            self.order.push(node);
            for &to in &out[starts[node as usize] as usize..starts[node as usize + 1] as usize] {
                waiting[to as usize] -= 1;
                if waiting[to as usize] == 0 {
                    heap.push(Reverse((self.recorded[to as usize], to)));
                }
            }
        }
        self.steps += self.edges.len() as u64;
        Ok(self.order.len() == nodes)
    }

    /// Carries the past of each node on, in order, and draws what that implies. True if it must be done again.
    fn sweep(&mut self, budget: &Budget, lease: &mut Lease) -> Result<bool, Spent> {
        let order = std::mem::take(&mut self.order);
        let mut place = vec![0u32; order.len()];
        for (at, &node) in (0u32..).zip(&order) {
            place[node as usize] = at;
        }
        self.drawn.clear();
        let (mut again, mut grown) = (false, Vec::new());
        let mut changed = vec![false; order.len()];
        for (at, &node) in (0u32..).zip(&order) {
            if at % 256 == 0 {
                budget.ask()?;
                lease.resize(self.bytes())?;
            }
            if !self.refresh(node, &changed, &mut grown) {
                continue;
            }
            changed[node as usize] = true;
            let drawn = self.edges.len();
            if self.implies {
                self.infer(node, &grown);
            }
            for edge in &self.edges[drawn..] {
                self.dirty[edge.to as usize] = true;
                let (from, to) = (place[edge.from as usize], place[edge.to as usize]);
                again |= from >= to || to <= at;
            }
        }
        self.order = order;
        Ok(again)
    }

    /// Takes over the past of those before `node`; the sessions of which it then knows more are `grown`. False if none.
    fn refresh(&mut self, node: u32, changed: &[bool], grown: &mut Vec<u32>) -> bool {
        let edges = &self.edges;
        let mut at = self.last_in[node as usize];
        let all = std::mem::take(&mut self.dirty[node as usize]);
        let mut row: Option<Vec<u32>> = None;
        let start = node as usize * self.sessions;
        while at != NONE {
            let edge = edges[at as usize];
            at = edge.next;
            if !all && !changed[edge.from as usize] {
                continue;
            }
            self.steps += 1;
            let row = row.get_or_insert_with(|| self.rows[start..start + self.sessions].to_vec());
            let from = edge.from as usize * self.sessions;
            for (have, &more) in row.iter_mut().zip(&self.rows[from..from + self.sessions]) {
                *have = (*have).max(more);
            }
        }
        let mut row = match row {
            Some(row) => row,
            None if all => self.rows[start..start + self.sessions].to_vec(),
            None => return false,
        };
        if let Some((session, own)) = self.number(node) {
            let mine = &mut row[session as usize];
            *mine = (*mine).max(own);
        }
        grown.clear();
        grown.extend(
            (0u32..)
                .zip(row.iter().zip(&self.rows[start..]))
                .filter(|(_, (new, old))| new != old)
                .map(|(session, _)| session),
        );
        self.rows[start..start + self.sessions].copy_from_slice(&row);
        !grown.is_empty()
    }
}
