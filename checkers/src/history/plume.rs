//! The text format of Plume and PolySI: `r(KEY,VALUE,SESSION,TXN)` or `w(KEY,VALUE,SESSION,TXN)` a line. The initial value of every
//! key is 0, and AWDIT writes -1 for a transaction that aborted.

use std::collections::{HashMap, HashSet};

use super::cursor::Cursor;
use super::error::Parse;
use super::lines::{Lines, end_of_line, is_blank};
use super::loader::Loader;
use super::sessions::{Integer, Sessions, Txn};

pub(super) struct PlumeText<'l> {
    sessions: Sessions<'l>,
    /// The transaction that each session is in. In order of appearance, so that equal files give equal histories.
    open: Vec<Open>,
    index: HashMap<u32, usize>,
    /// Those that have ended.
    ended: HashSet<(u32, Integer)>,
}

struct Open {
    session: u32,
    id: Integer,
    txn: Txn,
}

impl<'l> PlumeText<'l> {
    pub(super) fn new(loader: &'l mut Loader) -> PlumeText<'l> {
        let sessions = Sessions::new(loader);
        PlumeText { sessions, open: Vec::new(), index: HashMap::new(), ended: HashSet::new() }
    }

    /// Ends the transactions that are open.
    pub(super) fn finish(&mut self) -> Parse<()> {
        for open in &mut self.open {
            self.sessions.push(open.session, &mut open.txn, true, 0)?;
        }
        self.sessions.finish();
        Ok(())
    }

    /// The transaction of that name, in which its session is from now on.
    fn enter(&mut self, session: u32, id: Integer, at: usize) -> Parse<Option<usize>> {
        let slot = *self.index.entry(session).or_insert(self.open.len());
        if slot == self.open.len() {
            self.open.push(Open { session, id, txn: Txn::default() });
        }
        let open = &mut self.open[slot];
        if open.id != id {
            self.ended.insert((session, open.id));
            self.sessions.push(session, &mut open.txn, true, at)?;
            open.id = id;
        }
        Ok((!self.ended.contains(&(session, id))).then_some(slot))
    }
}

impl Lines for PlumeText<'_> {
    fn line(&mut self, c: &mut Cursor<'_>, _line: usize) -> Parse<()> {
        if is_blank(c) {
            return Ok(());
        }
        let at = c.at;
        let writes = c.peek() == Some(b'w');
        if !writes && c.peek() != Some(b'r') {
            return Err(c.misread("\"r(KEY,VALUE,SESSION,TXN)\" or \"w(...)\""));
        }
        c.at += 1;
        let mut open = b'(';
        let mut starts = [0; 4];
        let mut numbers = [Integer::ZERO; 4];
        for (n, expected) in
            ["a key: an integer", "a value: an integer", "a session", "a transaction"].iter().enumerate()
        {
            c.expect(open, if n == 0 { "\"(\"" } else { "\",\"" })?;
            c.skip_space();
            starts[n] = c.at;
            numbers[n] = Integer::read(c, expected)?;
            c.skip_space();
            open = b',';
        }
        c.expect(b')', "\")\"")?;
        let [key, value, session, id] = numbers;
        let session = session.client().ok_or_else(|| {
            c.at = starts[2];
            c.misread("a session from 0 to 4294967294")
        })?;
        if id == Integer::from(-1i64) {
            let mut aborted = Txn::default();
            self.sessions.mop(&mut aborted, writes, key, value);
            self.sessions.push(session, &mut aborted, false, at)?;
        } else {
            let Some(slot) = self.enter(session, id, at)? else {
                c.at = starts[3];
                return Err(c.misread("the lines of a transaction in one piece"));
            };
            self.sessions.mop(&mut self.open[slot].txn, writes, key, value);
        }
        end_of_line(c, "the end of the line")
    }

    fn loader(&mut self) -> &mut Loader {
        self.sessions.loader
    }
}

#[cfg(test)]
mod tests {
    use crate::history::{Format, read};

    #[test]
    fn sessions_may_interleave_and_what_aborted_failed() {
        let text = "w(1,5,3,0)\nr(1,0,7,1)\nr(2,9,3,0)\nw(1,6,7,-1)\nw(2,9,7,1)\r\n\nr(1,5,7,2)";
        let parsed = read(text.as_bytes(), "h.txt").unwrap();
        assert_eq!(parsed.format, Format::PlumeText);
        assert!(!parsed.history.has_real_time() && !parsed.torn);
        let ops: Vec<String> = parsed.history.iter().map(|op| op.to_op().to_string()).collect();
        assert_eq!(
            ops,
            [
                "7\tinvoke\ttxn\t[[\"w\",1,6]]",
                "7\tfail\ttxn\t[[\"w\",1,6]]",
                "7\tinvoke\ttxn\t[[\"r\",1,null],[\"w\",2,9]]",
                "7\tok\ttxn\t[[\"r\",1,null],[\"w\",2,9]]",
                "3\tinvoke\ttxn\t[[\"w\",1,5],[\"r\",2,null]]",
                "3\tok\ttxn\t[[\"w\",1,5],[\"r\",2,9]]",
                "7\tinvoke\ttxn\t[[\"r\",1,null]]",
                "7\tok\ttxn\t[[\"r\",1,5]]",
            ]
        );
        let error = read(b"w(1,5,3,0)\nw(1,6,3,1)\nw(1,7,3,0)\n", "h.txt").unwrap_err();
        assert_eq!(error.to_string(), "h.txt:3:9: expected the lines of a transaction in one piece, got `0`");
    }
}
