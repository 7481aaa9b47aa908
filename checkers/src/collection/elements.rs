//! Sets, element by element, in linear time where each element was added and removed at most once.
//!
//! The operations on different elements do not depend on each other, so a set is linearizable exactly if each element is
//! (Herlihy & Wing 1990, locality). An element is out of the set, then in it from its addition to its removal, then out.
//! What found it in there pulls the addition to before the first end of such an operation and the removal to after the
//! last start of one. Within these limits a late addition and an early removal are best for what did not
//! find it; where the limits let them meet, the element is in for a single gap, and all that found it are in that gap.
//!
//! Three cases are tried: the removal follows the addition; it came before it and changed nothing, or has not
//! taken effect; or the addition has not. Elements that were added or removed more than once are for a search.

use super::object::{Act, NEVER, Object, Op};

/// What is known of an element.
#[derive(Clone, Copy, Debug)]
struct Element {
    adding: u32,
    added: u32,
    removing: u32,
    removed: u32,
    /// Whether the removal found it there.
    was_there: bool,
    /// Added or removed more than once.
    repeated: bool,
    /// Of operations that found it: the first end and the last start.
    found_end: u32,
    found_start: u32,
    /// Operations that did not find it, which exclude the first case and the second; or [`NEVER`].
    against: [u32; 2],
}

const UNKNOWN: Element = Element {
    adding: NEVER,
    added: NEVER,
    removing: NEVER,
    removed: NEVER,
    was_there: false,
    repeated: false,
    found_end: NEVER,
    found_start: 0,
    against: [NEVER; 2],
};

/// What a set's operations amount to.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// For elements that are not linearizable: operations that show it, none of which can be left out but additions and removals.
    pub(crate) illegal: Vec<Vec<u32>>,
    /// Elements for a search.
    pub(crate) repeated: Vec<u32>,
    /// Whether the set was read as a whole, which is for a search too.
    pub(crate) read: bool,
}

pub(crate) fn judge(object: &Object) -> Judged {
    let elements = elements(&object.ops, object.values as usize);
    let mut judged = Judged { read: object.ops.iter().any(|op| op.act == Act::Read), ..Judged::default() };
    let mut bad = vec![];
    for (value, element) in (0..).zip(&elements) {
        if element.repeated {
            judged.repeated.push(value);
        } else if !element.legal() {
            bad.push(value);
        }
    }
    let mut of: Vec<Vec<u32>> = vec![Vec::new(); bad.len()];
    if !bad.is_empty() {
        for (at, op) in (0..).zip(&object.ops) {
            if let (true, Ok(which)) = (op.act != Act::Read, bad.binary_search(&op.value)) {
                of[which].push(at);
            }
        }
    }
    judged.illegal =
        of.into_iter().zip(&bad).map(|(ops, &value)| core(object, ops, &elements[value as usize])).collect();
    judged
}

fn elements(ops: &[Op], values: usize) -> Vec<Element> {
    let mut elements = vec![UNKNOWN; values];
    for op in ops {
        let Some(element) = elements.get_mut(op.value as usize).filter(|_| op.act != Act::Read) else {
            continue;
        };
        match op.act {
            Act::Insert => {
                element.repeated |= element.adding != NEVER;
                (element.adding, element.added) = (op.start, op.end);
            }
            Act::Remove | Act::RemovePresent => {
                element.repeated |= element.removing != NEVER;
                (element.removing, element.removed) = (op.start, op.end);
                element.was_there = op.act == Act::RemovePresent;
            }
            Act::Present => {
                element.found_end = element.found_end.min(op.end);
                element.found_start = element.found_start.max(op.start);
            }
            _ => {}
        }
    }
    for (at, op) in (0..).zip(ops).filter(|(_, op)| op.act == Act::Absent) {
        let element = &mut elements[op.value as usize];
        let (add, remove) = (element.last_add(), element.first_remove());
        if op.start > add {
            element.against[1] = at;
            if op.end <= remove {
                element.against[0] = at;
            }
        }
    }
    elements
}

impl Element {
    /// The last gap in which it can be added, where it is.
    fn last_add(&self) -> u32 {
        (self.added - 1).min(self.found_end.saturating_sub(1))
    }

    /// The first gap in which it can be removed, where it is.
    fn first_remove(&self) -> u32 {
        self.removing.max(self.found_start)
    }

    fn legal(&self) -> bool {
        let added = self.adding != NEVER && self.adding <= self.last_add();
        let removed =
            self.removing != NEVER && self.first_remove() < self.removed && self.adding < self.removed;
        let in_vain = !self.was_there
            && (self.removing == NEVER || self.removed == NEVER || self.removing <= self.last_add());
        let never_added = self.added == NEVER && self.found_end == NEVER && !self.was_there;
        added && removed && self.against[0] == NEVER
            || added && in_vain && self.against[1] == NEVER
            || never_added
    }
}

/// The operations that show that an element is not linearizable, of all those on it.
fn core(object: &Object, ops: Vec<u32>, element: &Element) -> Vec<u32> {
    let op = |at: u32| object.ops[at as usize];
    let mut kept: Vec<u32> = ops
        .into_iter()
        .filter(|&at| match op(at).act {
            Act::Present => op(at).end == element.found_end || op(at).start == element.found_start,
            Act::Absent => element.against.contains(&at),
            _ => true,
        })
        .collect();
    for at in kept.clone() {
        if matches!(op(at).act, Act::Present | Act::Absent) {
            let rest: Vec<u32> = kept.iter().copied().filter(|&other| other != at).collect();
            let ops: Vec<Op> = rest.iter().map(|&at| Op { value: 0, ..op(at) }).collect();
            if elements(&ops, 1).iter().any(|element| !element.legal()) {
                kept = rest;
            }
        }
    }
    kept
}
