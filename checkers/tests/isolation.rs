//! Anomalies that are planted into large valid histories are found, at the levels that forbid them and at no other.

#[path = "common/random.rs"]
mod random;
#[path = "common/registers.rs"]
mod registers;

use random::Random;
use registers::{Load, Mop, awdit, registers};
use squall_checkers::history::read;
use squall_checkers::{Checker, History, Isolation, IsolationLevel, Op, Process, Type, Valid, Value};

const LEVELS: [IsolationLevel; 3] =
    [IsolationLevel::ReadCommitted, IsolationLevel::ReadAtomic, IsolationLevel::Causal];

const LOAD: Load = Load { txns: 3_000, mops: 4, sessions: 12, keys: 40, lag: 60 };

fn w(key: usize, value: usize) -> Mop {
    Mop { write: true, key, value }
}

fn r(key: usize, value: usize) -> Mop {
    Mop { write: false, key, value }
}

/// The transactions one after the other, in the order of their commits.
fn interleaved(txns: &[(usize, Vec<Mop>)]) -> History {
    let mop = |mop: &Mop| match mop {
        Mop { write: true, key, value } => {
            Value::from(vec!["w".into(), Value::from(*key), Value::from(*value)])
        }
        Mop { key, value: 0, .. } => Value::from(vec!["r".into(), Value::from(*key), Value::Null]),
        Mop { key, value, .. } => Value::from(vec!["r".into(), Value::from(*key), Value::from(*value)]),
    };
    let op = |(session, mops): &(usize, Vec<Mop>)| {
        let mops: Value = mops.iter().map(mop).collect();
        let op = Op::new("txn").process(Process::Client(*session as u32)).value(mops);
        [op.clone(), op.kind(Type::Ok)]
    };
    txns.iter().flat_map(op).collect()
}

/// The kinds of the anomalies at each level, whichever way the history is recorded.
fn kinds(txns: &[(usize, Vec<Mop>)]) -> [Vec<String>; 3] {
    let parsed = read(awdit(txns).as_bytes(), "planted").unwrap().history;
    LEVELS.map(|level| {
        let [one, other] = [&interleaved(txns), &parsed].map(|history| {
            let verdict = Isolation::new(level).check(history);
            for anomaly in &verdict.anomalies {
                let witness = history.witness(&anomaly.witness);
                assert_eq!(Isolation::new(level).check(&witness).valid, Valid::False, "{anomaly:#?}");
                assert!(anomaly.witness.len() <= 5, "{anomaly:#?}");
            }
            verdict.anomalies.into_iter().map(|anomaly| anomaly.kind).collect::<Vec<_>>()
        });
        assert_eq!(one, other);
        one
    })
}

#[test]
fn stores_that_keep_their_promises_are_valid() {
    let mut cases = 0;
    for seed in 0..6 {
        for lag in [0, 5, 300] {
            let load = Load { lag, keys: [3, 40, 1_000][seed as usize % 3], ..LOAD };
            assert_eq!(
                kinds(&registers(&mut Random(seed), load)),
                [const { Vec::<String>::new() }; 3],
                "seed {seed}, lag {lag}"
            );
            cases += 1;
        }
    }
    println!("{cases} histories");
}

#[test]
fn planted_anomalies_are_found_and_named() {
    const NEW: usize = 1_000_000;
    let (mut found, mut rng) = (0, Random(77));
    for seed in 0..8 {
        let txns = registers(&mut Random(seed), LOAD);
        let at = 500 + rng.below(2_000);
        // Fresh keys, so that what is planted is the only thing wrong.
        let (x, y) = (LOAD.keys, LOAD.keys + 1);
        let planted = |patterns: &[(usize, &[Mop])]| {
            let mut txns = txns.clone();
            for (n, (session, mops)) in patterns.iter().enumerate() {
                txns.insert(at + 37 * n, (*session, mops.to_vec()));
            }
            kinds(&txns).map(|kinds| kinds.join(" "))
        };
        let old = (20, &[w(x, NEW), w(y, NEW + 1)][..]);
        let new = (21, &[r(x, NEW), w(x, NEW + 2), w(y, NEW + 3)][..]);
        let expected = ["", "fractured-read", "fractured-read"];
        assert_eq!(planted(&[old, new, (22, &[r(x, NEW), r(y, NEW + 3)])]), expected);
        let expected = ["non-monotonic-read"; 3];
        assert_eq!(planted(&[old, new, (22, &[r(y, NEW + 3), r(x, NEW)])]), expected);
        let expected = ["", "", "causality-violation"];
        let next = (23, &[r(x, NEW + 2), w(y, NEW + 4)][..]);
        let stale = &[r(y, NEW + 4), r(x, NEW)][..];
        let last = (24, &[r(y, NEW + 4), w(LOAD.keys + 2, NEW + 5)][..]);
        assert_eq!(planted(&[old, new, next, last, (25, &[r(LOAD.keys + 2, NEW + 5), r(x, NEW)])]), expected);
        assert_eq!(planted(&[old, new, next, (24, stale)]), expected);
        assert_eq!(
            planted(&[(20, &[r(x, NEW), w(y, NEW + 1)]), (21, &[r(y, NEW + 1), w(x, NEW)])]),
            ["G1c"; 3]
        );
        assert_eq!(planted(&[(20, &[w(x, NEW), w(x, NEW + 1)]), (21, &[r(x, NEW)])]), ["G1b"; 3]);
        assert_eq!(planted(&[(20, &[r(x, NEW)])]), ["thin-air-read"; 3]);
        found += 7;
    }
    println!("{found} planted anomalies, each in two recordings at three levels");
}
