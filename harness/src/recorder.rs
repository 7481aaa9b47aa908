//! Writes the history to disk as it happens, on a thread of its own.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use squall_checkers::history::JsonlWriter;
use squall_checkers::{History, Op};

use crate::event::{Event, Sink};

/// A crash loses at most the operations of this long.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Keeps the history in memory and in `history.jsonl.zst`.
pub(crate) struct Recorder {
    ops: Sender<Op>,
    thread: JoinHandle<(History, std::io::Result<()>)>,
}

/// What was recorded.
pub(crate) struct Recorded {
    /// The whole history.
    pub(crate) history: History,
    /// Whether it is on disk too. Failing to record never changes a verdict, but it is said.
    pub(crate) on_disk: Result<()>,
}

impl Recorder {
    /// Starts recording to a file that must not exist yet.
    pub(crate) fn create(path: &Path) -> Result<Recorder> {
        let file =
            std::fs::File::create_new(path).with_context(|| format!("cannot create {}", path.display()))?;
        let writer = JsonlWriter::new(file)?;
        let (ops, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || record(&receiver, writer))?;
        Ok(Recorder { ops, thread })
    }

    /// Ends the recording and hands over what was recorded.
    pub(crate) fn finish(self) -> Result<Recorded> {
        drop(self.ops);
        let (history, on_disk) = self.thread.join().map_err(|_| anyhow::anyhow!("the recorder panicked"))?;
        Ok(Recorded { history, on_disk: on_disk.context("the history could not be written to disk") })
    }
}

impl Sink for Recorder {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Op(op) = event {
            // The thread ends only when this sender is dropped.
            let _ = self.ops.send(op.clone());
        }
    }
}

fn record(ops: &Receiver<Op>, mut writer: JsonlWriter<std::fs::File>) -> (History, std::io::Result<()>) {
    let mut history = History::new();
    let mut on_disk = Ok(());
    let mut flushed = Instant::now();
    loop {
        let op = ops.recv_timeout(FLUSH_EVERY.saturating_sub(flushed.elapsed()));
        if let Ok(op) = &op {
            history.push(op);
            on_disk = on_disk.and_then(|()| writer.push(op));
        }
        let ended = matches!(op, Err(RecvTimeoutError::Disconnected));
        if ended || flushed.elapsed() >= FLUSH_EVERY {
            on_disk = on_disk.and_then(|()| writer.flush());
            flushed = Instant::now();
        }
        if ended {
            return (history, on_disk);
        }
    }
}
