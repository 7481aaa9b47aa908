//! The operations on a watched value: what was written, and who watched.

use std::collections::HashMap;

use super::calls::{Call, Calls, NONE, Pass, Stop, brief};
use crate::history::{Items, OpRef, Raw};
use crate::intern::{FastBuild, Interner};
use crate::{Process, Type};

/// A value: its writes and who saw it. Operations are named by their invocations; what is not there is `NONE`.
#[derive(Clone, Copy)]
pub(super) struct Event {
    /// The first write that did not fail, when one was acknowledged, and the first that failed.
    pub(super) write: u32,
    pub(super) acknowledged: u32,
    pub(super) failed: u32,
    pub(super) twice: bool,
    /// Its revision, who shows it, and whether it was the first value that was seen to have it.
    pub(super) revision: i64,
    pub(super) revision_by: u32,
    pub(super) has_revision: bool,
    /// When the first watch that has it completed.
    pub(super) seen: u32,
    /// 1 + the last watcher that was looked at and saw it.
    pub(super) watcher: u32,
    pub(super) next: Link,
}

/// A change that a watcher saw: its value, its revision, and the watch that has it.
pub(super) type Seen = (u32, Option<i64>, u32);

/// What a watcher saw next, and in which watches it saw the one and the other.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) to: u32,
    pub(super) from_by: u32,
    pub(super) to_by: u32,
}

const NEW: Event = Event {
    write: NONE,
    acknowledged: NONE,
    failed: NONE,
    twice: false,
    revision: 0,
    revision_by: NONE,
    has_revision: false,
    seen: NONE,
    watcher: 0,
    next: Link { to: NONE, from_by: NONE, to_by: NONE },
};

impl Event {
    /// Whether it is known to have this revision, and that no value that was seen before has it.
    #[inline]
    pub(super) fn is_at(&self, revision: i64) -> bool {
        self.has_revision && self.revision == revision
    }

    /// The watch that has it and completed first.
    pub(super) fn seen_by(&self, calls: &Calls<'_>) -> u32 {
        calls.completed(self.seen).map_or(NONE, Call::at)
    }
}

/// The writes, and the watches of each watcher.
#[derive(Default)]
pub(super) struct Watches {
    pub(super) ids: Interner,
    pub(super) events: Vec<Event>,
    watchers: HashMap<Process, u32, FastBuild>,
    /// By watcher: the operation of unknown outcome after which its process went on, or `NONE`.
    pub(super) resumed: Vec<u32>,
    /// The last operation of unknown outcome of each process.
    crashed: HashMap<Process, u32, FastBuild>,
    /// The watcher, and its watch: by its invocation, acknowledged or of unknown outcome. Any operation of unknown outcome
    /// is the last of a watcher.
    pub(super) ops: Vec<(u32, u32)>,
    /// Revisions that writes returned: the revision, the value, the write.
    pub(super) revisions: Vec<(i64, u32, u32)>,
    pub(super) writes: usize,
    pub(super) twice: Option<String>,
    /// The first write of a value that looks as if it were a revision and a value.
    pub(super) pair: Option<u32>,
}

impl<'a> Pass<'a> for Watches {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let process = call.invoke().process();
        if call.f() == "write" {
            self.write(call);
        } else if watches(call.f()) && call.kind() != Type::Fail {
            let resumed = &mut self.resumed;
            let watcher = *self.watchers.entry(process).or_insert_with(|| {
                resumed.push(self.crashed.get(&process).copied().unwrap_or(NONE));
                resumed.len() as u32 - 1
            });
            self.ops.push((watcher, call.at()));
        }
        if call.kind() == Type::Info {
            self.crashed.insert(process, call.at());
            if let Some(watcher) = self.watchers.remove(&process).filter(|_| !watches(call.f())) {
                self.ops.push((watcher, call.at()));
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.ids.memory_bytes()
            + self.events.capacity() * size_of::<Event>()
            + (self.watchers.capacity() + self.crashed.capacity()) * size_of::<(Process, u32)>()
            + self.resumed.capacity() * size_of::<u32>()
            + self.ops.capacity() * size_of::<(u32, u32)>()
            + self.revisions.capacity() * size_of::<(i64, u32, u32)>()
    }
}

impl Watches {
    #[inline]
    pub(super) fn event(&mut self, value: Raw<'_>) -> u32 {
        let id = self.ids.intern_raw(value);
        if id as usize == self.events.len() {
            self.events.push(NEW);
        }
        id
    }

