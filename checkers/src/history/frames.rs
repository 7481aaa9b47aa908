use std::io::{self, Read};
use std::ops::Range;

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const INPUT_BYTES: usize = 1 << 17;

/// The text of a file that may be compressed: a sequence of zstd frames, or plain bytes.
///
/// A last frame that is cut short, or whose place holds only zeros, as a crash leaves them, ends the text: see
/// [`torn`](Frames::torn). Anything else that is not a frame is an error of kind `InvalidData`.
pub(super) struct Frames<R> {
    source: R,
    input: Vec<u8>,
    /// Where in `input` the bytes lie that were not used yet.
    left: Range<usize>,
    /// Offset in the source of the first byte of `input`.
    passed: u64,
    decoder: Option<Decoder<'static>>,
    in_frame: bool,
    torn: bool,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(source: R) -> io::Result<Frames<R>> {
        let input = vec![0; INPUT_BYTES];
        let mut frames =
            Frames { source, input, left: 0..0, passed: 0, decoder: None, in_frame: false, torn: false };
        while frames.left().len() < MAGIC.len() && frames.fill()? {}
        if frames.left().starts_with(&MAGIC) {
            frames.decoder = Some(Decoder::new()?);
        } else if !frames.left().is_empty() && MAGIC.starts_with(frames.left()) {
            frames.torn = true;
        }
        Ok(frames)
    }

    /// Whether the text ended in the middle of a frame. Known once the text was read to its end.
    pub(super) fn torn(&self) -> bool {
        self.torn
    }

    /// Reads more input behind what is left; false at the end of the source.
    fn fill(&mut self) -> io::Result<bool> {
        self.input.copy_within(self.left.clone(), 0);
        self.passed += self.left.start as u64;
        self.left = 0..self.left.len();
        loop {
            match self.source.read(&mut self.input[self.left.end..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
                Ok(read) => {
                    self.left.end += read;
                    return Ok(read > 0);
                }
            }
        }
    }

    fn left(&self) -> &[u8] {
        &self.input[self.left.clone()]
    }

    /// Offset in the source of what is left.
    fn offset(&self) -> u64 {
        self.passed + self.left.start as u64
    }

    /// Whether another frame begins; at the end of the source and before a tail of zeros none does.
    fn next_frame(&mut self) -> io::Result<bool> {
        while self.left().len() < MAGIC.len() && self.fill()? {}
        if self.left().is_empty() {
            return Ok(false);
        }
        if self.left().len() < MAGIC.len() && MAGIC.starts_with(self.left()) {
            self.torn = true;
            return Ok(false);
        }
        if self.left()[0] == 0 {
            let offset = self.offset();
            while self.left().iter().all(|&b| b == 0) {
                self.left.start = self.left.end;
                if !self.fill()? {
                    self.torn = true;
                    return Ok(false);
                }
            }
            return Err(corrupt(offset, "zeros"));
        }
        self.in_frame = true;
        Ok(true)
    }

    fn decode(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame && !self.next_frame()? {
                return Ok(0);
            }
            let offset = self.offset();
            let decoder = self.decoder.as_mut().expect("a compressed source has a decoder");
            let mut input = InBuffer::around(&self.input[self.left.clone()]);
            let mut output = OutBuffer::around(out);
            let hint = decoder.run(&mut input, &mut output).map_err(|e| corrupt(offset, &e.to_string()))?;
            let (read, written) = (input.pos(), output.pos());
            self.left.start += read;
            self.in_frame = hint != 0;
            if written > 0 {
                return Ok(written);
            }
            if self.in_frame && self.left().is_empty() && !self.fill()? {
                self.torn = true;
                self.in_frame = false;
                return Ok(0);
            }
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.torn {
            return Ok(0);
        }
        if self.decoder.is_some() {
            return self.decode(out);
        }
        if self.left().is_empty() && !self.fill()? {
            return Ok(0);
        }
        let len = self.left().len().min(out.len());
        out[..len].copy_from_slice(&self.left()[..len]);
        self.left.start += len;
        Ok(len)
    }
}

fn corrupt(offset: u64, what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("corrupt data near byte {offset} of the file ({what})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Vec<u8> {
        zstd::bulk::compress(text.as_bytes(), 1).unwrap()
    }

    fn text(bytes: &[u8]) -> io::Result<(String, bool)> {
        let mut frames = Frames::new(bytes)?;
        let mut text = String::new();
        frames.read_to_string(&mut text)?;
        Ok((text, frames.torn()))
    }

    #[test]
    fn plain_bytes_and_frames_give_the_same_text() {
        assert_eq!(text(b"").unwrap(), (String::new(), false));
        assert_eq!(text(b"abc").unwrap(), ("abc".into(), false));
        let two = [frame("abc"), frame("def")].concat();
        assert_eq!(text(&two).unwrap(), ("abcdef".into(), false));
    }

    #[test]
    fn a_torn_tail_or_a_tail_of_zeros_ends_the_text() {
        let whole = frame("abc");
        let second = frame("def");
        for cut in 1..second.len() {
            let (text, torn) = text(&[&whole, &second[..cut]].concat()).unwrap();
            assert!(torn && text.len() >= 3 && "abcdef".starts_with(&text), "cut {cut}: {text}");
        }
        assert_eq!(text(&[&whole[..], &[0; 200_000]].concat()).unwrap(), ("abc".into(), true));
        assert_eq!(text(&MAGIC[..3]).unwrap(), (String::new(), true));
    }

    #[test]
    fn garbage_between_frames_is_an_error() {
        for garbage in [&b"garbage"[..], &[0; 9]] {
            let error = text(&[&frame("abc"), garbage, &frame("def")].concat()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
