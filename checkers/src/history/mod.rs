//! Histories: what a run recorded, in memory and in files.
//!
//! [`read`] takes every [`Format`], plain or compressed, and says what is wrong where a file is no history:
//!
//! ```
//! use squall_checkers::history::{read, write_edn};
//!
//! let text = r#"{"process":0,"type":"invoke","f":"read"}
//! {"process":0,"type":"ok","f":"read","value":3}"#;
//! let history = read(text.as_bytes(), "small.jsonl")?.history;
//! assert_eq!(history.get(1).value(), 3);
//!
//! let mut edn = Vec::new();
//! write_edn(&history, &mut edn)?;
//! assert!(edn.starts_with(b"{:index 0, :time 0, :type :invoke, :process 0, :f :read, :value nil}"));
//!
//! let error = read(text.replace("\"ok\"", "\"okay\"").as_bytes(), "small.jsonl").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     r#"small.jsonl:2:21: expected "type" to be invoke, ok, fail or info, got "okay""#
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A run is recorded with [`JsonlWriter`].

mod awdit;
mod cursor;
mod dbcop;
mod dbcop_json;
mod dbcop_text;
mod edn;
mod edn_op;
mod edn_writer;
mod error;
mod fastlin;
mod fault;
mod faults;
mod fields;
mod format;
mod frames;
mod jepsen_log;
mod json;
mod json_op;
mod jsonl;
mod jsonl_writer;
mod label;
mod lines;
mod loader;
mod op;
mod open_ops;
mod plume;
mod raw;
mod read;
mod recovery;
mod scan;
mod sessions;
mod validate;
mod value;

use std::fmt;

pub use edn_writer::write_edn;
pub use error::ReadError;
pub use fault::{FaultEvent, Phase, Receipt};
pub use faults::{Fault, FaultCount, FaultSummary, faults};
pub use format::Format;
pub use jsonl_writer::{JsonlWriter, write_jsonl};
use label::Labels;
pub use op::{Op, Process, Type};
use open_ops::OpenOps;
pub use raw::{Entries, Items, Raw};
pub use read::{Parsed, read, read_as, read_file, read_from};
pub use recovery::Recovery;
pub(crate) use scan::Scan;
use serde_json::Value;
pub use validate::{Problem, validate};
use value::{Arena, Word};

/// A completion that never came.
const NONE: u32 = u32::MAX;

/// An index is 32 bits wide, and one value means none.
const EVENTS_MAX: usize = NONE as usize;

/// A compact, append-only sequence of events in the order in which the controller saw them.
///
/// An event takes 24 bytes, plus its JSON text where its value is neither null, a boolean, an integer nor a pair of
/// small integers. At most `u32::MAX` events.
#[derive(Clone, Default)]
pub struct History {
    records: Vec<Record>,
    arena: Arena,
    labels: Labels,
    untimed: bool,
    object: Option<Box<str>>,
    /// How many of its first events nobody recorded.
    added: usize,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    time_ns: u64,
    value: Word,
    /// Client id, or `u32::MAX` for the nemesis.
    process: u32,
    /// Type, function and error.
    label: u32,
}

/// An event inside a [`History`]: cheap to copy, decoded on demand.
#[derive(Clone, Copy, Debug)]
pub struct OpRef<'a> {
    history: &'a History,
    index: usize,
}

impl History {
    /// An empty history.
    pub fn new() -> History {
        History::default()
    }

    /// Appends an event. Its `index` is ignored: the position decides.
    pub fn push(&mut self, op: &Op) {
        let label = self.labels.intern(op.kind, &op.f, || op.f.clone(), op.error.as_deref());
        let value = self.arena.encode(&op.value);
        self.push_record(op.time_ns, op.process, label, value);
    }

    /// Appends an event whose parts are interned already.
    fn push_record(&mut self, time_ns: u64, process: Process, label: u32, value: Word) {
        assert!(self.records.len() < EVENTS_MAX, "a history holds at most {EVENTS_MAX} events");
        let process = match process {
            Process::Nemesis => u32::MAX,
            Process::Client(id) => id,
        };
        self.labels.count(label);
        self.records.push(Record { time_ns, value, process, label });
    }

