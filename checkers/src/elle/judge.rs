//! From what was found to the verdict of one model.

use super::consistency::{Consistency, Phenomena, Phenomenon, boundary};
use super::cycles::Found;
use super::explain::{Known, Teller};
use super::fault::Faults;
use crate::txn::Txns;
use crate::{Anomaly, Spent, Verdict};

/// Judges by one model.
pub(super) struct Judge<'a> {
    pub(super) name: &'a str,
    pub(super) model: Consistency,
    pub(super) txns: &'a Txns<'a>,
    pub(super) known: Known<'a>,
}

/// The verdict of a check that was given up.
pub(super) fn spent(name: &str, txns: &Txns, spent: Spent) -> Verdict {
    let reason =
        format!("all {} transactions are read, but their order is not checked: {spent}", txns.list.len());
    Verdict::unknown(name, reason).stat("transactions", txns.list.len())
}

impl Judge<'_> {
    pub(super) fn verdict(&self, faults: &Faults, found: &Found, edges: usize) -> Verdict {
        let teller = Teller { txns: self.txns, known: self.known };
        let (mut against, mut beside) = (Vec::new(), Vec::new());
        let faults_told = faults.shown.iter().map(|fault| (fault.phenomenon(), teller.fault(fault)));
        let cycles_told = found.cycles.iter().map(|cycle| (cycle.phenomenon, teller.cycle(cycle)));
        for (phenomenon, anomaly) in faults_told.chain(cycles_told) {
            let mut only = Phenomena::default();
            only.insert(phenomenon);
            if self.model.forbids(self.sure(only)) { against.push(anomaly) } else { beside.push(anomaly) }
        }
        let all = self.sure(faults.found.with(found.phenomena));
        let (not, also_not) = boundary(all);
        let names = |models: &[Consistency]| models.iter().map(|model| model.name()).collect::<Vec<_>>();
        let mut verdict = self.without_stats(against, &beside, &not, found.open);
        if !not.is_empty() {
            verdict = verdict.stat("not", names(&not)).stat("also-not", names(&also_not));
        }
        if !beside.is_empty() {
            let notes: Vec<String> = beside.into_iter().map(|anomaly| anomaly.sentence).collect();
            verdict = verdict.stat("also found", notes);
        }
        verdict
            .stat("transactions", self.txns.list.len())
            .stat("keys", self.txns.keys.len())
            .stat("edges", edges)
            .stat("anomalies, at least", faults.count() + found.count)
            .stat("components", found.components)
            .stat("steps", found.work)
    }

    /// What may be held against a model. The version order of registers rests on that nobody installs a version before the one that he
    /// had read; only read committed rules that out.
    fn sure(&self, mut found: Phenomena) -> Phenomena {
        const DIRTY: [(Phenomenon, Phenomenon); 4] = [
            (Phenomenon::CyclicVersions, Phenomenon::G1c),
            (Phenomenon::G0, Phenomenon::G1c),
            (Phenomenon::G0Process, Phenomenon::G1cProcess),
            (Phenomenon::G0Realtime, Phenomenon::G1cRealtime),
        ];
        if matches!(self.known, Known::Registers(_)) {
            for (dirty, instead) in DIRTY {
                if found.contains(dirty) {
                    found = found.without(dirty);
                    found.insert(instead);
                }
            }
        }
        found
    }

    fn without_stats(
        &self,
        against: Vec<Anomaly>,
        beside: &[Anomaly],
        not: &[Consistency],
        open: bool,
    ) -> Verdict {
        let (model, txns) = (self.model.name().replace('-', " "), self.txns);
        let names: Vec<&str> = not.iter().map(|model| model.name()).collect();
        if let Some(first) = against.first() {
            let weaker = if names == [self.model.name()] {
                String::new()
            } else {
                format!(" (nor {})", names.join(", "))
            };
            let summary = format!("not {model}{weaker}: {}", first.sentence);
            return Verdict::invalid(self.name, summary, against);
        }
        if let Some(reason) = txns.written_twice() {
            return Verdict::unknown(self.name, reason);
        }
        let mut single = Phenomena::default();
        single.insert(Phenomenon::Fractured);
        if open && self.model.forbids(single) {
            let reason = "the search for cycles with one anti-dependency was given up: raise the work cap";
            return Verdict::unknown(self.name, reason);
        }
        let mut summary = format!("{model}: {} transactions on {} keys", txns.list.len(), txns.keys.len());
        if !names.is_empty() {
            summary += &format!(", but not {}", names.join(", "));
        } else if let Some(first) = beside.first() {
            summary += &format!("; also found: {}", first.sentence);
        }
        Verdict::valid(self.name, summary)
    }
}
