//! Witnesses against brute force: they fail by themselves, and without any of their operations they do not.

use super::kinds::{kv_ops, register_ops};
use super::oracle::{show, solve};
use super::{Timed, brute, problem};
use crate::Budget;
use crate::linear::engine::Found;
use crate::linear::problem::{NEVER, Step};
use crate::linear::{misread, witness};
use crate::model::{Kv, Model, Mutex, MutexOp, Register};
use crate::testing::Random;

#[test]
fn witnesses_fail_alone_and_hold_nothing_needless() {
    cores(&Register, &register_ops(), 5);
    cores(&Kv, &kv_ops(), 6);
    cores(&Mutex, &[MutexOp::Acquire, MutexOp::Release], 7);
}

/// Cores of random failing histories, judged by brute force.
fn cores<M: Model>(model: &M, ops: &[M::Op], seed: u64)
where
    M::Op: std::fmt::Debug,
{
    let mut random = Random(seed);
    let (mut cores, mut minimal) = (0, 0);
    for _ in 0..3_000 {
        let (count, width) = (3 + random.below(6), 1 + random.below(4));
        let mut raw = random_history(&mut random, ops, count, width);
        raw.retain(|raw| raw.complete != NEVER || !model.read_only(&raw.op));
        let problem = problem(model, &raw);
        let report = solve(model, &problem);
        if report.found != Found::Illegal {
            continue;
        }
        let Step::Return(blocked) = problem.steps[report.reached] else { panic!("it fails at a return") };
        let misread = misread::find(model, &problem, blocked as usize);
        let kept = misread.map_or_else(
            || witness::core(model, &problem, report.reached, &Budget::default()).kept,
            |m| m.core(),
        );
        let mask: u32 = kept.iter().map(|at| 1 << at).sum();
        assert!(!brute::linearizable_without(model, &raw, !mask), "{misread:?} {kept:?} {}", show(&raw));
        let shown: Vec<usize> =
            kept.iter().copied().chain(witness::sources(model, &problem, &kept)).collect();
        let alone = |kept: &[usize]| {
            let raw: Vec<Timed<M::Op>> =
                (0..raw.len()).filter(|at| kept.contains(at)).map(|at| raw[at].clone()).collect();
            brute::linearizable(model, &raw)
        };
        assert!(!alone(&kept) && !alone(&shown), "{misread:?} {kept:?} {shown:?} {}", show(&raw));
        cores += 1;
        let needless = |&at: &usize| !brute::linearizable_without(model, &raw, !mask | (1 << at));
        minimal += usize::from(!kept.iter().any(needless));
    }
    // What was over before a core began is taken to allow more than it did, so a few cores hold an operation too many.
    assert!(cores > 500 && minimal * 20 > cores * 19, "{minimal} minimal of {cores}");
}

/// A random history of these operations; about one in five never returns.
fn random_history<O: Clone>(random: &mut Random, ops: &[O], count: usize, width: usize) -> Vec<Timed<O>> {
    let mut raw: Vec<Timed<O>> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for time in 0.. {
        if raw.len() < count && (open.is_empty() || (open.len() < width && random.below(2) == 0)) {
            if random.below(5) > 0 {
                open.push(raw.len());
            }
            raw.push(Timed { op: ops[random.below(ops.len())].clone(), invoke: time, complete: NEVER });
        } else if open.is_empty() {
            break;
        } else {
            let at = open.swap_remove(random.below(open.len()));
            raw[at].complete = time;
        }
    }
    raw
}

#[test]
fn a_contended_lock_has_a_witness_of_which_nothing_can_be_taken() {
    // A witness of 131 operations was not said to be minimal: an attempt to leave something out tried the subsets of the clients
    // that wait, and counted as needed what it could not decide. Under contention every acquire is needed still, for
    // without it the release that overlaps the next one could have come after that.
    let mut random = Random(18);
    let mut sizes = Vec::new();
    for (clients, ops) in [(2, 20), (3, 60), (5, 100), (7, 140), (9, 180)] {
        let raw = contended_lock(clients, ops, &mut random);
        let problem = problem(&Mutex, &raw);
        let report = solve(&Mutex, &problem);
        assert_eq!(report.found, Found::Illegal, "{}", show(&raw));
        let core = witness::core(&Mutex, &problem, report.reached, &Budget::default());
        assert!(core.minimal, "{} of {} operations", core.kept.len(), raw.len());
        sizes.push((raw.len(), core.kept.len()));
    }
    println!("contended locks, operations and those of the witness: {sizes:?}");
}

/// What a client of a lock does next.
#[derive(Clone, Copy, PartialEq)]
enum Turn {
    Idle,
    /// Its `acquire`, by number, which waits.
    Waits(usize),
    /// It has the lock, and its `acquire` did not return yet.
    Has(usize),
    Holds,
    /// Its `release`, and whether that took effect.
    Releases(usize, bool),
}

/// Clients that contend for a lock; at the end one gets it that another one has.
fn contended_lock(clients: usize, ops: usize, random: &mut Random) -> Vec<Timed<MutexOp>> {
    let mut raw: Vec<Timed<MutexOp>> = Vec::new();
    let (mut turns, mut free) = (vec![Turn::Idle; clients], true);
    let call = |raw: &mut Vec<_>, op, time| {
        raw.push(Timed { op, invoke: time, complete: NEVER });
        raw.len() - 1
    };
    for time in 0.. {
        let broken = raw.len() >= ops && turns.contains(&Turn::Holds);
        let turn = &mut turns[random.below(clients)];
        *turn = match *turn {
            Turn::Waits(at) if broken => {
                raw[at].complete = time;
                break;
            }
            Turn::Holds if raw.len() >= ops => Turn::Holds,
            Turn::Idle => Turn::Waits(call(&mut raw, MutexOp::Acquire, time)),
            Turn::Waits(at) if std::mem::take(&mut free) => Turn::Has(at),
            Turn::Waits(at) => Turn::Waits(at),
            Turn::Has(at) => {
                raw[at].complete = time;
                Turn::Holds
            }
            Turn::Holds => Turn::Releases(call(&mut raw, MutexOp::Release, time), false),
            Turn::Releases(at, false) => {
                free = true;
                Turn::Releases(at, true)
            }
            Turn::Releases(at, true) => {
                raw[at].complete = time;
                Turn::Idle
            }
        };
    }
    raw
}
