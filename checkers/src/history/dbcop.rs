//! dbcop's binary format: its `History` of 2019 as bincode writes it (integers of 8 bytes, little endian, lengths before
//! sequences and strings, booleans of one byte).
//!
//! `{id, nodes, variables, transactions, events, info, start, end, [[{[{write, variable, value, success}], success}]]}`. The value of
//! an unwritten variable is 0. A write that did not succeed, in a transaction that did, was undone.

use std::io::{self, Read};

use super::error::{Misread, ReadError};
use super::loader::Loader;
use super::sessions::{Integer, Sessions, Txn};

/// Whether a text begins as such a file does: after five integers stands a string, and then a date.
pub(super) fn is_binary(text: &[u8]) -> bool {
    let string_at = |at: usize| {
        let len = text.get(at..at + 8)?;
        let len = usize::try_from(u64::from_le_bytes(len.try_into().expect("8 bytes"))).ok()?;
        let start = at + 8;
        text.get(start..start.checked_add(len)?)
    };
    let date = string_at(40).and_then(|info| string_at(48 + info.len()));
    date.is_some_and(|date| date.len() >= 10 && date[..4].iter().all(u8::is_ascii_digit) && date[4] == b'-')
}

/// Why reading stopped.
enum Stop {
    End,
    Wrong { expected: &'static str, got: String },
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Stop::End,
            _ => Stop::Wrong { expected: "readable data", got: error.to_string() },
        }
    }
}

/// Reads a history. One that breaks off is torn; in an error the column is the byte.
pub(super) fn read_binary(source: impl Read, file: &str, loader: &mut Loader) -> Result<(), ReadError> {
    let mut bytes = Bytes { source: io::BufReader::new(source), at: 0 };
    let mut sessions = Sessions::new(loader);
    let read = history(&mut bytes, &mut sessions);
    sessions.finish();
    match read {
        Ok(()) => Ok(()),
        Err(Stop::End) => {
            loader.torn = true;
            Ok(())
        }
        Err(Stop::Wrong { expected, got }) => {
            let column = bytes.at.max(1);
            Err(ReadError { column, ..Misread::new(0, expected, got).locate(file, b"", 1) })
        }
    }
}

fn history(bytes: &mut Bytes<impl Read>, sessions: &mut Sessions<'_>) -> Result<(), Stop> {
    for _ in 0..5 {
        bytes.integer()?;
    }
    for _ in 0..3 {
        let len = bytes.integer()?;
        bytes.skip(len)?;
    }
    for session in 0..bytes.integer()? {
        let id = u32::try_from(session).ok().filter(|&id| id != u32::MAX);
        let id = id.ok_or(Stop::Wrong { expected: "at most 4294967294 sessions", got: "one more".into() })?;
        for _ in 0..bytes.integer()? {
            txn(bytes, sessions, id)?;
        }
    }
    match bytes.boolean() {
        Err(Stop::End) => Ok(()),
        _ => Err(Stop::Wrong { expected: "the end of the file after the history", got: "more".into() }),
    }
}

fn txn(bytes: &mut Bytes<impl Read>, sessions: &mut Sessions<'_>, session: u32) -> Result<(), Stop> {
    let (mut txn, mut undone) = (Txn::default(), Txn::default());
    for _ in 0..bytes.integer()? {
        let writes = bytes.boolean()?;
        let (key, value) = (bytes.integer()?, bytes.integer()?);
        let success = bytes.boolean()?;
        if success || writes {
            let txn = if success { &mut txn } else { &mut undone };
            sessions.mop(txn, writes, Integer::from(key), Integer::from(value));
        }
    }
    let committed = bytes.boolean()?;
    for (txn, committed) in [(&mut undone, false), (&mut txn, committed)] {
        sessions
            .push(session, txn, committed, 0)
            .map_err(|misread| Stop::Wrong { expected: "fewer transactions", got: misread.got })?;
    }
    Ok(())
}

