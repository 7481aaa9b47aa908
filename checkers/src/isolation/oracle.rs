//! The levels straight from their axioms, by trying all commit orders of a tiny history.

use super::IsolationLevel;
use crate::{History, Op, Process, Type};
use serde_json::{Value, json};

/// A micro-operation on key `.0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TinyMop {
    Write(u8, u8),
    Read(u8, Option<u8>),
}
use TinyMop::{Read, Write};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TinyTxn {
    pub(crate) process: u32,
    pub(crate) kind: Type,
    pub(crate) mops: Vec<TinyMop>,
}

/// The transactions as a recorded history, one after the other.
pub(super) fn record(txns: &[TinyTxn]) -> History {
    let mop = |mop: &TinyMop| match *mop {
        Write(key, value) => json!(["w", key, value]),
        Read(key, value) => json!(["r", key, value]),
    };
    let mut history = History::new();
    for txn in txns {
        let mops: Value = txn.mops.iter().map(mop).collect();
        let op = Op::new("txn").process(Process::Client(txn.process)).at(history.len() as u64);
        history.push(&op.clone().value(mops.clone()));
        history.push(&op.kind(txn.kind).value(mops));
    }
    history
}

/// The same, where a process that goes on after a transaction of unknown outcome has another name: its session is over.
pub(super) fn by_session(txns: &[TinyTxn]) -> Vec<TinyTxn> {
    let session = |at: usize, process: u32| {
        let crashed = txns[..at].iter().filter(|txn| txn.process == process && txn.kind == Type::Info);
        1000 * crashed.count() as u32 + process
    };
    let all = txns.iter().enumerate();
    all.map(|(at, txn)| TinyTxn { process: session(at, txn.process), ..txn.clone() }).collect()
}

/// Whether some of the transactions of unknown outcome and all acknowledged ones have a commit order.
pub(crate) fn holds(level: IsolationLevel, txns: &[TinyTxn]) -> bool {
    let txns = &by_session(txns)[..];
    let unknown: Vec<usize> = (0..txns.len()).filter(|&t| txns[t].kind == Type::Info).collect();
    (0..1u32 << unknown.len()).any(|choice| {
        let chosen = |t: usize| unknown.iter().position(|&u| u == t).is_some_and(|at| choice >> at & 1 == 1);
        let committed: Vec<usize> =
            (0..txns.len()).filter(|&t| txns[t].kind == Type::Ok || chosen(t)).collect();
        commits(level, txns, &committed)
    })
}

fn final_write(txn: &TinyTxn, key: u8) -> Option<u8> {
    txn.mops.iter().rev().find_map(|mop| match *mop {
        Write(to, value) if to == key => Some(value),
        _ => None,
    })
}

/// Whether these transactions have a commit order. Bit `a` of `before[b]` says that `a` must commit before `b`.
fn commits(level: IsolationLevel, txns: &[TinyTxn], committed: &[usize]) -> bool {
    let Some(reads) = external_reads(txns, committed) else { return false };
    let mut direct = vec![0u32; txns.len()];
    for &b in committed {
        for &a in committed.iter().filter(|&&a| a < b) {
            if txns[a].process == txns[b].process && txns[a].kind == Type::Ok {
                direct[b] |= 1 << a;
            }
        }
    }
    let sessions_and_reads = {
        let mut all = direct;
        reads
            .iter()
            .filter_map(|r| r.from.map(|from| (from, r.by)))
            .for_each(|(from, by)| all[by] |= 1 << from);
        all
    };
    let mut happened = sessions_and_reads.clone();
    for _ in 0..txns.len() {
        for b in 0..txns.len() {
            happened[b] = (0..txns.len())
                .filter(|a| happened[b] >> a & 1 == 1)
                .fold(happened[b], |all, a| all | happened[a]);
        }
    }
    let mut before = sessions_and_reads.clone();
    for read in &reads {
        for &other in committed.iter().filter(|&&t| Some(t) != read.from && t != read.by) {
            let known = match level {
                IsolationLevel::ReadCommitted => {
                    reads.iter().any(|r| r.by == read.by && r.at < read.at && r.from == Some(other))
                }
                IsolationLevel::ReadAtomic => sessions_and_reads[read.by] >> other & 1 == 1,
                IsolationLevel::Causal => happened[read.by] >> other & 1 == 1,
            };
            if known && final_write(&txns[other], read.key).is_some() {
                match read.from {
                    Some(from) => before[from] |= 1 << other,
                    None => return false,
                }
            }
        }
    }
    place(&before, committed, 0)
}

/// A read of what another transaction wrote, or of the initial value.
struct External {
    by: usize,
    at: usize,
    key: u8,
    from: Option<usize>,
}

/// All external reads, if every read by itself is right.
fn external_reads(txns: &[TinyTxn], committed: &[usize]) -> Option<Vec<External>> {
    let mut reads = Vec::new();
    for &by in committed.iter().filter(|&&t| txns[t].kind == Type::Ok) {
        for (at, mop) in txns[by].mops.iter().enumerate() {
            let Read(key, value) = *mop else { continue };
            let earlier = TinyTxn { mops: txns[by].mops[..at].to_vec(), ..txns[by].clone() };
            if let Some(own) = final_write(&earlier, key) {
                (value == Some(own)).then_some(())?;
                continue;
            }
            let writer = |&&t: &&usize| t != by && final_write(&txns[t], key) == value;
            let from = match value {
                None => None,
                Some(_) => Some(*committed.iter().find(writer)?),
            };
            reads.push(External { by, at, key, from });
        }
    }
    Some(reads)
}

fn place(before: &[u32], committed: &[usize], done: u32) -> bool {
    let mut open = committed.iter().filter(|&&t| done >> t & 1 == 0).peekable();
    open.peek().is_none() || open.any(|&t| before[t] & !done == 0 && place(before, committed, done | 1 << t))
}
