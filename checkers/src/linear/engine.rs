//! What the engines share: the moves between configurations, and their answers.

use super::bags::Bags;
use super::cache::Config;
use super::cursor::Cursor;
use super::foresight::Foresight;
use super::meter::Limit;
use super::problem::{Entry, NEVER, Problem};
use super::space::Space;
use super::window::Window;
use crate::model::Model;

/// What an engine found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An order exists.
    Linearizable,
    /// None exists.
    Illegal,
    /// It ran into this limit.
    Exhausted(Limit),
}

/// States that a prelude may lead to.
const PRELUDE_STATES_MAX: usize = 256;

/// An engine's answer.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) found: Found,
    /// Configurations explored.
    pub(crate) steps: u64,
    /// The farthest position in the schedule that an order reached: the history up to the return there is
    /// linearizable, and, when nothing is, not with it.
    pub(crate) reached: usize,
    /// Up to here in the schedule the history is linearizable; less than `reached` only where steps did not suffice to
    /// find out more.
    pub(crate) legal: usize,
    /// Most bytes held.
    pub(crate) memory_bytes: usize,
}

/// What an engine works with.
pub(crate) struct Board<'p, 'm, M: Model, const N: usize> {
    pub(crate) problem: &'p Problem<M::Op>,
    pub(crate) cursor: Cursor<'p, M::Op, N>,
    pub(crate) space: Space<'m, M>,
    pub(crate) bags: Bags,
    foresight: Foresight,
}

impl<'p, 'm, M: Model, const N: usize> Board<'p, 'm, M, N> {
    pub(crate) fn new(model: &'m M, problem: &'p Problem<M::Op>) -> Board<'p, 'm, M, N> {
        Board {
            problem,
            cursor: Cursor::new(problem),
            space: Space::new(model),
            bags: Bags::new(),
            foresight: Foresight::new(model, problem),
        }
    }

    /// Nothing has taken effect yet.
    pub(crate) fn start(&mut self) -> Config<N> {
        let mut config =
            Config { position: self.cursor.position() as u32, state: 0, used: 0, window: Window::EMPTY };
        self.observe(&mut config);
        config
    }

    /// Every state in which the prelude may have left the object, or `None` where there are too many.
    pub(crate) fn starts(&mut self) -> Option<Vec<Config<N>>> {
        let mut states = vec![0];
        let mut done = 0;
        while done < states.len() {
            for &kind in &self.problem.prelude {
                if let Some(next) = self.space.step(self.problem, states[done], kind)
                    && !states.contains(&next)
                {
                    states.push(next);
                }
            }
            done += 1;
            if states.len() > PRELUDE_STATES_MAX {
                return None;
            }
        }
        let start = self.start();
        let starts = states.into_iter().map(|state| {
            let mut config = Config { state, window: Window::EMPTY, ..start };
            self.observe(&mut config);
            config
        });
        Some(starts.collect())
    }

    /// Lets every pending operation that only reads take effect where it is legal now.
    ///
    /// This loses nothing: in any order that continues from here, move such an operation to the front. It leaves the
    /// state as it is, so the others stay legal; it was called already and only returns later, so real time is kept.
    pub(crate) fn observe(&mut self, config: &mut Config<N>) {
        for slot in self.cursor.observers().minus(&config.window).iter() {
            if self.space.step(self.problem, config.state, self.cursor.kind(slot)).is_some() {
                config.window.insert(slot);
            }
        }
    }

    /// The configuration after the pending operation in `slot`, where that is legal.
    pub(crate) fn take(&mut self, config: &Config<N>, slot: usize) -> Option<Config<N>> {
        let Entry { kind, complete, optional, .. } = self.cursor.entry(slot);
        if self.has_twin(config, kind, complete, optional) || self.hopeless(config, kind, slot) {
            return None;
        }
        let state = self.space.step(self.problem, config.state, kind)?;
        let mut next = Config { state, ..*config };
        next.window.insert(slot);
        if state != config.state {
            self.observe(&mut next);
        }
        Some(next)
    }

