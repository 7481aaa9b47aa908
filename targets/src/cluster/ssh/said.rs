use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::ChildStderr;
use tokio::task::JoinHandle;

/// How many of the last lines are kept.
const KEPT: usize = 20;

/// What a command says on its standard error: its last lines. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Said(Arc<Mutex<VecDeque<String>>>);

impl Said {
    /// Listens until the command and all that it started are silent, which may be never: wait for the task within a bound.
    pub(super) fn listen(&self, stderr: ChildStderr) -> JoinHandle<()> {
        let said = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut kept = said.0.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == KEPT {
                    kept.pop_front();
                }
                kept.push_back(line.trim().to_owned());
            }
        })
    }

    /// The lines, oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().filter(|line| !line.is_empty()).cloned().collect()
    }

    /// The last line.
    pub(super) fn last(&self) -> String {
        self.lines().pop().unwrap_or_else(|| "ssh ended without a word".to_owned())
    }
}
