//! When each value of a queue, a stack or a priority queue was inserted and removed.

use std::collections::HashMap;

use super::Kind;
use super::object::{Act, NEVER, Object};

/// The insertion and the removal of one value, from their first gaps to their ends.
///
/// From `inserted` to the gap before `removing` the value is in the collection in every order: these are its *critical*
/// gaps. There are none where the insertion and the removal overlap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) inserting: u32,
    pub(crate) inserted: u32,
    pub(crate) removing: u32,
    pub(crate) removed: u32,
}

/// What is wrong with a single value, whatever the others did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It was removed or seen, and nobody inserted it.
    Nowhere,
    /// It was removed twice.
    Twice,
    /// It was removed or seen before it was inserted.
    Early,
    /// It was seen after it was removed.
    Late,
}

/// What is known of the values that were inserted once each, of removals that found nothing, and of removals of unknown
/// result.
///
/// An insertion of unknown outcome whose value was removed or seen took effect before that was over. One whose value nobody
/// saw is left out: at most a removal of unknown result has taken it, and a legal order stays legal without all operations
/// on a value. Values that were inserted more than once are left out for the same reason: what is illegal
/// without them is illegal with them. So is what is flawed, after it was reported.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// By value. Those that are left out have an `inserting` of [`NEVER`]. Those that were not removed have a `removing`
    /// beyond `end`, the last gap.
    pub(crate) spans: Vec<Span>,
    pub(crate) end: u32,
    /// Operations that found nothing.
    pub(crate) empties: Vec<u32>,
    /// Starts of the removals of unknown result, in order.
    pub(crate) lost: Vec<u32>,
    /// Operations that saw which value is next.
    pub(crate) peeks: Vec<u32>,
    /// For values that were left and seen: the start of the last such operation, before which nothing took them.
    pub(crate) last_seen: HashMap<u32, u32>,
    pub(crate) flaws: Vec<(u32, Flaw)>,
    /// Whether every value was inserted once.
    pub(crate) distinct: bool,
}

const ABSENT: Span = Span { inserting: NEVER, inserted: NEVER, removing: NEVER, removed: NEVER };

const FINE: u8 = 0;
const TWICE: u8 = 1;
const REPEATED: u8 = 2;

impl Facts {
    pub(crate) fn new(kind: Kind, object: &Object) -> Facts {
        let mut facts = Facts {
            spans: vec![ABSENT; object.values as usize],
            end: object.len,
            empties: Vec::new(),
            lost: Vec::new(),
            peeks: Vec::new(),
            last_seen: HashMap::new(),
            flaws: Vec::new(),
            distinct: true,
        };
        let mut states = vec![FINE; object.values as usize];
        for (at, op) in object.ops.iter().enumerate() {
            let value = op.value as usize;
            match op.act {
                Act::Insert if facts.spans[value].inserting != NEVER => {
                    states[value] = REPEATED;
                    facts.distinct = false;
                }
                Act::Insert => {
                    let span = &mut facts.spans[value];
                    (span.inserting, span.inserted) = (op.start, op.end);
                }
                Act::Remove if facts.spans[value].removed != NEVER => {
                    states[value] = states[value].max(TWICE)
                }
                Act::Remove => {
                    let span = &mut facts.spans[value];
                    (span.removing, span.removed) = (op.start, op.end);
                }
                Act::RemoveAny => facts.lost.push(op.start),
                Act::Empty => facts.empties.push(at as u32),
                Act::Peek => facts.peeks.push(at as u32),
                _ => {}
            }
        }
        facts.tune(kind, object, &mut states);
        facts
    }

    /// Finds flaws, gives every span an end, and leaves out what says nothing.
    fn tune(&mut self, kind: Kind, object: &Object, states: &mut [u8]) {
        // A value removed twice may also have been inserted twice, later.
        for (value, span) in self.spans.iter_mut().enumerate() {
            let flaw = match *span {
                _ if states[value] == REPEATED => None,
                Span { inserting: NEVER, removed: NEVER, .. } => continue,
                Span { inserting: NEVER, .. } => Some(Flaw::Nowhere),
                _ if states[value] == TWICE => Some(Flaw::Twice),
                Span { inserting, removed, .. } if removed < inserting => Some(Flaw::Early),
                _ => {
                    if span.removed == NEVER {
                        (span.removing, span.removed) = (self.end + 1, self.end + 2);
                    } else {
                        span.inserted = span.inserted.min(span.removed);
                    }
                    continue;
                }
            };
            *span = ABSENT;
            states[value] = REPEATED;
            self.flaws.extend(flaw.map(|flaw| (value as u32, flaw)));
        }
        self.peeked(kind, object, states);
        for span in &mut self.spans {
            if span.inserted == NEVER {
                *span = ABSENT;
            }
        }
    }

    /// A value that was seen was in the collection then. Only the priority queue's engine can tell more from that.
    fn peeked(&mut self, kind: Kind, object: &Object, states: &mut [u8]) {
        for &at in &self.peeks {
            let op = object.ops[at as usize];
            let span = &mut self.spans[op.value as usize];
            if states[op.value as usize] == REPEATED {
                continue;
            }
            let flaw = match *span {
                Span { inserting: NEVER, .. } => Flaw::Nowhere,
                Span { inserting, .. } if op.end < inserting => Flaw::Early,
                Span { removed, .. } if removed < op.start => Flaw::Late,
                _ => {
                    span.inserted = span.inserted.min(op.end);
                    if matches!(kind, Kind::PriorityQueue { .. }) {
                        span.removing = span.removing.max(op.start);
                        if span.removing > self.end {
                            let seen = self.last_seen.entry(op.value).or_default();
                            *seen = op.start.max(*seen);
                        }
                    }
                    continue;
                }
            };
            *span = ABSENT;
            states[op.value as usize] = REPEATED;
            self.flaws.push((op.value, flaw));
        }
    }

    /// Whether a value was in the collection, and was not removed by a removal whose result is known.
    pub(crate) fn left(&self, span: &Span) -> bool {
        span.known() && span.removing > self.end
    }
}

impl Facts {
    /// The facts where every value that was left was taken as early as any removal of unknown result allows. `None` where
    /// there is nothing to take.
    pub(crate) fn all_taken(&self) -> Option<Facts> {
        let first = *self.lost.first()?;
        if !self.spans.iter().any(|span| self.left(span)) {
            return None;
        }
        let mut taken = Facts { lost: Vec::new(), ..self.clone() };
        for (value, span) in (0..).zip(&mut taken.spans) {
            if span.known() && span.removing > self.end {
                let seen = self.last_seen.get(&value).copied().unwrap_or(0);
                (span.removing, span.removed) = (first.max(seen), self.end + 1);
            }
        }
        Some(taken)
    }
}

impl Span {
    pub(crate) fn known(&self) -> bool {
        self.inserting != NEVER
    }

    /// Whether it has critical gaps.
    pub(crate) fn critical(&self) -> bool {
        self.known() && self.inserted < self.removing
    }
}
