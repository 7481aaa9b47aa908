//! The operations on logs, one after the other: what they tell of the logs, and where consumers and producers went.

use std::collections::HashMap;

use serde_json::Value;

use super::calls::{Call, Calls, NONE, Pass, Stop};
use super::kafka_log::{Form, Log, Told, Values};
use super::kafka_mops::{self, Failure, LIST, Sink};
use crate::history::Raw;
use crate::intern::{FastBuild, Interner};
use crate::{Budget, Process, Spent, Type};

/// Messages between two looks at the budget, in one operation.
const PACE: usize = 1 << 14;

/// Where a message lies, if that is known from the operation that has it: else its slot is `NONE`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) message: u32,
    pub(super) offset: i64,
}

/// The last message of a key that a client polled or sent, and by which operation.
#[derive(Clone, Copy)]
struct Last {
    place: Place,
    by: u32,
}

/// Which two messages of a key follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In the polls of one operation.
    IntPoll,
    /// The last of one operation that polls, and the first of the next of the same process.
    Poll,
    /// In the sends of one operation.
    IntSend,
    /// The last of one operation that sends, and the first of the next of the same process.
    Send,
}

/// Two messages of a key that follow each other, and may not be neighbours in its log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) kind: Kind,
    /// The consumer had subscribed: it may be moved at any time.
    pub(super) subscribed: bool,
    pub(super) key: u32,
    pub(super) from: Place,
    pub(super) from_by: u32,
    pub(super) to: Place,
    pub(super) to_by: u32,
}

/// A send of unknown outcome.
#[derive(Clone, Copy)]
struct Doubt {
    by: u32,
    key: u32,
    message: u32,
    offset: Option<i64>,
}

/// A process, as a consumer and as a producer.
#[derive(Default)]
struct Client {
    subscribed: bool,
    polled: HashMap<u32, Last, FastBuild>,
    sent: HashMap<u32, Last, FastBuild>,
}

/// All that the operations tell.
pub(super) struct Ops<'a> {
    budget: &'a Budget,
    pub(super) keys: Interner,
    pub(super) logs: Vec<Log>,
    values: Values,
    pub(super) steps: Vec<Step>,
    /// What operations polled that they had sent: the key, the message, the operation.
    pub(super) own: Vec<(u32, u32, u32)>,
    /// Operations of unknown outcome of which a message was polled, and by whom.
    pub(super) provers: HashMap<u32, u32, FastBuild>,
    /// Something was sent to a key that is no integer and no string.
    pub(super) odd: bool,
    doubts: Vec<Doubt>,
    /// By number of their process.
    clients: Vec<Client>,
    processes: Interner,
    /// The messages that the operation at hand polled, and what to put back when it is done, since it failed: the last
    /// that was sent to a key.
    row: Vec<(u32, u32)>,
    undo: Vec<(u32, Option<Last>)>,
    held: usize,
    tally_at: usize,
    known: usize,
}

