//! From whom each read of registers came, one transaction after the other, and reads that no order of the transactions explains.

use super::{Mop, NONE, Txns};

/// A read that is wrong by itself, under every model. `NONE` for an element is the initial value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misread {
    /// A value that nobody wrote.
    ThinAir { txn: u32, element: u32 },
    /// A value that only a failed transaction wrote (G1a).
    Aborted { txn: u32, element: u32 },
    /// A value that its writer overwrote before it committed (G1b).
    Intermediate { txn: u32, element: u32 },
    /// What the transaction itself wrote only later.
    Future { txn: u32, element: u32 },
    /// A read of `got`, after the transaction itself had written `expected` (`own`) or, unless reads need not be
    /// repeatable, read it.
    Internal { txn: u32, key: u32, expected: u32, got: u32, own: bool },
}

/// What a read tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing: it follows from what the transaction did before.
    Nothing,
    /// This transaction wrote it; `NONE` for the initial value.
    Source(u32),
    /// It was written twice, so that nobody knows by whom.
    Several,
    Wrong(Misread),
}

/// Goes through the micro-operations of one transaction after the other.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    txns: &'a Txns<'a>,
    /// Whether failed transactions may have written what was read.
    forgiving: bool,
    /// Whether a transaction must read the same twice.
    repeatable: bool,
    /// For each key the last transaction that touched it, what it then knew, and whether it wrote that.
    known: Vec<(u32, u32, bool)>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(txns: &'a Txns, forgiving: bool, repeatable: bool) -> Replay<'a> {
        Replay { txns, forgiving, repeatable, known: vec![(NONE, NONE, false); txns.keys.len()] }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(txns: &Txns) -> usize {
        txns.keys.len() * size_of::<(u32, u32, bool)>()
    }

    /// What the next micro-operation of a transaction tells: a write nothing.
    #[inline]
    pub(crate) fn step(&mut self, txn: u32, mop: Mop) -> Told {
        let known = &mut self.known[mop.key() as usize];
        match mop {
            Mop::Read { .. } => Told::Nothing,
            Mop::Write { element, .. } => {
                *known = (txn, element, true);
                Told::Nothing
            }
            Mop::Get { key, element } => match *known {
                (by, expected, own) if by == txn && (own || self.repeatable) => match element == expected {
                    true => Told::Nothing,
                    false => Told::Wrong(Misread::Internal { txn, key, expected, got: element, own }),
                },
                _ => {
                    *known = (txn, element, false);
                    self.source(txn, element)
                }
            },
        }
    }

    fn source(&self, txn: u32, element: u32) -> Told {
        if element == NONE {
            return Told::Source(NONE);
        }
        let value = &self.txns.elements[element as usize];
        if value.twice {
            return Told::Several;
        }
        match value.writer(self.forgiving) {
            NONE if value.aborted != NONE => Told::Wrong(Misread::Aborted { txn, element }),
            NONE => Told::Wrong(Misread::ThinAir { txn, element }),
            writer if writer == txn => Told::Wrong(Misread::Future { txn, element }),
            _ if !value.last => Told::Wrong(Misread::Intermediate { txn, element }),
            writer => Told::Source(writer),
        }
    }
}
