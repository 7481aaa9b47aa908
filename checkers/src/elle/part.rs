//! One strongly connected component of the dependency graph, numbered afresh, and searches for cycles in it.

use std::collections::{HashMap, VecDeque};

use super::deps::{LINK, PROCESS, REALTIME, RW, RWI, WR, WW};
use crate::graph::{Arc, Graph, Mask};
use crate::intern::FastBuild;
use crate::{Budget, Spent};

/// A component, or a graph made from it: node `2 * n + s` is then node `n` in state `s`.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) graph: Graph<'a>,
    /// Below which nodes may be transactions; all others are auxiliary.
    whole: u32,
    /// Auxiliary nodes of the component.
    auxiliary: Vec<bool>,
    /// States of each node.
    states: u32,
    /// Whether node `whole + n` is node `n` again.
    twins: bool,
}

/// What a search spends: edges looked at, until when it may, and the budget of the check.
#[derive(Debug)]
pub(super) struct Effort<'a> {
    pub(super) work: u64,
    /// Edges that one search may look at.
    pub(super) cap: u64,
    pub(super) budget: &'a Budget,
}

impl Effort<'_> {
    fn spend(&mut self, edges: u64) -> Result<(), Spent> {
        const ASK_EVERY: u64 = 1 << 16;
        let before = self.work / ASK_EVERY;
        self.work += edges;
        if self.work / ASK_EVERY > before { self.budget.ask() } else { Ok(()) }
    }
}

/// Whether a cycle with exactly one edge of a kind was found.
#[derive(Debug)]
pub(super) enum Single {
    Found(Vec<Arc>),
    Absent,
    /// The search was given up.
    Open,
}

impl<'a> Part<'a> {
    pub(super) fn new(auxiliary: Vec<bool>, arcs: &[Arc], budget: &'a Budget) -> Result<Part<'a>, Spent> {
        let whole = auxiliary.len() as u32;
        let graph = Graph::new(auxiliary.len(), arcs, budget)?;
        Ok(Part { graph, whole, auxiliary, states: 1, twins: false })
    }

    fn arcs(&self) -> impl Iterator<Item = Arc> + '_ {
        (0..self.graph.nodes() as u32).flat_map(|node| self.graph.out(node))
    }

