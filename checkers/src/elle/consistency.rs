//! The lattice of consistency models: which model implies which, and which phenomena each rules out.
//!
//! Names and arrows are those of Elle's `consistency_model.clj` (Kingsbury and Alvaro, VLDB 2020), which takes them from Adya
//! (PhD thesis, 1999), Bailis et al. (*Highly available transactions*, VLDB 2013), Cerone, Bernardi and Gotsman (CONCUR 2015),
//! and Daudjee and Salem (VLDB 2006). Where Elle's table is incomplete, the characterizations by dependency graphs of Cerone and
//! Gotsman (*Analysing snapshot isolation*, PODC 2016) complete it:
//!
//! | model | rules out cycles |
//! |---|---|
//! | snapshot isolation | without two adjacent rw edges |
//! | parallel snapshot isolation | with at most one rw edge |
//! | prefix consistency | where a wr edge comes right before each rw edge |
//! | causal consistency | of wr edges and one rw edge |
//! | read atomic | of one wr edge and one rw edge |

use std::fmt;

use Consistency::*;
use Phenomenon as P;

/// A consistency model of transactions.
///
/// ```
/// use squall_checkers::Consistency;
///
/// let model = Consistency::from_name("PL-SI").unwrap();
/// assert_eq!(model, Consistency::SnapshotIsolation);
/// assert!(Consistency::Serializable.implies(model));
/// assert!(!model.implies(Consistency::RepeatableRead));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consistency {
    /// Adya's PL-1: no dirty writes.
    ReadUncommitted,
    /// PL-1, and writes respect the order of each process.
    StrongSessionReadUncommitted,
    /// PL-1, and writes respect real time.
    StrongReadUncommitted,
    /// Adya's PL-2: no dirty reads.
    ReadCommitted,
    /// PL-2, and what is seen respects the order of each process.
    StrongSessionReadCommitted,
    /// PL-2, and what is seen respects real time.
    StrongReadCommitted,
    /// Adya's PL-2L.
    MonotonicView,
    /// Adya's PL-CS: no lost update.
    CursorStability,
    /// Adya's PL-MSR.
    MonotonicSnapshotRead,
    /// Bailis: once an effect of a transaction is seen, all are.
    MonotonicAtomicView,
    /// Adya's PL-2+.
    ConsistentView,
    /// Adya's PL-FCV.
    ForwardConsistentView,
    /// Adya's PL-3U.
    UpdateSerializable,
    /// Cerone: all effects of a transaction are seen together.
    ReadAtomic,
    /// Read atomic without lost updates.
    Rola,
    /// Cerone: what is seen is closed under what it had seen.
    CausalCerone,
    /// Cerone: causal consistency without lost updates.
    ParallelSnapshotIsolation,
    /// Cerone: what is seen is a prefix of one order.
    Prefix,
    /// Adya's PL-2.99.
    RepeatableRead,
    /// Adya's PL-SI in the generalized form: a snapshot may be old.
    SnapshotIsolation,
    /// Snapshots hold all that the process did before.
    StrongSessionSnapshotIsolation,
    /// Snapshots hold all that had completed before.
    StrongSnapshotIsolation,
    /// Adya's PL-3.
    Serializable,
    /// Serializable in an order that respects each process.
    StrongSessionSerializable,
    /// Serializable in an order that respects real time.
    StrictSerializable,
}

/// Something that a model may rule out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phenomenon {
    DuplicateElements,
    CyclicVersions,
    ThinAirRead,
    /// A read of what no recorded transaction wrote to a register: somebody else may have.
    UnwrittenRead,
    ReorderedWrites,
    IncompatibleOrder,
    DirtyUpdate,
    G1a,
    G1b,
    FutureRead,
    Internal,
    LostUpdate,
    LostWrite,
    G0,
    G0Process,
    G0Realtime,
    G1c,
    G1cProcess,
    G1cRealtime,
    /// A cycle of one wr and one rw edge.
    Fractured,
    /// A cycle of wr edges and one rw edge.
    Acausal,
    /// A cycle where a wr edge comes right before each rw edge.
    Unprefixed,
    Single,
    SingleProcess,
    SingleRealtime,
    Nonadjacent,
    NonadjacentProcess,
    NonadjacentRealtime,
    G2,
    G2Process,
    G2Realtime,
}

