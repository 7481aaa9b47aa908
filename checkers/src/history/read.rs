use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::awdit::AwditTest;
use super::cursor::Cursor;
use super::dbcop_text::DbcopText;
use super::error::{Misread, Parse, ReadError};
use super::fastlin::Fastlin;
use super::frames::Frames;
use super::jepsen_log::JepsenLog;
use super::jsonl::JsonLines;
use super::lines::read_lines;
use super::loader::Loader;
use super::plume::PlumeText;
use super::{Format, History, dbcop, dbcop_json, edn_op, json_op};

/// What the beginning of a text must show to tell its format.
const HEAD_BYTES: usize = 4096;

/// Some editors put it in front of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What a file of gzip begins with.
const GZIP: &[u8] = b"\x1f\x8b";

/// A history as it was read.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The events.
    pub history: History,
    /// The format it was read as.
    pub format: Format,
    /// What a person should know of the file, such as times that run backwards.
    pub warnings: Vec<String>,
    /// The file ended in the middle of a record, as after a crash. What was whole is in the history.
    pub torn: bool,
}

/// Reads a history in any format, plain or compressed with zstd. `name` is the file's, for messages.
pub fn read(bytes: &[u8], name: &str) -> Result<Parsed, ReadError> {
    read_as(bytes, name, None)
}

/// As [`read`], from a stream. JSON lines are not held in memory.
pub fn read_from(source: impl Read, name: &str) -> Result<Parsed, ReadError> {
    read_as(source, name, None)
}

/// As [`read`], from a file.
pub fn read_file(path: impl AsRef<Path>) -> Result<Parsed, ReadError> {
    let name = path.as_ref().display().to_string();
    read_from(File::open(path).map_err(|e| unreadable(&name, &e))?, &name)
}

/// As [`read_from`], in the format given or, if none is, the one that the content shows.
pub fn read_as(source: impl Read, name: &str, format: Option<Format>) -> Result<Parsed, ReadError> {
    let mut frames = Frames::new(source).map_err(|e| unreadable(name, &e))?;
    let mut head = Vec::new();
    (&mut frames).take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(|e| unreadable(name, &e))?;
    if head.starts_with(BYTE_ORDER_MARK) {
        head.drain(..BYTE_ORDER_MARK.len());
    }
    let format = match format.or_else(|| Format::detect(&head)) {
        Some(format) => format,
        None => {
            let names = Format::ALL.map(Format::name).join(", ");
            let wanted = match head.starts_with(GZIP) {
                true => {
                    "a history, and not one compressed with gzip: unpack it, as in zcat FILE | squall check -"
                        .to_owned()
                }
                false => format!("a history in one of the formats {names}"),
            };
            let misread = Cursor::new(&head).misread(wanted);
            return Err(misread.locate(name, &head, 1));
        }
    };
    let mut loader = Loader::new(format);
    stream(format, head.as_slice().chain(&mut frames), name, &mut loader)?;
    loader.torn |= frames.torn();
    loader.finish();
    Ok(Parsed { history: loader.history, format, warnings: loader.warnings, torn: loader.torn })
}

fn stream(format: Format, mut text: impl Read, name: &str, loader: &mut Loader) -> Result<(), ReadError> {
    let end = |end: Parse<()>| end.map_err(|misread| misread.locate(name, b"", 1));
    match format {
        Format::Jsonl => read_lines(text, name, &mut JsonLines { loader }),
        Format::JepsenLog => read_lines(text, name, &mut JepsenLog { loader }),
        Format::AwditTest => {
            let mut lines = AwditTest::new(loader);
            read_lines(text, name, &mut lines)?;
            end(lines.finish())
        }
        Format::PlumeText => {
            let mut lines = PlumeText::new(loader);
            read_lines(text, name, &mut lines)?;
            end(lines.finish())
        }
        Format::DbcopText => read_lines(text, name, &mut DbcopText::new(loader)),
        Format::Fastlin => {
            let mut lines = Fastlin::new(loader);
            read_lines(text, name, &mut lines)?;
            lines.finish();
            Ok(())
        }
        Format::Dbcop => dbcop::read_binary(text, name, loader),
        Format::JsonArray | Format::Edn | Format::KvEdn | Format::DbcopJson => {
            let mut all = Vec::new();
            text.read_to_end(&mut all).map_err(|e| unreadable(name, &e))?;
            let c = &mut Cursor::new(&all);
            let read = match format {
                Format::JsonArray => json_op::array(c, loader),
                Format::DbcopJson => dbcop_json::history(c, loader),
                _ => edn_op::history(c, format == Format::KvEdn, loader),
            };
            read.map_err(|misread| misread.locate(name, &all, 1))
        }
    }
}

fn unreadable(name: &str, error: &io::Error) -> ReadError {
    Misread::new(0, "a readable file", error.to_string()).locate(name, b"", 1)
}
