//! What is known of a key's log: which message lies at which offset, who sent it, who polled it.

use std::collections::HashMap;
use std::ops::Deref;

use super::calls::NONE;
use crate::history::Raw;
use crate::intern::{FastBuild, Interner};

/// An offset at which some message lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) offset: i64,
    /// The message, and an operation that shows it there.
    pub(super) message: u32,
    pub(super) by: u32,
    /// Another message that lies there too, and who shows that; `NONE` if there is none.
    pub(super) other: u32,
    pub(super) other_by: u32,
}

/// A value that was sent to the key or polled from it. Operations are named by their invocations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// Its number among the values.
    value: u32,
    /// The slots of its least and its greatest offset, and who shows it there; `NONE` if none is known.
    pub(super) first: u32,
    pub(super) first_by: u32,
    pub(super) last: u32,
    pub(super) last_by: u32,
    /// The first send that did not fail, the first that did, and the one that completed last.
    pub(super) sent: u32,
    pub(super) failed: u32,
    pub(super) latest: u32,
    /// A send that certainly took effect.
    pub(super) committed: u32,
    /// The acknowledged poll of it that completed first.
    pub(super) polled: u32,
    /// Several sends of it may have taken effect.
    pub(super) twice: bool,
}

const NEW: Message = Message {
    value: NONE,
    first: NONE,
    first_by: NONE,
    last: NONE,
    last_by: NONE,
    sent: NONE,
    failed: NONE,
    latest: NONE,
    committed: NONE,
    polled: NONE,
    twice: false,
};

impl Message {
    /// Whether it is known to lie at several offsets.
    pub(super) fn is_duplicate(&self) -> bool {
        self.first != self.last
    }
}

/// What a key is that is sent to. In what polls return it is a name: of all these there may be one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Int,
    String,
    /// The string `nil`, as which EDN's null is read where it is a name.
    Nil,
    /// Null, a boolean, another number, a list or a map.
    Other,
}

/// A key's log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Of the key that was sent to; and whether it was sent to another of the same name, so that nobody knows what
    /// polls saw.
    pub(super) form: Option<Form>,
    pub(super) mixed: bool,
    offsets: Interner,
    pub(super) slots: Vec<Slot>,
    pub(super) messages: Vec<Message>,
    /// For each slot the one of the next offset that is known, once all are.
    next: Vec<u32>,
}

/// The values of all messages.
#[derive(Default)]
pub(super) struct Values {
    ids: Interner,
    /// By number: the first key to which the value was sent, and the message. Most are sent to one key.
    first: Vec<(u32, u32)>,
    /// The messages of other keys.
    others: HashMap<(u32, u32), u32, FastBuild>,
}

impl Values {
    /// The message of a value in the log of a key; a new one is added.
    #[inline]
    pub(super) fn message(&mut self, value: Raw<'_>, key: u32, log: &mut Log) -> u32 {
        let id = self.ids.intern_raw(value);
        let next = log.messages.len() as u32;
        if id as usize == self.first.len() {
            self.first.push((key, next));
        }
        let message = match self.first[id as usize] {
            (first, message) if first == key => message,
            _ => *self.others.entry((key, id)).or_insert(next),
        };
        if message == next {
            log.messages.push(Message { value: id, ..NEW });
        }
        message
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.ids.memory_bytes()
            + self.first.capacity() * size_of::<(u32, u32)>()
            + self.others.capacity() * (size_of::<((u32, u32), u32)>() + 1) * 8 / 7
    }
}

/// A log whose messages can be told.
#[derive(Clone, Copy)]
pub(super) struct Told<'l> {
    pub(super) log: &'l Log,
    pub(super) values: &'l Values,
}

impl Told<'_> {
    /// The value of a message.
    pub(super) fn value(self, message: u32) -> serde_json::Value {
        self.values.ids.value(self.log.messages[message as usize].value)
    }
}

impl Deref for Told<'_> {
    type Target = Log;

    fn deref(&self) -> &Log {
        self.log
    }
}

impl Log {
    /// An operation shows a message at an offset: the slot.
    pub(super) fn put(&mut self, offset: i64, message: u32, by: u32) -> u32 {
        let at = self.offsets.intern_raw(Raw::Int(offset));
        if at as usize == self.slots.len() {
            self.slots.push(Slot { offset, message, by, other: NONE, other_by: NONE });
        }
        let slot = &mut self.slots[at as usize];
        if slot.message != message && slot.other == NONE {
            (slot.other, slot.other_by) = (message, by);
        }
        let known = self.messages[message as usize];
        let offset_of = |slot: u32| self.slots[slot as usize].offset;
        let first = known.first == NONE || offset < offset_of(known.first);
        let last = known.last == NONE || offset > offset_of(known.last);
        let message = &mut self.messages[message as usize];
        if first {
            (message.first, message.first_by) = (at, by);
        }
        if last {
            (message.last, message.last_by) = (at, by);
        }
        at
    }

    /// Puts the slots in order.
    pub(super) fn sort(&mut self) {
        let mut order: Vec<u32> = (0..self.slots.len() as u32).collect();
        order.sort_by_key(|&slot| self.slots[slot as usize].offset);
        self.next = vec![NONE; order.len()];
        order.windows(2).for_each(|pair| self.next[pair[0] as usize] = pair[1]);
    }

    /// The slot of the next offset that is known, if it is below this one.
    pub(super) fn between(&self, from: u32, below: i64) -> Option<Slot> {
        let next = self.slots.get(self.next[from as usize] as usize)?;
        (next.offset < below).then_some(*next)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.offsets.memory_bytes()
            // The order of the slots is made while their next ones are.
            + self.slots.capacity() * (size_of::<Slot>() + 2 * size_of::<u32>())
            + self.messages.capacity() * size_of::<Message>()
            + size_of::<Log>()
    }
}
