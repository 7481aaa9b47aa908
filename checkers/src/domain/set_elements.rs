//! What a history says of each element of each set.

use std::collections::HashMap;

use serde_json::Value;

use crate::history::{OpRef, Pairs};
use crate::intern::Interner;
use crate::{History, Type};

/// One set: its reads and its elements.
pub(super) struct Set {
    pub(super) key: Option<Value>,
    /// Ok reads, those that began last first.
    pub(super) reads: Vec<Read>,
    pub(super) elements: Vec<Element>,
    /// The completion of the last acknowledged add.
    last_add: Option<u32>,
}

/// An ok read, by the indices of its events.
pub(super) struct Read {
    pub(super) invoke: u32,
    pub(super) complete: u32,
    invoke_ns: u64,
}

/// An element that somebody added or read.
pub(super) struct Element {
    pub(super) value: Value,
    /// The invocation of its add; of the acknowledged one, where there is one.
    pub(super) add: Option<u32>,
    pub(super) acknowledged: bool,
    /// Every add of it failed.
    failed: bool,
    /// The event from which on it is known to be in the set: an add's or a read's completion.
    pub(super) known: Option<u32>,
    pub(super) known_by_add: bool,
    known_ns: u64,
    /// The first read that made it known, by its invocation.
    known_by: u32,
    /// How many of the reads that began last, counted from the last, have it.
    run: u32,
    /// The last-begun read that has it.
    last_present: Option<u32>,
    /// 1 + the last read that was looked at and has it.
    seen: u32,
    /// A read that has it more than once, and how often.
    pub(super) duplicated: Option<(u32, u32)>,
}

/// What became of an element. Reads are numbers into [`Set::reads`].
pub(super) enum Fate {
    /// Known, then absent for good.
    Lost { without: usize, since_ns: u64 },
    /// Present to the end, this long after it was known; 0 where no read lacked it after that.
    Stable { after_ns: u64, without: Option<usize> },
    /// No read says.
    NeverRead,
    /// Its add failed, and no read has it.
    Failed,
    /// Read, but never added.
    Unexpected { read: usize },
    /// Read, though its add failed.
    Aborted { read: usize },
}

impl Set {
    /// Whether a read began after the last acknowledged add.
    pub(super) fn read_after_last_add(&self) -> bool {
        let last_read = self.reads.first().map(|read| read.invoke);
        match (self.last_add, last_read) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(add), Some(read)) => add < read,
        }
    }
}

impl Element {
    pub(super) fn attempted(&self) -> bool {
        self.add.is_some()
    }

    pub(super) fn unsure(&self) -> bool {
        self.attempted() && !self.acknowledged && !self.failed
    }

    pub(super) fn read(&self) -> bool {
        self.last_present.is_some()
    }

    /// The invocations of what made it known.
    pub(super) fn evidence(&self) -> Vec<u32> {
        let reader = (!self.known_by_add).then_some(self.known_by);
        self.add.into_iter().chain(reader).collect()
    }

    /// What became of it: Jepsen's rules for an element of `set-full`.
    pub(super) fn fate(&self, set: &Set) -> Fate {
        if let Some(read) = self.last_present.map(|read| read as usize) {
            if !self.attempted() {
                return Fate::Unexpected { read };
            }
            if self.failed {
                return Fate::Aborted { read };
            }
        }
        let Some(known) = self.known else {
            return if self.failed { Fate::Failed } else { Fate::NeverRead };
        };
        // Only a read that began after the element was known can be at fault for lacking it.
        let without = |at: usize| set.reads.get(at).is_some_and(|read| read.invoke > known).then_some(at);
        if self.run > 0 {
            let without = without(self.run as usize);
            let seen_ns = without.map_or(0, |at| set.reads[at].invoke_ns + 1);
            return Fate::Stable { after_ns: seen_ns.saturating_sub(self.known_ns), without };
        }
        match without(0) {
            Some(without) => {
                let last_ns = self.last_present.map_or(0, |read| set.reads[read as usize].invoke_ns + 1);
                Fate::Lost { without, since_ns: last_ns.saturating_sub(self.known_ns) }
            }
            None => match self.last_present {
                Some(_) => Fate::Stable { after_ns: 0, without: None },
                None => Fate::NeverRead,
            },
        }
    }
}

/// Collects the operations of one set.
#[derive(Default)]
struct Collector<'a> {
    ids: Interner,
    elements: Vec<Element>,
    reads: Vec<(OpRef<'a>, OpRef<'a>)>,
    last_add: Option<u32>,
}

