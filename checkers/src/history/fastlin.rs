//! fastlin's format: the type of the one object in a header (`# queue`), then `METHOD VALUE START END` a line. All operations
//! completed. What a method found empty returned is -1, here null.
//!
//! Of two events at one time a completion is earlier than an invocation, as fastlin sorts them: an operation comes before one that
//! starts when it ends. One that ends when it starts comes between the two.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::error::{Misread, Parse};
use super::lines::{Lines, end_of_line, is_blank};
use super::loader::Loader;
use super::sessions::Integer;
use super::value::Word;
use super::{EVENTS_MAX, Process, Type};

/// The methods that are called with the value.
const GIVEN: [&str; 8] =
    ["push", "enq", "insert", "remove", "push_front", "push_back", "contains_true", "contains_false"];

/// The methods that return the value.
const TAKEN: [&str; 8] = ["pop", "peek", "deq", "poll", "pop_front", "pop_back", "peek_front", "peek_back"];

/// The types of object.
pub(super) const OBJECTS: [&str; 5] = ["stack", "queue", "priorityqueue", "set", "deque"];

pub(super) struct Fastlin<'l> {
    loader: &'l mut Loader,
    rows: Vec<Row>,
}

struct Row {
    /// Into the given methods, then the taken ones.
    method: usize,
    value: Word,
    start: u64,
    end: u64,
}

impl<'l> Fastlin<'l> {
    pub(super) fn new(loader: &'l mut Loader) -> Fastlin<'l> {
        Fastlin { loader, rows: Vec::new() }
    }

    /// Puts the events in order. Each operation is by a client of its own: the file does not tell.
    pub(super) fn finish(&mut self) {
        // Time, then: completions, operations without length (invoked together before they complete together), invocations.
        let mut events: Vec<(u64, u8, u32)> = Vec::with_capacity(2 * self.rows.len());
        for (n, row) in self.rows.iter().enumerate() {
            let (invoke, complete) = if row.start == row.end { (1, 2) } else { (3, 0) };
            events.push((row.start, invoke, n as u32));
            events.push((row.end, complete, n as u32));
        }
        events.sort_unstable();
        let history = &mut self.loader.history;
        for (time_ns, class, n) in events {
            let row = &self.rows[n as usize];
            let (f, given) = match row.method.checked_sub(GIVEN.len()) {
                None => (GIVEN[row.method], true),
                Some(taken) => (TAKEN[taken], false),
            };
            let invokes = class % 2 == 1;
            let (kind, value) = match invokes {
                true => (Type::Invoke, if given { row.value } else { Word::NULL }),
                false => (Type::Ok, row.value),
            };
            let label = history.labels.intern(kind, f, || Cow::Borrowed(f), None);
            history.push_record(time_ns, Process::Client(n), label, value);
        }
    }

    fn row(&mut self, c: &mut Cursor<'_>) -> Parse<()> {
        let start = c.at;
        while c.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            c.at += 1;
        }
        let name = &c.text[start..c.at];
        let method = GIVEN.iter().chain(&TAKEN).position(|method| method.as_bytes() == name);
        let method = method.ok_or_else(|| {
            c.misread_since(start, format!("a method: {}, {}", GIVEN.join(", "), TAKEN.join(", ")))
        })?;
        c.skip_space();
        let value = Integer::read(c, "a value: an integer")?;
        c.skip_space();
        let from = time(c, "the time of its start: an integer from 0")?;
        c.skip_space();
        let at = c.at;
        let to = time(c, "the time of its end: an integer from 0")?;
        if to < from {
            return Err(c.misread_since(at, format!("an end no earlier than the start at {from}")));
        }
        if self.rows.len() >= EVENTS_MAX / 2 {
            return Err(Misread::new(start, format!("at most {EVENTS_MAX} events"), "one more"));
        }
        let empty = method >= GIVEN.len() && value == Integer::from(-1i64);
        let value = if empty { Word::NULL } else { self.loader.history.arena.encode(&value.to_value()) };
        self.rows.push(Row { method, value, start: from, end: to });
        Ok(())
    }
}

fn time(c: &mut Cursor<'_>, expected: &'static str) -> Parse<u64> {
    let start = c.at;
    Integer::read(c, expected)?.unsigned().ok_or_else(|| c.misread_since(start, expected))
}

/// The type of object that a header names; the cursor is behind it.
pub(super) fn header<'a>(c: &mut Cursor<'a>) -> Option<&'a str> {
    c.eat(b'#').then_some(())?;
    c.skip_space();
    let start = c.at;
    while c.peek().is_some_and(|b| b.is_ascii_lowercase()) {
        c.at += 1;
    }
    let name = str::from_utf8(&c.text[start..c.at]).ok()?;
    c.skip_space();
    (OBJECTS.contains(&name) && matches!(c.peek(), None | Some(b'\n'))).then_some(name)
}

impl Lines for Fastlin<'_> {
    fn line(&mut self, c: &mut Cursor<'_>, _line: usize) -> Parse<()> {
        if is_blank(c) {
            return Ok(());
        }
        if c.peek() != Some(b'#') {
            self.row(c)?;
            return end_of_line(c, "the end of the line");
        }
        let named = header(c);
        match named {
            Some(object) if self.loader.history.object().is_none() => self.loader.history.set_object(object),
            None if self.loader.history.object().is_none() => {
                return Err(c.misread(format!("# and a type: {}", OBJECTS.join(", "))));
            }
            // Further ones are comments.
            _ => {
                while !matches!(c.peek(), None | Some(b'\n')) {
                    c.at += 1;
                }
            }
        }
        Ok(())
    }

    fn loader(&mut self) -> &mut Loader {
        self.loader
    }
}

#[cfg(test)]
mod tests {
    use crate::history::{Format, read};

    #[test]
    fn rows_become_events_in_the_order_of_their_times() {
        let text = "# queue\nenq 2 0 1\ndeq 2 1 3\n# a comment\npeek -1 1 1\nenq 3 2 3\n";
        let parsed = read(text.as_bytes(), "h.log").unwrap();
        assert_eq!((parsed.format, parsed.history.object()), (Format::Fastlin, Some("queue")));
        assert!(parsed.history.has_real_time());
        let ops: Vec<String> =
            parsed.history.iter().map(|op| format!("{} {}", op.time_ns(), op.to_op())).collect();
        assert_eq!(
            ops,
            [
                "0 0\tinvoke\tenq\t2",
                "1 0\tok\tenq\t2",
                "1 2\tinvoke\tpeek\tnull",
                "1 2\tok\tpeek\tnull",
                "1 1\tinvoke\tdeq\tnull",
                "2 3\tinvoke\tenq\t3",
                "3 1\tok\tdeq\t2",
                "3 3\tok\tenq\t3",
            ]
        );
    }

    #[test]
    fn errors_name_the_place() {
        let message = |text: &str| read(text.as_bytes(), "h").unwrap_err().to_string();
        assert_eq!(
            message("# set\ninsert 1 5 4\n"),
            "h:2:12: expected an end no earlier than the start at 5, got `4`"
        );
        assert!(message("# set\nadd 1 5 4\n").starts_with("h:2:1: expected a method: push, enq"));
        assert!(message("# set\ninsert 1 -5 4\n").starts_with("h:2:10: expected the time of its start"));
    }
}
