//! Transactions, interned: over lists, with `append` and `r`, or over registers, with `w` and `r`.
//!
//! The operation is `txn`, or anything whose value is a list of micro-operations `[f, key, value]`. All checkers of
//! transactions start from here.

use std::collections::HashMap;
use std::ops::Range;

use crate::history::{OpRef, Raw};
use crate::intern::{FastBuild, Interner};
use crate::{History, Process, Type};

/// No transaction, no position.
pub(crate) const NONE: u32 = u32::MAX;

/// A micro-operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mop {
    /// Appends an element to a list, or writes it to a register: an index into [`Txns::elements`].
    Write { key: u32, element: u32 },
    /// Read a list: the elements `from..to` of [`Txns::read`].
    Read { key: u32, from: u32, to: u32 },
    /// Read a register: an element, or `NONE` for the initial value.
    Get { key: u32, element: u32 },
}

impl Mop {
    pub(crate) fn key(self) -> u32 {
        match self {
            Mop::Write { key, .. } | Mop::Read { key, .. } | Mop::Get { key, .. } => key,
        }
    }

    /// The element that it writes.
    pub(crate) fn element(self) -> Option<u32> {
        match self {
            Mop::Write { element, .. } => Some(element),
            Mop::Read { .. } | Mop::Get { .. } => None,
        }
    }
}

/// What the keys hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Lists: `["append", key, value]` and `["r", key, list]`.
    Lists,
    /// Registers: `["w", key, value]` and `["r", key, value]`, where null is the initial value.
    Registers,
}

impl Shape {
    fn writer(self) -> &'static str {
        match self {
            Shape::Lists => "append",
            Shape::Registers => "w",
        }
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Failed,
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Txn {
    pub(crate) process: Process,
    pub(crate) outcome: Outcome,
    pub(crate) invoke: u32,
    pub(crate) complete: Option<u32>,
    /// Into [`Txns::mops`]. A transaction that is not acknowledged has only writes.
    pub(crate) mops: Range<u32>,
}

impl Txn {
    /// The event that tells most: the completion, if there is one.
    pub(crate) fn event(&self) -> usize {
        self.complete.unwrap_or(self.invoke) as usize
    }
}

/// A value that was written to a key, or read from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    pub(crate) key: u32,
    pub(crate) value: u32,
    /// The transaction that wrote it and did not fail, or `NONE`.
    pub(crate) writer: u32,
    /// A failed transaction that wrote it, or `NONE`.
    pub(crate) aborted: u32,
    /// Whether it is the last that its writer wrote to the key.
    pub(crate) last: bool,
}

/// All transactions of a history in order of invocation.
#[derive(Debug)]
pub(crate) struct Txns<'a> {
    pub(crate) history: &'a History,
    pub(crate) shape: Shape,
    pub(crate) list: Vec<Txn>,
    pub(crate) mops: Vec<Mop>,
    pub(crate) elements: Vec<Element>,
    pub(crate) keys: Interner,
    pub(crate) values: Interner,
    /// Keys to which one value was written twice, with the two transactions and the value.
    pub(crate) twice: HashMap<u32, (u32, u32, u32)>,
    reads: Vec<u32>,
    index: HashMap<(u32, u32), u32, FastBuild>,
}

