//! The operations out of which histories are made: each with whether it returns.

use crate::model::{CounterOp, KvOp, KvValue, MultiRegisterOp, RegisterOp, SemaphoreOp, Symbol};

pub(super) const A: Symbol = Symbol(1);
pub(super) const B: Symbol = Symbol(2);

pub(super) fn returning<O>(op: O) -> (O, bool) {
    (op, true)
}

pub(super) fn crashing<O>(op: O) -> (O, bool) {
    (op, false)
}

pub(super) fn ops<O: Clone>(kinds: &[(O, bool)]) -> Vec<O> {
    kinds.iter().map(|(op, _)| op.clone()).collect()
}

pub(super) fn register_ops() -> Vec<RegisterOp> {
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

pub(super) fn kv_ops() -> Vec<KvOp> {
    const TEXTS: [&str; 6] = ["", "x", "y", "xy", "yx", "xx"];
    let symbol = |s: &str| Symbol(TEXTS.iter().position(|text| *text == s).unwrap() as u32);
    let get = |s: &str| KvOp::Get(KvValue::Text(s.into()), symbol(s));
    let put = |s: &str| KvOp::Put(KvValue::Text(s.into()), symbol(s));
    let mut ops: Vec<KvOp> = TEXTS.map(get).to_vec();
    ops.extend([KvOp::Append("x".into()), KvOp::Append("y".into()), put("x"), put("")]);
    ops.push(KvOp::Put(KvValue::Json(Symbol(9)), Symbol(9)));
    ops
}

pub(super) fn semaphore_kinds() -> Vec<(SemaphoreOp, bool)> {
    use SemaphoreOp::{Acquire, Release};
    let mut kinds = vec![returning(Acquire(1)), returning(Release(1)), returning(Acquire(2))];
    kinds.extend([crashing(Release(1)), crashing(Acquire(1)), returning(Release(2)), returning(Acquire(0))]);
    kinds
}

pub(super) fn counter_kinds() -> Vec<(CounterOp, bool)> {
    use CounterOp::{Add, Read};
    let mut kinds = vec![returning(Add(1)), returning(Read(1)), returning(Read(2)), crashing(Add(1))];
    kinds.extend([
        returning(Add(2)),
        returning(Read(3)),
        returning(Read(0)),
        crashing(Add(-1)),
        returning(Add(-1)),
    ]);
    kinds
}

pub(super) fn multi_kinds() -> Vec<(MultiRegisterOp, bool)> {
    let nil = Symbol::NIL;
    let op = |micros: &[(bool, Symbol, Symbol)]| MultiRegisterOp::new(micros.iter().copied());
    let mut kinds = vec![
        returning(op(&[(true, A, A), (true, B, B)])),
        returning(op(&[(false, A, A), (false, B, nil)])),
        returning(op(&[(true, A, A)])),
        crashing(op(&[(true, B, B)])),
        returning(op(&[(false, A, A), (false, B, B)])),
        returning(op(&[(true, A, B), (false, B, B)])),
    ];
    kinds.extend([returning(op(&[(false, A, nil)])), crashing(op(&[(true, A, nil), (true, B, A)]))]);
    kinds
}
