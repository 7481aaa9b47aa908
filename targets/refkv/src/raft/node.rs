//! The node: its state, its roles, its inputs and outputs.

use super::client::{Answer, Gateway, Request};
use super::lease::Leases;
use super::log::Log;
use super::membership::MemberLog;
use super::message::{
    Body, Durable, Entry, LogPos, Members, Message, NodeId, Payload, Record, Snapshot, Vote,
};
use super::replication::Leadership;
use crate::bug::{BugKind, Bugs};
use crate::machine::Machine;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;

/// What a node is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its own name.
    pub id: NodeId,
    /// The first members of the cluster; empty for a node that waits to be added.
    pub members: Members,
    /// Without a word from a leader for this long, a follower may campaign. The time-out of each round is drawn from
    /// this to twice this (paper, §5.2).
    pub election_timeout_ms: u64,
    /// How often a leader speaks when it has nothing to say.
    pub heartbeat_ms: u64,
    /// A snapshot is taken when this many entries were applied since the last one.
    pub snapshot_every: u64,
    /// A client's request that is not done by then is given up.
    pub request_timeout_ms: u64,
    /// Decides the election time-outs.
    pub seed: u64,
    /// A number that no earlier start of this node had, and at least 2^20 above those: it names the node's own
    /// session and keeps answers to an earlier life apart.
    pub boot: u64,
    /// Whether a leader answers reads by its lease, and what that relies on.
    pub leases: Option<Leases>,
    /// The mistakes that are on.
    pub bugs: Bugs,
}

/// What happens to a node.
#[derive(Debug)]
pub enum Input {
    /// Time has passed. To be given about every 10 ms.
    Tick,
    /// A message has come.
    Message(Message),
    /// A client asks for something.
    Request {
        /// The caller's name for the request; it comes back with the answer.
        ticket: u64,
        /// What is asked.
        request: Request,
    },
}

/// What a node wants done: first the records, then the rest.
#[derive(Debug, Default)]
pub struct Output {
    /// To be written to disk, in order.
    pub records: Vec<Record>,
    /// Whether the records must be durable before anything else here is done.
    pub sync: bool,
    /// To be sent. May be lost, doubled, delayed and reordered.
    pub messages: Vec<Message>,
    /// To be given to clients, by ticket.
    pub answers: Vec<(u64, Answer)>,
    /// The entries applied to the state, in order. For observers: they are done already.
    pub applied: Vec<Entry>,
}

/// What a node is at the moment.
#[derive(Debug)]
pub(super) enum Role {
    Follower,
    /// Asks who would vote for it (thesis, §9.6).
    PreCandidate {
        granted: BTreeSet<NodeId>,
    },
    Candidate {
        granted: BTreeSet<NodeId>,
    },
    Leader(Leadership),
}

/// Counts since the start of the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Elections started, without pre-votes.
    pub elections: u64,
    /// Entries put into the log as leader.
    pub proposals: u64,
    /// Reads answered.
    pub reads: u64,
    /// Snapshots taken.
    pub snapshots_taken: u64,
    /// Snapshots received and installed.
    pub snapshots_installed: u64,
}

/// One node of the cluster.
#[derive(Debug)]
pub struct Node {
    pub(super) config: Config,
    pub(super) rng: SmallRng,
    pub(super) now: u64,
    // What must survive a crash; each change leaves as a record.
    pub(super) vote: Vote,
    pub(super) log: Log,
    pub(super) snapshot: Snapshot,
    // What is rebuilt after a crash.
    pub(super) role: Role,
    pub(super) leader: Option<NodeId>,
    pub(super) leader_heard_ms: Option<u64>,
    pub(super) started_ms: u64,
    pub(super) election_deadline_ms: u64,
    pub(super) commit: u64,
    pub(super) applied: u64,
    pub(super) machine: Machine,
    pub(super) members: MemberLog,
    pub(super) gateway: Gateway,
    pub(super) out: Output,
    pub(super) stats: Stats,
}

impl Node {
    /// A node that starts with what its disk holds.
    pub fn new(config: Config, durable: Durable, now_ms: u64) -> Node {
        let Durable { vote, snapshot, entries } = durable;
        let first =
            if snapshot.members.is_empty() { config.members.clone() } else { snapshot.members.clone() };
        let mut members = MemberLog::new(first);
        for entry in &entries {
            members.observe(entry);
        }
        let mut node = Node {
            rng: SmallRng::seed_from_u64(config.seed),
            gateway: Gateway::new(&config),
            now: now_ms,
            vote,
            log: Log::new(snapshot.last, entries),
            commit: snapshot.last.index,
            applied: snapshot.last.index,
            machine: snapshot.machine.clone(),
            snapshot,
            role: Role::Follower,
            leader: None,
            leader_heard_ms: None,
            started_ms: now_ms,
            election_deadline_ms: 0,
            members,
            out: Output::default(),
            stats: Stats::default(),
            config,
        };
        node.reset_election_timer();
        node
    }

    /// Takes one input in. `now_ms` counts from any fixed moment and does not run backwards.
    pub fn step(&mut self, now_ms: u64, input: Input) {
        self.now = self.now.max(now_ms);
        match input {
            Input::Tick => self.tick(),
            Input::Message(message) => self.receive(message),
            Input::Request { ticket, request } => self.request(ticket, request),
        }
    }

    /// What is to be done for all inputs since the last call.
    pub fn output(&mut self) -> Output {
        self.follow_the_leader();
        self.dispatch_reads();
        self.replicate();
        self.hand_over();
        self.out.sync = self.must_sync();
        std::mem::take(&mut self.out)
    }

