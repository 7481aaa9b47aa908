use std::fmt;

use serde::{Deserialize, Serialize};

/// The machine cannot do what was asked, and what a person can do about it.
///
/// It travels inside `anyhow::Error`, also from an agent on another machine: find it with `downcast_ref`. It means
/// exit code 3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// What is missing or forbidden.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Unavailable {
    /// What is missing, and what to do about it.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Unavailable {
        Unavailable { what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Unavailable {}