/// A set of phenomena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Phenomena(u64);

impl Phenomena {
    pub(super) fn insert(&mut self, phenomenon: Phenomenon) {
        self.0 |= 1 << phenomenon as u8;
    }

    pub(super) fn contains(self, phenomenon: Phenomenon) -> bool {
        self.0 >> phenomenon as u8 & 1 == 1
    }

    pub(super) fn with(self, more: Phenomena) -> Phenomena {
        Phenomena(self.0 | more.0)
    }

    pub(super) fn without(self, phenomenon: Phenomenon) -> Phenomena {
        Phenomena(self.0 & !(1 << phenomenon as u8))
    }

    /// With all that these imply.
    pub(super) fn closed(mut self) -> Phenomena {
        loop {
            let before = self.0;
            for &(from, to) in IMPLIED {
                if self.contains(from) {
                    to.iter().for_each(|&to| self.insert(to));
                }
            }
            if self.0 == before {
                return self;
            }
        }
    }

    fn of(list: &[Phenomenon]) -> Phenomena {
        let mut set = Phenomena::default();
        list.iter().for_each(|&phenomenon| set.insert(phenomenon));
        set
    }
}

/// A history with the first has the others, too.
const IMPLIED: &[(Phenomenon, &[Phenomenon])] = &[
    (P::ThinAirRead, &[P::G1a]),
    (P::ReorderedWrites, &[P::G0]),
    (P::IncompatibleOrder, &[P::G1a]),
    (P::DirtyUpdate, &[P::G1a]),
    (P::FutureRead, &[P::G1c]),
    (P::LostUpdate, &[P::Single]),
    (P::LostWrite, &[P::SingleRealtime]),
    (P::G0, &[P::G1c, P::G0Process]),
    (P::G0Process, &[P::G1cProcess, P::G0Realtime]),
    (P::G0Realtime, &[P::G1cRealtime]),
    (P::G1c, &[P::G1cProcess]),
    (P::G1cProcess, &[P::G1cRealtime]),
    (P::Fractured, &[P::Acausal]),
    (P::Acausal, &[P::Single, P::Unprefixed]),
    (P::Unprefixed, &[P::Nonadjacent]),
    (P::Single, &[P::Nonadjacent, P::SingleProcess]),
    (P::SingleProcess, &[P::NonadjacentProcess, P::SingleRealtime]),
    (P::SingleRealtime, &[P::NonadjacentRealtime]),
    (P::Nonadjacent, &[P::G2, P::NonadjacentProcess]),
    (P::NonadjacentProcess, &[P::G2Process, P::NonadjacentRealtime]),
    (P::NonadjacentRealtime, &[P::G2Realtime]),
    (P::G2, &[P::G2Process]),
    (P::G2Process, &[P::G2Realtime]),
];

/// What is said of a model: all but what follows from the weaker models that it implies.
struct Row {
    model: Consistency,
    /// The first is the one that is shown.
    names: &'static [&'static str],
    implies: &'static [Consistency],
    rules_out: &'static [Phenomenon],
}

