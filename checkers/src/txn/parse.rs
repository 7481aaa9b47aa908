//! From the values of events to transactions, in one pass over their text.

use std::collections::HashMap;

use super::elements::Index;
use super::{Mop, NONE, Outcome, Shape, Txn, Txns};
use crate::history::{OpRef, Raw, Scan};
use crate::intern::{FastBuild, Interner};
use crate::registers::{Keying, Kind};
use crate::{Budget, History, Process, Spent, Type};

/// Transactions between two looks at the budget.
const ASK_EVERY: usize = 1024;

/// What stands for the key of operations without one: null in a text that no history holds, and so no key of a transaction.
const NAMELESS: Raw<'static> = Raw::Text(b" null");

pub(super) fn parse<'a>(history: &'a History, shape: Shape, budget: &'a Budget) -> Result<Txns<'a>, String> {
    let spent = |spent: Spent| format!("the transactions are not read yet: {spent}");
    let pairs = history.pairs();
    let keying = if shape == Shape::Registers { Keying::of(history) } else { Keying::default() };
    if let Some(clash) = keying.clash(history) {
        return Err(clash);
    }
    let mut parser = Parser {
        keyed: keying.keyed(),
        index: Index::default(),
        latest: Vec::new(),
        open: HashMap::default(),
        sessions: 0,
        txns: Txns {
            history,
            shape,
            list: Vec::new(),
            elements: Vec::new(),
            keys: Interner::default(),
            nameless: NONE,
            values: Interner::default(),
            twice: Default::default(),
            left_out: (0, 0),
            mops: Vec::new(),
            reads: Vec::new(),
            lists: vec![0],
            lease: budget.lease(0).map_err(spent)?,
        },
    };
    for (n, invoke) in history.iter().filter(|op| op.is_client() && op.kind() == Type::Invoke).enumerate() {
        if n % ASK_EVERY == 0 {
            parser.pay().and_then(|()| budget.ask()).map_err(spent)?;
        }
        let complete = pairs.of(invoke.index()).map(|at| history.get(at));
        parser.push(invoke, complete)?;
    }
    parser.pay().map_err(spent)?;
    Ok(parser.txns)
}

struct Parser<'a> {
    txns: Txns<'a>,
    index: Index,
    /// Whether the value of a single operation is `[key, value]`.
    keyed: bool,
    /// For each key the transaction that wrote to it last, and what.
    latest: Vec<(u32, u32)>,
    /// The sessions that go on, by process, and how many there were.
    open: HashMap<u32, u32, FastBuild>,
    sessions: u32,
}

/// What an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A list of micro-operations.
    Txn,
    /// One operation on a register.
    Single(Kind),
}

