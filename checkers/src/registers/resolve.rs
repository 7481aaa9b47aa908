//! What a key-value history says, once nobody's guesses are left: which operations took effect, in which session, and
//! which write each read saw.

use std::collections::HashMap;
use std::ops::Deref;

use super::parse::{Outcome, RawOp, Registers};
use super::{NONE, Stop};
use crate::intern::FastBuild;
use crate::{Budget, History};

/// What an operation read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It is no read.
    Nothing,
    /// Nobody can say which of several writes it saw.
    Several,
    /// The initial value.
    Initial,
    /// What this operation wrote.
    Write(u32),
    /// What only a failed operation wrote; the index of its event.
    Aborted(u32),
    /// What nobody wrote.
    ThinAir,
}

/// An operation that took effect. A successful cas is a read of the old value and a write of the new, at one point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KvOp {
    pub(crate) session: u32,
    pub(crate) key: u32,
    pub(crate) source: Source,
    /// The interned value that it read, or `NONE`.
    pub(crate) read: u32,
    /// The interned value that it wrote, or `NONE`.
    pub(crate) wrote: u32,
    /// Index of its invocation.
    pub(crate) invoke: u32,
    /// Index of its completion, or `NONE` if its outcome was not told: it may have taken effect at any later time.
    pub(crate) complete: u32,
}

impl KvOp {
    pub(crate) fn is_write(&self) -> bool {
        self.wrote != NONE
    }

    /// Whether it read, and it is known what.
    pub(crate) fn tells(&self) -> bool {
        !matches!(self.source, Source::Nothing | Source::Several)
    }

    /// Index of its completion, or of its invocation if it has none.
    pub(crate) fn event(&self) -> u32 {
        if self.complete == NONE { self.invoke } else { self.complete }
    }
}

/// Operations grouped by session, in session order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    pub(crate) ops: Vec<KvOp>,
    /// Session `s` holds `ops[starts[s]..starts[s + 1]]`.
    pub(crate) starts: Vec<u32>,
    /// Number of keys.
    pub(crate) keys: usize,
}

impl Sessions {
    pub(crate) fn sessions(&self) -> usize {
        self.starts.len() - 1
    }

    /// The ids of the operations of a session, in order.
    pub(crate) fn session(&self, session: usize) -> std::ops::Range<u32> {
        self.starts[session]..self.starts[session + 1]
    }

    /// The operation just before `op` in its session.
    pub(crate) fn previous(&self, op: u32) -> Option<u32> {
        let first = self.starts[self.ops[op as usize].session as usize];
        (op > first).then(|| op - 1)
    }

    /// The write that `op` read from.
    pub(crate) fn source(&self, op: u32) -> Option<u32> {
        match self.ops[op as usize].source {
            Source::Write(write) => Some(write),
            _ => None,
        }
    }

    /// The ids of all operations in the order of their events. A read mostly comes after the write that it saw.
    pub(crate) fn by_event(&self) -> Vec<u32> {
        let last = self.ops.iter().map(|op| op.event() as usize + 1).max().unwrap_or(0);
        let mut at = vec![NONE; last];
        for (id, op) in self.ops.iter().enumerate() {
            at[op.event() as usize] = id as u32;
        }
        at.retain(|&id| id != NONE);
        at
    }

