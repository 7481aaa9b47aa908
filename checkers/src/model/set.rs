use std::sync::Arc;

use super::{Model, Operation, Outcome, RawCall, Symbol, Values};
use crate::history::Raw;

/// A set: `add v`, `remove v`, `contains v`, which returns `true` or `false`, and `read`, which returns the list of all
/// elements in any order. Empty at first. `insert`, `delete` and `has` are known too,
/// and `contains_true` and `contains_false`, whose names hold the result.
///
/// An `add` or a `remove` that returned `true` or `false` says whether it changed the set; any other acknowledgement says
/// only that the element is in it, or out of it, afterwards. A failed operation says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

/// An operation of [`Set`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SetOp {
    /// It adds this, and whether it was not there, where that is known.
    Add(Symbol, Option<bool>),
    /// It removes this, and whether it was there, where that is known.
    Remove(Symbol, Option<bool>),
    /// Whether it found this.
    Contains(Symbol, bool),
    /// It found just these, in ascending order.
    Read(Arc<[Symbol]>),
}

/// An operation of [`Set`], as it lies in the history.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RawSetOp<'a> {
    Add(Raw<'a>, Option<bool>),
    Remove(Raw<'a>, Option<bool>),
    Contains(Raw<'a>, bool),
    /// An array.
    Read(Raw<'a>),
}

impl<'a> RawSetOp<'a> {
    /// The operation that a call is; `None` where it says nothing.
    pub(crate) fn of(call: &RawCall<'a>) -> Result<Option<Self>, String> {
        let output = match call.outcome {
            Outcome::Ok(output) => Some(output),
            Outcome::Unknown => None,
            Outcome::Fail(_) => return Ok(None),
        };
        let input = call.input;
        let changed = match output {
            Some(Raw::Bool(changed)) if !matches!(input, Raw::Bool(_)) => Some(changed),
            _ => None,
        };
        Ok(Some(match (call.f, output) {
            ("add" | "insert", _) => RawSetOp::Add(input, changed),
            ("remove" | "delete", _) => RawSetOp::Remove(input, changed),
            ("contains" | "has" | "read" | "contains_true" | "contains_false", None) => return Ok(None),
            ("contains" | "has", Some(Raw::Bool(there))) => RawSetOp::Contains(input, there),
            ("contains_true" | "contains_false", _) => RawSetOp::Contains(input, call.f == "contains_true"),
            ("read", Some(all)) if all.items().is_some() => RawSetOp::Read(all),
            ("contains" | "has" | "read", Some(other)) => {
                let wanted = if call.f == "read" { "a list" } else { "true or false" };
                return Err(format!("{} returned {}, not {wanted}", call.f, other.to_value()));
            }
            (f, _) => return Err(format!("a set has no `{f}`: it has add, remove, contains and read")),
        }))
    }
}

impl Model for Set {
    /// In ascending order.
    type State = Arc<[Symbol]>;
    type Op = SetOp;

    fn init(&self) -> Arc<[Symbol]> {
        Arc::default()
    }

    fn step(&self, set: &Arc<[Symbol]>, op: &SetOp) -> Option<Arc<[Symbol]>> {
        let find = |value: &Symbol| set.binary_search(value);
        match op {
            SetOp::Add(value, new) => match find(value) {
                Ok(_) => (*new != Some(true)).then(|| set.clone()),
                Err(_) if *new == Some(false) => None,
                Err(at) => Some(set[..at].iter().chain([value]).chain(&set[at..]).copied().collect()),
            },
            SetOp::Remove(value, there) => match find(value) {
                Ok(_) if *there == Some(false) => None,
                Ok(at) => Some(set[..at].iter().chain(&set[at + 1..]).copied().collect()),
                Err(_) => (*there != Some(true)).then(|| set.clone()),
            },
            SetOp::Contains(value, there) => (find(value).is_ok() == *there).then(|| set.clone()),
            SetOp::Read(all) => (all == set).then(|| set.clone()),
        }
    }

    fn state_bytes(&self, state: &Arc<[Symbol]>) -> usize {
        size_of_val(&**state)
    }

    fn read_only(&self, op: &SetOp) -> bool {
        matches!(
            op,
            SetOp::Contains(..) | SetOp::Read(_) | SetOp::Add(_, Some(false)) | SetOp::Remove(_, Some(false))
        )
    }
}

impl Operation for SetOp {
    fn decode(call: &RawCall<'_>, values: &mut Values) -> Result<Option<SetOp>, String> {
        let Some(op) = RawSetOp::of(call)? else { return Ok(None) };
        Ok(Some(match op {
            RawSetOp::Add(value, new) => SetOp::Add(values.intern(value), new),
            RawSetOp::Remove(value, there) => SetOp::Remove(values.intern(value), there),
            RawSetOp::Contains(value, there) => SetOp::Contains(values.intern(value), there),
            RawSetOp::Read(all) => {
                let mut all: Vec<Symbol> =
                    all.items().into_iter().flatten().map(|v| values.intern(v)).collect();
                all.sort_unstable();
                all.dedup();
                SetOp::Read(all.into())
            }
        }))
    }

    fn heap_bytes(&self) -> usize {
        if let SetOp::Read(all) = self { size_of_val(&**all) } else { 0 }
    }
}
