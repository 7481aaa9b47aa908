//! Formats of one record a line, streamed: a file is never held as text.

use std::io::{self, Read};

use super::cursor::Cursor;
use super::error::{Misread, Parse, ReadError};
use super::loader::Loader;

/// The first buffer; it grows when a line does not fit.
const BUFFER_BYTES: usize = 1 << 17;

/// A longer line is an error: it bounds the memory that a corrupt file can take.
const LINE_BYTES_MAX: usize = 1 << 28;

/// A format of lines.
pub(super) trait Lines {
    /// Takes the line under the cursor, which stops before its newline.
    fn line(&mut self, c: &mut Cursor<'_>, line: usize) -> Parse<()>;

    /// What the lines are put into.
    fn loader(&mut self) -> &mut Loader;
}

/// Reads lines from `source` to its end. A last line without its newline that breaks off is torn, not an error.
pub(super) fn read_lines(
    mut source: impl Read,
    file: &str,
    format: &mut impl Lines,
) -> Result<(), ReadError> {
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
            return last_line(&buffer[..len], file, line, format);
        }
        let Some(end) = buffer[new.clone()].iter().rposition(|&b| b == b'\n').map(|at| new.start + at + 1)
        else {
            continue;
        };
        lines(&buffer[..end], file, &mut line, format)?;
        buffer.copy_within(end..len, 0);
        len -= end;
    }
}

/// Reads whole lines, each with its newline.
fn lines(text: &[u8], file: &str, line: &mut usize, format: &mut impl Lines) -> Result<(), ReadError> {
    let mut c = Cursor { text, at: 0, one_line: true };
    while c.at < text.len() {
        let start = c.at;
        format.line(&mut c, *line).map_err(|mut misread| {
            misread.at -= start;
            misread.locate(file, &text[start..], *line)
        })?;
        c.at += 1;
        *line += 1;
    }
    Ok(())
}

fn last_line(text: &[u8], file: &str, line: usize, format: &mut impl Lines) -> Result<(), ReadError> {
    // A crash of the machine can leave zeros where data was to come.
    let end = text.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
    format.loader().torn |= end < text.len();
    let text = &text[..end];
    match format.line(&mut Cursor { text, at: 0, one_line: true }, line) {
        Err(misread) if misread.at_end => {
            format.loader().torn = true;
            format.loader().tear = Some(misread.locate(file, text, line));
            Ok(())
        }
        other => other.map_err(|misread| misread.locate(file, text, line)),
    }
}

/// Steps to the end of the line, which `what` should have reached.
pub(super) fn end_of_line(c: &mut Cursor<'_>, what: &'static str) -> Parse<()> {
    c.skip_space();
    match c.peek() {
        None | Some(b'\n') => Ok(()),
        Some(_) => Err(c.misread(what)),
    }
}

/// Whether nothing is left of the line but white space.
pub(super) fn is_blank(c: &mut Cursor<'_>) -> bool {
    c.skip_space();
    matches!(c.peek(), None | Some(b'\n'))
}
