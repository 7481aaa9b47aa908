use std::fmt;

use serde_json::Value;

use crate::history::Raw;

/// An operation as it was recorded: what was asked and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The function, such as `read`.
    pub f: String,
    /// The argument: the value of the invocation, without its key where keys are independent.
    pub input: Value,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome<V = Value, E = String> {
    /// It took effect and returned this: the value of the completion, without its key.
    Ok(V),
    /// It did not take effect, for this reason.
    Fail(Option<E>),
    /// Nobody knows whether it took effect.
    Unknown,
}

/// A [`Call`] as it lies in the history: nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct RawCall<'a> {
    /// The function, such as `read`.
    pub f: &'a str,
    /// The argument.
    pub input: Raw<'a>,
    /// How it ended.
    pub outcome: Outcome<Raw<'a>, &'a str>,
}

impl RawCall<'_> {
    /// A copy that stands alone.
    pub fn to_call(&self) -> Call {
        let outcome = match self.outcome {
            Outcome::Ok(value) => Outcome::Ok(value.to_value()),
            Outcome::Fail(error) => Outcome::Fail(error.map(str::to_owned)),
            Outcome::Unknown => Outcome::Unknown,
        };
        Call { f: self.f.to_owned(), input: self.input.to_value(), outcome }
    }
}

impl Call {
    /// What an acknowledged call returned.
    pub fn output(&self) -> Option<&Value> {
        match &self.outcome {
            Outcome::Ok(value) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for Call {
    /// `f input`, and `-> output` where the output says more than the input.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.f)?;
        if !self.input.is_null() {
            write!(f, " {}", self.input)?;
        }
        match &self.outcome {
            Outcome::Ok(output) if *output == self.input => Ok(()),
            Outcome::Ok(output) => write!(f, " -> {output}"),
            Outcome::Fail(Some(error)) => write!(f, " (failed: {error})"),
            Outcome::Fail(None) => f.write_str(" (failed)"),
            Outcome::Unknown => f.write_str(" (outcome unknown)"),
        }
    }
}
