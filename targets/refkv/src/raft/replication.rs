//! Log replication: AppendEntries at both ends, the commit rule, applying (paper, §5.3 and §5.4; thesis, §3.5, §3.6).

use super::lease::Lease;
use super::message::{Body, Entry, LogPos, NodeId, Payload};
use super::node::{Node, Role};
use super::read_index::RemoteBatch;
use super::transfer::Transfer;
use crate::bug::BugKind;
use std::collections::{BTreeMap, VecDeque};

/// At most this many entries go into one message.
const BATCH_ENTRIES_MAX: usize = 256;
/// At most this many entries are sent to a peer ahead of its acknowledgements.
const IN_FLIGHT_ENTRIES_MAX: u64 = 2048;

/// What a leader knows and the others do not (paper, Figure 2: volatile state on leaders).
#[derive(Debug)]
pub(super) struct Leadership {
    pub(super) progress: BTreeMap<NodeId, Progress>,
    pub(super) heartbeat_due_ms: u64,
    /// Every peer is to be sent something at the next output.
    pub(super) broadcast: bool,
    /// Counts rounds of messages: a peer that answers round r was a follower when r began or later.
    pub(super) round: u64,
    pub(super) reads: VecDeque<RemoteBatch>,
    pub(super) lease: Lease,
    pub(super) transfer: Option<Transfer>,
}

/// What a leader knows about one peer.
#[derive(Debug)]
pub(super) struct Progress {
    /// nextIndex: the next entry to send. It runs ahead of what is acknowledged.
    pub(super) next: u64,
    /// matchIndex: the peer's log is known to be the leader's up to here.
    pub(super) matched: u64,
    pub(super) heard_ms: u64,
    /// The last read round that the peer has answered.
    pub(super) round: u64,
    /// Until then a snapshot is on its way.
    pub(super) snapshot_until_ms: Option<u64>,
}

impl Leadership {
    pub(super) fn new(peers: Vec<NodeId>, last: u64, now: u64) -> Leadership {
        let progress = peers.into_iter().map(|id| (id, Progress::new(last, now))).collect();
        let (reads, lease, transfer) = Default::default();
        Leadership { progress, heartbeat_due_ms: now, broadcast: true, round: 0, reads, lease, transfer }
    }
}

impl Progress {
    pub(super) fn new(last: u64, now: u64) -> Progress {
        Progress { next: last + 1, matched: 0, heard_ms: now, round: 0, snapshot_until_ms: None }
    }
}

/// An AppendEntries that says only who leads: every log matches before its first entry.
fn bare_heartbeat(round: u64) -> Body {
    Body::Append { prev: LogPos::default(), entries: Vec::new(), commit: 0, round }
}

impl Node {
    /// Leader: sends each peer what it lacks, in one message, or a heartbeat when one is due.
    pub(super) fn replicate(&mut self) {
        let Role::Leader(leadership) = &mut self.role else { return };
        leadership.begin_read_round();
        let broadcast = std::mem::take(&mut leadership.broadcast);
        if broadcast {
            leadership.heartbeat_due_ms = self.now + self.config.heartbeat_ms;
            if self.config.leases.is_some() {
                leadership.begin_lease_round(self.now);
            }
        }
        for peer in self.peers() {
            if let Some(body) = self.next_message_for(&peer, broadcast) {
                self.send(peer, body);
            }
        }
    }

    fn next_message_for(&mut self, peer: &NodeId, broadcast: bool) -> Option<Body> {
        // Part of the bug: until a client's write gives it an entry of its own term, the leader's heartbeats say that it
        // leads and nothing about the log. The entry that is missing here would have told it what is committed.
        let no_barrier = self.bugs().has(BugKind::CommitOldTerm) && !self.knows_what_is_committed();
        let Role::Leader(leadership) = &mut self.role else { return None };
        let round = leadership.round;
        let progress = leadership.progress.get_mut(peer)?;
        let Some(prev) = self.log.pos_at(progress.next - 1) else {
            // What the peer needs next is in the snapshot only.
            if progress.snapshot_until_ms.is_none_or(|until| self.now >= until) {
                progress.snapshot_until_ms = Some(self.now + self.config.election_timeout_ms);
                return Some(Body::InstallSnapshot { snapshot: Box::new(self.snapshot.clone()), round });
            }
            return broadcast.then(|| bare_heartbeat(round));
        };
        // Before the first acknowledgement it is not known how much is under way.
        let in_flight = if progress.matched == 0 { 0 } else { prev.index.saturating_sub(progress.matched) };
        let room = IN_FLIGHT_ENTRIES_MAX.saturating_sub(in_flight);
        let entries = self.log.from(progress.next, BATCH_ENTRIES_MAX.min(room as usize)).to_vec();
        if entries.is_empty() && !broadcast {
            return None;
        }
        if entries.is_empty() && no_barrier {
            return Some(bare_heartbeat(round));
        }
        progress.next += entries.len() as u64;
        Some(Body::Append { prev, entries, commit: self.commit, round })
    }

    /// Follower: AppendEntries, receiver's rules 1 to 5 (paper, Figure 2).
    pub(super) fn on_append(
        &mut self,
        from: NodeId,
        term: u64,
        prev: LogPos,
        entries: Vec<Entry>,
        commit: u64,
        round: u64,
    ) {
        if !self.follow(&from, term) {
            // Rule 1. The answer carries this node's term and deposes the sender.
            let next = self.log.last().index + 1;
            return self.send(from, Body::AppendReply { result: Err(next), round });
        }
        let result = self.append_after(prev, entries);
        if let Ok(matched) = result {
            // Rule 5: only what is known to be the leader's is known to be committed.
            self.commit = self.commit.max(commit.min(matched));
            self.apply_committed();
        }
        self.send(from, Body::AppendReply { result, round });
    }

