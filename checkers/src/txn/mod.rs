//! Transactions, interned: over lists, with `append` and `r`, or over registers, with `w` and `r`.
//!
//! The operation is `txn`, or anything whose value is a list of micro-operations `[f, key, value]`. Over registers, single
//! operations are transactions too: `read`, `write` and `cas`, with `[key, value]` or on one register, and `get` and `put`.
//! All checkers of transactions start from here.
//!
//! 10^6 transactions of 8 micro-operations take 96 MB for these, 20 bytes a transaction, and some 50 bytes for each version.

mod elements;
mod parse;
mod reads;
mod teller;

use std::collections::HashMap;

pub(crate) use reads::{Misread, Replay, Told};
pub(crate) use teller::Teller;

use crate::intern::Interner;
use crate::{Budget, History, Lease, Valid, Value, Verdict};

/// No transaction, no element, no position.
pub(crate) const NONE: u32 = u32::MAX;

/// A micro-operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mop {
    /// Appends an element to a list, or writes it to a register: an index into [`Txns::elements`].
    Write { key: u32, element: u32 },
    /// Read a list: [`Txns::read`] gives its elements.
    Read { key: u32, list: u32 },
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

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Failed,
    Unknown,
}

/// A transaction; [`Txns::mops`] gives what it did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Txn {
    /// The session that ran it: a process, up to an operation of unknown outcome, for whatever the process does next need
    /// not come after that took effect.
    pub(crate) session: u32,
    /// Index of the invocation.
    pub(crate) invoke: u32,
    /// Index of the completion, or `NONE`.
    end: u32,
    /// The first of its mops. Those of the next transaction follow.
    first: u32,
    pub(crate) outcome: Outcome,
}

impl Txn {
    /// Index of the completion, if there is one.
    pub(crate) fn complete(&self) -> Option<u32> {
        (self.end != NONE).then_some(self.end)
    }

    /// The event that tells most: the completion, if there is one.
    pub(crate) fn event(&self) -> usize {
        self.complete().unwrap_or(self.invoke) as usize
    }
}

/// A version: a value that was written to a key, or read from it.
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
    /// Whether it was written twice by transactions that did not fail: nobody knows whose it is.
    pub(crate) twice: bool,
}

impl Element {
    /// Who wrote it, or `NONE`. With `forgiving`, failed transactions may have.
    #[inline]
    pub(crate) fn writer(&self, forgiving: bool) -> u32 {
        if self.writer == NONE && forgiving { self.aborted } else { self.writer }
    }
}

/// All transactions of a history in order of invocation.
#[derive(Debug)]
pub(crate) struct Txns<'a> {
    pub(crate) history: &'a History,
    pub(crate) shape: Shape,
    pub(crate) list: Vec<Txn>,
    pub(crate) elements: Vec<Element>,
    pub(crate) keys: Interner,
    /// The key that stands for the one register of operations without keys, or `NONE`.
    nameless: u32,
    pub(crate) values: Interner,
    /// Keys to which one value was written twice, with the two transactions and the value.
    pub(crate) twice: HashMap<u32, (u32, u32, u32)>,
    /// How many operations are no transactions and say something all the same, and the event of the first.
    left_out: (usize, usize),
    mops: Vec<Mop>,
    /// The elements of all lists that were read, and where each list starts and the last ends.
    reads: Vec<u32>,
    lists: Vec<u32>,
    lease: Lease<'a>,
}