/// In the order of the enum: a model comes after those that it implies.
const ROWS: &[Row] = &[
    Row {
        model: ReadUncommitted,
        names: &["read-uncommitted", "PL-1"],
        implies: &[],
        rules_out: &[P::G0, P::DuplicateElements, P::CyclicVersions, P::ThinAirRead],
    },
    Row {
        model: StrongSessionReadUncommitted,
        names: &["strong-session-read-uncommitted", "strong-session-PL-1"],
        implies: &[ReadUncommitted],
        rules_out: &[P::G0Process],
    },
    Row {
        model: StrongReadUncommitted,
        names: &["strong-read-uncommitted", "strong-PL-1"],
        implies: &[StrongSessionReadUncommitted],
        rules_out: &[P::G0Realtime],
    },
    Row {
        model: ReadCommitted,
        names: &["read-committed", "PL-2"],
        implies: &[ReadUncommitted],
        rules_out: &[P::G1a, P::G1b, P::G1c],
    },
    Row {
        model: StrongSessionReadCommitted,
        names: &["strong-session-read-committed", "strong-session-PL-2"],
        implies: &[ReadCommitted, StrongSessionReadUncommitted],
        rules_out: &[P::G1cProcess],
    },
    Row {
        model: StrongReadCommitted,
        names: &["strong-read-committed", "strong-PL-2"],
        implies: &[StrongSessionReadCommitted, StrongReadUncommitted],
        rules_out: &[P::G1cRealtime],
    },
    Row {
        model: MonotonicView,
        names: &["monotonic-view", "PL-2L"],
        implies: &[ReadCommitted],
        rules_out: &[],
    },
    Row {
        model: CursorStability,
        names: &["cursor-stability", "PL-CS"],
        implies: &[ReadCommitted],
        rules_out: &[P::LostUpdate],
    },
    Row {
        model: MonotonicSnapshotRead,
        names: &["monotonic-snapshot-read", "PL-MSR"],
        implies: &[ReadCommitted],
        rules_out: &[],
    },
    Row {
        model: MonotonicAtomicView,
        names: &["monotonic-atomic-view", "MAV"],
        implies: &[ReadCommitted],
        rules_out: &[],
    },
    Row {
        model: ConsistentView,
        names: &["consistent-view", "PL-2+"],
        implies: &[CursorStability, MonotonicView],
        rules_out: &[P::Single, P::Internal],
    },
    Row {
        model: ForwardConsistentView,
        names: &["forward-consistent-view", "PL-FCV"],
        implies: &[ConsistentView],
        rules_out: &[],
    },
    Row {
        model: UpdateSerializable,
        names: &["update-serializable", "PL-3U"],
        implies: &[ForwardConsistentView],
        rules_out: &[],
    },
    Row {
        model: ReadAtomic,
        names: &["read-atomic", "RA"],
        implies: &[MonotonicAtomicView],
        rules_out: &[P::Internal, P::FutureRead, P::Fractured],
    },
    Row { model: Rola, names: &["ROLA"], implies: &[ReadAtomic], rules_out: &[P::LostUpdate] },
    Row { model: CausalCerone, names: &["causal-cerone"], implies: &[ReadAtomic], rules_out: &[P::Acausal] },
    Row {
        model: ParallelSnapshotIsolation,
        names: &["parallel-snapshot-isolation", "PSI"],
        implies: &[CausalCerone, Rola],
        rules_out: &[P::Single],
    },
    Row {
        model: Prefix,
        names: &["prefix", "prefix-consistency"],
        implies: &[CausalCerone],
        rules_out: &[P::Unprefixed],
    },
    Row {
        model: RepeatableRead,
        names: &["repeatable-read", "PL-2.99"],
        implies: &[CursorStability, MonotonicAtomicView],
        rules_out: &[P::G2, P::Internal],
    },
    Row {
        model: SnapshotIsolation,
        names: &["snapshot-isolation", "PL-SI", "SI"],
        implies: &[
            ForwardConsistentView,
            MonotonicAtomicView,
            MonotonicSnapshotRead,
            ParallelSnapshotIsolation,
            Prefix,
        ],
        rules_out: &[P::Nonadjacent],
    },
    Row {
        model: StrongSessionSnapshotIsolation,
        names: &["strong-session-snapshot-isolation"],
        implies: &[SnapshotIsolation, StrongSessionReadCommitted],
        rules_out: &[P::NonadjacentProcess],
    },
    Row {
        model: StrongSnapshotIsolation,
        names: &["strong-snapshot-isolation"],
        implies: &[StrongSessionSnapshotIsolation, StrongReadCommitted],
        rules_out: &[P::NonadjacentRealtime],
    },
    Row {
        model: Serializable,
        names: &["serializable", "PL-3", "conflict-serializable", "view-serializable"],
        implies: &[RepeatableRead, UpdateSerializable, SnapshotIsolation],
        rules_out: &[P::G2],
    },
    Row {
        model: StrongSessionSerializable,
        names: &["strong-session-serializable"],
        implies: &[Serializable, StrongSessionSnapshotIsolation],
        rules_out: &[P::G2Process],
    },
    Row {
        model: StrictSerializable,
        names: &["strict-serializable", "strong-serializable", "PL-SS"],
        implies: &[StrongSessionSerializable, StrongSnapshotIsolation],
        rules_out: &[P::G2Realtime],
    },
];

