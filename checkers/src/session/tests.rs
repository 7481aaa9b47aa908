use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::causal::oracle;
use crate::registers::tiny::{self, Tiny};
use crate::testing::Random;
use crate::{CausalModel, Valid};

/// `older[u][v]`: the version that `u` wrote is older than the one that `v` wrote, by the definition. `None` if some
/// version is older than itself.
fn older(ops: &[Tiny]) -> Option<Vec<Vec<bool>>> {
    let n = ops.len();
    let mut older = vec![vec![false; n]; n];
    for v in (0..n).filter(|&v| ops[v].write.is_some()) {
        for step in (0..=v).filter(|&s| ops[s].session == ops[v].session && ops[s].key == ops[v].key) {
            if step < v && ops[step].write.is_some() {
                older[step][v] = true;
            }
            (0..n).filter(|&u| sees(ops, step, u)).for_each(|u| older[u][v] = true);
        }
    }
    for via in 0..n {
        for u in 0..n {
            for v in 0..n {
                older[u][v] |= older[u][via] && older[via][v];
            }
        }
    }
    (0..n).all(|u| !older[u][u]).then_some(older)
}

/// Whether the operation `read` saw what `write` wrote.
fn sees(ops: &[Tiny], read: usize, write: usize) -> bool {
    read != write
        && ops[read].key == ops[write].key
        && ops[write].write.is_some()
        && ops[read].read == ops[write].write
}

/// The guarantees that do not hold, with the read that shows it, by their definitions.
fn broken(ops: &[Tiny], older: &[Vec<bool>]) -> BTreeSet<(Guarantee, usize)> {
    let n = ops.len();
    let before = |a: usize, b: usize| a < b && ops[a].session == ops[b].session;
    // The version that `read` saw is older than the one that `write` wrote.
    let stale = |read: usize, write: usize| {
        ops[read].key == ops[write].key
            && match ops[read].read {
                Some(0) => true,
                Some(_) => (0..n).any(|u| sees(ops, read, u) && older[u][write]),
                None => false,
            }
    };
    let mut broken = BTreeSet::new();
    for read in 0..n {
        for write in (0..n).filter(|&w| ops[w].write.is_some() && stale(read, w)) {
            if before(write, read) {
                broken.insert((Guarantee::ReadYourWrites, read));
            }
            for middle in 0..n {
                if sees(ops, middle, write) && before(middle, read) {
                    broken.insert((Guarantee::MonotonicReads, read));
                }
                for reader in (0..n).filter(|&r| before(r, read) && sees(ops, r, middle)) {
                    if ops[middle].session == ops[reader].session {
                        continue;
                    }
                    if before(write, middle) {
                        broken.insert((Guarantee::MonotonicWrites, read));
                    }
                    if (0..n).any(|r| before(r, middle) && sees(ops, r, write)) {
                        broken.insert((Guarantee::WritesFollowReads, read));
                    }
                }
            }
        }
    }
    broken
}

/// Checks against the definitions; whether the history was valid.
fn agrees(ops: &[Tiny]) -> bool {
    let history = tiny::record(ops);
    let verdict = Session::default().check(&history);
    if let Some(older) = older(ops) {
        let expected = broken(ops, &older);
        let budget = Budget::default();
        let kv = registers::resolve(&history, true, &budget).unwrap();
        let index = |op: u32| kv.ops[op as usize].event() as usize / 2;
        let finder = Finder::run(&kv, &budget).unwrap();
        let found: BTreeSet<_> = finder.violations.iter().map(|v| (v.guarantee, index(v.read))).collect();
        assert_eq!(found, expected, "{ops:#?}");
    } else {
        assert_eq!(verdict.parts[3].valid, Valid::False, "{ops:#?}");
    }
    for anomaly in verdict.all_anomalies() {
        assert!(anomaly.witness.len() >= 2 && !anomaly.edges.is_empty(), "{anomaly:?}");
        let cut = Session::default().check(&tiny::cut(&history, &anomaly.witness));
        let part = cut.parts.iter().find(|part| part.checker == anomaly.kind).unwrap();
        assert_eq!(part.valid, Valid::False, "{ops:?} {anomaly:?}");
    }
    verdict.valid == Valid::True
}

#[test]
fn every_history_of_up_to_six_operations_agrees_with_the_definitions() {
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
    println!("{count} histories of up to 6 operations, {valid} of them valid");
    assert!(count > 10_000 && valid > 1_000 && valid < count, "{valid} of {count}");
}