    /// The same nodes in two states, where `step` gives the state after an edge. Links keep the state.
    fn doubled(
        &self,
        step: impl Fn(u32, Mask) -> Option<u32>,
        budget: &'a Budget,
    ) -> Result<Part<'a>, Spent> {
        let _lease = budget.lease(2 * self.graph.edges() * size_of::<Arc>())?;
        let mut arcs = Vec::with_capacity(2 * self.graph.edges());
        for arc in self.arcs() {
            for state in 0..2 {
                let after = if arc.label == LINK { Some(state) } else { step(state, arc.label) };
                if let Some(after) = after {
                    arcs.push(Arc { from: 2 * arc.from + state, to: 2 * arc.to + after, ..arc });
                }
            }
        }
        let nodes = 2 * self.graph.nodes();
        let graph = Graph::new(nodes, &arcs, budget)?;
        Ok(Part { graph, auxiliary: self.auxiliary.clone(), states: 2, ..*self })
    }

    /// Cycles of this are the cycles without two adjacent rw edges.
    pub(super) fn nonadjacent(&self, budget: &'a Budget) -> Result<Part<'a>, Spent> {
        let step = |state, label| match label {
            RW | RWI => (state == 0).then_some(1),
            _ => Some(0),
        };
        self.doubled(step, budget)
    }

    /// Cycles of this are those where a wr edge, or one of a process or of real time, comes right before each rw edge.
    pub(super) fn unprefixed(&self, budget: &'a Budget) -> Result<Part<'a>, Spent> {
        let step = |state, label| match label {
            RW | RWI => (state == 0).then_some(1),
            WR | PROCESS | REALTIME => Some(0),
            _ => Some(1),
        };
        self.doubled(step, budget)
    }

    /// The rw edges lead to a chain of all later versions of their key, and these to their writers: so one rw edge stands for
    /// one rw edge and all ww edges of its key after it. Besides these there are only wr edges. A writer that is reached in this
    /// way is a twin of the transaction, which only a wr edge leaves: a transaction may well overwrite what it had read.
    pub(super) fn with_chains(&self, budget: &'a Budget) -> Result<Part<'a>, Spent> {
        // An edge becomes two at most, and a chain has a node and an edge more.
        let _lease = budget.lease(4 * self.graph.edges() * size_of::<Arc>())?;
        let twin = |node: u32| if self.auxiliary[node as usize] { node } else { node + self.whole };
        let mut chain: HashMap<(u32, u32), u32, FastBuild> = HashMap::default();
        let mut nodes = 2 * self.whole;
        let mut arcs = Vec::new();
        let mut enter = |arc: Arc, arcs: &mut Vec<Arc>| {
            if self.auxiliary[arc.to as usize] {
                return arc.to;
            }
            *chain.entry((arc.to, arc.via)).or_insert_with(|| {
                nodes += 1;
                arcs.push(Arc { from: nodes - 1, to: twin(arc.to), label: LINK, via: arc.via });
                nodes - 1
            })
        };
        for arc in self.arcs() {
            match arc.label {
                WR => arcs.extend([arc, Arc { from: twin(arc.from), ..arc }]),
                LINK => arcs.push(Arc { to: twin(arc.to), ..arc }),
                RW => {
                    let to = enter(arc, &mut arcs);
                    arcs.push(Arc { to, ..arc });
                }
                WW => {
                    let to = enter(arc, &mut arcs);
                    let from = enter(Arc { to: arc.from, ..arc }, &mut arcs);
                    arcs.push(Arc { from, to, label: LINK, ..arc });
                }
                _ => {}
            }
        }
        let graph = Graph::new(nodes as usize, &arcs, budget)?;
        Ok(Part { graph, auxiliary: self.auxiliary.clone(), twins: true, ..*self })
    }

    /// The component of each node over the edges in `mask` between nodes that `keep` admits, from 1 up; 0 if it is on no cycle.
    fn colours(&self, mask: Mask, keep: impl Fn(u32) -> bool, effort: &Effort) -> Result<Vec<u32>, Spent> {
        let mut colours = vec![0; self.graph.nodes()];
        let components = self.graph.components(mask, |node| keep(node / self.states), effort.budget)?;
        for (colour, component) in (1..).zip(components) {
            component.iter().for_each(|&node| colours[node as usize] = colour);
        }
        Ok(colours)
    }

    /// A cycle of edges in `path` with at least one in `first`, which are among them; `None` if there is none. It is a shortest
    /// one if `effort` allows.
    pub(super) fn cycle(
        &self,
        (first, path): (Mask, Mask),
        keep: impl Fn(u32) -> bool,
        effort: &mut Effort,
    ) -> Result<Option<Vec<Arc>>, Spent> {
        effort.spend(self.graph.edges() as u64)?;
        let colours = self.colours(path | LINK, keep, effort)?;
        let same = |arc: &Arc| {
            colours[arc.from as usize] != 0 && colours[arc.from as usize] == colours[arc.to as usize]
        };
        let mut search = Search::new(self.graph.nodes());
        let stop = effort.work.saturating_add(effort.cap);
        let mut best: Option<Vec<Arc>> = None;
        for start in self.arcs().filter(|arc| arc.label & first != 0 && same(arc)) {
            if best.as_ref().is_some_and(|best| effort.work > stop || best.len() <= 2) {
                break;
            }
            let keep = |arc: &Arc| arc.label & (path | LINK) != 0 && same(arc);
            self.shorten(&mut best, &mut search, start, keep, effort)?;
        }
        Ok(best)
    }

    /// A cycle of one edge in `first` and otherwise edges in `path`, which is exact unless it is given up.
    pub(super) fn single(
        &self,
        (first, path): (Mask, Mask),
        keep: impl Fn(u32) -> bool,
        effort: &mut Effort,
    ) -> Result<Single, Spent> {
        effort.spend(self.graph.edges() as u64)?;
        let colours = self.colours(first | path | LINK, keep, effort)?;
        let same = |arc: &Arc| {
            colours[arc.from as usize] != 0 && colours[arc.from as usize] == colours[arc.to as usize]
        };
        let mut search = Search::new(self.graph.nodes());
        let stop = effort.work.saturating_add(effort.cap);
        let mut best: Option<Vec<Arc>> = None;
        let follow = |arc: &Arc| arc.label & (path | LINK) != 0 && same(arc);
        let mut starts = self.arcs().filter(|arc| arc.label & first != 0 && same(arc));
        for start in starts.by_ref() {
            self.shorten(&mut best, &mut search, start, follow, effort)?;
            if effort.work > stop || best.as_ref().is_some_and(|best| best.len() <= 2) {
                break;
            }
        }
        if let Some(best) = best {
            return Ok(Single::Found(best));
        }
        let rest: Vec<Arc> = starts.collect();
        let start = match self.closing(&rest, follow, effort)? {
            None => return Ok(if rest.is_empty() { Single::Absent } else { Single::Open }),
            Some(None) => return Ok(Single::Absent),
            Some(Some(start)) => start,
        };
        self.shorten(&mut best, &mut search, start, follow, effort)?;
        Ok(best.map_or(Single::Absent, Single::Found))
    }

    /// One of these edges whose end leads to its start: 64 of them at a time in one pass over the other edges in topological order.
    /// `None` if those have a cycle or it would be too much work.
    fn closing(
        &self,
        starts: &[Arc],
        follow: impl Fn(&Arc) -> bool,
        effort: &mut Effort,
    ) -> Result<Option<Option<Arc>>, Spent> {
        const PASSES: u64 = 64;
        let n = self.graph.nodes();
        let mut degree = vec![0u32; n];
        self.arcs().filter(&follow).for_each(|arc| degree[arc.to as usize] += 1);
        let mut order: Vec<u32> = (0..n as u32).filter(|&node| degree[node as usize] == 0).collect();
        let mut at = 0;
        while let Some(&node) = order.get(at) {
            at += 1;
            for arc in self.graph.out(node).filter(&follow) {
                degree[arc.to as usize] -= 1;
                if degree[arc.to as usize] == 0 {
                    order.push(arc.to);
                }
            }
        }
        if order.len() < n {
            return Ok(None);
        }
        let stop = effort.work.saturating_add(effort.cap.saturating_mul(PASSES));
        for batch in starts.chunks(64) {
            if effort.work > stop {
                return Ok(None);
            }
            effort.spend(self.graph.edges() as u64)?;
            let mut reached = vec![0u64; n];
            (0..).zip(batch).for_each(|(bit, start)| reached[start.to as usize] |= 1 << bit);
            for &node in order.iter().filter(|&&node| self.graph.out(node).next().is_some()) {
                let bits = reached[node as usize];
                if bits != 0 {
                    self.graph.out(node).filter(&follow).for_each(|arc| reached[arc.to as usize] |= bits);
                }
            }
            let closes = |(bit, start): &(u32, &Arc)| reached[start.from as usize] >> bit & 1 == 1;
            if let Some((_, &start)) = (0u32..).zip(batch).find(closes) {
                return Ok(Some(Some(start)));
            }
        }
        Ok(Some(None))
    }

    /// A transaction with a rw edge to one that it reads from, in a part [with chains](Part::with_chains).
    pub(super) fn fractured(&self, effort: &mut Effort) -> Result<Single, Spent> {
        let mut seen = vec![u32::MAX; self.graph.nodes()];
        let mut stack: Vec<Arc> = Vec::new();
        let stop = effort.work.saturating_add(effort.cap);
        for txn in 0..self.whole {
            if effort.work > stop {
                return Ok(Single::Open);
            }
            stack.extend(self.graph.out(txn).filter(|arc| arc.label == RW));
            while let Some(rw) = stack.pop() {
                if std::mem::replace(&mut seen[rw.to as usize], txn) == txn {
                    continue;
                }
                for arc in self.graph.out(rw.to) {
                    effort.spend(1)?;
                    if arc.label == WR && arc.to == txn {
                        return Ok(Single::Found(self.whole_edges(rw, vec![arc])));
                    }
                    if arc.label == LINK {
                        stack.push(Arc { to: arc.to, ..rw });
                    }
                }
            }
        }
        Ok(Single::Absent)
    }

    /// Takes the cycle that `start` closes if it is better than the best.
    fn shorten(
        &self,
        best: &mut Option<Vec<Arc>>,
        search: &mut Search,
        start: Arc,
        follow: impl Fn(&Arc) -> bool,
        effort: &mut Effort,
    ) -> Result<(), Spent> {
        let limit = best.as_ref().map_or(u32::MAX, |best| best.len() as u32 - 1);
        let Some(rest) = search.path(&self.graph, (start.to, start.from), limit, follow, effort)? else {
            return Ok(());
        };
        let cycle = self.whole_edges(start, rest);
        if best.as_ref().is_none_or(|best| cycle.len() < best.len()) {
            *best = Some(cycle);
        }
        Ok(())
    }

    /// An edge into an auxiliary node and the links after it are one edge.
    fn whole_edges(&self, start: Arc, rest: Vec<Arc>) -> Vec<Arc> {
        let node = |node: u32| match node / self.states {
            twin if self.twins && (self.whole..2 * self.whole).contains(&twin) => twin - self.whole,
            node => node,
        };
        let is_auxiliary = |node: u32| node >= self.whole || self.auxiliary[node as usize];
        let mut whole: Vec<Arc> = Vec::new();
        for arc in std::iter::once(start).chain(rest) {
            let arc = Arc { from: node(arc.from), to: node(arc.to), ..arc };
            match whole.last_mut() {
                Some(last) if is_auxiliary(last.to) => last.to = arc.to,
                _ => whole.push(arc),
            }
        }
        whole
    }
}

/// Shortest paths, with memory that is used again.
struct Search {
    /// When each node was last seen, how far it was then, and by which edge.
    seen: Vec<(u32, u32, Option<Arc>)>,
    now: u32,
    queue: VecDeque<(u32, u32)>,
}

impl Search {
    fn new(nodes: usize) -> Search {
        Search { seen: vec![(0, 0, None); nodes], now: 0, queue: VecDeque::new() }
    }

    /// A path of at most `limit` edges from `from` to `to` that `follow` admits, and of the fewest, where links do not count.
    fn path(
        &mut self,
        graph: &Graph,
        (from, to): (u32, u32),
        limit: u32,
        follow: impl Fn(&Arc) -> bool,
        effort: &mut Effort,
    ) -> Result<Option<Vec<Arc>>, Spent> {
        self.now += 1;
        self.queue.clear();
        self.queue.push_back((from, 0));
        self.seen[from as usize] = (self.now, 0, None);
        while let Some((node, far)) = self.queue.pop_front() {
            if self.seen[node as usize].1 < far {
                continue;
            }
            if node == to {
                return Ok(Some(self.back(to)));
            }
            for arc in graph.out(node) {
                effort.spend(1)?;
                let next = far + u32::from(arc.label != LINK);
                let (when, known, _) = self.seen[arc.to as usize];
                if next > limit || when == self.now && known <= next || !follow(&arc) {
                    continue;
                }
                self.seen[arc.to as usize] = (self.now, next, Some(arc));
                if next == far {
                    self.queue.push_front((arc.to, next));
                } else {
                    self.queue.push_back((arc.to, next));
                }
            }
        }
        Ok(None)
    }

    fn back(&self, to: u32) -> Vec<Arc> {
        let mut path = Vec::new();
        let mut at = to;
        while let Some(arc) = self.seen[at as usize].2 {
            path.push(arc);
            at = arc.from;
        }
        path.reverse();
        path
    }
}
