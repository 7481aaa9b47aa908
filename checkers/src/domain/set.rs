//! Sets that only grow: what was added must be read.
//!
//! **Operations** (`jepsen.checker/set-full`): `add v`, each element once, and `read`, which returns the list of all elements.
//!
//! An element is *known* from its acknowledgement, or from the end of the first read that has it. **Failures:**
//! - `lost-write`: an element was known, and the read that began last among those that began after that lacks it, as
//!   does every read that began later than the last that has it;
//! - `stale-read`: a read that began after an element was known lacks it, but a later one has it. Wrong only where the
//!   set is linearizable, else counted, with the time it took;
//! - `phantom-read`: a read has an element that nobody had begun to add when it ended;
//! - `aborted-read`: a read has an element whose add failed;
//! - `duplicate`: a read has an element more than once.
//!
//! Jepsen's `set-full` judges the first two and the last; the others are of the same kind. Never read: an element that
//! no read has that could have shown it missing.
//!
//! **[`SetFull::linearizable`] decides linearizability**, where Jepsen's option only makes stale reads count. If there is none of the above,
//! two failures are left:
//! - `incomparable-reads`: of two reads, each has an element that the other lacks;
//! - `reordered-adds`: an add was acknowledged before another began, and a read has the second only.
//!
//! *Why that is all.* Give each read as its level the number of reads that have strictly fewer elements, and each add the level just below
//! the first read that has its element (if there is none and it is acknowledged, above all reads; else it is
//! dropped). Reads form a chain, so a legal order is one that sorts by level. It respects real time unless some
//! operation ended before another of a lower level began; a cycle of several steps would contain such a pair. The
//! pairs are: read, read and add, read (stale or lost), read, add (phantom), and add, add (reordered).
//!
//! **Cost.** One pass over the elements of all reads, one slot an element.

use std::collections::BTreeMap;

use serde_json::Value;

use super::calls::{Calls, NONE, Stop, judged};
use super::findings::{Findings, percentiles};
use super::set_elements::{Element, Fate, Set, Sets};
use super::set_order;
use crate::registry::Order;
use crate::{Budget, Checker, History, Verdict};

/// What a set's checker finds, worst first.
pub(super) const KINDS: [&str; 7] = [
    "lost-write",
    "stale-read",
    "phantom-read",
    "aborted-read",
    "duplicate",
    "incomparable-reads",
    "reordered-adds",
];

/// Checks a set that only grows: see the [module](super::set).
///
/// ```
/// use squall_checkers::{Checker, SetFull, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"add","value":7}
/// {"process":0,"type":"ok","f":"add","value":7,"time":1000000000}
/// {"process":1,"type":"invoke","f":"read","time":2000000000}
/// {"process":1,"type":"ok","f":"read","value":[],"time":3000000000}"#;
/// let verdict = SetFull::new().check(&history::read(text.as_bytes(), "set.jsonl")?.history);
/// assert_eq!(verdict.anomalies[0].kind, "lost-write");
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "7 was added by process 0 at 1.000 s and is missing from the last read, by process 1 at 3.000 s"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SetFull {
    independent: bool,
    linearizable: bool,
}

impl SetFull {
    /// One set that may show an element some time after its acknowledgement: Jepsen's `set-full`.
    pub fn new() -> SetFull {
        SetFull::default()
    }

    /// Many sets: every value is `[key, value]`.
    pub fn independent(self) -> SetFull {
        SetFull { independent: true, ..self }
    }

    /// A linearizable set.
    pub fn linearizable(self) -> SetFull {
        SetFull { linearizable: true, ..self }
    }

    fn label(self) -> &'static str {
        if self.linearizable { "set" } else { "set-full" }
    }

    fn judge(self, calls: &Calls<'_>) -> Result<Verdict, Stop> {
        let mut sets = Sets::new(self.independent);
        let mut held = vec![calls.run(&mut sets)?];
        let mut tally = Tally {
            linearizable: self.linearizable,
            counts: BTreeMap::new(),
            visible_ns: Vec::new(),
            lost_ns: Vec::new(),
            found: Findings::new(self.label(), &KINDS, calls),
        };
        let mut undecided = None;
        for set in &mut sets.list {
            held.push(set.read_all(calls, self.independent)?);
            tally.judge(calls, set);
            if self.linearizable && set.may_be_out_of_order {
                set_order::judge(calls, set, self.independent, &mut tally.found)?;
            }
            if !set.read_after_last_add() {
                let of = set.key.as_ref().map_or_else(String::new, |key| format!(" of key {key}"));
                let why = format!("no ok read{of} began after the last acknowledged add; add a final read");
                undecided.get_or_insert(why);
            }
        }
        if sets.list.is_empty() {
            undecided = Some("no ok read began after the last acknowledged add; add a final read".into());
        }
        Ok(tally.verdict(undecided))
    }
}

impl Checker for SetFull {
    fn name(&self) -> &str {
        self.label()
    }

    /// Stats: counts `attempts`, `acknowledged`, `stable`, `lost`, `stale`, `never_read`, `recovered` (of unknown outcome,
    /// but read), `unexpected`, `duplicated`, `aborted_reads`; and `visible_ms` and `lost_ms`, each
    /// `{p50, p95, p99, max}` in milliseconds since the element was known.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged(self.label(), Order::RealTime, history, budget, |calls| self.judge(calls))
    }
}

