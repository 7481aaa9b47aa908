//! Histories of registers, as all the checkers of this part of the crate take them: `read`, `write` and `cas`, or `get`,
//! `put` and `delete`, on one register or on independent keys (`[key, value]`).
//!
//! Registers start as null, and a delete writes null. A successful cas is a read of its old value and a write of its new
//! one, at one point.
//!
//! **Sessions.** Each process id is a session: a client thread. An operation of unknown outcome ends its session; the
//! thread goes on under a new process id, which is a new session, for whatever it does next need not come after that
//! operation took effect. (Where a history uses the id again, a new session starts all the same.)
//!
//! **Outcomes.** A write or cas of unknown outcome counts if its value was read, and else as if it never was. Reads of
//! unknown outcome and failed operations drop out. A read of what only a failed operation wrote is an anomaly.
//!
//! **Which write a read saw** follows from its value where each value is written to a key once. Where several writes
//! could be the one, the read is left aside; a checker that must know is then `unknown`, unless the rest fails already.

mod keying;
mod minimal;
mod parse;
mod resolve;
mod teller;
#[cfg(test)]
pub(crate) mod tiny;

pub(crate) use keying::{Keying, Kind};
pub(crate) use minimal::minimal;
pub(crate) use resolve::{Kv, KvOp, Sessions, Source, resolve};
pub(crate) use teller::Teller;

use crate::{Budget, Checker, History, Spent, Verdict};

/// No operation, no value.
pub(crate) const NONE: u32 = u32::MAX;

/// Why nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The history is not one of registers, or does not say enough.
    Unfit(String),
    /// The budget is spent.
    Spent(Spent),
}

impl From<Spent> for Stop {
    fn from(spent: Spent) -> Stop {
        Stop::Spent(spent)
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::Unfit(reason) => f.write_str(reason),
            Stop::Spent(spent) => spent.fmt(f),
        }
    }
}

/// Resolves a history and judges it; `unknown` where that cannot be done. Where a failed operation was seen and all
/// would be well had it been recorded as `info`, the anomaly says so.
pub(crate) fn judge(
    checker: &dyn Checker,
    history: &History,
    budget: &Budget,
    judge: impl Fn(&Kv) -> Result<Verdict, Stop>,
) -> Verdict {
    const ABORTED: &str = "aborted-read";
    let once = |trust| {
        let kv = resolve(history, trust, budget)?;
        Ok(judge(&kv)?.stat("ops", kv.recorded()))
    };
    let mut verdict =
        once(true).unwrap_or_else(|stop: Stop| Verdict::unknown(checker.name(), stop.to_string()));
    let aborted = |verdict: &Verdict| verdict.all_anomalies().iter().any(|anomaly| anomaly.kind == ABORTED);
    if aborted(&verdict) && once(false).is_ok_and(|verdict| verdict.valid != crate::Valid::False) {
        let all =
            verdict.anomalies.iter_mut().chain(verdict.parts.iter_mut().flat_map(|part| &mut part.anomalies));
        for anomaly in all.filter(|anomaly| anomaly.kind == ABORTED) {
            anomaly.steps.push(
                "recorded as info instead of fail, the history would be valid: does the client know that it failed?"
                    .to_owned(),
            );
        }
    }
    verdict
}
