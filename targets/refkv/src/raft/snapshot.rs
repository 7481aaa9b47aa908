//! Snapshots and log compaction (paper, §7; thesis, chapter 5).

use super::message::{Body, Durable, LogPos, NodeId, Record, Snapshot};
use super::node::Node;
use crate::bug::BugKind;

impl Node {
    /// Replaces the log up to `last` by the state there.
    pub(super) fn take_snapshot(&mut self, last: LogPos) {
        self.stats.snapshots_taken += 1;
        let members = self.members.at(last.index).clone();
        self.adopt(Snapshot { last, members, machine: self.machine.clone() });
    }

    /// Follower: InstallSnapshot (paper, Figure 13).
    pub(super) fn on_install_snapshot(&mut self, from: NodeId, term: u64, snapshot: Snapshot, round: u64) {
        if !self.follow(&from, term) {
            let next = self.log.last().index + 1;
            return self.send(from, Body::AppendReply { result: Err(next), round });
        }
        let matched = snapshot.last.index;
        if matched > self.commit {
            self.stats.snapshots_installed += 1;
            self.machine = snapshot.machine.clone();
            self.applied = matched;
            self.commit = matched;
            self.adopt(snapshot);
            self.answer_from_sessions();
            self.serve_ready_reads();
        }
        // What is committed here is the same everywhere, so the log matches up to the snapshot's end in any case.
        self.send(from, Body::AppendReply { result: Ok(matched), round });
    }

    /// Makes `snapshot` the beginning of the log, in memory and on disk. Entries after it stay if they follow it.
    fn adopt(&mut self, snapshot: Snapshot) {
        let log_goes_on = self.log.term_at(snapshot.last.index) == Some(snapshot.last.term);
        self.log.compact(snapshot.last);
        if log_goes_on {
            self.members.compact(snapshot.last.index);
        } else {
            self.members = super::membership::MemberLog::new(snapshot.members.clone());
        }
        self.snapshot = snapshot;
        let vote =
            if self.bugs().has(BugKind::VoteNotPersisted) { Default::default() } else { self.vote.clone() };
        let entries = self.log.from(self.log.base().index + 1, usize::MAX).to_vec();
        // The checkpoint stands for every record before it.
        self.out.records.clear();
        self.out.records.push(Record::Checkpoint(Durable { vote, snapshot: self.snapshot.clone(), entries }));
    }
}
