//! The smallest part of a failing history that fails by itself, as far as the budget goes.

use std::collections::{HashMap, HashSet};

use super::engine::Found;
use super::meter::Limits;
use super::portfolio::{Engine, run};
use super::problem::{Problem, Step};
use crate::Budget;
use crate::model::{Model, RegisterOp, Symbol};

/// Configurations that one attempt may cost; all attempts together cost at most [`TOTAL_STEPS`].
const ATTEMPT_STEPS: u64 = 100_000;
const TOTAL_STEPS: u64 = 4_000_000;

/// Entries to begin with, the latest to return.
const FIRST_WINDOW: usize = 8;

/// Background operations that an attempt replays one by one.
const EXACT_BACKGROUND_MAX: usize = 32;

/// The core of a failure.
pub(crate) struct Core {
    /// Entries, in order. Each returns.
    pub(crate) kept: Vec<usize>,
    /// Whether no entry can be taken from it. Otherwise the budget ran out.
    pub(crate) minimal: bool,
}

/// Finds entries that no order satisfies, whatever the others did.
///
/// To take an operation out of a failing history must not turn a legal rest into an illegal one: without its write every
/// read fails. So what is taken out stays as background that *may* take effect in its interval, but need not.
/// A core fails with all of the background, hence also alone.
pub(crate) fn core<M: Model>(model: &M, problem: &Problem<M::Op>, reached: usize, budget: &Budget) -> Core {
    let Step::Return(blocked) = problem.steps[reached] else {
        unreachable!("a search fails at a return");
    };
    let end = problem.entries[blocked as usize].complete;
    let mut shrinker = Shrinker::new(model, problem, end, budget);
    let all = shrinker.by_return.clone();
    let kept = shrinker.minimize(&all);
    Core { kept, minimal: !shrinker.gave_up }
}

struct Shrinker<'a, M: Model> {
    model: &'a M,
    problem: &'a Problem<M::Op>,
    budget: &'a Budget,
    /// Entries that were called before the failing return.
    called: usize,
    /// Those of them that returned by then, the blocked one last.
    by_return: Vec<usize>,
    /// Where the object is a register: the entries that set each value.
    setters: Option<HashMap<Symbol, Vec<usize>>>,
    steps: u64,
    gave_up: bool,
}

