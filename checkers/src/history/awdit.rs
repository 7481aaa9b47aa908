//! AWDIT's test format: `w KEY VALUE` and `r KEY VALUE`, a line of dashes after a transaction, one of equals signs after a
//! session. Its generator ends with one more session that writes 0 to every key. Nothing aborts.

use super::cursor::Cursor;
use super::error::{Misread, Parse};
use super::lines::{Lines, end_of_line, is_blank};
use super::loader::Loader;
use super::sessions::{Integer, Sessions, Txn};

pub(super) struct AwditTest<'l> {
    sessions: Sessions<'l>,
    txn: Txn,
    session: u32,
    /// Whether the session has a transaction.
    begun: bool,
}

impl<'l> AwditTest<'l> {
    pub(super) fn new(loader: &'l mut Loader) -> AwditTest<'l> {
        AwditTest { sessions: Sessions::new(loader), txn: Txn::default(), session: 0, begun: false }
    }

    /// Ends the last transaction.
    pub(super) fn finish(&mut self) -> Parse<()> {
        self.end_txn(0)?;
        self.sessions.finish();
        Ok(())
    }

    fn end_txn(&mut self, at: usize) -> Parse<()> {
        self.begun |= !self.txn.is_empty();
        self.sessions.push(self.session, &mut self.txn, true, at)
    }

    fn end_session(&mut self, at: usize) -> Parse<()> {
        self.end_txn(at)?;
        self.session += u32::from(std::mem::take(&mut self.begun));
        if self.session == u32::MAX {
            return Err(Misread::new(at, "at most 4294967294 sessions", "one more"));
        }
        Ok(())
    }
}

impl Lines for AwditTest<'_> {
    fn line(&mut self, c: &mut Cursor<'_>, _line: usize) -> Parse<()> {
        if is_blank(c) {
            return Ok(());
        }
        let at = c.at;
        match c.peek() {
            Some(b'-') => {
                while c.eat(b'-') {}
                self.end_txn(at)?;
            }
            Some(b'=') => {
                while c.eat(b'=') {}
                self.end_session(at)?;
            }
            Some(f @ (b'r' | b'w')) => {
                c.at += 1;
                gap(c)?;
                let key = Integer::read(c, "a key: an integer")?;
                gap(c)?;
                let value = Integer::read(c, "a value: an integer")?;
                self.sessions.mop(&mut self.txn, f == b'w', key, value);
            }
            _ => return Err(c.misread("\"r KEY VALUE\", \"w KEY VALUE\", dashes or equals signs")),
        }
        end_of_line(c, "the end of the line")
    }

    fn loader(&mut self) -> &mut Loader {
        self.sessions.loader
    }
}

fn gap(c: &mut Cursor<'_>) -> Parse<()> {
    let start = c.at;
    c.skip_space();
    if c.at > start { Ok(()) } else { Err(c.misread("a space")) }
}

#[cfg(test)]
mod tests {
    use crate::history::{Format, read};

    #[test]
    fn sessions_are_clients_and_an_unwritten_zero_is_the_initial_value() {
        let text = "w 1 5\nr 2 0\n---\nr 1 0\n\n=====\n=====\nw 2 0\n-----\n-----\nr 1 5\n";
        let parsed = read(text.as_bytes(), "h.txt").unwrap();
        assert_eq!(parsed.format, Format::AwditTest);
        assert!(!parsed.history.has_real_time());
        let ops: Vec<String> = parsed.history.iter().map(|op| op.to_op().to_string()).collect();
        assert_eq!(
            ops,
            [
                "0\tinvoke\ttxn\t[[\"w\",1,5],[\"r\",2,null]]",
                "0\tok\ttxn\t[[\"w\",1,5],[\"r\",2,0]]",
                "0\tinvoke\ttxn\t[[\"r\",1,null]]",
                "0\tok\ttxn\t[[\"r\",1,null]]",
                "1\tinvoke\ttxn\t[[\"w\",2,0]]",
                "1\tok\ttxn\t[[\"w\",2,0]]",
                "1\tinvoke\ttxn\t[[\"r\",1,null]]",
                "1\tok\ttxn\t[[\"r\",1,5]]",
            ]
        );
    }
}
