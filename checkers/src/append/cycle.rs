//! Cycles of the dependency graph, by class.

use super::graph::{Dependencies, LINK, PROCESS, REALTIME, RW, WR, WW};
use crate::graph::{Arc, Mask};

/// A cycle of transactions, auxiliary nodes taken out.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    /// Elle's name: `G0`, `G1c`, `G-single` or `G2-item`, with `-process` or `-realtime`.
    pub(super) class: String,
    /// Each edge starts where the one before ends, and the first where the last ends.
    pub(super) arcs: Vec<Arc>,
}

/// The classes, worst first: what a cycle may hold, and what it is searched from. All but the last are cycles of a
/// weaker model than serializability.
const CLASSES: [(Mask, Mask); 4] = [(WW, WW), (WW | WR, WR), (WW | WR, RW), (WW | WR | RW, RW)];

/// The variants: how else transactions may be ordered.
const VARIANTS: [Mask; 3] = [0, PROCESS, PROCESS | REALTIME];

/// The shortest cycle found for each class in each strongly connected component over the edges in `mask`. A search ends
/// after `cap` edges, but never before it has found a cycle of some class in each component. Transactions in `told` are
/// left out of real-time cycles, because something worse was said of them. Returns the work done.
pub(super) fn cycles(deps: &Dependencies, mask: Mask, told: &[u32], cap: u64) -> (Vec<Cycle>, u64) {
    let graph = &deps.graph;
    let mut work = (graph.nodes() + graph.edges()) as u64;
    let components = graph.components(mask | LINK, |_| true);
    let mut inside = vec![false; graph.nodes()];
    components.iter().flatten().for_each(|&node| inside[node as usize] = true);
    let mut found = Vec::new();
    if components.is_empty() {
        return (found, work);
    }
    for variant in VARIANTS.into_iter().filter(|variant| variant & !mask == 0) {
        if variant & REALTIME != 0 {
            told.iter().for_each(|&txn| inside[txn as usize] = false);
        }
        for (through, from) in CLASSES {
            let all = through | from | variant | LINK;
            for component in graph.components(all, |node| inside[node as usize]) {
                let path = through | variant | LINK;
                let Some(cycle) = shortest(deps, component, (from, path), cap, &mut work) else { continue };
                cycle.iter().for_each(|arc| inside[arc.from as usize] = false);
                found.push(Cycle { class: class(&cycle), arcs: cycle });
            }
        }
    }
    (found, work)
}

/// The shortest cycle that starts with an edge in `first` and goes on with edges in `path`.
fn shortest(
    deps: &Dependencies,
    mut component: Vec<u32>,
    (first, path): (Mask, Mask),
    cap: u64,
    work: &mut u64,
) -> Option<Vec<Arc>> {
    component.sort_unstable();
    let keep = |node: u32| component.binary_search(&node).is_ok();
    let stop = work.saturating_add(cap);
    let mut best: Option<Vec<Arc>> = None;
    let starts = component.iter().flat_map(|&node| deps.graph.out(node));
    for start in starts.filter(|arc| arc.label & first != 0 && keep(arc.to)) {
        if *work > stop {
            break;
        }
        let Some(rest) = deps.graph.path((start.to, start.from), path, LINK, keep, work) else { continue };
        let mut cycle = vec![start];
        cycle.extend(rest);
        let cycle = without_auxiliary(deps, cycle);
        if best.as_ref().is_none_or(|best| cycle.len() < best.len()) {
            best = Some(cycle);
        }
        if best.as_ref().is_some_and(|best| best.len() <= 2) {
            break;
        }
    }
    best
}

/// An edge into an auxiliary node and the links after it are one edge.
fn without_auxiliary(deps: &Dependencies, cycle: Vec<Arc>) -> Vec<Arc> {
    let mut whole: Vec<Arc> = Vec::new();
    for arc in cycle {
        match whole.last_mut() {
            Some(last) if last.to as usize >= deps.txns => last.to = arc.to,
            _ => whole.push(arc),
        }
    }
    whole
}

/// Names a cycle after the edges that it holds.
fn class(cycle: &[Arc]) -> String {
    let count = |label: Mask| cycle.iter().filter(|arc| arc.label == label).count();
    let class = match (count(RW), count(WR)) {
        (0, 0) => "G0",
        (0, _) => "G1c",
        (1, _) => "G-single",
        _ => "G2-item",
    };
    let suffix = match (count(REALTIME), count(PROCESS)) {
        (0, 0) => "",
        (0, _) => "-process",
        _ => "-realtime",
    };
    format!("{class}{suffix}")
}
