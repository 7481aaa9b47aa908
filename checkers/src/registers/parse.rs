//! The operations of a register history as recorded: interned, with their sessions and outcomes.

use std::collections::HashMap;

use super::{Keying, Kind, NONE, Stop};
use crate::history::{OpRef, Raw};
use crate::intern::Interner;
use crate::{Budget, History, Lease, Process, Type, Value};

/// Events between two looks at the budget.
const STRIDE: usize = 1 << 16;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Failed,
    Unknown,
}

/// A read, write or cas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawOp {
    pub(crate) session: u32,
    pub(crate) key: u32,
    /// The interned value that it reads if it took effect, or `NONE`.
    pub(crate) reads: u32,
    /// The interned value that it writes if it took effect, or `NONE`.
    pub(crate) writes: u32,
    pub(crate) invoke: u32,
    /// `NONE` if nobody saw it complete.
    pub(crate) complete: u32,
    pub(crate) outcome: Outcome,
}

impl RawOp {
    fn is_empty(&self) -> bool {
        self.reads == NONE && self.writes == NONE
    }
}

/// All operations of a register history, in order of invocation, with the tables that give back keys and values.
#[derive(Debug)]
pub(crate) struct Registers<'a> {
    pub(crate) ops: Vec<RawOp>,
    pub(crate) keys: Interner,
    pub(crate) values: Interner,
    /// The interned initial value: null.
    pub(crate) initial: u32,
    /// Whether values are `[key, value]`.
    pub(crate) keyed: bool,
    /// Number of sessions.
    pub(crate) sessions: u32,
    pub(crate) lease: Lease<'a>,
}

/// There is no such function.
fn unfit(op: OpRef) -> Stop {
    let hint = match op.f() {
        "append" => "check it as linearizable-kv",
        _ => "it has read, write, cas, get, put and delete",
    };
    Stop::Unfit(format!("{}: a register has no `{}`: {hint}", op.name(), op.f()))
}

impl<'a> Registers<'a> {
    /// Reads the operations of the clients on registers, in one pass; others are left out.
    ///
    /// # Errors
    /// Which event has a value that does not fit, or what is spent.
    pub(crate) fn parse(history: &History, budget: &'a Budget) -> Result<Registers<'a>, Stop> {
        let most = history.len().div_ceil(2);
        let lease = budget.lease(most * (size_of::<RawOp>() + 2 * size_of::<u64>()))?;
        let mut values = Interner::default();
        let initial = values.intern(&Value::Null);
        let ops = Vec::with_capacity(most);
        let keys = Interner::default();
        let mut registers = Registers { ops, keys, values, initial, keyed: false, sessions: 0, lease };
        let mut reader = Reader { processes: Processes::default(), keying: Keying::default() };
        let kinds: Vec<Option<Kind>> = history.labels().map(|label| Kind::of(label.f)).collect();
        for event in history.iter() {
            if event.index() % STRIDE == 0 {
                budget.ask()?;
            }
            if event.is_client() {
                let kind = kinds[event.label()].ok_or_else(|| unfit(event))?;
                reader.event(&mut registers, event, kind)?;
            }
        }
        // A read that returned nothing says nothing.
        if registers.ops.iter().any(RawOp::is_empty) {
            registers.ops.retain(|op| !op.is_empty());
        }
        Ok(registers)
    }

    /// ` from key 3`, or nothing where there is one register.
    pub(crate) fn key_phrase(&self, key: u32) -> String {
        if self.keyed { format!(" from key {}", self.keys.value(key)) } else { String::new() }
    }

    /// The key, where there are several registers.
    pub(crate) fn key(&self, key: u32) -> Option<Value> {
        self.keyed.then(|| self.keys.value(key))
    }
}

/// What one pass over the events remembers.
struct Reader {
    processes: Processes,
    keying: Keying,
}

impl Reader {
    fn event(&mut self, registers: &mut Registers, event: OpRef, kind: Kind) -> Result<(), Stop> {
        let told = match kind.told_by(event.kind()) {
            true => Some(self.told(registers, event, kind)?),
            false => None,
        };
        let slot = self.processes.slot(event.process());
        if event.kind() == Type::Invoke {
            // What was open stays without a completion: whatever follows is another session.
            if std::mem::replace(&mut slot.open, registers.ops.len() as u32) != NONE {
                slot.session = NONE;
            }
            if slot.session == NONE {
                slot.session = registers.sessions;
                registers.sessions += 1;
            }
            let (key, reads, writes) = told.unwrap_or((0, NONE, NONE));
            registers.ops.push(RawOp {
                session: slot.session,
                key,
                reads,
                writes,
                invoke: event.index() as u32,
                complete: NONE,
                outcome: Outcome::Unknown,
            });
            return Ok(());
        }
        let open = std::mem::replace(&mut slot.open, NONE);
        let Some(op) = registers.ops.get_mut(open as usize) else { return Ok(()) };
        op.complete = event.index() as u32;
        match event.kind() {
            Type::Ok => op.outcome = Outcome::Ok,
            Type::Fail => op.outcome = Outcome::Failed,
            _ => slot.session = NONE,
        }
        if let Some((key, reads, _)) = told {
            (op.key, op.reads) = (key, reads);
        }
        Ok(())
    }

    /// The key, what is read and what is written.
    #[inline]
    fn told(&mut self, registers: &mut Registers, event: OpRef, kind: Kind) -> Result<(u32, u32, u32), Stop> {
        let pair = self.keying.note(event, kind);
        if let Some(clash) = self.keying.clash(event.history()) {
            return Err(Stop::Unfit(clash));
        }
        registers.keyed = pair.is_some();
        let (key, value) = match pair {
            Some((key, value)) => (registers.keys.intern_raw(key), value),
            None => (registers.keys.intern_raw(Raw::Int(0)), event.raw()),
        };
        let initial = registers.initial;
        let mut number = |value: Raw| match value {
            Raw::Null => initial,
            value => registers.values.intern_raw(value),
        };
        Ok(match kind {
            Kind::Read => (key, number(value), NONE),
            Kind::Write => (key, NONE, number(value)),
            Kind::Delete => (key, NONE, initial),
            Kind::Cas => match value.pair() {
                Some((old, new)) => (key, number(old), number(new)),
                None => {
                    return Err(Stop::Unfit(format!(
                        "{}: {} has the value {}, which is no [old, new]",
                        event.name(),
                        event.f(),
                        event.value()
                    )));
                }
            },
        })
    }
}

/// What each process has open, and its session.
#[derive(Default)]
struct Processes {
    dense: Vec<Slot>,
    sparse: HashMap<Process, Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    session: u32,
    /// The position of the operation.
    open: u32,
}

impl Processes {
    #[inline]
    fn slot(&mut self, process: Process) -> &mut Slot {
        /// Ids below this have a slot in a table. Processes are numbered from 0, so nearly all do.
        const DENSE_MAX: u32 = 1 << 16;
        const NEW: Slot = Slot { session: NONE, open: NONE };
        match process {
            Process::Client(id) if id < DENSE_MAX => {
                let id = id as usize;
                if id >= self.dense.len() {
                    self.dense.resize(id + 1, NEW);
                }
                &mut self.dense[id]
            }
            process => self.sparse.entry(process).or_insert(NEW),
        }
    }
}
