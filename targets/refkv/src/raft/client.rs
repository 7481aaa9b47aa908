//! Requests of clients. Any node takes any request: it forwards a write to the leader and answers when it has applied
//! the entry itself; it answers a read when it has applied as much as the leader had committed.
//!
//! A write whose fate is unclear is sent again, to the same leader or the next: sessions make that safe.

use super::message::{Body, Members, NodeId, Payload, Proposal, Refusal};
use super::node::{Config, Node, Role};
use crate::bug::BugKind;
use crate::session::{RequestId, Seen};
use crate::store::{Query, Reply};
use std::collections::BTreeMap;

/// How many numbers back the replies of a client's own session are remembered.
const CLIENT_WINDOW: u64 = 16;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The client's session and its number there, if it has one and means to retry.
    pub key: Option<(String, u64)>,
    /// What it wants.
    pub op: Op,
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// To change something: goes through the log.
    Propose(Proposal),
    /// To know something.
    Read(Query),
    /// To have another node lead. Only the leader can do that.
    Transfer(NodeId),
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The state machine's reply.
    Reply(Reply),
    /// The members after a change.
    Members(Members),
    /// The leader hands over, if the other one can take over soon.
    Transferring,
    /// The leader did not take the proposal. Nothing was done.
    Refused(Refusal),
    /// There was no leader to be asked. Nothing was done.
    NoLeader,
    /// Time is up. A write may have been done, or may be done yet.
    Timeout,
}

/// A write is known by its session and its number there.
pub(super) type Key = (String, u64);

#[derive(Debug)]
struct PendingWrite {
    tickets: Vec<u64>,
    low: u64,
    proposal: Proposal,
    since_ms: u64,
    /// Where and when it was last sent.
    sent: Option<(NodeId, u64)>,
    /// How often it was sent.
    copies: u32,
}

#[derive(Debug)]
struct PendingRead {
    ticket: u64,
    query: Query,
    since_ms: u64,
}

#[derive(Debug)]
struct ReadBatch {
    sent_ms: u64,
    reads: Vec<PendingRead>,
}

/// The requests that this node owes an answer to.
#[derive(Debug)]
pub(super) struct Gateway {
    session: String,
    next_seq: u64,
    /// The leader at the last output.
    leader: Option<NodeId>,
    writes: BTreeMap<Key, PendingWrite>,
    waiting_reads: Vec<PendingRead>,
    asked_reads: BTreeMap<u64, ReadBatch>,
    /// Reads that may be answered once the state is as new as the index.
    ready_reads: Vec<(u64, PendingRead)>,
    next_batch: u64,
}

impl Gateway {
    pub(super) fn new(config: &Config) -> Gateway {
        Gateway {
            session: format!("{}/{}", config.id, config.boot),
            next_seq: 1,
            leader: None,
            writes: BTreeMap::new(),
            waiting_reads: Vec::new(),
            asked_reads: BTreeMap::new(),
            ready_reads: Vec::new(),
            next_batch: config.boot,
        }
    }

    /// Names a write that came without a name, in the session of this node.
    fn name(&mut self) -> Key {
        let seq = self.next_seq;
        self.next_seq += 1;
        (self.session.clone(), seq)
    }

    /// The lowest number of `key`'s session that still awaits a reply.
    fn low(&self, (session, seq): &Key) -> u64 {
        if *session != self.session {
            return seq.saturating_sub(CLIENT_WINDOW);
        }
        self.writes.range((session.clone(), 0)..).next().map_or(*seq, |((_, first), _)| *first.min(seq))
    }

    /// Moves the reads that wait into a batch, and names it.
    pub(super) fn batch_waiting_reads(&mut self, now: u64) -> Option<u64> {
        if self.waiting_reads.is_empty() {
            return None;
        }
        self.next_batch += 1;
        let reads = std::mem::take(&mut self.waiting_reads);
        self.asked_reads.insert(self.next_batch, ReadBatch { sent_ms: now, reads });
        Some(self.next_batch)
    }

    pub(super) fn batch_confirmed(&mut self, batch: u64, index: u64) {
        if let Some(batch) = self.asked_reads.remove(&batch) {
            self.ready_reads.extend(batch.reads.into_iter().map(|read| (index, read)));
        }
    }

    pub(super) fn batch_failed(&mut self, batch: u64) {
        if let Some(batch) = self.asked_reads.remove(&batch) {
            self.waiting_reads.extend(batch.reads);
        }
    }
}