impl<'a> Ops<'a> {
    pub(super) fn new(budget: &'a Budget) -> Ops<'a> {
        Ops {
            budget,
            keys: Interner::default(),
            logs: Vec::new(),
            values: Values::default(),
            steps: Vec::new(),
            own: Vec::new(),
            provers: HashMap::default(),
            odd: false,
            doubts: Vec::new(),
            clients: Vec::new(),
            processes: Interner::default(),
            row: Vec::new(),
            undo: Vec::new(),
            held: 0,
            tally_at: 0,
            known: 0,
        }
    }

    fn operation(&mut self, call: Call<'a>) -> Result<(), Stop> {
        match call.f() {
            "send" | "poll" | "txn" => self.transaction(call)?,
            "assign" | "subscribe" => self.assigned(call),
            _ => {}
        }
        // The session is over: what the process does next need not come after this, nor go on from where it was.
        if call.kind() == Type::Info {
            let client = self.client(call);
            client.polled.clear();
            client.sent.clear();
        }
        // The logs are many: their bytes are added up when there is more of them.
        if self.known >= self.tally_at {
            self.tally_at = self.known + self.known / 8 + 1024;
            self.held = self.logs_bytes() + self.keys.memory_bytes();
        }
        Ok(())
    }

    /// The client goes on where it was only with the keys that it has still.
    fn assigned(&mut self, call: Call<'a>) {
        if !matches!(call.complete().map(|event| event.kind()), Some(Type::Ok | Type::Info)) {
            return;
        }
        let subscribes = call.f() == "subscribe";
        let client = self.client(call);
        let was_subscribed = std::mem::replace(&mut client.subscribed, subscribes);
        let told = call.complete().and_then(|event| event.raw().items());
        let mut keys: Vec<u32> = match told.or_else(|| call.asked().items()) {
            Some(keys) if subscribes || !was_subscribed => keys.map(|key| self.key(key).0).collect(),
            _ => Vec::new(),
        };
        keys.sort_unstable();
        let client = self.client(call);
        client.polled.retain(|key, _| keys.binary_search(key).is_ok());
    }

    /// The number of a key, which is that of its name in what polls return, and what it is.
    fn key(&mut self, key: Raw<'_>) -> (u32, Form) {
        let printed;
        let (name, form) = match key {
            Raw::Int(_) => (key, Form::Int),
            Raw::Text(b"\"nil\"") => (Raw::Text(b"\"null\""), Form::Nil),
            Raw::Text([b'"', ..]) => (key.unquoted(), Form::String),
            _ => {
                printed = Value::from(key.to_value().to_string()).to_string();
                (Raw::Text(printed.as_bytes()), Form::Other)
            }
        };
        let number = self.keys.intern_raw(name);
        if number as usize >= self.logs.len() {
            self.logs.resize_with(number as usize + 1, Log::default);
        }
        (number, form)
    }

    fn transaction(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let told = call.complete().filter(|event| event.raw().items().is_some());
        let event = told.unwrap_or(call.invoke());
        let stop = |failure: Failure| match failure {
            Failure::Malformed(expected) => Stop::shape(event, expected),
            Failure::Spent(spent) => spent.into(),
        };
        let text = match event.raw() {
            Raw::Text(text) => text,
            Raw::Null => return Ok(()),
            _ => return Err(stop(LIST)),
        };
        let client = std::mem::take(self.client(call));
        let kind = call.kind();
        let mut txn =
            Transaction { ops: self, by: call.at(), kind, client, sends: false, polls: false, messages: 0 };
        kafka_mops::read(text, told.is_some(), &mut txn).map_err(stop)?;
        let Transaction { mut client, sends, polls, .. } = txn;
        for (key, last) in self.undo.drain(..) {
            match last {
                Some(last) => client.sent.insert(key, last),
                None => client.sent.remove(&key),
            };
        }
        // What it got may be lost to the consumer, or be polled again: nobody told how far it came.
        if polls && kind == Type::Fail {
            client.polled.clear();
        }
        *self.client(call) = client;
        if sends {
            let sent = |key: u32, message: u32| self.logs[key as usize].messages[message as usize].latest;
            let own = self.row.iter().filter(|&&(key, message)| sent(key, message) == call.at());
            self.own.extend(own.map(|&(key, message)| (key, message, call.at())));
        }
        self.row.clear();
        Ok(())
    }

    /// The process of an operation.
    fn client(&mut self, call: Call<'_>) -> &mut Client {
        let process = match call.invoke().process() {
            Process::Client(id) => id.into(),
            Process::Nemesis => -1,
        };
        let number = self.processes.intern_raw(Raw::Int(process)) as usize;
        if number == self.clients.len() {
            self.clients.push(Client::default());
        }
        &mut self.clients[number]
    }

    /// Once all is read: a send of unknown outcome took effect if a message of the same operation was polled. Then the
    /// offsets are put in order.
    pub(super) fn settle(&mut self, calls: &Calls<'_>) -> Result<(), Stop> {
        for group in self.doubts.chunk_by(|a, b| a.by == b.by) {
            let polled =
                |doubt: &Doubt| self.logs[doubt.key as usize].messages[doubt.message as usize].polled;
            let Some(prover) = group.iter().map(polled).find(|&by| by != NONE) else { continue };
            self.provers.insert(group[0].by, prover);
            for doubt in group {
                let log = &mut self.logs[doubt.key as usize];
                if let Some(offset) = doubt.offset {
                    log.put(offset, doubt.message, doubt.by);
                }
                let message = &mut log.messages[doubt.message as usize];
                message.committed = message.committed.min(doubt.by);
            }
        }
        for log in &mut self.logs {
            calls.budget.ask()?;
            log.sort();
        }
        let unclear: Vec<bool> = (0..self.logs.len() as u32).map(|key| self.unclear(key).is_some()).collect();
        self.steps.retain(|step| !unclear[step.key as usize]);
        self.own.retain(|own| !unclear[own.0 as usize]);
        Ok(())
    }

    /// The log of a key, whose messages can be told.
    pub(super) fn log(&self, key: u32) -> Told<'_> {
        Told { log: &self.logs[key as usize], values: &self.values }
    }

    /// What the logs and the messages take.
    pub(super) fn logs_bytes(&self) -> usize {
        self.logs.iter().map(Log::memory_bytes).sum::<usize>() + self.values.memory_bytes()
    }

