//! What is pending at a return, moved along the schedule in both directions.

use super::problem::{Entry, Problem, Step};
use super::window::Window;

/// Stands before a return, the *frontier*: everything that returned earlier has taken effect, and everything called
/// earlier may take effect.
pub(crate) struct Cursor<'p, O, const N: usize> {
    problem: &'p Problem<O>,
    /// Position in the schedule of the frontier's return; its length at the end.
    position: usize,
    /// The entry that holds each slot. Stale where the slot is free.
    holder: Vec<u32>,
    pending: Window<N>,
    observers: Window<N>,
    /// For each class how many of its operations were called.
    crashed: Vec<u32>,
}

impl<'p, O, const N: usize> Cursor<'p, O, N> {
    /// Before the first return.
    pub(crate) fn new(problem: &'p Problem<O>) -> Cursor<'p, O, N> {
        assert!(problem.width <= Window::<N>::CAPACITY, "the window is too narrow");
        let mut cursor = Cursor {
            problem,
            position: 0,
            holder: vec![0; problem.width],
            pending: Window::EMPTY,
            observers: Window::EMPTY,
            crashed: vec![0; problem.classes.len()],
        };
        cursor.take_calls();
        cursor
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Whether every return was passed.
    pub(crate) fn at_end(&self) -> bool {
        self.position == self.problem.steps.len()
    }

    /// The operation that returns at the frontier. Not at the end.
    pub(crate) fn frontier(&self) -> Entry {
        match self.problem.steps[self.position] {
            Step::Return(at) => self.problem.entries[at as usize],
            _ => unreachable!("a cursor stands before a return"),
        }
    }

    /// Operations that were called and not returned, by slot.
    pub(crate) fn pending(&self) -> &Window<N> {
        &self.pending
    }

    /// Those that only read.
    pub(crate) fn observers(&self) -> &Window<N> {
        &self.observers
    }

    /// The kind of the operation in a slot that is pending.
    pub(crate) fn kind(&self, slot: usize) -> u32 {
        self.entry(slot).kind
    }

    /// The operation in a slot that is pending.
    #[inline]
    pub(crate) fn entry(&self, slot: usize) -> Entry {
        self.problem.entries[self.holder[slot] as usize]
    }

    /// How many operations of a crashed class were called.
    pub(crate) fn crashed(&self, class: usize) -> u32 {
        self.crashed[class]
    }

    /// Passes the frontier's return.
    pub(crate) fn forward(&mut self) {
        let Step::Return(at) = self.problem.steps[self.position] else {
            unreachable!("a cursor stands before a return");
        };
        let slot = self.problem.entries[at as usize].slot as usize;
        self.pending.remove(slot);
        self.observers.remove(slot);
        self.position += 1;
        self.take_calls();
    }

    /// Goes to the return at `position`, which a cursor stood before.
    pub(crate) fn seek(&mut self, position: usize) {
        while self.position < position {
            self.forward();
        }
        while self.position > position {
            self.position -= 1;
            self.undo();
        }
    }

    fn take_calls(&mut self) {
        while let Some(step) = self.problem.steps.get(self.position) {
            match *step {
                Step::Return(_) => return,
                Step::Call(at) => self.hold(at),
                Step::Crash(at) => self.crashed[self.problem.entries[at as usize].slot as usize] += 1,
            }
            self.position += 1;
        }
    }

    fn hold(&mut self, at: u32) {
        let entry = self.problem.entries[at as usize];
        let slot = entry.slot as usize;
        self.holder[slot] = at;
        self.pending.insert(slot);
        if self.problem.read_only[entry.kind as usize] {
            self.observers.insert(slot);
        }
    }

    fn undo(&mut self) {
        match self.problem.steps[self.position] {
            Step::Return(at) => self.hold(at),
            Step::Call(at) => {
                let slot = self.problem.entries[at as usize].slot as usize;
                self.pending.remove(slot);
                self.observers.remove(slot);
            }
            Step::Crash(at) => self.crashed[self.problem.entries[at as usize].slot as usize] -= 1,
        }
    }
}
