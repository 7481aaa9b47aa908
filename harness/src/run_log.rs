//! `squall.log`: what the controller did, for a person.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use squall_checkers::Process;

use crate::event::{Event, Sink};

/// Writes phases and the nemesis' operations. Client operations are in the history.
pub(crate) struct RunLog {
    file: File,
    time_ns: u64,
}

impl RunLog {
    pub(crate) fn create(path: &Path) -> Result<RunLog> {
        let file = File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
        file.try_lock().context("the log of a new run is locked by another process")?;
        Ok(RunLog { file, time_ns: 0 })
    }

    /// Whether the controller that writes this log still lives: it holds a lock on it, which the kernel takes away.
    pub(crate) fn is_live(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    fn line(&mut self, text: &str) {
        // A log that cannot be written must not stop a run.
        let _ = writeln!(self.file, "{:>10.3} s  {text}", self.time_ns as f64 / 1e9);
    }
}

impl Sink for RunLog {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Phase(phase) => self.line(phase),
            Event::Op(op) => {
                self.time_ns = op.time_ns;
                if op.process == Process::Nemesis {
                    self.line(&op.to_string());
                }
            }
            Event::Tick { time_ns } => self.time_ns = time_ns,
        }
    }
}
