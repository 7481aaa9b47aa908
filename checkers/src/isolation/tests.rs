use serde_json::json;

use super::oracle::{TinyMop, TinyTxn, by_session, holds, record};
use super::*;
use crate::testing::Random;
use crate::{Op, Process, Type, Valid};
use TinyMop::{Read as R, Write as W};

const LEVELS: [IsolationLevel; 3] =
    [IsolationLevel::ReadCommitted, IsolationLevel::ReadAtomic, IsolationLevel::Causal];

const MISREADS: [&str; 5] = ["thin-air-read", "G1a", "G1b", "future-read", "internal"];

/// Whether a level holds of transactions whose reads are right by themselves.
pub(crate) fn level_holds(txns: &Txns, level: IsolationLevel) -> bool {
    let budget = Budget::default();
    let drawn = draw(txns, level, false, &budget).unwrap();
    assert!(drawn.misreads.is_empty() && drawn.ambiguous.is_none());
    matches!(level.judge(&drawn.plan, &budget).unwrap().1, Finding::Order)
}

/// Checks all levels against the oracle and returns what it said.
fn agrees(txns: &[TinyTxn]) -> [bool; 3] {
    let history = record(txns);
    let budget = Budget::default();
    let parsed = Txns::parse(&history, Shape::Registers, &budget).unwrap();
    LEVELS.map(|level| {
        let expected = holds(level, txns);
        let verdict = Isolation::new(level).decide(&parsed, &budget).unwrap();
        let valid = if expected { Valid::True } else { Valid::False };
        assert_eq!(verdict.valid, valid, "{level:?} {txns:#?} {verdict:#?}");
        for anomaly in &verdict.anomalies {
            witnessed(level, &by_session(txns), anomaly);
        }
        expected
    })
}

/// The witness fails by itself, and without any of its transactions it does not; edges form a cycle.
fn witnessed(level: IsolationLevel, txns: &[TinyTxn], anomaly: &Anomaly) {
    for (at, edge) in anomaly.edges.iter().enumerate() {
        assert_eq!(edge.to, anomaly.edges[(at + 1) % anomaly.edges.len()].from, "{anomaly:#?}");
    }
    let mut chosen: Vec<usize> = anomaly.witness.iter().map(|event| event / 2).collect();
    chosen.dedup();
    assert_eq!(anomaly.witness.len(), chosen.len(), "an event for each transaction");
    if MISREADS.contains(&anomaly.kind.as_str()) {
        let some: Vec<TinyTxn> = chosen.iter().map(|&t| txns[t].clone()).collect();
        assert!(!holds(level, &some), "{level:?} {txns:#?} {anomaly:#?}");
        return;
    }
    assert!(!anomaly.steps.is_empty() && anomaly.sentence.starts_with(&anomaly.kind));
    assert!(!holds(level, &closed(txns, &chosen)), "{level:?} {txns:#?} {anomaly:#?}");
    for left_out in &chosen {
        let fewer: Vec<usize> = chosen.iter().copied().filter(|t| t != left_out).collect();
        assert!(holds(level, &closed(txns, &fewer)), "{level:?} {left_out} {txns:#?} {anomaly:#?}");
    }
}

/// Some transactions, without their reads of what others wrote.
fn closed(txns: &[TinyTxn], chosen: &[usize]) -> Vec<TinyTxn> {
    let writes = |mop: &TinyMop| chosen.iter().any(|&t| txns[t].mops.contains(mop));
    let kept = |mop: &TinyMop| match *mop {
        R(key, Some(value)) => writes(&W(key, value)),
        _ => true,
    };
    let close = |&t: &usize| {
        let mops = txns[t].mops.iter().copied().filter(kept).collect();
        TinyTxn { mops, ..txns[t].clone() }
    };
    chosen.iter().map(close).collect()
}

/// Gives the writes of these shapes fresh values, and the reads every value of their key, one after the other.
fn fill(txns: &mut Vec<TinyTxn>, at: usize, visit: &mut impl FnMut(&[TinyTxn])) {
    let mut slots = txns.iter().enumerate().flat_map(|(t, txn)| (0..txn.mops.len()).map(move |m| (t, m)));
    let Some((t, m)) = slots.nth(at) else { return visit(txns) };
    let R(key, _) = txns[t].mops[m] else { return fill(txns, at + 1, visit) };
    let written = |mop: &TinyMop| match *mop {
        W(to, value) if to == key => Some(value),
        _ => None,
    };
    let values: Vec<u8> = txns.iter().flat_map(|txn| &txn.mops).filter_map(written).collect();
    for value in std::iter::once(None).chain(values.into_iter().map(Some)) {
        txns[t].mops[m] = R(key, value);
        fill(txns, at + 1, visit);
    }
}