    /// Why the log of a key is not judged, if it is not.
    pub(super) fn unclear(&self, key: u32) -> Option<String> {
        let log = &self.logs[key as usize];
        let unknown = self.odd && log.form.is_none() && !log.messages.is_empty();
        if !log.mixed && !unknown {
            return None;
        }
        let name = match self.keys.value(key) {
            Value::String(name) => name,
            other => other.to_string(),
        };
        Some(match log.mixed {
            true => format!(
                "{name} and \"{name}\" are both sent to, and in what a poll returns they have one name"
            ),
            false => format!(
                "nobody sends to a key of the name {name}, of which a poll has messages: but some keys are neither \
                 integers nor strings, and may have another name there"
            ),
        })
    }
}

/// An operation that is read.
struct Transaction<'o, 'a> {
    ops: &'o mut Ops<'a>,
    by: u32,
    kind: Type,
    client: Client,
    sends: bool,
    polls: bool,
    messages: usize,
}

impl Sink for Transaction<'_, '_> {
    #[inline]
    fn key(&mut self, sends: bool, key: Raw<'_>) -> u32 {
        let (key, form) = self.ops.key(key);
        if sends {
            let log = &mut self.ops.logs[key as usize];
            log.mixed |= *log.form.get_or_insert(form) != form;
            self.ops.odd |= form == Form::Other;
        }
        key
    }

    #[inline(always)]
    fn value(&mut self, key: u32, value: Raw<'_>) -> u32 {
        let log = &mut self.ops.logs[key as usize];
        let before = log.messages.len();
        let message = self.ops.values.message(value, key, log);
        self.ops.known += log.messages.len() - before;
        message
    }

    fn message(&mut self, sends: bool, key: u32, offset: Option<i64>, message: u32) -> Result<(), Spent> {
        self.sends |= sends;
        self.messages += 1;
        if self.messages.is_multiple_of(PACE) {
            self.ops.budget.ask()?;
        }
        let (by, kind) = (self.by, self.kind);
        let log = &mut self.ops.logs[key as usize];
        // What a send of unknown outcome says of its offset counts only if it took effect.
        let known_offset = offset.filter(|_| !sends || kind == Type::Ok);
        let before = log.slots.len();
        let slot = known_offset.map_or(NONE, |offset| log.put(offset, message, by));
        self.ops.known += log.slots.len() - before;
        let known = &mut log.messages[message as usize];
        if sends {
            known.latest = by;
            match kind {
                Type::Fail => known.failed = known.failed.min(by),
                _ => {
                    known.twice |= known.sent != NONE;
                    known.sent = known.sent.min(by);
                }
            }
            match kind {
                Type::Ok => known.committed = known.committed.min(by),
                Type::Fail => {}
                _ => self.ops.doubts.push(Doubt { by, key, message, offset }),
            }
        } else {
            if kind == Type::Ok && known.polled == NONE {
                known.polled = by;
            }
            self.ops.row.push((key, message));
        }
        let place = Place { slot, message, offset: known_offset.unwrap_or(0) };
        self.follow(sends, key, Last { place, by });
        Ok(())
    }

    fn polls(&mut self) {
        self.polls = true;
    }
}

impl Transaction<'_, '_> {
    /// A client goes on from the last message of a key to this one.
    fn follow(&mut self, sends: bool, key: u32, to: Last) {
        let kind = self.kind;
        let lasts = if sends { &mut self.client.sent } else { &mut self.client.polled };
        let from = lasts.insert(key, to);
        let internal = from.is_some_and(|from| from.by == to.by);
        // A send that failed is none. What follows another outcome than an acknowledgement has no last message.
        if !internal && sends && kind == Type::Fail {
            self.ops.undo.push((key, from));
        }
        let Some(from) = from.filter(|_| internal || !sends || kind != Type::Fail) else { return };
        let kind = match (sends, internal) {
            (false, true) => Kind::IntPoll,
            (false, false) => Kind::Poll,
            (true, true) => Kind::IntSend,
            (true, false) => Kind::Send,
        };
        let forward = from.place.slot != NONE && to.place.slot != NONE && from.place.offset < to.place.offset;
        let neighbours = from.place.offset.checked_add(1) == Some(to.place.offset);
        if !(forward && (neighbours || kind == Kind::Send)) {
            let subscribed = self.client.subscribed && !sends;
            let (from, from_by) = (from.place, from.by);
            self.ops.steps.push(Step { kind, subscribed, key, from, from_by, to: to.place, to_by: to.by });
        }
    }
}

impl<'a> Pass<'a> for Ops<'a> {
    /// An operation that never completes tells what it tells when it begins.
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        if call.complete().is_none() { self.operation(call) } else { Ok(()) }
    }

    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        self.operation(call)
    }

    fn bytes(&self) -> usize {
        self.held
            + self.steps.capacity() * size_of::<Step>()
            + self.doubts.capacity() * size_of::<Doubt>()
            + self.own.capacity() * size_of::<(u32, u32, u32)>()
            + self.clients.capacity() * size_of::<Client>()
            + self.processes.memory_bytes()
    }
}
