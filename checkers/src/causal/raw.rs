//! The operations of a register history as recorded: interned, with their sessions and outcomes.

use std::collections::HashMap;

use super::kv::NONE;
use crate::history::OpRef;
use crate::intern::Interner;
use crate::{History, Process, Type, Value};

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
    pub(crate) outcome: Outcome,
    pub(crate) invoke: u32,
    pub(crate) complete: Option<u32>,
}

/// All operations of a register history, in order of invocation, with the tables that give back keys and values.
#[derive(Clone, Debug)]
pub(crate) struct Register {
    pub(crate) ops: Vec<RawOp>,
    pub(crate) keys: Interner,
    pub(crate) values: Interner,
    /// The interned initial value: null.
    pub(crate) initial: u32,
    /// Whether values are `[key, value]`.
    pub(crate) keyed: bool,
}

impl Register {
    /// Reads the `read`, `write` and `cas` operations of the clients; others are left out. The error says which event
    /// has a value that does not fit.
    pub(crate) fn parse(history: &History) -> Result<Register, String> {
        let pairs = history.pairs();
        let keyed = keyed(history)?;
        let mut values = Interner::default();
        let initial = values.intern(&Value::Null);
        let mut register = Register { ops: Vec::new(), keys: Interner::default(), values, initial, keyed };
        let mut sessions = Sessions::default();
        for invoke in history.iter().filter(|op| is_register(op) && op.kind() == Type::Invoke) {
            let complete = pairs.of(invoke.index()).map(|at| history.get(at));
            let outcome = match complete.map(OpRef::kind) {
                Some(Type::Ok) => Outcome::Ok,
                Some(Type::Fail) => Outcome::Failed,
                _ => Outcome::Unknown,
            };
            let session = sessions.of(invoke.process(), outcome);
            if invoke.f() == "read" && outcome != Outcome::Ok {
                continue;
            }
            register.push(invoke, complete, outcome, session)?;
        }
        Ok(register)
    }

    fn push(
        &mut self,
        invoke: OpRef,
        complete: Option<OpRef>,
        outcome: Outcome,
        session: u32,
    ) -> Result<(), String> {
        let told = match (invoke.f(), complete) {
            ("read", Some(complete)) => complete,
            _ => invoke,
        };
        let (key, value) = split(&told.value(), self.keyed).ok_or_else(|| misfit(told))?;
        let key = self.keys.intern(&key);
        let (reads, writes) = match (invoke.f(), value) {
            ("read", value) => (self.values.intern(&value), NONE),
            ("write", value) => (NONE, self.values.intern(&value)),
            (_, Value::Array(pair)) if pair.len() == 2 => {
                (self.values.intern(&pair[0]), self.values.intern(&pair[1]))
            }
            _ => return Err(misfit(told)),
        };
        self.ops.push(RawOp {
            session,
            key,
            reads,
            writes,
            outcome,
            invoke: invoke.index() as u32,
            complete: complete.map(|op| op.index() as u32),
        });
        Ok(())
    }

    /// ` from key 3`, or nothing where there is one register.
    pub(crate) fn key_phrase(&self, key: u32) -> String {
        if self.keyed { format!(" from key {}", self.keys.value(key)) } else { String::new() }
    }

    /// The key, where there are several registers.
    pub(crate) fn key(&self, key: u32) -> Option<Value> {
        self.keyed.then(|| self.keys.value(key).clone())
    }
}

/// Numbers sessions. A process id is a session; an operation of unknown outcome ends it, because whatever the process
/// does next need not come after that operation took effect.
#[derive(Default)]
struct Sessions {
    open: HashMap<Process, u32>,
    count: u32,
}

impl Sessions {
    fn of(&mut self, process: Process, outcome: Outcome) -> u32 {
        let session = *self.open.entry(process).or_insert_with(|| {
            self.count += 1;
            self.count - 1
        });
        if outcome == Outcome::Unknown {
            self.open.remove(&process);
        }
        session
    }
}

fn is_register(op: &OpRef) -> bool {
    op.is_client() && matches!(op.f(), "read" | "write" | "cas")
}

/// Whether the history is over independent keys: every value is a pair, and the second of a cas is one too.
fn keyed(history: &History) -> Result<bool, String> {
    let mut single: Option<usize> = None;
    let mut independent: Option<usize> = None;
    for op in history.iter().filter(is_register) {
        // An invocation of a read and a completion of a write tell nothing that their counterpart does not.
        if op.kind() != if op.f() == "read" { Type::Ok } else { Type::Invoke } {
            continue;
        }
        let value = op.value();
        let second = value.as_array().filter(|pair| pair.len() == 2).map(|pair| &pair[1]);
        let fits =
            second.is_some_and(|second| op.f() != "cas" || second.as_array().is_some_and(|v| v.len() == 2));
        let slot = if fits { &mut independent } else { &mut single };
        slot.get_or_insert(op.index());
    }
    match (single, independent) {
        (Some(single), Some(independent)) => Err(format!(
            "event {independent} carries [key, value] and event {single} does not: \
             give every read, write and cas a key, or none"
        )),
        (_, independent) => Ok(independent.is_some()),
    }
}

fn split(value: &Value, keyed: bool) -> Option<(Value, Value)> {
    if !keyed {
        return Some((Value::Null, value.clone()));
    }
    match value.as_array()?.as_slice() {
        [key, value] => Some((key.clone(), value.clone())),
        _ => None,
    }
}

fn misfit(op: OpRef) -> String {
    format!(
        "event {}: {} has the value {}, which is no [key, value] or [old, new]",
        op.index(),
        op.f(),
        op.value()
    )
}
