//! Sets that only grow: what was added must be read (Jepsen's set-full).

use std::collections::BTreeMap;

use super::set_elements::{Element, Fate, Read, Set};
use serde_json::Value;

use super::findings::percentiles;
use crate::history::Pairs;
use crate::{Anomaly, Budget, Checker, History, Valid, Verdict};

/// Anomalies of one kind that are explained; further ones are counted.
const EXPLAINED_MAX: usize = 8;

/// Checks a set to which elements are added (`add v`) and which is read whole (`read`, a list).
///
/// An element is *known* from its acknowledgement, or from the end of the first read that has it. It is *lost* when the
/// read that began last among those without it began after it was known, and none that began later has it. It is
/// *stale* when such a read lacks it but a later one has it: legal where the set need not be linearizable. An element
/// that nobody tried to add is *unexpected*; one that a read has twice is *duplicated*; one whose add failed and which
/// is read all the same is an *aborted read*. Elements are added once each.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetFull {
    independent: bool,
    linearizable: bool,
}

impl SetFull {
    /// One set that may show an element some time after its acknowledgement.
    pub fn new() -> SetFull {
        SetFull::default()
    }

    /// Many sets: every value is `[key, value]`.
    pub fn independent(self) -> SetFull {
        SetFull { independent: true, ..self }
    }

    /// A set that must show an element to every read that begins after its acknowledgement.
    pub fn linearizable(self) -> SetFull {
        SetFull { linearizable: true, ..self }
    }
}

impl Checker for SetFull {
    fn name(&self) -> &str {
        "set"
    }

    /// Stats: counts `attempts`, `acknowledged`, `stable`, `lost`, `stale`, `never_read`, `recovered` (of unknown outcome,
    /// but read), `unexpected`, `duplicated`, `aborted_reads`; and `visible_ms` and `lost_ms`, each
    /// `{p50, p95, p99, max}` in milliseconds since the element was known.
    fn check_within(&self, history: &History, _budget: &Budget) -> Verdict {
        let pairs = history.pairs();
        let sets = match super::set_elements::sets(history, &pairs, self.independent) {
            Ok(sets) => sets,
            Err(why) => return Verdict::unknown("set", why),
        };
        let mut tally = Tally { linearizable: self.linearizable, ..Tally::default() };
        for set in &sets {
            tally.judge(set, &Witnesses { history, pairs: &pairs, key: set.key.as_ref() });
        }
        tally.verdict(&sets)
    }
}

/// What was found in all sets.
#[derive(Default)]
struct Tally {
    linearizable: bool,
    counts: BTreeMap<&'static str, usize>,
    visible_ns: Vec<u64>,
    lost_ns: Vec<u64>,
    anomalies: Vec<Anomaly>,
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

impl Tally {
    fn judge(&mut self, set: &Set, say: &Witnesses<'_>) {
        for element in &set.elements {
            let fate = element.fate(set);
            if element.attempted() {
                self.count("attempts", || None);
                self.counted(element.acknowledged, "acknowledged");
                self.counted(element.unsure() && element.read(), "recovered");
            }
            match fate {
                Fate::Lost { without, since_ns } => {
                    self.lost_ns.push(since_ns);
                    self.count("lost", || Some(say.lost(element, &set.reads[without])));
                }
                Fate::Stable { after_ns, without } => {
                    self.visible_ns.push(after_ns);
                    self.count("stable", || None);
                    if after_ns > 0 {
                        let strict = self.linearizable;
                        let stale = without.filter(|_| strict);
                        self.count("stale", || stale.map(|read| say.stale(element, &set.reads[read])));
                    }
                }
                Fate::Failed => {}
                Fate::NeverRead => self.count("never_read", || None),
                Fate::Unexpected { read } => {
                    self.count("unexpected", || Some(say.unexpected(element, &set.reads[read])));
                }
                Fate::Aborted { read } => {
                    self.count("aborted_reads", || Some(say.aborted(element, &set.reads[read])));
                }
            }
            if let Some((read, times)) = element.duplicated {
                self.count("duplicated", || Some(say.duplicated(element, &set.reads[read as usize], times)));
            }
        }
    }

    fn counted(&mut self, yes: bool, what: &'static str) {
        if yes {
            self.count(what, || None);
        }
    }

    /// Counts one of a kind, and explains it if it is one of the first.
    fn count(&mut self, what: &'static str, anomaly: impl FnOnce() -> Option<Anomaly>) {
        let count = self.counts.entry(what).or_default();
        *count += 1;
        if *count <= EXPLAINED_MAX {
            self.anomalies.extend(anomaly());
        }
    }

