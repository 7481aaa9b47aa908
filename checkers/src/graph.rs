//! A directed graph with labelled edges in compressed sparse rows, its strongly connected components, and shortest
//! paths inside them. Nothing here recurses: the depth of a search lives on the heap.

use std::collections::VecDeque;

use crate::{Budget, Lease, Spent};

/// Which edges a search may take: one bit for each label.
pub(crate) type Mask = u8;

/// One labelled edge. `via` is whatever explains it: a key, an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arc {
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// Exactly one bit.
    pub(crate) label: Mask,
    pub(crate) via: u32,
}

/// Edges or nodes between two looks at the budget.
const ASK_EVERY: usize = 1 << 14;

/// The graph: edges sorted by source.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    starts: Vec<u32>,
    to: Vec<u32>,
    via: Vec<u32>,
    label: Vec<Mask>,
    _lease: Lease<'a>,
}

impl<'a> Graph<'a> {
    /// The graph of `nodes` nodes with these edges; parallel edges stay. Takes 9 bytes an edge and 4 a node.
    pub(crate) fn new(nodes: usize, arcs: &[Arc], budget: &'a Budget) -> Result<Graph<'a>, Spent> {
        let row = size_of::<u32>() * (nodes + 1);
        let edge = 2 * size_of::<u32>() + size_of::<Mask>();
        let mut lease = budget.lease(2 * row + arcs.len() * edge)?;
        let mut starts = vec![0u32; nodes + 1];
        for arcs in arcs.chunks(ASK_EVERY) {
            budget.ask()?;
            arcs.iter().for_each(|arc| starts[arc.from as usize + 1] += 1);
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let (mut to, mut via, mut label) = (vec![0; arcs.len()], vec![0; arcs.len()], vec![0; arcs.len()]);
        for arcs in arcs.chunks(ASK_EVERY) {
            budget.ask()?;
            for arc in arcs {
                let at = next[arc.from as usize] as usize;
                next[arc.from as usize] += 1;
                (to[at], via[at], label[at]) = (arc.to, arc.via, arc.label);
            }
        }
        drop(next);
        lease.resize(row + arcs.len() * edge)?;
        Ok(Graph { starts, to, via, label, _lease: lease })
    }

    pub(crate) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn edges(&self) -> usize {
        self.to.len()
    }

    fn range(&self, node: u32) -> std::ops::Range<usize> {
        self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize
    }

    /// The edges that leave `node`.
    pub(crate) fn out(&self, node: u32) -> impl Iterator<Item = Arc> + '_ {
        self.range(node).map(move |at| Arc {
            from: node,
            to: self.to[at],
            label: self.label[at],
            via: self.via[at],
        })
    }

    /// The strongly connected components of two or more nodes, or of one with an edge to itself, over the edges in
    /// `mask` between nodes that `keep` admits. Tarjan 1972, with the stack of calls on the heap. O(nodes + edges).
    pub(crate) fn components(
        &self,
        mask: Mask,
        keep: impl Fn(u32) -> bool,
        budget: &Budget,
    ) -> Result<Vec<Vec<u32>>, Spent> {
        const NEW: u32 = u32::MAX;
        let n = self.nodes();
        // The two stacks are paid for as they grow, and what is found with them.
        let fixed = n * (2 * size_of::<u32>() + size_of::<bool>());
        let mut lease = budget.lease(fixed)?;
        let mut steps = 0usize;
        let mut held = 0usize;
        let mut index = vec![NEW; n];
        let mut low = vec![0u32; n];
        let mut on_stack = vec![false; n];
        let mut stack: Vec<u32> = Vec::new();
        let mut calls: Vec<(u32, usize)> = Vec::new();
        let mut clock = 0u32;
        let mut found = Vec::new();
        for root in (0..n as u32).filter(|&node| keep(node)) {
            if index[root as usize] != NEW {
                continue;
            }
            calls.push((root, self.range(root).start));
            while !calls.is_empty() {
                if steps >= ASK_EVERY {
                    steps = 0;
                    budget.ask()?;
                    let stacks =
                        stack.capacity() * size_of::<u32>() + calls.capacity() * size_of::<(u32, usize)>();
                    lease.resize(fixed + 2 * stacks + held)?;
                }
                let Some(&mut (node, ref mut at)) = calls.last_mut() else { break };
                let v = node as usize;
                steps += 1;
                if index[v] == NEW {
                    (index[v], low[v]) = (clock, clock);
                    clock += 1;
                    stack.push(node);
                    on_stack[v] = true;
                }
                let end = self.range(node).end;
                let mut descend = None;
                while *at < end {
                    let (to, label) = (self.to[*at], self.label[*at]);
                    *at += 1;
                    steps += 1;
                    if steps.is_multiple_of(ASK_EVERY) {
                        budget.ask()?;
                    }
                    if label & mask == 0 || !keep(to) {
                        continue;
                    }
                    if index[to as usize] == NEW {
                        descend = Some(to);
                        break;
                    }
                    if on_stack[to as usize] {
                        low[v] = low[v].min(index[to as usize]);
                    }
                }
                if let Some(to) = descend {
                    calls.push((to, self.range(to).start));
                    continue;
                }
                calls.pop();
                if let Some(&(parent, _)) = calls.last() {
                    low[parent as usize] = low[parent as usize].min(low[v]);
                }
                if low[v] == index[v] {
                    let at = stack.iter().rposition(|&top| top == node).expect("the root is on the stack");
                    let component = stack.split_off(at);
                    for &member in &component {
                        on_stack[member as usize] = false;
                    }
                    let looped = || self.out(node).any(|arc| arc.to == node && arc.label & mask != 0);
                    if component.len() > 1 || looped() {
                        held += component.capacity() * size_of::<u32>() + size_of::<Vec<u32>>();
                        found.push(component);
                    }
                }
            }
        }
        Ok(found)
    }

    /// A path of edges in `mask` from `from` to `to` over nodes that `keep` admits, of least weight, where an edge
    /// weighs 0 if its label is in `free` and 1 otherwise. Empty if `from == to`; `None` if there is none. Adds the
    /// number of edges it looked at to `work`.
    pub(crate) fn path(
        &self,
        (from, to): (u32, u32),
        mask: Mask,
        free: Mask,
        keep: impl Fn(u32) -> bool,
        work: &mut u64,
        budget: &Budget,
    ) -> Result<Option<Vec<Arc>>, Spent> {
        let mut came: std::collections::HashMap<u32, (u32, Option<Arc>)> = [(from, (0, None))].into();
        let mut queue: VecDeque<(u32, u32)> = [(from, 0)].into();
        let (mut lease, mut asked) = (budget.lease(0)?, *work);
        while let Some((node, weight)) = queue.pop_front() {
            if *work - asked >= ASK_EVERY as u64 {
                budget.ask()?;
                asked = *work;
                let entry = size_of::<(u32, (u32, Option<Arc>))>() + 1;
                lease.resize(came.capacity() * 2 * entry + queue.capacity() * size_of::<(u32, u32)>())?;
            }
            if came[&node].0 < weight {
                continue;
            }
            if node == to {
                break;
            }
            for arc in self.out(node) {
                *work += 1;
                if arc.label & mask == 0 || !keep(arc.to) {
                    continue;
                }
                let next = weight + u32::from(arc.label & free == 0);
                if came.get(&arc.to).is_some_and(|&(known, _)| known <= next) {
                    continue;
                }
                came.insert(arc.to, (next, Some(arc)));
                if next == weight {
                    queue.push_front((arc.to, next))
                } else {
                    queue.push_back((arc.to, next))
                }
            }
        }
        let mut path = Vec::new();
        let mut at = to;
        loop {
            match came.get(&at) {
                None => return Ok(None),
                Some((_, None)) => break,
                Some((_, Some(arc))) => {
                    path.push(*arc);
                    at = arc.from;
                }
            }
        }
        path.reverse();
        Ok(Some(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn graph<'a>(nodes: usize, edges: &[(u32, u32, Mask)], budget: &'a Budget) -> Graph<'a> {
        let arcs: Vec<Arc> = edges.iter().map(|&(from, to, label)| Arc { from, to, label, via: 0 }).collect();
        Graph::new(nodes, &arcs, budget).unwrap()
    }

    /// Nothing here looked at the budget: a graph of millions of edges was built, searched and walked to the end long after
    /// the check had been cancelled, and its rows were beyond the memory cap.
    #[test]
    fn a_budget_ends_each_part_of_the_work() {
        let n = 200_000u32;
        let edges: Vec<(u32, u32, Mask)> = (0..n).map(|i| (i, (i + 1) % n, 1)).collect();
        let arcs: Vec<Arc> = edges.iter().map(|&(from, to, label)| Arc { from, to, label, via: 0 }).collect();
        let rows = 9 * arcs.len() + 4 * (n as usize + 1);
        let small = Budget::default().memory_bytes(rows);
        assert!(matches!(Graph::new(n as usize, &arcs, &small), Err(Spent::Memory { .. })));
        assert_eq!(small.memory_left(), rows);
        let enough = Budget::default().memory_bytes(rows + 4 * (n as usize + 1));
        let graph = Graph::new(n as usize, &arcs, &enough).unwrap();
        assert_eq!(enough.memory_left(), 4 * (n as usize + 1), "what was needed to build it came back");
        assert!(matches!(graph.components(1, |_| true, &enough), Err(Spent::Memory { .. })));
        let path = |budget: &Budget| {
            graph.path((0, n - 1), 1, 0, |_| true, &mut 0, budget).map(|path| path.unwrap().len())
        };
        assert!(matches!(path(&enough), Err(Spent::Memory { .. })));
        let cancelled = Budget::default();
        assert_eq!(path(&cancelled), Ok(n as usize - 1));
        cancelled.cancel();
        assert_eq!(path(&cancelled), Err(Spent::Cancelled));
        assert_eq!(graph.components(1, |_| true, &cancelled), Err(Spent::Cancelled));
        assert!(matches!(Graph::new(n as usize, &arcs, &cancelled), Err(Spent::Cancelled)));
    }

    #[test]
    fn components_agree_with_mutual_reachability() {
        let mut rng = Random(7);
        for _ in 0..2_000 {
            let n = 1 + rng.below(7);
            let edges: Vec<(u32, u32, Mask)> = (0..rng.below(14))
                .map(|_| (rng.below(n) as u32, rng.below(n) as u32, 1 << rng.below(2)))
                .collect();
            let budget = Budget::default();
            let g = graph(n, &edges, &budget);
            for mask in 1..4 {
                let mut reach = vec![vec![false; n]; n];
                for &(a, b, label) in &edges {
                    reach[a as usize][b as usize] |= label & mask != 0;
                }
                for via in 0..n {
                    for a in 0..n {
                        for b in 0..n {
                            reach[a][b] |= reach[a][via] && reach[via][b];
                        }
                    }
                }
                let mut component = vec![usize::MAX; n];
                for (id, members) in g.components(mask, |_| true, &budget).unwrap().iter().enumerate() {
                    members.iter().for_each(|&m| component[m as usize] = id);
                }
                for a in 0..n {
                    assert_eq!(component[a] != usize::MAX, reach[a][a]);
                    for b in 0..n {
                        let together = a != b && reach[a][b] && reach[b][a];
                        assert_eq!(
                            together,
                            a != b && component[a] != usize::MAX && component[a] == component[b]
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_chain_of_a_million_nodes_needs_no_stack() {
        let n = 1_000_000u32;
        let mut edges: Vec<(u32, u32, Mask)> = (1..n).map(|i| (i - 1, i, 1)).collect();
        edges.push((n - 1, 0, 1));
        let budget = Budget::default();
        let found = graph(n as usize, &edges, &budget).components(1, |_| true, &budget).unwrap();
        assert_eq!(found[0].len(), n as usize);
    }

    #[test]
    fn a_path_spends_as_few_costly_edges_as_it_can() {
        let budget = Budget::default();
        let g = graph(4, &[(0, 3, 2), (0, 1, 1), (1, 2, 1), (2, 3, 1)], &budget);
        let path = |ends, mask, free, keep: fn(u32) -> bool| {
            g.path(ends, mask, free, keep, &mut 0, &budget).unwrap().map(|path| path.len())
        };
        assert_eq!(path((0, 3), 3, 0, |_| true), Some(1));
        assert_eq!(path((0, 3), 3, 1, |_| true), Some(3));
        assert_eq!(path((0, 3), 1, 0, |n| n != 2), None);
        assert_eq!(path((2, 2), 1, 0, |_| true), Some(0));
    }
}
