//! The operations on one object as a schedule of calls and returns.

use std::hash::Hash;
use std::sync::Arc;

use super::interner::Interner;

/// The completion of an operation that never returned.
pub(crate) const NEVER: u32 = u32::MAX;

/// An operation of a [`Problem`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) invoke: u32,
    pub(crate) complete: u32,
    /// Which distinct operation it is.
    pub(crate) kind: u32,
    /// The place that it holds among the pending operations from its call to its return; of an operation that never
    /// returns, the number of its class: operations with equal effect are interchangeable.
    pub(crate) slot: u32,
    /// Whether it may be left out, as the background of a witness may: see [`Problem::subset`].
    pub(crate) optional: bool,
}

/// A call or a return, in the order of the history.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// An operation that will return takes its slot.
    Call(u32),
    /// It must have taken effect by here.
    Return(u32),
    /// An operation that never returns.
    Crash(u32),
}

/// Everything an engine needs to know of one object's operations.
#[derive(Clone, Debug)]
pub(crate) struct Problem<O> {
    /// In the order of their invocations.
    pub(crate) entries: Vec<Entry>,
    /// In the order of the history. Ends with a return: what is called after the last return decides nothing.
    pub(crate) steps: Vec<Step>,
    /// The distinct operations.
    pub(crate) kinds: Arc<Interner<O>>,
    /// For each kind whether it only reads.
    pub(crate) read_only: Arc<[bool]>,
    /// For each kind whether there are several of it.
    pub(crate) repeated: Vec<bool>,
    /// For each class of crashed operations its kind.
    pub(crate) classes: Vec<u32>,
    /// Number of slots: the most operations pending at once, those that never return apart.
    pub(crate) width: usize,
    /// Number of operations that return.
    pub(crate) returns: usize,
    /// Kinds that may have taken effect before the first step, in any order, any number of times.
    pub(crate) prelude: Vec<u32>,
}

/// The operations on one object as they are read from a history.
#[derive(Clone, Debug)]
pub(crate) struct Draft<O> {
    entries: Vec<Entry>,
    kinds: Interner<O>,
}

impl<O> Default for Draft<O> {
    fn default() -> Draft<O> {
        Draft { entries: Vec::new(), kinds: Interner::default() }
    }
}

impl<O: Eq + Hash> Draft<O> {
    /// Bytes that an operation takes at most, here and in the problem, without what it owns elsewhere.
    pub(crate) const BYTES_PER_OP: usize =
        3 * size_of::<Entry>() + 3 * size_of::<O>() + 24 + 2 * size_of::<Step>() + 10;

    /// Adds an operation with the indices of its events: in the order of their invocations. One that completes at
    /// [`NEVER`] may take effect at any time after its invocation, or not at all.
    pub(crate) fn push(&mut self, op: O, invoke: u32, complete: u32) {
        self.entries.push(Entry {
            invoke,
            complete,
            kind: self.kinds.intern(op).0,
            slot: 0,
            optional: false,
        });
    }
}

impl<O: Clone + Eq + Hash> Problem<O> {
    pub(crate) fn new(draft: Draft<O>, read_only: impl Fn(&O) -> bool) -> Problem<O> {
        let Draft { entries, kinds } = draft;
        let read_only = kinds.items().iter().map(read_only).collect();
        let mut problem = Problem {
            entries,
            steps: vec![],
            kinds: Arc::new(kinds),
            read_only,
            repeated: vec![],
            classes: vec![],
            width: 0,
            returns: 0,
            prelude: vec![],
        };
        problem.schedule();
        problem
    }

    /// The sub-problem of some entries, in order, each with whether it may be left out, after a prelude of kinds.
    pub(crate) fn subset(&self, entries: &[(usize, bool)], prelude: Vec<u32>) -> Problem<O> {
        let entries = entries.iter().map(|&(at, optional)| Entry { optional, ..self.entries[at] });
        let mut sub = Problem {
            entries: entries.filter(|e| !(e.optional && self.read_only[e.kind as usize])).collect(),
            steps: Vec::new(),
            kinds: Arc::clone(&self.kinds),
            read_only: Arc::clone(&self.read_only),
            repeated: Vec::new(),
            classes: Vec::new(),
            width: 0,
            returns: 0,
            prelude,
        };
        sub.schedule();
        sub
    }

    /// The first steps alone: what is then pending need not take effect.
    pub(crate) fn prefix(&self, end: usize) -> Problem<O> {
        let mut steps = self.steps[..end].to_vec();
        let returns = steps.iter().rposition(|step| matches!(step, Step::Return(_))).map_or(0, |at| at + 1);
        steps.truncate(returns);
        Problem { steps, ..self.clone() }
    }

    fn schedule(&mut self) {
        let all = || self.entries.iter().zip(0u32..);
        let mut returns: Vec<(u32, u32)> = all()
            .filter(|(entry, _)| entry.complete != NEVER)
            .map(|(entry, at)| (entry.complete, at))
            .collect();
        returns.sort_unstable();
        self.returns = returns.len();
        let mut calls = all().peekable();
        let mut steps = Vec::with_capacity(self.entries.len() + returns.len());
        for (time, at) in returns {
            while let Some((entry, at)) = calls.next_if(|(entry, _)| entry.invoke < time) {
                steps.push(if entry.complete == NEVER { Step::Crash(at) } else { Step::Call(at) });
            }
            steps.push(Step::Return(at));
        }
        self.steps = steps;
        let mut seen = vec![false; self.kinds.len()];
        self.repeated = vec![false; self.kinds.len()];
        for entry in &self.entries {
            let kind = entry.kind as usize;
            self.repeated[kind] |= std::mem::replace(&mut seen[kind], true);
        }
        self.assign_slots();
    }

    fn assign_slots(&mut self) {
        let mut free: Vec<u32> = Vec::new();
        let mut class_of: Vec<Option<u32>> = vec![None; self.kinds.len()];
        for step in &self.steps {
            match *step {
                Step::Call(at) => {
                    let slot = free.pop().unwrap_or_else(|| {
                        self.width += 1;
                        self.width as u32 - 1
                    });
                    self.entries[at as usize].slot = slot;
                }
                Step::Return(at) => free.push(self.entries[at as usize].slot),
                Step::Crash(at) => {
                    let entry = &mut self.entries[at as usize];
                    let class = class_of[entry.kind as usize].get_or_insert_with(|| {
                        self.classes.push(entry.kind);
                        self.classes.len() as u32 - 1
                    });
                    entry.slot = *class;
                }
            }
        }
    }
}
