//! Just-in-time search (Lowe 2017): all configurations, return by return.
//!
//! Nothing takes effect before some return forces it, and a return that was passed leaves only the configurations
//! behind it: memory depends on how many operations are pending at once, not on the length of the history.

use super::cache::{Cache, Config};
use super::engine::{Board, Found, Limit, Limits, Report};
use super::problem::Problem;
use crate::model::Model;

/// Searches for an order of all operations.
pub(crate) fn search<M: Model, const N: usize>(
    model: &M,
    problem: &Problem<M::Op>,
    limits: &Limits,
) -> Report {
    let mut board: Board<'_, '_, M, N> = Board::new(model, problem);
    let mut report = Report { found: Found::Linearizable, steps: 0, reached: 0, memory_bytes: 0 };
    let mut seen = Cache::<N>::new();
    let Some(mut configs) = board.starts() else {
        report.found = Found::Exhausted(Limit::Memory);
        return report;
    };
    while !board.cursor.at_end() {
        report.reached = board.cursor.position();
        let mut through = match close(&mut board, configs, &mut seen, limits, &mut report) {
            Ok(through) => through,
            Err(limit) => {
                report.found = Found::Exhausted(limit);
                return report;
            }
        };
        if through.is_empty() {
            report.found = Found::Illegal;
            return report;
        }
        let here = board.cursor.position();
        for config in &mut through {
            board.cursor.seek(here);
            board.pass(config);
        }
        configs = through;
    }
    report.reached = board.cursor.position();
    report
}

/// The configurations that may pass the return at the frontier, with as few moves as it takes.
fn close<M: Model, const N: usize>(
    board: &mut Board<'_, '_, M, N>,
    from: Vec<Config<N>>,
    seen: &mut Cache<N>,
    limits: &Limits,
    report: &mut Report,
) -> Result<Vec<Config<N>>, Limit> {
    seen.clear();
    let mut open = Vec::new();
    // What may be left out lets every configuration pass as it is.
    let mut through = if board.cursor.frontier().optional { from.clone() } else { Vec::new() };
    for config in from {
        if seen.insert(config, &board.bags) {
            if !board.passes(&config) {
                open.push(config);
            } else if !board.cursor.frontier().optional {
                through.push(config);
            }
        }
    }
    let mut children = Vec::new();
    while let Some(config) = open.pop() {
        expand(board, &config, &mut children);
        for child in children.drain(..) {
            report.steps += 1;
            if seen.insert(child, &board.bags) {
                if board.passes(&child) { through.push(child) } else { open.push(child) }
            }
            let memory = || {
                let configs = open.capacity() + through.capacity();
                seen.memory_bytes() + board.memory_bytes() + configs * size_of::<Config<N>>()
            };
            if let Some(limit) = limits.exceeded(report.steps, memory) {
                return Err(limit);
            }
        }
    }
    let configs = open.capacity() + through.capacity();
    let bytes = seen.memory_bytes() + board.memory_bytes() + configs * size_of::<Config<N>>();
    report.memory_bytes = report.memory_bytes.max(bytes);
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
