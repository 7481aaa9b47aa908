//! The engines of all families agree on larger histories than any oracle could take, and stronger models imply weaker ones.

use std::array;
use std::thread;

use crate::elle::tests::{broken, judged};
use crate::polygraph::oracle::{self, TinyMop, TinyTxn};
use crate::polygraph::tests::{Mops, nearly};
use crate::registers::tiny::{self, Tiny};
use crate::testing::Random;
use crate::txn::{Shape, Txns};
use crate::{Budget, CausalModel, Consistency, History, IsolationLevel, PolygraphModel, RwRegister};
use crate::{causal, isolation, polygraph, registers};

const ROUNDS: u64 = 100_000;

/// Tries so many random histories, by two threads, and counts how often each thing held.
pub(crate) fn each<const N: usize>(
    rounds: u64,
    seed: u64,
    holds: impl Fn(&mut Random) -> [bool; N] + Sync,
) -> [u64; N] {
    let half = |nth: u64| {
        let (mut rng, mut held) = (Random(2 * seed + nth), [0; N]);
        for _ in 0..rounds / 2 {
            held.iter_mut().zip(holds(&mut rng)).for_each(|(held, holds)| *held += u64::from(holds));
        }
        held
    };
    let [a, b] = thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        [half(0), other.join().expect("its assertions hold")]
    });
    array::from_fn(|at| a[at] + b[at])
}

/// Mostly a dozen or two, sometimes sixty.
pub(crate) fn size(rng: &mut Random) -> usize {
    if rng.below(40) == 0 { 20 + rng.below(41) } else { 10 + rng.below(8) }
}

/// Whether an isolation level holds, straight from its definition: the axiom's edges with those of sessions and reads have no
/// cycle. Every read is of another's last write, of the transaction's own or of the initial value.
fn by_definition(level: IsolationLevel, txns: &[TinyTxn]) -> bool {
    let writes = |txn: usize, key: usize, value: Option<u8>| {
        let mut mops = txns[txn].mops.iter();
        mops.any(
            |mop| matches!(*mop, TinyMop::Write(k, v) if k == key && value.is_none_or(|value| value == v)),
        )
    };
    let mut direct = vec![0u64; txns.len()];
    // By whom, which key, from whom, and from whom the reads before were.
    let mut reads: Vec<(usize, usize, Option<usize>, u64)> = Vec::new();
    for (by, txn) in txns.iter().enumerate() {
        let earlier = (0..by).filter(|&a| txns[a].process == txn.process);
        direct[by] = earlier.fold(0, |set, a| set | 1 << a);
        let (mut own, mut seen) = (0u8, 0u64);
        for mop in &txn.mops {
            match *mop {
                TinyMop::Write(key, _) => own |= 1 << key,
                TinyMop::Read(key, value) if own >> key & 1 == 0 => {
                    let from = (value > 0).then(|| (0..txns.len()).find(|&t| writes(t, key, Some(value))));
                    let from = from.flatten();
                    reads.push((by, key, from, seen));
                    seen |= from.map_or(0, |from| 1 << from);
                }
                TinyMop::Read(..) => {}
            }
        }
        direct[by] |= seen;
    }
    let closed = |mut before: Vec<u64>| loop {
        let old = before.clone();
        for b in 0..before.len() {
            before[b] =
                (0..old.len()).filter(|a| before[b] >> a & 1 == 1).fold(before[b], |set, a| set | before[a]);
        }
        if before == old {
            return before;
        }
    };
    let happened = closed(direct.clone());
    let mut before = direct.clone();
    for &(by, key, from, seen) in &reads {
        let known = match level {
            IsolationLevel::ReadCommitted => seen,
            IsolationLevel::ReadAtomic => direct[by],
            IsolationLevel::Causal => happened[by],
        };
        for other in
            (0..txns.len()).filter(|&other| known >> other & 1 == 1 && other != by && Some(other) != from)
        {
            match from {
                _ if !writes(other, key, None) => {}
                Some(from) => before[from] |= 1 << other,
                None => return false,
            }
        }
    }
    closed(before).iter().enumerate().all(|(at, before)| before >> at & 1 == 0)
}

#[test]
fn isolation_levels_agree_with_their_definitions_and_with_the_models_above_them() {
    const LEVELS: [IsolationLevel; 3] =
        [IsolationLevel::Causal, IsolationLevel::ReadAtomic, IsolationLevel::ReadCommitted];
    let held = each(ROUNDS, 60, |rng| {
        let count = size(rng);
        let txns = nearly(rng, count, Mops::Torn);
        let (history, budget) = (oracle::record(&txns), Budget::default());
        let parsed = Txns::parse(&history, Shape::Registers, &budget).unwrap();
        let levels = LEVELS.map(|level| {
            let holds = isolation::tests::level_holds(&parsed, level);
            assert_eq!(holds, by_definition(level, &txns), "{level:?} {txns:#?}");
            holds
        });
        let [causal, atomic, committed] = levels;
        assert!((!causal || atomic) && (!atomic || committed), "{txns:#?}");
        let above = rng.below(4) == 0 && {
            let above = [PolygraphModel::PrefixConsistency, PolygraphModel::ParallelSnapshotIsolation];
            above.iter().any(|&model| polygraph::tests::holds(&parsed, model))
        };
        assert!(!above || causal, "{txns:#?}");
        [causal, atomic, committed, above]
    });
    println!(
        "{ROUNDS} histories of 10 to 60 transactions; causal, atomic, committed, prefix or PSI (of a quarter): {held:?}"
    );
    assert!(
        held.iter().all(|&held| held > ROUNDS / 50)
            && held[..3].iter().all(|&held| held < ROUNDS * 199 / 200)
    );
}

