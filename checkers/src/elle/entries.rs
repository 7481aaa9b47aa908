//! The ready-made checkers of this family: one for each model over lists, and one over registers.

use super::consistency::Consistency;
use super::{Append, RwRegister};
use crate::registry::CheckerEntry;

/// The name of a checker: that of strict serializability is the plain one.
pub(super) fn name(family: &str, model: Consistency) -> String {
    match model {
        Consistency::StrictSerializable => family.to_owned(),
        _ => format!("{family}-{model}"),
    }
}

macro_rules! entries {
    ($($model:ident $name:literal,)*) => {
        /// The ready-made checkers of this family.
        pub(crate) const CHECKERS: &[CheckerEntry] = &[
            CheckerEntry {
                name: "append",
                about: "list-append transactions are strict-serializable",
                build: || Box::new(Append::default()),
            },
            $(CheckerEntry {
                name: concat!("append-", $name),
                about: concat!("list-append transactions are ", $name),
                build: || Box::new(Append::new(Consistency::$model)),
            },)*
            CheckerEntry {
                name: "rw-register",
                about: "transactions over registers with unique writes are strict-serializable",
                build: || Box::new(RwRegister::default()),
            },
            $(CheckerEntry {
                name: concat!("rw-register-", $name),
                about: concat!("transactions over registers with unique writes are ", $name),
                build: || Box::new(RwRegister::new(Consistency::$model)),
            },)*
        ];
    };
}

entries! {
    ReadUncommitted "read-uncommitted",
    StrongSessionReadUncommitted "strong-session-read-uncommitted",
    StrongReadUncommitted "strong-read-uncommitted",
    ReadCommitted "read-committed",
    StrongSessionReadCommitted "strong-session-read-committed",
    StrongReadCommitted "strong-read-committed",
    MonotonicView "monotonic-view",
    CursorStability "cursor-stability",
    MonotonicSnapshotRead "monotonic-snapshot-read",
    MonotonicAtomicView "monotonic-atomic-view",
    ConsistentView "consistent-view",
    ForwardConsistentView "forward-consistent-view",
    UpdateSerializable "update-serializable",
    ReadAtomic "read-atomic",
    Rola "ROLA",
    CausalCerone "causal-cerone",
    ParallelSnapshotIsolation "parallel-snapshot-isolation",
    Prefix "prefix",
    RepeatableRead "repeatable-read",
    SnapshotIsolation "snapshot-isolation",
    StrongSessionSnapshotIsolation "strong-session-snapshot-isolation",
    StrongSnapshotIsolation "strong-snapshot-isolation",
    Serializable "serializable",
    StrongSessionSerializable "strong-session-serializable",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_both_checkers() {
        assert_eq!(CHECKERS.len(), 2 * Consistency::all().count());
        for family in ["append", "rw-register"] {
            let named = |model| CHECKERS.iter().any(|entry| entry.name == name(family, model));
            assert!(Consistency::all().all(named));
        }
    }
}
