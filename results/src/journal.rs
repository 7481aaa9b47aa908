use std::fs::File;
use std::io::{self, Write};

use squall_checkers::FaultEvent;

/// The open fault journal of a run. Each line is with the operating system before
/// [`append`](FaultJournal::append) returns, so an intent is known even if this process dies next.
#[derive(Debug)]
pub struct FaultJournal(File);

impl FaultJournal {
    pub(crate) fn new(file: File) -> FaultJournal {
        FaultJournal(file)
    }

    /// Adds a line.
    pub fn append(&mut self, event: &FaultEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}