#[test]
fn registers_with_a_known_version_order_agree_with_the_search_for_one() {
    const MODELS: [(Consistency, PolygraphModel); 3] = [
        (Consistency::StrictSerializable, PolygraphModel::StrictSerializable),
        (Consistency::StrongSessionSerializable, PolygraphModel::Serializable),
        (Consistency::StrongSessionSnapshotIsolation, PolygraphModel::SnapshotIsolation),
    ];
    let held = each(ROUNDS, 61, |rng| {
        let count = size(rng);
        let txns = nearly(rng, count, Mops::Updates);
        let (history, budget) = (oracle::record(&txns), Budget::default());
        let parsed = Txns::parse(&history, Shape::Registers, &budget).unwrap();
        let broken = broken(&judged(&RwRegister::default(), &history));
        let holds = MODELS.map(|(elle, search)| {
            let holds = polygraph::tests::holds(&parsed, search);
            assert_eq!(!broken.contains(&elle), holds, "{elle} {txns:#?}");
            holds
        });
        let weaker = [
            (PolygraphModel::ParallelSnapshotIsolation, Consistency::ParallelSnapshotIsolation),
            (PolygraphModel::PrefixConsistency, Consistency::Prefix),
        ];
        let (search, elle) = weaker[rng.below(2)];
        assert!(!polygraph::tests::holds(&parsed, search) || !broken.contains(&elle), "{elle} {txns:#?}");
        holds
    });
    println!(
        "{ROUNDS} histories of 10 to 60 transactions by two engines; strict, serializable, snapshot isolation: {held:?}"
    );
    assert!(held.iter().all(|&held| held > ROUNDS / 50 && held < ROUNDS * 49 / 50));
}

/// Reads and writes of sessions that each have a replica. Writes reach the others late; now and then one overtakes another.
/// Of two writes the later or the one that arrived last stays.
fn replicated(rng: &mut Random, count: usize) -> Vec<Tiny> {
    let (sessions, keys, settled) = (2 + rng.below(3), 1 + rng.below(3), rng.below(2) == 0);
    let overtakes = [0, 10, 30, 60][rng.below(4)];
    let mut inbox: Vec<Vec<(usize, u8)>> = vec![Vec::new(); sessions];
    let mut store = vec![[0u8; 3]; sessions];
    (0..count)
        .map(|n| {
            let (session, key) = (rng.below(sessions), rng.below(keys));
            for _ in 0..rng.below(inbox[session].len() + 1) {
                let any = rng.below(100) < overtakes;
                let at = if any { rng.below(inbox[session].len()) } else { 0 };
                let (key, value) = inbox[session].remove(at);
                let held = &mut store[session][key];
                *held = if settled { value.max(*held) } else { value };
            }
            if rng.below(5) < 3 {
                return Tiny { session, key, read: Some(store[session][key]), write: None };
            }
            let value = n as u8 + 1;
            store[session][key] = value;
            (0..sessions).filter(|&other| other != session).for_each(|other| inbox[other].push((key, value)));
            Tiny { session, key, read: None, write: Some(value) }
        })
        .collect()
}

/// Causal convergence of single operations is causal consistency of transactions, each of one operation, by another engine.
#[test]
fn causal_models_agree_across_families_and_imply_each_other() {
    const MODELS: [CausalModel; 4] = [CausalModel::Cc, CausalModel::Ccv, CausalModel::Cm, CausalModel::Pram];
    let held = each(ROUNDS, 62, |rng| {
        let count = size(rng);
        let ops = replicated(rng, count);
        let (history, budget): (History, Budget) = (tiny::record(&ops), Budget::default());
        let kv = registers::resolve(&history, true, &budget).unwrap();
        let parsed = Txns::parse(&history, Shape::Registers, &budget).unwrap();
        let models = MODELS.map(|model| causal::tests::holds(&kv, model));
        let [cc, ccv, cm, pram] = models;
        assert!((cc || !ccv && !cm) && (pram || !cm), "{ops:?}");
        assert_eq!(ccv, isolation::tests::level_holds(&parsed, IsolationLevel::Causal), "{ops:?}");
        let serial = polygraph::tests::holds(&parsed, PolygraphModel::Serializable);
        assert!(!serial || ccv && cm, "{ops:?}");
        [cc, ccv, cm, pram, serial]
    });
    println!("{ROUNDS} histories of 10 to 60 operations; CC, CCv, CM, PRAM, sequential: {held:?}");
    assert!(held.iter().all(|&held| held > ROUNDS / 100 && held < ROUNDS * 997 / 1000));
}
