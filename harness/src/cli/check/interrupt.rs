//! Ctrl-C while histories are judged.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result};
use squall_checkers::Budget;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;

/// Hears signals, and cancels the checks that are under way.
#[derive(Clone, Default)]
pub(super) struct Interrupt {
    heard: Arc<OnceLock<Exit>>,
    budgets: Arc<Mutex<Vec<Arc<Budget>>>>,
}

impl Interrupt {
    /// Listens from now on. The first signal cancels, and ends the program where nothing is judged yet; the second ends it.
    pub(super) fn listen() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let heard = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let guard = runtime.enter();
        let mut ctrl_c = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
        drop(guard);
        std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    let exit = tokio::select! {
                        _ = ctrl_c.recv() => Exit::Interrupted,
                        _ = terminate.recv() => Exit::Terminated,
                    };
                    heard.hear(exit);
                }
            });
        });
        Ok(interrupt)
    }

    fn hear(&self, exit: Exit) {
        let budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if self.heard.set(exit).is_err() || budgets.is_empty() {
            std::process::exit(exit as i32);
        }
        eprintln!("\nstopping: what is known so far is told; once more to stop at once");
        budgets.iter().for_each(|budget| budget.cancel());
    }

    /// Has this budget cancelled when a signal comes, or now if one came.
    pub(super) fn watch(&self, budget: Budget) -> Arc<Budget> {
        let budget = Arc::new(budget);
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if self.heard.get().is_some() {
            budget.cancel();
        }
        budgets.push(budget.clone());
        budget
    }

    /// How the program ends because of a signal.
    pub(super) fn heard(&self) -> Option<Exit> {
        self.heard.get().copied()
    }
}