impl Node {
    pub(super) fn request(&mut self, ticket: u64, request: Request) {
        match request.op {
            Op::Read(query) if self.bugs().has(BugKind::StaleRead) => {
                // Broken: the local state may be behind what other clients have seen.
                self.stats.reads += 1;
                self.out.answers.push((ticket, Answer::Reply(self.machine.query(&query))));
            }
            Op::Read(query) => {
                let read = PendingRead { ticket, query, since_ms: self.now };
                self.gateway.waiting_reads.push(read);
            }
            Op::Propose(proposal) => {
                let key = request.key.unwrap_or_else(|| self.gateway.name());
                let low = self.gateway.low(&key);
                let since_ms = self.now;
                let fresh = PendingWrite { tickets: vec![], low, proposal, since_ms, sent: None, copies: 0 };
                self.gateway.writes.entry(key.clone()).or_insert(fresh).tickets.push(ticket);
                self.dispatch(&key);
            }
            Op::Transfer(to) => {
                let answer = self.begin_transfer(&to).map_or_else(Answer::Refused, |()| Answer::Transferring);
                self.out.answers.push((ticket, answer));
            }
        }
    }

    /// Gives a pending write to the leader, if there is one.
    fn dispatch(&mut self, key: &Key) {
        if self.hands_over() {
            // The next leader gets it.
            return;
        }
        let (Some(leader), Some(write)) = (self.leader.clone(), self.gateway.writes.get_mut(key)) else {
            return;
        };
        write.sent = Some((leader.clone(), self.now));
        write.copies += 1;
        let id = RequestId { session: key.0.clone(), seq: key.1, low: write.low };
        let proposal = write.proposal.clone();
        if !self.is_me(&leader) {
            return self.send(leader, Body::Forward { id, proposal });
        }
        if let Err(refusal) = self.take_proposal(id, proposal) {
            self.on_refused(&leader, key.clone(), refusal);
        } else if self.bugs().has(BugKind::AckBeforeCommit) {
            self.answer_early(key);
        }
    }

    /// Broken: answers from the leader's own log, which no other node need ever have seen.
    fn answer_early(&mut self, key: &Key) {
        let mut machine = self.machine.clone();
        let mut answer = None;
        for entry in self.log.from(self.applied + 1, usize::MAX) {
            if let Payload::Write { id, command } = &entry.payload {
                let reply = machine.apply(entry.pos.index, id, command, self.bugs());
                answer = (id.session == key.0 && id.seq == key.1).then_some((id.clone(), reply));
            }
        }
        if let Some((id, reply)) = answer {
            self.answer_write(&id, Answer::Reply(reply));
        }
    }

    fn take_proposal(&mut self, id: RequestId, proposal: Proposal) -> Result<(), Refusal> {
        // One that is about to stop leading takes nothing new: the other one could not catch up (thesis, §3.10).
        if !matches!(self.role, Role::Leader(_)) || self.hands_over() {
            return Err(Refusal::NotLeader);
        }
        match proposal {
            Proposal::Write(command) => self.propose(Payload::Write { id, command }),
            Proposal::Change(change) => self.change_members(id, change)?,
        }
        Ok(())
    }

    /// Leader: another node hands a client's proposal on.
    pub(super) fn on_forward(&mut self, from: NodeId, id: RequestId, proposal: Proposal) {
        let (session, seq) = (id.session.clone(), id.seq);
        if let Err(refusal) = self.take_proposal(id, proposal) {
            self.send(from, Body::ForwardRefused { session, seq, refusal });
        }
    }

    /// A copy of a proposal was not taken.
    pub(super) fn on_refused(&mut self, from: &str, key: Key, refusal: Refusal) {
        let Some(write) = self.gateway.writes.get_mut(&key) else { return };
        if refusal == Refusal::NotLeader {
            // Another leader may take it. Its client will not be told that nothing was done: another copy may be about.
            write.sent = None;
            self.forget_leader(from);
        } else if write.copies == 1 {
            self.answer_pending(&key, &Answer::Refused(refusal));
        }
    }

    /// A node that was taken for the leader says that it is not.
    pub(super) fn forget_leader(&mut self, id: &str) {
        if self.leader.as_deref() == Some(id) && !self.is_me(id) {
            self.leader = None;
        }
    }

