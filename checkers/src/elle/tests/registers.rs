//! Registers: by name, and against the definitions of the models.

use super::oracle::{self, Store};
use super::*;
use crate::testing::Random;
use crate::{Type, Valid};
use serde_json::json;
use std::collections::BTreeMap;

fn kinds(history: &History) -> String {
    kinds_of(&RwRegister::default(), history)
}

fn kinds_of(checker: &RwRegister, history: &History) -> String {
    let verdict = checker.check(history);
    verdict.anomalies.iter().for_each(super::kinds::closes);
    verdict.anomalies.iter().map(|anomaly| anomaly.kind.clone()).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_anomaly_has_its_name() {
    let cases = [
        ("internal", one_by_one(&[json!([["w", 0, 1], ["r", 0, null]])])),
        ("future-read", one_by_one(&[json!([["r", 0, 1], ["w", 0, 1]])])),
        ("G1b G-single", at_once(&[json!([["w", 0, 1], ["w", 0, 2]]), json!([["r", 0, 1]])])),
        (
            "lost-update G2-item",
            at_once(&[json!([["r", 0, null], ["w", 0, 1]]), json!([["r", 0, null], ["w", 0, 2]])]),
        ),
        ("G1c", at_once(&[json!([["w", 0, 1], ["r", 1, 2]]), json!([["w", 1, 2], ["r", 0, 1]])])),
        ("G-single", at_once(&[json!([["w", 0, 1], ["w", 1, 1]]), json!([["r", 0, 1], ["r", 1, null]])])),
        ("G2-item", at_once(&[json!([["w", 0, 1], ["r", 1, null]]), json!([["w", 1, 1], ["r", 0, null]])])),
        (
            "G-nonadjacent",
            at_once(&[
                json!([["w", 0, 1]]),
                json!([["w", 1, 1]]),
                json!([["r", 0, 1], ["r", 1, null]]),
                json!([["r", 0, null], ["r", 1, 1]]),
            ]),
        ),
        (
            "G-single-realtime",
            one_by_one(&[json!([["w", 0, 1]]), json!([["w", 0, 2]]), json!([["r", 0, 1]])]),
        ),
        ("cyclic-versions", at_once(&[json!([["r", 0, 1], ["w", 0, 2]]), json!([["r", 0, 2], ["w", 0, 1]])])),
    ];
    for (kind, history) in cases {
        assert_eq!(kinds(&history), kind, "{:#?}", RwRegister::default().check(&history));
    }
}

/// Transactions of a file that tells no times were all said to be of 0.000 s.
#[test]
fn without_times_transactions_are_told_by_their_events() {
    let mut history = one_by_one(&[json!([["w", 0, 1], ["r", 0, null]])]);
    history.set_real_time(false);
    let verdict = RwRegister::new(Consistency::Serializable).check(&history);
    assert!(verdict.anomalies[0].sentence.contains("process 0's transaction at event 1"), "{verdict:#?}");
}

#[test]
fn an_aborted_write_must_not_be_read() {
    let write = json!([["w", 0, 1]]);
    let history = history(&[
        (0, Type::Invoke, write.clone()),
        (0, Type::Fail, write),
        (1, Type::Invoke, json!([["r", 0, null]])),
        (1, Type::Ok, json!([["r", 0, 1]])),
    ]);
    let verdict = RwRegister::new(Consistency::ReadCommitted).check(&history);
    assert_eq!(verdict.anomalies[0].kind, "G1a");
    assert!(verdict.summary.contains("had it been recorded as info"));
    assert_eq!(RwRegister::new(Consistency::ReadUncommitted).check(&history).valid, Valid::True);
}

/// A read of what nobody wrote was called valid with a remark, so that a store that made values up passed under every model.
#[test]
fn what_nobody_wrote_comes_out_of_thin_air() {
    let history = one_by_one(&[json!([["w", 0, 1]]), json!([["r", 0, 9]])]);
    for model in Consistency::all() {
        assert_eq!(kinds_of(&RwRegister::new(model), &history), "thin-air-read", "{model}");
    }
    let open = RwRegister::default().open().check(&history);
    assert_eq!(open.valid, Valid::True);
    assert!(open.stats["also found"][0].as_str().unwrap().contains("which nobody wrote"), "{open:#?}");
    let initial = one_by_one(&[json!([["r", 0, null]]), json!([["w", 0, 1]]), json!([["r", 0, 1]])]);
    assert_eq!(kinds(&initial), "");
}

#[test]
fn keys_that_are_sequential_or_linearizable_have_an_order() {
    let by = |process, value: Value| [(process, Type::Invoke, value.clone()), (process, Type::Ok, value)];
    let one = |processes: [u32; 3]| {
        let values = [json!([["w", 0, 1]]), json!([["w", 0, 2]]), json!([["r", 0, 1]])];
        let events = processes.into_iter().zip(values).flat_map(|(process, value)| by(process, value));
        history(&events.collect::<Vec<_>>())
    };
    let weak = RwRegister::new(Consistency::ReadCommitted);
    assert_eq!(kinds_of(&weak, &one([0, 0, 0])), "");
    assert_eq!(kinds_of(&weak.clone().sequential_keys(), &one([0, 0, 0])), "cyclic-versions");
    assert_eq!(kinds_of(&weak.clone().sequential_keys(), &one([0, 1, 2])), "");
    assert_eq!(kinds_of(&weak.linearizable_keys(), &one([0, 1, 2])), "cyclic-versions");
}

/// What is compared: models that the oracle knows.
fn models() -> impl Iterator<Item = Consistency> {
    let known = |model: &Consistency| oracle::holds(*model, &[], Store::Registers).is_some();
    Consistency::all().filter(known)
}

/// The verdict, without the search for small witnesses.
pub(crate) fn judged(checker: &RwRegister, history: &History) -> Verdict {
    let budget = Budget::default();
    checker.judge(&Txns::parse(history, Shape::Registers, &budget).unwrap(), &budget).unwrap()
}

/// A cycle was told as its transactions alone. Forty of 2,000 were valid by themselves: two updates of a value whose writer
/// was left out, versions whose order only the readers show by the time at which they read.
#[test]
fn every_witness_of_registers_fails_by_itself() {
    let mut rng = Random(33);
    let (mut judged_alone, mut grown, mut sizes) = (0, 0, [0; 12]);
    for round in 0..5_000 {
        let most = 3 + rng.below(8);
        let txns =
            if round % 2 == 0 { weak::random(&mut rng, most) } else { weak::random_updates(&mut rng, most) };
        let history = oracle::record(&txns, Store::Registers);
        let model = Consistency::all().nth(rng.below(Consistency::all().count())).unwrap();
        let checker = RwRegister::new(model);
        let known = judged(&checker, &history);
        if known.valid != Valid::False {
            continue;
        }
        for anomaly in known.anomalies {
            let alone = judged(&checker.clone().open(), &history.witness(&anomaly.witness));
            grown += u32::from(alone.valid != Valid::False);
        }
        for anomaly in checker.check(&history).anomalies {
            super::kinds::closes(&anomaly);
            let fails = |events: &[usize]| {
                let alone = judged(&checker, &history.witness(events));
                alone.anomalies.iter().any(|found| found.kind == anomaly.kind)
            };
            assert!(fails(&anomaly.witness), "{model} {txns:#?} {anomaly:#?}");
            for at in 0..anomaly.witness.len() {
                let mut fewer = anomaly.witness.clone();
                fewer.remove(at);
                assert!(!fails(&fewer), "{model} {txns:#?} {anomaly:#?}");
            }
            let within = |event: usize| anomaly.witness.contains(&event);
            assert!(anomaly.edges.iter().all(|edge| within(edge.from) && within(edge.to)), "{anomaly:#?}");
            judged_alone += 1;
            sizes[anomaly.witness.len().min(11)] += 1;
        }
    }
    println!("{judged_alone} witnesses, of sizes {sizes:?}; {grown} would not have failed by themselves");
    assert!(judged_alone > 3_000 && grown > 20, "{judged_alone} {grown}");
}

#[test]
fn no_model_is_called_broken_that_holds() {
    let mut rng = Random(31);
    let mut counts: BTreeMap<Consistency, [usize; 3]> = BTreeMap::new();
    for _ in 0..100_000 {
        let txns = weak::random(&mut rng, 3);
        if weak::reads_its_own(&txns) {
            continue;
        }
        let verdict = judged(&RwRegister::default(), &oracle::record(&txns, Store::Registers));
        let broken = broken(&verdict);
        for model in models() {
            let says = !broken.contains(&model);
            // What is said to be broken must be; the rest is counted.
            if says && rng.below(4) > 0 {
                continue;
            }
            let holds = oracle::holds(model, &txns, Store::Registers).unwrap();
            assert!(says || !holds, "{model} holds\n{txns:#?}\n{verdict:#?}");
            counts.entry(model).or_default()[if holds == says { usize::from(holds) } else { 2 }] += 1;
        }
    }
    for (model, [no, yes, missed]) in counts {
        println!("{model}: {yes} hold, {no} do not, {missed} do not, which registers do not tell");
        assert!(no > 500 && yes > 500, "{model}");
    }
}

#[test]
fn where_every_write_follows_a_read_verdicts_are_exact() {
    let total = [
        Consistency::ConsistentView,
        Consistency::RepeatableRead,
        Consistency::ParallelSnapshotIsolation,
        Consistency::SnapshotIsolation,
        Consistency::StrongSessionSnapshotIsolation,
        Consistency::StrongSnapshotIsolation,
        Consistency::Serializable,
        Consistency::StrongSessionSerializable,
        Consistency::StrictSerializable,
    ];
    let mut rng = Random(32);
    let mut counts: BTreeMap<Consistency, [usize; 2]> = BTreeMap::new();
    let mut done = 0;
    while done < 100_000 {
        let mut txns = weak::random_updates(&mut rng, 3);
        txns.retain(|txn| txn.kind != Type::Info);
        if weak::reads_its_own(&txns) {
            continue;
        }
        done += 1;
        let checker = RwRegister::default();
        let verdict = judged(&checker, &oracle::record(&txns, Store::Registers));
        let broken = broken(&verdict);
        for model in total {
            let holds = oracle::holds(model, &txns, Store::Registers).unwrap();
            assert_eq!(holds, !broken.contains(&model), "{model}\n{txns:#?}\n{verdict:#?}");
            counts.entry(model).or_default()[usize::from(holds)] += 1;
        }
    }
    println!("models, and how many histories are not and are theirs: {counts:?}");
    assert!(counts.values().flatten().all(|&count| count > 1_000), "{counts:?}");
}
