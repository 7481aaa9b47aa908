//! The three causal models straight from their definitions (POPL 2017, section 3), by exhaustive search over tiny
//! histories.

use super::CausalModel;
use crate::testing::Random;
use crate::{History, Op, Process, Type};

/// An acknowledged operation of a tiny history. Values are from 1 up; 0 is the initial value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tiny {
    pub(crate) session: usize,
    pub(crate) key: usize,
    pub(crate) read: Option<u8>,
    pub(crate) write: Option<u8>,
}

/// The operations as a recorded history, one after the other.
pub(crate) fn record(ops: &[Tiny]) -> History {
    let value = |v: u8| if v == 0 { serde_json::Value::Null } else { v.into() };
    let mut history = History::new();
    for op in ops {
        let (f, asked, told) = match (op.read, op.write) {
            (Some(old), Some(new)) => {
                let pair = serde_json::json!([op.key, [value(old), new]]);
                ("cas", pair.clone(), pair)
            }
            (None, Some(new)) => {
                ("write", serde_json::json!([op.key, new]), serde_json::json!([op.key, new]))
            }
            (Some(old), None) => {
                ("read", serde_json::json!([op.key, null]), serde_json::json!([op.key, value(old)]))
            }
            (None, None) => panic!("an operation reads or writes"),
        };
        let process = Process::Client(op.session as u32);
        history.push(&Op::new(f).process(process).value(asked));
        history.push(&Op::new(f).process(process).value(told).kind(Type::Ok));
    }
    history
}

/// A relation on at most 8 operations: bit `a` of `rows[b]` says that `a` comes before `b`.
pub(crate) type Rows = [u8; 8];

pub(crate) fn session_order(ops: &[Tiny]) -> Rows {
    let mut rows = [0; 8];
    for b in 0..ops.len() {
        for a in (0..b).filter(|&a| ops[a].session == ops[b].session) {
            rows[b] |= 1 << a;
        }
    }
    rows
}

/// The least causal order: session order and reads-from, closed. `None` if it is cyclic.
pub(crate) fn least_order(ops: &[Tiny]) -> Option<Rows> {
    let mut rows = session_order(ops);
    for (b, reader) in ops.iter().enumerate() {
        for (a, writer) in ops.iter().enumerate() {
            if a != b && reader.key == writer.key && writer.write.is_some() && writer.write == reader.read {
                rows[b] |= 1 << a;
            }
        }
    }
    close(&mut rows, ops.len());
    (0..ops.len()).all(|op| rows[op] >> op & 1 == 0).then_some(rows)
}

fn close(rows: &mut Rows, n: usize) {
    for via in 0..n {
        for op in 0..n {
            if rows[op] >> via & 1 == 1 {
                rows[op] |= rows[via];
            }
        }
    }
}

/// Every strict partial order on `n` operations.
pub(crate) fn partial_orders(n: usize) -> Vec<Rows> {
    let mut orders = vec![[0u8; 8]];
    for new in 0..n {
        let mut wider = Vec::new();
        for order in &orders {
            for below in 0..1u8 << new {
                for above in 0..1u8 << new {
                    let mut rows = *order;
                    rows[new] = below;
                    (0..new).filter(|op| above >> op & 1 == 1).for_each(|op| rows[op] |= 1 << new);
                    let before = rows;
                    close(&mut rows, new + 1);
                    if rows == before && (0..=new).all(|op| rows[op] >> op & 1 == 0) {
                        wider.push(rows);
                    }
                }
            }
        }
        orders = wider;
    }
    orders
}

/// Whether the model holds with this causal order, which must extend the session order.
pub(crate) fn holds_with(model: CausalModel, ops: &[Tiny], co: &Rows) -> bool {
    let so = session_order(ops);
    let all = (1u16 << ops.len()) as u8;
    match model {
        CausalModel::Ccv => arbitrate(ops, co, 0, all.wrapping_sub(1), &mut Vec::new()),
        _ => (0..ops.len()).all(|op| {
            let seen = if model == CausalModel::Cm { so[op] } else { 0 } | 1 << op;
            order(ops, co, 0, co[op] | 1 << op, seen, &mut [0; 4])
        }),
    }
}

/// Whether the model holds with some causal order among `orders`.
pub(crate) fn holds(model: CausalModel, ops: &[Tiny], orders: &[Rows]) -> bool {
    let so = session_order(ops);
    orders
        .iter()
        .filter(|co| (0..ops.len()).all(|op| co[op] & so[op] == so[op]))
        .any(|co| holds_with(model, ops, co))
}