    fn verdict(mut self, sets: &[Set]) -> Verdict {
        let count = |what: &str| self.counts.get(what).copied().unwrap_or(0);
        let summary = format!(
            "{} elements: {} stable, {} lost, {} never read",
            count("attempts"),
            count("stable"),
            count("lost"),
            count("never_read")
        );
        let mut verdict = if !self.anomalies.is_empty() {
            let severity = |a: &Anomaly| a.kind != "lost-write";
            self.anomalies.sort_by_key(severity);
            Verdict::invalid("set", summary, std::mem::take(&mut self.anomalies))
        } else if let Some(set) = sets.iter().find(|set| !set.read_after_last_add()) {
            let of = set.key.as_ref().map_or_else(String::new, |key| format!(" of key {key}"));
            let reason = format!("no ok read{of} began after the last acknowledged add; add a final read");
            Verdict { summary, valid: Valid::Unknown, ..Verdict::unknown("set", reason) }
        } else {
            Verdict::valid("set", summary)
        };
        for what in COUNTS {
            verdict = verdict.stat(what, self.counts.get(what).copied().unwrap_or(0));
        }
        verdict
            .stat("visible_ms", percentiles(&mut self.visible_ns))
            .stat("lost_ms", percentiles(&mut self.lost_ns))
    }
}

/// Makes anomalies.
struct Witnesses<'a> {
    history: &'a History,
    pairs: &'a Pairs,
    key: Option<&'a Value>,
}

impl Witnesses<'_> {
    fn lost(&self, element: &Element, without: &Read) -> Anomaly {
        let known = self.known(element);
        let sentence = format!(
            "{known}, but read by process {} that began at {} does not have it, nor does a later one",
            self.process(without.invoke),
            self.time(without.invoke)
        );
        self.anomaly("lost-write", sentence, [element.evidence(), vec![without.invoke]])
    }

    fn stale(&self, element: &Element, without: &Read) -> Anomaly {
        let known = self.known(element);
        let sentence = format!(
            "{known}, but read by process {} that began at {} does not have it yet",
            self.process(without.invoke),
            self.time(without.invoke)
        );
        self.anomaly("stale-read", sentence, [element.evidence(), vec![without.invoke]])
    }

    fn unexpected(&self, element: &Element, read: &Read) -> Anomaly {
        let sentence = format!("{} has {}, which nobody had added", self.read(read), element.value);
        self.anomaly("phantom-read", sentence, [vec![read.invoke], vec![]])
    }

    fn aborted(&self, element: &Element, read: &Read) -> Anomaly {
        let sentence = format!(
            "{} has {}, whose add failed; if it may have taken effect, record it as info",
            self.read(read),
            element.value
        );
        self.anomaly("aborted-read", sentence, [vec![read.invoke], element.add.into_iter().collect()])
    }

    fn duplicated(&self, element: &Element, read: &Read, times: u32) -> Anomaly {
        let sentence = format!("{} has {} {times} times", self.read(read), element.value);
        self.anomaly("duplicate", sentence, [vec![read.invoke], element.add.into_iter().collect()])
    }

    fn anomaly(&self, kind: &str, sentence: String, invocations: [Vec<u32>; 2]) -> Anomaly {
        let mut witness: Vec<usize> = invocations
            .into_iter()
            .flatten()
            .flat_map(|at| [Some(at as usize), self.pairs.of(at as usize)])
            .flatten()
            .collect();
        witness.sort_unstable();
        witness.dedup();
        let steps = witness.iter().map(|&at| self.step(at)).collect();
        let sentence = match self.key {
            Some(key) => format!("key {key}: {sentence}"),
            None => sentence,
        };
        Anomaly { kind: kind.into(), key: self.key.cloned(), sentence, witness, steps, edges: Vec::new() }
    }

    fn step(&self, at: usize) -> String {
        let event = self.history.get(at);
        format!(
            "{}: {} {} by process {}",
            self.time(at as u32),
            event.kind().name(),
            event.f(),
            event.process()
        )
    }

    /// Since when an element is known, and from whom.
    fn known(&self, element: &Element) -> String {
        let at = element.known.unwrap_or_default();
        let how = if element.known_by_add { "acknowledged to" } else { "read by" };
        format!("{} was {how} process {} at {}", element.value, self.process(at), self.time(at))
    }

    fn read(&self, read: &Read) -> String {
        format!("read by process {} at {}", self.process(read.complete), self.time(read.complete))
    }

    fn process(&self, at: u32) -> crate::Process {
        self.history.get(at as usize).process()
    }

    fn time(&self, at: u32) -> String {
        format!("{:.3} s", self.history.get(at as usize).time_ns() as f64 / 1e9)
    }
}