/// What was found in all sets.
struct Tally<'a> {
    linearizable: bool,
    counts: BTreeMap<&'static str, usize>,
    visible_ns: Vec<u64>,
    lost_ns: Vec<u64>,
    found: Findings<'a>,
}

const COUNTS: [&str; 10] = [
    "attempts",
    "acknowledged",
    "stable",
    "lost",
    "stale",
    "never_read",
    "recovered",
    "unexpected",
    "duplicated",
    "aborted_reads",
];

#[derive(Default)]
struct Counts {
    attempts: usize,
    acknowledged: usize,
    stable: usize,
    never_read: usize,
    recovered: usize,
    stale: usize,
}

impl Tally<'_> {
    fn judge(&mut self, calls: &Calls<'_>, set: &mut Set) {
        let mut counts = Counts::default();
        let mut out_of_order = true;
        for (id, element) in set.elements.iter().enumerate() {
            let fate = element.fate(calls, set);
            counts.attempts += usize::from(element.attempted());
            counts.acknowledged += usize::from(element.acknowledged != NONE);
            counts.recovered += usize::from(element.unsure() && element.read());
            let key = set.key.as_ref();
            let value = || set.ids.value(id as u32);
            match fate {
                Fate::Stable { after_ns, without } => {
                    self.visible_ns.push(after_ns);
                    counts.stable += 1;
                    if let Some(read) = without {
                        counts.stale += usize::from(after_ns > 0);
                        out_of_order = false;
                        if self.linearizable {
                            let read = set.reads[read].at;
                            self.found.add("stale-read", key, |calls| {
                                missing(calls, element, &value(), read, "a later")
                            });
                        }
                    }
                }
                Fate::Failed => {}
                Fate::NeverRead => counts.never_read += 1,
                Fate::Lost { without, since_ns } => {
                    self.lost_ns.push(since_ns);
                    out_of_order = false;
                    let read = set.reads[without].at;
                    self.found
                        .add("lost-write", key, |calls| missing(calls, element, &value(), read, "the last"));
                }
                Fate::Phantom => self.found.add("phantom-read", key, |calls| {
                    let reader = element.reader(calls);
                    let did = calls.did(reader);
                    (format!("{did} has {}, which nobody had added", value()), vec![reader])
                }),
                Fate::Aborted => self.found.add("aborted-read", key, |calls| {
                    let reader = element.reader(calls);
                    let (did, by) = (calls.did(reader), calls.by(element.failed));
                    let advice = "if that may have taken effect, record it as info";
                    let sentence = format!("{did} has {}, whose add by {by} failed; {advice}", value());
                    (sentence, vec![reader, element.failed])
                }),
            }
        }
        for (&id, &(read, times)) in &set.duplicated {
            out_of_order = false;
            let value = set.ids.value(id);
            self.found.add("duplicate", set.key.as_ref(), |calls| {
                (format!("{} has {value} {times} times", calls.did(read)), vec![read])
            });
        }
        set.may_be_out_of_order = out_of_order;
        for (what, count) in [
            ("attempts", counts.attempts),
            ("acknowledged", counts.acknowledged),
            ("stable", counts.stable),
            ("never_read", counts.never_read),
            ("recovered", counts.recovered),
            ("stale", counts.stale),
        ] {
            *self.counts.entry(what).or_default() += count;
        }
    }

    fn verdict(mut self, undecided: Option<String>) -> Verdict {
        for (what, kind) in [
            ("lost", "lost-write"),
            ("unexpected", "phantom-read"),
            ("aborted_reads", "aborted-read"),
            ("duplicated", "duplicate"),
        ] {
            self.counts.insert(what, self.found.count(kind));
        }
        let count = |what: &str| self.counts.get(what).copied().unwrap_or(0);
        let summary = format!(
            "{} elements: {} stable, {} lost, {} never read",
            count("attempts"),
            count("stable"),
            count("lost"),
            count("never_read")
        );
        let mut verdict = self.found.verdict(summary, undecided);
        verdict.stats.clear();
        for what in COUNTS {
            verdict = verdict.stat(what, self.counts.get(what).copied().unwrap_or(0));
        }
        verdict
            .stat("visible_ms", percentiles(&mut self.visible_ns))
            .stat("lost_ms", percentiles(&mut self.lost_ns))
    }
}

/// Says that a read lacks a known element.
fn missing(
    calls: &Calls<'_>,
    element: &Element,
    value: &Value,
    read: u32,
    which: &str,
) -> (String, Vec<u32>) {
    let (by, end) = (calls.by(read), calls.end(read));
    let lacks = format!("is missing from {which} read, by {by} at {end}");
    if element.acknowledged < read {
        let add = element.add(calls);
        let (by, end) = (calls.by(add), calls.end(add));
        return (format!("{value} was added by {by} at {end} and {lacks}"), vec![add, read]);
    }
    let reader = element.reader(calls);
    let (by, end) = (calls.by(reader), calls.end(reader));
    (format!("{value} was read by {by} at {end} and {lacks}"), vec![element.tried, reader, read])
}