impl Consistency {
    /// All models; each comes after those that it implies.
    pub fn all() -> impl Iterator<Item = Consistency> {
        ROWS.iter().map(|row| row.model)
    }

    /// The model of this name; Adya's names and a few others are known, too.
    pub fn from_name(name: &str) -> Option<Consistency> {
        ROWS.iter().find(|row| row.names.contains(&name)).map(|row| row.model)
    }

    /// Its name, such as `snapshot-isolation`.
    pub fn name(self) -> &'static str {
        self.row().names[0]
    }

    /// Whether every history of this model is one of the other model.
    pub fn implies(self, other: Consistency) -> bool {
        self == other || self.row().implies.iter().any(|weaker| weaker.implies(other))
    }

    /// Whether it asks what had completed before what began.
    pub(super) fn needs_real_time(self) -> bool {
        self.implies(StrongReadUncommitted)
    }

    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// All that it rules out.
    pub(super) fn rules_out(self) -> Phenomena {
        let all = ROWS.iter().filter(|row| self.implies(row.model));
        Phenomena(all.fold(0, |set, row| set | Phenomena::of(row.rules_out).0))
    }

    /// Whether a history in which these were found is not of this model.
    pub(super) fn forbids(self, found: Phenomena) -> bool {
        self.rules_out().0 & found.closed().0 != 0
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The weakest models that a history with these phenomena is not of, and all stronger ones.
pub(super) fn boundary(found: Phenomena) -> (Vec<Consistency>, Vec<Consistency>) {
    weakest(|model| model.forbids(found))
}

/// Of the models that are broken the weakest, and all others.
pub(super) fn weakest(is_broken: impl Fn(Consistency) -> bool) -> (Vec<Consistency>, Vec<Consistency>) {
    let broken: Vec<Consistency> = Consistency::all().filter(|&model| is_broken(model)).collect();
    let weakest =
        |model: &Consistency| !broken.iter().any(|weaker| weaker != model && model.implies(*weaker));
    broken.iter().copied().partition(weakest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_names_are_unique() {
        let mut names: Vec<&str> = ROWS.iter().flat_map(|row| row.names).copied().collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(row.model as usize, at);
            assert!(row.implies.iter().all(|weaker| *weaker < row.model));
        }
        assert!(Consistency::all().all(|model| StrictSerializable.implies(model)));
    }

    #[test]
    fn what_a_phenomenon_breaks_is_what_elle_says() {
        let broken = |found: &[Phenomenon]| {
            let names =
                |models: Vec<Consistency>| models.iter().map(|m| m.name()).collect::<Vec<_>>().join(" ");
            names(boundary(Phenomena::of(found)).0)
        };
        assert_eq!(broken(&[P::G0]), "read-uncommitted");
        assert_eq!(broken(&[P::G1a]), "read-committed");
        assert_eq!(broken(&[P::G2]), "repeatable-read");
        assert_eq!(broken(&[P::G2Realtime]), "strict-serializable");
        assert_eq!(broken(&[P::Nonadjacent]), "repeatable-read snapshot-isolation");
        assert_eq!(broken(&[P::Single]), "consistent-view parallel-snapshot-isolation repeatable-read");
        assert_eq!(broken(&[P::SingleRealtime]), "strong-snapshot-isolation");
        assert_eq!(broken(&[P::LostUpdate]), "cursor-stability ROLA");
        let (_, also) = boundary(Phenomena::of(&[P::Nonadjacent]));
        assert!(also.contains(&Serializable) && also.contains(&StrictSerializable));
    }
}