#[test]
fn random_histories_agree_with_the_definitions_and_causal_ones_have_no_violation() {
    let mut rng = Random(21);
    let (mut verdicts, mut guarantees) = (BTreeMap::new(), BTreeMap::new());
    for round in 0..100_000 {
        let ops = tiny::random(&mut rng, 5 + round % 4);
        let valid = agrees(&ops);
        let causal =
            oracle::least_order(&ops).is_some_and(|co| oracle::holds_with(CausalModel::Cc, &ops, &co));
        assert!(valid || !causal, "a false alarm: {ops:#?}");
        *verdicts.entry((valid, causal)).or_insert(0) += 1;
        let shown = older(&ops).map(|older| broken(&ops, &older)).into_iter().flatten();
        shown.for_each(|(guarantee, _)| *guarantees.entry(guarantee).or_insert(0) += 1);
    }
    println!("100000 random histories, (valid, causal): {verdicts:?}");
    assert!(verdicts.len() == 3, "the verdicts are mixed: {verdicts:?}");
    assert!(guarantees.len() == 4 && guarantees.values().all(|&count| count > 20), "{guarantees:?}");
}

fn read(session: usize, key: usize, value: u8) -> Tiny {
    Tiny { session, key, read: Some(value), write: None }
}

fn write(session: usize, key: usize, value: u8) -> Tiny {
    Tiny { session, key, read: None, write: Some(value) }
}

#[test]
fn each_guarantee_is_told_in_a_sentence() {
    let cases: [(&[Tiny], &str, &str, &[usize]); 5] = [
        (
            &[write(0, 0, 1), read(0, 0, 0)],
            "read-your-writes",
            "process 0 read the initial value from key 0 at 0.000 s after it had written 1, which is newer",
            &[1, 3],
        ),
        (
            &[write(0, 0, 1), write(0, 0, 2), read(1, 0, 2), read(1, 0, 1)],
            "monotonic-reads",
            "process 1 read 1 from key 0 at 0.000 s after it had read 2, which is newer",
            &[1, 3, 5, 7],
        ),
        (
            &[write(0, 0, 1), write(0, 1, 2), read(1, 1, 2), read(1, 0, 0)],
            "monotonic-writes",
            "process 1 read the initial value from key 0 at 0.000 s after it had seen the write of 2 to key 1 by \
             process 0 at 0.000 s, which had written 1, a newer one, before that",
            &[1, 3, 5, 7],
        ),
        (
            &[write(0, 0, 1), read(2, 0, 1), write(2, 1, 2), read(1, 1, 2), read(1, 0, 0)],
            "writes-follow-reads",
            "process 1 read the initial value from key 0 at 0.000 s after it had seen the write of 2 to key 1 by \
             process 2 at 0.000 s, which had read 1, a newer one, before that",
            &[1, 3, 5, 7, 9],
        ),
        (
            &[read(0, 0, 2), write(0, 0, 1), read(1, 0, 1), write(1, 0, 2)],
            "writes-follow-reads",
            "versions of one key were each written after the next in a circle: read of 2 from key 0 by process 0 at \
             0.000 s; write of 2 to key 0 by process 1 at 0.000 s; read of 1 from key 0 by process 1 at 0.000 s; \
             write of 1 to key 0 by process 0 at 0.000 s",
            &[1, 3, 5, 7],
        ),
    ];
    for (ops, kind, sentence, witness) in cases {
        let verdict = Session::default().check(&tiny::record(ops));
        let anomalies = verdict.all_anomalies();
        let [anomaly] = anomalies.as_slice() else { panic!("{verdict:#?}") };
        assert_eq!((anomaly.kind.as_str(), anomaly.sentence.as_str()), (kind, sentence));
        assert_eq!(anomaly.witness, witness);
        let other =
            Session::new(&Guarantee::ALL.into_iter().filter(|g| g.name() != kind).collect::<Vec<_>>());
        assert_eq!(other.check(&tiny::record(ops)).valid, Valid::True);
    }
}

#[test]
fn the_cap_gives_unknown_with_the_reason() {
    let history = tiny::record(&[write(0, 0, 1)]);
    let verdict = Session::default().check_within(&history, &Budget::default().memory_bytes(7));
    assert!(verdict.reason.unwrap().contains("memory cap"));
}
