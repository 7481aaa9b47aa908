//! What a run really exercised: an empty pass must not look like a strong pass.

use squall_checkers::{FaultEvent, History, Type};
use squall_nemeses::Summary;

use crate::say::{count, thousands};

/// Operations and faults of a run, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    ops: usize,
    ok: usize,
    faults: Summary,
    faults_wanted: bool,
}

impl Coverage {
    /// Counts a history and its fault journal. Without `faults_wanted` faults are not spoken of.
    pub(crate) fn of(history: &History, faults: &[FaultEvent], faults_wanted: bool) -> Coverage {
        let clients = || history.iter().filter(|op| op.is_client());
        Coverage {
            ops: clients().filter(|op| op.kind() == Type::Invoke).count(),
            ok: clients().filter(|op| op.kind() == Type::Ok).count(),
            faults: Summary::of(faults),
            faults_wanted,
        }
    }

    /// `2,391 ops (2,210 ok), 6 partitions, 4 kills, all confirmed`.
    pub(crate) fn sentence(&self) -> String {
        let ops = format!("{} ({} ok)", count(self.ops, "op", "ops"), thousands(self.ok as u64));
        if self.faults_wanted { format!("{ops}, {}", self.faults) } else { ops }
    }

    /// What makes the run weaker than it looks.
    pub(crate) fn warning(&self) -> Option<String> {
        if self.faults_wanted && self.faults.kinds.is_empty() {
            return Some(
                "no fault was injected: this says nothing about faults; a longer --time-limit helps"
                    .to_owned(),
            );
        }
        if self.faults_wanted && !self.faults.any_confirmed() {
            return Some("no fault took effect: this says nothing about faults".to_owned());
        }
        if self.ok * 10 < self.ops {
            return Some(format!("only {} of {} ops were ok", self.ok, self.ops));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use squall_checkers::{Op, Phase, Receipt};

    use super::*;

    fn fault(id: u64, phase: Phase, receipt: Option<Receipt>) -> FaultEvent {
        FaultEvent {
            id,
            time_ns: 0,
            phase,
            fault: "partition".into(),
            what: "n1".into(),
            nodes: vec![],
            receipt,
        }
    }

    #[test]
    fn a_fault_counts_when_its_receipt_shows_an_effect() {
        let history: History = [Op::new("read"), Op::new("read").kind(Type::Ok)].into_iter().collect();
        let mut faults = vec![
            fault(1, Phase::Intent, None),
            fault(1, Phase::Injected, Some(Receipt::confirmed("2 directions cut"))),
            fault(1, Phase::Healed, Some(Receipt::unconfirmed("0 packets dropped"))),
        ];
        let coverage = Coverage::of(&history, &faults, true);
        assert_eq!(coverage.sentence(), "1 op (1 ok), 1 partition (1 unconfirmed)");
        assert!(coverage.warning().unwrap().starts_with("no fault took effect"));
        faults[2].receipt = Some(Receipt::confirmed("9 packets dropped"));
        let coverage = Coverage::of(&history, &faults, true);
        assert_eq!(coverage.sentence(), "1 op (1 ok), 1 partition, all confirmed");
        assert_eq!(coverage.warning(), None);
    }

    #[test]
    fn a_run_without_faults_says_so_if_they_were_wanted() {
        assert!(
            Coverage::of(&History::new(), &[], true).warning().unwrap().contains("no fault was injected")
        );
        assert_eq!(Coverage::of(&History::new(), &[], false).warning(), None);
    }
}
