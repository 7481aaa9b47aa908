//! Every small history, and many random ones, against brute force.

use super::{Timed, brute, problem};
use crate::Budget;
use crate::linear::engine::{Found, Report};
use crate::linear::meter::Limits;
use crate::linear::portfolio::{self, Engine};
use crate::linear::problem::{NEVER, Problem, Step};
use crate::linear::zones::UniqueWrites;
use crate::linear::{misread, witness};
use crate::model::{Kv, KvOp, KvValue, Model, Mutex, MutexOp, Register, RegisterOp, Symbol};
use crate::testing::Random;

const STEPS: u64 = 1 << 20;

fn run<M: Model>(engine: Engine, model: &M, problem: &Problem<M::Op>) -> Report {
    portfolio::run(engine, model, problem, &Limits { steps: STEPS, budget: &Budget::default() })
}

fn solve<M: Model>(model: &M, problem: &Problem<M::Op>) -> Report {
    portfolio::solve(model, problem, &Limits { steps: STEPS, budget: &Budget::default() })
}

/// Asserts that each engine and their portfolio say what brute force says, and returns that.
fn agree<M: Model>(model: &M, raw: &[Timed<M::Op>]) -> bool
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
    assert_eq!((solved.found, solved.reached), (found, depth.reached), "{raw:?}");
    expected
}

/// Every way in which `count` operations can be called, in order, and return: pairs of times.
fn intervals(count: usize, open_max: usize) -> Vec<Vec<(u32, u32)>> {
    let mut all = Vec::new();
    let mut stack = vec![(0, Vec::<(u32, u32)>::new())];
    while let Some((time, ops)) = stack.pop() {
        let open: Vec<usize> = (0..ops.len()).filter(|&at| ops[at].1 == NEVER).collect();
        if ops.len() == count && open.is_empty() {
            all.push(ops);
            continue;
        }
        if ops.len() < count && open.len() < open_max {
            let mut more = ops.clone();
            more.push((time, NEVER));
            stack.push((time + 1, more));
        }
        for at in open {
            let mut more = ops.clone();
            more[at].1 = time;
            stack.push((time + 1, more));
        }
    }
    all
}

/// Runs all histories of `count` operations of these kinds (operation, whether it returns), and counts the legal ones.
fn exhaust<M: Model>(model: &M, count: usize, kinds: &[(M::Op, bool)]) -> (usize, usize)
where
    M::Op: std::fmt::Debug,
{
    let (mut legal, mut all) = (0, 0);
    for times in intervals(count, 3) {
        for mut choice in 0..kinds.len().pow(count as u32) {
            let mut raw: Vec<Timed<M::Op>> = Vec::new();
            for &(invoke, complete) in &times {
                let (op, returns) = &kinds[choice % kinds.len()];
                choice /= kinds.len();
                raw.push(Timed { op: op.clone(), invoke, complete: if *returns { complete } else { NEVER } });
            }
            legal += usize::from(agree(model, &raw));
            all += 1;
        }
    }
    (legal, all)
}

const A: Symbol = Symbol(1);
const B: Symbol = Symbol(2);

fn register_ops() -> Vec<RegisterOp> {
    let values = [Symbol::NIL, A, B];
    let mut ops: Vec<RegisterOp> = values.map(RegisterOp::Read).to_vec();
    ops.extend([A, B].map(RegisterOp::Write));
    ops.extend([
        RegisterOp::Cas(A, B),
        RegisterOp::Cas(B, A),
        RegisterOp::Cas(A, A),
        RegisterOp::Mismatch(A),
    ]);
    ops
}

fn kv_ops() -> Vec<KvOp> {
    const TEXTS: [&str; 6] = ["", "x", "y", "xy", "yx", "xx"];
    let symbol = |s: &str| Symbol(TEXTS.iter().position(|text| *text == s).unwrap() as u32);
    let get = |s: &str| KvOp::Get(KvValue::Text(s.into()), symbol(s));
    let put = |s: &str| KvOp::Put(KvValue::Text(s.into()), symbol(s));
    let mut ops: Vec<KvOp> = TEXTS.map(get).to_vec();
    ops.extend([KvOp::Append("x".into()), KvOp::Append("y".into()), put("x"), put("")]);
    ops.push(KvOp::Put(KvValue::Json(Symbol(9)), Symbol(9)));
    ops
}

