//! dbcop's text format: transactions such as `[x:=1 y==2 z==?]`, with `!` behind one that did not commit, a line of dashes between
//! sessions, comments behind `//`.

use super::cursor::Cursor;
use super::error::{Misread, Parse};
use super::lines::{Lines, is_blank};
use super::loader::Loader;
use super::sessions::{Integer, Sessions, Txn};

pub(super) struct DbcopText<'l> {
    sessions: Sessions<'l>,
    session: u32,
}

impl<'l> DbcopText<'l> {
    pub(super) fn new(loader: &'l mut Loader) -> DbcopText<'l> {
        DbcopText { sessions: Sessions::new(loader), session: 0 }
    }
}

impl Lines for DbcopText<'_> {
    fn line(&mut self, c: &mut Cursor<'_>, _line: usize) -> Parse<()> {
        while !is_blank(c) {
            match c.peek() {
                Some(b'/') => {
                    c.literal("//")?;
                    while !matches!(c.peek(), None | Some(b'\n')) {
                        c.at += 1;
                    }
                }
                Some(b'-') => {
                    let at = c.at;
                    while c.eat(b'-') {}
                    if self.session + 1 == u32::MAX {
                        return Err(Misread::new(at, "at most 4294967294 sessions", "one more"));
                    }
                    self.session += 1;
                }
                Some(b'[') => self.txn(c)?,
                _ => return Err(c.misread("a transaction in brackets, dashes or a comment")),
            }
        }
        Ok(())
    }

    fn loader(&mut self) -> &mut Loader {
        self.sessions.loader
    }
}

impl DbcopText<'_> {
    fn txn(&mut self, c: &mut Cursor<'_>) -> Parse<()> {
        let at = c.at;
        let mut txn = Txn::default();
        c.at += 1;
        loop {
            c.skip_space();
            if c.eat(b']') {
                break;
            }
            event(c, &mut txn)?;
        }
        let committed = !c.eat(b'!');
        self.sessions.push(self.session, &mut txn, committed, at)
    }
}

fn event(c: &mut Cursor<'_>, txn: &mut Txn) -> Parse<()> {
    let start = c.at;
    while c.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
        c.at += 1;
    }
    if c.at == start {
        return Err(c.misread("a variable or \"]\""));
    }
    let key = [b"\"", &c.text[start..c.at], b"\""].concat();
    let writes = c.peek() == Some(b':');
    if !writes && c.peek() != Some(b'=') {
        return Err(c.misread("\":=\" or \"==\""));
    }
    c.at += 1;
    c.expect(b'=', "\"=\"")?;
    if !writes && c.eat(b'?') {
        txn.read(&key, b"null");
        return Ok(());
    }
    let mut value = Vec::new();
    Integer::read(c, "a version: an integer")?.write(&mut value);
    if writes {
        txn.write(&key, &value)
    } else {
        txn.read(&key, &value)
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::history::{Format, read};

    #[test]
    fn transactions_in_brackets() {
        let text = "// session 1\n[x:=1 y==?] [y==2]!\n[x==0]\n---\n\n[]\n[y:=2]// done\n";
        let parsed = read(text.as_bytes(), "h.hist").unwrap();
        assert_eq!(parsed.format, Format::DbcopText);
        assert!(!parsed.history.has_real_time());
        let ops: Vec<String> = parsed.history.iter().map(|op| op.to_op().to_string()).collect();
        assert_eq!(
            ops,
            [
                "0\tinvoke\ttxn\t[[\"w\",\"x\",1],[\"r\",\"y\",null]]",
                "0\tok\ttxn\t[[\"w\",\"x\",1],[\"r\",\"y\",null]]",
                "0\tinvoke\ttxn\t[[\"r\",\"y\",null]]",
                "0\tfail\ttxn\t[[\"r\",\"y\",null]]",
                "0\tinvoke\ttxn\t[[\"r\",\"x\",null]]",
                "0\tok\ttxn\t[[\"r\",\"x\",0]]",
                "1\tinvoke\ttxn\t[[\"w\",\"y\",2]]",
                "1\tok\ttxn\t[[\"w\",\"y\",2]]",
            ]
        );
    }
}
