//! What a checker says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whether a history satisfies a property. Ordered by severity, so that the verdict of several checkers is the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Valid {
    /// It does. JSON: `true`.
    True,
    /// Not decided, for a reason that the verdict gives. JSON: `"unknown"`.
    Unknown,
    /// It does not, and the verdict holds a witness. JSON: `false`.
    False,
}

impl Serialize for Valid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Valid::True => serializer.serialize_bool(true),
            Valid::Unknown => serializer.serialize_str("unknown"),
            Valid::False => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Valid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Valid, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(true) => Ok(Valid::True),
            Value::Bool(false) => Ok(Valid::False),
            Value::String(s) if s == "unknown" => Ok(Valid::Unknown),
            other => {
                Err(serde::de::Error::custom(format!("expected true, false or \"unknown\", got {other}")))
            }
        }
    }
}

/// The result of a checker on a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The checker's name.
    pub checker: String,
    /// The answer.
    pub valid: Valid,
    /// What was checked and found, in one line.
    pub summary: String,
    /// Why the answer is unknown, and what would resolve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was found, worst first. Not empty when invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anomalies: Vec<Anomaly>,
    /// Numbers worth showing, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stats: BTreeMap<String, Value>,
    /// The verdicts of which this one is composed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Verdict>,
}

/// One violation, with the smallest set of operations that shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// The field's name for it, such as `stale-read` or `lost-write`.
    pub kind: String,
    /// The independent key it happened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Value>,
    /// What happened, in one plain sentence with operations and times.
    pub sentence: String,
    /// Indices of the events that show it: a sub-history that itself fails.
    pub witness: Vec<usize>,
    /// The proof, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// The cycle, where the proof is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
}

/// An ordering between two operations in the proof of an [`Anomaly`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Index of the earlier operation's event.
    pub from: usize,
    /// Index of the later operation's event.
    pub to: usize,
    /// Why it is earlier: `session order`, `reads from`, `real time`, `conflict` …
    pub kind: String,
}

impl Anomaly {
    /// An anomaly that these events show.
    pub fn new(
        kind: impl Into<String>,
        sentence: impl Into<String>,
        witness: impl IntoIterator<Item = usize>,
    ) -> Anomaly {
        Anomaly {
            kind: kind.into(),
            key: None,
            sentence: sentence.into(),
            witness: witness.into_iter().collect(),
            steps: Vec::new(),
            edges: Vec::new(),
        }
    }
}

impl Verdict {
    /// A valid verdict.
    pub fn valid(checker: impl Into<String>, summary: impl Into<String>) -> Verdict {
        Verdict {
            checker: checker.into(),
            valid: Valid::True,
            summary: summary.into(),
            reason: None,
            anomalies: Vec::new(),
            stats: BTreeMap::new(),
            parts: Vec::new(),
        }
    }

    /// An undecided verdict and why it is undecided.
    pub fn unknown(checker: impl Into<String>, reason: impl Into<String>) -> Verdict {
        let reason = reason.into();
        Verdict { valid: Valid::Unknown, reason: Some(reason.clone()), ..Verdict::valid(checker, reason) }
    }

    /// An invalid verdict with what was found, worst first; there must be at least one anomaly.
    pub fn invalid(
        checker: impl Into<String>,
        summary: impl Into<String>,
        anomalies: Vec<Anomaly>,
    ) -> Verdict {
        assert!(!anomalies.is_empty(), "an invalid verdict needs a witness");
        Verdict { valid: Valid::False, anomalies, ..Verdict::valid(checker, summary) }
    }

    /// Invalid with these anomalies, worst first, or valid if there is none.
    pub fn of(checker: impl Into<String>, anomalies: Vec<Anomaly>) -> Verdict {
        match anomalies.first() {
            None => Verdict::valid(checker, "no anomaly"),
            Some(worst) => Verdict::invalid(checker, worst.sentence.clone(), anomalies),
        }
    }

    /// The same verdict with one more number.
    pub fn stat(mut self, name: impl Into<String>, value: impl Into<Value>) -> Verdict {
        self.stats.insert(name.into(), value.into());
        self
    }

    /// The verdict of several: as severe as the worst of them.
    pub fn compose(checker: impl Into<String>, parts: Vec<Verdict>) -> Verdict {
        let valid = parts.iter().map(|p| p.valid).max().unwrap_or(Valid::True);
        let worst = parts.iter().find(|p| p.valid == valid);
        Verdict {
            valid,
            reason: worst.and_then(|p| p.reason.clone()),
            summary: worst.map_or_else(String::new, |p| p.summary.clone()),
            parts,
            ..Verdict::valid(checker, "")
        }
    }

    /// Every anomaly of this verdict and its parts, in order.
    pub fn all_anomalies(&self) -> Vec<&Anomaly> {
        let mut all: Vec<&Anomaly> = self.anomalies.iter().collect();
        all.extend(self.parts.iter().flat_map(Verdict::all_anomalies));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_beats_unknown_beats_valid() {
        let ok = Verdict::valid("a", "fine");
        let unknown = Verdict::unknown("b", "too few ops");
        let bad = Verdict::invalid("c", "bad", vec![Anomaly::new("lost-write", "gone", [0])]);
        assert_eq!(Verdict::compose("x", vec![]).valid, Valid::True);
        assert_eq!(Verdict::compose("x", vec![ok.clone(), unknown.clone()]).valid, Valid::Unknown);
        let all = Verdict::compose("x", vec![unknown, bad, ok]);
        assert_eq!((all.valid, all.summary.as_str(), all.all_anomalies().len()), (Valid::False, "bad", 1));
    }

    #[test]
    fn json_says_true_unknown_false() {
        for (valid, text) in [(Valid::True, "true"), (Valid::Unknown, "\"unknown\""), (Valid::False, "false")]
        {
            assert_eq!(serde_json::to_string(&valid).unwrap(), text);
            assert_eq!(serde_json::from_str::<Valid>(text).unwrap(), valid);
        }
        assert!(serde_json::from_str::<Valid>("\"maybe\"").is_err());
    }
}
