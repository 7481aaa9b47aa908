//! The edges that follow from what is known to come before a node.

use super::{Known, Why};
use crate::polygraph::PolygraphModel;

impl Known<'_> {
    /// Draws what follows from the past of `node`, which has grown in these sessions.
    pub(super) fn infer(&mut self, node: u32, grown: &[u32]) {
        let Some(txn) = self.layout.txn(node) else { return };
        let layout = self.layout;
        if node == layout.begin(txn) {
            self.infer_overwritten(txn, grown);
        }
        if self.model == PolygraphModel::ParallelSnapshotIsolation {
            return;
        }
        let written = if self.model == PolygraphModel::SnapshotIsolation {
            layout.begin(txn)
        } else {
            layout.commit(txn)
        };
        if node == written {
            self.infer_unread(txn, node, grown);
        }
        if self.model == PolygraphModel::SnapshotIsolation && node == layout.commit(txn) {
            self.infer_apart(txn, grown);
        }
    }

    /// Where `txn` read a version and another that wrote the key came before the read, the other came before the writer.
    fn infer_overwritten(&mut self, txn: u32, grown: &[u32]) {
        let (layout, problem) = (self.layout, self.problem);
        let begin = layout.begin(txn);
        for read in problem.reads_of(txn) {
            let version = problem.versions[problem.reads[read as usize].version as usize];
            let to = self.model.written(layout, version.txn);
            for lane in &problem.written.keys[version.key as usize] {
                if grown.binary_search(&lane.session).is_err() {
                    continue;
                }
                let mut limit = self.row(begin, lane.session);
                if lane.session == problem.session(txn) {
                    limit = limit.min(2 * problem.place[txn as usize]);
                }
                if let Some(writer) =
                    problem.written.last(lane, limit / 2).map(|other| problem.versions[other as usize].txn)
                    && writer != version.txn
                {
                    self.draw_new(layout.commit(writer), to, Why::Overwritten(read));
                }
            }
        }
    }

    /// Where `txn` wrote a key after another had, those who read the other's version read before `txn` committed.
    fn infer_unread(&mut self, txn: u32, node: u32, grown: &[u32]) {
        let (layout, problem) = (self.layout, self.problem);
        let commit = layout.commit(txn);
        for version in problem.entries[txn as usize].writes.clone() {
            let key = problem.versions[version as usize].key;
            for lane in &problem.read.keys[key as usize] {
                if grown.binary_search(&lane.session).is_err() {
                    continue;
                }
                let mut limit = self.row(node, lane.session);
                if lane.session == problem.session(txn) {
                    limit = limit.min(2 * problem.place[txn as usize]);
                }
                let Some(before) = problem.read.last(lane, limit / 2) else { continue };
                for &read in problem.readers(before) {
                    let reader = problem.reads[read as usize].txn;
                    if reader != txn {
                        self.draw_new(layout.begin(reader), commit, Why::Unread(read));
                    }
                }
            }
        }
    }

    /// Where `txn` wrote a key and another writer of it began before `txn` committed, the other committed before `txn` began.
    fn infer_apart(&mut self, txn: u32, grown: &[u32]) {
        let (layout, problem) = (self.layout, self.problem);
        for version in problem.entries[txn as usize].writes.clone() {
            for lane in &problem.written.keys[problem.versions[version as usize].key as usize] {
                let own = lane.session == problem.session(txn);
                if own || grown.binary_search(&lane.session).is_err() {
                    continue;
                }
                // A snapshot is one less than its commit.
                let limit = self.row(layout.commit(txn), lane.session) + 1;
                if let Some(other) = problem.written.last(lane, limit / 2) {
                    let writer = problem.versions[other as usize].txn;
                    self.draw_new(layout.commit(writer), layout.begin(txn), Why::Overlap(version));
                }
            }
        }
    }
}
