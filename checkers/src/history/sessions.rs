//! Transactions of sessions, as the formats of AWDIT, Plume and dbcop tell them: `txn` operations over registers.
//!
//! These files have no times. Each session becomes a client, each transaction an invocation with its completion right
//! behind it, and the history has no real-time order.
//!
//! Where a format has no null, a read of an unwritten key shows as 0. PolySI, Plume and dbcop take 0 for the initial value of
//! every key; AWDIT adds a transaction that writes 0 to all keys, and writes it into what it converts. So a read of 0 is a
//! read of the initial value, unless somebody in the file writes 0 to that key.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;

use super::cursor::Cursor;
use super::error::{Misread, Parse};
use super::json::small_integer;
use super::loader::Loader;
use super::value::{Word, write_integer};
use super::{EVENTS_MAX, Process, Raw, Type};

/// A transaction under construction.
#[derive(Default)]
pub(super) struct Txn {
    /// What it asked for: JSON text, without the brackets around all. Reads are null.
    asked: Vec<u8>,
    /// The same with what the reads returned.
    told: Vec<u8>,
    reads: bool,
}

impl Txn {
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Key and value are JSON text.
    pub(super) fn write(&mut self, key: &[u8], value: &[u8]) {
        push(&mut self.asked, b"[\"w\",", key, value);
        push(&mut self.told, b"[\"w\",", key, value);
    }

    /// Key and value are JSON text; null is the initial value.
    pub(super) fn read(&mut self, key: &[u8], value: &[u8]) {
        self.reads = true;
        push(&mut self.asked, b"[\"r\",", key, b"null");
        push(&mut self.told, b"[\"r\",", key, value);
    }
}

fn push(out: &mut Vec<u8>, head: &[u8], key: &[u8], value: &[u8]) {
    out.extend_from_slice(if out.is_empty() { b"" } else { b"," });
    for part in [head, key, b",", value, b"]"] {
        out.extend_from_slice(part);
    }
}

/// Puts transactions into a history.
pub(super) struct Sessions<'l> {
    pub(super) loader: &'l mut Loader,
    zeros_read: HashSet<Integer>,
    zeros_written: HashSet<Integer>,
    /// A key and a value as JSON text.
    text: (Vec<u8>, Vec<u8>),
}

impl Sessions<'_> {
    pub(super) fn new(loader: &mut Loader) -> Sessions<'_> {
        loader.history.set_real_time(false);
        Sessions {
            loader,
            zeros_read: HashSet::new(),
            zeros_written: HashSet::new(),
            text: Default::default(),
        }
    }

    /// Adds a micro-operation on integers to a transaction, in a format where 0 may be the initial value.
    pub(super) fn mop(&mut self, txn: &mut Txn, writes: bool, key: Integer, value: Integer) {
        let (k, v) = &mut self.text;
        k.clear();
        v.clear();
        key.write(k);
        value.write(v);
        match (writes, value == Integer::ZERO) {
            (true, zero) => {
                txn.write(k, v);
                if zero {
                    self.zeros_written.insert(key);
                }
            }
            (false, false) => txn.read(k, v),
            (false, true) => {
                // Longer than 0: what it becomes if somebody wrote that fits in its place.
                txn.read(k, b"null");
                self.zeros_read.insert(key);
            }
        }
    }

    /// Appends a transaction of a session, and empties it. One without operations is left out.
    pub(super) fn push(&mut self, session: u32, txn: &mut Txn, committed: bool, at: usize) -> Parse<()> {
        if txn.is_empty() {
            return Ok(());
        }
        let history = &mut self.loader.history;
        if history.len() + 2 > EVENTS_MAX {
            return Err(Misread::new(at, format!("at most {EVENTS_MAX} events"), "one more"));
        }
        let asked = array(history, &txn.asked);
        let told = if txn.reads && committed { array(history, &txn.told) } else { asked };
        let end = if committed { Type::Ok } else { Type::Fail };
        for (kind, value) in [(Type::Invoke, asked), (end, told)] {
            let label = history.labels.intern(kind, "txn", || Cow::Borrowed("txn"), None);
            history.push_record(history.len() as u64, Process::Client(session), label, value);
        }
        txn.asked.clear();
        txn.told.clear();
        txn.reads = false;
        Ok(())
    }

    /// Settles, once all is read, which reads of 0 were of a 0 that somebody wrote.
    pub(super) fn finish(&mut self) {
        let written: HashSet<Integer> = self.zeros_read.intersection(&self.zeros_written).copied().collect();
        if written.is_empty() {
            return;
        }
        let history = &mut self.loader.history;
        let mut text = Vec::new();
        for record in &history.records {
            if history.labels.kind(record.label) == Type::Ok {
                text.clear();
                with_zeros(history.arena.raw(record.value), &written, &mut text);
                history.arena.shorten(record.value, &text);
            }
        }
    }
}

