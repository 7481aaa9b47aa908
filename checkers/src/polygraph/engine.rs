//! Decides whether there is an order: what is known first, then a search.

use super::PolygraphModel;
use super::core;
use super::frontier::Frontier;
use super::known::Known;
use super::problem::Problem;
use super::solver::{Found, Solver};
use crate::{Budget, Spent};

/// Steps of the first try at a search, before the other way is tried.
const FIRST_TRY: u64 = 20_000_000;
/// Events that the search by frontiers may try.
const FRONTIERS: u64 = 200_000;

/// What came out.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) answer: Answer,
    pub(super) steps: u64,
    /// Edges of the known graph.
    pub(super) edges: usize,
    /// Pairs of transactions whose order had to be assumed.
    pub(super) decisions: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Holds,
    /// These transactions, ascending, have no order; nor have all.
    Fails(Vec<u32>),
    /// The cap on steps was reached.
    Capped,
}

/// Whether the problem has an order, for no more steps than `cap` beyond those for the known graph.
pub(super) fn decide(
    problem: &Problem,
    model: PolygraphModel,
    cap: u64,
    budget: &Budget,
) -> Result<Decision, Spent> {
    let mut known = Known::new(problem, model, budget)?;
    let acyclic = known.grow(budget)?;
    let (edges, steps) = (known.edges.len(), known.steps);
    if !acyclic {
        let cycle = core::cycle(&known);
        let answer = Answer::Fails(core::transactions(&known, &[cycle]));
        return Ok(Decision { answer, steps, edges, decisions: 0 });
    }
    let mut lease = budget.lease(known.bytes() + Solver::bytes(&known))?;
    let mut solver = Solver::new(&known, budget)?;
    let mut found = solver.search(cap.min(FIRST_TRY), budget, &mut lease)?;
    if matches!(found, Found::Capped) && cap > FIRST_TRY {
        if model != PolygraphModel::ParallelSnapshotIsolation
            && Frontier::new(&known).search(FRONTIERS, budget)? == Some(true)
        {
            found = Found::Order;
        } else {
            found = solver.search(cap - FIRST_TRY, budget, &mut lease)?;
        }
    }
    let answer = match found {
        Found::Order => Answer::Holds,
        Found::Capped => Answer::Capped,
        Found::Nothing(cycles) => Answer::Fails(core::transactions(&known, &cycles)),
    };
    Ok(Decision { answer, steps: steps + solver.steps(), edges, decisions: solver.decisions })
}
