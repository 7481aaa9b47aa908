//! An order of the nodes of a graph that follows its edges while they come and go.
//!
//! Pearce and Kelly, *A dynamic topological sort algorithm for directed acyclic graphs*, JEA 2006: an edge that agrees with the
//! order costs nothing, another only what lies between its ends. Taking edges away leaves the order right.

use crate::txn::NONE;

/// An edge as its end sees it.
#[derive(Clone, Copy, Debug)]
struct Link {
    node: u32,
    tag: u32,
}

/// A graph without cycles and an order of its nodes. Each edge has a tag.
pub(super) struct Order {
    place: Vec<u32>,
    out: Vec<Vec<Link>>,
    into: Vec<Vec<Link>>,
    edges: Vec<(u32, u32)>,
    /// How each node was reached in the last search: from where, and by which tag.
    came: Vec<(u32, u32)>,
    mark: Vec<u32>,
    now: u32,
    /// Nodes that have another place than they had.
    pub(super) moved: Vec<u32>,
    /// Edges that were looked at.
    pub(super) steps: u64,
}

impl Order {
    /// The order in which the nodes are given, of a graph without edges.
    pub(super) fn new(order: &[u32]) -> Order {
        let mut place = vec![0; order.len()];
        for (at, &node) in (0u32..).zip(order) {
            place[node as usize] = at;
        }
        Order {
            place,
            out: vec![Vec::new(); order.len()],
            into: vec![Vec::new(); order.len()],
            edges: Vec::new(),
            came: vec![(NONE, NONE); order.len()],
            mark: vec![0; order.len()],
            now: 0,
            moved: Vec::new(),
            steps: 0,
        }
    }

    /// Bytes for so many nodes and edges.
    pub(super) fn bytes(nodes: usize, edges: usize) -> usize {
        64 * nodes + 40 * edges
    }

    /// Where a node stands.
    pub(super) fn place(&self, node: u32) -> u32 {
        self.place[node as usize]
    }

    /// Where the edges into a node come from.
    pub(super) fn before(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.into[node as usize].iter().map(|link| link.node)
    }

    /// Number of edges, as [`shrink`](Order::shrink) takes it.
    pub(super) fn edges(&self) -> usize {
        self.edges.len()
    }

    /// Adds an edge.
    ///
    /// # Errors
    /// If it would close a cycle: the edges of the cycle in order, as (from, to, tag), this one last. It is not added.
    pub(super) fn insert(&mut self, from: u32, to: u32, tag: u32) -> Result<(), Vec<(u32, u32, u32)>> {
        if self.place(from) >= self.place(to)
            && let Some(cycle) = self.reorder(from, to)
        {
            let mut cycle = cycle;
            cycle.push((from, to, tag));
            return Err(cycle);
        }
        self.out[from as usize].push(Link { node: to, tag });
        self.into[to as usize].push(Link { node: from, tag });
        self.edges.push((from, to));
        Ok(())
    }

    /// Takes away all edges but the oldest so many.
    pub(super) fn shrink(&mut self, edges: usize) {
        for (from, to) in self.edges.drain(edges..).rev() {
            self.out[from as usize].pop();
            self.into[to as usize].pop();
        }
    }

    /// Moves what must come after `to` behind what must come before `from`. The path from `to` to `from`, if there is one.
    fn reorder(&mut self, from: u32, to: u32) -> Option<Vec<(u32, u32, u32)>> {
        let (low, high) = (self.place(to), self.place(from));
        let mut after = self.search(to, |order| &order.out, |place| place <= high);
        if self.mark[from as usize] == self.now {
            return Some(self.trace(to, from));
        }
        let mut before = self.search(from, |order| &order.into, |place| place >= low);
        before.sort_unstable_by_key(|&node| self.place(node));
        after.sort_unstable_by_key(|&node| self.place(node));
        let nodes = || before.iter().chain(&after);
        let mut places: Vec<u32> = nodes().map(|&node| self.place(node)).collect();
        places.sort_unstable();
        for (&node, place) in nodes().zip(places) {
            self.place[node as usize] = place;
        }
        self.moved.extend(nodes());
        None
    }

    /// All nodes in reach of `start` whose places are within the limit. They are marked.
    fn search(
        &mut self,
        start: u32,
        links: fn(&Order) -> &Vec<Vec<Link>>,
        within: impl Fn(u32) -> bool,
    ) -> Vec<u32> {
        self.now += 1;
        self.mark[start as usize] = self.now;
        let mut found = vec![start];
        let mut at = 0;
        while let Some(&node) = found.get(at) {
            at += 1;
            for i in 0..links(self)[node as usize].len() {
                let link = links(self)[node as usize][i];
                self.steps += 1;
                if self.mark[link.node as usize] != self.now && within(self.place(link.node)) {
                    self.mark[link.node as usize] = self.now;
                    self.came[link.node as usize] = (node, link.tag);
                    found.push(link.node);
                }
            }
        }
        found
    }

    /// A path from `from` to `to` of fewest edges, if there is one: its edges.
    pub(super) fn path(&mut self, from: u32, to: u32) -> Option<Vec<(u32, u32, u32)>> {
        let high = self.place(to);
        self.search(from, |order| &order.out, |place| place <= high);
        (self.mark[to as usize] == self.now).then(|| self.trace(from, to))
    }

    fn trace(&self, from: u32, to: u32) -> Vec<(u32, u32, u32)> {
        let mut path = Vec::new();
        let mut at = to;
        while at != from {
            let (before, tag) = self.came[at as usize];
            path.push((before, at, tag));
            at = before;
        }
        path.reverse();
        path
    }
}
