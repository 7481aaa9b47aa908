//! Leader election: pre-vote, votes, check-quorum (paper, §5.2 and §5.4.1; thesis, §3.4, §6.2 and §9.6).

use super::message::{Body, LogPos, NodeId, Payload, Record, Vote};
use super::node::{Node, Role};
use super::replication::Leadership;
use crate::bug::BugKind;
use std::collections::BTreeSet;

impl Node {
    /// Asks the others whether an election could be won, so that a node that was cut off does not come back with a
    /// high term and depose a working leader.
    pub(super) fn start_pre_vote(&mut self) {
        self.reset_election_timer();
        self.leader = None;
        // A node whose removal is not committed must still campaign: it may be the only one whose log lets it win
        // (thesis, §4.2.2).
        if !self.members.ever_since(self.commit, &self.config.id) {
            self.role = Role::Follower;
            return;
        }
        self.role = Role::PreCandidate { granted: BTreeSet::new() };
        let (next_term, last) = (self.vote.term + 1, self.log.last());
        self.canvass(&Body::PreVote { next_term, last });
    }

    /// Campaigns without asking first whether that could be won; `transfer` if the leader asked for it.
    pub(super) fn start_election(&mut self, transfer: bool) {
        self.reset_election_timer();
        self.stats.elections += 1;
        self.set_vote(Vote { term: self.vote.term + 1, voted_for: Some(self.config.id.clone()) });
        self.role = Role::Candidate { granted: BTreeSet::new() };
        let last = self.log.last();
        self.canvass(&Body::RequestVote { last, transfer });
    }

    /// Asks the others for their votes and counts the node's own.
    fn canvass(&mut self, question: &Body) {
        for peer in self.peers() {
            self.send(peer, question.clone());
        }
        self.count_vote(self.config.id.clone(), true);
    }

    /// A node says yes if it hears no leader itself and the sender could win its vote.
    pub(super) fn on_pre_vote(&mut self, from: NodeId, next_term: u64, last: LogPos) {
        let granted = next_term > self.vote.term
            && !self.hears_a_leader()
            && !self.has_promised()
            && last.covers(self.log.last());
        self.send(from, Body::PreVoteReply { next_term, granted });
    }

    pub(super) fn on_pre_vote_reply(&mut self, from: NodeId, next_term: u64, granted: bool) {
        if matches!(self.role, Role::PreCandidate { .. }) && next_term == self.vote.term + 1 {
            self.count_vote(from, granted);
        }
    }

    /// RequestVote, receiver's rules 1 and 2 (paper, Figure 2).
    pub(super) fn on_request_vote(&mut self, from: NodeId, term: u64, last: LogPos) {
        let free = self.vote.voted_for.as_ref().is_none_or(|id| *id == from);
        let granted = term == self.vote.term && free && last.covers(self.log.last());
        if granted {
            self.set_vote(Vote { term, voted_for: Some(from.clone()) });
            self.reset_election_timer();
        }
        self.send(from, Body::VoteReply { granted });
    }

    pub(super) fn on_vote_reply(&mut self, from: NodeId, term: u64, granted: bool) {
        if matches!(self.role, Role::Candidate { .. }) && term == self.vote.term {
            self.count_vote(from, granted);
        }
    }

    fn count_vote(&mut self, from: NodeId, yes: bool) {
        let (Role::PreCandidate { granted } | Role::Candidate { granted }) = &mut self.role else { return };
        if yes {
            granted.insert(from);
        }
        if !self.members.is_quorum(|id| granted.contains(id)) {
            return;
        }
        match self.role {
            Role::PreCandidate { .. } => self.start_election(false),
            _ => self.become_leader(),
        }
    }

    fn become_leader(&mut self) {
        self.leader = Some(self.config.id.clone());
        self.role = Role::Leader(Leadership::new(self.peers(), self.log.last().index, self.now));
        if self.bugs().has(BugKind::CommitOldTerm) {
            // Broken: without an entry of its own term a leader cannot know what is committed (see `advance_commit`).
            return;
        }
        self.propose(Payload::Noop);
    }

    /// Follows, in `term`, the leader if it is known. A new term comes without a vote.
    pub(super) fn become_follower(&mut self, term: u64, leader: Option<NodeId>) {
        if term > self.vote.term {
            self.set_vote(Vote { term, voted_for: None });
        }
        if matches!(self.role, Role::Leader(_)) {
            self.reset_election_timer();
        }
        self.role = Role::Follower;
        self.leader = leader;
    }

    /// A leader that has not heard from a majority for an election time-out may have been replaced: it steps down, so
    /// that its clients go elsewhere (thesis, §6.2).
    pub(super) fn check_quorum(&mut self) {
        if !self.hears_a_leader() {
            self.become_follower(self.vote.term, None);
        }
    }

    /// Whether this node has reason to believe that a leader is at work: itself, heard by a majority, or another, heard
    /// by it, within an election time-out.
    pub(super) fn hears_a_leader(&self) -> bool {
        let recent = |heard_ms: u64| self.now < heard_ms + self.config.election_timeout_ms;
        match &self.role {
            Role::Leader(leadership) => self.members.is_quorum(|id| {
                self.is_me(id) || leadership.progress.get(id).is_some_and(|peer| recent(peer.heard_ms))
            }),
            _ => self.leader.is_some() && self.leader_heard_ms.is_some_and(recent),
        }
    }

    fn set_vote(&mut self, vote: Vote) {
        if self.vote == vote {
            return;
        }
        self.vote = vote;
        if self.bugs().has(BugKind::VoteNotPersisted) {
            // Broken: a restarted node begins in term 0 and has voted for nobody.
            return;
        }
        self.out.records.push(Record::Vote(self.vote.clone()));
    }
}
