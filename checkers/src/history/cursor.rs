use std::borrow::Cow;

use super::error::{Misread, Parse};

/// Nesting beyond this is an error: no recorded value comes near, and what uses a value may recurse.
pub(super) const DEPTH_MAX: usize = 512;

/// Longest piece of input that an error message quotes, in characters.
const SNIPPET_MAX: usize = 40;

/// A place in a text, with the moves that every parser of this crate needs.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    /// A newline ends the record: it is not white space.
    pub(super) one_line: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { text, at: 0, one_line: false }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The rest of the text.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Parse<()> {
        if self.eat(byte) { Ok(()) } else { Err(self.misread(expected)) }
    }

    /// Steps over `word` or faults at the first byte that differs.
    pub(super) fn literal(&mut self, word: &'static str) -> Parse<()> {
        for &byte in word.as_bytes() {
            if !self.eat(byte) {
                return Err(self.misread(word));
            }
        }
        Ok(())
    }

    /// JSON's white space.
    #[inline]
    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            if self.one_line && self.peek() == Some(b'\n') {
                return;
            }
            self.at += 1;
        }
    }

    pub(super) fn skip_digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    /// The misread of not finding `expected` here.
    #[cold]
    pub(super) fn misread(&self, expected: impl Into<Cow<'static, str>>) -> Box<Misread> {
        let mut misread = Misread::new(self.at, expected, self.describe(self.at));
        misread.at_end = self.at >= self.text.len();
        misread
    }

    /// The misread of not finding `expected` at `start`, where a whole token stands that ends here.
    #[cold]
    pub(super) fn misread_since(&self, start: usize, expected: impl Into<Cow<'static, str>>) -> Box<Misread> {
        let got = if start < self.at { quote(&self.text[start..self.at]) } else { self.describe(start) };
        Misread::new(start, expected, got)
    }

    /// What stands at `at`, up to where a token would end.
    fn describe(&self, at: usize) -> String {
        let rest = &self.text[at.min(self.text.len())..];
        match rest.first() {
            None if self.one_line => "the end of the line".into(),
            None => "the end of the file".into(),
            Some(b'\n') => "the end of the line".into(),
            Some(b'"') => {
                let end = rest[1..].iter().position(|b| b"\"\n".contains(b)).map_or(rest.len(), |n| n + 2);
                quote(&rest[..end])
            }
            Some(_) => {
                let end = rest.iter().position(|b| b" \t\r\n,:[]{}()\"".contains(b)).unwrap_or(rest.len());
                quote(&rest[..end.max(1)])
            }
        }
    }
}

/// Input as an error shows it: as it stands, but cut, and without control characters.
fn quote(token: &[u8]) -> String {
    let text = String::from_utf8_lossy(&token[..token.len().min(4 * SNIPPET_MAX)]);
    let mut out = String::new();
    for (n, c) in text.trim_end().chars().enumerate() {
        if n == SNIPPET_MAX {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if token.first().is_some_and(|b| b"\"[{(:".contains(b)) && token.len() > 1 {
        out
    } else {
        format!("`{out}`")
    }
}
