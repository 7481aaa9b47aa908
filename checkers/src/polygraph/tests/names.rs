//! What is said of what is wrong.

use super::*;

#[test]
fn anomalies_have_their_names() {
    use PolygraphModel::{ParallelSnapshotIsolation as Psi, PrefixConsistency as Pc, Serializable as Ser};
    use PolygraphModel::{SnapshotIsolation as Si, StrictSerializable as Strict};
    let initial = json!([["w", "x", 1], ["w", "y", 1]]);
    let lost =
        [initial.clone(), json!([["r", "x", 1], ["w", "x", 2]]), json!([["r", "x", 1], ["w", "x", 3]])];
    let skew =
        [initial.clone(), json!([["r", "x", 1], ["w", "y", 2]]), json!([["r", "y", 1], ["w", "x", 3]])];
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
    let circular = [json!([["w", "x", 1], ["r", "y", 1]]), json!([["w", "y", 1], ["r", "x", 1]])];
    let torn = [json!([["w", "x", 1], ["w", "y", 1]]), json!([["r", "x", 1], ["r", "y", null]])];
    let cases: [(&[Value], &[PolygraphModel], &str, usize); 6] = [
        (&lost, &[Ser, Si, Psi, Strict], "lost-update", 3),
        (&skew, &[Ser, Strict], "write-skew", 3),
        (&fork, &[Ser, Si, Pc, Strict], "long-fork", 4),
        (&causality, &[Ser, Si, Psi, Pc, Strict], "G-single", 3),
        (&circular, &[Ser, Si, Psi, Pc, Strict], "G1c", 2),
        (&torn, &[Ser, Si, Psi, Pc, Strict], "G-single", 2),
    ];
    for (txns, forbidding, name, size) in cases {
        for model in MODELS {
            let verdict = Polygraph::new(model).check(&history(txns));
            let kinds: Vec<&str> = verdict.anomalies.iter().map(|anomaly| anomaly.kind.as_str()).collect();
            let expected = if forbidding.contains(&model) { vec![name] } else { vec![] };
            assert_eq!(kinds, expected, "{model:?} {verdict:#?}");
            for anomaly in &verdict.anomalies {
                assert_eq!(anomaly.witness.len(), size, "{model:?} {anomaly:#?}");
                closes(anomaly);
            }
        }
    }
}

#[test]
fn a_lost_update_is_told_as_it_happened() {
    let txns = [json!([["r", "x", null], ["w", "x", 2]]), json!([["r", "x", null], ["w", "x", 3]])];
    let verdict = Polygraph::new(PolygraphModel::SnapshotIsolation).check(&history(&txns));
    assert_eq!(
        verdict.summary,
        "not snapshot isolation: process 0's transaction of 0.000 s and process 1's transaction of 0.000 s both read the \
         initial value of key \"x\", and both overwrote it: one of the two updates is lost"
    );
}

#[test]
fn reads_that_no_order_explains_have_their_names() {
    let cases: [(&[Value], &str); 5] = [
        (&[json!([["r", "x", 7]])], "thin-air-read"),
        (&[json!([["w", "x", 1], ["w", "x", 2]]), json!([["r", "x", 1]])], "G1b"),
        (&[json!([["r", "x", 1], ["w", "x", 1]])], "future-read"),
        (&[json!([["w", "x", 1], ["r", "x", null]])], "internal"),
        (&[json!([["w", "x", 1]]), json!([["r", "x", 1], ["r", "x", null]])], "internal"),
    ];
    for (txns, name) in cases {
        for model in MODELS {
            let verdict = Polygraph::new(model).check(&history(txns));
            assert_eq!(verdict.anomalies[0].kind, name, "{verdict:#?}");
        }
    }
}

#[test]
fn a_failed_write_that_was_seen_may_have_been_unknown() {
    let write = json!([["w", "x", 1]]);
    let read = json!([["r", "x", 1]]);
    let op = |process, mops: &Value| Op::new("txn").process(Process::Client(process)).value(mops.clone());
    let history: History =
        [op(0, &write), op(0, &write).kind(Type::Fail), op(1, &read), op(1, &read).kind(Type::Ok)]
            .into_iter()
            .collect();
    let verdict = Polygraph::new(PolygraphModel::StrictSerializable).check(&history);
    assert_eq!(
        (verdict.anomalies[0].kind.as_str(), verdict.anomalies[0].witness.as_slice()),
        ("G1a", &[1, 3][..])
    );
    assert!(verdict.anomalies[0].steps.last().unwrap().starts_with("recorded as info"));
}

#[test]
fn a_value_that_was_written_twice_leaves_it_open() {
    let twice = [json!([["w", "x", 1]]), json!([["w", "x", 1]]), json!([["r", "x", 1], ["r", "y", null]])];
    let verdict = Polygraph::new(PolygraphModel::Serializable).check(&history(&twice));
    assert_eq!(verdict.valid, Valid::Unknown);
    assert_eq!(
        verdict.reason.unwrap(),
        "events 0 and 1 both write 1 to key \"x\"; write each value to a key once"
    );
    let mut more = twice.to_vec();
    more.extend([json!([["w", "y", 1], ["r", "z", 1]]), json!([["w", "z", 1], ["r", "y", 1]])]);
    assert_eq!(Polygraph::new(PolygraphModel::Serializable).check(&history(&more)).valid, Valid::False);
}

#[test]
fn caps_are_kept_and_told() {
    let mut rng = Random(5);
    let history = oracle::record(&nearly(&mut rng, 60, Mops::Any));
    let checker = Polygraph::new(PolygraphModel::Serializable);
    let small = Budget::default().memory_bytes(10_000);
    let verdict = checker.check_within(&history, &small);
    assert_eq!(verdict.valid, Valid::Unknown);
    assert!(verdict.reason.unwrap().contains("memory cap"));
    let cancelled = Budget::default();
    cancelled.cancel();
    assert!(checker.check_within(&history, &cancelled).reason.unwrap().contains("cancelled"));
    let capped = (0..2_000u64).find_map(|seed| {
        let history = oracle::record(&nearly(&mut Random(seed), 20, Mops::Any));
        let verdict = checker.clone().work_cap(0).check(&history);
        (verdict.valid == Valid::Unknown).then_some(verdict)
    });
    assert!(capped.unwrap().reason.unwrap().contains("the cap of 0 steps was reached"));
}
