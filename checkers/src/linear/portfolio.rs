//! Which engine judges an object, and for how long.

use super::engine::{Found, Report};
use super::foresight::Foresight;
use super::meter::{Limit, Limits};
use super::problem::Problem;
use super::zones::UniqueWrites;
use super::{breadth, depth};
use crate::Spent;
use crate::model::Model;

/// Which search to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Depth,
    Breadth,
}

/// Configurations that the first engine may explore before the second gets its turn.
const FIRST_TURN: u64 = 1 << 16;

/// Operations that may be pending at once.
pub(crate) const WIDTH_MAX: usize = 1 << 16;

/// How much longer each turn is than the one before.
const TURN_GROWTH: u64 = 8;

/// Judges unique writes by their zones, and anything else by search: runs the engines in turns of growing length until one answers. A turn starts anew: the next is so much longer
/// that all earlier ones weigh little.
///
/// Depth first finds an order fast where there is one; breadth first needs little memory and sees sooner that there
/// is none. Turns are counted in configurations, not in time, so the answer depends on the history alone.
pub(crate) fn solve<M: Model>(model: &M, problem: &Problem<M::Op>, limits: &Limits<'_>) -> Report {
    if let Some(unique) = UniqueWrites::new(model, problem) {
        return zones(&unique, problem, limits);
    }
    let mut report = search(model, problem, limits);
    report.legal = report.reached;
    if report.found == Found::Illegal && Foresight::applies(model, problem) {
        return first_illegal(model, problem, limits, report);
    }
    report
}

/// The answer with the return that no order passes, which a search with foresight need not have reached. A prefix of a
/// linearizable history is linearizable, so it is found by halving. The probes share the steps that are left; one that
/// gives up says nothing, and then the answer is the first return that is known to fail.
fn first_illegal<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    limits: &Limits<'_>,
    mut report: Report,
) -> Report {
    // An order passes what comes before `low`, and none all that comes before `high`, which follows a return.
    let (mut low, mut high) = (report.reached, problem.steps.len());
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        let probe = problem.prefix(middle);
        let left = limits.steps.saturating_sub(report.steps);
        let probes = u64::from((high - low).ilog2()) + 1;
        let part = search(model, &probe, &Limits { steps: left / probes, ..*limits });
        report.steps += part.steps;
        match part.found {
            Found::Illegal => high = probe.steps.len(),
            Found::Linearizable => low = middle,
            Found::Exhausted(_) => break,
        }
    }
    (report.reached, report.legal) = (high - 1, low);
    report
}

fn search<M: Model>(model: &M, problem: &Problem<M::Op>, limits: &Limits<'_>) -> Report {
    let mut turn = FIRST_TURN.max(problem.returns as u64 * 4);
    let mut total = Report::new(Found::Illegal);
    loop {
        for engine in [Engine::Depth, Engine::Breadth] {
            let steps = turn.min(limits.steps.saturating_sub(total.steps));
            let report = run(engine, model, problem, &Limits { steps, ..*limits });
            total.steps += report.steps;
            total.reached = total.reached.max(report.reached);
            total.memory_bytes = total.memory_bytes.max(report.memory_bytes);
            total.found = report.found;
            match report.found {
                Found::Exhausted(Limit::Steps) if total.steps < limits.steps => {}
                // The other engine may do with less.
                Found::Exhausted(Limit::Spent(Spent::Memory { .. })) if engine == Engine::Depth => {}
                _ => return total,
            }
        }
        turn = turn.saturating_mul(TURN_GROWTH);
    }
}

fn zones<O>(unique: &UniqueWrites, problem: &Problem<O>, limits: &Limits<'_>) -> Report {
    let held = limits.budget.lease(unique.memory_bytes()).map_err(Limit::from);
    let illegal = match held.and_then(|_held| unique.first_illegal(problem, limits.budget)) {
        Ok(illegal) => illegal,
        Err(limit) => return Report::new(Found::Exhausted(limit)),
    };
    Report {
        found: if illegal.is_some() { Found::Illegal } else { Found::Linearizable },
        steps: 0,
        reached: illegal.unwrap_or(problem.steps.len()),
        legal: illegal.unwrap_or(problem.steps.len()),
        memory_bytes: unique.memory_bytes(),
    }
}

/// Runs one engine with a window that is wide enough.
pub(crate) fn run<M: Model>(
    engine: Engine,
    model: &M,
    problem: &Problem<M::Op>,
    limits: &Limits<'_>,
) -> Report {
    match problem.width {
        0..=64 => run_wide::<M, 1>(engine, model, problem, limits),
        65..=256 => run_wide::<M, 4>(engine, model, problem, limits),
        257..=4096 => run_wide::<M, 64>(engine, model, problem, limits),
        // All moves of one configuration at once would take too much memory: one by one.
        4097..=WIDTH_MAX => depth::search::<M, { WIDTH_MAX / 64 }>(model, problem, limits),
        _ => Report::new(Found::Exhausted(Limit::Width)),
    }
}

fn run_wide<M: Model, const N: usize>(
    engine: Engine,
    model: &M,
    problem: &Problem<M::Op>,
    limits: &Limits<'_>,
) -> Report {
    match engine {
        Engine::Depth => depth::search::<M, N>(model, problem, limits),
        Engine::Breadth => breadth::search::<M, N>(model, problem, limits),
    }
}