#[test]
fn every_history_of_three_small_transactions_agrees_with_trying_all_orders() {
    let mut shapes: Vec<Vec<TinyMop>> = Vec::new();
    let all = [W(0, 0), W(1, 0), R(0, None), R(1, None)];
    for first in all {
        shapes.push(vec![first]);
        shapes.extend(all.map(|second| vec![first, second]));
    }
    let sessions = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [0, 1, 2]];
    let (mut count, mut seen) = (0, [0; 4]);
    for code in 0..shapes.len().pow(3) * sessions.len() {
        let [a, b, c] = [1, 20, 400].map(|unit| code / sessions.len() / unit % shapes.len());
        let sessions = sessions[code % sessions.len()];
        // Keys can be renamed, and so can sessions.
        if matches!(shapes[a][0], W(1, _) | R(1, _)) || sessions == [0, 1, 2] && !(a <= b && b <= c) {
            continue;
        }
        let mut fresh = 0;
        let mut txns: Vec<TinyTxn> = [a, b, c]
            .iter()
            .zip(sessions)
            .map(|(&shape, process)| {
                let mut mops = shapes[shape].clone();
                for mop in &mut mops {
                    if let W(_, value) = mop {
                        fresh += 1;
                        *value = fresh;
                    }
                }
                TinyTxn { process, kind: Type::Ok, mops }
            })
            .collect();
        let reads = txns.iter().flat_map(|txn| &txn.mops).filter(|mop| matches!(mop, R(..))).count();
        if reads == 0 {
            continue;
        }
        fill(&mut txns, 0, &mut |txns| {
            count += 1;
            let holds = agrees(txns);
            assert!(holds[0] >= holds[1] && holds[1] >= holds[2], "each level implies those before it");
            seen[holds.iter().filter(|&&holds| holds).count()] += 1;
        });
    }
    println!("{count} histories; by the number of levels that hold: {seen:?}");
    assert!(count > 100_000 && seen.iter().all(|&seen| seen > 0));
}

/// A few transactions whose reads are mostly of what was written before.
fn random_txns(rng: &mut Random) -> Vec<TinyTxn> {
    let (sessions, keys) = (2 + rng.below(3), 2 + rng.below(2));
    let fickle = rng.below(4) == 0;
    let mut written: Vec<Vec<u8>> = vec![Vec::new(); keys];
    let mut fresh = 0;
    (0..2 + rng.below(5))
        .map(|_| {
            let kind = match rng.below(12) {
                0 if fickle => Type::Fail,
                1 | 2 if fickle => Type::Info,
                _ => Type::Ok,
            };
            let mut pending: Vec<(usize, u8)> = Vec::new();
            let mops = (0..1 + rng.below(3))
                .map(|_| {
                    let key = rng.below(keys);
                    if rng.below(2) == 0 {
                        fresh += 1;
                        pending.retain(|&(of, _)| of != key);
                        pending.push((key, fresh));
                        return W(key as u8, fresh);
                    }
                    let own = pending.iter().find(|&&(of, _)| of == key).map(|&(_, value)| value);
                    let all = &written[key];
                    R(
                        key as u8,
                        match rng.below(40) {
                            0 => Some(1 + rng.below(18) as u8),
                            1 | 2 => None,
                            n => own.or_else(|| all.get(all.len().wrapping_sub(1 + n % 3)).copied()),
                        },
                    )
                })
                .collect();
            if kind != Type::Fail {
                pending.into_iter().for_each(|(key, value)| written[key].push(value));
            }
            TinyTxn { process: rng.below(sessions) as u32, kind, mops }
        })
        .collect()
}

