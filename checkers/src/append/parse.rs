//! List-append transactions, interned.

use std::collections::HashMap;
use std::ops::Range;

use crate::history::OpRef;
use crate::intern::Interner;
use crate::{History, Process, Type, Value};

/// No transaction, no position.
pub(super) const NONE: u32 = u32::MAX;

/// A micro-operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mop {
    /// Appends an element: an index into [`Txns::elements`].
    Append { key: u32, element: u32 },
    /// Read the elements `from..to` of [`Txns::read`].
    Read { key: u32, from: u32, to: u32 },
}

impl Mop {
    pub(super) fn key(self) -> u32 {
        match self {
            Mop::Append { key, .. } | Mop::Read { key, .. } => key,
        }
    }

    /// The element that it appends.
    pub(super) fn element(self) -> Option<u32> {
        match self {
            Mop::Append { element, .. } => Some(element),
            Mop::Read { .. } => None,
        }
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Failed,
    Unknown,
}

#[derive(Clone, Debug)]
pub(super) struct Txn {
    pub(super) process: Process,
    pub(super) outcome: Outcome,
    pub(super) invoke: u32,
    pub(super) complete: Option<u32>,
    /// Into [`Txns::mops`]. A transaction that is not acknowledged has only appends.
    pub(super) mops: Range<u32>,
}

impl Txn {
    /// The event that tells most: the completion, if there is one.
    pub(super) fn event(&self) -> usize {
        self.complete.unwrap_or(self.invoke) as usize
    }
}

/// A value of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) key: u32,
    pub(super) value: u32,
    /// The transaction that appended it and did not fail, or `NONE`.
    pub(super) writer: u32,
    /// A failed transaction that appended it, or `NONE`.
    pub(super) aborted: u32,
    /// Whether it is the last that its writer appended to the key.
    pub(super) last: bool,
}

/// All transactions of a history in order of invocation.
#[derive(Debug)]
pub(super) struct Txns<'a> {
    pub(super) history: &'a History,
    pub(super) list: Vec<Txn>,
    pub(super) mops: Vec<Mop>,
    pub(super) elements: Vec<Element>,
    pub(super) keys: Interner,
    pub(super) values: Interner,
    /// Keys to which one value was appended twice, with the two transactions and the value.
    pub(super) twice: HashMap<u32, (u32, u32, u32)>,
    reads: Vec<u32>,
    index: HashMap<(u32, u32), u32>,
}