/// The sets of a history, in the order in which their keys appear.
///
/// # Errors
/// A read that did not return a list, or a function that a set does not have, with its event's index.
pub(super) fn sets(history: &History, pairs: &Pairs, independent: bool) -> Result<Vec<Set>, String> {
    let mut collectors: Vec<(Option<Value>, Collector<'_>)> = Vec::new();
    let mut by_key: HashMap<Option<Value>, usize> = HashMap::new();
    for event in history.iter().filter(|event| event.is_client() && event.kind() == Type::Invoke) {
        let (key, value) = split(event.value(), independent);
        let at = *by_key.entry(key).or_insert_with_key(|key| {
            collectors.push((key.clone(), Collector::default()));
            collectors.len() - 1
        });
        let completion = pairs.of(event.index()).map(|at| history.get(at));
        let set = &mut collectors[at].1;
        match event.f() {
            "add" => set.add(event, &value, completion),
            "read" => {
                if let Some(completion) = completion.filter(|c| c.kind() == Type::Ok) {
                    set.reads.push((event, completion));
                }
            }
            f => return Err(format!("event {}: a set has no `{f}`: it has add and read", event.index())),
        }
    }
    collectors.into_iter().map(|(key, collector)| collector.finish(key, independent)).collect()
}

fn split(value: Value, independent: bool) -> (Option<Value>, Value) {
    match value {
        Value::Array(mut pair) if independent && pair.len() == 2 => {
            let value = pair.pop().unwrap_or_default();
            (pair.pop(), value)
        }
        other => (None, other),
    }
}

impl<'a> Collector<'a> {
    fn element(&mut self, value: &Value) -> &mut Element {
        let id = self.ids.intern(value) as usize;
        if id == self.elements.len() {
            self.elements.push(Element {
                value: value.clone(),
                add: None,
                acknowledged: false,
                failed: false,
                known: None,
                known_by_add: false,
                known_ns: 0,
                known_by: 0,
                run: 0,
                last_present: None,
                seen: 0,
                duplicated: None,
            });
        }
        &mut self.elements[id]
    }

    fn add(&mut self, event: OpRef<'a>, value: &Value, completion: Option<OpRef<'a>>) {
        let kind = completion.map_or(Type::Info, OpRef::kind);
        let element = self.element(value);
        let first = element.add.is_none();
        element.failed = kind == Type::Fail && (first || element.failed);
        if first || (kind == Type::Ok && !element.acknowledged) {
            element.add = Some(event.index() as u32);
        }
        if let Some(completion) = completion.filter(|_| kind == Type::Ok) {
            let at = completion.index() as u32;
            element.acknowledged = true;
            if element.known.is_none_or(|known| at < known) {
                element.known = Some(at);
                element.known_ns = completion.time_ns();
                element.known_by_add = true;
            }
            self.last_add = self.last_add.max(Some(at));
        }
    }

    fn finish(mut self, key: Option<Value>, independent: bool) -> Result<Set, String> {
        let mut reads = std::mem::take(&mut self.reads);
        reads.sort_unstable_by_key(|(invocation, _)| std::cmp::Reverse(invocation.index()));
        for (number, &(invocation, completion)) in reads.iter().enumerate() {
            match split(completion.value(), independent).1 {
                Value::Array(values) => self.read(number as u32, invocation, completion, &values),
                Value::Null => {}
                other => {
                    let at = completion.index();
                    return Err(format!("event {at}: a set is read as a list, not {}", brief(&other)));
                }
            }
        }
        let reads = reads.into_iter().map(|(invocation, completion)| Read {
            invoke: invocation.index() as u32,
            complete: completion.index() as u32,
            invoke_ns: invocation.time_ns(),
        });
        Ok(Set { key, reads: reads.collect(), elements: self.elements, last_add: self.last_add })
    }

    fn read(&mut self, number: u32, invocation: OpRef<'_>, completion: OpRef<'_>, values: &[Value]) {
        let at = completion.index() as u32;
        for value in values {
            let element = self.element(value);
            if element.seen == number + 1 {
                let times =
                    element.duplicated.filter(|&(read, _)| read == number).map_or(1, |(_, times)| times);
                element.duplicated = Some((number, times + 1));
                continue;
            }
            element.seen = number + 1;
            if element.run == number {
                element.run += 1;
            }
            element.last_present.get_or_insert(number);
            if element.known.is_none_or(|known| at < known) {
                element.known = Some(at);
                element.known_ns = completion.time_ns();
                element.known_by_add = false;
                element.known_by = invocation.index() as u32;
            }
        }
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(40).collect()
}
