//! What nodes keep and what they say to each other (paper, Figures 2 and 13).

use crate::machine::Machine;
use crate::session::RequestId;
use crate::store::Command;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of a node.
pub type NodeId = String;
/// The members of a cluster: each node's name and the address, `host:port`, at which its peers reach it.
pub type Members = BTreeMap<NodeId, String>;

/// A place in the log: the index and the term of the entry there. Index 0 is before the first entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPos {
    /// Counts from 1.
    pub index: u64,
    /// The term of the leader that made the entry.
    pub term: u64,
}

impl LogPos {
    /// Whether a log that ends here is at least as up to date as one that ends at `other` (paper, §5.4.1).
    pub fn covers(self, other: LogPos) -> bool {
        (self.term, self.index) >= (other.term, other.index)
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place.
    pub pos: LogPos,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Nothing: the first entry of a leader's term (paper, §8).
    Noop,
    /// A write.
    Write {
        /// Which request it is.
        id: RequestId,
        /// What to do.
        command: Command,
    },
    /// A new set of members, in force from the moment it stands in the log (thesis, §4.1).
    Members {
        /// Which request it is.
        id: RequestId,
        /// All members, not only the new ones.
        members: Members,
    },
}

/// The vote record: it must be on disk before any answer that follows from it (paper, Figure 2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// currentTerm: the latest term this node has seen.
    pub term: u64,
    /// votedFor: whom it voted for in that term.
    pub voted_for: Option<NodeId>,
}

/// The state at one place of the log; it stands for all entries up to there (paper, §7).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last entry it stands for.
    pub last: LogPos,
    /// The members there. Empty means those that the node was started with.
    pub members: Members,
    /// The state there.
    pub machine: Machine,
}

/// One step of what a node writes to its disk. Replayed in order, records give back what a node must not forget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// The vote record replaces the one before.
    Vote(Vote),
    /// The entry replaces what stood at its index and everything after it.
    Entry(Entry),
    /// Everything so far is replaced by this.
    Checkpoint(Durable),
}

/// What a node must not forget: the fold of its [`Record`]s.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Durable {
    /// The vote record.
    pub vote: Vote,
    /// The last snapshot; at index 0 and empty when none was taken.
    pub snapshot: Snapshot,
    /// The entries after the snapshot.
    pub entries: Vec<Entry>,
}

impl Durable {
    /// Folds one more record in.
    pub fn replay(&mut self, record: Record) {
        match record {
            Record::Vote(vote) => self.vote = vote,
            Record::Checkpoint(durable) => *self = durable,
            Record::Entry(entry) => {
                let after =
                    self.entries.iter().rposition(|e| e.pos.index < entry.pos.index).map_or(0, |at| at + 1);
                self.entries.truncate(after);
                self.entries.push(entry);
            }
        }
    }
}

/// A change of the members by one server (thesis, §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Adds a node.
    Add {
        /// Its name.
        id: NodeId,
        /// Where its peers reach it, `host:port`.
        addr: String,
    },
    /// Removes a node.
    Remove(NodeId),
}

/// What a node asks the leader to put into the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proposal {
    /// A write.
    Write(Command),
    /// A membership change.
    Change(Change),
}

/// Why a leader did not put a proposal into its log. Each means that this copy of the proposal has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The node is not the leader.
    NotLeader,
    /// A membership change is not committed yet, or the leader has not committed an entry of its own term.
    ChangeInProgress,
    /// The change would leave no member.
    LastMember,
    /// Leadership cannot be handed to that node: it is the leader, or no member, or a transfer is under way.
    NoTransfer,
}

/// A message from one node to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The sender's current term.
    pub term: u64,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Would you vote for me in `next_term`? Changes nothing at the receiver (thesis, §9.6).
    PreVote {
        /// The term in which the sender would campaign.
        next_term: u64,
        /// Where its log ends.
        last: LogPos,
    },
    /// The answer to [`Body::PreVote`].
    PreVoteReply {
        /// As asked.
        next_term: u64,
        /// Yes or no.
        granted: bool,
    },
    /// RequestVote (paper, §5.2).
    RequestVote {
        /// Where the sender's log ends.
        last: LogPos,
        /// Whether the leader itself has asked for this election (thesis, §4.2.3).
        #[serde(default)]
        transfer: bool,
    },
    /// The leader wants the receiver, whose log is as long as its own, to campaign at once (thesis, §3.10).
    TimeoutNow,
    /// The answer to [`Body::RequestVote`].
    VoteReply {
        /// Yes or no.
        granted: bool,
    },
    /// AppendEntries (paper, §5.3); without entries, a heartbeat.
    Append {
        /// The place before the first entry.
        prev: LogPos,
        /// Entries, without a gap.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: u64,
        /// The leader's read round; the answer gives it back (thesis, §6.4).
        round: u64,
    },
    /// InstallSnapshot (paper, §7), in one piece.
    InstallSnapshot {
        /// The snapshot.
        snapshot: Box<Snapshot>,
        /// As in [`Body::Append`].
        round: u64,
    },
    /// The answer to [`Body::Append`] and [`Body::InstallSnapshot`].
    AppendReply {
        /// The index up to which the sender's log is the leader's, or, as an error, where the leader should try next.
        result: Result<u64, u64>,
        /// As asked.
        round: u64,
    },
    /// A proposal that a client gave to a node that is not the leader.
    Forward {
        /// Which request it is.
        id: RequestId,
        /// What to put into the log.
        proposal: Proposal,
    },
    /// The leader did not take a [`Body::Forward`].
    ForwardRefused {
        /// The session of the request.
        session: String,
        /// Its number there.
        seq: u64,
        /// Why.
        refusal: Refusal,
    },
    /// How far must I have applied the log before I may answer the reads of this batch? (thesis, §6.4)
    ReadIndex {
        /// The sender's name for the batch.
        batch: u64,
    },
    /// The answer to [`Body::ReadIndex`].
    ReadIndexReply {
        /// As asked.
        batch: u64,
        /// The index; `None` from a node that is not the leader.
        index: Option<u64>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_date_compares_terms_before_indices() {
        let pos = |term, index| LogPos { index, term };
        assert!(pos(3, 1).covers(pos(2, 9)));
        assert!(!pos(2, 9).covers(pos(3, 1)));
        assert!(pos(2, 9).covers(pos(2, 9)));
        assert!(!pos(2, 8).covers(pos(2, 9)));
    }

    #[test]
    fn a_replayed_entry_replaces_its_index_and_all_after_it() {
        let entry = |index, term| Entry { pos: LogPos { index, term }, payload: Payload::Noop };
        let mut durable = Durable::default();
        for record in [entry(1, 1), entry(2, 1), entry(3, 1), entry(2, 2)] {
            durable.replay(Record::Entry(record));
        }
        assert_eq!(durable.entries, [entry(1, 1), entry(2, 2)]);
    }
}
