use std::sync::PoisonError;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::cut::Shared;
use super::how::Flap;

/// Makes a cut whole and cuts it again, in turns, until it is stopped or dropped: a thread of the agent, so that it keeps
/// time however busy the controller is.
pub(super) struct Flapper {
    /// Dropped to stop it.
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<u64>>>,
}

impl Flapper {
    /// Begins with the links cut.
    pub(super) fn start(filter: Shared, flap: Flap) -> Result<Flapper> {
        let (running, stopped) = channel::<()>();
        let flaps = move || {
            let (mut cuts, mut on, mut due) = (1, true, Instant::now());
            loop {
                due += Duration::from_millis(u64::from(if on { flap.cut_ms } else { flap.whole_ms }));
                match stopped.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return Ok(cuts),
                }
                on = !on;
                filter.lock().unwrap_or_else(PoisonError::into_inner).engage(on)?;
                cuts += u64::from(on);
            }
        };
        let thread = thread::Builder::new().name("flapper".into()).spawn(flaps)?;
        Ok(Flapper { running: Some(running), thread: Some(thread) })
    }

    /// Stops it, in whatever state the links are, and says how often they were cut.
    pub(super) fn stop(mut self) -> Result<u64> {
        self.running.take();
        let thread = self.thread.take().expect("taken only here and by drop");
        thread.join().map_err(|_| anyhow!("the thread that cuts and heals panicked"))?
    }
}

impl Drop for Flapper {
    fn drop(&mut self) {
        self.running.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
