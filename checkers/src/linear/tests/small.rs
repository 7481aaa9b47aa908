//! Every small history against brute force.

use super::generate::timed;
use super::kinds::{A, B, counter_kinds, crashing, kv_ops, multi_kinds, returning, semaphore_kinds};
use super::oracle::agree;
use crate::model::{
    Counter, Kv, KvOp, Model, MultiRegister, Mutex, MutexOp, Register, RegisterOp, Semaphore, Symbol,
};
use crate::testing::interval_orders;

const FEW: [usize; 7] = [0, 0, 20, 20, 8, 4, 3];

/// Runs all histories of so many operations of these kinds (operation, whether it returns), up to symmetry.
fn exhaust<M: Model>(name: &str, model: &M, count: usize, kinds: &[(M::Op, bool)])
where
    M::Op: std::fmt::Debug,
{
    let (mut legal, mut all) = (0, 0);
    let orders = interval_orders(count);
    assert_eq!(orders.len(), [1, 1, 2, 5, 15, 53, 217][count], "Fishburn's numbers");
    for order in orders {
        for mut choice in 0..kinds.len().pow(count as u32) {
            let mut digits = [0; 6];
            for digit in &mut digits[..count] {
                (*digit, choice) = (choice % kinds.len(), choice / kinds.len());
            }
            // Operations with one interval are interchangeable.
            if (1..count).any(|at| order[at - 1] == order[at] && digits[at - 1] > digits[at]) {
                continue;
            }
            let ops: Vec<(M::Op, bool)> = digits[..count].iter().map(|&digit| kinds[digit].clone()).collect();
            legal += usize::from(agree(model, &timed(&order, &ops)));
            all += 1;
        }
    }
    println!("{name}: all {all} histories of {count} operations, {legal} linearizable");
    assert!(0 < legal && legal < all, "{legal} of {all}");
}

/// All histories of these many operations, with fewer kinds the more there are.
fn exhaust_each<M: Model>(name: &str, model: &M, kinds: &[(M::Op, bool)], kinds_max: [usize; 7])
where
    M::Op: std::fmt::Debug,
{
    for count in 2..=6 {
        exhaust(name, model, count, &kinds[..kinds_max[count].min(kinds.len())]);
    }
}

#[test]
fn all_small_registers() {
    let nil = Symbol::NIL;
    let kinds = [
        returning(RegisterOp::Write(A)),
        returning(RegisterOp::Read(A)),
        returning(RegisterOp::Cas(A, B)),
        crashing(RegisterOp::Write(A)),
        returning(RegisterOp::Read(B)),
        returning(RegisterOp::Write(B)),
        returning(RegisterOp::Read(nil)),
        crashing(RegisterOp::Cas(nil, A)),
        returning(RegisterOp::Cas(B, A)),
        returning(RegisterOp::Cas(A, A)),
        returning(RegisterOp::Mismatch(A)),
        crashing(RegisterOp::Cas(A, B)),
    ];
    exhaust_each("register", &Register, &kinds, FEW);
}

#[test]
fn all_small_kvs() {
    let ops = kv_ops();
    let append = |end: &str| KvOp::Append(end.into());
    let mut kinds = vec![returning(append("x")), returning(ops[3].clone()), returning(append("y"))];
    kinds.extend([crashing(append("x")), returning(ops[4].clone()), returning(ops[8].clone())]);
    kinds.extend([crashing(ops[8].clone()), returning(ops[9].clone())]);
    kinds.extend(ops.into_iter().map(returning));
    exhaust_each("kv", &Kv, &kinds, FEW);
}

#[test]
fn all_small_locks() {
    let (acquire, release) = (MutexOp::Acquire, MutexOp::Release);
    let kinds = [returning(acquire), returning(release), crashing(release), crashing(acquire)];
    exhaust_each("mutex", &Mutex, &kinds, [0, 0, 4, 4, 4, 4, 3]);
}

#[test]
fn all_small_semaphores() {
    exhaust_each("semaphore", &Semaphore { permits: 2 }, &semaphore_kinds(), FEW);
}

#[test]
fn all_small_counters() {
    exhaust_each("counter", &Counter, &counter_kinds(), FEW);
}

#[test]
fn all_small_multi_registers() {
    exhaust_each("multi-register", &MultiRegister, &multi_kinds(), FEW);
}
