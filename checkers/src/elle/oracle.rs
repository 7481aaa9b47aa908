//! The three models straight from their definitions, by trying all orders of a tiny history.

use super::AppendModel;
use crate::{History, Op, Process, Type};

/// A micro-operation on key `.0`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TinyMop {
    Append(usize, u8),
    Read(usize, Vec<u8>),
}

/// A transaction with the moments at which it began and ended.
#[derive(Clone, Debug)]
pub(super) struct TinyTxn {
    pub(super) process: u32,
    pub(super) kind: Type,
    pub(super) invoke: usize,
    pub(super) complete: usize,
    pub(super) mops: Vec<TinyMop>,
}

/// The transactions as a recorded history.
pub(super) fn record(txns: &[TinyTxn]) -> History {
    let mut events: Vec<(usize, Op)> = Vec::new();
    for txn in txns {
        let mops = |reads: bool| -> serde_json::Value {
            let mop = |mop: &TinyMop| match mop {
                TinyMop::Append(key, value) => serde_json::json!(["append", key, value]),
                TinyMop::Read(key, list) if reads => serde_json::json!(["r", key, list]),
                TinyMop::Read(key, _) => serde_json::json!(["r", key, null]),
            };
            txn.mops.iter().map(mop).collect()
        };
        let op = |kind, value| Op::new("txn").process(Process::Client(txn.process)).kind(kind).value(value);
        events.push((txn.invoke, op(Type::Invoke, mops(false))));
        events.push((txn.complete, op(txn.kind, mops(txn.kind == Type::Ok))));
    }
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(at, op)| op.at(at as u64)).collect()
}

/// Whether some order of the acknowledged transactions and some of those of unknown outcome explains every read.
pub(super) fn holds(model: AppendModel, txns: &[TinyTxn]) -> bool {
    place(model, txns, 0, &[const { Vec::new() }; 2])
}

fn place(model: AppendModel, txns: &[TinyTxn], done: u16, store: &[Vec<u8>; 2]) -> bool {
    let open = |i: usize| done >> i & 1 == 0;
    if (0..txns.len()).all(|i| !open(i) || txns[i].kind != Type::Ok) {
        return true;
    }
    (0..txns.len()).filter(|&i| open(i) && txns[i].kind != Type::Fail).any(|i| {
        let mut earlier = (0..txns.len()).filter(|&j| open(j) && j != i && txns[j].kind == Type::Ok);
        let blocked = earlier.any(|j| {
            let before = txns[j].complete < txns[i].invoke;
            match model {
                AppendModel::Serializable => false,
                AppendModel::StrongSessionSerializable => before && txns[i].process == txns[j].process,
                AppendModel::StrictSerializable => before,
            }
        });
        if blocked {
            return false;
        }
        let mut store = store.clone();
        run(&txns[i], &mut store) && place(model, txns, done | 1 << i, &store)
    })
}

/// Runs a transaction; false if it would have read something else.
pub(super) fn run(txn: &TinyTxn, store: &mut [Vec<u8>; 2]) -> bool {
    txn.mops.iter().all(|mop| match mop {
        TinyMop::Append(key, value) => {
            store[*key].push(*value);
            true
        }
        TinyMop::Read(key, list) => txn.kind != Type::Ok || store[*key] == *list,
    })
}
