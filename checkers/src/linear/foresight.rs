//! What a later observation says about the states on the way to it.
//!
//! An object whose state only grows, such as a string to which pieces are appended, shows in each read the order of all
//! that was done before. Stand before a return, and let `goal` be an observation that is called later. Between now and
//! the goal only operations take effect that are pending and not taken, that are called before the goal returns, or
//! that crashed. If no *reset* among them can lead to the goal, then the last reset before the goal, if there is one,
//! leaves a state that does not grow into what the goal saw: so there is none, and the state that an operation leaves
//! now must grow into it. Where it cannot, the operation is not taken.

use super::problem::{Problem, Step};
use crate::model::{Growth, Model};

const NONE: u32 = u32::MAX;

/// Observations that are tried for each moment.
const TRIED: usize = 3;

/// Resets that are looked at for each of them; where there are more, one may lead to it.
const RESETS_MAX: usize = 64;

/// The goal of each moment.
pub(crate) struct Foresight {
    growth: Vec<Growth>,
    /// For each step the kind of the goal after it; empty where nothing grows.
    goals: Vec<u32>,
}

/// A later operation that the scan has passed.
struct Later {
    kind: u32,
    /// Position of its call, and of its return.
    call: usize,
    end: usize,
}

impl Foresight {
    pub(crate) fn new<M: Model>(model: &M, problem: &Problem<M::Op>) -> Foresight {
        let growth: Vec<Growth> = problem.kinds.items().iter().map(|op| model.growth(op)).collect();
        let goals = if grows(&growth) { goals(model, problem, &growth) } else { Vec::new() };
        Foresight { growth, goals }
    }

    /// Whether there may be goals: then a search may fail before the return that no order passes.
    pub(crate) fn applies<M: Model>(model: &M, problem: &Problem<M::Op>) -> bool {
        grows(&problem.kinds.items().iter().map(|op| model.growth(op)).collect::<Vec<_>>())
    }

    /// Bytes that a new one takes.
    pub(crate) fn bytes<O>(problem: &Problem<O>) -> usize {
        problem.steps.len() * (size_of::<u32>() + size_of::<usize>() + 2 * size_of::<Later>())
    }

    /// The kind of the goal of those who stand before a step.
    #[inline]
    pub(crate) fn goal(&self, position: usize) -> Option<u32> {
        self.goals.get(position).copied().filter(|&goal| goal != NONE)
    }

    pub(crate) fn resets(&self, kind: u32) -> bool {
        self.growth[kind as usize] == Growth::Resets
    }
}

fn grows(growth: &[Growth]) -> bool {
    growth.contains(&Growth::Extends) && !growth.contains(&Growth::Other)
}

fn goals<M: Model>(model: &M, problem: &Problem<M::Op>, growth: &[Growth]) -> Vec<u32> {
    let state = model.init();
    let leads =
        |reset: u32, goal: u32| model.leads_to(&state, problem.kinds.at(reset), problem.kinds.at(goal));
    // Where there are too many to look at, one may lead to it.
    let none_leads = |resets: &mut dyn Iterator<Item = u32>, goal: u32| {
        resets.zip(0..).all(|(reset, looked)| looked < RESETS_MAX && !leads(reset, goal))
    };
    let (ends, crashed) = ends(problem, growth);
    let mut goals = vec![NONE; problem.steps.len()];
    // Those called later, the nearest last.
    let mut resets: Vec<Later> = Vec::new();
    let mut observers: Vec<Later> = Vec::new();
    for position in (0..problem.steps.len()).rev() {
        let possible = |goal: &&Later| {
            let called = resets.iter().rev().take_while(|reset| reset.call < goal.end);
            none_leads(&mut called.map(|reset| reset.kind), goal.kind)
        };
        goals[position] = observers.iter().rev().take(TRIED).find(possible).map_or(NONE, |goal| goal.kind);
        let Step::Call(at) = problem.steps[position] else { continue };
        let entry = problem.entries[at as usize];
        let later = Later { kind: entry.kind, call: position, end: ends[at as usize] };
        match growth[entry.kind as usize] {
            Growth::Resets => resets.push(later),
            Growth::Observes if !entry.optional && later.end != usize::MAX => {
                let before = crashed.iter().take_while(|&&(call, _)| call < later.end);
                if none_leads(&mut before.map(|&(_, reset)| reset), later.kind) {
                    observers.push(later);
                }
            }
            _ => {}
        }
    }
    goals
}

/// Where each entry returns, and where resets crashed.
fn ends<O>(problem: &Problem<O>, growth: &[Growth]) -> (Vec<usize>, Vec<(usize, u32)>) {
    let mut ends = vec![0; problem.entries.len()];
    let mut crashed = Vec::new();
    for (position, step) in problem.steps.iter().enumerate() {
        match *step {
            // Where the schedule is cut, it need not take effect.
            Step::Call(at) => ends[at as usize] = usize::MAX,
            Step::Return(at) => ends[at as usize] = position,
            Step::Crash(at) => {
                let kind = problem.entries[at as usize].kind;
                if growth[kind as usize] == Growth::Resets {
                    crashed.push((position, kind));
                }
            }
        }
    }
    (ends, crashed)
}
