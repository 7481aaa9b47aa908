//! Many random histories, against brute force and the engines against each other.

use super::generate::{Shape, random};
use super::kinds::{A, B, counter_kinds, kv_ops, multi_kinds, ops, register_ops, semaphore_kinds};
use super::{Timed, brute, problem};
use crate::Budget;
use crate::linear::engine::{Found, Report};
use crate::linear::meter::Limits;
use crate::linear::portfolio::{self, Engine};
use crate::linear::problem::{NEVER, Problem, Step};
use crate::model::{
    Counter, Kv, Model, MultiRegister, Mutex, MutexOp, Register, RegisterOp, Semaphore, Symbol,
};
use crate::testing::Random;

const STEPS: u64 = 1 << 16;

fn run<M: Model>(engine: Engine, model: &M, problem: &Problem<M::Op>) -> Report {
    portfolio::run(engine, model, problem, &Limits { steps: STEPS, budget: &Budget::default() })
}

pub(super) fn solve<M: Model>(model: &M, problem: &Problem<M::Op>) -> Report {
    portfolio::solve(model, problem, &Limits { steps: STEPS, budget: &Budget::default() })
}

/// Asserts that each engine and their portfolio say what brute force says, and returns that.
pub(super) fn agree<M: Model>(model: &M, raw: &[Timed<M::Op>]) -> bool
where
    M::Op: std::fmt::Debug,
{
    let expected = brute::linearizable(model, raw);
    let found = if expected { Found::Linearizable } else { Found::Illegal };
    let problem = problem(model, raw);
    let depth = run(Engine::Depth, model, &problem);
    let breadth = run(Engine::Breadth, model, &problem);
    assert_eq!((depth.found, breadth.found), (found, found), "{raw:?}");
    assert_eq!(depth.reached, breadth.reached, "{raw:?}");
    let solved = solve(model, &problem);
    assert_eq!(solved.found, found, "{raw:?}");
    if !expected {
        let Step::Return(at) = problem.steps[solved.reached] else { panic!("it fails at a return") };
        let end = problem.entries[at as usize].complete;
        assert!(brute::linearizable(model, &until(raw, end)), "it fails earlier than before {end}: {raw:?}");
        assert!(!brute::linearizable(model, &until(raw, end + 1)), "it does not fail at {end}: {raw:?}");
    }
    expected
}

/// What was called before `end`; what had not returned by then never does.
fn until<O: Clone>(raw: &[Timed<O>], end: u32) -> Vec<Timed<O>> {
    let cut = |timed: &Timed<O>| {
        let complete = if timed.complete < end { timed.complete } else { NEVER };
        Timed { complete, ..timed.clone() }
    };
    raw.iter().filter(|timed| timed.invoke < end).map(cut).collect()
}

/// Random executions of up to 10 operations, half of them with one replaced, against brute force.
fn agree_at_random<M: Model>(name: &str, model: &M, ops: &[M::Op], seed: u64)
where
    M::Op: std::fmt::Debug,
{
    const HISTORIES: usize = 100_000;
    let mut source = Random(seed);
    let mut legal = 0;
    for _ in 0..HISTORIES {
        let (ops_max, processes) = (2 + source.below(9), 1 + source.below(4));
        let shape = Shape { ops: ops_max, processes, crash_every: 6 };
        legal += usize::from(agree(model, &random(model, ops, shape, &mut source)));
    }
    println!("{name}: {HISTORIES} random histories of up to 10 operations, {legal} linearizable");
    assert!(HISTORIES / 20 < legal && legal < HISTORIES * 19 / 20, "{legal} of {HISTORIES}");
}

#[test]
fn random_registers_agree_with_brute_force() {
    agree_at_random("register", &Register, &register_ops()[..5], 1);
}

#[test]
fn random_cas_registers_agree_with_brute_force() {
    agree_at_random("cas-register", &Register, &register_ops(), 2);
}

#[test]
fn random_kvs_agree_with_brute_force() {
    agree_at_random("kv", &Kv, &kv_ops(), 3);
}

/// Where an order is cut short by a later read, the first return that none passes is found by halving. Each probe of it had
/// all the configurations again, and one that gave up passed for legal: what was said to be linearizable was not.
#[test]
fn halving_spends_no_more_than_there_is_and_knows_what_it_does_not() {
    const HISTORIES: usize = 100_000;
    let mut source = Random(17);
    let (mut illegal, mut gave_up) = (0, 0);
    for _ in 0..HISTORIES {
        let (ops, steps) = (6 + source.below(5), 1 + source.below(60) as u64);
        let shape = Shape { ops, processes: 2 + source.below(4), crash_every: 12 };
        let raw = random(&Kv, &kv_ops(), shape, &mut source);
        let problem = problem(&Kv, &raw);
        let report = portfolio::solve(&Kv, &problem, &Limits { steps, budget: &Budget::default() });
        assert!(report.steps <= steps + 2, "{} of {steps}", report.steps);
        if report.found != Found::Illegal {
            continue;
        }
        illegal += 1;
        gave_up += usize::from(report.legal < report.reached);
        let end = |step: &Step| match *step {
            Step::Return(at) => Some(problem.entries[at as usize].complete),
            _ => None,
        };
        let legal = problem.steps[report.legal..].iter().find_map(end).unwrap();
        assert!(brute::linearizable(&Kv, &until(&raw, legal)), "not before {legal}: {}", show(&raw));
        let failed = end(&problem.steps[report.reached]).unwrap();
        assert!(!brute::linearizable(&Kv, &until(&raw, failed + 1)), "not at {failed}: {}", show(&raw));
    }
    println!(
        "kv: {HISTORIES} random histories with few steps, {illegal} not linearizable, {gave_up} of them not to the end"
    );
    assert!(illegal > HISTORIES / 10 && gave_up > 100, "{illegal} {gave_up}");
}

