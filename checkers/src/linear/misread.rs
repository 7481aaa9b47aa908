//! The ways in which a register's reader can see what it must not.

use super::problem::{Entry, NEVER, Problem};
use crate::model::{Model, RegisterOp, Symbol};

/// A reader (or a cas, which reads too) and what convicts it. Numbers are entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misread {
    /// Nobody ever set the value.
    Phantom { reader: usize },
    /// The value was first set by an operation that began after the reader was done.
    Future { reader: usize, write: usize },
    /// Every operation that set the value was over when `later` began, which set or saw another value and was over when
    /// the reader began. Lost: no reader ever saw the value, though several should have.
    Stale { reader: usize, later: usize, lost: bool },
}

impl Misread {
    /// The anomaly's name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Misread::Phantom { .. } => "phantom-read",
            Misread::Future { .. } => "future-read",
            Misread::Stale { lost: true, .. } => "lost-write",
            Misread::Stale { lost: false, .. } => "stale-read",
        }
    }

    pub(crate) fn reader(&self) -> usize {
        let (Misread::Phantom { reader } | Misread::Future { reader, .. } | Misread::Stale { reader, .. }) =
            *self;
        reader
    }

    /// The entries that fail whatever the others did.
    pub(crate) fn core(&self) -> Vec<usize> {
        match *self {
            Misread::Phantom { reader } | Misread::Future { reader, .. } => vec![reader],
            Misread::Stale { reader, later, .. } => vec![later, reader],
        }
    }
}

/// Whether the operation sets a register's value.
pub(crate) fn sets<M: Model>(model: &M, problem: &Problem<M::Op>, entry: &Entry) -> bool {
    model.as_register(problem.kinds.at(entry.kind)).and_then(RegisterOp::sets).is_some()
}

/// The value that the operation leaves in the register, or found there.
pub(crate) fn set_or_seen<M: Model>(model: &M, problem: &Problem<M::Op>, entry: &Entry) -> Option<Symbol> {
    let op = model.as_register(problem.kinds.at(entry.kind))?;
    op.sets().or_else(|| op.observes())
}

/// The misread of the operation on whose return a search failed, where it is one.
pub(crate) fn find<M: Model>(model: &M, problem: &Problem<M::Op>, blocked: usize) -> Option<Misread> {
    let register = |entry: &Entry| model.as_register(problem.kinds.at(entry.kind));
    let registers: Vec<RegisterOp> = problem.entries.iter().map(register).collect::<Option<_>>()?;
    Judge { registers, entries: &problem.entries }.judge(blocked)
}

struct Judge<'a> {
    registers: Vec<RegisterOp>,
    entries: &'a [Entry],
}

impl Judge<'_> {
    fn judge(&self, reader: usize) -> Option<Misread> {
        let value = self.registers[reader].observes()?;
        let Entry { invoke: begun, complete: done, .. } = self.entries[reader];
        let setters: Vec<usize> =
            self.all().filter(|&at| at != reader && self.registers[at].sets() == Some(value)).collect();
        if value != Symbol::NIL {
            let Some(&write) = setters.first() else { return Some(Misread::Phantom { reader }) };
            if self.entries[write].invoke > done {
                return Some(Misread::Future { reader, write });
            }
        }
        // When the last of them was over that could have given the reader its value.
        let over = setters.iter().map(|&at| self.entries[at]).filter(|e| e.invoke < done).map(|e| e.complete);
        let over = over.max().unwrap_or(0);
        if over == NEVER {
            return None;
        }
        let later = self.later(value, over, begun)?;
        Some(Misread::Stale { reader, later, lost: self.lost(later) })
    }

    /// The last operation between these moments that set another value, or else that saw one.
    fn later(&self, value: Symbol, over: u32, begun: u32) -> Option<usize> {
        let between = |at: &usize| {
            let Entry { invoke, complete, .. } = self.entries[*at];
            (invoke > over || over == 0) && complete < begun && self.leaves_other(*at, value)
        };
        let order = |&at: &usize| (self.registers[at].sets().is_some(), self.entries[at].complete);
        self.all().filter(between).max_by_key(order)
    }

    fn leaves_other(&self, at: usize, value: Symbol) -> bool {
        let op = self.registers[at];
        op.sets().or_else(|| op.observes()).is_some_and(|left| left != value)
    }

    /// Whether nobody ever saw what this operation set, though two or more readers came after it and before any
    /// other setter.
    fn lost(&self, write: usize) -> bool {
        let Some(value) = self.registers[write].sets() else { return false };
        let acknowledged = self.entries[write].complete;
        let next = self.all().filter(|&at| at != write && self.registers[at].sets().is_some());
        let next =
            next.map(|at| self.entries[at]).filter(|e| e.complete > acknowledged).map(|e| e.invoke).min();
        let observers = || self.all().filter(|&at| self.registers[at].observes().is_some());
        let missed = observers().map(|at| self.entries[at]).filter(|e| e.invoke > acknowledged);
        let missed = missed.filter(|e| next.is_none_or(|next| e.complete < next)).count();
        missed >= 2 && observers().all(|at| self.registers[at].observes() != Some(value))
    }

    fn all(&self) -> std::ops::Range<usize> {
        0..self.entries.len()
    }
}
