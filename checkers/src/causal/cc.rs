//! The bad patterns of causal consistency (CC), and the conflict order that convergence adds.

use super::clocks::{Circle, Clocks};
use crate::registers::{Sessions, Source};
use crate::{Budget, Spent};

/// A bad pattern of Bouajjani, Enea, Guerraoui and Hamza (POPL 2017, table 2), with the operations that make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// The causal order has a cycle.
    CyclicCo(Circle),
    /// A read of the initial value although a write comes causally before it.
    WriteCoInitRead { write: u32, read: u32 },
    /// A read of a value that nobody wrote.
    ThinAirRead { read: u32 },
    /// A read of a value that only a failed operation wrote.
    AbortedRead { event: u32, read: u32 },
    /// A read of `old` although `new`, which comes causally after `old`, comes causally before it.
    WriteCoRead { old: u32, new: u32, read: u32 },
    /// The conflict order and the causal order together have a cycle.
    CyclicCf(Vec<Step>),
    /// As `WriteCoInitRead`, in the order that a session must have seen.
    WriteHbInitRead { write: u32, read: u32 },
    /// The order that a session must have seen has a cycle.
    CyclicHb(Vec<Step>),
}

/// One step of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `from` comes causally before `to`.
    Causal { from: u32, to: u32 },
    /// `from` must be overwritten by `to`, because `read` saw `to` and not `from`, which comes before it.
    Conflict { from: u32, to: u32, read: u32 },
}

impl Step {
    /// The same step between operations of other names; the read that shows a conflict keeps its own.
    pub(crate) fn map(self, name: impl Fn(u32) -> u32) -> Step {
        match self {
            Step::Causal { from, to } => Step::Causal { from: name(from), to: name(to) },
            Step::Conflict { from, to, read } => Step::Conflict { from: name(from), to: name(to), read },
        }
    }
}

/// `from` before `to` in the conflict order, because of `read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) read: u32,
}

/// What a pass over the causal order leaves for the other models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The patterns alone.
    Nothing,
    /// The conflict order.
    Conflicts,
    /// The clocks of all writes.
    Clocks,
}

/// What one pass over the causal order yields.
pub(crate) struct Causality<'a> {
    pub(crate) clocks: Clocks<'a>,
    /// One for each read that shows one, in an order that extends the causal one, and one for each causal cycle.
    pub(crate) patterns: Vec<Pattern>,
    /// The conflict order, but for what the causal order implies.
    pub(crate) conflicts: Vec<Conflict>,
    /// Writes looked at.
    pub(crate) work: u64,
}

/// Finds the bad patterns of CC. A history has none of them exactly if it is CC (POPL 2017, theorem 4, lemma 5).
///
/// # Errors
/// What is spent.
pub(crate) fn causality<'a>(kv: &Sessions, keep: Keep, budget: &'a Budget) -> Result<Causality<'a>, Spent> {
    let (mut patterns, mut conflicts, mut work) = (Vec::new(), Vec::new(), 0);
    let mut lease = budget.lease(0)?;
    let (clocks, circles) = Clocks::walk(kv, keep == Keep::Clocks, budget, |clocks, read, clock| {
        let op = &kv.ops[read as usize];
        let pattern = match op.source {
            Source::Nothing | Source::Several => None,
            Source::ThinAir => Some(Pattern::ThinAirRead { read }),
            Source::Aborted(event) => Some(Pattern::AbortedRead { event, read }),
            Source::Initial => {
                work += clocks.heads(op.key).len() as u64;
                let known = |head| clocks.last_known(head, clock[head.chain as usize]);
                let write = clocks.heads(op.key).iter().find_map(known);
                write.map(|(write, _)| Pattern::WriteCoInitRead { write, read })
            }
            Source::Write(old) => {
                let mut pattern = None;
                work += clocks.heads(op.key).len() as u64;
                let older = clocks.row(old);
                for head in clocks.heads(op.key) {
                    // Most chains hold nothing that the reader knows and the writer of `old` did not.
                    let (chain, least) = (head.chain as usize, older[head.chain as usize]);
                    if head.rank < least || clock[chain] <= least {
                        continue;
                    }
                    match clocks.last_known(head, clock[chain]) {
                        Some((new, rank)) if rank >= least && new != old => {
                            if clocks.before(old, new) {
                                pattern.get_or_insert(Pattern::WriteCoRead { old, new, read });
                            } else if keep == Keep::Conflicts {
                                conflicts.push(Conflict { from: new, to: old, read });
                            }
                        }
                        _ => {}
                    }
                }
                pattern
            }
        };
        patterns.extend(pattern);
        lease
            .resize(conflicts.capacity() * size_of::<Conflict>() + patterns.capacity() * size_of::<Pattern>())
    })?;
    patterns.extend(circles.into_iter().map(Pattern::CyclicCo));
    Ok(Causality { clocks, patterns, conflicts, work })
}
