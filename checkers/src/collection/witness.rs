//! The smallest part of an illegal collection that fails by itself.

use super::Kind;
use super::judge_container;
use super::object::{Act, Object};
use super::ruling::{Found, Ruling};

/// Operations that all attempts together may judge, for each one in the part to begin with, and besides.
const WORK_PER_OP: usize = 64;
const WORK: usize = 1 << 18;

/// A part of a collection's operations that fails by itself.
pub(crate) struct Core {
    pub(crate) object: Object,
    /// Whether no value, and no operation that saw what was next, can be left out. Otherwise the budget ran out.
    pub(crate) minimal: bool,
}

/// What is left out as a whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    /// All operations on this value that insert or remove it.
    Value(u32),
    /// An operation that saw what was next.
    Observation(u32),
}

/// Leaves out of what was found whatever it does without.
///
/// A legal order stays legal without all operations on a value, or without one that only sees what is next; so what fails
/// in part fails as a whole. An insertion or a removal alone is never left out: without its removal each value would seem
/// lost. For the same reason removals of unknown result stay wherever they can matter.
pub(crate) fn core(kind: Kind, object: &Object, found: &Found) -> Core {
    let mut values = found.values.clone();
    values.sort_unstable();
    let wanted = |at: u32, op: &super::object::Op| match op.act {
        Act::RemoveAny => true,
        Act::Empty => found.observations.contains(&at),
        _ => values.binary_search(&op.value).is_ok(),
    };
    let start = object.only(|at, op| wanted(at as u32, op));
    let mut units: Vec<Unit> = (0..start.values).map(Unit::Value).collect();
    let observations = (0..).zip(&start.ops).filter(|(_, op)| matches!(op.act, Act::Empty | Act::Peek));
    units.extend(observations.map(|(at, _)| Unit::Observation(at)));
    let mut work = start.ops.len() * WORK_PER_OP + WORK;
    let mut minimal = true;
    let mut fails = |units: &[Unit]| {
        let part = part(&start, units);
        minimal &= work > 0;
        work = work.saturating_sub(part.ops.len());
        work > 0 && matches!(judge_container(kind, &part).1, Ruling::Illegal(_))
    };
    let mut piece = units.len().div_ceil(2);
    while piece > 0 {
        let before = units.len();
        let mut at = 0;
        while at < units.len() && units.len() > 1 {
            let end = (at + piece).min(units.len());
            let rest: Vec<Unit> = units[..at].iter().chain(&units[end..]).copied().collect();
            if fails(&rest) { units = rest } else { at = end }
        }
        if piece > 1 {
            piece = piece.div_ceil(2).min(units.len().div_ceil(2));
        } else if units.len() == before {
            break;
        }
    }
    Core { object: part(&start, &units), minimal }
}

/// The operations of some units, in ascending order, with removals of unknown result where a value is left.
fn part(object: &Object, units: &[Unit]) -> Object {
    let mut has_value = vec![false; object.values as usize];
    let mut observed = vec![false; object.ops.len()];
    for unit in units {
        match *unit {
            Unit::Value(value) => has_value[value as usize] = true,
            Unit::Observation(at) => observed[at as usize] = true,
        }
    }
    let (mut inserted, mut removed, mut last) = (0, 0, 0);
    let mut kept: Vec<bool> = Vec::with_capacity(object.ops.len());
    for (op, observed) in object.ops.iter().zip(observed) {
        let keep = match op.act {
            Act::RemoveAny => false,
            Act::Empty => observed,
            Act::Peek => observed && has_value[op.value as usize],
            _ => has_value[op.value as usize],
        };
        if keep {
            inserted += usize::from(op.act == Act::Insert);
            removed += usize::from(op.act == Act::Remove);
            if op.act != Act::Insert {
                last = last.max(op.end);
            }
        }
        kept.push(keep);
    }
    let lost = inserted > removed;
    object.only(|at, op| kept[at] || (lost && op.act == Act::RemoveAny && op.start < last))
}
