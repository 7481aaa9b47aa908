//! What a history says of each element of each set.

use std::collections::BTreeMap;

use serde_json::Value;

use super::calls::{Call, Calls, NONE, Pass, Stop, split};
use crate::Type;
use crate::budget::Lease;
use crate::history::Raw;
use crate::intern::Interner;

/// Elements of a read between two looks at the budget.
const PACE: usize = 1 << 16;

/// One set: its reads and its elements.
pub(super) struct Set {
    pub(super) key: Option<Value>,
    pub(super) ids: Interner,
    /// Ok reads, those that began last first.
    pub(super) reads: Vec<Read>,
    pub(super) elements: Vec<Element>,
    /// Elements that a read has more than once: the read and how often.
    pub(super) duplicated: BTreeMap<u32, (u32, u32)>,
    /// Whether nothing was found that already says that the set is not linearizable.
    pub(super) may_be_out_of_order: bool,
    /// The completion of the last acknowledged add.
    last_add: Option<u32>,
}

/// An ok read, by its invocation.
#[derive(Clone, Copy)]
pub(super) struct Read {
    pub(super) at: u32,
    /// Number of elements.
    pub(super) size: u32,
    /// Its place among the reads by size.
    pub(super) rank: u32,
}

/// An element that somebody added or read. What is not is `NONE`.
#[derive(Clone, Copy)]
pub(super) struct Element {
    /// The first add that did not fail.
    pub(super) tried: u32,
    /// The event of the first acknowledgement.
    pub(super) acknowledged: u32,
    /// An add that failed.
    pub(super) failed: u32,
    /// When the first read that has it ended.
    read: u32,
    /// How many of the reads that began last, counted from the last, have it.
    run: u32,
    /// The last-begun read that has it.
    last_present: u32,
    /// 1 + the last read that was looked at and has it.
    seen: u32,
    /// How many reads have it, and the smallest that does.
    pub(super) count: u32,
    pub(super) lowest_rank: u32,
}

const NEW: Element = Element {
    tried: NONE,
    acknowledged: NONE,
    failed: NONE,
    read: NONE,
    run: 0,
    last_present: NONE,
    seen: 0,
    count: 0,
    lowest_rank: NONE,
};

/// What became of an element. Reads are numbers into [`Set::reads`].
pub(super) enum Fate {
    /// Known, then absent for good.
    Lost { without: usize, since_ns: u64 },
    /// Present to the end, this long after it was known; and the last read that lacked it after that.
    Stable { after_ns: u64, without: Option<usize> },
    /// No read says.
    NeverRead,
    /// Its add failed, and no read has it.
    Failed,
    /// Read before anybody had begun to add it.
    Phantom,
    /// Read, though its add failed.
    Aborted,
}

impl Element {
    pub(super) fn attempted(&self) -> bool {
        self.tried != NONE || self.failed != NONE
    }

    /// Whether an add of it began before any read that has it ended.
    pub(super) fn was_added(&self) -> bool {
        self.tried != NONE && self.tried < self.read
    }

    pub(super) fn unsure(&self) -> bool {
        self.tried != NONE && self.acknowledged == NONE
    }

    pub(super) fn read(&self) -> bool {
        self.read != NONE
    }

    /// The add that was acknowledged first, if any was.
    pub(super) fn add(&self, calls: &Calls<'_>) -> u32 {
        calls.completed(self.acknowledged).map_or(NONE, Call::at)
    }

    /// The read that has it and ended first, if any has.
    pub(super) fn reader(&self, calls: &Calls<'_>) -> u32 {
        calls.completed(self.read).map_or(NONE, Call::at)
    }

    /// What became of it: Jepsen's rules for an element of `set-full`.
    pub(super) fn fate(&self, calls: &Calls<'_>, set: &Set) -> Fate {
        if self.read() && !self.was_added() {
            return if self.failed < self.read { Fate::Aborted } else { Fate::Phantom };
        }
        let known = self.acknowledged.min(self.read);
        if known == NONE {
            return if self.tried == NONE { Fate::Failed } else { Fate::NeverRead };
        }
        let ns = |event: u32| calls.history.get(event as usize).time_ns();
        // Only a read that began after the element was known can be at fault for lacking it.
        let without = |at: usize| set.reads.get(at).is_some_and(|read| read.at > known).then_some(at);
        if self.run > 0 {
            let without = without(self.run as usize);
            let seen_ns = without.map_or(0, |at| ns(set.reads[at].at) + 1);
            let after_ns = if seen_ns == 0 { 0 } else { seen_ns.saturating_sub(ns(known)) };
            return Fate::Stable { after_ns, without };
        }
        match without(0) {
            Some(without) => {
                let last = set.reads.get(self.last_present as usize);
                let last_ns = last.map_or(0, |read| ns(read.at) + 1);
                Fate::Lost { without, since_ns: last_ns.saturating_sub(ns(known)) }
            }
            None if self.read() => Fate::Stable { after_ns: 0, without: None },
            None => Fate::NeverRead,
        }
    }
}

/// All sets of a history, in the order in which their keys appear.
pub(super) struct Sets {
    independent: bool,
    keys: Interner,
    pub(super) list: Vec<Set>,
}

impl Sets {
    pub(super) fn new(independent: bool) -> Sets {
        Sets { independent, keys: Interner::default(), list: Vec::new() }
    }

