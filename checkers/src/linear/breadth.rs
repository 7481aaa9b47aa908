//! Just-in-time search (Lowe 2017): all configurations, return by return.
//!
//! Nothing takes effect before some return forces it, and a return that was passed leaves only the configurations
//! behind it: memory depends on how many operations are pending at once, not on the length of the history.

use super::cache::{Cache, Config};
use super::engine::{Board, Found, Report};
use super::meter::{Limit, Limits, Meter, growing};
use super::problem::Problem;
use crate::model::Model;

/// Searches for an order of all operations.
pub(crate) fn search<M: Model, const N: usize>(
    model: &M,
    problem: &Problem<M::Op>,
    limits: &Limits<'_>,
) -> Report {
    let mut report = Report::new(Found::Illegal);
    match Meter::new(limits, N) {
        Ok(mut meter) => {
            let found = sweep::<M, N>(model, problem, &mut meter, &mut report);
            report.found = found.unwrap_or_else(Found::Exhausted);
            (report.steps, report.memory_bytes) = (meter.steps, meter.bytes_max);
        }
        Err(limit) => report.found = Found::Exhausted(limit),
    }
    report
}

fn sweep<M: Model, const N: usize>(
    model: &M,
    problem: &Problem<M::Op>,
    meter: &mut Meter<'_>,
    report: &mut Report,
) -> Result<Found, Limit> {
    meter.hold(Board::<M, N>::bytes(problem))?;
    let mut board: Board<'_, '_, M, N> = Board::new(model, problem);
    let mut seen = Cache::<N>::new();
    let mut configs = board.starts().ok_or(Limit::States)?;
    while !board.cursor.at_end() {
        report.reached = board.cursor.position();
        let mut through = close(&mut board, configs, &mut seen, meter)?;
        if through.is_empty() {
            return Ok(Found::Illegal);
        }
        let here = board.cursor.position();
        for config in &mut through {
            board.cursor.seek(here);
            board.pass(config);
            meter.ask()?;
        }
        configs = through;
    }
    report.reached = board.cursor.position();
    Ok(Found::Linearizable)
}

/// The configurations that may pass the return at the frontier, with as few moves as it takes.
fn close<M: Model, const N: usize>(
    board: &mut Board<'_, '_, M, N>,
    from: Vec<Config<N>>,
    seen: &mut Cache<N>,
    meter: &mut Meter<'_>,
) -> Result<Vec<Config<N>>, Limit> {
    seen.clear();
    let before = from.capacity() * size_of::<Config<N>>();
    let mut open = Vec::new();
    let mut through = Vec::new();
    let optional = board.cursor.frontier().optional;
    let held = |seen: &Cache<N>, board: &Board<'_, '_, M, N>, open: &Vec<_>, through: &Vec<_>| {
        before + seen.memory_bytes() + board.memory_bytes() + growing(open) + growing(through)
    };
    for config in from {
        // What may be left out lets every configuration pass as it is.
        if optional {
            through.push(config);
        }
        if seen.insert(config, &board.bags) {
            if !board.passes(&config) {
                open.push(config);
            } else if !optional {
                through.push(config);
            }
        }
        meter.tick(|| held(seen, board, &open, &through))?;
    }
    let mut children: Vec<Config<N>> = Vec::new();
    while let Some(config) = open.pop() {
        expand(board, &config, &mut children);
        let beside = children.capacity() * size_of::<Config<N>>();
        for child in children.drain(..) {
            if seen.insert(child, &board.bags) {
                if board.passes(&child) { through.push(child) } else { open.push(child) }
            }
            meter.step(|| beside + held(seen, board, &open, &through))?;
        }
    }
    meter.hold(held(seen, board, &open, &through))?;
    Ok(through)
}

/// All configurations one move away.
fn expand<M: Model, const N: usize>(
    board: &mut Board<'_, '_, M, N>,
    config: &Config<N>,
    children: &mut Vec<Config<N>>,
) {
    // Crashed ones first: what is pushed last goes on first, and it should be what dominates.
    for class in 0..board.problem.classes.len() {
        children.extend(board.take_crashed(config, class));
    }
    // An operation that only reads and was not legal when the state came about is not legal now.
    for slot in board.cursor.pending().minus(board.cursor.observers()).minus(&config.window).iter() {
        children.extend(board.take(config, slot));
    }
}