#[test]
fn random_histories_agree_with_trying_all_orders() {
    let mut rng = Random(11);
    let mut seen = [0; 4];
    const CASES: usize = 120_000;
    for _ in 0..CASES {
        let holds = agrees(&random_txns(&mut rng));
        assert!(holds[0] >= holds[1] && holds[1] >= holds[2], "each level implies those before it");
        seen[holds.iter().filter(|&&holds| holds).count()] += 1;
    }
    println!("{CASES} histories for each level; by the number of levels that hold: {seen:?}");
    assert!(seen.iter().all(|&seen| seen > CASES / 200), "{seen:?}");
}

fn txn(process: u32, kind: Type, mops: &[TinyMop]) -> TinyTxn {
    TinyTxn { process, kind, mops: mops.to_vec() }
}

fn kinds(level: IsolationLevel, txns: &[TinyTxn]) -> Vec<String> {
    let verdict = Isolation::new(level).check(&record(txns));
    verdict.anomalies.into_iter().map(|anomaly| anomaly.kind).collect()
}

#[test]
fn anomalies_have_the_names_of_the_field() {
    let (ok, fail) = (Type::Ok, Type::Fail);
    let one = |mops: &[TinyMop]| kinds(IsolationLevel::ReadCommitted, &[txn(0, ok, mops)]);
    assert_eq!(one(&[R(0, Some(7))]), ["thin-air-read"]);
    assert_eq!(one(&[R(0, Some(1)), W(0, 1)]), ["future-read"]);
    assert_eq!(one(&[W(0, 1), R(0, None)]), ["internal"]);
    assert_eq!(one(&[W(0, 1), W(0, 2), R(0, Some(1))]), ["internal"]);
    let two = |kind, a: &[TinyMop], b: &[TinyMop]| {
        LEVELS.map(|level| kinds(level, &[txn(0, kind, a), txn(1, ok, b)]).join(" "))
    };
    assert_eq!(two(fail, &[W(0, 1)], &[R(0, Some(1))]), ["G1a"; 3]);
    assert_eq!(two(ok, &[W(0, 1), W(0, 2)], &[R(0, Some(1))]), ["G1b"; 3]);
    assert_eq!(two(ok, &[W(0, 1), R(1, Some(2))], &[W(1, 2), R(0, Some(1))]), ["G1c"; 3]);
    let both = [W(0, 1), W(1, 2)];
    assert_eq!(two(ok, &both, &[R(0, Some(1)), R(1, None)])[0], "non-monotonic-read");
    assert_eq!(two(ok, &both, &[R(1, None), R(0, Some(1))]), ["", "fractured-read", "fractured-read"]);
    assert_eq!(two(ok, &both, &[R(1, None), R(1, Some(2))])[1], "internal");
    let chain = [
        txn(0, ok, &[W(0, 1)]),
        txn(1, ok, &[R(0, Some(1)), W(1, 2)]),
        txn(2, ok, &[R(1, Some(2)), R(0, None)]),
    ];
    assert_eq!(LEVELS.map(|level| kinds(level, &chain).join(" ")), ["", "", "causality-violation"]);
    let session = [txn(0, ok, &[R(0, Some(1))]), txn(0, ok, &[W(0, 1)])];
    assert_eq!(kinds(IsolationLevel::ReadCommitted, &session), ["G1c-process"]);
}

#[test]
fn a_failure_that_was_none_is_told_of() {
    let txns = [txn(0, Type::Fail, &[W(0, 1)]), txn(1, Type::Ok, &[R(0, Some(1))])];
    let told = |txns: &[TinyTxn]| {
        let verdict = Isolation::new(IsolationLevel::Causal).check(&record(txns));
        verdict.anomalies[0].steps.iter().any(|step| step.contains("recorded as info"))
    };
    assert!(told(&txns));
    let worse = [txns[0].clone(), txns[1].clone(), txn(1, Type::Ok, &[R(0, None)])];
    assert!(!told(&worse), "it would not be valid even so");
}

#[test]
fn values_that_are_written_twice_leave_it_open_unless_something_is_certain() {
    let twice = [txn(0, Type::Ok, &[W(0, 1)]), txn(1, Type::Ok, &[W(0, 1)])];
    let verdict = |more: TinyTxn| {
        let txns = [&twice[..], &[more]].concat();
        Isolation::new(IsolationLevel::ReadAtomic).check(&record(&txns))
    };
    let unknown = verdict(txn(2, Type::Ok, &[R(0, Some(1))]));
    assert_eq!(unknown.valid, Valid::Unknown);
    assert!(unknown.reason.unwrap().contains("written twice"));
    assert_eq!(verdict(txn(2, Type::Ok, &[R(1, None)])).valid, Valid::True, "nobody read it");
    assert_eq!(verdict(txn(2, Type::Ok, &[R(0, Some(1)), R(1, Some(5))])).valid, Valid::False);
}

