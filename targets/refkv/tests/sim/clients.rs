//! Clients: each does one thing at a time, and some send again what was not answered.

use super::history::{ClientOp, Outcome};
use super::{NAMES, World};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use squall_refkv::raft::message::Proposal;
use squall_refkv::raft::{Answer, Input, NodeId, Op, Request};
use squall_refkv::store::{Command, Query, Reply};

#[derive(Debug)]
pub(crate) struct SimClient {
    pub(super) name: String,
    pub(super) seq: u64,
    /// The index of its operation, the node that it asked, and whether it may ask again.
    pub(super) busy: Option<(usize, NodeId, bool)>,
}

impl World {
    pub(super) fn invoke(&mut self, client: usize) {
        let key = if self.rng.random_bool(0.7) { "a" } else { "b" };
        let value = self.rng.random_bool(0.6).then_some(self.ops.len() as u64);
        let begin_ms = self.now;
        self.ops.push(ClientOp { key, value, begin_ms, end_ms: None, outcome: Outcome::Unknown, seen: None });
        let retries = self.rng.random_bool(0.5);
        self.clients[client].seq += 1;
        self.ask(client, self.ops.len() - 1, retries);
    }

    pub(super) fn ask(&mut self, client: usize, op: usize, retries: bool) {
        let id = self.node_to_ask();
        let ClientOp { key, value, .. } = &self.ops[op];
        let key = (*key).to_owned();
        let (name, seq) = (self.clients[client].name.clone(), self.clients[client].seq);
        let op_asked = match value {
            Some(value) => Op::Propose(Proposal::Write(Command::Append { key, value: json!(value) })),
            None => Op::Read(Query::Get { key }),
        };
        let request = Request { key: retries.then_some((name, seq)), op: op_asked };
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        if self.servers[&id].node.is_none() {
            // The connection is refused: nothing was done this time.
            return self.clients[client].busy = None;
        }
        self.tickets.insert(ticket, client);
        self.clients[client].busy = Some((op, id.clone(), retries));
        self.give(&id, Input::Request { ticket, request });
    }

    /// Mostly a first member; sometimes a node that may never have been one. When all is mended, a member.
    fn node_to_ask(&mut self) -> NodeId {
        if self.now > self.plan.chaos_ms {
            let nodes = self.servers.values().filter_map(|server| Some(server.node.as_ref()?.status()));
            let latest = nodes.max_by_key(|status| status.commit);
            let members: Vec<NodeId> =
                latest.into_iter().flat_map(|status| status.members.into_keys()).collect();
            return members.choose(&mut self.rng).cloned().unwrap_or_else(|| "n1".into());
        }
        let known = if self.rng.random_bool(0.7) { self.plan.nodes } else { NAMES.len() };
        NAMES[self.rng.random_range(0..known)].to_owned()
    }

    pub(super) fn answer(&mut self, ticket: u64, answer: Answer) {
        let Some(client) = self.tickets.remove(&ticket) else { return };
        let Some((at, _, retries)) = self.clients[client].busy.clone() else { return };
        let op = &mut self.ops[at];
        let (outcome, seen) = match answer {
            Answer::Reply(Reply::Length(length)) => {
                self.covered.appends_acknowledged += 1;
                (Outcome::Length(length), None)
            }
            Answer::Reply(Reply::Value(value)) => {
                self.covered.reads_answered += 1;
                let seen = value.unwrap_or(Value::Array(Vec::new()));
                (Outcome::Length(seen.as_array().map_or(0, Vec::len)), Some(seen))
            }
            // An earlier try of the same request may have done something.
            Answer::NoLeader | Answer::Refused(_) if !retries => (Outcome::Failed, None),
            Answer::NoLeader | Answer::Refused(_) | Answer::Timeout if retries => {
                return self.ask(client, at, retries);
            }
            _ => (Outcome::Unknown, None),
        };
        self.clients[client].busy = None;
        if outcome != Outcome::Unknown {
            (op.end_ms, op.outcome, op.seen) = (Some(self.now), outcome, seen);
        }
    }
}
