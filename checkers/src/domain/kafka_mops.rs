//! The messages that an operation on logs sends and polls, in one pass over its text.

use crate::history::{Raw, Scan};

/// A message that an operation sends to a key, or polls from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mop<'a> {
    pub(super) sends: bool,
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

/// It is not of that shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Malformed;

impl<'a> Mops<'a> {
    pub(super) fn of(text: &'a [u8], told: bool) -> Mops<'a> {
        Mops { scan: Scan::new(text), at: At::Start, told }
    }

    /// The next message; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Mop<'a>>, Malformed> {
        while !matches!(self.at, At::End) {
            if let Some(mop) = self.step().ok_or(Malformed)? {
                return Ok(Some(mop));
            }
        }
        Ok(None)
    }

    /// Goes on to what comes next, which may be a message; none if that has no place there.
    fn step(&mut self) -> Option<Option<Mop<'a>>> {
        match self.at {
            At::Start => {
                self.eat(b'[')?;
                self.at = if self.scan.eat(b']') { At::End } else { At::Mop };
            }
            At::Mop => return self.mop(),
            At::MopEnd if self.scan.eat(b',') => self.at = At::Mop,
            At::MopEnd => {
                self.eat(b']')?;
                self.scan.is_done().then_some(())?;
                self.at = At::End;
            }
            At::Key => {
                let key = self.scan.name()?;
                self.at = At::KeyEnd;
                if !self.scan.eat(b'[') {
                    (self.scan.item()? == Raw::Null).then_some(())?;
                } else if !self.scan.eat(b']') {
                    self.at = At::Message(key);
                }
            }
            At::Message(key) => return self.message(key).map(Some),
            At::KeyEnd if self.scan.eat(b',') => self.at = At::Key,
            At::KeyEnd => {
                self.eat(b'}')?;
                self.eat(b']')?;
                self.at = At::MopEnd;
            }
            At::End => {}
        }
        Some(None)
    }

    fn mop(&mut self) -> Option<Option<Mop<'a>>> {
        self.eat(b'[')?;
        let f = self.scan.item()?.plain_str()?;
        self.at = At::MopEnd;
        match f.strip_prefix(':').unwrap_or(f) {
            "send" => {
                self.eat(b',')?;
                let key = self.scan.item()?.unquoted();
                self.eat(b',')?;
                let value = self.scan.item()?;
                self.eat(b']')?;
                let (at, value) = value.pair().filter(|_| self.told).unwrap_or((Raw::Null, value));
                Some(Some(Mop { sends: true, key, offset: offset(at)?, value }))
            }
            "poll" if self.scan.eat(b']') => Some(None),
            "poll" => {
                self.eat(b',')?;
                if !self.scan.eat(b'{') {
                    (self.scan.item()? == Raw::Null).then_some(())?;
                    self.eat(b']')?;
                } else if self.scan.eat(b'}') {
                    self.eat(b']')?;
                } else {
                    self.at = At::Key;
                }
                Some(None)
            }
            _ => None,
        }
    }

    fn message(&mut self, key: Raw<'a>) -> Option<Mop<'a>> {
        self.eat(b'[')?;
        let at = self.scan.item()?;
        self.eat(b',')?;
        let value = self.scan.item()?;
        self.eat(b']')?;
        if !self.scan.eat(b',') {
            self.eat(b']')?;
            self.at = At::KeyEnd;
        }
        Some(Mop { sends: false, key, offset: offset(at)?, value })
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.scan.eat(byte).then_some(())
    }
}

/// An integer, or null where it is not known.
fn offset(at: Raw<'_>) -> Option<Option<i64>> {
    match at {
        Raw::Int(offset) => Some(Some(offset)),
        Raw::Null => Some(None),
        _ => None,
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
        for text in ["1", "[1]", "[[]]", r#"[["r",1]]"#, r#"[["send",1]]"#, r#"[["poll",{"0":[1]}]]"#] {
            assert_eq!(all(text), Err(Malformed), "{text}");
        }
        assert_eq!(all(r#"[["poll",{"0":[["a",1]]}]]"#), Err(Malformed), "an offset is an integer");
    }
}
