//! Sessions: what makes a retried write take effect once (paper, §8; thesis, §6.3).
//!
//! Each write carries the name of a session and a sequence number in it. The table is part of the replicated state:
//! every node remembers the same replies, also after a snapshot or a restart.

use crate::store::Reply;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// At most this many sessions are remembered; the least recently used one goes first.
pub const SESSIONS_MAX: usize = 10_000;

/// Names one write, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId {
    /// The session: the client's own name, or one that the node made up for itself at its start.
    pub session: String,
    /// The number of the write in its session.
    pub seq: u64,
    /// The lowest number for which the session still awaits a reply. Replies below it are forgotten.
    pub low: u64,
}

/// What the table knows of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It was never applied.
    New,
    /// It was applied and answered so.
    Done(Reply),
    /// It is below what the session remembers.
    Forgotten,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Session {
    low: u64,
    replies: BTreeMap<u64, Reply>,
    /// The log index of the last write, which orders sessions by use in the same way on every node.
    used: u64,
}

/// The table of sessions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    sessions: BTreeMap<String, Session>,
}

impl Sessions {
    /// Looks `request` up.
    pub fn seen(&self, request: &RequestId) -> Seen {
        let Some(session) = self.sessions.get(&request.session) else { return Seen::New };
        match session.replies.get(&request.seq) {
            Some(reply) => Seen::Done(reply.clone()),
            None if request.seq < session.low => Seen::Forgotten,
            None => Seen::New,
        }
    }

    /// Remembers that `request`, at log index `index`, was answered with `reply`.
    pub fn record(&mut self, index: u64, request: &RequestId, reply: Reply) {
        let session = self.sessions.entry(request.session.clone()).or_default();
        session.used = index;
        session.replies.insert(request.seq, reply);
        if request.low > session.low {
            session.low = request.low;
            session.replies = session.replies.split_off(&request.low);
        }
        if self.sessions.len() > SESSIONS_MAX {
            self.evict();
        }
    }

    fn evict(&mut self) {
        let oldest =
            self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(name, _)| name.clone());
        if let Some(name) = oldest {
            self.sessions.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(session: &str, seq: u64, low: u64) -> RequestId {
        RequestId { session: session.into(), seq, low }
    }

    #[test]
    fn a_reply_is_remembered_until_the_session_has_moved_past_it() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.seen(&id("c", 1, 1)), Seen::New);
        sessions.record(10, &id("c", 1, 1), Reply::Length(1));
        sessions.record(11, &id("c", 3, 1), Reply::Length(3));
        assert_eq!(sessions.seen(&id("c", 1, 1)), Seen::Done(Reply::Length(1)));
        assert_eq!(sessions.seen(&id("c", 2, 1)), Seen::New, "writes of one session may overtake each other");
        sessions.record(12, &id("c", 4, 3), Reply::Done);
        assert_eq!(sessions.seen(&id("c", 2, 1)), Seen::Forgotten);
        assert_eq!(sessions.seen(&id("c", 3, 1)), Seen::Done(Reply::Length(3)));
    }

    #[test]
    fn the_least_recently_used_session_goes_first() {
        let mut sessions = Sessions::default();
        for index in 0..=SESSIONS_MAX as u64 {
            sessions.record(index, &id(&format!("c{index}"), 1, 1), Reply::Done);
        }
        assert_eq!(sessions.sessions.len(), SESSIONS_MAX);
        assert_eq!(sessions.seen(&id("c0", 1, 1)), Seen::New);
        assert_eq!(sessions.seen(&id("c1", 1, 1)), Seen::Done(Reply::Done));
    }
}
