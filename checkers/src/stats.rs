//! Counts of outcomes by function.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{Budget, Checker, History, Type, Valid, Verdict};

/// Counts how many operations of each function were ok, failed, or are of unknown outcome.
///
/// As in Jepsen, a function of which no operation was ok makes the verdict unknown: nothing was learnt of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats;

#[derive(Clone, Copy, Default)]
struct Counts {
    ok: usize,
    fail: usize,
    info: usize,
}

impl Counts {
    fn json(self) -> serde_json::Value {
        json!({"ok": self.ok, "fail": self.fail, "info": self.info, "count": self.ok + self.fail + self.info})
    }
}

impl Checker for Stats {
    fn name(&self) -> &str {
        "stats"
    }

    /// Stats: `ok`, `fail`, `info` and `count` in all, and under `by_f` for each function.
    fn check_within(&self, history: &History, _budget: &Budget) -> Verdict {
        let mut all = Counts::default();
        let mut by_f: BTreeMap<&str, Counts> = BTreeMap::new();
        let pairs = history.pairs();
        for event in history.iter().filter(|event| event.is_client()) {
            let counts = by_f.entry(event.f()).or_default();
            let slot = |counts: &mut Counts| match event.kind() {
                // An operation that never completed is of unknown outcome.
                Type::Invoke if pairs.of(event.index()).is_none() => counts.info += 1,
                Type::Invoke => {}
                Type::Ok => counts.ok += 1,
                Type::Fail => counts.fail += 1,
                Type::Info => counts.info += 1,
            };
            slot(counts);
            slot(&mut all);
        }
        let never: Vec<&str> = by_f.iter().filter(|(_, c)| c.ok == 0).map(|(&f, _)| f).collect();
        let summary = format!("{} ok, {} failed, {} unknown", all.ok, all.fail, all.info);
        let mut verdict = Verdict::valid("stats", &summary);
        if !never.is_empty() {
            let reason = format!("no {} was ok: {summary}", never.join(", no "));
            verdict = Verdict { valid: Valid::Unknown, ..Verdict::unknown("stats", reason) };
        }
        let by_f: serde_json::Map<_, _> = by_f.iter().map(|(&f, c)| (f.to_owned(), c.json())).collect();
        verdict
            .stat("ok", all.ok)
            .stat("fail", all.fail)
            .stat("info", all.info)
            .stat("count", all.ok + all.fail + all.info)
            .stat("by_f", by_f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, Process};

    fn op(p: u32, f: &'static str, kind: Type) -> Op {
        Op::new(f).process(Process::Client(p)).kind(kind)
    }

    #[test]
    fn counts_by_function_and_wants_one_ok_of_each() {
        let mut ops = vec![
            op(0, "read", Type::Invoke),
            op(0, "read", Type::Ok),
            op(0, "read", Type::Invoke),
            op(0, "read", Type::Fail),
            op(1, "write", Type::Invoke),
            op(1, "write", Type::Info),
            op(2, "write", Type::Invoke),
            Op::new("kill").process(Process::Nemesis).kind(Type::Info),
        ];
        let verdict = Stats.check(&ops.iter().cloned().collect());
        assert_eq!(verdict.valid, Valid::Unknown);
        assert_eq!(verdict.reason.as_deref(), Some("no write was ok: 1 ok, 1 failed, 2 unknown"));
        let write = json!({"ok": 0, "fail": 0, "info": 2, "count": 2});
        assert_eq!(verdict.stats["by_f"]["write"], write);
        assert_eq!(verdict.stats["by_f"].as_object().unwrap().len(), 2);

        ops.push(op(2, "write", Type::Ok));
        let verdict = Stats.check(&ops.into_iter().collect());
        assert_eq!(
            (verdict.valid, verdict.stats["ok"].as_u64(), verdict.stats["info"].as_u64()),
            (Valid::True, Some(2), Some(1))
        );
        assert_eq!(Stats.check(&History::new()).valid, Valid::True);
    }
}