    fn write(&mut self, call: Call<'_>) {
        let id = self.event(call.asked());
        if let Some((Raw::Int(_), _)) = call.asked().pair() {
            self.pair.get_or_insert(call.at());
        }
        let event = &mut self.events[id as usize];
        if call.kind() == Type::Fail {
            event.failed = event.failed.min(call.at());
            return;
        }
        event.twice |= event.write != NONE;
        event.write = event.write.min(call.at());
        if event.twice {
            let value = self.ids.value(id);
            let why = || format!("{value} was written several times: which change is seen is not known");
            self.twice.get_or_insert_with(why);
        }
        let Some(completion) = call.ok() else { return };
        self.writes += usize::from(event.acknowledged == NONE);
        event.acknowledged = event.acknowledged.min(completion.index() as u32);
        if let Some((Raw::Int(revision), value)) = completion.raw().pair()
            && value == call.asked()
        {
            self.revisions.push((revision, id, call.at()));
        }
    }

    /// The revision and the value of the next change of a log.
    #[inline(always)]
    pub(super) fn next(&mut self, log: &mut Items<'_>) -> Result<Option<(Option<i64>, u32)>, Stop> {
        // Most are such.
        if self.pair.is_none()
            && let Some((revision, value)) = log.next_small_pair()
        {
            return Ok(Some((Some(revision), self.event(Raw::Int(value)))));
        }
        log.next().map(|change| self.parts(change)).transpose()
    }

    /// The revision and the value of a change.
    pub(super) fn parts(&mut self, change: Raw<'_>) -> Result<(Option<i64>, u32), Stop> {
        let Some((Raw::Int(revision), value)) = change.pair() else { return Ok((None, self.event(change))) };
        if self.pair.is_none() {
            return Ok((Some(revision), self.event(value)));
        }
        let (whole, half) = (self.event(change), self.event(value));
        match (self.written(whole), self.written(half)) {
            (Some(_), Some(_)) => Err(Stop::Shape(format!(
                "the change {} may be that value, or {} at revision {revision}: both were written",
                brief(change),
                brief(value)
            ))),
            (None, Some(_)) => Ok((Some(revision), half)),
            _ => Ok((None, whole)),
        }
    }

    /// A write of a value, also one that failed.
    pub(super) fn written(&self, id: u32) -> Option<u32> {
        let event = self.events[id as usize];
        [event.write, event.failed].into_iter().find(|&by| by != NONE)
    }

    /// The last operation of unknown outcome of the process of this one after which it watched again, if that was before.
    pub(super) fn crash(&self, calls: &Calls<'_>, by: u32) -> Option<u32> {
        let process = |at: u32| calls.call(at).invoke().process();
        let before = self.resumed.iter().copied().filter(|&at| at != NONE && at < by);
        before.filter(|&at| process(at) == process(by)).max()
    }

    /// The first watch of the watcher of this one that has a change to a value.
    pub(super) fn first(&mut self, calls: &Calls<'_>, watch: u32, id: u32) -> u32 {
        let process = calls.call(watch).invoke().process();
        let crash = self.crash(calls, watch);
        let alike = |call: &Call<'_>| call.invoke().process() == process && watches(call.f());
        let mut mine = calls.iter().filter(|call| alike(call) && Some(call.at()) > crash);
        let mut has = |call: &Call<'_>| {
            let told = call.ok();
            let is = |change| self.parts(change).is_ok_and(|(_, value)| value == id);
            log(told).is_ok_and(|mut log| log.any(is))
        };
        mine.find(|call| has(call)).map_or(watch, Call::at)
    }
}

/// The changes that a watch returned; none for one that did not.
pub(super) fn log<'a>(event: Option<OpRef<'a>>) -> Result<Items<'a>, Stop> {
    let Some(event) = event else { return Ok(Items::EMPTY) };
    let value = event.raw();
    let list = value.entry("log").unwrap_or(value).items();
    list.ok_or_else(|| Stop::shape(event, "a watch returns a list of values or [revision, value]"))
}

pub(super) fn watches(f: &str) -> bool {
    matches!(f, "watch" | "final-watch" | "final_watch")
}