    /// `ops` and the writes that they read from, and what those read from, and so on: ascending.
    pub(crate) fn with_sources(&self, ops: &[u32]) -> Vec<u32> {
        let mut all = ops.to_vec();
        let mut seen: std::collections::HashSet<u32> = ops.iter().copied().collect();
        let mut at = 0;
        while let Some(&op) = all.get(at) {
            all.extend(self.source(op).filter(|&write| seen.insert(write)));
            at += 1;
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// `ops` and, for each of unknown outcome, those whose reads show that it took effect: ascending.
    pub(crate) fn with_readers(&self, ops: &[u32]) -> Vec<u32> {
        let unknown = |op: u32| self.ops[op as usize].complete == NONE;
        if !ops.iter().any(|&op| unknown(op)) {
            return ops.to_vec();
        }
        let mut shown_by: HashMap<u32, u32, FastBuild> = HashMap::default();
        for acknowledged in (0..self.ops.len() as u32).filter(|&op| !unknown(op)) {
            let mut reader = acknowledged;
            while let Some(write) = self.source(reader).filter(|&write| unknown(write)) {
                if shown_by.contains_key(&write) {
                    break;
                }
                shown_by.insert(write, reader);
                reader = write;
            }
        }
        let mut all = ops.to_vec();
        let mut at = 0;
        while let Some(&op) = all.get(at) {
            all.extend(shown_by.get(&op).filter(|reader| !all.contains(reader)).copied());
            at += 1;
        }
        all.sort_unstable();
        all
    }

    /// These operations alone, which must be ascending and hold with each read the write that it saw.
    pub(crate) fn cut(&self, ops: &[u32]) -> Sessions {
        let new_id = |old: u32| ops.binary_search(&old).expect("closed under reads-from") as u32;
        let mut cut = Sessions { ops: Vec::with_capacity(ops.len()), starts: vec![0], keys: self.keys };
        let mut last = NONE;
        for &op in ops {
            let KvOp { session, source, .. } = self.ops[op as usize];
            if !cut.ops.is_empty() && session != last {
                cut.starts.push(cut.ops.len() as u32);
            }
            last = session;
            let source = match source {
                Source::Write(write) => Source::Write(new_id(write)),
                other => other,
            };
            let session = cut.starts.len() as u32 - 1;
            cut.ops.push(KvOp { session, source, ..self.ops[op as usize] });
        }
        if !cut.ops.is_empty() {
            cut.starts.push(cut.ops.len() as u32);
        }
        cut
    }
}

/// A key-value history, resolved.
#[derive(Debug)]
pub(crate) struct Kv<'a> {
    pub(crate) history: &'a History,
    pub(crate) registers: Registers<'a>,
    sessions: Sessions,
    /// Writes of unknown outcome whose value nobody is known to have read. They may have taken effect all the same.
    pub(crate) ghosts: Vec<KvOp>,
    /// Why some reads say nothing, if some do: two writes of the same value.
    pub(crate) ambiguous: Option<String>,
}

impl Kv<'_> {
    /// How many operations took effect that somebody recorded.
    pub(crate) fn recorded(&self) -> usize {
        if self.history.added() == 0 {
            return self.ops.len();
        }
        self.ops.iter().filter(|op| !self.history.get(op.event() as usize).is_added()).count()
    }
}

impl Deref for Kv<'_> {
    type Target = Sessions;

    fn deref(&self) -> &Sessions {
        &self.sessions
    }
}

/// Resolves a history. With `trust_failures` false, an operation recorded as failed counts as one of unknown outcome.
///
/// # Errors
/// The reason why nothing can be said.
pub(crate) fn resolve<'a>(
    history: &'a History,
    trust_failures: bool,
    budget: &'a Budget,
) -> Result<Kv<'a>, Stop> {
    let mut registers = Registers::parse(history, budget)?;
    let mut raw = std::mem::take(&mut registers.ops);
    if !trust_failures {
        for op in raw.iter_mut().filter(|op| op.outcome == Outcome::Failed) {
            op.outcome = Outcome::Unknown;
        }
    }
    // While it is resolved: sources and new places; afterwards the operations alone.
    let tables = registers.values.len() * 16;
    let (before, after) = (size_of::<RawOp>() + size_of::<Source>() + 9, size_of::<KvOp>());
    registers.lease.resize(tables + raw.capacity() * before + raw.len() * after)?;
    let mut versions = Versions::new(&raw, registers.initial, registers.values.len());
    versions.real_time = history.has_real_time();
    let mut ambiguous = None;
    let (sources, performed) = settle(&raw, &versions, &mut |reader, writers: &[u32]| {
        ambiguous.get_or_insert_with(|| describe_ambiguity(history, &registers, &raw, reader, writers));
    });
    budget.ask()?;
    let sessions = group(&registers, &raw, &sources, &performed);
    let ghost =
        |id: &usize| !performed[*id] && raw[*id].outcome == Outcome::Unknown && raw[*id].writes != NONE;
    let ghosts: Vec<KvOp> =
        (0..raw.len()).filter(ghost).map(|id| resolved(&raw[id], Source::Nothing)).collect();
    registers.lease.resize(tables + (sessions.ops.capacity() + ghosts.capacity()) * after)?;
    Ok(Kv { history, registers, sessions, ghosts, ambiguous })
}