    /// Number of events: invocations and completions.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The event at `index`, which must be below [`len`](History::len).
    pub fn get(&self, index: usize) -> OpRef<'_> {
        assert!(index < self.records.len(), "event {index} of a history of {}", self.records.len());
        OpRef { history: self, index }
    }

    /// All events in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = OpRef<'_>> + Clone {
        (0..self.len()).map(|index| OpRef { history: self, index })
    }

    /// Whether the order of events is the order in which they happened. Formats that tell only what each session did have no
    /// such order: nothing follows from where events of two clients stand.
    pub fn has_real_time(&self) -> bool {
        !self.untimed
    }

    /// Says whether the order of events is the order in which they happened; without a word it is.
    pub fn set_real_time(&mut self, known: bool) {
        self.untimed = !known;
    }

    /// What kind of object the operations are on, where the file says so: `queue`, `stack` …
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// Says what kind of object the operations are on.
    pub fn set_object(&mut self, object: impl Into<Box<str>>) {
        self.object = Some(object.into());
    }

    /// How many of its first events nobody recorded: they say what objects held at first.
    pub(crate) fn added(&self) -> usize {
        self.added
    }

    /// Says how many of its first events nobody recorded.
    pub(crate) fn set_added(&mut self, events: usize) {
        self.added = events;
    }

    /// How many of its first operations nobody recorded.
    pub(crate) fn added_ops(&self) -> usize {
        self.added / 2
    }

    /// What a sentence calls an event: `event 7`, counted as in the user's own history, or `--initial` if nobody recorded it.
    pub(crate) fn event_name(&self, index: usize) -> String {
        match self.number(index) {
            Some(number) => format!("event {number}"),
            None => "--initial".to_owned(),
        }
    }

    /// The names of two events: `events 3 and 7`.
    pub(crate) fn event_names(&self, first: usize, second: usize) -> String {
        match self.number(first).zip(self.number(second)) {
            Some((first, second)) => format!("events {first} and {second}"),
            None => format!("{} and {}", self.event_name(first), self.event_name(second)),
        }
    }

    fn number(&self, index: usize) -> Option<usize> {
        index.checked_sub(self.added)
    }

    /// Every distinct type, function and error, with the number of events that have it.
    pub(crate) fn labels(&self) -> impl ExactSizeIterator<Item = Label<'_>> {
        (0..self.labels.len() as u32).map(|id| Label {
            kind: self.labels.kind(id),
            f: self.labels.f(id),
            error: self.labels.error(id),
            events: self.labels.events(id),
        })
    }

    /// Bytes that the events take in memory.
    pub fn memory_bytes(&self) -> usize {
        self.records.len() * size_of::<Record>() + self.arena.len() + self.labels.memory_bytes()
    }

    /// A history of only these events and their counterparts, for all else as this one: what a witness shows, as a history of its
    /// own. Indices beyond the end are left out. Times that run backwards are levelled.
    pub fn witness(&self, events: &[usize]) -> History {
        let pairs = self.pairs();
        let with = |&event: &usize| [Some(event), pairs.of(event)].into_iter().flatten();
        let mut events: Vec<usize> =
            events.iter().filter(|&&event| event < self.len()).flat_map(with).collect();
        events.sort_unstable();
        events.dedup();
        self.only(&events)
    }

    /// These events alone, which ascend.
    pub(crate) fn only(&self, events: &[usize]) -> History {
        let added = events.partition_point(|&event| event < self.added);
        let (untimed, object) = (self.untimed, self.object.clone());
        let mut witness = History { untimed, object, added, ..History::default() };
        let mut last_ns = 0;
        for &event in events {
            let op = self.get(event).to_op();
            last_ns = last_ns.max(op.time_ns);
            witness.push(&op.at(last_ns));
        }
        witness
    }

    /// For each event the index of its counterpart: an invocation's completion, a completion's invocation.
    /// `None` for an invocation that never completed and for an event that stands alone (a log line).
    pub fn pairs(&self) -> Pairs {
        let mut pairs = vec![NONE; self.len()];
        let mut open: OpenOps<u32> = OpenOps::default();
        for (index, record) in self.records.iter().enumerate() {
            if self.labels.kind(record.label) == Type::Invoke {
                open.insert(record.process, index as u32);
            } else if let Some(invoke) = open.remove(record.process) {
                pairs[invoke as usize] = index as u32;
                pairs[index] = invoke;
            }
        }
        Pairs(pairs)
    }
}

impl fmt::Debug for History {
    /// The number of events: all of them would be too many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("events", &self.len()).finish_non_exhaustive()
    }
}