    fn set(&mut self, key: Option<Raw<'_>>) -> &mut Set {
        let at = key.map_or(0, |key| self.keys.intern_raw(key) as usize);
        if at == self.list.len() {
            self.list.push(Set {
                key: key.map(Raw::to_value),
                ids: Interner::default(),
                reads: Vec::new(),
                elements: Vec::new(),
                duplicated: BTreeMap::new(),
                may_be_out_of_order: false,
                last_add: None,
            });
        }
        &mut self.list[at]
    }
}

impl<'a> Pass<'a> for Sets {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        match call.f() {
            "add" => {
                let (key, value) = split(call.invoke(), self.independent)?;
                self.set(key).add(call, value);
            }
            "read" => {
                if let Some(event) = call.ok() {
                    let key = split(event, self.independent)?.0;
                    self.set(key).reads.push(Read { at: call.at(), size: 0, rank: 0 });
                }
            }
            _ => return Err(Stop::function(call.invoke(), "a set has add and read")),
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let sets = self.list.iter().take(1024).map(Set::bytes).sum::<usize>();
        sets * self.list.len().div_ceil(1024) + self.keys.memory_bytes()
    }
}

impl Set {
    fn bytes(&self) -> usize {
        self.ids.memory_bytes()
            + self.elements.capacity() * size_of::<Element>()
            + self.reads.capacity() * size_of::<Read>()
    }

    /// Whether a read began after the last acknowledged add.
    pub(super) fn read_after_last_add(&self) -> bool {
        self.reads.first().is_some_and(|read| self.last_add.is_none_or(|add| add < read.at))
    }

    /// The element of this number, which may be new.
    #[inline]
    fn element(&mut self, id: u32) -> &mut Element {
        if id as usize == self.elements.len() {
            self.elements.push(NEW);
        }
        &mut self.elements[id as usize]
    }

    fn add(&mut self, call: Call<'_>, value: Raw<'_>) {
        let acknowledged = call.acknowledged();
        if acknowledged != NONE {
            self.last_add = self.last_add.max(Some(acknowledged));
        }
        let id = self.ids.intern_raw(value);
        let element = self.element(id);
        if call.kind() == Type::Fail {
            element.failed = element.failed.min(call.at());
            return;
        }
        element.tried = element.tried.min(call.at());
        element.acknowledged = element.acknowledged.min(acknowledged);
    }

    /// Looks at the elements of all reads.
    pub(super) fn read_all<'a>(&mut self, calls: &Calls<'a>, independent: bool) -> Result<Lease<'a>, Stop> {
        let mut reads = std::mem::take(&mut self.reads);
        reads.reverse();
        let list = |read: &Read| -> Result<Raw<'_>, Stop> {
            let Some(event) = calls.call(read.at).complete() else { return Ok(Raw::Null) };
            let value = split(event, independent)?.1;
            match value {
                Raw::Null => Ok(value),
                _ if value.items().is_some() => Ok(value),
                _ => Err(Stop::shape(event, "a set is read as a list")),
            }
        };
        let mut known = Vec::with_capacity(reads.len());
        for mut read in reads {
            let value = list(&read)?;
            if value != Raw::Null {
                read.size = count(value);
                known.push(read);
            }
        }
        let mut by_size: Vec<u32> = (0..known.len() as u32).collect();
        by_size.sort_by_key(|&at| known[at as usize].size);
        for (rank, &at) in by_size.iter().enumerate() {
            known[at as usize].rank = rank as u32;
        }
        let before = self.bytes();
        let mut held = calls.budget.lease(known.capacity() * size_of::<Read>())?;
        let mut seen = 0;
        for (number, read) in known.iter().enumerate() {
            let end = calls.call(read.at).acknowledged();
            let Some(mut items) = list(read)?.items() else { continue };
            while let Some(id) = items.next_to(|value| self.ids.intern_raw(value)) {
                self.read(number as u32, read, end, id);
                seen += 1;
                if seen % PACE == 0 {
                    calls.budget.ask()?;
                    held.resize(self.bytes().saturating_sub(before))?;
                }
            }
        }
        self.reads = known;
        Ok(held)
    }

    #[inline]
    fn read(&mut self, number: u32, read: &Read, end: u32, id: u32) {
        let element = self.element(id);
        if element.seen == number + 1 {
            let (_, times) = self.duplicated.entry(id).or_insert((read.at, 1));
            *times += 1;
            return;
        }
        element.seen = number + 1;
        element.count += 1;
        element.lowest_rank = element.lowest_rank.min(read.rank);
        if element.run == number {
            element.run += 1;
        }
        if element.last_present == NONE {
            element.last_present = number;
        }
        element.read = element.read.min(end);
    }
}

/// The number of items of a list. Most hold numbers only, so that their commas are counted, a vector of bytes at a time.
fn count(list: Raw<'_>) -> u32 {
    let Raw::Text([b'[', text @ ..]) = list else { return list.items().map_or(0, Iterator::count) as u32 };
    let (mut commas, mut nested) = (0_u32, false);
    for chunk in text.chunks(255) {
        let (mut few, mut odd) = (0_u8, 0_u8);
        for &byte in chunk {
            few += u8::from(byte == b',');
            odd |= u8::from(byte == b'"') | u8::from(byte == b'{') | u8::from(byte == b'[');
        }
        commas += u32::from(few);
        nested |= odd > 0;
    }
    match text {
        _ if nested => list.items().map_or(0, Iterator::count) as u32,
        b"]" => 0,
        _ => commas + 1,
    }
}
