//! ReadIndex: linearizable reads without a log entry (paper, §8; thesis, §6.4).
//!
//! A read may be answered from a state that is at least as new as the commit index was, *at the true leader*, when the
//! read came. So the node asks the leader for its commit index; the leader notes it, makes sure with one round of
//! messages that it is still the leader, and answers; the node waits until it has applied that far.

use super::message::{Body, NodeId};
use super::node::{Node, Role};
use super::replication::Leadership;
use crate::bug::BugKind;

/// A batch of reads, of this or another node, that waits for the leader to be sure of itself.
#[derive(Debug)]
pub(super) struct RemoteBatch {
    from: NodeId,
    batch: u64,
    /// The commit index when the batch came; unknown until the leader knows what is committed.
    index: Option<u64>,
    /// The round that must be answered by a majority; unknown until it begins.
    round: Option<u64>,
}

impl Leadership {
    /// Reads that came since the last round get a round of their own.
    pub(super) fn begin_read_round(&mut self) {
        if self.reads.back().is_some_and(|read| read.round.is_none()) {
            self.round += 1;
            self.broadcast = true;
            for read in self.reads.iter_mut().filter(|read| read.round.is_none()) {
                read.round = Some(self.round);
            }
        }
    }
}

impl Node {
    /// Asks the leader about all reads that have come since the last time, as one batch.
    pub(super) fn dispatch_reads(&mut self) {
        let Some(leader) = self.leader.clone() else { return };
        let Some(batch) = self.gateway.batch_waiting_reads(self.now) else { return };
        if self.is_me(&leader) {
            self.on_read_index(leader, batch);
        } else {
            self.send(leader, Body::ReadIndex { batch });
        }
    }

    /// Leader: notes the commit index for a batch.
    pub(super) fn on_read_index(&mut self, from: NodeId, batch: u64) {
        // A leader that has committed nothing in its term does not know the commit index yet: the batch waits for its
        // first entry. Broken under the bug: the index may be older than writes that clients know to be done.
        let knows = self.knows_what_is_committed() || self.bugs().has(BugKind::CommitOldTerm);
        let index = knows.then_some(self.commit);
        if knows && self.holds_a_lease() {
            return self.answer_batch(from, batch, self.commit);
        }
        match self.leadership() {
            Some(leadership) => {
                leadership.reads.push_back(RemoteBatch { from, batch, index, round: None });
                // A cluster of one is sure of itself without asking.
                self.confirm_reads();
            }
            None => self.send(from, Body::ReadIndexReply { batch, index: None }),
        }
    }

    /// Leader: answers the batches whose round a majority has answered.
    pub(super) fn confirm_reads(&mut self) {
        let knows = self.knows_what_is_committed();
        let commit = self.commit;
        let me = self.config.id.clone();
        let Role::Leader(leadership) = &mut self.role else { return };
        let progress = &leadership.progress;
        let confirmed = self.members.quorum_index(|id| {
            if *id == me { u64::MAX } else { progress.get(id).map_or(0, |peer| peer.round) }
        });
        let mut done = Vec::new();
        leadership.reads.retain_mut(|read| {
            if knows {
                read.index.get_or_insert(commit);
            }
            match (read.index, read.round) {
                (Some(index), round) if confirmed == u64::MAX || round.is_some_and(|r| r <= confirmed) => {
                    done.push((std::mem::take(&mut read.from), read.batch, index));
                    false
                }
                _ => true,
            }
        });
        for (from, batch, index) in done {
            self.answer_batch(from, batch, index);
        }
        self.extend_lease(confirmed);
    }

    /// Leader: the reads of a batch may be answered from a state that is as new as `index`.
    fn answer_batch(&mut self, from: NodeId, batch: u64, index: u64) {
        if self.is_me(&from) {
            self.on_read_index_reply(&from, batch, Some(index));
        } else {
            self.send(from, Body::ReadIndexReply { batch, index: Some(index) });
        }
    }

    /// The leader has answered: the reads of the batch may be served once the state is as new as `index`.
    pub(super) fn on_read_index_reply(&mut self, from: &str, batch: u64, index: Option<u64>) {
        match index {
            Some(index) => self.gateway.batch_confirmed(batch, index),
            None => {
                self.gateway.batch_failed(batch);
                self.forget_leader(from);
            }
        }
        self.serve_ready_reads();
    }
}
