//! The faults of a run, put together from the lines of its journal.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{FaultEvent, Phase, Receipt};

/// A fault from its injection to its healing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// Which one, from 1.
    pub id: u64,
    /// `partition`, `kill` …
    pub fault: String,
    /// What it does, for a person: `{n1} | {n2,n3}`, `n2`.
    pub what: String,
    /// The nodes that it touches.
    pub nodes: Vec<String>,
    /// When it was injected; its intent's time if it never was.
    pub start_ns: u64,
    /// When it was healed or failed, or the end of the run.
    pub end_ns: u64,
    /// Whether every receipt proves that it was in force: when it was injected, unless that was not yet to be seen, and, once
    /// it is healed, until then.
    pub confirmed: bool,
    /// Whether what it did was not yet to be seen when it was injected.
    #[serde(skip)]
    pub pending: bool,
    /// Whether it could not be injected.
    pub failed: bool,
    /// Whether the journal saw it healed.
    pub healed: bool,
    /// What was measured, in the order of the journal.
    pub receipts: Vec<String>,
}

impl Fault {
    /// Whether it was, or may have been, in force at some time between these two.
    pub fn overlaps(&self, start_ns: u64, end_ns: u64) -> bool {
        !self.failed && self.start_ns <= end_ns && start_ns <= self.end_ns
    }

    /// Its receipts in one line.
    pub fn evidence(&self) -> String {
        if self.receipts.is_empty() { "no receipt".to_owned() } else { self.receipts.join("; ") }
    }

    fn begin(event: &FaultEvent, end_ns: u64) -> Fault {
        Fault {
            id: event.id,
            fault: event.fault.clone(),
            what: event.what.clone(),
            nodes: event.nodes.clone(),
            start_ns: event.time_ns,
            end_ns: end_ns.max(event.time_ns),
            confirmed: false,
            pending: false,
            failed: false,
            healed: false,
            receipts: Vec::new(),
        }
    }

    fn extend(&mut self, event: &FaultEvent) {
        let confirmed = event.receipt.as_ref().is_some_and(|receipt| receipt.confirmed);
        match event.phase {
            Phase::Intent => {}
            Phase::Injected => {
                self.start_ns = event.time_ns;
                // A crash may lose the end of a history, which is then older than the last fault.
                self.end_ns = self.end_ns.max(self.start_ns);
                self.confirmed = confirmed;
                self.pending = event.receipt.as_ref().is_some_and(|receipt| receipt.pending);
            }
            Phase::Failed => {
                self.failed = true;
                self.confirmed = false;
                self.end_ns = event.time_ns.max(self.start_ns);
            }
            Phase::Healed => {
                self.healed = true;
                self.confirmed = (self.confirmed || self.pending) && confirmed;
                self.end_ns = event.time_ns.max(self.start_ns);
            }
        }
        if let Some(receipt) = event.receipt.as_ref() {
            // A nemesis is not to blame for who was down before.
            if let Some(Value::Object(down)) = receipt.measured.get(Receipt::DOWN_BEFORE) {
                let down: Vec<&str> = down.keys().map(String::as_str).collect();
                self.receipts.push(format!("{} did not answer before it", down.join(", ")));
            }
            if !receipt.evidence.is_empty() {
                self.receipts.push(receipt.evidence.clone());
            }
        }
    }
}

/// The faults of a journal by the time of their start. One that was never healed lasts until `end_ns`.
pub fn faults(events: &[FaultEvent], end_ns: u64) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut at_id = HashMap::new();
    for event in events {
        let at = *at_id.entry(event.id).or_insert_with(|| {
            faults.push(Fault::begin(event, end_ns));
            faults.len() - 1
        });
        faults[at].extend(event);
    }
    faults.sort_by_key(|fault| (fault.start_ns, fault.id));
    faults
}

/// How many faults took effect. As text: `6 partitions, 4 kills, all confirmed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultSummary {
    /// By kind.
    pub kinds: BTreeMap<String, FaultCount>,
}

/// The faults of one kind, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCount {
    /// Those whose receipts prove an effect.
    pub confirmed: u64,
    /// Those with a receipt that proves none, or without one.
    pub unconfirmed: u64,
    /// Those that could not be injected.
    pub failed: u64,
}

impl FaultCount {
    /// How many there were.
    pub fn total(&self) -> u64 {
        self.confirmed + self.unconfirmed + self.failed
    }
}

impl FaultSummary {
    /// Counts faults.
    pub fn of(faults: &[Fault]) -> FaultSummary {
        let mut summary = FaultSummary::default();
        for fault in faults {
            let count = summary.kinds.entry(fault.fault.clone()).or_default();
            *match (fault.confirmed, fault.failed) {
                (true, _) => &mut count.confirmed,
                (false, true) => &mut count.failed,
                (false, false) => &mut count.unconfirmed,
            } += 1;
        }
        summary
    }

