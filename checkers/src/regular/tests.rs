use super::*;
use crate::Valid;
use crate::registers::tiny::{self, Timed};
use crate::testing::Random;

/// Whether each read, with all writes, has an order that respects real time and in which it returns the last value.
fn regular(ops: &[Timed]) -> bool {
    ops.iter().filter(|op| op.read.is_some()).all(|read| {
        let alone: Vec<Timed> =
            ops.iter().filter(|op| op.write.is_some() || op.start == read.start).copied().collect();
        tiny::staleness(&alone, &|a, b| a.end < b.start) == Some(1)
    })
}

fn safe(ops: &[Timed]) -> bool {
    let writes = || ops.iter().filter(|op| op.write.is_some());
    ops.iter().filter(|op| op.read.is_some()).all(|read| {
        let overlaps = writes().any(|write| write.start < read.end && read.start < write.end);
        let alone: Vec<Timed> = writes().chain([read]).copied().collect();
        overlaps || regular(&alone)
    })
}

/// Checks against the definitions; whether it is linearizable, regular and safe.
fn agrees(ops: &[Timed], history: &History) -> (bool, [bool; 2]) {
    let expected = [regular(ops), safe(ops)];
    let models = [LamportRegister::Regular, LamportRegister::Safe];
    for (model, expected) in models.into_iter().zip(expected) {
        let verdict = model.check(history);
        assert_eq!(verdict.valid == Valid::True, expected, "{model:?} {ops:?} {verdict:?}");
        for anomaly in &verdict.anomalies {
            let cut = model.check(&tiny::cut(history, &anomaly.witness));
            assert_eq!(cut.valid, Valid::False, "{ops:?}");
        }
    }
    let linearizable = tiny::staleness(ops, &|a, b| a.end < b.start) == Some(1);
    assert!((!linearizable || expected[0]) && (!expected[0] || expected[1]), "{ops:?}");
    (linearizable, expected)
}

#[test]
fn every_history_of_up_to_five_operations_agrees_with_the_definitions() {
    let mut seen = std::collections::BTreeMap::new();
    for n in 1..=5 {
        tiny::every_timed(n, true, &mut |ops, history| *seen.entry(agrees(ops, history)).or_insert(0) += 1);
    }
    println!("all histories of up to 5 operations, (linearizable, [regular, safe]): {seen:?}");
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn random_histories_agree_with_the_definitions() {
    let mut rng = Random(31);
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..100_000 {
        let (ops, history) = tiny::timed(&mut rng, 3 + round % 5);
        *seen.entry(agrees(&ops, &history)).or_insert(0) += 1;
    }
    println!("100000 random histories, (linearizable, [regular, safe]): {seen:?}");
    assert_eq!(seen.len(), 4, "{seen:?}");
}