    /// The configuration after one more crashed operation of `class`, where there is one left and it changes something.
    pub(crate) fn take_crashed(&mut self, config: &Config<N>, class: usize) -> Option<Config<N>> {
        if self.cursor.crashed(class) <= self.bags.count(config.used, class as u32) {
            return None;
        }
        let kind = self.problem.classes[class];
        if self.has_twin(config, kind, NEVER, true) || self.hopeless(config, kind, usize::MAX) {
            return None;
        }
        let state = self.space.step(self.problem, config.state, kind)?;
        if state == config.state {
            return None;
        }
        let mut next = Config { state, used: self.bags.with(config.used, class as u32), ..*config };
        self.observe(&mut next);
        Some(next)
    }

    /// Whether a pending operation of the same kind, which returns earlier, stands for this one, so that it need not be tried:
    /// of equal operations the first to return goes first. So `k` of them pending make `k + 1` choices, not `2^k`.
    ///
    /// This loses nothing. Take an order that goes on with `x`, where `y` of the same kind is pending and returns earlier. If it has
    /// `y` later on, let the two change places: the states stay the same, `y` comes before its return since it comes earlier
    /// than it did, and `x` before its own, which is later than that of `y`. If it has no `y`, then `y` may be left out; if `x` may be left
    /// out too, let `y` take its place. The new order is as long as the old one, and goes on with what returns earlier: after
    /// finitely many exchanges it goes on with an operation that has no twin. What crashed returns last of all and may be left
    /// out.
    fn has_twin(&self, config: &Config<N>, kind: u32, complete: u32, optional: bool) -> bool {
        self.problem.repeated[kind as usize]
            && self.cursor.pending().minus(self.cursor.observers()).minus(&config.window).iter().any(
                |other| {
                    let other = self.cursor.entry(other);
                    other.kind == kind && other.complete < complete && (optional || !other.optional)
                },
            )
    }

    /// Whether a later observation could not be made after this operation: see [`foresight`](super::foresight).
    fn hopeless(&self, config: &Config<N>, kind: u32, slot: usize) -> bool {
        let Some(goal) = self.foresight.goal(self.cursor.position()) else { return false };
        let leads = |kind| self.space.leads_to(self.problem, config.state, kind, goal);
        let other_reset = |other: usize| {
            let kind = self.cursor.kind(other);
            other != slot && self.foresight.resets(kind) && leads(kind)
        };
        !leads(kind) && !self.cursor.pending().minus(&config.window).iter().any(other_reset)
    }

    /// Whether the operation that returns at the frontier has taken effect. Not at the end.
    pub(crate) fn passes(&self, config: &Config<N>) -> bool {
        config.window.contains(self.cursor.frontier().slot as usize)
    }

    /// Passes the return at the frontier, for a configuration that may.
    pub(crate) fn pass(&mut self, config: &mut Config<N>) {
        let Entry { slot, .. } = self.cursor.frontier();
        config.window.remove(slot as usize);
        self.cursor.forward();
        config.position = self.cursor.position() as u32;
        self.observe(config);
    }

    /// Bytes that a new one takes.
    pub(crate) fn bytes(problem: &Problem<M::Op>) -> usize {
        (problem.width + problem.classes.len()) * size_of::<u32>() + Foresight::bytes(problem)
    }

    /// Bytes held, with the room for the next moves.
    pub(crate) fn memory_bytes(&self) -> usize {
        Self::bytes(self.problem) + self.space.memory_bytes() + self.bags.memory_bytes()
    }
}

impl Report {
    /// That nothing was found yet.
    pub(crate) fn new(found: Found) -> Report {
        Report { found, steps: 0, reached: 0, legal: 0, memory_bytes: 0 }
    }
}