#[test]
fn all_registers_of_up_to_three_operations() {
    let mut kinds: Vec<(RegisterOp, bool)> = register_ops().into_iter().map(|op| (op, true)).collect();
    kinds.extend([RegisterOp::Write(A), RegisterOp::Cas(Symbol::NIL, A)].map(|op| (op, false)));
    for count in 1..=3 {
        let (legal, all) = exhaust(&Register, count, &kinds);
        assert!(0 < legal && legal < all, "{legal} of {all}");
    }
}

#[test]
fn all_registers_of_four_operations() {
    let kinds = [
        (RegisterOp::Read(Symbol::NIL), true),
        (RegisterOp::Read(A), true),
        (RegisterOp::Write(A), true),
        (RegisterOp::Write(B), true),
        (RegisterOp::Write(A), false),
        (RegisterOp::Cas(A, B), true),
    ];
    let (legal, all) = exhaust(&Register, 4, &kinds);
    assert!(0 < legal && legal < all, "{legal} of {all}");
}

#[test]
fn all_locks_of_four_operations() {
    let kinds = [
        (MutexOp::Acquire, true),
        (MutexOp::Release, true),
        (MutexOp::Acquire, false),
        (MutexOp::Release, false),
    ];
    let (legal, all) = exhaust(&Mutex, 4, &kinds);
    assert!(0 < legal && legal < all, "{legal} of {all}");
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

fn random_agreement<M: Model>(model: &M, ops: &[M::Op], seed: u64, histories: usize)
where
    M::Op: std::fmt::Debug,
{
    let mut random = Random(seed);
    let mut legal = 0;
    for _ in 0..histories {
        let (count, width) = (2 + random.below(7), 1 + random.below(4));
        let raw = random_history(&mut random, ops, count, width);
        legal += usize::from(agree(model, &raw));
    }
    assert!(histories / 20 < legal && legal < histories * 19 / 20, "{legal} of {histories}");
}

#[test]
fn random_registers_agree_with_brute_force() {
    random_agreement(&Register, &register_ops()[..5], 1, 10_000);
}

#[test]
fn random_cas_registers_agree_with_brute_force() {
    random_agreement(&Register, &register_ops(), 2, 10_000);
}

#[test]
fn random_kvs_agree_with_brute_force() {
    random_agreement(&Kv, &kv_ops(), 3, 10_000);
}

/// Registers whose writes are unique go to the zones, and these to brute force and both engines.
#[test]
fn random_unique_writes_agree_with_brute_force() {
    let mut random = Random(4);
    let (mut legal, mut unique) = (0, 0);
    let ops = [0, 1, 2, 3].map(|v| RegisterOp::Read(Symbol(v)));
    let all = [ops.to_vec(), vec![RegisterOp::Write(A); 4]].concat();
    for _ in 0..20_000 {
        let (count, width) = (2 + random.below(7), 1 + random.below(4));
        let mut raw = random_history(&mut random, &all, count, width);
        let mut next = 0;
        for op in raw.iter_mut().filter(|raw| raw.op == RegisterOp::Write(A)) {
            next += 1;
            op.op = RegisterOp::Write(Symbol(next));
        }
        raw.retain(|raw| raw.complete != NEVER || !Register.read_only(&raw.op));
        let problem = problem(&Register, &raw);
        unique += usize::from(UniqueWrites::new(&Register, &problem).is_some());
        legal += usize::from(agree(&Register, &raw));
    }
    assert!(unique == 20_000 && 2_000 < legal && legal < 18_000, "{legal} legal, {unique} unique");
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

fn show<O: std::fmt::Debug>(raw: &[Timed<O>]) -> String {
    raw.iter().map(|raw| format!("{:?} [{}, {}] ", raw.op, raw.invoke, raw.complete)).collect()
}

#[test]
fn witnesses_fail_alone_and_hold_nothing_needless() {
    cores(&Register, &register_ops(), 5);
    cores(&Kv, &kv_ops(), 6);
    cores(&Mutex, &[MutexOp::Acquire, MutexOp::Release], 7);
}
