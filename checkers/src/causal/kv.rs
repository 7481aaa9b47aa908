//! What a key-value history says, once nobody's guesses are left: which operations took effect, in which session, and
//! which write each read saw.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;

use super::raw::{Outcome, RawOp, Register};
use crate::History;

/// No operation.
pub(crate) const NONE: u32 = u32::MAX;

/// What an operation read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It is no read, or nobody can say which of several writes it saw.
    Nothing,
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
    /// Index of its completion, or of its invocation if it has none.
    pub(crate) event: u32,
}

impl KvOp {
    pub(crate) fn is_write(&self) -> bool {
        self.wrote != NONE
    }
}

/// Operations grouped by session, in session order.
#[derive(Debug, Default)]
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
}

/// A key-value history, resolved.
#[derive(Debug)]
pub(crate) struct Kv<'a> {
    pub(crate) history: &'a History,
    pub(crate) register: Register,
    sessions: Sessions,
    /// Why some reads say nothing, if some do: two writes of the same value.
    pub(crate) ambiguous: Option<String>,
}

impl Deref for Kv<'_> {
    type Target = Sessions;

    fn deref(&self) -> &Sessions {
        &self.sessions
    }
}

/// Resolves a history. With `trust_failures` false, an operation recorded as failed whose value was read counts as one
/// of unknown outcome. The error is the reason why nothing can be said.
pub(crate) fn resolve<'a>(history: &'a History, trust_failures: bool) -> Result<Kv<'a>, String> {
    let mut register = Register::parse(history)?;
    let mut raw = std::mem::take(&mut register.ops);
    if !trust_failures {
        for op in raw.iter_mut().filter(|op| op.outcome == Outcome::Failed) {
            op.outcome = Outcome::Unknown;
        }
    }
    let versions = Versions::new(&raw, register.initial);
    let mut ambiguous = None;
    let (sources, performed) = settle(&raw, &versions, &mut |reader, writers: &[u32]| {
        ambiguous.get_or_insert_with(|| describe_ambiguity(&register, &raw, reader, writers));
    });
    let keys = register.keys.len();
    let mut sessions = Sessions { ops: Vec::new(), starts: vec![0], keys };
    group(&mut sessions, &raw, &sources, &performed);
    Ok(Kv { history, register, sessions, ambiguous })
}

/// Who wrote each version. A version is a key and a value.
struct Versions {
    initial: u32,
    /// The first writer that did not fail.
    writer: HashMap<(u32, u32), u32>,
    /// All writers that did not fail, where there are several.
    several: HashMap<(u32, u32), Vec<u32>>,
    failed: HashMap<(u32, u32), u32>,
}

impl Versions {
    fn new(raw: &[RawOp], initial: u32) -> Versions {
        let mut versions = Versions {
            initial,
            writer: HashMap::with_capacity(raw.len()),
            several: HashMap::new(),
            failed: HashMap::new(),
        };
        for (id, op) in raw.iter().enumerate().filter(|(_, op)| op.writes != NONE) {
            let version = (op.key, op.writes);
            if op.outcome == Outcome::Failed {
                versions.failed.entry(version).or_insert(op.invoke);
                continue;
            }
            match versions.writer.get(&version) {
                None => drop(versions.writer.insert(version, id as u32)),
                Some(&first) => {
                    versions.several.entry(version).or_insert_with(|| vec![first]).push(id as u32);
                }
            }
        }
        versions
    }

    /// What the read `id` saw; calls `ambiguity` where that cannot be told.
    fn source(&self, raw: &[RawOp], id: u32, ambiguity: &mut dyn FnMut(u32, &[u32])) -> Source {
        let op = &raw[id as usize];
        let version = (op.key, op.reads);
        let writers: Vec<u32> = match (self.several.get(&version), self.writer.get(&version)) {
            (Some(all), _) => all.iter().copied().filter(|&w| w != id).collect(),
            (None, one) => one.iter().map(|&&w| w).filter(|&w| w != id).collect(),
        };
        let initial = op.reads == self.initial;
        match writers.as_slice() {
            [] if initial => return Source::Initial,
            [] => return self.failed.get(&version).map_or(Source::ThinAir, |&event| Source::Aborted(event)),
            &[one] if !initial => return Source::Write(one),
            _ => {}
        }
        // Of several, those that began only after the read had ended are out.
        let began = |w: &u32| op.complete.is_none_or(|end| raw[*w as usize].invoke < end);
        let possible: Vec<u32> = writers.into_iter().filter(began).collect();
        match possible.as_slice() {
            [] if initial => Source::Initial,
            &[one] if !initial => Source::Write(one),
            _ => {
                ambiguity(id, &possible);
                Source::Nothing
            }
        }
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
    let mut todo: Vec<u32> = (0..raw.len() as u32).filter(|&id| performed[id as usize]).collect();
    while let Some(id) = todo.pop() {
        if raw[id as usize].reads == NONE {
            continue;
        }
        let source = versions.source(raw, id, ambiguity);
        sources[id as usize] = source;
        if let Source::Write(write) = source
            && !std::mem::replace(&mut performed[write as usize], true)
        {
            todo.push(write);
        }
    }
    (sources, performed)
}

/// Fills in the operations that took effect and say something, session by session.
fn group(kv: &mut Sessions, raw: &[RawOp], sources: &[Source], performed: &[bool]) {
    let kept = |id: usize| performed[id] && (raw[id].writes != NONE || sources[id] != Source::Nothing);
    let mut by_session: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for id in (0..raw.len()).filter(|&id| kept(id)) {
        by_session.entry(raw[id].session).or_default().push(id as u32);
    }
    let mut new_id = vec![NONE; raw.len()];
    for (next, &id) in by_session.values().flatten().enumerate() {
        new_id[id as usize] = next as u32;
    }
    for (session, ids) in by_session.values().enumerate() {
        for &id in ids {
            let op = &raw[id as usize];
            let source = match sources[id as usize] {
                Source::Write(write) => Source::Write(new_id[write as usize]),
                other => other,
            };
            kv.ops.push(KvOp {
                session: session as u32,
                key: op.key,
                source,
                read: if source == Source::Nothing { NONE } else { op.reads },
                wrote: op.writes,
                event: op.complete.unwrap_or(op.invoke),
            });
        }
        kv.starts.push(kv.ops.len() as u32);
    }
}

fn describe_ambiguity(register: &Register, raw: &[RawOp], reader: u32, writers: &[u32]) -> String {
    let op = &raw[reader as usize];
    let value = register.values.value(op.reads);
    let key = register.key_phrase(op.key);
    let at = |id: u32| raw[id as usize].invoke;
    let event = op.complete.unwrap_or(op.invoke);
    match writers {
        [] => format!("several writes of {value} began after event {event} had read it{key}"),
        [one] => format!(
            "event {event} read {value}{key}, which is both the initial value and what event {} wrote; \
             write values that differ from the initial one",
            at(*one)
        ),
        _ => format!(
            "event {event} read {value}{key}, which events {} and {} both wrote; write each value to a key once",
            at(writers[0]),
            at(writers[1])
        ),
    }
}