    fn must_sync(&self) -> bool {
        if self.bugs().has(BugKind::AckBeforeFsync) {
            // Broken: entries may wait in memory, so an acknowledged entry can be lost with the process. Votes are
            // still written through.
            return self.out.records.iter().any(|record| !matches!(record, Record::Entry(_)));
        }
        !self.out.records.is_empty()
    }

    fn tick(&mut self) {
        match &mut self.role {
            Role::Leader(leadership) => {
                if self.now >= leadership.heartbeat_due_ms {
                    leadership.broadcast = true;
                }
                self.check_quorum();
                self.give_up_transfer();
            }
            _ if self.now >= self.election_deadline_ms => self.start_pre_vote(),
            _ => {}
        }
        self.tend_requests();
    }

    fn receive(&mut self, message: Message) {
        let Message { from, term, body, .. } = message;
        if matches!(body, Body::RequestVote { transfer: false, .. })
            && (self.hears_a_leader() || self.has_promised())
        {
            // A server that was removed, or cut off, must not disturb a working cluster (thesis, §4.2.3).
            return;
        }
        // A pre-vote is a question: it moves no term (thesis, §9.6).
        if term > self.vote.term && !matches!(body, Body::PreVote { .. }) {
            self.become_follower(term, None);
        }
        match body {
            Body::PreVote { next_term, last } => self.on_pre_vote(from, next_term, last),
            Body::PreVoteReply { next_term, granted } => self.on_pre_vote_reply(from, next_term, granted),
            Body::RequestVote { last, .. } => self.on_request_vote(from, term, last),
            Body::TimeoutNow => self.on_timeout_now(term),
            Body::VoteReply { granted } => self.on_vote_reply(from, term, granted),
            Body::Append { prev, entries, commit, round } => {
                self.on_append(from, term, prev, entries, commit, round);
            }
            Body::InstallSnapshot { snapshot, round } => {
                self.on_install_snapshot(from, term, *snapshot, round)
            }
            Body::AppendReply { result, round } => self.on_append_reply(from, term, result, round),
            Body::Forward { id, proposal } => self.on_forward(from, id, proposal),
            Body::ForwardRefused { session, seq, refusal } => self.on_refused(&from, (session, seq), refusal),
            Body::ReadIndex { batch } => self.on_read_index(from, batch),
            Body::ReadIndexReply { batch, index } => self.on_read_index_reply(&from, batch, index),
        }
    }

    pub(super) fn bugs(&self) -> Bugs {
        self.config.bugs
    }

    pub(super) fn is_me(&self, id: &str) -> bool {
        id == self.config.id
    }

    pub(super) fn leadership(&mut self) -> Option<&mut Leadership> {
        match &mut self.role {
            Role::Leader(leadership) => Some(leadership),
            _ => None,
        }
    }

    pub(super) fn send(&mut self, to: NodeId, body: Body) {
        self.out.messages.push(Message { from: self.config.id.clone(), to, term: self.vote.term, body });
    }

    pub(super) fn peers(&self) -> Vec<NodeId> {
        self.members.current().keys().filter(|id| !self.is_me(id)).cloned().collect()
    }

    pub(super) fn reset_election_timer(&mut self) {
        let base = self.config.election_timeout_ms;
        self.election_deadline_ms = self.now + self.rng.random_range(base..2 * base);
    }

    /// The one way into the log: at its end, to memory and to disk.
    pub(super) fn append_to_log(&mut self, entry: Entry) {
        self.members.observe(&entry);
        self.log.push(entry.clone());
        self.out.records.push(Record::Entry(entry));
    }

    /// Puts `payload` into the log as leader.
    pub(super) fn propose(&mut self, payload: Payload) {
        let pos = LogPos { index: self.log.last().index + 1, term: self.vote.term };
        self.stats.proposals += 1;
        self.append_to_log(Entry { pos, payload });
        // A cluster of one has a majority as soon as it has the entry.
        self.advance_commit();
    }
}

/// What can be seen of a node from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub id: NodeId,
    /// `leader`, `follower`, `candidate` or `pre-candidate`.
    pub role: &'static str,
    /// Its current term.
    pub term: u64,
    /// Whom it takes for the leader.
    pub leader: Option<NodeId>,
    /// Whether it is a leader that hears a majority, or a follower that hears its leader.
    pub healthy: bool,
    /// The last index known to be committed.
    pub commit: u64,
    /// The last index applied.
    pub applied: u64,
    /// Where its log ends.
    pub last: LogPos,
    /// The number of entries held in memory.
    pub log_len: usize,
    /// The last index that its snapshot stands for.
    pub snapshot_index: u64,
    /// The members in force.
    pub members: Members,
    /// Whether those members are committed.
    pub members_committed: bool,
    /// Counts.
    pub stats: Stats,
}

impl Node {
    /// What can be seen of the node from outside.
    pub fn status(&self) -> Status {
        Status {
            id: self.config.id.clone(),
            role: match self.role {
                Role::Follower => "follower",
                Role::PreCandidate { .. } => "pre-candidate",
                Role::Candidate { .. } => "candidate",
                Role::Leader(_) => "leader",
            },
            term: self.vote.term,
            leader: self.leader.clone(),
            healthy: self.hears_a_leader(),
            commit: self.commit,
            applied: self.applied,
            last: self.log.last(),
            log_len: self.log.len(),
            snapshot_index: self.snapshot.last.index,
            members: self.members.current().clone(),
            members_committed: !self.members.changed_after(self.commit),
            stats: self.stats,
        }
    }

    /// The state that the applied entries have produced.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The log in memory.
    pub fn log(&self) -> &Log {
        &self.log
    }
}
