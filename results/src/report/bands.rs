use serde::Serialize;
use squall_checkers::{FaultEvent, Phase};

use crate::totals::took_effect;

/// A fault from its injection to its healing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Band {
    pub(crate) id: u64,
    /// `partition`, `kill` …
    pub(crate) fault: String,
    pub(crate) what: String,
    pub(crate) nodes: Vec<String>,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// Whether a receipt proves that it was in force.
    pub(crate) confirmed: bool,
    /// Whether it could not be injected.
    pub(crate) failed: bool,
    /// Whether the journal saw it healed.
    pub(crate) healed: bool,
    /// What was measured, in the order of the journal.
    pub(crate) receipts: Vec<String>,
}

impl Band {
    /// Whether it was, or may have been, in force at some time between these two.
    pub(crate) fn overlaps(&self, start_ns: u64, end_ns: u64) -> bool {
        !self.failed && self.start_ns <= end_ns && start_ns <= self.end_ns
    }

    /// Its receipts in one line.
    pub(crate) fn evidence(&self) -> String {
        if self.receipts.is_empty() { "no receipt".to_owned() } else { self.receipts.join("; ") }
    }
}

/// The bands of a fault journal by the time of their start. A fault that was never healed lasts until `end_ns`.
pub(crate) fn bands(faults: &[FaultEvent], end_ns: u64) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    let mut at_id = std::collections::HashMap::new();
    for event in faults {
        let at = *at_id.entry(event.id).or_insert_with(|| {
            bands.push(Band {
                id: event.id,
                fault: event.fault.clone(),
                what: event.what.clone(),
                nodes: event.nodes.clone(),
                start_ns: event.time_ns,
                end_ns: end_ns.max(event.time_ns),
                confirmed: false,
                failed: false,
                healed: false,
                receipts: Vec::new(),
            });
            bands.len() - 1
        });
        extend(&mut bands[at], event);
    }
    bands.sort_by_key(|band| (band.start_ns, band.id));
    bands
}

fn extend(band: &mut Band, event: &FaultEvent) {
    band.confirmed |= took_effect(event);
    match event.phase {
        Phase::Intent => {}
        Phase::Injected => {
            band.start_ns = event.time_ns;
            band.end_ns = band.end_ns.max(band.start_ns);
        }
        Phase::Failed => {
            band.failed = true;
            band.end_ns = event.time_ns.max(band.start_ns);
        }
        Phase::Healed => {
            band.healed = true;
            band.end_ns = event.time_ns.max(band.start_ns);
        }
    }
    if let Some(receipt) = event.receipt.as_ref().filter(|receipt| !receipt.evidence.is_empty()) {
        band.receipts.push(receipt.evidence.clone());
    }
}

#[cfg(test)]
mod tests {
    use squall_checkers::Receipt;

    use super::*;

    #[test]
    fn the_lines_of_a_fault_make_one_band() {
        let line = |id, time_ns, phase, receipt| FaultEvent {
            id,
            time_ns,
            phase,
            fault: "partition".into(),
            what: "{n1} | {n2}".into(),
            nodes: vec!["n1".into()],
            receipt,
        };
        let faults = [
            line(1, 10, Phase::Intent, None),
            line(1, 12, Phase::Injected, Some(Receipt::unconfirmed("rule set"))),
            line(2, 15, Phase::Intent, None),
            line(2, 16, Phase::Failed, Some(Receipt::unconfirmed("nft is missing"))),
            line(1, 20, Phase::Healed, Some(Receipt::confirmed("9 packets dropped"))),
            line(3, 30, Phase::Intent, None),
            // A crash lost the end of the history, so that it is older than the last fault.
            line(4, 31, Phase::Intent, None),
            line(4, 33, Phase::Injected, Some(Receipt::unconfirmed("rule set"))),
        ];
        let bands = bands(&faults, 25);
        let seen: Vec<_> =
            bands.iter().map(|b| (b.id, b.start_ns, b.end_ns, b.confirmed, b.failed, b.healed)).collect();
        let expected = [
            (1, 12, 20, true, false, true),
            (2, 15, 16, false, true, false),
            (3, 30, 30, false, false, false),
            (4, 33, 33, false, false, false),
        ];
        assert_eq!(seen, expected);
        assert_eq!(bands[0].evidence(), "rule set; 9 packets dropped");
        assert!(bands[0].overlaps(20, 21) && !bands[0].overlaps(21, 22) && !bands[1].overlaps(15, 16));
    }
}
