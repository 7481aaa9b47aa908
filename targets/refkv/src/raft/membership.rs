//! Membership changes, one server at a time (thesis, §4.1 and §4.2).
//!
//! Majorities of two sets that differ by one member overlap, so the new set may be in force as soon as it stands in a
//! node's log. Two conditions keep sets from differing by more: the last change is committed, and the leader has
//! committed an entry of its own term (the second was found after the thesis: raft-dev, 10 July 2015).
//!
//! A new server is not caught up before it counts (thesis, §4.2.1): until it has the log, one more failure than usual
//! may stop the cluster, but never mislead it.

use super::message::{Change, Entry, Members, NodeId, Payload, Refusal};
use super::node::Node;
use super::replication::Progress;
use crate::bug::BugKind;
use crate::session::RequestId;

/// The sets of members that the log speaks of, oldest first. The last one is in force.
#[derive(Debug, Clone)]
pub(super) struct MemberLog {
    sets: Vec<MemberSet>,
}

#[derive(Debug, Clone)]
struct MemberSet {
    /// The index of the entry that brought it.
    since: u64,
    /// The request that asked for it.
    request: Option<RequestId>,
    members: Members,
}

impl MemberLog {
    pub(super) fn new(first: Members) -> MemberLog {
        MemberLog { sets: vec![MemberSet { since: 0, request: None, members: first }] }
    }

    pub(super) fn observe(&mut self, entry: &Entry) {
        if let Payload::Members { id, members } = &entry.payload {
            let (request, members) = (Some(id.clone()), members.clone());
            self.sets.push(MemberSet { since: entry.pos.index, request, members });
        }
    }

    fn last(&self) -> &MemberSet {
        &self.sets[self.sets.len() - 1]
    }

    pub(super) fn current(&self) -> &Members {
        &self.last().members
    }

    fn last_request(&self) -> Option<&RequestId> {
        self.last().request.as_ref()
    }

    /// The members in force at `index`.
    pub(super) fn at(&self, index: u64) -> &Members {
        &self.sets.iter().rev().find(|set| set.since <= index).unwrap_or(&self.sets[0]).members
    }

    /// Whether `id` is a member in the set in force at `index` or in a later one.
    pub(super) fn ever_since(&self, index: u64, id: &str) -> bool {
        let later = self.sets.iter().filter(|set| set.since > index).map(|set| &set.members);
        later.chain([self.at(index)]).any(|members| members.contains_key(id))
    }

    /// Whether a change stands in the log after `index`.
    pub(super) fn changed_after(&self, index: u64) -> bool {
        self.last().since > index
    }

    /// Forgets the changes at `index` and after it.
    pub(super) fn truncate_from(&mut self, index: u64) {
        while self.sets.len() > 1 && self.changed_after(index - 1) {
            self.sets.pop();
        }
    }

    /// Forgets the changes before the one in force at `index`.
    pub(super) fn compact(&mut self, index: u64) {
        let obsolete = self.sets.iter().filter(|set| set.since <= index).count().saturating_sub(1);
        self.sets.drain(..obsolete);
    }

    /// Whether the members for which `has` holds are a majority.
    pub(super) fn is_quorum(&self, has: impl Fn(&NodeId) -> bool) -> bool {
        let members = self.current();
        members.keys().filter(|id| has(id)).count() > members.len() / 2
    }

    /// The highest value that a majority has reached; 0 without members.
    pub(super) fn quorum_index(&self, reached: impl Fn(&NodeId) -> u64) -> u64 {
        let mut values: Vec<u64> = self.current().keys().map(reached).collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.get(values.len() / 2).copied().unwrap_or(0)
    }
}

impl Node {
    /// Leader: puts a change of the members into the log.
    pub(super) fn change_members(&mut self, id: RequestId, change: Change) -> Result<(), Refusal> {
        if self.members.last_request() == Some(&id) {
            return Ok(());
        }
        let settled = !self.members.changed_after(self.commit) && self.knows_what_is_committed();
        // Broken under the bug: the sets before and after can then have majorities that share no member.
        if !settled && !self.bugs().has(BugKind::TwoChangesAtOnce) {
            return Err(Refusal::ChangeInProgress);
        }
        let mut members = self.members.current().clone();
        match change {
            Change::Add { id, addr } => members.insert(id, addr),
            Change::Remove(id) => members.remove(&id),
        };
        if members.is_empty() {
            return Err(Refusal::LastMember);
        }
        let (last, now) = (self.log.last().index, self.now);
        if let Some(leadership) = self.leadership() {
            leadership.progress.retain(|peer, _| members.contains_key(peer));
            for peer in members.keys() {
                leadership.progress.entry(peer.clone()).or_insert_with(|| Progress::new(last, now));
            }
        }
        self.propose(Payload::Members { id, members });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::LogPos;
    use super::*;

    fn set(ids: &[&str]) -> Members {
        ids.iter().map(|id| ((*id).to_owned(), String::new())).collect()
    }

    fn change(index: u64, ids: &[&str]) -> Entry {
        let id = RequestId { session: "s".into(), seq: index, low: 0 };
        Entry { pos: LogPos { index, term: 1 }, payload: Payload::Members { id, members: set(ids) } }
    }

    #[test]
    fn a_set_is_in_force_from_its_entry_until_that_is_truncated() {
        let mut log = MemberLog::new(set(&["a"]));
        log.observe(&change(3, &["a", "b"]));
        log.observe(&change(5, &["a", "b", "c"]));
        assert_eq!(log.at(2), &set(&["a"]));
        assert_eq!(log.at(4), &set(&["a", "b"]));
        assert!(log.changed_after(4) && !log.changed_after(5));
        log.observe(&change(6, &["b", "c"]));
        assert!(log.ever_since(5, "a") && !log.ever_since(6, "a"));
        log.truncate_from(5);
        assert_eq!(log.current(), &set(&["a", "b"]));
        log.truncate_from(1);
        assert_eq!(log.current(), &set(&["a"]));
    }

    #[test]
    fn compaction_keeps_the_set_in_force() {
        let mut log = MemberLog::new(set(&["a"]));
        log.observe(&change(3, &["a", "b"]));
        log.observe(&change(5, &["a", "b", "c"]));
        log.compact(4);
        assert_eq!(log.at(4), &set(&["a", "b"]));
        assert_eq!(log.sets.len(), 2);
    }

    #[test]
    fn majorities() {
        let log = MemberLog::new(set(&["a", "b", "c", "d"]));
        assert!(!log.is_quorum(|id| id < &"c".to_owned()), "two of four are none");
        assert!(log.is_quorum(|id| id < &"d".to_owned()));
        let reached = |id: &NodeId| match id.as_str() {
            "a" => 9,
            "b" => 7,
            "c" => 5,
            _ => 1,
        };
        assert_eq!(log.quorum_index(reached), 5);
        assert_eq!(MemberLog::new(set(&["a", "b", "c"])).quorum_index(reached), 7);
        assert_eq!(MemberLog::new(set(&[])).quorum_index(reached), 0);
        assert!(!MemberLog::new(set(&[])).is_quorum(|_| true), "nobody is never a majority");
    }
}