impl<'a> Txns<'a> {
    /// Reads the transactions of the clients. Operations that are no transactions are left out. The error names the
    /// event that is malformed.
    pub(super) fn parse(history: &'a History) -> Result<Txns<'a>, String> {
        let pairs = history.pairs();
        let mut txns = Txns {
            history,
            list: Vec::new(),
            mops: Vec::new(),
            elements: Vec::new(),
            keys: Interner::default(),
            values: Interner::default(),
            twice: HashMap::new(),
            reads: Vec::new(),
            index: HashMap::new(),
        };
        for invoke in history.iter().filter(|op| op.is_client() && op.kind() == Type::Invoke) {
            let complete = pairs.of(invoke.index()).map(|at| history.get(at));
            txns.push(invoke, complete)?;
        }
        Ok(txns)
    }

    fn push(&mut self, invoke: OpRef, complete: Option<OpRef>) -> Result<(), String> {
        let asked = invoke.value();
        if !is_transaction(&asked) {
            return match invoke.f() {
                "txn" => Err(malformed(invoke)),
                _ => Ok(()),
            };
        }
        let outcome = match complete.map(OpRef::kind) {
            Some(Type::Ok) => Outcome::Ok,
            Some(Type::Fail) => Outcome::Failed,
            _ => Outcome::Unknown,
        };
        let (told, at) = match complete {
            Some(complete) if outcome == Outcome::Ok => (complete.value(), complete),
            _ => (asked, invoke),
        };
        let start = self.mops.len() as u32;
        let id = self.list.len() as u32;
        for mop in told.as_array().ok_or_else(|| malformed(at))? {
            self.mop(id, outcome, mop).ok_or_else(|| malformed(at))?;
        }
        self.mark_last(start);
        self.list.push(Txn {
            process: invoke.process(),
            outcome,
            invoke: invoke.index() as u32,
            complete: complete.map(|op| op.index() as u32),
            mops: start..self.mops.len() as u32,
        });
        Ok(())
    }

    fn mop(&mut self, txn: u32, outcome: Outcome, mop: &Value) -> Option<()> {
        let [f, key, value] = mop.as_array()?.as_slice() else { return None };
        match (f.as_str()?.trim_start_matches(':'), value) {
            ("append", value) => {
                let key = self.keys.intern(key);
                let element = self.element(key, value);
                self.note_writer(element, txn, outcome);
                self.mops.push(Mop::Append { key, element });
            }
            ("r", _) if outcome != Outcome::Ok => {}
            ("r", value @ (Value::Null | Value::Array(_))) => {
                let key = self.keys.intern(key);
                let from = self.reads.len() as u32;
                for value in value.as_array().into_iter().flatten() {
                    let element = self.element(key, value);
                    self.reads.push(element);
                }
                self.mops.push(Mop::Read { key, from, to: self.reads.len() as u32 });
            }
            _ => return None,
        }
        Some(())
    }

    fn element(&mut self, key: u32, value: &Value) -> u32 {
        let value = self.values.intern(value);
        *self.index.entry((key, value)).or_insert_with(|| {
            self.elements.push(Element { key, value, writer: NONE, aborted: NONE, last: false });
            self.elements.len() as u32 - 1
        })
    }

    fn note_writer(&mut self, element: u32, txn: u32, outcome: Outcome) {
        let element = &mut self.elements[element as usize];
        if outcome == Outcome::Failed {
            element.aborted = txn;
        } else if element.writer == NONE {
            element.writer = txn;
        } else {
            self.twice.entry(element.key).or_insert((element.writer, txn, element.value));
        }
    }

    /// Marks the last append to each key among the mops from `start` on.
    fn mark_last(&mut self, start: u32) {
        for by_key in groups(&self.mops, start..self.mops.len() as u32) {
            let appended = by_key.iter().rev().find_map(|&at| self.mops[at as usize].element());
            if let Some(element) = appended {
                self.elements[element as usize].last = true;
            }
        }
    }

    /// The elements that a read returned.
    pub(super) fn read(&self, from: u32, to: u32) -> &[u32] {
        &self.reads[from as usize..to as usize]
    }

    /// The mops of a transaction, key by key, each in order.
    pub(super) fn by_key(&self, txn: u32) -> Vec<Vec<u32>> {
        groups(&self.mops, self.list[txn as usize].mops.clone())
    }

    /// The elements that `txn` appended to `key`, in order.
    pub(super) fn appended(&self, txn: u32, key: u32) -> impl Iterator<Item = u32> + '_ {
        let mops = &self.list[txn as usize].mops;
        self.mops[mops.start as usize..mops.end as usize].iter().filter_map(move |mop| match *mop {
            Mop::Append { key: to, element } if to == key => Some(element),
            _ => None,
        })
    }
}

fn groups(mops: &[Mop], range: Range<u32>) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = range.collect();
    order.sort_by_key(|&at| mops[at as usize].key());
    order.chunk_by(|&a, &b| mops[a as usize].key() == mops[b as usize].key()).map(<[u32]>::to_vec).collect()
}

fn is_transaction(value: &Value) -> bool {
    let mop = |mop: &Value| {
        let f = mop.as_array().and_then(|mop| mop.first()).and_then(Value::as_str);
        matches!(f.map(|f| f.trim_start_matches(':')), Some("append" | "r"))
    };
    value.as_array().is_some_and(|mops| mops.iter().all(mop))
}

fn malformed(op: OpRef) -> String {
    format!(
        "event {}: expected a list of [\"append\", key, value] and [\"r\", key, list or null], got {}",
        op.index(),
        op.value()
    )
}
