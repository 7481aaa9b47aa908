//! What a history is of, seen in one pass.

use std::collections::BTreeSet;

use crate::history::{OpRef, Raw};
use crate::registers::{Keying, Kind};
use crate::{History, Type};

/// What the operations of a history say of the object that they are on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The functions of the clients' operations.
    pub fs: BTreeSet<String>,
    /// There are transactions over lists.
    pub lists: bool,
    /// There are transactions over registers.
    pub registers: bool,
    /// There are transactions that send to logs and poll them.
    pub logs: bool,
    /// Every value of a plain read, write or cas is `[key, value]`.
    pub keyed: bool,
    /// A read returned a list.
    pub reads_lists: bool,
    /// A read returned a map.
    pub reads_maps: bool,
    /// What the file says that the object is.
    pub object: Option<String>,
    /// Whether the order of events is known to be that of time.
    pub real_time: bool,
}

/// What was seen in transactions.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    appends: bool,
    writes: bool,
    /// A read of a list.
    lists: bool,
    /// A read of anything else but null.
    values: bool,
}

impl Facts {
    /// The facts of a history.
    pub fn of(history: &History) -> Facts {
        let mut facts = Facts {
            object: history.object().map(str::to_owned),
            real_time: history.has_real_time(),
            ..Facts::default()
        };
        let (mut keying, mut seen) = (Keying::default(), Seen::default());
        for op in history.iter().filter(|op| op.is_client()) {
            if !facts.fs.contains(op.f()) {
                facts.fs.insert(op.f().to_owned());
            }
            match op.f() {
                "read" | "write" | "cas" => {
                    if let Some(kind) = Kind::of(op.f()).filter(|kind| kind.told_by(op.kind())) {
                        keying.note(op, kind);
                    }
                    facts.note_read(op);
                }
                _ => facts.note_txn(op, &mut seen),
            }
        }
        facts.keyed = keying.keyed();
        facts.lists = seen.appends || seen.lists && !seen.writes;
        facts.registers = seen.writes || seen.values && !seen.appends;
        facts
    }

    fn note_read(&mut self, op: OpRef<'_>) {
        if op.f() == "read" && op.kind() == Type::Ok {
            self.reads_lists |= op.raw().items().is_some();
            self.reads_maps |= matches!(op.raw(), Raw::Text([b'{', ..]));
        }
    }

    /// A read of a list tells as much as an append, unless registers are written; and one of anything else as a write.
    fn note_txn(&mut self, op: OpRef<'_>, seen: &mut Seen) {
        if self.logs || seen.appends && seen.writes {
            return;
        }
        for mop in op.raw().items().into_iter().flatten() {
            let Some(mut parts) = mop.items() else { return };
            let Some(f) = parts.next().and_then(Raw::plain_str) else { return };
            match f.trim_start_matches(':') {
                "append" => seen.appends = true,
                "w" => seen.writes = true,
                "send" | "poll" => self.logs = true,
                "r" => match parts.nth(1) {
                    None | Some(Raw::Null) => {}
                    Some(value) if value.items().is_some() => seen.lists = true,
                    Some(_) => seen.values = true,
                },
                _ => {}
            }
        }
    }

    /// Whether there are operations of that name.
    pub fn has(&self, f: &str) -> bool {
        self.fs.contains(f)
    }

    /// Whether all operations are single reads and writes of registers.
    pub fn single_registers(&self) -> bool {
        !self.fs.is_empty() && self.fs.iter().all(|f| Kind::of(f).is_some_and(|kind| kind != Kind::Delete))
    }

    /// Whether there are transactions.
    pub fn transactions(&self) -> bool {
        self.lists || self.registers || self.has("txn")
    }
}
