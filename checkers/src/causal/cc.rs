//! The bad patterns of causal consistency (CC), and the conflict order that convergence adds.

use super::clocks::{Circle, Clocks, Writers};
use super::kv::{Kv, Source};

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

/// What one pass over the causal order yields.
pub(crate) struct Causality {
    pub(crate) clocks: Clocks,
    pub(crate) writers: Writers,
    /// One for each read that shows one, in an order that extends the causal one, and one for each causal cycle.
    pub(crate) patterns: Vec<Pattern>,
    /// The conflict order, but for what the causal order implies.
    pub(crate) conflicts: Vec<Conflict>,
    /// Writes looked at.
    pub(crate) work: u64,
}

/// Finds the bad patterns of CC. A history has none of them exactly if it is CC (POPL 2017, theorem 4, lemma 5).
pub(crate) fn causality(kv: &Kv) -> Causality {
    let writers = Writers::new(kv);
    let (mut patterns, mut conflicts, mut work) = (Vec::new(), Vec::new(), 0);
    let (clocks, circles) = Clocks::walk(kv, |clocks, read, clock| {
        let pattern = match kv.ops[read as usize].source {
            Source::Nothing => None,
            Source::ThinAir => Some(Pattern::ThinAirRead { read }),
            Source::Aborted(event) => Some(Pattern::AbortedRead { event, read }),
            Source::Initial => {
                let mut past = past_writes(kv, clocks, &writers, read, clock, &mut work);
                past.next().map(|write| Pattern::WriteCoInitRead { write, read })
            }
            Source::Write(old) => {
                let mut pattern = None;
                for new in past_writes(kv, clocks, &writers, read, clock, &mut work).filter(|&new| new != old)
                {
                    if clocks.before(kv, old, new) {
                        pattern.get_or_insert(Pattern::WriteCoRead { old, new, read });
                    } else if !clocks.before(kv, new, old) {
                        conflicts.push(Conflict { from: new, to: old, read });
                    }
                }
                pattern
            }
        };
        patterns.extend(pattern);
    });
    patterns.extend(circles.into_iter().map(Pattern::CyclicCo));
    Causality { clocks, writers, patterns, conflicts, work }
}

/// Of each session the last write to the key of `read` that comes causally before it. The earlier ones come before
/// that one, so whatever they would show, it shows.
fn past_writes<'a>(
    kv: &'a Kv,
    clocks: &'a Clocks,
    writers: &'a Writers,
    read: u32,
    clock: &'a [u32],
    work: &'a mut u64,
) -> impl Iterator<Item = u32> + 'a {
    writers.of(kv.ops[read as usize].key).filter_map(move |writes| {
        *work += 1;
        let known = clock[clocks.column(kv.ops[writes[0] as usize].session)];
        let past = writes.partition_point(|&write| clocks.rank(write) < known);
        past.checked_sub(1).map(|last| writes[last])
    })
}