impl<'a, M: Model> Shrinker<'a, M> {
    fn new(model: &'a M, problem: &'a Problem<M::Op>, end: u32, budget: &'a Budget) -> Shrinker<'a, M> {
        let called = problem.entries.partition_point(|entry| entry.invoke < end);
        let mut by_return: Vec<usize> =
            (0..called).filter(|&at| problem.entries[at].complete <= end).collect();
        by_return.sort_unstable_by_key(|&at| problem.entries[at].complete);
        let mut shrinker =
            Shrinker { model, problem, budget, called, by_return, setters: None, steps: 0, gave_up: false };
        shrinker.setters = (0..called)
            .map(|at| Some((shrinker.register(at)?, at)))
            .collect::<Option<Vec<_>>>()
            .map(|ops| setters(&ops));
        shrinker
    }

    fn register(&self, at: usize) -> Option<RegisterOp> {
        self.model.as_register(self.problem.kinds.at(self.problem.entries[at].kind))
    }

    /// The shortest run of last returns that fails, then without each piece that it can do without.
    fn minimize(&mut self, all: &[usize]) -> Vec<usize> {
        let mut kept = all.to_vec();
        let mut window = FIRST_WINDOW;
        while window < all.len() {
            let last = all[all.len() - window..].to_vec();
            if self.fails(&last) {
                kept = last;
                break;
            }
            window *= 2;
        }
        let mut piece = kept.len().div_ceil(2);
        while piece > 0 && !self.spent() {
            let before = kept.len();
            self.drop_pieces(&mut kept, piece);
            if piece > 1 {
                piece = piece.div_ceil(2).min(kept.len().div_ceil(2));
            } else if kept.len() == before {
                break;
            }
        }
        kept.sort_unstable();
        kept
    }

    fn drop_pieces(&mut self, kept: &mut Vec<usize>, piece: usize) {
        let mut at = 0;
        while at < kept.len() && kept.len() > 1 {
            let end = (at + piece).min(kept.len());
            let rest: Vec<usize> = kept[..at].iter().chain(&kept[end..]).copied().collect();
            if !rest.is_empty() && self.fails(&rest) {
                *kept = rest;
            } else {
                at = end;
            }
        }
    }

    fn spent(&mut self) -> bool {
        let spent = self.steps >= TOTAL_STEPS || self.budget.ask().is_err();
        self.gave_up |= spent;
        spent
    }

    /// Whether these entries fail with all others as background. An attempt that is too costly counts as not failing.
    fn fails(&mut self, kept: &[usize]) -> bool {
        if self.spent() {
            return false;
        }
        let begin = kept.iter().map(|&at| self.problem.entries[at].invoke).min().unwrap_or(0);
        let background = self.background(kept);
        let entry = |at: usize| self.problem.entries[at];
        let mut prelude: Vec<u32> = Vec::new();
        let mut beside = background;
        if beside.len() > EXACT_BACKGROUND_MAX {
            // What began before the first kept operation may decide in which state that finds the object; what was
            // over by then can do no more. Its order is forgotten, which only allows more.
            let early = beside.iter().filter(|&&at| entry(at).invoke < begin);
            prelude = early.map(|&at| entry(at).kind).collect();
            beside.retain(|&at| entry(at).complete > begin);
        }
        prelude.sort_unstable();
        prelude.dedup();
        let mut entries: Vec<(usize, bool)> = beside.into_iter().map(|at| (at, true)).collect();
        entries.extend(kept.iter().map(|&at| (at, false)));
        entries.sort_unstable();
        let problem = self.problem.subset(&entries, prelude);
        let limits = Limits { steps: ATTEMPT_STEPS, budget: self.budget };
        let report = run(Engine::Breadth, self.model, &problem, &limits);
        self.steps += report.steps + problem.entries.len() as u64 / 16;
        self.gave_up |= matches!(report.found, Found::Exhausted(_));
        report.found == Found::Illegal
    }

    /// The entries beside `kept` that can matter to them. On a register an operation whose value nobody
    /// observes before it is overwritten can be left out of any legal order, so it does not matter.
    fn background(&self, kept: &[usize]) -> Vec<usize> {
        let own: HashSet<usize> = kept.iter().copied().collect();
        let mut seen: HashSet<usize> = own.clone();
        let anything = || (0..self.called).filter(|at| !own.contains(at)).collect();
        let Some(setters) = &self.setters else { return anything() };
        let mut needed: HashSet<Symbol> = HashSet::new();
        let mut open: Vec<usize> = own.iter().copied().collect();
        let mut background = Vec::new();
        while let Some(at) = open.pop() {
            match self.register(at) {
                Some(RegisterOp::Mismatch(_)) => return anything(),
                Some(op) => {
                    let Some(value) = op.observes().filter(|&value| needed.insert(value)) else { continue };
                    for &setter in setters.get(&value).into_iter().flatten() {
                        if seen.insert(setter) {
                            background.push(setter);
                            open.push(setter);
                        }
                    }
                }
                None => return anything(),
            }
        }
        background
    }
}

fn setters(ops: &[(RegisterOp, usize)]) -> HashMap<Symbol, Vec<usize>> {
    let mut setters: HashMap<Symbol, Vec<usize>> = HashMap::new();
    for &(op, at) in ops {
        if let Some(value) = op.sets() {
            setters.entry(value).or_default().push(at);
        }
    }
    setters
}

/// The writes that gave a core's operations what they observed, and are not in it. With them the core is
/// complete to read; it still fails, for they were in the background already.
pub(crate) fn sources<M: Model>(model: &M, problem: &Problem<M::Op>, kept: &[usize]) -> Vec<usize> {
    let register = |at: usize| model.as_register(problem.kinds.at(problem.entries[at].kind));
    let set: HashSet<Symbol> =
        kept.iter().filter_map(|&at| register(at)?.sets()).chain([Symbol::NIL]).collect();
    let mut missing: HashMap<Symbol, u32> = HashMap::new();
    for &at in kept {
        if let Some(value) = register(at).and_then(RegisterOp::observes).filter(|v| !set.contains(v)) {
            let until = missing.entry(value).or_insert(0);
            *until = problem.entries[at].complete.max(*until);
        }
    }
    let mut found: HashMap<Symbol, usize> = HashMap::new();
    for at in 0..problem.entries.len() {
        let Some(value) = register(at).and_then(RegisterOp::sets) else { continue };
        // The last one before the value was observed, or else the first one after.
        if missing.get(&value).is_some_and(|&until| problem.entries[at].invoke < until)
            || (missing.contains_key(&value) && !found.contains_key(&value))
        {
            found.insert(value, at);
        }
    }
    found.into_values().collect()
}
