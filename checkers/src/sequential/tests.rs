use super::*;
use crate::causal::oracle;
use crate::registers::tiny::{self, Tiny};
use crate::testing::Random;
use crate::{Causal, CausalModel, Valid};

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
fn every_history_of_four_operations_agrees_with_every_order() {
    let (mut count, mut valid) = (0, 0);
    for shape in tiny::SHAPES {
        let mut visit = |ops: &[Tiny]| {
            count += 1;
            valid += usize::from(agrees(ops));
        };
        tiny::every(shape, 2, false, &mut visit);
        tiny::every(shape, 1, true, &mut visit);
    }
    println!("{count} histories of up to 4 operations, {valid} valid");
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
    let history = tiny::record(&[write(0, 1), write(1, 2)]);
    let verdict = Sequential::default().steps_max(0).check(&history);
    assert!(verdict.reason.unwrap().contains("0 of 2 operations placed"));
    let verdict = Sequential::default().check_within(&history, &Budget::default().memory_bytes(150));
    assert!(verdict.reason.unwrap().contains("memory cap"));
}