impl FromIterator<Op> for History {
    fn from_iter<I: IntoIterator<Item = Op>>(ops: I) -> History {
        let mut history = History::new();
        for op in ops {
            history.push(&op);
        }
        history
    }
}

/// Which completion belongs to which invocation: see [`History::pairs`].
#[derive(Clone, Debug)]
pub struct Pairs(Vec<u32>);

impl Pairs {
    /// The index of the counterpart of the event at `index`.
    pub fn of(&self, index: usize) -> Option<usize> {
        match self.0[index] {
            NONE => None,
            other => Some(other as usize),
        }
    }
}

/// What many events have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a> {
    pub(crate) kind: Type,
    pub(crate) f: &'a str,
    pub(crate) error: Option<&'a str>,
    pub(crate) events: u32,
}

impl<'a> OpRef<'a> {
    #[inline]
    fn record(self) -> &'a Record {
        &self.history.records[self.index]
    }

    /// Position in the history.
    pub fn index(self) -> usize {
        self.index
    }

    /// The history that it is in.
    pub(crate) fn history(self) -> &'a History {
        self.history
    }

    /// What a sentence calls it: see [`History::event_name`].
    pub(crate) fn name(self) -> String {
        self.history.event_name(self.index)
    }

    /// Who did it, in a sentence: `process 3`, or `--initial` if nobody recorded it.
    pub(crate) fn actor(self) -> String {
        match self.is_added() {
            true => self.name(),
            false => format!("process {}", self.process()),
        }
    }

    /// Whether nobody recorded it: it says what an object held at first.
    pub(crate) fn is_added(self) -> bool {
        self.history.number(self.index).is_none()
    }

    /// Nanoseconds since the start of the run.
    pub fn time_ns(self) -> u64 {
        self.record().time_ns
    }

    /// Who did it.
    #[inline]
    pub fn process(self) -> Process {
        match self.record().process {
            u32::MAX => Process::Nemesis,
            id => Process::Client(id),
        }
    }

    /// Invocation, or how it completed.
    pub fn kind(self) -> Type {
        self.history.labels.kind(self.record().label)
    }

    /// The function.
    pub fn f(self) -> &'a str {
        self.history.labels.f(self.record().label)
    }

    /// The number of its type, function and error in [`History::labels`].
    #[inline]
    pub(crate) fn label(self) -> usize {
        self.record().label as usize
    }

    /// The value, decoded.
    pub fn value(self) -> Value {
        self.history.arena.decode(self.record().value)
    }

    /// The value as it lies in memory: quicker than to decode it.
    #[inline(always)]
    pub fn raw(self) -> Raw<'a> {
        self.history.arena.raw(self.record().value)
    }

    /// Appends the value as JSON.
    fn write_value(self, out: &mut Vec<u8>) {
        self.history.arena.write_json(self.record().value, out);
    }

    /// Why it failed or is unknown.
    pub fn error(self) -> Option<&'a str> {
        self.history.labels.error(self.record().label)
    }

    /// Whether a client did it, not the nemesis.
    pub fn is_client(self) -> bool {
        self.process() != Process::Nemesis
    }

    /// A copy that stands alone.
    pub fn to_op(self) -> Op {
        Op {
            index: self.index,
            time_ns: self.time_ns(),
            process: self.process(),
            kind: self.kind(),
            f: self.history.labels.f(self.record().label).clone(),
            value: self.value(),
            error: self.error().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_takes_24_bytes_and_comes_back_whole() {
        assert_eq!(size_of::<Record>(), 24);
        let mut op = Op::new("cas").value(serde_json::json!([4, [1, 2]])).at(7).kind(Type::Info);
        op.error = Some("timeout".into());
        let history: History = [Op::new("read"), op.clone()].into_iter().collect();
        op.index = 1;
        assert_eq!(history.get(1).to_op(), op);
    }

    #[test]
    fn completions_pair_with_the_open_invocation_of_their_process() {
        let by = |p, kind| Op::new("read").process(Process::Client(p)).kind(kind);
        let history: History =
            [by(0, Type::Invoke), by(1, Type::Invoke), by(0, Type::Ok), by(0, Type::Invoke)]
                .into_iter()
                .collect();
        let pairs = history.pairs();
        assert_eq!((pairs.of(0), pairs.of(1), pairs.of(2), pairs.of(3)), (Some(2), None, Some(0), None));
    }
}
