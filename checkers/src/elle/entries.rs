//! The ready-made checkers of this family: one for each model over lists, and one over registers.

use super::consistency::Consistency;
use super::{Append, RwRegister};
use crate::registry::{CheckerEntry, Object, Order};

/// The name of a checker: that of strict serializability is the plain one.
pub(super) fn name(family: &str, model: Consistency) -> String {
    match model {
        Consistency::StrictSerializable => family.to_owned(),
        _ => format!("{family}-{model}"),
    }
}

macro_rules! entries {
    ($($model:ident $name:literal $order:ident,)*) => {
        /// The ready-made checkers of this family.
        pub(crate) const CHECKERS: &[CheckerEntry] = &[
            CheckerEntry {
                name: "append",
                about: "list-append transactions are strict-serializable",
                order: Order::RealTime,
                on: Object::Lists,
                build: |_| Box::new(Append::default()),
            },
            $(CheckerEntry {
                name: concat!("append-", $name),
                about: concat!("list-append transactions are ", $name),
                order: Order::$order,
                on: Object::Lists,
                build: |_| Box::new(Append::new(Consistency::$model)),
            },)*
            CheckerEntry {
                name: "rw-register",
                about: "transactions over registers with unique writes are strict-serializable",
                order: Order::RealTime,
                on: Object::Registers,
                build: |_| Box::new(RwRegister::default()),
            },
            $(CheckerEntry {
                name: concat!("rw-register-", $name),
                about: concat!("transactions over registers with unique writes are ", $name),
                order: Order::$order,
                on: Object::Registers,
                build: |_| Box::new(RwRegister::new(Consistency::$model)),
            },)*
            CheckerEntry {
                name: "rw-register-open",
                about: "the same as rw-register, where others may have written too, or before the history began",
                order: Order::RealTime,
                on: Object::Registers,
                build: |_| Box::new(RwRegister::default().open()),
            },
        ];
    };
}

entries! {
    ReadUncommitted "read-uncommitted" Sessions,
    StrongSessionReadUncommitted "strong-session-read-uncommitted" Sessions,
    StrongReadUncommitted "strong-read-uncommitted" RealTime,
    ReadCommitted "read-committed" Sessions,
    StrongSessionReadCommitted "strong-session-read-committed" Sessions,
    StrongReadCommitted "strong-read-committed" RealTime,
    MonotonicView "monotonic-view" Sessions,
    CursorStability "cursor-stability" Sessions,
    MonotonicSnapshotRead "monotonic-snapshot-read" Sessions,
    MonotonicAtomicView "monotonic-atomic-view" Sessions,
    ConsistentView "consistent-view" Sessions,
    ForwardConsistentView "forward-consistent-view" Sessions,
    UpdateSerializable "update-serializable" Sessions,
    ReadAtomic "read-atomic" Sessions,
    Rola "ROLA" Sessions,
    CausalCerone "causal-cerone" Sessions,
    ParallelSnapshotIsolation "parallel-snapshot-isolation" Sessions,
    Prefix "prefix" Sessions,
    RepeatableRead "repeatable-read" Sessions,
    SnapshotIsolation "snapshot-isolation" Sessions,
    StrongSessionSnapshotIsolation "strong-session-snapshot-isolation" Sessions,
    StrongSnapshotIsolation "strong-snapshot-isolation" RealTime,
    Serializable "serializable" Sessions,
    StrongSessionSerializable "strong-session-serializable" Sessions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_both_checkers() {
        assert_eq!(CHECKERS.len(), 2 * Consistency::all().count() + 1);
        for family in ["append", "rw-register"] {
            let order = |model: Consistency| match model.needs_real_time() {
                true => Order::RealTime,
                false => Order::Sessions,
            };
            let named = |model| {
                CHECKERS.iter().any(|entry| entry.name == name(family, model) && entry.order == order(model))
            };
            assert!(Consistency::all().all(named));
        }
    }
}