impl<'a> Txns<'a> {
    /// Reads the transactions of the clients. Operations that are no transactions are left out: see [`Txns::of_all`]. A transaction that is not
    /// acknowledged has only writes, but a cas has its read: if it took effect, that is what it saw. The error names the
    /// event that is malformed, or says that the budget is spent.
    pub(crate) fn parse(history: &'a History, shape: Shape, budget: &'a Budget) -> Result<Txns<'a>, String> {
        parse::parse(history, shape, budget)
    }

    /// A verdict as it is, unless it is valid and operations were left out that say something: then unknown.
    pub(crate) fn of_all(&self, verdict: Verdict) -> Verdict {
        let (count, first) = self.left_out;
        if verdict.valid != Valid::True || count == 0 || self.list.is_empty() {
            return verdict;
        }
        let first = self.history.get(first);
        let what = if self.shape == Shape::Lists { "lists" } else { "registers" };
        let (were, of) =
            if count == 1 { ("operation was", "") } else { ("operations were", " the first of them") };
        let reason = format!(
            "{count} {were} left out,{of} {} ({} {}), which is no transaction over {what}; nothing is wrong \
             with the {} transactions that there are",
            first.name(),
            first.f(),
            first.value(),
            self.list.len()
        );
        Verdict { stats: verdict.stats, ..Verdict::unknown(verdict.checker, reason) }
    }

    /// What a transaction did, in order.
    #[inline]
    pub(crate) fn mops(&self, txn: u32) -> &[Mop] {
        let first = |txn: usize| self.list.get(txn).map_or(self.mops.len(), |txn| txn.first as usize);
        &self.mops[first(txn as usize)..first(txn as usize + 1)]
    }

    /// The elements of a list that was read.
    #[inline]
    pub(crate) fn read(&self, list: u32) -> &[u32] {
        &self.reads[self.lists[list as usize] as usize..self.lists[list as usize + 1] as usize]
    }

    /// Which transactions committed: the acknowledged ones, and those of unknown outcome a write of which was read by one that
    /// committed. The others may be left out: nobody who counts saw them, so whatever order there is with them, there is
    /// one without. With `forgiving`, failed transactions count as of unknown outcome.
    pub(crate) fn committed(&self, forgiving: bool) -> Vec<bool> {
        let mut committed: Vec<bool> = self.list.iter().map(|txn| txn.outcome == Outcome::Ok).collect();
        if !forgiving && self.list.iter().all(|txn| txn.outcome != Outcome::Unknown) {
            return committed;
        }
        let mut open: Vec<u32> = Vec::new();
        for txn in (0..).zip(&self.list).filter(|(_, txn)| txn.outcome == Outcome::Ok).map(|(id, _)| id) {
            open.push(txn);
            while let Some(txn) = open.pop() {
                self.each_read(txn, |element| {
                    let element = &self.elements[element as usize];
                    let writer = element.writer(forgiving);
                    if writer != NONE
                        && !element.twice
                        && !std::mem::replace(&mut committed[writer as usize], true)
                    {
                        open.push(writer);
                    }
                });
            }
        }
        committed
    }

    /// These transactions and, for each of unknown outcome, those whose reads show that it committed.
    pub(crate) fn with_readers(&self, txns: &[u32]) -> Vec<u32> {
        let mut all = txns.to_vec();
        let unknown = |txn: u32| self.list[txn as usize].outcome == Outcome::Unknown;
        if !txns.iter().any(|&txn| unknown(txn)) {
            return all;
        }
        let mut shown_by = vec![NONE; self.list.len()];
        let mut open: Vec<u32> = Vec::new();
        // Those among them first: then nobody else is needed for what they show themselves.
        let readers = txns.iter().copied().chain(0..self.list.len() as u32);
        for txn in readers.filter(|&txn| self.list[txn as usize].outcome == Outcome::Ok) {
            open.push(txn);
            while let Some(reader) = open.pop() {
                self.each_read(reader, |element| {
                    let element = &self.elements[element as usize];
                    let writer = element.writer;
                    let new = writer != NONE && !element.twice && unknown(writer);
                    if new && shown_by[writer as usize] == NONE {
                        shown_by[writer as usize] = reader;
                        open.push(writer);
                    }
                });
            }
        }
        let mut at = 0;
        while let Some(&txn) = all.get(at) {
            let reader = shown_by[txn as usize];
            if reader != NONE && !all.contains(&reader) {
                all.push(reader);
            }
            at += 1;
        }
        all
    }

    fn each_read(&self, txn: u32, mut visit: impl FnMut(u32)) {
        for mop in self.mops(txn) {
            match *mop {
                Mop::Get { element, .. } if element != NONE => visit(element),
                Mop::Read { list, .. } => self.read(list).iter().for_each(|&element| visit(element)),
                _ => {}
            }
        }
    }

    /// The mops of a transaction, key by key, each in order. `scratch` is only there to be used again.
    pub(crate) fn by_key<'s>(
        &'s self,
        txn: u32,
        scratch: &'s mut Vec<Mop>,
    ) -> impl Iterator<Item = &'s [Mop]> {
        scratch.clear();
        scratch.extend_from_slice(self.mops(txn));
        scratch.sort_by_key(|mop| mop.key());
        scratch.chunk_by(|a, b| a.key() == b.key())
    }

    /// Which value was written to a key twice, if any was: whose it is that is read nobody knows.
    pub(crate) fn written_twice(&self) -> Option<String> {
        let (key, &(first, second, value)) = self.twice.iter().min()?;
        let invoke = |txn: u32| self.list[txn as usize].invoke as usize;
        Some(format!(
            "{} both write {} to {}; write each value to a key once",
            self.history.event_names(invoke(first), invoke(second)),
            self.values.value(value),
            self.object(*key)
        ))
    }

    /// The name of a key, where operations have keys.
    pub(crate) fn key(&self, key: u32) -> Option<Value> {
        (key < self.keys.len() as u32 && key != self.nameless).then(|| self.keys.value(key))
    }

    /// `key 2`, or `the register` where operations have no keys.
    pub(crate) fn object(&self, key: u32) -> String {
        self.key(key).map_or_else(|| "the register".to_owned(), |key| format!("key {key}"))
    }

    /// The elements that `txn` wrote to `key`, in order.
    pub(crate) fn written(&self, txn: u32, key: u32) -> impl Iterator<Item = u32> + '_ {
        self.mops(txn).iter().filter_map(move |mop| match *mop {
            Mop::Write { key: to, element } if to == key => Some(element),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;
    use crate::testing::Random;
    use crate::{Op, Process, Type};

    #[test]
    fn it_is_small() {
        assert_eq!((size_of::<Mop>(), size_of::<Txn>(), size_of::<Element>()), (12, 20, 20));
    }

    fn history(events: &[(Type, &'static str, Value)]) -> History {
        events.iter().map(|(kind, f, value)| Op::new(*f).kind(*kind).value(value.clone())).collect()
    }

    /// The mops as `[f, key, value]`, transaction by transaction.
    fn told(txns: &Txns) -> Vec<Value> {
        let value = |element: u32| match txns.elements.get(element as usize) {
            Some(element) => txns.values.value(element.value),
            None => Value::Null,
        };
        let mop = |mop: &Mop| {
            let key = txns.keys.value(mop.key());
            match *mop {
                Mop::Write { element, .. } => json!(["w", key, value(element)]),
                Mop::Get { element, .. } => json!(["r", key, value(element)]),
                Mop::Read { list, .. } => {
                    let list: Vec<Value> = txns.read(list).iter().map(|&e| value(e)).collect();
                    json!(["r", key, list])
                }
            }
        };
        (0..txns.list.len() as u32).map(|txn| txns.mops(txn).iter().map(mop).collect()).collect()
    }

    #[test]
    fn what_was_recorded_comes_back() {
        let mut random = Random(5);
        for round in 0..2_000 {
            let shape = if round % 2 == 0 { Shape::Lists } else { Shape::Registers };
            let value = |random: &mut Random| match random.below(4) {
                0 => json!(random.below(20)),
                1 => json!(random.next() as i64),
                2 => json!(format!("v]\"{}", random.below(5))),
                _ => json!([random.below(3), "x"]),
            };
            let mut expected = Vec::new();
            let mut events = Vec::new();
            for _ in 0..random.below(6) {
                let mops: Vec<Value> = (0..random.below(5))
                    .map(|_| {
                        let key = value(&mut random);
                        match (random.below(2), shape) {
                            (0, Shape::Lists) => json!(["append", key, value(&mut random)]),
                            (0, _) => json!(["w", key, value(&mut random)]),
                            (_, Shape::Lists) => {
                                let list: Vec<Value> =
                                    (0..random.below(4)).map(|_| value(&mut random)).collect();
                                json!(["r", key, list])
                            }
                            _ if random.below(3) == 0 => json!(["r", key, null]),
                            _ => json!(["r", key, value(&mut random)]),
                        }
                    })
                    .collect();
                events.push((Type::Invoke, "txn", mops.clone().into()));
                events.push((Type::Ok, "txn", mops.clone().into()));
                let write = |mop: Value| {
                    if mop[0] == "append" { json!(["w", mop[1], mop[2]]) } else { mop }
                };
                expected.push(mops.into_iter().map(write).collect::<Value>());
            }
            let (history, budget) = (history(&events), Budget::default());
            let txns = Txns::parse(&history, shape, &budget).unwrap();
            assert_eq!(told(&txns), expected);
            let mut ids: HashMap<(u32, u32), u32> = HashMap::new();
            for (id, element) in txns.elements.iter().enumerate() {
                assert_eq!(
                    ids.insert((element.key, element.value), id as u32),
                    None,
                    "one element a version"
                );
            }
        }
    }

    #[test]
    fn writers_are_known_with_what_became_of_them() {
        let writes = |n: u64| json!([["w", "x", n], ["w", "x", n + 1]]);
        let history = history(&[
            (Type::Invoke, "txn", writes(1)),
            (Type::Ok, "txn", writes(1)),
            (Type::Invoke, "txn", writes(3)),
            (Type::Fail, "txn", writes(3)),
            (Type::Invoke, "txn", json!([["w", "x", 2], ["r", "x", null], ["w", "y", 2]])),
            (Type::Info, "txn", json!(null)),
            (Type::Invoke, "txn", json!(null)),
            (Type::Ok, "txn", json!([["r", "y", 2], ["r", "x", 4]])),
        ]);
        let budget = Budget::default();
        let txns = Txns::parse(&history, Shape::Registers, &budget).unwrap();
        let all: Vec<(u32, u32, bool, bool)> =
            txns.elements.iter().map(|e| (e.writer, e.aborted, e.last, e.twice)).collect();
        let expected = [
            (0, NONE, false, false),
            (0, NONE, true, true),
            (NONE, 1, false, false),
            (NONE, 1, true, false),
            (2, NONE, true, false),
        ];
        assert_eq!(all, expected);
        assert_eq!(txns.committed(false), [true, false, true, true]);
        assert_eq!(txns.twice.values().copied().collect::<Vec<_>>(), [(0, 2, txns.elements[1].value)]);
        assert_eq!(txns.mops(2).len(), 2, "what was not acknowledged has only writes");
        let mut scratch = Vec::new();
        let groups: Vec<usize> = txns.by_key(3, &mut scratch).map(<[Mop]>::len).collect();
        assert_eq!((groups, txns.written(0, 0).count()), (vec![1, 1], 2));
    }

    #[test]
    fn single_operations_are_transactions_over_registers() {
        let plain = history(&[
            (Type::Invoke, "write", json!(1)),
            (Type::Ok, "write", json!(1)),
            (Type::Invoke, "cas", json!([1, 2])),
            (Type::Ok, "cas", json!([1, 2])),
            (Type::Invoke, "read", json!(null)),
            (Type::Ok, "read", json!(2)),
            (Type::Invoke, "cas", json!([2, 3])),
            (Type::Fail, "cas", json!([2, 3])),
            (Type::Invoke, "read", json!(null)),
        ]);
        let budget = Budget::default();
        let txns = Txns::parse(&plain, Shape::Registers, &budget).unwrap();
        let expected = json!([
            [["w", null, 1]],
            [["r", null, 1], ["w", null, 2]],
            [["r", null, 2]],
            [["r", null, 2], ["w", null, 3]],
            []
        ]);
        assert_eq!(Value::from(told(&txns)), expected);
        let keyed = history(&[
            (Type::Invoke, "write", json!(["k", 1])),
            (Type::Ok, "write", json!(["k", 1])),
            (Type::Invoke, "cas", json!(["k", [1, 2]])),
            (Type::Ok, "cas", json!(["k", [1, 2]])),
            (Type::Invoke, "get", json!(["l", null])),
            (Type::Ok, "get", json!(["l", null])),
            (Type::Invoke, "put", json!(["l", 5])),
            (Type::Info, "put", json!(null)),
        ]);
        let txns = Txns::parse(&keyed, Shape::Registers, &budget).unwrap();
        let expected =
            json!([[["w", "k", 1]], [["r", "k", 1], ["w", "k", 2]], [["r", "l", null]], [["w", "l", 5]]]);
        assert_eq!(Value::from(told(&txns)), expected);
        assert!(Txns::parse(&keyed, Shape::Lists, &budget).unwrap().list.is_empty());
    }

    /// A crashed cas was taken for a write: that it must have read its old value, once its new one was read, was lost, so that
    /// a history in which two of them replaced one value, and both were seen, was valid.
    #[test]
    fn a_cas_of_unknown_outcome_that_was_seen_had_read() {
        use crate::{Checker, Isolation, IsolationLevel, Polygraph, PolygraphModel, RwRegister, Valid};
        let cas = |process, kind, old: Value, new| {
            Op::new("cas").process(Process::Client(process)).kind(kind).value(json!([0, [old, new]]))
        };
        let read = |process, value: Value| {
            [Type::Invoke, Type::Ok].map(|kind| {
                Op::new("read").process(Process::Client(process)).kind(kind).value(json!([0, value]))
            })
        };
        let two: Vec<Op> = [(0, 1), (1, 2)]
            .into_iter()
            .flat_map(|(process, new)| {
                [Type::Invoke, Type::Info].map(|kind| cas(process, kind, Value::Null, new))
            })
            .collect();
        let seen: History = two.iter().cloned().chain(read(2, json!(1))).chain(read(3, json!(2))).collect();
        let one: History = two.iter().cloned().chain(read(2, json!(1))).chain(read(3, json!(1))).collect();
        let checkers: [Box<dyn Checker>; 4] = [
            Box::new(Polygraph::new(PolygraphModel::Serializable)),
            Box::new(Polygraph::new(PolygraphModel::ParallelSnapshotIsolation)),
            Box::new(Polygraph::new(PolygraphModel::SnapshotIsolation)),
            Box::new(RwRegister::default()),
        ];
        for checker in &checkers {
            assert_eq!(checker.check(&seen).valid, Valid::False, "{}", checker.name());
            assert_eq!(checker.check(&one).valid, Valid::True, "{}", checker.name());
        }
        // Whom a cas read from that took effect committed, too, and what nobody wrote it cannot have seen.
        let chain: History = [cas(0, Type::Invoke, json!(5), 6), cas(0, Type::Info, json!(5), 6)]
            .into_iter()
            .chain(
                [Type::Invoke, Type::Info]
                    .map(|kind| Op::new("write").process(Process::Client(1)).kind(kind).value(json!([0, 5]))),
            )
            .chain(read(2, json!(6)))
            .collect();
        let budget = Budget::default();
        let txns = Txns::parse(&chain, Shape::Registers, &budget).unwrap();
        assert_eq!(txns.committed(false), [true; 3]);
        let unread = |level| Isolation::new(level).check(&chain.witness(&[0, 5]));
        let verdict = unread(IsolationLevel::ReadCommitted);
        let anomaly = &verdict.anomalies[0];
        assert_eq!(anomaly.kind, "thin-air-read");
        // The cas by itself need not have happened: who read its value belongs to the witness.
        assert_eq!(anomaly.witness, [1, 3]);
        let alone =
            Txns::parse(&history(&[(Type::Invoke, "cas", json!([0, [5, 6]]))]), Shape::Registers, &budget)
                .map(|txns| txns.committed(false));
        assert_eq!(alone.unwrap(), [false]);
    }

    #[test]
    fn malformed_values_are_named_and_a_small_budget_is_kept() {
        for (f, value) in [
            ("txn", json!([["w", 0]])),
            ("txn", json!([["w", 0, null]])),
            ("txn", json!([["w", 0, 1, 2]])),
            ("txn", json!([["append", 0, 1]])),
            ("txn", json!([3])),
            ("txn", json!([1, 2])),
            ("txn", json!("x")),
            ("cas", json!([1])),
            ("delete", json!(1)),
        ] {
            let history = history(&[(Type::Invoke, f, value.clone()), (Type::Ok, f, value)]);
            let budget = Budget::default();
            let error = Txns::parse(&history, Shape::Registers, &budget).unwrap_err();
            assert!(error.starts_with("event "), "{error}");
        }
        let many: History = (0..20_000)
            .map(|n| Op::new("txn").process(Process::Client(n)).value(json!([["w", n, n]])))
            .collect();
        let budget = Budget::default().memory_bytes(1 << 16);
        let error = Txns::parse(&many, Shape::Registers, &budget).unwrap_err();
        assert!(error.contains("memory cap"), "{error}");
        budget.cancel();
        assert!(Txns::parse(&many, Shape::Registers, &budget).unwrap_err().contains("cancelled"));
    }
}