/// Clients that all write one of a few values at once, and a read of another one: equal operations were told apart, so that there
/// were 2^48 configurations, and it gave up after 5 * 10^7.
#[test]
fn many_clients_on_few_values_are_decided() {
    let values = [A, B, Symbol(3)];
    let write = |at: usize, op| Timed { op, invoke: at as u32, complete: 100 + at as u32 };
    let last = |value| Timed { op: RegisterOp::Read(value), invoke: 200, complete: 201 };
    for (value, expected) in [(A, Found::Linearizable), (Symbol(4), Found::Illegal)] {
        let writes = (0..48).map(|at| write(at, RegisterOp::Write(values[at % 3])));
        let problem = problem(&Register, &writes.chain([last(value)]).collect::<Vec<_>>());
        for engine in [Engine::Depth, Engine::Breadth] {
            let report = portfolio::run(
                engine,
                &Register,
                &problem,
                &Limits { steps: 2_000_000, budget: &Budget::default() },
            );
            println!(
                "48 clients, 3 values: {engine:?} {:?} after {} configurations",
                report.found, report.steps
            );
            assert_eq!(report.found, expected);
        }
    }
}

#[test]
fn random_multi_registers_agree_with_brute_force() {
    agree_at_random("multi-register", &MultiRegister, &ops(&multi_kinds()), 8);
}

#[test]
fn random_counters_agree_with_brute_force() {
    agree_at_random("counter", &Counter, &ops(&counter_kinds()), 9);
}

#[test]
fn random_locks_and_semaphores_agree_with_brute_force() {
    agree_at_random("mutex", &Mutex, &[MutexOp::Acquire, MutexOp::Release], 10);
    agree_at_random("semaphore", &Semaphore { permits: 2 }, &ops(&semaphore_kinds()), 11);
}

/// Larger ones, on which the engines agree.
fn engines_agree<M: Model>(name: &str, model: &M, ops: &[M::Op], seed: u64)
where
    M::Op: std::fmt::Debug,
{
    const HISTORIES: usize = 100_000;
    let mut source = Random(seed);
    let (mut legal, mut undecided) = (0, 0);
    for _ in 0..HISTORIES {
        let (count, processes) = (20 + source.below(21), 3 + source.below(6));
        let raw = random(model, ops, Shape { ops: count, processes, crash_every: 20 }, &mut source);
        let problem = problem(model, &raw);
        let depth = run(Engine::Depth, model, &problem);
        let breadth = run(Engine::Breadth, model, &problem);
        let all = [depth, breadth, solve(model, &problem)].map(|report| report.found);
        let decided: Vec<Found> =
            all.into_iter().filter(|found| !matches!(found, Found::Exhausted(_))).collect();
        assert!(decided.windows(2).all(|pair| pair[0] == pair[1]), "{all:?} {raw:?}");
        undecided += all.len() - decided.len();
        legal += usize::from(all[0] == Found::Linearizable);
    }
    println!(
        "{name}: the engines agree on {HISTORIES} histories of 20 to 40 operations, {legal} linearizable"
    );
    assert!(HISTORIES / 20 < legal && legal < HISTORIES * 19 / 20, "{legal} of {HISTORIES}");
    assert!(undecided < HISTORIES / 100, "{undecided} gave up");
}

#[test]
fn engines_agree_on_registers() {
    engines_agree("cas-register", &Register, &register_ops(), 12);
    engines_agree("kv", &Kv, &kv_ops(), 13);
}

#[test]
fn engines_agree_on_other_objects() {
    engines_agree("counter", &Counter, &ops(&counter_kinds()), 14);
    engines_agree("semaphore", &Semaphore { permits: 2 }, &ops(&semaphore_kinds()), 15);
    engines_agree("multi-register", &MultiRegister, &ops(&multi_kinds()), 16);
}

pub(super) fn show<O: std::fmt::Debug>(raw: &[Timed<O>]) -> String {
    raw.iter().map(|raw| format!("{:?} [{}, {}] ", raw.op, raw.invoke, raw.complete)).collect()
}