#[test]
fn writes_that_nobody_saw_and_other_names_of_values_change_nothing() {
    let mut rng = Random(23);
    for case in 0..3_000 {
        let txns = random_txns(&mut rng);
        let mut more = txns.clone();
        let at = rng.below(txns.len() + 1);
        more.insert(at, txn(9, [Type::Info, Type::Fail][case % 2], &[W(0, 200), W(1, 201)]));
        let rename = |mop: &TinyMop| match *mop {
            W(key, value) => W(2 - key, 255 - value),
            R(key, value) => R(2 - key, value.map(|value| 255 - value)),
        };
        let renamed: Vec<TinyTxn> = txns
            .iter()
            .map(|t| txn(t.process, t.kind, &t.mops.iter().map(rename).collect::<Vec<_>>()))
            .collect();
        for level in LEVELS {
            let valid = |txns: &[TinyTxn]| Isolation::new(level).check(&record(txns)).valid;
            assert_eq!([valid(&more), valid(&renamed)], [valid(&txns); 2], "{level:?} {txns:#?}");
        }
    }
}

/// A chain of transactions, each in a session of its own: reads what the one before wrote, and writes.
fn chain(length: usize) -> History {
    let mut history = History::new();
    for n in 0..length {
        let mops = match n {
            0 => json!([["w", 0, 0]]),
            _ => json!([["r", n - 1, n - 1], ["w", n, n]]),
        };
        let op = Op::new("txn").process(Process::Client(n as u32)).value(mops);
        history.push(&op);
        history.push(&op.clone().kind(Type::Ok));
    }
    history
}

#[test]
fn a_long_chain_needs_no_stack_and_one_clock() {
    let history = chain(200_000);
    for level in LEVELS {
        assert_eq!(Isolation::new(level).check(&history).valid, Valid::True);
    }
}

#[test]
fn a_spent_budget_is_a_reason() {
    let history = chain(20_000);
    for level in LEVELS {
        let checker = Isolation::new(level);
        let mut reasons = std::collections::BTreeSet::new();
        for bytes in (100_000..8_000_000).step_by(100_000) {
            let verdict = checker.check_within(&history, &Budget::default().memory_bytes(bytes));
            let Some(reason) = verdict.reason else { continue };
            assert!(reason.contains("memory cap"), "{reason}");
            reasons.insert(reason[..20].to_owned());
        }
        assert_eq!(reasons.len(), 2, "while reading, and after: {reasons:?}");
        let cancelled = Budget::default();
        cancelled.cancel();
        assert!(checker.check_within(&history, &cancelled).reason.unwrap().contains("cancelled"));
    }
}

/// To look which session may go on as which chain took the clocks of all transactions, also where no session had ended.
#[test]
fn there_are_as_many_chains_as_clients_at_a_time() {
    let count = |process: fn(u8) -> u32| {
        let read = |n: u8| R(0, n.checked_sub(1).map(|before| before + 1));
        let txn = |n: u8| TinyTxn { process: process(n), kind: Type::Ok, mops: vec![read(n), W(0, n + 1)] };
        let history = record(&(0..200).map(txn).collect::<Vec<_>>());
        let budget = Budget::default();
        let txns = Txns::parse(&history, Shape::Registers, &budget).unwrap();
        let plan = draw(&txns, IsolationLevel::Causal, false, &budget).unwrap().plan;
        let order: Vec<u32> = (0..plan.nodes() as u32).collect();
        let chains = clocks::Chains::cover(&plan, &order, &budget).unwrap();
        for node in 1..plan.nodes() {
            let before = plan.before[node] as usize;
            assert!(before == NONE as usize || chains.chain[before] == chains.chain[node]);
        }
        chains.count()
    };
    assert_eq!(count(|n| u32::from(n) % 3), 3);
    // Each ended before the next began.
    assert_eq!(count(u32::from), 1);
    assert_eq!(count(|n| u32::from(n) / 20 * 2 + u32::from(n) % 2), 2);
}
