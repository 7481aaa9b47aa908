//! What a history is of, seen in one pass.

use std::collections::{BTreeSet, HashSet};

use super::Object;
use crate::history::{OpRef, Raw};
use crate::registers::{Keying, Kind};
use crate::{History, Type};

/// What the operations of a history say of the object that they are on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The functions of the clients' operations.
    pub fs: BTreeSet<String>,
    /// Every one of them failed.
    pub all_failed: bool,
    /// There are transactions over lists.
    pub lists: bool,
    /// There are transactions over registers.
    pub registers: bool,
    /// There are transactions that send to logs and poll them.
    pub logs: bool,
    /// Every value of a single operation on registers, maps or counters is `[key, value]`.
    pub keyed: bool,
    /// The same of sets. Where nothing is added, reads of anything but lists are of two elements, and not of a key.
    pub keyed_sets: bool,
    /// A read returned a list: beside its key, where there are keys.
    pub reads_lists: bool,
    /// A read returned a map.
    pub reads_maps: bool,
    /// Every read and write is of a map, as those of several registers at once are.
    pub maps: bool,
    /// A read asks for a map: for the values of the names in it.
    pub asks_maps: bool,
    /// What the file says that the object is.
    pub object: Option<String>,
    /// Whether the order of events is known to be that of time.
    pub real_time: bool,
}

/// What was seen in single operations.
#[derive(Clone, Copy, Debug, Default)]
struct Singles {
    keying: Keying,
    /// A first item is a list: a key that is one, or the first of a set of pairs.
    lists_first: bool,
    /// A read returned a list, and one beside a key.
    lists: bool,
    lists_keyed: bool,
    /// A read returned, beside a key, something that is neither a list nor null.
    scalars_keyed: bool,
    /// A value that is a map, and one that is not.
    maps: bool,
    others: bool,
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

/// Where every value is a pair, and the first item of some is a list: whether elements are pairs, of which a read returned two,
/// and not keys lists. Elements were added as they are, and of a key something was added to it. Where neither is known of
/// what was read, it tells that there are keys if something in it is no pair; and if nothing tells, keys are lists if all those
/// are which something would be added to.
fn reads_sets_of_pairs(history: &History) -> bool {
    let (mut keys, mut elements, mut scalar) = (HashSet::new(), HashSet::new(), false);
    let ops = || history.iter().filter(|op| op.is_client());
    for add in ops().filter(|op| op.f() == "add" && op.kind() == Type::Invoke) {
        elements.insert(add.value().to_string());
        if let Some((key, _)) = add.raw().pair() {
            scalar |= key.items().is_none();
            keys.insert(key.to_value().to_string());
        }
    }
    let mut pairs = None;
    for read in ops().filter(|op| Kind::of(op.f()) == Some(Kind::Read) && op.kind() == Type::Ok) {
        let Some((first, second)) = read.raw().pair() else { continue };
        let [key, value] = [first, second].map(|item| item.to_value().to_string());
        let added = [&key, &value].into_iter().filter(|&item| elements.contains(item)).count();
        if added > usize::from(keys.contains(&key)) {
            return true;
        } else if keys.contains(&key) || [first, second].iter().any(|item| item.pair().is_none()) {
            pairs = Some(false);
        }
    }
    pairs.unwrap_or(scalar)
}

impl Facts {
    /// The facts of a history.
    pub fn of(history: &History) -> Facts {
        let mut facts = Facts {
            object: history.object().map(str::to_owned),
            real_time: history.has_real_time(),
            ..Facts::default()
        };
        let (mut singles, mut seen) = (Singles::default(), Seen::default());
        let (mut begun, mut failed) = (0usize, 0usize);
        for op in history.iter().filter(|op| op.is_client()) {
            begun += usize::from(op.kind() == Type::Invoke);
            failed += usize::from(op.kind() == Type::Fail);
            if !facts.fs.contains(op.f()) {
                facts.fs.insert(op.f().to_owned());
            }
            match op.f() {
                // An add is told as a write is.
                "add" => facts.note_single(op, Kind::Write, &mut singles),
                f => match Kind::of(f) {
                    Some(kind) => facts.note_single(op, kind, &mut singles),
                    None => facts.note_txn(op, &mut seen),
                },
            }
        }
        facts.all_failed = begun > 0 && begun == failed;
        facts.keyed = singles.keying.keyed()
            && !(facts.has("add") && singles.lists_first && reads_sets_of_pairs(history));
        facts.keyed_sets = facts.keyed && (facts.has("add") || !singles.scalars_keyed);
        facts.reads_lists = if facts.keyed { singles.lists_keyed } else { singles.lists };
        facts.maps = singles.maps && !singles.others;
        facts.lists = seen.appends || seen.lists && !seen.writes;
        facts.registers = seen.writes || seen.values && !seen.appends;
        facts
    }

    fn note_single(&mut self, op: OpRef<'_>, kind: Kind, seen: &mut Singles) {
        let is_map = op.raw().entries().is_some();
        self.asks_maps |= kind == Kind::Read && op.kind() == Type::Invoke && is_map;
        if !kind.told_by(op.kind()) {
            return;
        }
        let pair = seen.keying.note(op, kind);
        seen.lists_first |= pair.is_some_and(|(key, _)| key.items().is_some());
        seen.maps |= is_map;
        seen.others |= !is_map;
        if kind == Kind::Read {
            self.reads_maps |= is_map;
            seen.lists |= op.raw().items().is_some();
            let beside_key = pair.map(|(_, value)| value).filter(|value| *value != Raw::Null);
            seen.lists_keyed |= beside_key.is_some_and(|value| value.items().is_some());
            seen.scalars_keyed |= beside_key.is_some_and(|value| value.items().is_none());
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

    /// Whether the operations are those of such an object.
    pub fn are_of(&self, object: Object) -> bool {
        match object {
            Object::Logs => self.logs,
            _ if self.logs => false,
            Object::Lists => self.lists || (self.transactions() && !self.registers),
            Object::TxnRegisters => self.transactions() && !self.lists,
            Object::Registers => (self.transactions() || self.single_registers()) && !self.lists,
            Object::KeyedRegisters => self.keyed,
            Object::MultiRegister => self.registers || self.maps,
            Object::Set => {
                self.has("contains") || self.has("remove") || self.object.as_deref() == Some("set")
            }
            Object::Counter | Object::Single => !self.transactions(),
        }
    }

    /// Whether there are transactions.
    pub fn transactions(&self) -> bool {
        self.lists || self.registers || self.has("txn")
    }
}
