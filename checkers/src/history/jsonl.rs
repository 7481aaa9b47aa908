//! JSON lines, streamed.

use std::io::{self, Read};

use super::cursor::Cursor;
use super::error::{Misread, ReadError};
use super::json_op;
use super::loader::Loader;

/// The first buffer; it grows when a line does not fit.
const BUFFER_BYTES: usize = 1 << 17;

/// A longer line is an error: it bounds the memory that a corrupt file can take.
const LINE_BYTES_MAX: usize = 1 << 28;

/// Reads lines from `source` to its end. A last line without its newline that breaks off is torn, not an error.
pub(super) fn read_lines(mut source: impl Read, file: &str, loader: &mut Loader) -> Result<(), ReadError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut len, mut line) = (0, 1);
    loop {
        if len == buffer.len() {
            if len >= LINE_BYTES_MAX {
                let misread =
                    Misread::new(0, format!("a line of at most {LINE_BYTES_MAX} bytes"), "a longer one");
                return Err(misread.locate(file, b"", line));
            }
            buffer.resize(2 * len, 0);
        }
        let read = match source.read(&mut buffer[len..]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Misread::new(0, "readable data", e.to_string()).locate(file, b"", line)),
            Ok(read) => read,
        };
        let new = len..len + read;
        len += read;
        if read == 0 {
            return last_line(&buffer[..len], file, line, loader);
        }
        let Some(end) = buffer[new.clone()].iter().rposition(|&b| b == b'\n').map(|at| new.start + at + 1)
        else {
            continue;
        };
        lines(&buffer[..end], file, &mut line, loader)?;
        buffer.copy_within(end..len, 0);
        len -= end;
    }
}

/// Reads whole lines, each with its newline.
fn lines(text: &[u8], file: &str, line: &mut usize, loader: &mut Loader) -> Result<(), ReadError> {
    let mut c = Cursor { text, at: 0, one_line: true };
    while c.at < text.len() {
        let start = c.at;
        one(&mut c, *line, loader).map_err(|mut misread| {
            misread.at -= start;
            misread.locate(file, &text[start..], *line)
        })?;
        c.at += 1;
        *line += 1;
    }
    Ok(())
}

fn last_line(text: &[u8], file: &str, line: usize, loader: &mut Loader) -> Result<(), ReadError> {
    // A crash of the machine can leave zeros where data was to come.
    let end = text.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
    loader.torn |= end < text.len();
    let text = &text[..end];
    match one(&mut Cursor { text, at: 0, one_line: true }, line, loader) {
        Err(misread) if misread.at_end => {
            loader.torn = true;
            Ok(())
        }
        other => other.map_err(|misread| misread.locate(file, text, line)),
    }
}

/// Reads one line and stops before its newline.
fn one(c: &mut Cursor<'_>, line: usize, loader: &mut Loader) -> Result<(), Box<Misread>> {
    c.skip_space();
    if !matches!(c.peek(), None | Some(b'\n')) {
        let fields = json_op::op(c, loader)?;
        loader.push(&fields, line)?;
        c.skip_space();
    }
    match c.peek() {
        None | Some(b'\n') => Ok(()),
        Some(_) => Err(c.misread("the end of the line after the operation")),
    }
}
