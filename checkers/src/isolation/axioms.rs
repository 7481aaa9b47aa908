//! The commit order that read committed and read atomic force: the saturation of AWDIT (PLDI 2025, sections 3 and 4).
//!
//! Both look at pairs of transactions that one transaction reads from. The keys that the one wrote and the other was read for
//! are found by going through the shorter of the two lists, which bounds the work by O(n^1.5) for n operations.

use super::order::Forced;
use super::plan::{Plan, Read};
use crate::txn::NONE;
use crate::{Budget, Lease, Spent};

/// Nodes between two looks at the budget.
const ASK_EVERY: usize = 1024;

/// What an axiom forces, with the bytes that it takes.
pub(super) struct Saturated<'a> {
    pub(super) forced: Vec<Forced>,
    lease: Lease<'a>,
}

impl<'a> Saturated<'a> {
    pub(super) fn new(budget: &'a Budget) -> Result<Saturated<'a>, Spent> {
        Ok(Saturated { forced: Vec::new(), lease: budget.lease(0)? })
    }

    /// Leases what is held by now, and looks whether there is time.
    pub(super) fn pay(&mut self, budget: &Budget) -> Result<(), Spent> {
        // A vector doubles when it is full: the next step may take twice as much.
        self.lease.resize(2 * self.forced.capacity() * size_of::<Forced>())?;
        budget.ask()
    }
}

/// Read committed: of what a transaction reads, each writer comes before those whose versions of its keys are read later.
///
/// It is enough to look at the first read from each writer, and at the next two writers of every key read after it: the rest
/// follows, since writers that are read one after the other for a key are ordered themselves.
pub(super) fn read_committed<'a>(plan: &Plan, budget: &'a Budget) -> Result<Saturated<'a>, Spent> {
    let mut saturated = Saturated::new(budget)?;
    let _lease = budget.lease(plan.nodes() * 4 + plan.keys * 16)?;
    let mut seen = vec![NONE; plan.nodes()];
    // For each key, the reader, the writer that it reads next, and the next other one.
    let mut next = vec![(NONE, NONE, NONE, false); plan.keys];
    let (mut first, mut keys): (Vec<bool>, Vec<u32>) = (Vec::new(), Vec::new());
    for by in 0..plan.nodes() as u32 {
        if (by as usize).is_multiple_of(ASK_EVERY) {
            saturated.pay(budget)?;
        }
        let reads = plan.reads.row(by);
        if reads.len() < 2 {
            continue;
        }
        first.clear();
        keys.clear();
        first.extend(
            reads
                .iter()
                .map(|read| read.from != NONE && std::mem::replace(&mut seen[read.from as usize], by) != by),
        );
        for (&Read { key, from }, &first) in reads.iter().zip(&first).rev() {
            if first {
                shared(
                    plan,
                    from,
                    &keys,
                    |key| next[key as usize].0 == by,
                    |key| {
                        let (_, near, far, two) = next[key as usize];
                        if near != from {
                            saturated.forced.push(Forced { from, to: near, by, key });
                        } else if two {
                            saturated.forced.push(Forced { from, to: far, by, key });
                        }
                    },
                );
            }
            let slot = &mut next[key as usize];
            if slot.0 != by {
                keys.push(key);
                *slot = (by, from, NONE, false);
            } else if slot.1 != from {
                *slot = (by, from, slot.1, true);
            }
        }
    }
    saturated.pay(budget)?;
    Ok(saturated)
}

/// Read atomic: whatever a transaction reads from, and whatever is earlier in its session, comes before the writers of the
/// other versions that it reads. Each key must be read from one writer only.
pub(super) fn read_atomic<'a>(plan: &Plan, budget: &'a Budget) -> Result<Saturated<'a>, Spent> {
    let mut saturated = Saturated::new(budget)?;
    let _lease = budget.lease(plan.nodes() * 4 + plan.keys * 8)?;
    read_atomic_sessions(plan, &mut saturated, budget)?;
    let mut seen = vec![NONE; plan.nodes()];
    let mut source = vec![(NONE, NONE); plan.keys];
    let mut keys: Vec<u32> = Vec::new();
    for by in 0..plan.nodes() as u32 {
        if (by as usize).is_multiple_of(ASK_EVERY) {
            saturated.pay(budget)?;
        }
        let reads = plan.reads.row(by);
        if reads.len() < 2 {
            continue;
        }
        keys.clear();
        for read in reads {
            if std::mem::replace(&mut source[read.key as usize], (by, read.from)).0 != by {
                keys.push(read.key);
            }
        }
        for &Read { from, .. } in reads {
            if from == NONE || std::mem::replace(&mut seen[from as usize], by) == by {
                continue;
            }
            shared(
                plan,
                from,
                &keys,
                |key| source[key as usize].0 == by,
                |key| {
                    let to = source[key as usize].1;
                    if to != from {
                        saturated.forced.push(Forced { from, to, by, key });
                    }
                },
            );
        }
    }
    saturated.pay(budget)?;
    Ok(saturated)
}

/// The part of read atomic that is about sessions: it is enough to look at the last earlier write to each key.
fn read_atomic_sessions(plan: &Plan, saturated: &mut Saturated, budget: &Budget) -> Result<(), Spent> {
    let _lease = budget.lease(plan.nodes() * 9 + plan.keys * 8)?;
    let mut last = vec![(NONE, NONE); plan.keys];
    // A node that comes before none must not be taken for one: it may be of unknown outcome, and take effect later.
    let mut leads = vec![false; plan.nodes()];
    let mut sessions: Vec<(u32, u32)> = Vec::with_capacity(plan.nodes());
    for (node, &before) in (0..).zip(&plan.before) {
        if before != NONE {
            leads[before as usize] = true;
        }
        sessions.push((sessions.get(before as usize).map_or(node, |&(first, _)| first), node));
    }
    sessions.sort_unstable();
    for (n, (session, node)) in sessions.into_iter().enumerate() {
        if n % ASK_EVERY == 0 {
            saturated.pay(budget)?;
        }
        for &Read { key, from: to } in plan.reads.row(node) {
            let (of, from) = last[key as usize];
            if of == session && from != to {
                saturated.forced.push(Forced { from, to, by: node, key });
            }
        }
        if leads[node as usize] {
            plan.writes.row(node).iter().for_each(|&key| last[key as usize] = (session, node));
        }
    }
    Ok(())
}

/// Visits the keys that `writer` wrote and that are among `keys`, which is where `read` is true.
#[inline]
fn shared(plan: &Plan, writer: u32, keys: &[u32], read: impl Fn(u32) -> bool, mut visit: impl FnMut(u32)) {
    let written = plan.writes.row(writer);
    if written.len() <= keys.len() {
        written.iter().copied().filter(|&key| read(key)).for_each(&mut visit);
    } else {
        keys.iter().copied().filter(|&key| plan.wrote(writer, key)).for_each(&mut visit);
    }
}
