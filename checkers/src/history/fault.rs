use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What was measured to prove that a fault took effect, or was undone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Whether the measurement shows an effect. A fault that never bit makes a pass an empty pass.
    pub confirmed: bool,
    /// That it shows none says nothing yet: what the fault did is only known when it is over, and the receipt of its healing
    /// decides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// The measurement in words: `1,204 packets dropped`, `pid 17 in state T`.
    pub evidence: String,
    /// The same in numbers.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub measured: Map<String, Value>,
}

impl Receipt {
    /// Under this name `measured` holds which nodes did not answer clients before a fault was injected, and why.
    pub const DOWN_BEFORE: &str = "down_before";
    /// The same after it was healed.
    pub const DOWN_AFTER: &str = "down_after";

    /// A measurement that shows an effect.
    pub fn confirmed(evidence: impl Into<String>) -> Receipt {
        Receipt { confirmed: true, pending: false, evidence: evidence.into(), measured: Map::new() }
    }

    /// A measurement that shows none, or none yet.
    pub fn unconfirmed(evidence: impl Into<String>) -> Receipt {
        Receipt { confirmed: false, ..Receipt::confirmed(evidence) }
    }

    /// A measurement that may show an effect when the fault is over.
    pub fn pending(evidence: impl Into<String>) -> Receipt {
        Receipt { pending: true, ..Receipt::unconfirmed(evidence) }
    }

    /// The same receipt with one more number.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Receipt {
        self.measured.insert(name.into(), value.into());
        self
    }
}

/// How far a fault has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Written before anything is touched.
    #[default]
    Intent,
    /// In force.
    Injected,
    /// It could not be injected.
    Failed,
    /// Undone, with what was measured while it lasted.
    Healed,
}

/// A line of the fault journal, `faults.jsonl`: the lines of one fault share its `id`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultEvent {
    /// Which fault, from 1.
    pub id: u64,
    /// Nanoseconds since the start of the run.
    pub time_ns: u64,
    /// How far it has come.
    pub phase: Phase,
    /// Its kind: `partition`, `kill`, `pause` …
    pub fault: String,
    /// What it does, for a person: `{n1} | {n2,n3}`, `n2`.
    pub what: String,
    /// The nodes that it touches.
    pub nodes: Vec<String>,
    /// Of an intent: what else must be known to do the same again.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub args: Value,
    /// Of a healing: when it began, in nanoseconds since the start of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_ns: Option<u64>,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}
