//! Causal convergence (CCv): all sessions agree on one order of conflicting writes.

use super::cc::{Causality, Pattern, Step};
use crate::graph::{Arc, Graph};
use crate::registers::Sessions;
use crate::{Budget, Spent};

pub(super) const CAUSAL: u8 = 1;
pub(super) const CONFLICT: u8 = 2;

/// The cycles of the causal and the conflict order together, one for each strongly connected component, with as few
/// conflict steps as were found within `cap` edges of search. A history that is CC has none exactly if it is CCv
/// (POPL 2017, lemma 7). The number is the work done.
///
/// # Errors
/// What is spent.
pub(crate) fn cycles(
    kv: &Sessions,
    causality: &Causality,
    cap: u64,
    budget: &Budget,
) -> Result<(Vec<Pattern>, u64), Spent> {
    let lease = budget.lease((2 * kv.ops.len() + causality.conflicts.len()) * size_of::<Arc>())?;
    let mut arcs = Vec::with_capacity(2 * kv.ops.len() + causality.conflicts.len());
    for op in 0..kv.ops.len() as u32 {
        for from in [kv.previous(op), kv.source(op)].into_iter().flatten() {
            arcs.push(Arc { from, to: op, label: CAUSAL, via: 0 });
        }
    }
    for conflict in &causality.conflicts {
        arcs.push(Arc { from: conflict.from, to: conflict.to, label: CONFLICT, via: conflict.read });
    }
    let graph = Graph::new(kv.ops.len(), &arcs, budget)?;
    drop((arcs, lease));
    let mut work = (graph.nodes() + graph.edges()) as u64;
    // One conflict edge and a causal path back would be a bad pattern of CC: a cycle has two or more.
    let mut found = Vec::new();
    for component in graph.components(CAUSAL | CONFLICT, |_| true, budget)? {
        found.push(Pattern::CyclicCf(shortest(&graph, &component, 2, cap, &mut work, budget)?));
    }
    Ok((found, work))
}

/// A cycle inside a component with the fewest conflict edges that a search of at most `cap` edges finds; the first
/// search always runs to its end. No cycle has fewer than `least`.
///
/// # Errors
/// What is spent, unless a cycle was found before.
pub(super) fn shortest(
    graph: &Graph,
    component: &[u32],
    least: usize,
    cap: u64,
    work: &mut u64,
    budget: &Budget,
) -> Result<Vec<Step>, Spent> {
    let mut member = component.to_vec();
    member.sort_unstable();
    let keep = |node: u32| member.binary_search(&node).is_ok();
    let mut best: Option<(usize, Vec<Arc>)> = None;
    let stop = work.saturating_add(cap);
    let conflicts = member.iter().flat_map(|&node| graph.out(node)).filter(|arc| arc.label == CONFLICT);
    for first in conflicts.filter(|arc| keep(arc.to)) {
        let back = (first.to, first.from);
        let mut cycle = match graph.path(back, CAUSAL | CONFLICT, CAUSAL, keep, work, budget) {
            Ok(Some(cycle)) => cycle,
            Ok(None) => continue,
            Err(_) if best.is_some() => break,
            Err(spent) => return Err(spent),
        };
        cycle.insert(0, first);
        let weight = cycle.iter().filter(|arc| arc.label == CONFLICT).count();
        if best.as_ref().is_none_or(|(least, _)| weight < *least) {
            best = Some((weight, cycle));
        }
        if weight <= least || *work > stop {
            break;
        }
    }
    let (_, cycle) = best.expect("a component without a conflict edge is a causal cycle, found before");
    Ok(steps(&cycle))
}

/// Runs of causal edges become one step.
fn steps(cycle: &[Arc]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for arc in cycle {
        match (arc.label, steps.last_mut()) {
            (CAUSAL, Some(Step::Causal { to, .. })) => *to = arc.to,
            (CAUSAL, _) => steps.push(Step::Causal { from: arc.from, to: arc.to }),
            _ => steps.push(Step::Conflict { from: arc.from, to: arc.to, read: arc.via }),
        }
    }
    steps
}
