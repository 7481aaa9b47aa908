use serde_json::Value;

use super::{Call, Model, Operation, Outcome, RawCall, Symbol, Values};
use crate::history::Raw;

/// A read-write register with compare-and-set. Any JSON value; `null` at first, unless something else is said.
///
/// `read` returns the value; `write v` sets it; `cas [old, new]` sets `new` where the value is `old`. A cas that
/// failed with the error `cas-mismatch` says that the value was not `old`; other failures say nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

/// An operation of [`Register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOp {
    /// It returned this value.
    Read(Symbol),
    /// It sets this value.
    Write(Symbol),
    /// It sets the second value where the first was found.
    Cas(Symbol, Symbol),
    /// It found another value than this one.
    Mismatch(Symbol),
}

/// What the operations of a register are called: see [`Model::register_names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterNames {
    /// Returns the value.
    pub read: &'static str,
    /// Sets a value.
    pub write: &'static str,
    /// Sets a value where another was found.
    pub cas: Option<&'static str>,
}

/// The error of a failed cas that proves a different value.
const CAS_MISMATCH: &str = "cas-mismatch";

impl RegisterOp {
    /// The value that the register must hold before, where it must be one.
    pub fn observes(self) -> Option<Symbol> {
        match self {
            RegisterOp::Read(v) | RegisterOp::Cas(v, _) => Some(v),
            _ => None,
        }
    }

    /// The value that the register holds after, where the operation sets it.
    pub fn sets(self) -> Option<Symbol> {
        match self {
            RegisterOp::Write(v) | RegisterOp::Cas(_, v) => Some(v),
            _ => None,
        }
    }

    /// Whether it is legal on a register that holds `value`.
    pub fn accepts(self, value: Symbol) -> bool {
        match self {
            RegisterOp::Read(v) | RegisterOp::Cas(v, _) => v == value,
            RegisterOp::Mismatch(v) => v != value,
            RegisterOp::Write(_) => true,
        }
    }
}

impl Model for Register {
    type State = Symbol;
    type Op = RegisterOp;

    fn init(&self) -> Symbol {
        Symbol::NIL
    }

    fn starting_at(&self, _value: &Value) -> Option<Symbol> {
        Some(Symbol::NIL)
    }

    fn step(&self, state: &Symbol, op: &RegisterOp) -> Option<Symbol> {
        op.accepts(*state).then(|| op.sets().unwrap_or(*state))
    }

    fn describe(&self, call: &Call) -> String {
        match (call.f.as_str(), &call.outcome) {
            ("read", Outcome::Ok(value)) => format!("read {value}"),
            ("cas", outcome) => {
                let suffix = match outcome {
                    Outcome::Ok(_) => "",
                    Outcome::Fail(_) => " (failed)",
                    Outcome::Unknown => " (outcome unknown)",
                };
                match call.input.as_array().map(Vec::as_slice) {
                    Some([old, new]) => format!("cas {old} to {new}{suffix}"),
                    _ => call.to_string(),
                }
            }
            ("write", Outcome::Ok(_)) => format!("write {}", call.input),
            _ => call.to_string(),
        }
    }

    fn read_only(&self, op: &RegisterOp) -> bool {
        match op {
            RegisterOp::Read(_) | RegisterOp::Mismatch(_) => true,
            RegisterOp::Cas(old, new) => old == new,
            RegisterOp::Write(_) => false,
        }
    }

    fn register_names(&self) -> Option<RegisterNames> {
        Some(RegisterNames { read: "read", write: "write", cas: Some("cas") })
    }

    fn as_register(&self, op: &RegisterOp) -> Option<RegisterOp> {
        Some(*op)
    }
}

impl Operation for RegisterOp {
    fn decode(call: &RawCall<'_>, values: &mut Values) -> Result<Option<RegisterOp>, String> {
        Ok(match (call.f, call.outcome) {
            ("read", Outcome::Ok(value)) => Some(RegisterOp::Read(values.intern(value))),
            ("read" | "write", Outcome::Fail(_)) | ("read", Outcome::Unknown) => None,
            ("write", _) => Some(RegisterOp::Write(values.intern(call.input))),
            ("cas", outcome) => {
                let (old, new) = pair(call.input)?;
                let (old, new) = (values.intern(old), values.intern(new));
                match outcome {
                    Outcome::Fail(Some(error)) if error == CAS_MISMATCH => Some(RegisterOp::Mismatch(old)),
                    Outcome::Fail(_) => None,
                    _ => Some(RegisterOp::Cas(old, new)),
                }
            }
            (f, _) => return Err(format!("a register has no `{f}`: it has read, write and cas")),
        })
    }
}

fn pair(value: Raw<'_>) -> Result<(Raw<'_>, Raw<'_>), String> {
    value.pair().ok_or_else(|| format!("a cas takes [old, new], not {}", value.to_value()))
}
