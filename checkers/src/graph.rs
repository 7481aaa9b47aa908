//! A directed graph with labelled edges in compressed sparse rows, its strongly connected components, and shortest
//! paths inside them. Nothing here recurses: the depth of a search lives on the heap.

use std::collections::VecDeque;

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

/// The graph: edges sorted by source.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    starts: Vec<u32>,
    to: Vec<u32>,
    via: Vec<u32>,
    label: Vec<Mask>,
}

impl Graph {
    /// The graph of `nodes` nodes with these edges; parallel edges stay.
    pub(crate) fn new(nodes: usize, arcs: &[Arc]) -> Graph {
        let mut starts = vec![0u32; nodes + 1];
        for arc in arcs {
            starts[arc.from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let (mut to, mut via, mut label) = (vec![0; arcs.len()], vec![0; arcs.len()], vec![0; arcs.len()]);
        for arc in arcs {
            let at = next[arc.from as usize] as usize;
            next[arc.from as usize] += 1;
            (to[at], via[at], label[at]) = (arc.to, arc.via, arc.label);
        }
        Graph { starts, to, via, label }
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
    pub(crate) fn components(&self, mask: Mask, keep: impl Fn(u32) -> bool) -> Vec<Vec<u32>> {
        const NEW: u32 = u32::MAX;
        let n = self.nodes();
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
            while let Some(&mut (node, ref mut at)) = calls.last_mut() {
                let v = node as usize;
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
                        found.push(component);
                    }
                }
            }
        }
        found
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
    ) -> Option<Vec<Arc>> {
        let mut came: std::collections::HashMap<u32, (u32, Option<Arc>)> = [(from, (0, None))].into();
        let mut queue: VecDeque<(u32, u32)> = [(from, 0)].into();
        while let Some((node, weight)) = queue.pop_front() {
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
        while let (_, Some(arc)) = came.get(&at)? {
            path.push(*arc);
            at = arc.from;
        }
        path.reverse();
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn graph(nodes: usize, edges: &[(u32, u32, Mask)]) -> Graph {
        let arcs: Vec<Arc> = edges.iter().map(|&(from, to, label)| Arc { from, to, label, via: 0 }).collect();
        Graph::new(nodes, &arcs)
    }

    #[test]
    fn components_agree_with_mutual_reachability() {
        let mut rng = Random(7);
        for _ in 0..2_000 {
            let n = 1 + rng.below(7);
            let edges: Vec<(u32, u32, Mask)> = (0..rng.below(14))
                .map(|_| (rng.below(n) as u32, rng.below(n) as u32, 1 << rng.below(2)))
                .collect();
            let g = graph(n, &edges);
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
                for (id, members) in g.components(mask, |_| true).iter().enumerate() {
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
        assert_eq!(graph(n as usize, &edges).components(1, |_| true)[0].len(), n as usize);
    }

    #[test]
    fn a_path_spends_as_few_costly_edges_as_it_can() {
        let g = graph(4, &[(0, 3, 2), (0, 1, 1), (1, 2, 1), (2, 3, 1)]);
        let mut work = 0;
        assert_eq!(g.path((0, 3), 3, 0, |_| true, &mut work).unwrap().len(), 1);
        assert_eq!(g.path((0, 3), 3, 1, |_| true, &mut work).unwrap().len(), 3);
        assert_eq!(g.path((0, 3), 1, 0, |n| n != 2, &mut work), None);
        assert_eq!(g.path((2, 2), 1, 0, |_| true, &mut work).unwrap(), []);
    }
}
