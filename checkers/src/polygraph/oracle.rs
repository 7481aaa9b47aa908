//! The models straight from their axioms (Cerone, Bernardi and Gotsman, *A framework for transactional consistency models with
//! atomic visibility*, CONCUR 2015): what each transaction sees, and an order of all that settles conflicts, by trying all.

use super::PolygraphModel;
use crate::{History, Op, Process, Type};

/// A write or a read of a value, on a key. 0 is the initial value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TinyMop {
    Write(usize, u8),
    Read(usize, u8),
}

/// A transaction with the moments at which it began and ended.
#[derive(Clone, Debug)]
pub(crate) struct TinyTxn {
    pub(crate) process: u32,
    pub(crate) kind: Type,
    pub(crate) invoke: usize,
    pub(crate) complete: usize,
    pub(crate) mops: Vec<TinyMop>,
}

/// The transactions as a recorded history.
pub(crate) fn record(txns: &[TinyTxn]) -> History {
    let mut events: Vec<(usize, Op)> = Vec::new();
    for txn in txns {
        let mops = |reads: bool| -> serde_json::Value {
            let mop = |mop: &TinyMop| match *mop {
                TinyMop::Write(key, value) => serde_json::json!(["w", key, value]),
                TinyMop::Read(key, value) if reads && value > 0 => serde_json::json!(["r", key, value]),
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

/// Whether the model holds of the acknowledged transactions with some of those of unknown outcome.
pub(crate) fn holds(model: PolygraphModel, txns: &[TinyTxn]) -> bool {
    let unknown: Vec<usize> = (0..txns.len()).filter(|&i| txns[i].kind == Type::Info).collect();
    (0..1u32 << unknown.len()).any(|chosen| {
        let took_effect = |i: usize| match unknown.iter().position(|&u| u == i) {
            Some(at) => chosen >> at & 1 == 1,
            None => txns[i].kind == Type::Ok,
        };
        let some: Vec<&TinyTxn> =
            txns.iter().enumerate().filter(|(i, _)| took_effect(*i)).map(|(_, txn)| txn).collect();
        let crashes = |a: &TinyTxn, b: &TinyTxn| {
            let between = |txn: &&TinyTxn| txn.process == a.process && txn.kind == Type::Info;
            txns.iter().filter(between).any(|txn| a.invoke <= txn.invoke && txn.invoke < b.invoke)
        };
        let sessions: Vec<u32> = some
            .iter()
            .map(|b| {
                let before = |a: &&TinyTxn| a.process == b.process && a.invoke < b.invoke && !crashes(a, b);
                (0u32..).zip(&some).filter(|(_, a)| before(a)).map(|(i, _)| 1 << i).sum()
            })
            .collect();
        Tiny { model, txns: &some, sessions }.arbitrate(&mut Vec::new(), &mut Vec::new())
    })
}

struct Tiny<'a> {
    model: PolygraphModel,
    txns: &'a [&'a TinyTxn],
    /// For each transaction those before it in its session.
    sessions: Vec<u32>,
}

impl Tiny<'_> {
    /// Goes on with an arbitration order and what each transaction in it sees.
    fn arbitrate(&self, order: &mut Vec<usize>, sees: &mut Vec<u32>) -> bool {
        if order.len() == self.txns.len() {
            return true;
        }
        let done: u32 = order.iter().map(|i| 1 << i).sum();
        for next in (0..self.txns.len()).filter(|next| done >> next & 1 == 0) {
            if self.sessions[next] & !done != 0 || self.too_early(next, done) {
                continue;
            }
            for seen in self.visible(next, order, sees) {
                if seen & self.sessions[next] == self.sessions[next] && self.reads(next, order, seen) {
                    order.push(next);
                    sees.push(seen);
                    let found = self.arbitrate(order, sees);
                    order.pop();
                    sees.pop();
                    if found {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn too_early(&self, next: usize, done: u32) -> bool {
        let ended =
            |i: usize| self.txns[i].kind == Type::Ok && self.txns[i].complete < self.txns[next].invoke;
        self.model == PolygraphModel::StrictSerializable
            && (0..self.txns.len()).any(|i| i != next && done >> i & 1 == 0 && ended(i))
    }

    /// What `next` may see of those before it, as the model has it.
    fn visible(&self, next: usize, order: &[usize], sees: &[u32]) -> Vec<u32> {
        let set = |order: &[usize]| -> u32 { order.iter().map(|i| 1 << i).sum() };
        let conflicts: u32 = order.iter().filter(|&&i| self.conflict(i, next)).map(|i| 1 << i).sum();
        let prefixes = (0..=order.len()).map(|len| set(&order[..len]));
        match self.model {
            PolygraphModel::Serializable | PolygraphModel::StrictSerializable => vec![set(order)],
            PolygraphModel::PrefixConsistency => prefixes.collect(),
            PolygraphModel::SnapshotIsolation => {
                prefixes.filter(|seen| seen & conflicts == conflicts).collect()
            }
            PolygraphModel::ParallelSnapshotIsolation => {
                let closed = |seen: u32| {
                    let past = |(i, sees): (&usize, &u32)| seen >> i & 1 == 0 || seen & sees == *sees;
                    order.iter().zip(sees).all(past)
                };
                let all = set(order);
                let some = (0..=all).filter(|seen| seen & !all == 0);
                some.filter(|&seen| seen & conflicts == conflicts && closed(seen)).collect()
            }
        }
    }

    fn conflict(&self, a: usize, b: usize) -> bool {
        let writes = |i: usize, key: usize| {
            self.txns[i].mops.iter().any(|mop| matches!(mop, TinyMop::Write(k, _) if *k == key))
        };
        (0..4).any(|key| writes(a, key) && writes(b, key))
    }

    /// Whether what `next` read follows from what it sees.
    fn reads(&self, next: usize, order: &[usize], seen: u32) -> bool {
        let mut store = [0u8; 4];
        for &i in order.iter().filter(|&&i| seen >> i & 1 == 1) {
            for mop in &self.txns[i].mops {
                if let TinyMop::Write(key, value) = *mop {
                    store[key] = value;
                }
            }
        }
        self.txns[next].mops.iter().all(|mop| match *mop {
            TinyMop::Write(key, value) => {
                store[key] = value;
                true
            }
            TinyMop::Read(key, value) => self.txns[next].kind != Type::Ok || store[key] == value,
        })
    }
}