/// Whether there is an order of `set` that extends `co` and in which what the operations in `seen` read is right.
fn order(ops: &[Tiny], co: &Rows, done: u8, set: u8, seen: u8, store: &mut [u8; 4]) -> bool {
    if done == set {
        return true;
    }
    (0..ops.len()).any(|op| {
        let bit = 1u8 << op;
        let next = ops[op];
        if set & !done & bit == 0 || co[op] & set & !done != 0 {
            return false;
        }
        if seen & bit != 0 && next.read.is_some_and(|read| store[next.key] != read) {
            return false;
        }
        let before = store[next.key];
        store[next.key] = next.write.unwrap_or(before);
        let found = order(ops, co, done | bit, set, seen, store);
        store[next.key] = before;
        found
    })
}

/// Whether there is an order of all that extends `co`, in whose restriction to its causal past each operation is right.
fn arbitrate(ops: &[Tiny], co: &Rows, done: u8, all: u8, order: &mut Vec<usize>) -> bool {
    if done == all {
        return true;
    }
    (0..ops.len()).any(|op| {
        if done >> op & 1 == 1 || co[op] & !done != 0 {
            return false;
        }
        let past = order.iter().rev().filter(|&&w| co[op] >> w & 1 == 1 && ops[w].key == ops[op].key);
        let last = past.filter_map(|&w| ops[w].write).next().unwrap_or(0);
        if ops[op].read.is_some_and(|read| read != last) {
            return false;
        }
        order.push(op);
        let found = arbitrate(ops, co, done | 1 << op, all, order);
        order.pop();
        found
    })
}

/// Whether all operations fit one order that extends the session order.
pub(crate) fn sequential(ops: &[Tiny]) -> bool {
    let all = ((1u16 << ops.len()) - 1) as u8;
    order(ops, &session_order(ops), 0, all, all, &mut [0; 4])
}

/// The sessions of up to four operations, in every way that matters.
pub(crate) const SHAPES: [&[usize]; 12] = [
    &[0],
    &[0, 0],
    &[0, 1],
    &[0, 0, 0],
    &[0, 0, 1],
    &[0, 1, 2],
    &[0, 0, 0, 0],
    &[0, 0, 0, 1],
    &[0, 0, 1, 1],
    &[0, 0, 1, 2],
    &[0, 1, 1, 1],
    &[0, 1, 2, 3],
];

/// Fills `ops` in every way: session shape by session shape, each op any write, read or cas; written values are the
/// position plus one, read values are the initial one or any written to that key.
pub(crate) fn every(sessions: &[usize], keys: usize, cas: bool, visit: &mut impl FnMut(&[Tiny])) {
    let n = sessions.len();
    let kinds = if cas { 3 } else { 2 };
    for code in 0..(keys * kinds).pow(n as u32) {
        let mut rest = code;
        let mut ops = Vec::new();
        for (at, &session) in sessions.iter().enumerate() {
            let (key, kind) = (rest % keys, rest / keys % kinds);
            rest /= keys * kinds;
            let read = (kind != 0).then_some(0);
            let write = (kind != 1).then_some(at as u8 + 1);
            ops.push(Tiny { session, key, read, write });
        }
        values(&mut ops, 0, visit);
    }
}

fn values(ops: &mut Vec<Tiny>, at: usize, visit: &mut impl FnMut(&[Tiny])) {
    if at == ops.len() {
        return visit(ops);
    }
    if ops[at].read.is_none() {
        return values(ops, at + 1, visit);
    }
    let key = ops[at].key;
    let others = |(w, op): (usize, &Tiny)| if w != at && op.key == key { op.write } else { None };
    let options: Vec<u8> = std::iter::once(0).chain(ops.iter().enumerate().filter_map(others)).collect();
    for value in options {
        ops[at].read = Some(value);
        values(ops, at + 1, visit);
    }
}

/// A random history of `n` operations, often of a single copy.
pub(crate) fn random(rng: &mut Random, n: usize) -> Vec<Tiny> {
    let (sessions, keys) = (1 + rng.below(4), 1 + rng.below(2));
    let mut ops: Vec<Tiny> = (0..n)
        .map(|at| {
            let kind = rng.below(7);
            let read = (kind >= 3).then_some(0);
            let write = (kind < 4).then_some(at as u8 + 1);
            Tiny { session: rng.below(sessions), key: rng.below(keys), read, write }
        })
        .collect();
    let mut store = [0; 2];
    for at in 0..n {
        if ops[at].read.is_some() {
            let key = ops[at].key;
            let others: Vec<u8> = (0..n)
                .filter(|&w| w != at && ops[w].key == key)
                .filter_map(|w| ops[w].write)
                .chain([0])
                .collect();
            // Mostly what a single copy would say, so that the verdicts are mixed.
            ops[at].read = Some(if rng.below(3) > 0 { store[key] } else { others[rng.below(others.len())] });
        }
        store[ops[at].key] = ops[at].write.unwrap_or(store[ops[at].key]);
    }
    ops
}
