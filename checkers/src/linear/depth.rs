//! Depth-first search for an order (Wing & Gong 1993, with Lowe's memory of configurations, 2017).
//!
//! Porcupine and its ports remember for each configuration a bitset over the whole history. Here a configuration is
//! the frontier, a window of pending operations and the state, so that memory is linear in the history.

use super::cache::{Cache, Config};
use super::engine::{Board, Found, Report};
use super::meter::{Limit, Limits, Meter, growing};
use super::problem::Problem;
use super::window::Window;
use crate::model::Model;

/// A configuration on the way from the start, and the next move to try from it.
struct Frame<const N: usize> {
    config: Config<N>,
    /// 0: the operation that returns at the frontier; then one for each slot.
    next: u32,
}

/// Searches for an order of all operations.
pub(crate) fn search<M: Model, const N: usize>(
    model: &M,
    problem: &Problem<M::Op>,
    limits: &Limits<'_>,
) -> Report {
    let mut report = Report::new(Found::Illegal);
    match Meter::new(limits, N) {
        Ok(mut meter) => {
            let found = walk::<M, N>(model, problem, &mut meter, &mut report);
            report.found = found.unwrap_or_else(Found::Exhausted);
            (report.steps, report.memory_bytes) = (meter.steps, meter.bytes_max);
        }
        Err(limit) => report.found = Found::Exhausted(limit),
    }
    report
}

fn walk<M: Model, const N: usize>(
    model: &M,
    problem: &Problem<M::Op>,
    meter: &mut Meter<'_>,
    report: &mut Report,
) -> Result<Found, Limit> {
    meter.hold(Board::<M, N>::bytes(problem))?;
    let mut board: Board<'_, '_, M, N> = Board::new(model, problem);
    let mut cache = Cache::<N>::new();
    let mut stack: Vec<Frame<N>> = Vec::new();
    let mut children = vec![board.start()];
    loop {
        for mut config in children.drain(..) {
            if advance(&mut board, &mut config, report, meter)? {
                return Ok(Found::Linearizable);
            }
            if cache.insert(config, &board.bags) {
                stack.push(Frame { config, next: 0 });
            }
            meter.step(|| cache.memory_bytes() + board.memory_bytes() + growing(&stack))?;
        }
        let Some(frame) = stack.last_mut() else { return Ok(Found::Illegal) };
        let config = frame.config;
        board.cursor.seek(config.position as usize);
        match try_next(&mut board, frame) {
            Some(child) => children.push(child),
            None => {
                stack.pop();
                // All at once, so that each is known before any goes on: a chain of crashed operations that ends where
                // its last link alone would is dominated by that, and k of them do not make 2^k bags.
                let classes = 0..board.problem.classes.len();
                children.extend(classes.filter_map(|class| board.take_crashed(&config, class)));
            }
        }
    }
}

/// Passes every return that `config` may pass; whether it came to the end.
fn advance<M: Model, const N: usize>(
    board: &mut Board<'_, '_, M, N>,
    config: &mut Config<N>,
    report: &mut Report,
    meter: &mut Meter<'_>,
) -> Result<bool, Limit> {
    board.cursor.seek(config.position as usize);
    while !board.cursor.at_end() && board.passes(config) {
        board.pass(config);
        meter.ask()?;
    }
    report.reached = report.reached.max(board.cursor.position());
    Ok(board.cursor.at_end())
}

/// The configuration after the frame's next legal move of an operation that returns.
fn try_next<M: Model, const N: usize>(
    board: &mut Board<'_, '_, M, N>,
    frame: &mut Frame<N>,
) -> Option<Config<N>> {
    let config = frame.config;
    let slots = board.problem.width;
    let first = board.cursor.frontier().slot as usize;
    // An operation that only reads and was not legal when the state came about is not legal now.
    let open: Window<N> = board.cursor.pending().minus(board.cursor.observers()).minus(&config.window);
    if frame.next == 0 {
        frame.next = 1;
        if open.contains(first)
            && let Some(child) = board.take(&config, first)
        {
            return Some(child);
        }
    }
    while (frame.next as usize) <= slots {
        let Some(slot) = open.next(frame.next as usize - 1) else { break };
        frame.next = slot as u32 + 2;
        if slot != first
            && let Some(child) = board.take(&config, slot)
        {
            return Some(child);
        }
    }
    None
}
