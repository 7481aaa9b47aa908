//! Large histories of simulated stores keep what the store promises, and an anomaly that is planted in one is found where
//! it is.

#[path = "common/foreign.rs"]
mod foreign;
#[path = "common/isolated.rs"]
mod isolated;
#[path = "common/random.rs"]
mod random;

use isolated::{Load, Store, transactions};
use random::Random;
use serde_json::{Value, json};
use squall_checkers::PolygraphModel::{
    ParallelSnapshotIsolation, PrefixConsistency, Serializable, SnapshotIsolation, StrictSerializable,
};
use squall_checkers::{Checker, History, Op, Polygraph, PolygraphModel, Process, Type, Valid, Verdict};

const LOAD: Load = Load { txns: 10_000, clients: 20, mops: 6, keys: 1_000, reads: 60, skew: 1.0 };

fn check(model: PolygraphModel, history: &History) -> Verdict {
    Polygraph::new(model).check(history)
}

#[test]
fn stores_keep_what_they_promise() {
    let promises: [(Store, &[PolygraphModel], &[PolygraphModel]); 3] = [
        (Store::Serial, &[StrictSerializable, Serializable, SnapshotIsolation], &[]),
        (
            Store::Snapshot,
            &[SnapshotIsolation, ParallelSnapshotIsolation, PrefixConsistency],
            &[Serializable],
        ),
        (Store::Parallel, &[ParallelSnapshotIsolation], &[SnapshotIsolation]),
    ];
    let load = Load { txns: 3_000, ..LOAD };
    for (store, kept, broken) in promises {
        let history = transactions(&mut Random(1), load, store);
        for &model in kept {
            let verdict = check(model, &history);
            assert_eq!(verdict.valid, Valid::True, "{store:?} {model:?}: {}", verdict.summary);
        }
        for &model in broken {
            let verdict = check(model, &history);
            assert_eq!(verdict.valid, Valid::False, "{store:?} {model:?}: {}", verdict.summary);
            assert!(verdict.anomalies[0].witness.len() <= 12, "{:#?}", verdict.anomalies[0]);
        }
    }
}

/// The history with these transactions put in at an event, all at once, each by a process of its own.
fn planted(history: &History, at: usize, txns: &[Value]) -> History {
    let mut mixed = History::new();
    for op in history.iter() {
        if op.index() == at {
            for kind in [Type::Invoke, Type::Ok] {
                for (n, mops) in txns.iter().enumerate() {
                    let process = Process::Client(1_000 + n as u32);
                    mixed.push(
                        &Op::new("txn").process(process).kind(kind).value(mops.clone()).at(op.time_ns()),
                    );
                }
            }
        }
        mixed.push(&op.to_op());
    }
    mixed
}

#[test]
fn a_planted_anomaly_is_found_where_it_is() {
    let store = transactions(&mut Random(2), LOAD, Store::Serial);
    let lost = [
        json!([["w", "x", 1]]),
        json!([["r", "x", 1], ["w", "x", 2]]),
        json!([["r", "x", 1], ["w", "x", 3]]),
    ];
    let skew = [
        json!([["w", "x", 1], ["w", "y", 1]]),
        json!([["r", "x", 1], ["w", "y", 2]]),
        json!([["r", "y", 1], ["w", "x", 3]]),
    ];
    let fork = [
        json!([["w", "x", 1]]),
        json!([["w", "y", 1]]),
        json!([["r", "x", 1], ["r", "y", null]]),
        json!([["r", "y", 1], ["r", "x", null]]),
    ];
    let causality = [
        json!([["w", "x", 1]]),
        json!([["r", "x", 1], ["w", "y", 1]]),
        json!([["r", "y", 1], ["r", "x", null]]),
    ];
    type Case<'a> = (&'a [Value], &'a [PolygraphModel], &'a str);
    let cases: [Case; 4] = [
        (&lost, &[Serializable, SnapshotIsolation, ParallelSnapshotIsolation], "lost-update"),
        (&skew, &[Serializable, StrictSerializable], "write-skew"),
        (&fork, &[Serializable, SnapshotIsolation, PrefixConsistency], "long-fork"),
        (&causality, &[Serializable, SnapshotIsolation, ParallelSnapshotIsolation], "G-single"),
    ];
    let at = store.len() / 2;
    for (txns, models, name) in cases {
        let history = planted(&store, at, txns);
        for &model in models {
            let verdict = check(model, &history);
            let found = &verdict.anomalies[0];
            assert_eq!(found.kind, name, "{model:?} {}", verdict.summary);
            assert_eq!(found.witness.len(), txns.len(), "{model:?} {found:#?}");
            assert!(found.witness.iter().all(|event| (at..at + 2 * txns.len()).contains(event)));
        }
    }
    assert_eq!(check(PrefixConsistency, &planted(&store, at, &lost)).valid, Valid::True);
}

#[test]
fn recorded_histories_of_others_are_judged_as_expected() {
    for (path, [file, _, model, claim, holds]) in foreign::rows() {
        if model != "kv-txn" || claim != "snapshot-isolation" {
            continue;
        }
        let history = squall_checkers::history::read_file(&path).unwrap_or_else(|e| panic!("{e}")).history;
        let verdict = check(SnapshotIsolation, &history);
        let expected = if holds == "true" { Valid::True } else { Valid::False };
        assert_eq!(verdict.valid, expected, "{file}: {}", verdict.summary);
        println!("{file}: {}", verdict.summary);
    }
}