    pub(super) fn answer_write(&mut self, id: &RequestId, answer: Answer) {
        if !self.gateway.writes.is_empty() {
            self.answer_pending(&(id.session.clone(), id.seq), &answer);
        }
    }

    fn answer_pending(&mut self, key: &Key, answer: &Answer) {
        if let Some(write) = self.gateway.writes.remove(key) {
            self.out.answers.extend(write.tickets.into_iter().map(|ticket| (ticket, answer.clone())));
        }
    }

    /// After a snapshot was installed: entries that are in it are never applied here, but their replies are in it too.
    pub(super) fn answer_from_sessions(&mut self) {
        let keys: Vec<(Key, u64)> =
            self.gateway.writes.iter().map(|(key, write)| (key.clone(), write.low)).collect();
        for ((session, seq), low) in keys {
            let id = RequestId { session, seq, low };
            if let Seen::Done(reply) = self.machine.seen(&id) {
                self.answer_write(&id, Answer::Reply(reply));
            }
        }
    }

    pub(super) fn serve_ready_reads(&mut self) {
        let applied = self.applied;
        for (_, read) in self.gateway.ready_reads.extract_if(.., |(index, _)| *index <= applied) {
            self.stats.reads += 1;
            self.out.answers.push((read.ticket, Answer::Reply(self.machine.query(&read.query))));
        }
    }

    /// A new leader is given at once what the old one may not have finished.
    pub(super) fn follow_the_leader(&mut self) {
        if self.leader != self.gateway.leader {
            self.gateway.leader = self.leader.clone();
            self.retry_writes();
        }
    }

    /// Sends again what may be lost, and gives up what has waited too long.
    pub(super) fn tend_requests(&mut self) {
        self.retry_writes();
        self.expire_writes();
        self.tend_reads();
    }

    /// A write is sent again when the leader has changed, or when nothing was heard of it for two heartbeats, then four,
    /// then eight.
    fn retry_writes(&mut self) {
        let Some(leader) = &self.leader else { return };
        let patience_ms = |write: &PendingWrite| self.config.heartbeat_ms << write.copies.min(16);
        let stale = |write: &PendingWrite| match &write.sent {
            None => true,
            Some((to, _)) if to != leader => true,
            // In this node's own log it cannot be lost, and a change need not be asked for twice.
            Some((to, at_ms)) => {
                !self.is_me(to)
                    && matches!(write.proposal, Proposal::Write(_))
                    && self.now >= at_ms + patience_ms(write)
            }
        };
        let writes = self.gateway.writes.iter();
        let keys: Vec<Key> = writes.filter(|(_, write)| stale(write)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.dispatch(&key);
        }
    }

    fn expire_writes(&mut self) {
        let mut expired = Vec::new();
        for (key, write) in &self.gateway.writes {
            if let Some(answer) = self.config.give_up(self.now, write.since_ms, write.copies > 0) {
                expired.push((key.clone(), answer));
            }
        }
        for (key, answer) in expired {
            self.answer_pending(&key, &answer);
        }
    }

    fn tend_reads(&mut self) {
        let (now, config) = (self.now, &self.config);
        let gateway = &mut self.gateway;
        // A batch without an answer is asked about again: the question or the leader may be lost.
        gateway.asked_reads.retain(|_, batch| {
            let lost = now >= batch.sent_ms + config.election_timeout_ms;
            if lost {
                gateway.waiting_reads.append(&mut batch.reads);
            }
            !lost
        });
        let answers = &mut self.out.answers;
        let mut expired = |read: &PendingRead, asked: bool| match config.give_up(now, read.since_ms, asked) {
            Some(answer) => {
                answers.push((read.ticket, answer));
                false
            }
            None => true,
        };
        gateway.waiting_reads.retain(|read| expired(read, false));
        gateway.ready_reads.retain(|(_, read)| expired(read, true));
        for batch in gateway.asked_reads.values_mut() {
            batch.reads.retain(|read| expired(read, true));
        }
    }
}

impl Config {
    /// The answer to a request that has waited too long. One that no leader was asked about waits for an election
    /// time-out only, and its client knows that nothing was done.
    fn give_up(&self, now: u64, since_ms: u64, asked: bool) -> Option<Answer> {
        if asked {
            (now >= since_ms + self.request_timeout_ms).then_some(Answer::Timeout)
        } else {
            (now >= since_ms + self.election_timeout_ms).then_some(Answer::NoLeader)
        }
    }
}
