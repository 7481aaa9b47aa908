//! Isolation of transactions over registers, when nobody knows the order of versions.

use squall_checkers::{Polygraph, PolygraphModel, Valid};

use crate::case::{Case, Input};
use crate::isolated::{Load, Store, transactions};
use crate::random::Random;

/// The general load of PolySI, with as many transactions as are asked for.
const GENERAL: Load = Load { txns: 0, clients: 20, mops: 15, keys: 10_000, reads: 50, skew: 1.0 };
const FEW_KEYS: Load = Load { mops: 4, keys: 10, skew: 0.0, ..GENERAL };

pub(crate) fn cases() -> Vec<Case> {
    let base = Case {
        name: "txn-snapshot-isolation, general",
        size: 10_000,
        quick: 1_000,
        input: |txns| store(GENERAL, txns, Store::Snapshot),
        checker: || Box::new(Polygraph::new(PolygraphModel::SnapshotIsolation)),
        valid: Valid::True,
        bar_ms: Some(1_000.0),
        bar_mib: None,
        quick_bytes_per_op: 25_000,
        quick_steps_per_op: Some(4_000.0),
    };
    vec![
        Case { ..base },
        Case {
            name: "txn-snapshot-isolation, 95 % reads",
            input: |txns| store(Load { reads: 95, ..GENERAL }, txns, Store::Snapshot),
            ..base
        },
        Case {
            name: "txn-snapshot-isolation, 10 % reads",
            input: |txns| store(Load { reads: 10, ..GENERAL }, txns, Store::Snapshot),
            ..base
        },
        Case {
            name: "txn-snapshot-isolation, 10 keys",
            input: |txns| store(FEW_KEYS, txns, Store::Snapshot),
            ..base
        },
        Case {
            name: "txn-parallel-snapshot-isolation, general",
            input: |txns| store(GENERAL, txns, Store::Parallel),
            checker: || Box::new(Polygraph::new(PolygraphModel::ParallelSnapshotIsolation)),
            ..base
        },
        Case {
            name: "txn-prefix, general",
            checker: || Box::new(Polygraph::new(PolygraphModel::PrefixConsistency)),
            ..base
        },
        Case {
            name: "txn-serializable, general",
            input: |txns| store(GENERAL, txns, Store::Serial),
            checker: || Box::new(Polygraph::new(PolygraphModel::Serializable)),
            ..base
        },
        Case {
            name: "txn-serializable, 10 % reads",
            input: |txns| store(Load { reads: 10, ..GENERAL }, txns, Store::Serial),
            checker: || Box::new(Polygraph::new(PolygraphModel::Serializable)),
            ..base
        },
        Case {
            name: "txn-serializable, 10 keys",
            input: |txns| store(FEW_KEYS, txns, Store::Serial),
            checker: || Box::new(Polygraph::new(PolygraphModel::Serializable)),
            ..base
        },
        Case {
            name: "txn-strict-serializable, general",
            input: |txns| store(GENERAL, txns, Store::Serial),
            checker: || Box::new(Polygraph::new(PolygraphModel::StrictSerializable)),
            ..base
        },
    ]
}

fn store(load: Load, txns: usize, store: Store) -> Input {
    Input::of(transactions(&mut Random(1), Load { txns, ..load }, store))
}