    /// Takes `from` for the leader of `term`; false if that term is over.
    pub(super) fn follow(&mut self, from: &NodeId, term: u64) -> bool {
        if term < self.vote.term {
            return false;
        }
        self.become_follower(term, Some(from.clone()));
        self.leader_heard_ms = Some(self.now);
        self.reset_election_timer();
        true
    }

    /// Rules 2 to 4. Gives the index up to which the log is now the leader's, or the index to try next.
    fn append_after(&mut self, prev: LogPos, entries: Vec<Entry>) -> Result<u64, u64> {
        if prev.index > self.log.last().index {
            return Err(self.log.last().index + 1);
        }
        // What the snapshot stands for is committed, so it is the same everywhere.
        let in_snapshot = prev.index < self.log.base().index;
        if !in_snapshot && !self.same_term(prev) {
            return Err(self.log.first_of_term_at(prev.index));
        }
        let matched = prev.index + entries.len() as u64;
        for entry in entries {
            if entry.pos.index <= self.log.base().index {
                continue;
            }
            if entry.pos.index <= self.log.last().index {
                if self.same_term(entry.pos) {
                    continue;
                }
                self.log.truncate_from(entry.pos.index);
                self.members.truncate_from(entry.pos.index);
            }
            self.append_to_log(entry);
        }
        Ok(matched)
    }

    /// Whether this node's entry at `pos.index`, which it has, is the one meant: the index and the term name an entry
    /// (Log Matching, paper, §5.3).
    fn same_term(&self, pos: LogPos) -> bool {
        if self.bugs().has(BugKind::LostTermCheck) {
            // Broken: any entry at the same index will do.
            return true;
        }
        self.log.term_at(pos.index) == Some(pos.term)
    }

    /// Leader: an answer to AppendEntries or InstallSnapshot.
    pub(super) fn on_append_reply(&mut self, from: NodeId, term: u64, result: Result<u64, u64>, round: u64) {
        let (now, last) = (self.now, self.log.last().index);
        if term != self.vote.term {
            return;
        }
        let Some(leadership) = self.leadership() else { return };
        let Some(progress) = leadership.progress.get_mut(&from) else { return };
        progress.heard_ms = now;
        progress.round = progress.round.max(round);
        match result {
            Ok(matched) => {
                progress.matched = progress.matched.max(matched);
                if progress.next <= progress.matched {
                    progress.next = progress.matched + 1;
                    progress.snapshot_until_ms = None;
                }
                self.advance_commit();
            }
            // A late answer may point back too far; that costs some entries sent twice and nothing else.
            Err(next) => progress.next = next.clamp(1, last + 1),
        }
        self.confirm_reads();
    }

    /// Leader: an entry is committed when a majority holds it *and* it is of the leader's own term; all before it are
    /// then committed too (paper, §5.4.2).
    pub(super) fn advance_commit(&mut self) {
        let Role::Leader(leadership) = &self.role else { return };
        let last = self.log.last().index;
        let matched = |id: &NodeId| {
            if self.is_me(id) { last } else { leadership.progress.get(id).map_or(0, |p| p.matched) }
        };
        let replicated = self.members.quorum_index(matched);
        // Broken under the bug: an old term's entry on a majority can still be overwritten (paper, Figure 8).
        let own_term = self.log.term_at(replicated) == Some(self.vote.term);
        if replicated > self.commit && (own_term || self.bugs().has(BugKind::CommitOldTerm)) {
            self.commit = replicated;
            self.apply_committed();
            if let Some(leadership) = self.leadership() {
                // The others may have clients that wait for this.
                leadership.broadcast = true;
            }
        }
    }

    /// Whether this leader has committed an entry of its own term, and so knows of every entry that is committed.
    pub(super) fn knows_what_is_committed(&self) -> bool {
        self.log.term_at(self.commit) == Some(self.vote.term)
    }

    /// Applies what is committed and not yet applied, and gives clients their answers.
    pub(super) fn apply_committed(&mut self) {
        while self.applied < self.commit {
            let Some(entry) = self.log.get(self.applied + 1).cloned() else { break };
            let snapshot_due = entry.pos.index >= self.snapshot.last.index + self.config.snapshot_every;
            if snapshot_due && self.bugs().has(BugKind::SnapshotDropsEntry) {
                // Broken: the snapshot says that it holds this entry, and the state does not.
                self.take_snapshot(entry.pos);
                self.apply(&entry);
            } else {
                self.apply(&entry);
                if snapshot_due {
                    self.take_snapshot(entry.pos);
                }
            }
            self.out.applied.push(entry);
        }
        self.serve_ready_reads();
    }

    fn apply(&mut self, entry: &Entry) {
        let index = entry.pos.index;
        self.applied = index;
        match &entry.payload {
            Payload::Noop => {}
            Payload::Write { id, command } => {
                let reply = self.machine.apply(index, id, command, self.bugs());
                self.answer_write(id, super::Answer::Reply(reply));
            }
            Payload::Members { id, members } => {
                self.answer_write(id, super::Answer::Members(members.clone()));
                // A leader that is no longer a member leads until the change is committed (thesis, §4.2.2).
                if matches!(self.role, Role::Leader(_))
                    && !self.members.current().contains_key(&self.config.id)
                {
                    self.become_follower(self.vote.term, None);
                }
            }
        }
    }
}
