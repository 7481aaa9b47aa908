use std::fmt;

use serde_json::Value;

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

/// How a [`Call`] ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It took effect and returned this: the value of the completion, without its key.
    Ok(Value),
    /// It did not take effect, for this reason.
    Fail(Option<String>),
    /// Nobody knows whether it took effect.
    Unknown,
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
