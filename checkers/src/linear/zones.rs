//! Registers whose writes are unique, in near-linear time (Gibbons & Korach, "Testing shared memories", 1997, section 4).
//!
//! Where each value is written once, a read says which write it follows. The operations on one value form a cluster;
//! its *zone* runs between the first completion and the last invocation among them. A zone is *forward* when the first
//! completion comes first: the register must hold the value throughout. Otherwise it is *backward*: the cluster fits
//! into any moment of it. An order exists exactly if no read precedes its write, forward zones are disjoint, and no
//! backward zone lies inside a forward one.

use std::collections::HashMap;

use super::problem::{NEVER, Problem, Step};
use crate::intern::FastBuild;
use crate::model::{Model, RegisterOp, Symbol};

/// Reads and unique writes of a register.
pub(crate) struct UniqueWrites {
    /// For each entry the value, and whether it writes it.
    ops: Vec<(u32, bool)>,
    values: usize,
}

/// The first completion and the last invocation of a value's operations. Time 0 is before the first event.
#[derive(Clone, Copy)]
struct Cluster {
    written: u64,
    first_end: u64,
    last_start: u64,
    read: bool,
    acknowledged: bool,
}

const NOT_YET: Cluster =
    Cluster { written: u64::MAX, first_end: u64::MAX, last_start: 0, read: false, acknowledged: false };

impl UniqueWrites {
    /// The problem as reads and unique writes, if it is that.
    pub(crate) fn new<M: Model>(model: &M, problem: &Problem<M::Op>) -> Option<UniqueWrites> {
        let mut ops = Vec::with_capacity(problem.entries.len());
        let mut writes: Vec<bool> = vec![true];
        // Values are numbered over all objects.
        let mut own: HashMap<Symbol, u32, FastBuild> = HashMap::from_iter([(Symbol::NIL, 0)]);
        for entry in &problem.entries {
            let (value, writes_it) = match model.as_register(problem.kinds.at(entry.kind))? {
                RegisterOp::Read(value) => (value, false),
                RegisterOp::Write(value) => (value, true),
                _ => return None,
            };
            let next = own.len() as u32;
            let value = *own.entry(value).or_insert(next);
            writes.resize(writes.len().max(value as usize + 1), false);
            // The initial value counts as written.
            if writes_it && std::mem::replace(&mut writes[value as usize], true) {
                return None;
            }
            ops.push((value, writes_it));
        }
        Some(UniqueWrites { ops, values: writes.len() })
    }

    /// Bytes that a check takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.ops.len() * size_of::<(u32, bool)>() + self.values * (size_of::<Cluster>() + 16)
    }

    /// The position of the first return that no order passes: `None` where the whole is linearizable.
    ///
    /// A prefix of a linearizable history is linearizable, so the return can be found by halving.
    pub(crate) fn first_illegal<O>(&self, problem: &Problem<O>) -> Option<usize> {
        if self.legal(problem, problem.steps.len()) {
            return None;
        }
        // Legal below `low` steps, illegal with `high` of them.
        let (mut low, mut high) = (0, problem.steps.len());
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.legal(problem, middle) { low = middle } else { high = middle }
        }
        Some(high - 1)
    }

    /// Whether the first `end` steps are linearizable, with what is then pending as never returning.
    fn legal<O>(&self, problem: &Problem<O>, end: usize) -> bool {
        let Some(clusters) = self.clusters(problem, end) else { return false };
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for cluster in clusters {
            if cluster.written == u64::MAX || !(cluster.acknowledged || cluster.read) {
                continue;
            }
            if cluster.first_end < cluster.last_start {
                forward.push((cluster.first_end, cluster.last_start));
            } else {
                backward.push((cluster.last_start, cluster.first_end));
            }
        }
        forward.sort_unstable();
        let disjoint = forward.windows(2).all(|pair| pair[0].1 < pair[1].0);
        let inside = |&(start, end): &(u64, u64)| {
            let after = forward.partition_point(|zone| zone.1 < start);
            forward.get(after).is_some_and(|zone| zone.0 < start && end < zone.1)
        };
        disjoint && !backward.iter().any(inside)
    }

    /// The clusters by value, or `None` where a read precedes its write.
    fn clusters<O>(&self, problem: &Problem<O>, end: usize) -> Option<Vec<Cluster>> {
        let mut clusters = vec![NOT_YET; self.values];
        clusters[0] = Cluster { written: 0, first_end: 0, acknowledged: true, ..NOT_YET };
        for step in &problem.steps[..end] {
            let (Step::Call(at) | Step::Crash(at) | Step::Return(at)) = *step;
            let (value, writes_it) = self.ops[at as usize];
            let entry = problem.entries[at as usize];
            let cluster = &mut clusters[value as usize];
            if let Step::Return(_) = step {
                debug_assert!(entry.complete != NEVER, "what returns has a completion");
                if cluster.written == u64::MAX {
                    return None;
                }
                cluster.first_end = cluster.first_end.min(1 + u64::from(entry.complete));
                cluster.last_start = cluster.last_start.max(1 + u64::from(entry.invoke));
                cluster.acknowledged |= writes_it;
                cluster.read |= !writes_it;
            } else if writes_it {
                cluster.written = 1 + u64::from(entry.invoke);
                cluster.last_start = cluster.last_start.max(cluster.written);
            }
        }
        Some(clusters)
    }
}
