use serde::{Deserialize, Serialize};
use squall_checkers::{FaultEvent, FaultSummary, History, Recovery, Type, history};

/// A run in numbers, kept in `verdict.json` so that a list of runs need not read histories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Client operations that were invoked.
    pub ops: u64,
    /// Those that are known to have taken effect.
    pub ok: u64,
    /// Those that are known not to have.
    pub fail: u64,
    /// Those of which nobody knows, with those that never completed.
    pub info: u64,
    /// From the start of the run to its last event, in nanoseconds.
    pub duration_ns: u64,
    /// Faults that were injected or meant to be.
    pub faults: u64,
    /// Those with a receipt that shows an effect.
    pub faults_confirmed: u64,
    /// From the end of the last healing until every node answered, in nanoseconds; absent where that was not waited for,
    /// or some did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_ns: Option<u64>,
}

impl Totals {
    /// Counts a history and a fault journal.
    pub fn of(history: &History, faults: &[FaultEvent]) -> Totals {
        let mut totals = Totals::default();
        for op in history.iter() {
            totals.duration_ns = totals.duration_ns.max(op.time_ns());
            match op.kind() {
                _ if !op.is_client() => {}
                Type::Invoke => totals.ops += 1,
                Type::Ok => totals.ok += 1,
                Type::Fail => totals.fail += 1,
                Type::Info => {}
            }
        }
        totals.info = totals.ops.saturating_sub(totals.ok + totals.fail);
        let faults = FaultSummary::of(&history::faults(faults, 0));
        totals.faults = faults.total();
        totals.faults_confirmed = faults.confirmed();
        let recovery = Recovery::last(history).filter(Recovery::is_complete);
        totals.recovery_ns = recovery.map(|recovery| (recovery.took_s * 1e9) as u64);
        totals
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use squall_checkers::{Op, Phase, Process, Receipt};

    use super::*;

    #[test]
    fn an_operation_that_never_completed_counts_as_info() {
        let by = |process, kind, at| Op::new("read").process(Process::Client(process)).kind(kind).at(at);
        let recover =
            |value| Op::new("recover").process(Process::Nemesis).kind(Type::Info).at(6).value(value);
        let history: History = [
            by(0, Type::Invoke, 1),
            by(1, Type::Invoke, 2),
            by(2, Type::Invoke, 3),
            by(0, Type::Ok, 4),
            by(1, Type::Info, 9),
            Op::new("kill").process(Process::Nemesis).kind(Type::Info).at(5),
            recover(json!({"took_s": 9.0, "nodes": {"n1": 9.0}})),
            recover(json!({"took_s": 1.5, "nodes": {"n1": 1.5}})),
        ]
        .into_iter()
        .collect();
        let event = |id, phase, receipt| FaultEvent {
            id,
            time_ns: 1,
            phase,
            fault: "kill".into(),
            what: "n1".into(),
            nodes: vec!["n1".into()],
            receipt,
            ..FaultEvent::default()
        };
        let faults = [
            event(1, Phase::Intent, None),
            event(1, Phase::Injected, Some(Receipt::confirmed("pid 7 gone"))),
            event(2, Phase::Injected, Some(Receipt::unconfirmed("no packet dropped"))),
        ];
        let totals = Totals::of(&history, &faults);
        let expected = Totals {
            ops: 3,
            ok: 1,
            fail: 0,
            info: 2,
            duration_ns: 9,
            faults: 2,
            faults_confirmed: 1,
            recovery_ns: Some(1_500_000_000),
        };
        assert_eq!(totals, expected);
        let silent = recover(json!({"took_s": 30.0, "nodes": {}, "silent": {"n1": "refused"}}));
        assert_eq!(Totals::of(&[silent].into_iter().collect(), &[]).recovery_ns, None);
    }
}