impl<'a> Txns<'a> {
    /// Reads the transactions of the clients. Operations that are no transactions are left out. The error names the
    /// event that is malformed.
    pub(crate) fn parse(history: &'a History, shape: Shape) -> Result<Txns<'a>, String> {
        let pairs = history.pairs();
        let mut txns = Txns {
            history,
            shape,
            list: Vec::new(),
            mops: Vec::new(),
            elements: Vec::new(),
            keys: Interner::default(),
            values: Interner::default(),
            twice: HashMap::new(),
            reads: Vec::new(),
            index: HashMap::default(),
        };
        for invoke in history.iter().filter(|op| op.is_client() && op.kind() == Type::Invoke) {
            let complete = pairs.of(invoke.index()).map(|at| history.get(at));
            txns.push(invoke, complete)?;
        }
        Ok(txns)
    }

    fn push(&mut self, invoke: OpRef, complete: Option<OpRef>) -> Result<(), String> {
        let asked = invoke.raw();
        if !self.is_transaction(asked) {
            return match invoke.f() {
                "txn" => Err(self.malformed(invoke)),
                _ => Ok(()),
            };
        }
        let outcome = match complete.map(OpRef::kind) {
            Some(Type::Ok) => Outcome::Ok,
            Some(Type::Fail) => Outcome::Failed,
            _ => Outcome::Unknown,
        };
        let (told, at) = match complete {
            Some(complete) if outcome == Outcome::Ok => (complete.raw(), complete),
            _ => (asked, invoke),
        };
        let start = self.mops.len() as u32;
        let id = self.list.len() as u32;
        for mop in told.items().ok_or_else(|| self.malformed(at))? {
            self.mop(id, outcome, mop).ok_or_else(|| self.malformed(at))?;
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

    fn mop(&mut self, txn: u32, outcome: Outcome, mop: Raw) -> Option<()> {
        let (f, key, value) = parts(mop)?;
        let reads = f == "r";
        if !reads && f != self.shape.writer() {
            return None;
        }
        if reads && outcome != Outcome::Ok {
            return Some(());
        }
        let key = self.keys.intern_raw(key);
        if !reads {
            let element = self.element(key, value);
            self.note_writer(element, txn, outcome);
            self.mops.push(Mop::Write { key, element });
        } else if self.shape == Shape::Registers {
            let element = if value == Raw::Null { NONE } else { self.element(key, value) };
            self.mops.push(Mop::Get { key, element });
        } else {
            let from = self.reads.len() as u32;
            if value != Raw::Null {
                for value in value.items()? {
                    let element = self.element(key, value);
                    self.reads.push(element);
                }
            }
            self.mops.push(Mop::Read { key, from, to: self.reads.len() as u32 });
        }
        Some(())
    }

    fn element(&mut self, key: u32, value: Raw) -> u32 {
        let value = self.values.intern_raw(value);
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

    fn is_transaction(&self, value: Raw) -> bool {
        let mop = |mop: Raw| {
            let f = mop.items().and_then(|mut mop| mop.next()?.plain_str());
            f.map(|f| f.trim_start_matches(':')).is_some_and(|f| f == "r" || f == self.shape.writer())
        };
        value.items().is_some_and(|mut mops| mops.all(mop))
    }

    fn malformed(&self, op: OpRef) -> String {
        let expected = match self.shape {
            Shape::Lists => r#"["append", key, value] and ["r", key, list or null]"#,
            Shape::Registers => r#"["w", key, value] and ["r", key, value or null]"#,
        };
        format!("event {}: expected a list of {expected}, got {}", op.index(), op.value())
    }

    /// The elements that a read returned.
    pub(crate) fn read(&self, from: u32, to: u32) -> &[u32] {
        &self.reads[from as usize..to as usize]
    }

    /// The mops of a transaction, key by key, each in order.
    pub(crate) fn by_key(&self, txn: u32) -> Vec<Vec<u32>> {
        groups(&self.mops, self.list[txn as usize].mops.clone())
    }

    /// The elements that `txn` appended to `key`, in order.
    pub(crate) fn appended(&self, txn: u32, key: u32) -> impl Iterator<Item = u32> + '_ {
        let mops = &self.list[txn as usize].mops;
        self.mops[mops.start as usize..mops.end as usize].iter().filter_map(move |mop| match *mop {
            Mop::Write { key: to, element } if to == key => Some(element),
            _ => None,
        })
    }
}

/// The function, the key and the value of a micro-operation.
fn parts(mop: Raw<'_>) -> Option<(&str, Raw<'_>, Raw<'_>)> {
    let mut items = mop.items()?;
    let (f, key, value) = (items.next()?.plain_str()?, items.next()?, items.next()?);
    items.next().is_none().then_some((f.trim_start_matches(':'), key, value))
}

fn groups(mops: &[Mop], range: Range<u32>) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = range.collect();
    order.sort_by_key(|&at| mops[at as usize].key());
    order.chunk_by(|&a, &b| mops[a as usize].key() == mops[b as usize].key()).map(<[u32]>::to_vec).collect()
}