/// Who wrote each version. A version is a key and a value.
struct Versions {
    initial: u32,
    /// Whether the order of events says that what began later cannot have been seen.
    real_time: bool,
    /// By value: the first writer that did not fail, of whatever key.
    first: Vec<u32>,
    /// The first writer of a version, where `first` holds one of another key.
    others: HashMap<(u32, u32), u32, FastBuild>,
    /// All writers that did not fail, where there are several.
    several: HashMap<(u32, u32), Vec<u32>, FastBuild>,
    failed: HashMap<(u32, u32), u32, FastBuild>,
}

impl Versions {
    fn new(raw: &[RawOp], initial: u32, values: usize) -> Versions {
        let mut versions = Versions {
            initial,
            real_time: true,
            first: vec![NONE; values],
            others: HashMap::default(),
            several: HashMap::default(),
            failed: HashMap::default(),
        };
        for (id, op) in raw.iter().enumerate().filter(|(_, op)| op.writes != NONE) {
            let version = (op.key, op.writes);
            if op.outcome == Outcome::Failed {
                versions.failed.entry(version).or_insert(op.invoke);
                continue;
            }
            let slot = &mut versions.first[op.writes as usize];
            if *slot == NONE {
                *slot = id as u32;
                continue;
            }
            let first = if raw[*slot as usize].key == op.key {
                *slot
            } else {
                *versions.others.entry(version).or_insert(id as u32)
            };
            if first != id as u32 {
                versions.several.entry(version).or_insert_with(|| vec![first]).push(id as u32);
            }
        }
        versions
    }

    /// The first writer of a version.
    #[inline]
    fn writer(&self, raw: &[RawOp], key: u32, value: u32) -> Option<u32> {
        let first = self.first[value as usize];
        if first == NONE {
            return None;
        }
        if raw[first as usize].key == key { Some(first) } else { self.others.get(&(key, value)).copied() }
    }

    /// What the read `id` saw; calls `ambiguity` where that cannot be told.
    fn source(&self, raw: &[RawOp], id: u32, ambiguity: &mut dyn FnMut(u32, &[u32])) -> Source {
        let op = &raw[id as usize];
        let initial = op.reads == self.initial;
        let writer = self.writer(raw, op.key, op.reads).filter(|&w| w != id);
        if self.several.is_empty() && !initial {
            return writer.map_or_else(|| self.nobody(op), Source::Write);
        }
        let version = (op.key, op.reads);
        let writers: Vec<u32> = match self.several.get(&version) {
            Some(all) => all.iter().copied().filter(|&w| w != id).collect(),
            None => writer.into_iter().collect(),
        };
        match writers.as_slice() {
            [] if initial => return Source::Initial,
            [] => return self.nobody(op),
            &[one] if !initial => return Source::Write(one),
            _ => {}
        }
        // Of several, those that began only after the read had ended are out.
        let ended =
            |end: u32| self.real_time && op.outcome == Outcome::Ok && raw[end as usize].invoke > op.complete;
        let possible: Vec<u32> = writers.into_iter().filter(|&w| !ended(w)).collect();
        match possible.as_slice() {
            [] if initial => Source::Initial,
            &[one] if !initial => Source::Write(one),
            _ => {
                ambiguity(id, &possible);
                Source::Several
            }
        }
    }