    /// How many faults there were.
    pub fn total(&self) -> u64 {
        self.kinds.values().map(FaultCount::total).sum()
    }

    /// How many took effect.
    pub fn confirmed(&self) -> u64 {
        self.kinds.values().map(|count| count.confirmed).sum()
    }
}

impl fmt::Display for FaultSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kinds.is_empty() {
            return f.write_str("no faults");
        }
        for (nth, (fault, count)) in self.kinds.iter().enumerate() {
            let noun = match fault.as_str() {
                "membership" => "membership change",
                "packets" => "packet fault",
                "clock" => "clock skew",
                "disk" => "disk fault",
                "files" => "damaged file",
                "power" => "power failure",
                "term" => "termination",
                "rolling" => "rolling restart",
                "slow" => "slow node",
                "cpu" => "processor quota",
                "memory" => "memory limit",
                "flags" => "restart with other flags",
                "leader" => "leadership transfer",
                "replace" => "replacement",
                "regions" => "region map",
                fault => fault,
            };
            let plural = if count.total() == 1 { "" } else { "s" };
            let blemish = match (count.unconfirmed, count.failed) {
                (0, 0) => String::new(),
                (n, 0) => format!(" ({n} unconfirmed)"),
                (0, n) => format!(" ({n} failed)"),
                (n, m) => format!(" ({n} unconfirmed, {m} failed)"),
            };
            let comma = if nth == 0 { "" } else { ", " };
            let noun = match noun.split_once(" with ") {
                Some((noun, rest)) => format!("{noun}{plural} with {rest}"),
                None => format!("{noun}{plural}"),
            };
            write!(f, "{comma}{} {noun}{blemish}", count.total())?;
        }
        f.write_str(if self.confirmed() == self.total() { ", all confirmed" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u64, time_ns: u64, phase: Phase, receipt: Option<Receipt>) -> FaultEvent {
        let (fault, what) = ("partition".into(), "{n1} | {n2}".into());
        FaultEvent {
            id,
            time_ns,
            phase,
            fault,
            what,
            nodes: vec!["n1".into()],
            receipt,
            ..FaultEvent::default()
        }
    }

    #[test]
    fn the_lines_of_a_fault_make_one_fault() {
        let journal = [
            line(1, 10, Phase::Intent, None),
            line(1, 12, Phase::Injected, Some(Receipt::confirmed("2 directions cut"))),
            line(2, 15, Phase::Intent, None),
            line(2, 16, Phase::Failed, Some(Receipt::unconfirmed("nft is missing"))),
            line(1, 20, Phase::Healed, Some(Receipt::confirmed("9 packets dropped"))),
            line(3, 30, Phase::Intent, None),
            line(4, 31, Phase::Intent, None),
            line(4, 33, Phase::Injected, Some(Receipt::unconfirmed("rule set"))),
        ];
        let faults = faults(&journal, 25);
        let seen: Vec<_> =
            faults.iter().map(|f| (f.id, f.start_ns, f.end_ns, f.confirmed, f.failed, f.healed)).collect();
        let expected = [
            (1, 12, 20, true, false, true),
            (2, 15, 16, false, true, false),
            (3, 30, 30, false, false, false),
            (4, 33, 33, false, false, false),
        ];
        assert_eq!(seen, expected);
        assert_eq!(faults[0].evidence(), "2 directions cut; 9 packets dropped");
        assert!(faults[0].overlaps(20, 21) && !faults[0].overlaps(21, 22) && !faults[1].overlaps(15, 16));
        assert_eq!(FaultSummary::of(&faults).to_string(), "4 partitions (2 unconfirmed, 1 failed)");
        assert_eq!(FaultSummary::of(&faults[..1]).to_string(), "1 partition, all confirmed");
        assert_eq!(FaultSummary::of(&[]).to_string(), "no faults");
    }

    #[test]
    fn who_was_down_before_is_told_with_the_fault() {
        let down = serde_json::json!({"n1": "connection refused", "n3": "no reply"});
        let receipt = Receipt::confirmed("cut").with(Receipt::DOWN_BEFORE, down);
        let journal = [line(1, 10, Phase::Intent, None), line(1, 12, Phase::Injected, Some(receipt))];
        assert_eq!(faults(&journal, 15)[0].evidence(), "n1, n3 did not answer before it; cut");
    }

    #[test]
    fn a_fault_that_never_bit_is_not_confirmed() {
        let journal = [
            line(1, 10, Phase::Intent, None),
            line(1, 12, Phase::Injected, Some(Receipt::confirmed("2 directions cut"))),
            line(1, 20, Phase::Healed, Some(Receipt::unconfirmed("0 packets dropped"))),
        ];
        assert!(
            faults(&journal[..2], 15)[0].confirmed,
            "while it lasts, the injection's receipt is all there is"
        );
        assert!(!faults(&journal, 25)[0].confirmed);
    }
}