fn array(history: &mut super::History, mops: &[u8]) -> Word {
    history.arena.store(|bytes| {
        bytes.push(b'[');
        bytes.extend_from_slice(mops);
        bytes.push(b']');
    })
}

/// Appends a transaction in which reads of null from those keys are reads of 0.
fn with_zeros(txn: Raw<'_>, written: &HashSet<Integer>, out: &mut Vec<u8>) {
    let mut new = Txn::default();
    for mop in txn.items().into_iter().flatten() {
        let mut parts = mop.items().into_iter().flatten();
        let (Some(f), Some(key), Some(value)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let zero = value == Raw::Null && Integer::of(key).is_some_and(|key| written.contains(&key));
        let (mut k, mut v) = (Vec::new(), Vec::new());
        key.write_json(&mut k);
        if zero {
            v.push(b'0')
        } else {
            value.write_json(&mut v)
        }
        if f.plain_str() == Some("w") { new.write(&k, &v) } else { new.read(&k, &v) }
    }
    out.push(b'[');
    out.extend_from_slice(&new.told);
    out.push(b']');
}

/// An integer of 64 bits, with or without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Integer(i128);

impl Integer {
    pub(super) const ZERO: Integer = Integer(0);

    fn of(raw: Raw<'_>) -> Option<Integer> {
        match raw {
            Raw::Int(n) => Some(n.into()),
            Raw::Text(text) => str::from_utf8(text).ok()?.parse::<u64>().ok().map(Integer::from),
            _ => None,
        }
    }

    /// The integer under the cursor.
    pub(super) fn read(c: &mut Cursor<'_>, expected: &'static str) -> Parse<Integer> {
        if let Some((n, len)) = small_integer(&c.text[c.at..]) {
            c.at += len;
            return Ok(n.into());
        }
        let start = c.at;
        let negative = c.eat(b'-');
        if c.skip_digits() == 0 {
            c.at = start;
            return Err(c.misread(expected));
        }
        let digits = str::from_utf8(&c.text[start..c.at]).expect("digits are ASCII");
        let n = digits.parse::<i128>().ok().map(Integer);
        let fits = |n: &Integer| i64::try_from(n.0).is_ok() || (!negative && u64::try_from(n.0).is_ok());
        n.filter(fits).ok_or_else(|| c.misread_since(start, "an integer of 64 bits"))
    }

    /// As a client id.
    pub(super) fn client(self) -> Option<u32> {
        u32::try_from(self.0).ok().filter(|&id| id != u32::MAX)
    }

    /// As a time, or something else that is no less than 0.
    pub(super) fn unsigned(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }

    pub(super) fn to_value(self) -> Value {
        match i64::try_from(self.0) {
            Ok(n) => n.into(),
            Err(_) => (self.0 as u64).into(),
        }
    }

    /// Appends it as JSON.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match i64::try_from(self.0) {
            Ok(n) => write_integer(out, n),
            Err(_) => write_integer(out, self.0 as u64),
        }
    }
}

impl From<i64> for Integer {
    fn from(n: i64) -> Integer {
        Integer(n.into())
    }
}

impl From<u64> for Integer {
    fn from(n: u64) -> Integer {
        Integer(n.into())
    }
}
