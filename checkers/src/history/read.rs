use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::cursor::Cursor;
use super::error::{Misread, Parse, ReadError};
use super::frames::Frames;
use super::loader::Loader;
use super::{Format, History, edn_op, jepsen_log, json_op, jsonl};

/// What the beginning of a text must show to tell its format.
const HEAD_BYTES: usize = 4096;

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
    let format = match format.or_else(|| Format::detect(&head)) {
        Some(format) => format,
        None => {
            let names = Format::ALL.map(Format::name).join(", ");
            let misread = Cursor::new(&head).misread(format!("a history in one of the formats {names}"));
            return Err(misread.locate(name, &head, 1));
        }
    };
    let mut loader = Loader::new(format);
    if format == Format::Jsonl {
        jsonl::read_lines(head.as_slice().chain(&mut frames), name, &mut loader)?;
    } else {
        let mut text = head;
        frames.read_to_end(&mut text).map_err(|e| unreadable(name, &e))?;
        whole(format, &text, &mut loader).map_err(|misread| misread.locate(name, &text, 1))?;
    }
    loader.torn |= frames.torn();
    loader.finish();
    Ok(Parsed { history: loader.history, format, warnings: loader.warnings, torn: loader.torn })
}

fn whole(format: Format, text: &[u8], loader: &mut Loader) -> Parse<()> {
    let mut c = Cursor::new(text);
    match format {
        Format::Jsonl => unreachable!("JSON lines are streamed"),
        Format::JsonArray => json_op::array(&mut c, loader),
        Format::Edn => edn_op::history(&mut c, false, loader),
        Format::KvEdn => edn_op::history(&mut c, true, loader),
        Format::JepsenLog => jepsen_log::history(text, loader),
    }
}

fn unreadable(name: &str, error: &io::Error) -> ReadError {
    Misread::new(0, "a readable file", error.to_string()).locate(name, b"", 1)
}