struct Bytes<R> {
    source: io::BufReader<R>,
    /// How many were read.
    at: usize,
}

impl<R: Read> Bytes<R> {
    fn integer(&mut self) -> Result<u64, Stop> {
        let mut bytes = [0; 8];
        self.source.read_exact(&mut bytes)?;
        self.at += 8;
        Ok(u64::from_le_bytes(bytes))
    }

    fn boolean(&mut self) -> Result<bool, Stop> {
        let mut byte = [0];
        self.source.read_exact(&mut byte)?;
        self.at += 1;
        match byte[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Stop::Wrong { expected: "a boolean: byte 0 or 1", got: other.to_string() }),
        }
    }

    fn skip(&mut self, len: u64) -> Result<(), Stop> {
        let skipped = io::copy(&mut (&mut self.source).take(len), &mut io::sink())?;
        self.at += skipped as usize;
        if skipped < len { Err(Stop::End) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use crate::history::{Format, read, read_as};

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        let integer = |out: &mut Vec<u8>, n: u64| out.extend_from_slice(&n.to_le_bytes());
        (0..5).for_each(|n| integer(&mut out, n));
        for text in ["generated", "2019-04-05T12:00:00+00:00", "2019-04-05T12:00:01+00:00"] {
            integer(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        integer(&mut out, 2);
        type Session = &'static [(&'static [(u8, u64, u64, u8)], u8)];
        let sessions: [Session; 2] = [
            &[(&[(1, 7, 1, 1), (0, 8, 0, 1), (1, 9, 5, 0)], 1), (&[(1, 7, 2, 1)], 0)],
            &[(&[(0, 7, 1, 1)], 1)],
        ];
        for session in sessions {
            integer(&mut out, session.len() as u64);
            for (events, success) in session {
                integer(&mut out, events.len() as u64);
                for (write, variable, value, success) in *events {
                    out.push(*write);
                    integer(&mut out, *variable);
                    integer(&mut out, *value);
                    out.push(*success);
                }
                out.push(*success);
            }
        }
        out
    }

    #[test]
    fn bincode_of_2019() {
        let parsed = read(&sample(), "history.bincode").unwrap();
        assert_eq!(parsed.format, Format::Dbcop);
        assert!(!parsed.history.has_real_time() && !parsed.torn);
        let ops: Vec<String> = parsed.history.iter().map(|op| op.to_op().to_string()).collect();
        assert_eq!(
            ops,
            [
                "0\tinvoke\ttxn\t[[\"w\",9,5]]",
                "0\tfail\ttxn\t[[\"w\",9,5]]",
                "0\tinvoke\ttxn\t[[\"w\",7,1],[\"r\",8,null]]",
                "0\tok\ttxn\t[[\"w\",7,1],[\"r\",8,null]]",
                "0\tinvoke\ttxn\t[[\"w\",7,2]]",
                "0\tfail\ttxn\t[[\"w\",7,2]]",
                "1\tinvoke\ttxn\t[[\"r\",7,null]]",
                "1\tok\ttxn\t[[\"r\",7,1]]",
            ]
        );
    }

    #[test]
    fn what_breaks_off_is_torn_and_what_is_wrong_is_told_by_its_byte() {
        let bytes = sample();
        for cut in 0..bytes.len() {
            let parsed = read_as(&bytes[..cut], "h", Some(Format::Dbcop)).unwrap();
            assert!(parsed.torn && parsed.history.len() < 8, "{cut}");
        }
        let mut wrong = bytes.clone();
        let last = wrong.len() - 1;
        wrong[last] = 9;
        let error = read(&wrong, "h").unwrap_err();
        assert_eq!(error.to_string(), format!("h:1:{}: expected a boolean: byte 0 or 1, got 9", last + 1));
        wrong[last] = 1;
        wrong.push(1);
        assert!(read(&wrong, "h").unwrap_err().to_string().contains("the end of the file"));
    }
}
