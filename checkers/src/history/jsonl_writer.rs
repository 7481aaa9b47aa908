use std::io::{self, Write};

use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::jsonl::HEADER;
use super::value::write_integer;
use super::{History, Op, Process, Raw, Type};

/// A frame is closed when its text reaches this.
const FRAME_BYTES: usize = 64 << 10;

/// The text of a history of a million events shrinks to a tenth at this level, at several hundred MB/s.
const LEVEL: i32 = 1;

/// Appends events as JSON lines in independent zstd frames, each handed to the output in one write.
///
/// After a crash the file is readable up to its last whole frame; call [`flush`](JsonlWriter::flush) at least each second to
/// bound what may be lost. Once a write has failed the writer refuses all others: what followed a broken frame could not
/// be read.
pub struct JsonlWriter<W: Write> {
    out: W,
    text: Vec<u8>,
    compressor: Compressor<'static>,
    next_index: usize,
    failed: bool,
}

impl<W: Write> JsonlWriter<W> {
    /// A writer of a new history to `out`, which needs no buffer of its own.
    pub fn new(out: W) -> io::Result<JsonlWriter<W>> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(JsonlWriter {
            out,
            text: Vec::with_capacity(FRAME_BYTES * 2),
            compressor,
            next_index: 0,
            failed: false,
        })
    }

    /// Appends an event. Its `index` is ignored: the position decides. Writes if that fills the frame.
    pub fn push(&mut self, op: &Op) -> io::Result<()> {
        let head = Head {
            index: self.next_index,
            time_ns: op.time_ns,
            process: op.process,
            kind: op.kind,
            f: &op.f,
        };
        let value =
            |out: &mut Vec<u8>| serde_json::to_writer(out, &op.value).expect("a Value is always JSON");
        write_line(&mut self.text, &head, (!op.value.is_null()).then_some(value), op.error.as_deref());
        self.next_index += 1;
        if self.text.len() >= FRAME_BYTES { self.flush() } else { Ok(()) }
    }

    /// Closes the frame, if anything is in it, and writes it.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write of this history failed"));
        }
        if self.text.is_empty() {
            return Ok(());
        }
        self.failed = true;
        let frame = self.compressor.compress(&self.text)?;
        self.out.write_all(&frame)?;
        self.out.flush()?;
        self.failed = false;
        self.text.clear();
        Ok(())
    }
}

impl<W: Write> Drop for JsonlWriter<W> {
    /// Writes what is left. The error is lost: call [`flush`](JsonlWriter::flush) to see it.
    fn drop(&mut self) {
        if !self.failed {
            let _ = self.flush();
        }
    }
}

/// Writes a history as plain JSON lines. What is to be said of the whole goes before them, where there is something.
pub fn write_jsonl(history: &History, mut out: impl Write) -> io::Result<()> {
    let mut text = Vec::with_capacity(FRAME_BYTES * 2);
    write_header(history, &mut text);
    for op in history.iter() {
        let head = Head {
            index: op.index(),
            time_ns: op.time_ns(),
            process: op.process(),
            kind: op.kind(),
            f: op.f(),
        };
        let value = (op.raw() != Raw::Null).then_some(|out: &mut Vec<u8>| op.write_value(out));
        write_line(&mut text, &head, value, op.error());
        if text.len() >= FRAME_BYTES {
            out.write_all(&text)?;
            text.clear();
        }
    }
    out.write_all(&text)
}

fn write_header(history: &History, out: &mut Vec<u8>) {
    let mut header = serde_json::Map::new();
    if !history.has_real_time() {
        header.insert("real_time".into(), false.into());
    }
    if let Some(object) = history.object() {
        header.insert("object".into(), object.into());
    }
    if !header.is_empty() {
        out.extend_from_slice(HEADER);
        serde_json::to_writer(&mut *out, &header).expect("a Value is always JSON");
        out.extend_from_slice(b"}\n");
    }
}

struct Head<'a> {
    index: usize,
    time_ns: u64,
    process: Process,
    kind: Type,
    f: &'a str,
}

fn write_line(
    out: &mut Vec<u8>,
    head: &Head<'_>,
    value: Option<impl FnOnce(&mut Vec<u8>)>,
    error: Option<&str>,
) {
    out.extend_from_slice(b"{\"index\":");
    write_integer(out, head.index);
    out.extend_from_slice(b",\"time\":");
    write_integer(out, head.time_ns);
    out.extend_from_slice(b",\"process\":");
    match head.process {
        Process::Nemesis => out.extend_from_slice(b"\"nemesis\""),
        Process::Client(id) => write_integer(out, id),
    }
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(head.kind.name().as_bytes());
    out.extend_from_slice(b"\",\"f\":");
    write_string(out, head.f);
    if let Some(value) = value {
        out.extend_from_slice(b",\"value\":");
        value(out);
    }
    if let Some(error) = error {
        out.extend_from_slice(b",\"error\":");
        write_string(out, error);
    }
    out.extend_from_slice(b"}\n");
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is always JSON");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the writes and fails the one of that number.
    struct Output {
        writes: Vec<usize>,
        fails: usize,
    }

    impl Write for &mut Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes.push(bytes.len());
            if self.writes.len() == self.fails { Err(io::Error::other("disk full")) } else { Ok(bytes.len()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_frame_is_one_write_and_ends_with_a_flush_or_when_it_is_full() {
        let mut output = Output { writes: Vec::new(), fails: 0 };
        let mut writer = JsonlWriter::new(&mut output).unwrap();
        writer.flush().unwrap();
        for op in [Op::new("read"), Op::new("read")] {
            writer.push(&op).unwrap();
        }
        writer.flush().unwrap();
        writer.push(&Op::new("write").value("x".repeat(FRAME_BYTES))).unwrap();
        writer.push(&Op::new("read")).unwrap();
        drop(writer);
        assert_eq!(output.writes.len(), 3);
    }

    #[test]
    fn nothing_follows_a_frame_that_may_be_broken() {
        let mut output = Output { writes: Vec::new(), fails: 2 };
        let mut writer = JsonlWriter::new(&mut output).unwrap();
        for fails in [false, true, true] {
            writer.push(&Op::new("read")).unwrap();
            assert_eq!(writer.flush().is_err(), fails);
        }
        drop(writer);
        assert_eq!(output.writes.len(), 2);
    }
}
