//! What can be wrong before any dependency is drawn.

use super::consistency::{Phenomena, Phenomenon};

/// Something wrong with what transactions read or wrote, with the transactions that show it. Keys, elements and transactions are
/// numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A read disagrees with what the transaction itself had read or written before.
    Internal { txn: u32, key: u32, expected: Vec<u32>, got: Vec<u32> },
    /// A transaction read its own write before it made it.
    FutureRead { txn: u32, element: u32 },
    /// An element that nobody wrote.
    ThinAir { txn: u32, element: u32 },
    /// The same of a register, where somebody whom nobody recorded may have written it.
    Unwritten { txn: u32, element: u32 },
    /// An element that only a failed transaction wrote (G1a).
    Aborted { txn: u32, element: u32 },
    /// A read of what another transaction then wrote over or appended to (G1b).
    Intermediate { txn: u32, element: u32 },
    /// An element of a failed transaction that a committed one built upon, and a transaction that read both.
    DirtyUpdate { aborted: u32, committed: u32, reader: u32 },
    /// A list that holds an element twice.
    Duplicate { txn: u32, element: u32 },
    /// Two reads, neither of which is a prefix of the other.
    Incompatible { txn: u32, other: u32, key: u32 },
    /// Elements of one transaction in another order than it appended them, or one without the one before.
    Reordered { reader: u32, earlier: u32, later: u32 },
    /// Two transactions that read a key in one version, or the one in a version before the other's write, and both wrote it.
    LostUpdate { txn: u32, other: u32, key: u32 },
    /// An acknowledged element that no read has, although one began after the acknowledgement.
    Lost { element: u32, reader: u32 },
    /// Versions of a register that must come before themselves: each is followed by the next because of the transaction with it.
    CyclicVersions { key: u32, steps: Vec<(u32, u32)> },
}

impl Fault {
    /// What kind of thing it is.
    pub(super) fn phenomenon(&self) -> Phenomenon {
        match self {
            Fault::Internal { .. } => Phenomenon::Internal,
            Fault::FutureRead { .. } => Phenomenon::FutureRead,
            Fault::ThinAir { .. } => Phenomenon::ThinAirRead,
            Fault::Unwritten { .. } => Phenomenon::UnwrittenRead,
            Fault::Aborted { .. } => Phenomenon::G1a,
            Fault::Intermediate { .. } => Phenomenon::G1b,
            Fault::DirtyUpdate { .. } => Phenomenon::DirtyUpdate,
            Fault::Duplicate { .. } => Phenomenon::DuplicateElements,
            Fault::Incompatible { .. } => Phenomenon::IncompatibleOrder,
            Fault::Reordered { .. } => Phenomenon::ReorderedWrites,
            Fault::LostUpdate { .. } => Phenomenon::LostUpdate,
            Fault::Lost { .. } => Phenomenon::LostWrite,
            Fault::CyclicVersions { .. } => Phenomenon::CyclicVersions,
        }
    }
}

/// How many anomalies of a kind a verdict spells out; its numbers count all.
pub(super) const SHOWN: usize = 5;

/// Faults: the first few of each kind, and how many there are.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) shown: Vec<Fault>,
    counts: [usize; 32],
    pub(super) found: Phenomena,
}

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        let phenomenon = fault.phenomenon();
        let count = &mut self.counts[phenomenon as usize];
        *count += 1;
        if *count <= SHOWN {
            self.shown.push(fault);
        }
        self.found.insert(phenomenon);
    }

    /// How many there are of all kinds.
    pub(super) fn count(&self) -> usize {
        self.counts.iter().sum()
    }
}
