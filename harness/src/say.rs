//! The last lines of a run, and how times and counts are written.

use std::fmt::Write as _;

use squall_checkers::{Anomaly, FaultEvent, History, Phase, Valid, Verdict};

use crate::coverage::Coverage;
use crate::explain;

/// What a person is told when a history has been judged.
pub(crate) struct Saying<'a> {
    pub(crate) verdict: &'a Verdict,
    pub(crate) history: &'a History,
    pub(crate) faults: &'a [FaultEvent],
    pub(crate) coverage: &'a Coverage,
    /// The report, if one was written.
    pub(crate) report: Option<String>,
    /// The command that repeats the run.
    pub(crate) again: Option<String>,
}

/// The verdict word.
pub(crate) fn word(valid: Valid) -> &'static str {
    match valid {
        Valid::True => "VALID",
        Valid::Unknown => "UNKNOWN",
        Valid::False => "INVALID",
    }
}

impl Saying<'_> {
    /// Verdict word first; one sentence; the active fault; the report; the command to repeat it; one next step.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let anomalies = self.verdict.all_anomalies();
        let first = anomalies.first().copied();
        match (self.verdict.valid, first) {
            (Valid::False, Some(anomaly)) => self.invalid(&mut text, anomaly, anomalies.len()),
            (Valid::Unknown, _) => {
                let reason = self.verdict.reason.as_deref().unwrap_or("no reason was given");
                let _ = writeln!(text, "UNKNOWN  {}: {reason}", self.verdict.checker);
                let _ = writeln!(text, "  {}", self.coverage.sentence());
            }
            _ => {
                let _ = writeln!(text, "VALID  {}: {}", self.verdict.checker, self.coverage.sentence());
            }
        }
        if let Some(warning) = self.coverage.warning() {
            let _ = writeln!(text, "warning  {warning}");
        }
        if let Some(report) = &self.report {
            let anchor = if first.is_some() { "#anomaly-1" } else { "" };
            let _ = writeln!(text, "report   {report}{anchor}");
        }
        if let Some(again) = &self.again {
            let _ = writeln!(text, "again    {again}");
        }
        if let Some(topic) = first.and_then(|anomaly| explain::topic(&anomaly.kind)) {
            let _ = writeln!(text, "next     squall explain {}", topic.name);
        }
        text
    }

    fn invalid(&self, text: &mut String, anomaly: &Anomaly, count: usize) {
        // Sentences read `what: how`; the second half gets a line of its own.
        let (what, how) = anomaly.sentence.split_once(": ").unwrap_or((&anomaly.sentence, ""));
        let _ = writeln!(text, "INVALID  {}: {what}", self.verdict.checker);
        if !how.is_empty() {
            let _ = writeln!(text, "  {how}");
        }
        for fault in self.faults_during(anomaly) {
            let _ = writeln!(text, "  during {fault}");
        }
        if count > 1 {
            let _ = writeln!(text, "  and {} more {}", count - 1, plural(count - 1, "anomaly", "anomalies"));
        }
        let _ = writeln!(text, "  {}", self.coverage.sentence());
    }

    /// The faults that were in force between the first and the last event of the witness.
    fn faults_during(&self, anomaly: &Anomaly) -> Vec<String> {
        let times = anomaly
            .witness
            .iter()
            .filter(|&&i| i < self.history.len())
            .map(|&i| self.history.get(i).time_ns());
        let (Some(from), Some(to)) = (times.clone().min(), times.max()) else { return Vec::new() };
        let injected =
            self.faults.iter().filter(|event| event.phase == Phase::Injected && event.time_ns <= to);
        injected
            .filter_map(|event| {
                let healed =
                    self.faults.iter().find(|other| other.id == event.id && other.phase == Phase::Healed);
                let receipt = healed.and_then(|event| event.receipt.as_ref()).or(event.receipt.as_ref());
                let over = healed.is_some_and(|healed| healed.time_ns < from);
                let evidence = receipt.map_or("none", |receipt| receipt.evidence.as_str());
                (!over).then(|| format!("{} {} (receipt: {evidence})", event.fault, event.what))
            })
            .collect()
    }
}

/// `1 key`, `2 keys`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n as u64), plural(n, one, many))
}

fn plural<'a>(n: usize, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

/// `1,204`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!((thousands(0).as_str(), thousands(999).as_str()), ("0", "999"));
        assert_eq!((thousands(1204).as_str(), thousands(1_234_567).as_str()), ("1,204", "1,234,567"));
        assert_eq!((count(1, "key", "keys").as_str(), count(2, "key", "keys").as_str()), ("1 key", "2 keys"));
    }
}
