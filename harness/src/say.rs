//! The last lines of a run.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use squall_checkers::{Anomaly, Recovery, Valid, Value, Verdict};
use squall_results::{Outline, Report, RunData, seed_hex};

use crate::explain;

/// Faults that are spelled out; the report has them all.
const FAULTS_MAX: usize = 2;

/// What a person is told when a history has been judged.
struct Saying<'a> {
    verdict: &'a Verdict,
    outline: &'a Outline,
    /// The report, if one was written.
    report: Option<String>,
    /// The command that repeats the run, if it was one of ours.
    again: Option<String>,
}

/// The verdict word.
pub(crate) fn word(valid: Valid) -> &'static str {
    match valid {
        Valid::True => "VALID",
        Valid::Unknown => "UNKNOWN",
        Valid::False => "INVALID",
    }
}

/// `1 key`, `2 keys`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Prints what there is to say of a judged run: text, or one JSON document.
pub(crate) fn tell(data: &RunData, report: Option<String>, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(&document(data, report)?)?);
    } else {
        print!("{}", text(data, report)?);
    }
    Ok(())
}

/// What there is to say of a judged run, for a person.
pub(crate) fn text(data: &RunData, report: Option<String>) -> Result<String> {
    let verdict = data.verdict.as_ref().context("the run was not judged")?;
    let outline = &Report::new(data).outline();
    Ok(Saying { verdict, outline, report, again: again(data) }.text())
}

/// What there is to say of a judged run, for a program.
pub(crate) fn document(data: &RunData, report: Option<String>) -> Result<Value> {
    let verdict = data.verdict.as_ref().context("the run was not judged")?;
    let outline = &Report::new(data).outline();
    let again = again(data);
    Ok(serde_json::json!({
        "word": word(verdict.valid),
        "id": data.id,
        "seed": again.is_some().then(|| seed_hex(data.config.seed)),
        "again": again,
        "report": report,
        "coverage": outline.coverage,
        "during": outline.during,
        "recovery": Recovery::last(&data.history),
        "warnings": outline.warnings,
        "verdict": verdict,
    }))
}

/// The command that repeats the run, if it was one of ours.
fn again(data: &RunData) -> Option<String> {
    (!data.config.argv.is_empty()).then(|| data.config.again())
}

impl Saying<'_> {
    /// Verdict word first; one sentence; the faults meanwhile; what was covered; the report; the command to repeat it;
    /// one next step.
    fn text(&self) -> String {
        let Saying { verdict, outline, .. } = self;
        let anomalies = verdict.all_anomalies();
        let mut text = format!("{}  {}: ", word(verdict.valid), verdict.checker);
        match (verdict.valid, anomalies.first()) {
            (Valid::True, _) => text += &outline.coverage,
            (Valid::False, Some(worst)) => self.invalid(&mut text, worst, anomalies.len()),
            _ => {
                text += verdict.reason.as_deref().unwrap_or(&verdict.summary);
                let _ = write!(text, "\n  {}", outline.coverage);
            }
        }
        text.push('\n');
        for warning in &outline.warnings {
            let _ = writeln!(text, "warning  {warning}");
        }
        if let Some(report) = &self.report {
            let anchor = if anomalies.is_empty() { "" } else { "#anomaly-1" };
            let _ = writeln!(text, "report   {report}{anchor}");
        }
        if let Some(again) = &self.again {
            let _ = writeln!(text, "again    {again}");
        }
        if let Some(topic) = anomalies.first().and_then(|anomaly| explain::topic(&anomaly.kind)) {
            let _ = writeln!(text, "next     squall explain {}", topic.name);
        }
        text
    }

    fn invalid(&self, text: &mut String, worst: &Anomaly, anomalies: usize) {
        // Sentences read `what: how`; the second half gets a line of its own.
        let (what, how) = worst.sentence.split_once(": ").unwrap_or((&worst.sentence, ""));
        text.push_str(what);
        if !how.is_empty() {
            let _ = write!(text, "\n  {how}");
        }
        for fault in self.outline.during.iter().take(FAULTS_MAX) {
            let _ = write!(text, "\n  during {fault}");
        }
        let more = self.outline.during.len().saturating_sub(FAULTS_MAX);
        if more > 0 {
            let _ = write!(text, "\n  and {}", count(more, "more fault", "more faults"));
        }
        if anomalies > 1 {
            let _ =
                write!(text, "\n  and at least {}", count(anomalies - 1, "more anomaly", "more anomalies"));
        }
        let _ = write!(text, "\n  {}", self.outline.coverage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline() -> Outline {
        Outline {
            coverage: "9 ops in 1.00 s: 9 ok, 0 fail, 0 info; 1 partition, all confirmed".into(),
            warnings: vec!["Torn.".into()],
            during: vec!["partition {n1} | {n2,n3} (receipt: 1,204 packets dropped)".into()],
        }
    }

    #[test]
    fn an_anomaly_is_told_with_its_fault_and_what_to_do_next() {
        let sentence = "key 4 is not linearizable: read by process 7 returned 12";
        let anomalies = ["stale-read", "lost-write"].map(|kind| Anomaly::new(kind, sentence, [0]));
        let part = Verdict::invalid("linearizable", "bad", anomalies.into());
        let verdict = &Verdict::compose("register", vec![part]);
        let (report, again) = (Some("r.html".into()), Some("squall test --seed 1".into()));
        let expected = "INVALID  register: key 4 is not linearizable
  read by process 7 returned 12
  during partition {n1} | {n2,n3} (receipt: 1,204 packets dropped)
  and at least 1 more anomaly
  9 ops in 1.00 s: 9 ok, 0 fail, 0 info; 1 partition, all confirmed
warning  Torn.
report   r.html#anomaly-1
again    squall test --seed 1
next     squall explain stale-read
";
        let text = Saying { verdict, outline: &outline(), report, again }.text();
        assert_eq!(text, expected);
    }

    #[test]
    fn a_pass_tells_what_it_covered_and_unknown_tells_why() {
        let say =
            |verdict: &Verdict| Saying { verdict, outline: &outline(), report: None, again: None }.text();
        assert!(say(&Verdict::valid("set", "fine")).starts_with("VALID  set: 9 ops in 1.00 s"));
        assert!(
            say(&Verdict::unknown("set", "too few ops")).starts_with("UNKNOWN  set: too few ops\n  9 ops")
        );
    }
}
