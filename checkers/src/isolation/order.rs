//! Orders of the transactions that respect what is known, and the cycle where there is none.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::plan::Plan;
use crate::graph::{Arc, Graph, Mask};
use crate::txn::NONE;
use crate::{Budget, Spent};

/// Earlier in the same session.
pub(super) const SO: Mask = 1;
/// Wrote what the other read.
pub(super) const WR: Mask = 2;
/// Must commit before, by the axiom of the level.
pub(super) const CO: Mask = 4;

/// By the axiom of a level, `from` comes before `to` in the commit order: `by` read `key` from `to`, although it had to know
/// of `from`, which wrote it too. `NONE` for `to` is the initial value, which comes before everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Forced {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) by: u32,
    pub(super) key: u32,
}

/// Which of the nodes that may come next does.
pub(super) enum Next<'a> {
    /// The one that could come first.
    First,
    /// The one of the least rank.
    Least(&'a [u32]),
}

/// Nodes between two looks at the budget.
const ASK_EVERY: usize = 4096;

/// All nodes in an order that respects sessions, reads and `forced` (Kahn 1962), or those that are on a cycle or after one.
pub(super) fn sort(
    plan: &Plan,
    forced: &[Forced],
    next: Next,
    budget: &Budget,
) -> Result<Result<Vec<u32>, Vec<u32>>, Spent> {
    let nodes = plan.nodes();
    let edges = plan.reads.items().len() + nodes + forced.len();
    let _lease = budget.lease((edges + 5 * nodes) * size_of::<u32>())?;
    let (starts, successors, mut waiting) = successors(plan, forced);
    let roots = (0..nodes as u32).filter(|&node| waiting[node as usize] == 0);
    let mut ready = match next {
        Next::First => Ready::Queue(roots.collect()),
        Next::Least(ranks) => {
            Ready::Heap(roots.map(|root| Reverse((ranks[root as usize], root))).collect(), ranks)
        }
    };
    let mut order = Vec::with_capacity(nodes);
    while let Some(node) = ready.pop() {
        if order.len() % ASK_EVERY == 0 {
            budget.ask()?;
        }
        order.push(node);
        for &to in &successors[starts[node as usize] as usize..starts[node as usize + 1] as usize] {
            waiting[to as usize] -= 1;
            if waiting[to as usize] == 0 {
                ready.push(to);
            }
        }
    }
    if order.len() == nodes {
        return Ok(Ok(order));
    }
    Ok(Err((0..nodes as u32).filter(|&node| waiting[node as usize] > 0).collect()))
}

enum Ready<'a> {
    Queue(VecDeque<u32>),
    Heap(BinaryHeap<Reverse<(u32, u32)>>, &'a [u32]),
}

impl Ready<'_> {
    fn pop(&mut self) -> Option<u32> {
        match self {
            Ready::Queue(queue) => queue.pop_front(),
            Ready::Heap(heap, _) => heap.pop().map(|Reverse((_, node))| node),
        }
    }

    fn push(&mut self, node: u32) {
        match self {
            Ready::Queue(queue) => queue.push_back(node),
            Ready::Heap(heap, ranks) => heap.push(Reverse((ranks[node as usize], node))),
        }
    }
}

/// The successors of all nodes in compressed rows, and how many predecessors each node has.
fn successors(plan: &Plan, forced: &[Forced]) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let nodes = plan.nodes();
    let mut starts = vec![0u32; nodes + 1];
    let mut waiting = vec![0u32; nodes];
    let each = |visit: &mut dyn FnMut(u32, u32)| {
        for node in 0..nodes as u32 {
            plan.preds(node).for_each(|pred| visit(pred, node));
        }
        forced.iter().filter(|edge| edge.to != NONE).for_each(|edge| visit(edge.from, edge.to));
    };
    each(&mut |from, to| {
        starts[from as usize + 1] += 1;
        waiting[to as usize] += 1;
    });
    for node in 0..nodes {
        starts[node + 1] += starts[node];
    }
    let mut fill = starts.clone();
    let mut successors = vec![0u32; starts[nodes] as usize];
    each(&mut |from, to| {
        successors[fill[from as usize] as usize] = to;
        fill[from as usize] += 1;
    });
    (starts, successors, waiting)
}

/// Edges that a search for one cycle may look at, beyond the first cycle that it finds.
const WORK_MAX: u64 = 2_000_000;

/// A short cycle in each of the first `count` strongly connected components among `left`, and how many components there are.
/// Cycles of sessions and reads alone come first. `via` of an edge is its key, or its place in `forced`.
pub(super) fn cycles(
    plan: &Plan,
    forced: &[Forced],
    left: &[u32],
    count: usize,
    budget: &Budget,
) -> Result<(Vec<Vec<Arc>>, usize), Spent> {
    let mut inside = vec![false; plan.nodes()];
    left.iter().for_each(|&node| inside[node as usize] = true);
    let mut arcs = Vec::new();
    for &to in left {
        let mut push = |from: u32, label, via| {
            if from != NONE && inside[from as usize] {
                arcs.push(Arc { from, to, label, via });
            }
        };
        push(plan.before[to as usize], SO, NONE);
        plan.reads.row(to).iter().for_each(|read| push(read.from, WR, read.key));
    }
    for (at, edge) in forced.iter().enumerate().filter(|(_, edge)| edge.to != NONE) {
        if inside[edge.from as usize] && inside[edge.to as usize] {
            arcs.push(Arc { from: edge.from, to: edge.to, label: CO, via: at as u32 });
        }
    }
    let _lease = budget.lease(arcs.capacity() * size_of::<Arc>())?;
    let graph = Graph::new(plan.nodes(), &arcs, budget)?;
    let mut found = Vec::new();
    let mut components = graph.components(SO | WR, |_| true, budget)?;
    if components.is_empty() {
        components = graph.components(SO | WR | CO, |_| true, budget)?;
    }
    let total = components.len();
    components.sort_by_key(Vec::len);
    for component in components.into_iter().take(count) {
        found.extend(shortest(&graph, component, budget)?);
    }
    Ok((found, total))
}

fn shortest(graph: &Graph, mut component: Vec<u32>, budget: &Budget) -> Result<Option<Vec<Arc>>, Spent> {
    component.sort_unstable();
    let keep = |node: u32| component.binary_search(&node).is_ok();
    let (mut best, mut work): (Option<Vec<Arc>>, u64) = (None, 0);
    for start in component.iter().flat_map(|&node| graph.out(node)).filter(|arc| keep(arc.to)) {
        budget.ask()?;
        if best.as_ref().is_some_and(|best| best.len() <= 2 || work > WORK_MAX) {
            break;
        }
        let back = (start.to, start.from);
        let Some(rest) = graph.path(back, SO | WR | CO, 0, keep, &mut work, budget)? else {
            continue;
        };
        if best.as_ref().is_none_or(|best| rest.len() + 1 < best.len()) {
            best = Some(std::iter::once(start).chain(rest).collect());
        }
    }
    Ok(best)
}
