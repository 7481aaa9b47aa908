//! The messages that an operation on logs sends and polls, in one pass over its text.

use crate::Spent;
use crate::history::{Raw, Scan};

/// Who is told of the messages.
pub(super) trait Sink {
    /// The number of the key of a send, or of its name in what a poll returns.
    fn key(&mut self, sends: bool, key: Raw<'_>) -> u32;

    /// The number of the value of a message.
    fn value(&mut self, key: u32, value: Raw<'_>) -> u32;

    /// The operation sends this to a key, or polls it from there; where it lies in the key's log, if that is known.
    fn message(&mut self, sends: bool, key: u32, offset: Option<i64>, value: u32) -> Result<(), Spent>;

    /// The operation polls, with messages or without.
    fn polls(&mut self);
}

/// Why the messages were not read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Failure {
    /// It is not of that shape: what was expected.
    Malformed(&'static str),
    Spent(Spent),
}

impl From<Spent> for Failure {
    fn from(spent: Spent) -> Failure {
        Failure::Spent(spent)
    }
}

pub(super) const LIST: Failure =
    Failure::Malformed(r#"an operation is a list of ["send", key, message] and ["poll"]"#);
const SEND: Failure = Failure::Malformed(
    r#"a send is ["send", key, message], and ["send", key, [offset, message]] once it is done"#,
);
const POLL: Failure = Failure::Malformed(
    r#"a poll is ["poll"], and ["poll", {key: [[offset, message], …], …}] once it is done"#,
);
const OFFSET: Failure = Failure::Malformed("an offset is an integer, or null where it is not known");

/// Reads `[["send", key, value], ["poll", {key: [[offset, value], …], …}], …]`. Where the operation is done, `told`, a value
/// that was sent is `[offset, value]`.
pub(super) fn read(text: &[u8], told: bool, sink: &mut impl Sink) -> Result<(), Failure> {
    let mut scan = Scan::new(text);
    eat(&mut scan, b'[', LIST)?;
    if scan.eat(b']') {
        return Ok(());
    }
    loop {
        if scan.eat_text(br#"["send""#) || scan.eat_text(br#"[":send""#) {
            send(&mut scan, told, sink)?;
        } else if scan.eat_text(br#"["poll""#) || scan.eat_text(br#"[":poll""#) {
            sink.polls();
            poll(&mut scan, sink)?;
        } else {
            return Err(LIST);
        }
        if !scan.eat(b',') {
            eat(&mut scan, b']', LIST)?;
            return scan.is_done().then_some(()).ok_or(LIST);
        }
    }
}

fn send(scan: &mut Scan<'_>, told: bool, sink: &mut impl Sink) -> Result<(), Failure> {
    eat(scan, b',', SEND)?;
    let key = scan.item_to(|key| sink.key(true, key)).ok_or(SEND)?;
    eat(scan, b',', SEND)?;
    let message = scan.item_to(|value| {
        let (at, value) = value.pair().filter(|_| told).unwrap_or((Raw::Null, value));
        (offset(at), sink.value(key, value))
    });
    let (offset, value) = message.ok_or(SEND)?;
    eat(scan, b']', SEND)?;
    Ok(sink.message(true, key, offset?, value)?)
}

fn poll(scan: &mut Scan<'_>, sink: &mut impl Sink) -> Result<(), Failure> {
    if scan.eat(b']') {
        return Ok(());
    }
    eat(scan, b',', POLL)?;
    if scan.eat_text(b"null") || scan.eat_text(b"{}") {
        return eat(scan, b']', POLL);
    }
    eat(scan, b'{', POLL)?;
    loop {
        let name = scan.name().ok_or(POLL)?;
        if !scan.eat_text(b"null") && !scan.eat_text(b"[]") {
            let key = sink.key(false, name);
            messages(scan, key, sink)?;
        }
        if !scan.eat(b',') {
            eat(scan, b'}', POLL)?;
            return eat(scan, b']', POLL);
        }
    }
}

/// The messages of a key in a poll.
fn messages(scan: &mut Scan<'_>, key: u32, sink: &mut impl Sink) -> Result<(), Failure> {
    eat(scan, b'[', POLL)?;
    loop {
        eat(scan, b'[', POLL)?;
        let offset = scan.item_to(offset).ok_or(POLL)??;
        eat(scan, b',', POLL)?;
        let value = scan.item_to(|value| sink.value(key, value)).ok_or(POLL)?;
        eat(scan, b']', POLL)?;
        sink.message(false, key, offset, value)?;
        if !scan.eat(b',') {
            return eat(scan, b']', POLL);
        }
    }
}

#[inline]
fn eat(scan: &mut Scan<'_>, byte: u8, expected: Failure) -> Result<(), Failure> {
    scan.eat(byte).then_some(()).ok_or(expected)
}

#[inline]
fn offset(at: Raw<'_>) -> Result<Option<i64>, Failure> {
    match at {
        Raw::Int(offset) => Ok(Some(offset)),
        Raw::Null => Ok(None),
        _ => Err(OFFSET),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Plain = (bool, String, Option<i64>, String);

    /// What was told; keys and values are numbered as they come.
    #[derive(Default)]
    struct Told {
        texts: Vec<String>,
        all: Vec<Plain>,
    }

    impl Told {
        fn number(&mut self, value: Raw<'_>) -> u32 {
            self.texts.push(value.to_value().to_string());
            self.texts.len() as u32 - 1
        }
    }

    impl Sink for Told {
        fn key(&mut self, _sends: bool, key: Raw<'_>) -> u32 {
            self.number(key)
        }

        fn value(&mut self, _key: u32, value: Raw<'_>) -> u32 {
            self.number(value)
        }

        fn message(&mut self, sends: bool, key: u32, offset: Option<i64>, value: u32) -> Result<(), Spent> {
            let text = |number: u32| self.texts[number as usize].clone();
            self.all.push((sends, text(key), offset, text(value)));
            Ok(())
        }

        fn polls(&mut self) {}
    }

    fn all(text: &str) -> Result<Vec<Plain>, Failure> {
        let mut told = Told::default();
        read(text.as_bytes(), true, &mut told)?;
        Ok(told.all)
    }

    #[test]
    fn messages_come_in_order_and_anything_else_is_malformed() {
        let text = r#"[["send",3,[7,1]],["send","x",[null,"a"]],[":poll"],["poll",{}],["poll",null],
            ["poll",{"0":[[1,10],[2,[5]]],"y":[],"1":[[null,3]]}],["send",0,9]]"#;
        let text: String = text.split_whitespace().collect();
        let own = |sends, key: &str, offset, value: &str| (sends, key.to_owned(), offset, value.to_owned());
        let expected = vec![
            own(true, "3", Some(7), "1"),
            own(true, "\"x\"", None, "\"a\""),
            own(false, "0", Some(1), "10"),
            own(false, "0", Some(2), "[5]"),
            own(false, "1", None, "3"),
            own(true, "0", None, "9"),
        ];
        assert_eq!(all(&text).unwrap(), expected);
        assert_eq!(all("[]").unwrap(), []);
        // All was one and the same error, which did not say what was wrong.
        for (text, expected) in [
            ("1", LIST),
            ("[1]", LIST),
            ("[[]]", LIST),
            (r#"[["r",1]]"#, LIST),
            (r#"[["send",1]]"#, SEND),
            (r#"[["send",1,["a",2]]]"#, OFFSET),
            (r#"[["poll",[]]]"#, POLL),
            (r#"[["poll",{"0":[1]}]]"#, POLL),
            (r#"[["poll",{"0":[["a",1]]}]]"#, OFFSET),
        ] {
            assert_eq!(all(text), Err(expected), "{text}");
        }
    }
}
