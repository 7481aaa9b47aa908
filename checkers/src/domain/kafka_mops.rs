//! The messages that an operation on logs sends and polls, in one pass over its text.

use crate::history::{Raw, Scan};

/// A message that an operation sends to a key, or polls from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mop<'a> {
    pub(super) sends: bool,
    /// The key of a send, or its name in what a poll returns.
    pub(super) key: Raw<'a>,
    /// Where it lies in the key's log, if that is known.
    pub(super) offset: Option<i64>,
    pub(super) value: Raw<'a>,
}

/// A walk over `[["send", key, value], ["poll", {key: [[offset, value], …], …}], …]`.
pub(super) struct Mops<'a> {
    scan: Scan<'a>,
    at: At<'a>,
    /// Whether a message that was sent is `[offset, value]`: so in completions.
    told: bool,
    /// Whether there was a poll so far, with messages or without.
    pub(super) polls: bool,
}

#[derive(Clone, Copy)]
enum At<'a> {
    Start,
    Mop,
    MopEnd,
    /// In a poll: before a key, before a message of this key, and after the messages of a key.
    Key,
    Message(Raw<'a>),
    KeyEnd,
    End,
}

/// It is not of that shape: what was expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Malformed(pub(super) &'static str);

pub(super) const LIST: Malformed =
    Malformed(r#"an operation is a list of ["send", key, message] and ["poll"]"#);
const SEND: Malformed =
    Malformed(r#"a send is ["send", key, message], and ["send", key, [offset, message]] once it is done"#);
const POLL: Malformed =
    Malformed(r#"a poll is ["poll"], and ["poll", {key: [[offset, message], …], …}] once it is done"#);
const OFFSET: Malformed = Malformed("an offset is an integer, or null where it is not known");

impl<'a> Mops<'a> {
    pub(super) fn of(text: &'a [u8], told: bool) -> Mops<'a> {
        Mops { scan: Scan::new(text), at: At::Start, told, polls: false }
    }

    /// The next message; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Mop<'a>>, Malformed> {
        while !matches!(self.at, At::End) {
            if let Some(mop) = self.step()? {
                return Ok(Some(mop));
            }
        }
        Ok(None)
    }

    /// Goes on to what comes next, which may be a message.
    fn step(&mut self) -> Result<Option<Mop<'a>>, Malformed> {
        match self.at {
            At::Start => {
                self.eat(b'[', LIST)?;
                self.at = if self.scan.eat(b']') { At::End } else { At::Mop };
            }
            At::Mop => return self.mop(),
            At::MopEnd if self.scan.eat(b',') => self.at = At::Mop,
            At::MopEnd => {
                self.eat(b']', LIST)?;
                self.scan.is_done().then_some(()).ok_or(LIST)?;
                self.at = At::End;
            }
            At::Key => {
                let key = self.scan.name().ok_or(POLL)?;
                self.at = At::KeyEnd;
                if !self.scan.eat(b'[') {
                    self.null(POLL)?;
                } else if !self.scan.eat(b']') {
                    self.at = At::Message(key);
                }
            }
            At::Message(key) => return self.message(key).map(Some),
            At::KeyEnd if self.scan.eat(b',') => self.at = At::Key,
            At::KeyEnd => {
                self.eat(b'}', POLL)?;
                self.eat(b']', POLL)?;
                self.at = At::MopEnd;
            }
            At::End => {}
        }
        Ok(None)
    }

    fn mop(&mut self) -> Result<Option<Mop<'a>>, Malformed> {
        self.eat(b'[', LIST)?;
        let f = self.item(LIST)?.plain_str().ok_or(LIST)?;
        self.at = At::MopEnd;
        self.polls |= f.ends_with("poll");
        match f.strip_prefix(':').unwrap_or(f) {
            "send" => {
                self.eat(b',', SEND)?;
                let key = self.item(SEND)?;
                self.eat(b',', SEND)?;
                let value = self.item(SEND)?;
                self.eat(b']', SEND)?;
                let (at, value) = value.pair().filter(|_| self.told).unwrap_or((Raw::Null, value));
                Ok(Some(Mop { sends: true, key, offset: offset(at)?, value }))
            }
            "poll" if self.scan.eat(b']') => Ok(None),
            "poll" => {
                self.eat(b',', POLL)?;
                if !self.scan.eat(b'{') {
                    self.null(POLL)?;
                    self.eat(b']', POLL)?;
                } else if self.scan.eat(b'}') {
                    self.eat(b']', POLL)?;
                } else {
                    self.at = At::Key;
                }
                Ok(None)
            }
            _ => Err(LIST),
        }
    }

    fn message(&mut self, key: Raw<'a>) -> Result<Mop<'a>, Malformed> {
        self.eat(b'[', POLL)?;
        let at = self.item(POLL)?;
        self.eat(b',', POLL)?;
        let value = self.item(POLL)?;
        self.eat(b']', POLL)?;
        if !self.scan.eat(b',') {
            self.eat(b']', POLL)?;
            self.at = At::KeyEnd;
        }
        Ok(Mop { sends: false, key, offset: offset(at)?, value })
    }

    fn eat(&mut self, byte: u8, expected: Malformed) -> Result<(), Malformed> {
        self.scan.eat(byte).then_some(()).ok_or(expected)
    }

    fn item(&mut self, expected: Malformed) -> Result<Raw<'a>, Malformed> {
        self.scan.item().ok_or(expected)
    }

    fn null(&mut self, expected: Malformed) -> Result<(), Malformed> {
        self.scan.item().filter(|item| *item == Raw::Null).map(drop).ok_or(expected)
    }
}

fn offset(at: Raw<'_>) -> Result<Option<i64>, Malformed> {
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

    fn all(text: &str) -> Result<Vec<Plain>, Malformed> {
        let mut mops = Mops::of(text.as_bytes(), true);
        let mut all = Vec::new();
        while let Some(mop) = mops.next()? {
            let text = |value: Raw<'_>| value.to_value().to_string();
            all.push((mop.sends, text(mop.key), mop.offset, text(mop.value)));
        }
        Ok(all)
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
