//! Which transactions a contradiction needs.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};

use super::known::{Edge, Known, Why};
use super::problem::INIT;
use super::solver::{Cycle, LITERAL, READ};
use crate::txn::NONE;

/// Nodes from which the plainest cycle is looked for.
const STARTS: usize = 100;

/// A cycle of the known graph, which has one: the shortest through some node.
pub(super) fn cycle(known: &Known) -> Cycle {
    let mut left = vec![true; known.nodes()];
    for &node in &known.order {
        left[node as usize] = false;
    }
    // Each node that is left has one that is left before it.
    let mut seen = vec![false; known.nodes()];
    let mut at = left.iter().position(|&left| left).expect("there is a cycle") as u32;
    while !std::mem::replace(&mut seen[at as usize], true) {
        let before = known.into(at).map(|edge| known.edges[edge as usize].from);
        at = before.into_iter().find(|&from| left[from as usize]).expect("it is left");
    }
    around(known, at, &left).expect("it is on a cycle")
}

/// The shortest cycle through a node over the nodes that are left.
fn around(known: &Known, start: u32, left: &[bool]) -> Option<Cycle> {
    let mut came: HashMap<u32, u32> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for edge in known.into(node) {
            let from = known.edges[edge as usize].from;
            if !left[from as usize] || came.contains_key(&from) {
                continue;
            }
            came.insert(from, edge);
            if from == start {
                return Some(follow(known, &came, start, start));
            }
            queue.push_back(from);
        }
    }
    None
}

/// The edges from `from` to `to`, where `came` has the edge that leads on from each node.
fn follow(known: &Known, came: &HashMap<u32, u32>, from: u32, to: u32) -> Cycle {
    let mut path = Vec::new();
    let mut at = from;
    loop {
        let tag = came[&at];
        let edge = known.edges[tag as usize];
        path.push((edge.from, edge.to, tag));
        at = edge.to;
        if at == to {
            return path;
        }
    }
}

/// Of the cycles of a small known graph, which has one, that which is explained most easily: with few edges that take an
/// explanation of their own, and short.
pub(super) fn plainest(known: &Known) -> Cycle {
    let weight = |edge: u32| match known.edges[edge as usize] {
        Edge { why: Why::Own, .. } => 0,
        Edge { from, to, .. } if [from, to].iter().any(|&node| known.layout.txn(node) == Some(INIT)) => 1000,
        Edge { why: Why::Overwritten(_) | Why::Overlap(_), .. } => 100,
        Edge { why: Why::Link, .. } => 0,
        _ => 1,
    };
    let cycles = (0..known.layout.nodes).take(STARTS).filter_map(|node| lightest(known, node, &weight));
    let best = cycles.min_by_key(|(weight, _)| *weight);
    best.map_or_else(|| cycle(known), |(_, cycle)| cycle)
}

/// The cycle of least weight through a node, and its weight. Dijkstra 1959.
fn lightest(known: &Known, start: u32, weight: &impl Fn(u32) -> u32) -> Option<(u32, Cycle)> {
    let mut came: HashMap<u32, u32> = HashMap::new();
    let mut heap: BinaryHeap<Reverse<(u32, u32, u32)>> = BinaryHeap::from([Reverse((0, start, NONE))]);
    let mut done: BTreeSet<u32> = BTreeSet::new();
    while let Some(Reverse((so_far, node, by))) = heap.pop() {
        if by != NONE {
            if !done.insert(node) {
                continue;
            }
            came.insert(node, by);
            if node == start {
                return Some((so_far, follow(known, &came, start, start)));
            }
        }
        for edge in known.into(node) {
            heap.push(Reverse((so_far + weight(edge), known.edges[edge as usize].from, edge)));
        }
    }
    None
}

/// A shortest way in the known graph over edges older than `before`; empty if the ends are one.
pub(super) fn path(known: &Known, from: u32, to: u32, before: u32) -> Cycle {
    let mut came: HashMap<u32, u32> = HashMap::from([(to, NONE)]);
    let mut queue = VecDeque::from([to]);
    while let Some(node) = queue.pop_front() {
        if node == from {
            break;
        }
        for edge in known.into(node).filter(|&edge| edge < before) {
            let next = known.edges[edge as usize].from;
            if known.reaches(from, next) && !came.contains_key(&next) {
                came.insert(next, edge);
                queue.push_back(next);
            }
        }
    }
    if from == to || !came.contains_key(&from) { Vec::new() } else { follow(known, &came, from, to) }
}

/// The ends of the way that implies an edge, if one does, and how old its edges are at least.
pub(super) fn ground(known: &Known, (from, to, tag): (u32, u32, u32)) -> Option<(u32, u32, u32)> {
    let (layout, problem) = (known.layout, known.problem);
    let writer = |read: u32| problem.versions[problem.reads[read as usize].version as usize].txn;
    if tag & LITERAL != 0 {
        return None;
    }
    if tag & READ != 0 {
        return Some((layout.commit(writer(tag & !READ)), to, known.edges.len() as u32));
    }
    match known.edges[tag as usize].why {
        Why::Overwritten(read) => Some((from, layout.begin(problem.reads[read as usize].txn), tag)),
        Why::Unread(read) => {
            let written = known.model.written(layout, layout.txn(to)?);
            Some((layout.commit(writer(read)), written, tag))
        }
        Why::Overlap(_) => Some((layout.begin(layout.txn(from)?), layout.commit(layout.txn(to)?), tag)),
        _ => None,
    }
}

/// The transactions of these cycles and of all that implies their edges, ascending.
pub(super) fn transactions(known: &Known, cycles: &[Cycle]) -> Vec<u32> {
    let mut found: BTreeSet<u32> = BTreeSet::new();
    let mut seen: BTreeSet<(u32, u32)> = BTreeSet::new();
    let mut open: Cycle = cycles.iter().flatten().copied().collect();
    while let Some((from, to, tag)) = open.pop() {
        found.extend([from, to].into_iter().filter_map(|node| known.layout.txn(node)));
        if tag & LITERAL != 0 || !seen.insert((tag, to)) {
            continue;
        }
        if let Some(read) = read(known, tag) {
            let read = known.problem.reads[read as usize];
            found.extend([read.txn, known.problem.versions[read.version as usize].txn]);
        }
        if let Some((from, to, before)) = ground(known, (from, to, tag)) {
            open.extend(path(known, from, to, before));
        }
    }
    found.into_iter().collect()
}

/// The read that a tag is about.
fn read(known: &Known, tag: u32) -> Option<u32> {
    if tag & READ != 0 {
        return Some(tag & !READ);
    }
    match known.edges[tag as usize].why {
        Why::Read(read) | Why::Overwritten(read) | Why::Unread(read) => Some(read),
        _ => None,
    }
}
