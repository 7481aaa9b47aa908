//! The replicated state machine: the store and the table of sessions, changed together by each committed entry.

use crate::bug::{BugKind, Bugs};
use crate::session::{RequestId, Seen, Sessions};
use crate::store::{Command, Query, Reply, Store};
use serde::{Deserialize, Serialize};

/// All the state that the log produces, and all that a snapshot holds of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    store: Store,
    sessions: Sessions,
}

impl Machine {
    /// Applies the write `request` at log index `index`, unless it was applied before; then the first reply is given
    /// again (thesis, §6.3).
    pub fn apply(&mut self, index: u64, request: &RequestId, command: &Command, bugs: Bugs) -> Reply {
        if bugs.has(BugKind::DoubleApply) {
            // Broken: whatever stands in the log is run, also the second copy of a retried write.
            return self.store.apply(command);
        }
        match self.sessions.seen(request) {
            Seen::Done(reply) => reply,
            Seen::Forgotten => Reply::Expired,
            Seen::New => {
                let reply = self.store.apply(command);
                self.sessions.record(index, request, reply.clone());
                reply
            }
        }
    }

    /// Answers `query` from the present state.
    pub fn query(&self, query: &Query) -> Reply {
        self.store.query(query)
    }

    /// What the table of sessions knows of `request`.
    pub fn seen(&self, request: &RequestId) -> Seen {
        self.sessions.seen(request)
    }

    /// The keys and values alone.
    pub fn store(&self) -> &Store {
        &self.store
    }
}
