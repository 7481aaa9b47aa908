use std::fmt;

use squall_checkers::{FaultEvent, Phase};

use crate::words::count;

/// How many faults bit. As text: `6 partitions, 4 kills, all confirmed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The kinds, in the order of their first fault.
    pub kinds: Vec<Kind>,
}

/// The faults of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Its name: `partition`.
    pub fault: String,
    /// How many were injected, by their receipts. A fault whose receipt confirms nothing counts as not injected.
    pub injected: u64,
    /// How many of those had an effect: what was measured until they were healed confirms it too.
    pub confirmed: u64,
    /// How many have no receipt, or one that confirms nothing, from injecting or from healing.
    pub unconfirmed: u64,
    /// How many could not be injected.
    pub failed: u64,
}

impl Summary {
    /// Of the events of a journal.
    pub fn of(events: &[FaultEvent]) -> Summary {
        let mut summary = Summary::default();
        for intent in events.iter().filter(|event| event.phase == Phase::Intent) {
            let confirmed = |phase| {
                let event = events.iter().find(|event| event.id == intent.id && event.phase == phase)?;
                Some(event.receipt.as_ref().is_some_and(|receipt| receipt.confirmed))
            };
            let injected = confirmed(Phase::Injected) == Some(true);
            // While a fault is in force, its injection's receipt is all there is.
            let bit = injected && confirmed(Phase::Healed).unwrap_or(true);
            let failed = confirmed(Phase::Failed).is_some();
            let kind = summary.kind(&intent.fault);
            kind.injected += u64::from(injected);
            kind.confirmed += u64::from(bit);
            kind.unconfirmed += u64::from(!bit && !failed);
            kind.failed += u64::from(failed);
        }
        summary
    }

    /// Whether a fault had an effect.
    pub fn any_confirmed(&self) -> bool {
        self.kinds.iter().any(|kind| kind.confirmed > 0)
    }

    fn kind(&mut self, fault: &str) -> &mut Kind {
        let at = self.kinds.iter().position(|kind| kind.fault == fault).unwrap_or_else(|| {
            self.kinds.push(Kind { fault: fault.to_owned(), ..Kind::default() });
            self.kinds.len() - 1
        });
        &mut self.kinds[at]
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kinds.is_empty() {
            return f.write_str("no faults");
        }
        let blemish = |kind: &Kind| match (kind.unconfirmed, kind.failed) {
            (0, 0) => String::new(),
            (n, 0) => format!(" ({n} unconfirmed)"),
            (0, n) => format!(" ({n} failed)"),
            (n, m) => format!(" ({n} unconfirmed, {m} failed)"),
        };
        let total = |kind: &Kind| kind.confirmed + kind.unconfirmed + kind.failed;
        let phrases: Vec<String> =
            self.kinds.iter().map(|kind| count(total(kind), noun(&kind.fault)) + &blemish(kind)).collect();
        f.write_str(&phrases.join(", "))?;
        let all = self.kinds.iter().all(|kind| kind.confirmed == total(kind));
        f.write_str(if all { ", all confirmed" } else { "" })
    }
}

fn noun(fault: &str) -> &str {
    if fault == "membership" { "membership change" } else { fault }
}

#[cfg(test)]
mod tests {
    use squall_checkers::Receipt;

    use super::*;

    fn event(id: u64, fault: &str, phase: Phase, confirmed: Option<bool>) -> FaultEvent {
        let receipt = confirmed.map(|confirmed| Receipt { confirmed, ..Receipt::default() });
        FaultEvent { id, time_ns: 0, phase, fault: fault.into(), what: "x".into(), nodes: vec![], receipt }
    }

    fn fault(id: u64, kind: &str, injected: bool, healed: Option<bool>) -> Vec<FaultEvent> {
        let mut events =
            vec![event(id, kind, Phase::Intent, None), event(id, kind, Phase::Injected, Some(injected))];
        events.extend(healed.map(|healed| event(id, kind, Phase::Healed, Some(healed))));
        events
    }

    #[test]
    fn a_summary_counts_what_bit() {
        let events = [
            fault(1, "partition", true, Some(true)),
            fault(2, "kill", true, Some(true)),
            fault(3, "kill", true, None),
        ];
        let summary = Summary::of(&events.concat());
        assert_eq!(summary.to_string(), "1 partition, 2 kills, all confirmed");
        assert!(summary.any_confirmed());
        assert_eq!(Summary::of(&[]).to_string(), "no faults");
    }

    #[test]
    fn faults_without_effect_do_not_pass_as_confirmed() {
        let mut events =
            [fault(1, "partition", true, Some(false)), fault(2, "pause", false, Some(true))].concat();
        events.extend([event(3, "kill", Phase::Intent, None), event(3, "kill", Phase::Failed, Some(false))]);
        events.push(event(4, "kill", Phase::Intent, None));
        let summary = Summary::of(&events);
        assert_eq!(
            summary.to_string(),
            "1 partition (1 unconfirmed), 1 pause (1 unconfirmed), 2 kills (1 unconfirmed, 1 failed)"
        );
        assert_eq!(summary.kinds.iter().map(|kind| kind.injected).collect::<Vec<_>>(), [1, 0, 0]);
        assert!(!summary.any_confirmed());
    }
}