    fn nobody(&self, op: &RawOp) -> Source {
        self.failed.get(&(op.key, op.reads)).map_or(Source::ThinAir, |&event| Source::Aborted(event))
    }
}

/// The source of every read and the set of operations that took effect: the acknowledged ones, and those of unknown
/// outcome whose value was read by one that took effect.
fn settle(
    raw: &[RawOp],
    versions: &Versions,
    ambiguity: &mut dyn FnMut(u32, &[u32]),
) -> (Vec<Source>, Vec<bool>) {
    let mut sources = vec![Source::Nothing; raw.len()];
    let mut performed: Vec<bool> = raw.iter().map(|op| op.outcome == Outcome::Ok).collect();
    for id in 0..raw.len() as u32 {
        let mut next = (raw[id as usize].outcome == Outcome::Ok).then_some(id);
        while let Some(id) = next.take() {
            if raw[id as usize].reads == NONE {
                continue;
            }
            let source = versions.source(raw, id, ambiguity);
            sources[id as usize] = source;
            if let Source::Write(write) = source
                && !std::mem::replace(&mut performed[write as usize], true)
            {
                next = Some(write);
            }
        }
    }
    (sources, performed)
}

fn resolved(op: &RawOp, source: Source) -> KvOp {
    KvOp {
        session: op.session,
        key: op.key,
        source,
        read: if source == Source::Nothing { NONE } else { op.reads },
        wrote: op.writes,
        invoke: op.invoke,
        complete: if op.outcome == Outcome::Ok { op.complete } else { NONE },
    }
}

/// The operations that took effect, session by session; sessions without any have no number.
fn group(registers: &Registers, raw: &[RawOp], sources: &[Source], performed: &[bool]) -> Sessions {
    let mut counts = vec![0u32; registers.sessions as usize];
    let kept = |id: &usize| performed[*id];
    (0..raw.len()).filter(kept).for_each(|id| counts[raw[id].session as usize] += 1);
    let mut number = vec![NONE; counts.len()];
    let mut starts = vec![0u32];
    for (session, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        number[session] = starts.len() as u32 - 1;
        starts.push(starts[starts.len() - 1] + count);
    }
    let mut next = starts.clone();
    let mut new_id = vec![NONE; raw.len()];
    for id in (0..raw.len()).filter(kept) {
        let place = &mut next[number[raw[id].session as usize] as usize];
        new_id[id] = *place;
        *place += 1;
    }
    let empty = KvOp {
        session: 0,
        key: 0,
        source: Source::Nothing,
        read: NONE,
        wrote: NONE,
        invoke: 0,
        complete: NONE,
    };
    let mut ops = vec![empty; starts[starts.len() - 1] as usize];
    for id in (0..raw.len()).filter(kept) {
        let source = match sources[id] {
            Source::Write(write) => Source::Write(new_id[write as usize]),
            other => other,
        };
        let session = number[raw[id].session as usize];
        ops[new_id[id] as usize] = KvOp { session, ..resolved(&raw[id], source) };
    }
    Sessions { ops, starts, keys: registers.keys.len() }
}

fn describe_ambiguity(
    history: &History,
    registers: &Registers,
    raw: &[RawOp],
    reader: u32,
    writers: &[u32],
) -> String {
    let op = &raw[reader as usize];
    let value = registers.values.value(op.reads);
    let key = registers.key_phrase(op.key);
    let at = |id: u32| raw[id as usize].invoke as usize;
    let event = history.event_name(if op.complete == NONE { op.invoke } else { op.complete } as usize);
    match writers {
        [] => format!("several writes of {value} began after {event} had read it{key}"),
        [one] => format!(
            "{event} read {value}{key}, which is both the initial value and what {} wrote; \
             write values that differ from the initial one",
            history.event_name(at(*one))
        ),
        _ => format!(
            "{event} read {value}{key}, which {} both wrote; write each value to a key once",
            history.event_names(at(writers[0]), at(writers[1]))
        ),
    }
}
