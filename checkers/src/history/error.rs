use std::borrow::Cow;
use std::fmt;

/// Why a history could not be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// Name of the file, as the caller gave it.
    pub file: String,
    /// Line, from 1. In a compressed file: of the text inside.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What should have stood there.
    pub expected: String,
    /// What stood there instead.
    pub got: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReadError { file, line, column, expected, got } = self;
        write!(f, "{file}:{line}:{column}: expected {expected}, got {got}")
    }
}

impl std::error::Error for ReadError {}

/// A [`ReadError`] before its offset became a line and a column.
#[derive(Debug)]
pub(super) struct Misread {
    /// Byte offset into the text under the cursor.
    pub(super) at: usize,
    pub(super) expected: Cow<'static, str>,
    pub(super) got: String,
    /// The text ended where more was needed: what a torn line looks like.
    pub(super) at_end: bool,
}

/// Boxed, because the hot paths return it by value.
pub(super) type Parse<T> = Result<T, Box<Misread>>;

impl Misread {
    pub(super) fn new(
        at: usize,
        expected: impl Into<Cow<'static, str>>,
        got: impl Into<String>,
    ) -> Box<Misread> {
        Box::new(Misread { at, expected: expected.into(), got: got.into(), at_end: false })
    }

    /// The error of a misread in `text`, whose first line is line `first_line` of `file`.
    pub(super) fn locate(self, file: &str, text: &[u8], first_line: usize) -> ReadError {
        let before = &text[..self.at.min(text.len())];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        ReadError {
            file: file.to_owned(),
            line: first_line + count_newlines(before),
            column: 1 + before[line_start..].iter().filter(|&&b| b & 0xC0 != 0x80).count(),
            expected: self.expected.into_owned(),
            got: self.got,
        }
    }
}

/// The line of an offset, for offsets that rise.
#[derive(Debug)]
pub(super) struct LineCounter {
    line: usize,
    counted: usize,
}

impl LineCounter {
    pub(super) fn new() -> LineCounter {
        LineCounter { line: 1, counted: 0 }
    }

    pub(super) fn line(&mut self, text: &[u8], at: usize) -> usize {
        self.line += count_newlines(&text[self.counted..at]);
        self.counted = at;
        self.line
    }
}

fn count_newlines(text: &[u8]) -> usize {
    text.iter().filter(|&&b| b == b'\n').count()
}
