//! From a history to a verdict.

use squall_checkers::checker::check_all;
use squall_checkers::{Budget, Checker, History, Type, UnhandledErrors, Verdict};

/// Fewer ok operations than this say nothing about a system.
const OK_MIN: usize = 10;

/// The verdict of a workload's checkers on the history of a run, with the errors that clients met. A run in which hardly anything took effect is
/// unknown: an empty pass must not look like a pass.
pub(crate) fn judge(
    workload: &str,
    checkers: &[Box<dyn Checker>],
    history: &History,
    budget: &Budget,
) -> Verdict {
    let mut verdict = check_all(workload, checkers, history, budget);
    verdict.parts.push(UnhandledErrors.check(history));
    let ok = history.iter().filter(|op| op.is_client() && op.kind() == Type::Ok).count();
    if ok >= OK_MIN {
        return verdict;
    }
    let mut parts = verdict.parts;
    parts.push(Verdict::unknown(
        "coverage",
        format!("only {ok} operations took effect: too few to say anything"),
    ));
    Verdict::compose(workload, parts)
}

#[cfg(test)]
mod tests {
    use squall_checkers::{Op, Valid, from_fn};

    use super::*;

    #[test]
    fn an_empty_pass_is_not_a_pass() {
        let checkers = [from_fn("fine", |_| Verdict::valid("fine", "ok"))];
        assert_eq!(judge("w", &checkers, &History::new(), &Budget::default()).valid, Valid::Unknown);
        let enough: History =
            (0..20).map(|i| Op::new("read").kind([Type::Invoke, Type::Ok][i % 2])).collect();
        assert_eq!(judge("w", &checkers, &enough, &Budget::default()).valid, Valid::True);
    }
}