impl Parser<'_> {
    fn push(&mut self, invoke: OpRef, complete: Option<OpRef>) -> Result<(), String> {
        let outcome = match complete.map(OpRef::kind) {
            Some(Type::Ok) => Outcome::Ok,
            Some(Type::Fail) => Outcome::Failed,
            _ => Outcome::Unknown,
        };
        let Process::Client(process) = invoke.process() else { return Ok(()) };
        let session = self.session(process, outcome);
        let Some(what) = self.what(invoke, complete) else {
            self.leave_out(invoke, complete, outcome);
            return Ok(());
        };
        let at = match (what, complete) {
            (What::Txn | What::Single(Kind::Read), Some(complete)) if outcome == Outcome::Ok => complete,
            _ => invoke,
        };
        let id = self.txns.list.len() as u32;
        self.txns.list.push(Txn {
            session,
            invoke: invoke.index() as u32,
            end: complete.map_or(NONE, |op| op.index() as u32),
            first: self.txns.mops.len() as u32,
            outcome,
        });
        let read = match what {
            What::Txn => self.mops(id, outcome, at.raw()),
            What::Single(kind) => self.single(id, outcome, kind, at),
        };
        read.ok_or_else(|| self.malformed(what, at))
    }

    /// The session of an operation that ends so.
    fn session(&mut self, process: u32, outcome: Outcome) -> u32 {
        let session = *self.open.entry(process).or_insert_with(|| {
            self.sessions += 1;
            self.sessions - 1
        });
        if outcome == Outcome::Unknown {
            self.open.remove(&process);
        }
        session
    }

    /// What carries no value says nothing, nor does what failed, nor a read that did not return.
    fn leave_out(&mut self, invoke: OpRef, complete: Option<OpRef>, outcome: Outcome) {
        let says = match outcome {
            Outcome::Failed => false,
            Outcome::Ok => [Some(invoke), complete].into_iter().flatten().any(|op| op.raw() != Raw::Null),
            Outcome::Unknown => invoke.raw() != Raw::Null && Kind::of(invoke.f()) != Some(Kind::Read),
        };
        let (count, first) = &mut self.txns.left_out;
        if says {
            if *count == 0 {
                *first = invoke.index();
            }
            *count += 1;
        }
    }

    fn what(&self, invoke: OpRef, complete: Option<OpRef>) -> Option<What> {
        if invoke.f() == "txn" {
            return Some(What::Txn);
        }
        if self.txns.shape == Shape::Registers
            && let Some(kind) = Kind::of(invoke.f())
        {
            return Some(What::Single(kind));
        }
        let told = complete.filter(|op| op.kind() == Type::Ok).unwrap_or(invoke).raw();
        self.is_transaction(told).then_some(What::Txn)
    }

    fn is_transaction(&self, value: Raw) -> bool {
        let mop = |mop: Raw| {
            let f = mop.items().and_then(|mut mop| mop.next()?.plain_str());
            f.map(|f| f.trim_start_matches(':')).is_some_and(|f| f == "r" || f == self.writer())
        };
        value.items().is_some_and(|mut mops| mops.all(mop))
    }

    fn mops(&mut self, txn: u32, outcome: Outcome, value: Raw) -> Option<()> {
        let Raw::Text(text) = value else { return None };
        let mut scan = Scan::new(text);
        if !scan.eat(b'[') {
            return None;
        }
        if scan.eat(b']') {
            return Some(());
        }
        loop {
            self.mop(txn, outcome, &mut scan)?;
            if scan.eat(b']') {
                return scan.is_done().then_some(());
            }
            if !scan.eat(b',') {
                return None;
            }
        }
    }

    fn mop(&mut self, txn: u32, outcome: Outcome, scan: &mut Scan) -> Option<()> {
        let whole = |ok: bool| ok.then_some(());
        whole(scan.eat(b'['))?;
        let f = scan.item()?.plain_str()?;
        let f = f.strip_prefix(':').unwrap_or(f);
        let reads = f == "r";
        whole((reads || f == self.writer()) && scan.eat(b','))?;
        let key = scan.item()?;
        whole(scan.eat(b','))?;
        if !reads || outcome != Outcome::Ok {
            let value = scan.item()?;
            if !reads {
                let key = self.key(key);
                self.write(txn, outcome, key, value)?;
            }
        } else if self.txns.shape == Shape::Lists {
            let key = self.key(key);
            self.list(key, scan)?;
        } else {
            let (key, value) = (self.key(key), scan.item()?);
            self.get(key, value);
        }
        whole(scan.eat(b']'))
    }

    /// A list that was read: an array, or null for an empty one.
    fn list(&mut self, key: u32, scan: &mut Scan) -> Option<()> {
        if !scan.eat(b'[') {
            (scan.item()? == Raw::Null).then_some(())?;
        } else if !scan.eat(b']') {
            loop {
                let element = self.element(key, scan.item()?);
                self.txns.reads.push(element);
                if scan.eat(b']') {
                    break;
                }
                scan.eat(b',').then_some(())?;
            }
        }
        self.txns.mops.push(Mop::Read { key, list: self.txns.lists.len() as u32 - 1 });
        self.txns.lists.push(self.txns.reads.len() as u32);
        Some(())
    }

    /// One operation on a register. A delete writes null, the initial value, which nobody can tell from others.
    fn single(&mut self, txn: u32, outcome: Outcome, kind: Kind, op: OpRef) -> Option<()> {
        if kind == Kind::Read && outcome != Outcome::Ok {
            return Some(());
        }
        let (key, value) = if self.keyed { op.raw().pair()? } else { (NAMELESS, op.raw()) };
        let key = self.key(key);
        if !self.keyed {
            self.txns.nameless = key;
        }
        match kind {
            Kind::Write => self.write(txn, outcome, key, value)?,
            Kind::Cas => {
                let (old, new) = value.pair()?;
                self.get(key, old);
                self.write(txn, outcome, key, new)?;
            }
            Kind::Read => self.get(key, value),
            Kind::Delete => return None,
        }
        Some(())
    }

    fn get(&mut self, key: u32, value: Raw) {
        let element = if value == Raw::Null { NONE } else { self.element(key, value) };
        self.txns.mops.push(Mop::Get { key, element });
    }

    /// A write of anything but null, which in a register is the initial value.
    fn write(&mut self, txn: u32, outcome: Outcome, key: u32, value: Raw) -> Option<()> {
        if value == Raw::Null && self.txns.shape == Shape::Registers {
            return None;
        }
        let element = self.element(key, value);
        self.note_writer(element, txn, outcome);
        self.note_last(txn, outcome, key, element);
        self.txns.mops.push(Mop::Write { key, element });
        Some(())
    }

    fn key(&mut self, key: Raw) -> u32 {
        self.txns.keys.intern_raw(key)
    }

    fn element(&mut self, key: u32, value: Raw) -> u32 {
        let value = self.txns.values.intern_raw(value);
        self.index.find(key, value, &mut self.txns.elements)
    }

    fn note_writer(&mut self, element: u32, txn: u32, outcome: Outcome) {
        let element = &mut self.txns.elements[element as usize];
        if outcome == Outcome::Failed {
            element.aborted = txn;
        } else if element.writer == NONE {
            element.writer = txn;
        } else {
            element.twice = true;
            self.txns.twice.entry(element.key).or_insert((element.writer, txn, element.value));
        }
    }

    /// Of the writes of a transaction to a key, only the last is marked. A failed transaction does not unmark what another wrote.
    fn note_last(&mut self, txn: u32, outcome: Outcome, key: u32, element: u32) {
        if key as usize >= self.latest.len() {
            self.latest.resize(key as usize + 1, (NONE, NONE));
        }
        let (by, before) = std::mem::replace(&mut self.latest[key as usize], (txn, element));
        let mut mark = |element: u32, last: bool| {
            let element = &mut self.txns.elements[element as usize];
            if outcome != Outcome::Failed || element.writer == NONE {
                element.last = last;
            }
        };
        if by == txn {
            mark(before, false);
        }
        mark(element, true);
    }

    fn writer(&self) -> &'static str {
        match self.txns.shape {
            Shape::Lists => "append",
            Shape::Registers => "w",
        }
    }

    fn malformed(&self, what: What, op: OpRef) -> String {
        let expected = match (what, self.txns.shape) {
            (What::Txn, Shape::Lists) => r#"a list of ["append", key, value] and ["r", key, list or null]"#,
            (What::Txn, Shape::Registers) => {
                r#"a list of ["w", key, value] and ["r", key, value or null], where no null is written"#
            }
            (What::Single(Kind::Delete), _) => {
                "no delete, for it writes null, which is the initial value and no value of its own"
            }
            (What::Single(Kind::Cas), _) => {
                "the old value and the new, which is not null, of a key if reads have one"
            }
            _ => "a value, which is not null if it is written, of a key if others have one",
        };
        format!("{}: expected {expected}, got {}", op.name(), op.value())
    }

    /// Leases what is held by now.
    fn pay(&mut self) -> Result<(), Spent> {
        let txns = &self.txns;
        let bytes = txns.list.capacity() * size_of::<Txn>()
            + txns.mops.capacity() * size_of::<Mop>()
            + txns.elements.capacity() * size_of::<super::Element>()
            + (txns.reads.capacity() + txns.lists.capacity()) * size_of::<u32>()
            + txns.keys.memory_bytes()
            + txns.values.memory_bytes()
            + self.latest.capacity() * size_of::<(u32, u32)>()
            + self.index.memory_bytes();
        self.txns.lease.resize(bytes)
    }
}
