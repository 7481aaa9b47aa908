//! The agent's end of the line to the controller.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::unistd::{dup2_stdin, dup2_stdout};
use serde::Serialize;

/// Lines in and out over what were standard input and output when the agent started.
pub(super) struct Lines {
    input: File,
    output: File,
    /// Read, but not yet a whole line.
    partial: Vec<u8>,
}

impl Lines {
    /// Takes standard input and output away from everything else in this process and from its children: they read
    /// nothing, and what they print goes to standard error.
    pub(super) fn take() -> io::Result<Lines> {
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        dup2_stdin(OpenOptions::new().read(true).open("/dev/null")?)?;
        dup2_stdout(io::stderr())?;
        Ok(Lines { input, output, partial: Vec::new() })
    }

    /// What to poll for input.
    pub(super) fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// Reads once, which blocks unless there is input, and returns the whole lines that there are now. `None` at the
    /// end of the input.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut buffer = [0; 16 << 10];
        let length = match self.input.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        self.partial.extend(&buffer[..length]);
        let Some(end) = self.partial.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(Some(Vec::new()));
        };
        let rest = self.partial.split_off(end + 1);
        let whole = std::mem::replace(&mut self.partial, rest);
        let lines = whole.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        Ok(Some(lines.map(<[u8]>::to_vec).collect()))
    }

    pub(super) fn write(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.output.write_all(&line)
    }
}
