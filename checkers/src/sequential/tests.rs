use serde_json::json;

use super::*;
use crate::causal::oracle;
use crate::registers::tiny::{self, Tiny};
use crate::testing::Random;
use crate::{Causal, CausalModel, Op, Process, Type, Valid};

/// Checks against every order; whether the history was valid.
fn agrees(ops: &[Tiny]) -> bool {
    let expected = oracle::sequential(ops);
    let history = tiny::record(ops);
    let verdict = Sequential::default().check(&history);
    assert_eq!(verdict.valid == Valid::True, expected, "{ops:?} {verdict:?}");
    for anomaly in &verdict.anomalies {
        let cut = Sequential::default().check(&tiny::cut(&history, &anomaly.witness));
        assert_eq!(cut.valid, Valid::False, "{ops:?} {anomaly:?}");
    }
    expected
}

#[test]
fn every_history_of_up_to_six_operations_agrees_with_every_order() {
    let (mut count, mut valid) = (0, 0);
    for shape in tiny::SHAPES {
        let mut visit = |ops: &[Tiny]| {
            count += 1;
            valid += usize::from(agrees(ops));
        };
        tiny::every(shape, 2, false, &mut visit);
        tiny::every(shape, 1, true, &mut visit);
    }
    for (n, cas) in [(5, true), (6, false)] {
        for shape in tiny::partitions(n) {
            tiny::every(&shape, 1, cas, &mut |ops| {
                count += 1;
                valid += usize::from(agrees(ops));
            });
        }
    }
    println!("{count} histories of up to 6 operations, {valid} valid");
    assert!(count > 10_000 && valid > 1_000 && valid < count);
}

#[test]
fn random_histories_agree_with_every_order_and_imply_the_causal_models() {
    let mut rng = Random(61);
    let mut valid = 0;
    for round in 0..100_000 {
        let ops = tiny::random(&mut rng, 4 + round % 5);
        let sequential = agrees(&ops);
        valid += usize::from(sequential);
        if sequential && round % 10 == 0 {
            for model in [CausalModel::Cm, CausalModel::Ccv] {
                assert_eq!(Causal::new(model).check(&tiny::record(&ops)).valid, Valid::True, "{ops:?}");
            }
        }
    }
    println!("100000 random histories, {valid} valid");
    assert!(valid > 10_000 && valid < 90_000);
}

#[test]
fn the_caps_give_unknown_with_how_far_it_came() {
    let write = |session, value| Tiny { session, key: 0, read: None, write: Some(value) };
    let read = |session, value| Tiny { session, key: 0, read: Some(value), write: None };
    // Not linearizable in the order in which it was recorded.
    let history = tiny::record(&[write(0, 1), read(1, 0)]);
    let verdict = Sequential::default().steps_max(0).check(&history);
    assert!(verdict.reason.unwrap().contains("1 of 2 operations placed"));
    let verdict = Sequential::default().check_within(&history, &Budget::default().memory_bytes(150));
    assert!(verdict.reason.unwrap().contains("memory cap"));
}

#[test]
fn what_is_linearizable_on_each_key_needs_no_search() {
    // 10^4 operations of 20 processes on one copy were undecided after 5 * 10^7 steps, though each key alone was linearizable and so
    // was the whole.
    let mut rng = Random(62);
    let (mut store, mut history) = ([json!(null), json!(null), json!(null)], crate::History::new());
    for n in 0..2_000 {
        let (process, key) = (Process::Client(rng.below(20) as u32), rng.below(3));
        let event =
            |f: &'static str, kind, value| Op::new(f).process(process).kind(kind).value(json!([key, value]));
        if rng.below(2) == 0 {
            store[key] = json!(n);
            let by = |kind| event("write", kind, json!(n));
            history.push(&by(Type::Invoke));
            history.push(&by(Type::Ok));
        } else {
            history.push(&event("read", Type::Invoke, json!(null)));
            history.push(&event("read", Type::Ok, store[key].clone()));
        }
    }
    let verdict = Sequential::default().steps_max(0).check(&history);
    assert_eq!((verdict.valid, verdict.stats["steps"].as_u64()), (Valid::True, Some(0)));
}
