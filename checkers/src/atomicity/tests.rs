use super::*;
use crate::Valid;
use crate::registers::tiny::{self, Timed};
use crate::testing::Random;

fn real_time(a: &Timed, b: &Timed) -> bool {
    a.end < b.start
}

/// The least Δ in milliseconds, which is one event: by trying.
fn least_delta(ops: &[Timed]) -> Option<usize> {
    let last = ops.iter().map(|op| op.start).max().unwrap_or(0);
    (0..=last + 1).find(|&delta| {
        let before = |a: &Timed, b: &Timed| {
            let start = if b.read.is_some() { b.start.saturating_sub(delta) } else { b.start };
            a.end < start
        };
        tiny::staleness(ops, &before) == Some(1)
    })
}

#[test]
fn every_history_of_up_to_five_operations_agrees_with_every_order() {
    let (mut ks, mut inexact) = (std::collections::BTreeMap::new(), 0);
    let mut visit = |ops: &[Timed], history: &History| {
        let k = tiny::staleness(ops, &real_time).map(|k| k as u64);
        let verdict = KAtomicity::default().check(history);
        let stat = |name: &str| verdict.stats.get(name).and_then(|value| value.as_u64());
        *ks.entry(k).or_insert(0) += 1;
        let Some(k) = k else { return assert_eq!(verdict.valid, Valid::False, "{ops:?}") };
        let (least, most) = (stat("k_at_least").unwrap(), stat("k_at_most").unwrap());
        assert!(least <= k && k <= most && (least == most || k > 2), "{k} {least} {most} {ops:?}");
        inexact += usize::from(least < most);
    };
    for n in 1..=5 {
        tiny::every_timed(n, true, &mut visit);
    }
    println!("all histories of up to 5 operations, of each k {ks:?}, {inexact} not exact");
    assert!(ks.len() == 6 && inexact < 100, "{ks:?} {inexact}");
}

#[test]
fn random_histories_agree_with_every_order() {
    let mut rng = Random(51);
    let (mut ks, mut deltas, mut inexact) = (std::collections::BTreeMap::new(), 0, 0);
    for round in 0..100_000 {
        let (ops, history) = tiny::timed(&mut rng, 3 + round % 6);
        let k = tiny::staleness(&ops, &real_time);
        let verdict = KAtomicity::default().check(&history);
        let stat = |name: &str| verdict.stats.get(name).and_then(|value| value.as_u64());
        let Some(k) = k else {
            assert_eq!(verdict.valid, Valid::False, "{ops:?}");
            assert_eq!(DeltaAtomicity::default().check(&history).valid, Valid::False, "{ops:?}");
            continue;
        };
        let (least, most) = (stat("k_at_least").unwrap(), stat("k_at_most").unwrap());
        assert!(least <= k as u64 && k as u64 <= most, "{k} {least} {most} {ops:?}");
        // One and two are exact.
        assert!(least == most || k > 2, "{k} {least} {most} {ops:?}");
        inexact += usize::from(least < most);
        *ks.entry(k).or_insert(0) += 1;
        if k > 1 && round % 4 == 0 {
            let bound = least - 1;
            let verdict = KAtomicity::at_most(bound).check(&history);
            assert_eq!(verdict.valid, Valid::False, "{ops:?}");
            for anomaly in &verdict.anomalies {
                let cut = KAtomicity::at_most(bound).check(&tiny::cut(&history, &anomaly.witness));
                assert_eq!(cut.valid, Valid::False, "{ops:?} {anomaly:?}");
            }
        }
        if ops.len() > 6 {
            continue;
        }
        let verdict = DeltaAtomicity::default().check(&history);
        let delta = verdict.stats["delta_ns"].as_u64().unwrap();
        let expected = least_delta(&ops).unwrap() as u64;
        assert_eq!(delta, expected * 1_000_000, "{ops:?}");
        assert_eq!(delta == 0, k == 1, "both are linearizability: {ops:?}");
        if let Some(less) = delta.checked_sub(1) {
            deltas += 1;
            let checker = DeltaAtomicity::at_most(Duration::from_nanos(less));
            let verdict = checker.check(&history);
            assert_eq!(verdict.valid, Valid::False, "{ops:?}");
            assert_eq!(
                DeltaAtomicity::at_most(Duration::from_nanos(delta)).check(&history).valid,
                Valid::True
            );
        }
    }
    println!("100000 random histories, of each k {ks:?}, {inexact} not exact; {deltas} with a delta above 0");
    assert!(ks.len() >= 4 && inexact < 100, "{ks:?} {inexact}");
}
