//! The three causal models straight from their definitions (POPL 2017, section 3), and PRAM from its own, by exhaustive search over tiny
//! histories.

use super::CausalModel;
use crate::registers::tiny::Tiny;

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
        CausalModel::Pram => (0..ops.len()).all(|op| {
            let seen = (0..ops.len()).filter(|&other| ops[other].session == ops[op].session);
            order(ops, &so, 0, all.wrapping_sub(1), seen.fold(0, |set, other| set | 1 << other), &mut [0; 4])
        }),
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
