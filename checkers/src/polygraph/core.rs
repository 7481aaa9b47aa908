//! Which transactions a contradiction needs.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::known::{Known, Why};
use super::solver::{Cycle, LITERAL};
use crate::txn::NONE;

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
    let (cycle, _) = around(known, at, &left).expect("it is on a cycle");
    cycle
}

/// The shortest cycle through a node, and its length, over the nodes that are left.
fn around(known: &Known, start: u32, left: &[bool]) -> Option<(Cycle, usize)> {
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
                let cycle = follow(known, &came, start, start);
                let length = cycle.len();
                return Some((cycle, length));
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

/// The shortest of all cycles of a small known graph.
pub(super) fn shortest(known: &Known) -> Cycle {
    let mut left = vec![true; known.nodes()];
    for &node in &known.order {
        left[node as usize] = false;
    }
    let nodes = (0..known.nodes() as u32).filter(|&node| left[node as usize]);
    let cycles = nodes.filter_map(|node| around(known, node, &left));
    cycles.min_by_key(|(_, length)| *length).expect("there is a cycle").0
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

/// The way that implies an edge of the known graph: its ends, if it is implied.
pub(super) fn ground(known: &Known, tag: u32) -> Option<(u32, u32)> {
    let (layout, problem, edge) = (known.layout, known.problem, known.edges[tag as usize]);
    match edge.why {
        Why::Overwritten(read) => Some((edge.from, layout.begin(problem.reads[read as usize].txn))),
        Why::Unread(read) => {
            let writer = problem.versions[problem.reads[read as usize].version as usize].txn;
            let writes = layout.txn(edge.to)?;
            Some((layout.commit(writer), known.model.written(layout, writes)))
        }
        Why::Overlap(_) => Some((layout.begin(layout.txn(edge.from)?), layout.commit(layout.txn(edge.to)?))),
        _ => None,
    }
}

/// The transactions of these cycles and of all that implies their edges, ascending.
pub(super) fn transactions(known: &Known, cycles: &[Cycle]) -> Vec<u32> {
    let mut found: BTreeSet<u32> = BTreeSet::new();
    let mut seen: BTreeSet<u32> = BTreeSet::new();
    let mut open: Vec<(u32, u32, u32)> = cycles.iter().flatten().copied().collect();
    while let Some((from, to, tag)) = open.pop() {
        found.extend([from, to].into_iter().filter_map(|node| known.layout.txn(node)));
        if tag & LITERAL != 0 || !seen.insert(tag) {
            continue;
        }
        if let Why::Read(read) | Why::Overwritten(read) | Why::Unread(read) = known.edges[tag as usize].why {
            let read = known.problem.reads[read as usize];
            found.extend([read.txn, known.problem.versions[read.version as usize].txn]);
        }
        if let Some((from, to)) = ground(known, tag) {
            open.extend(path(known, from, to, tag));
        }
    }
    found.into_iter().collect()
}
