//! The checker trait and its wrappers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Budget, History, Verdict};

/// Judges a history. A checker is a pure function: the same bytes give the same verdict.
pub trait Checker: Send + Sync {
    /// Its name, as `squall check --checker NAME` takes it.
    fn name(&self) -> &str;

    /// The verdict, for no more than the budget. `Unknown` only with a reason; never panics on any history.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict;

    /// The verdict, for no more than the default budget.
    fn check(&self, history: &History) -> Verdict {
        self.check_within(history, &Budget::default())
    }
}

/// What a checker that needs the real-time order answers on a history that has none; nothing if it has one.
pub(crate) fn without_real_time(name: &str, history: &History) -> Option<Verdict> {
    let reason = "the history has no real-time order: its format tells what each session did, not when; check a model \
                  that does without, such as serializable or causal";
    (!history.has_real_time()).then(|| Verdict::unknown(name, reason))
}

struct FromFn<F> {
    name: String,
    check: F,
}

impl<F: Fn(&History) -> Verdict + Send + Sync> Checker for FromFn<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn check_within(&self, history: &History, _budget: &Budget) -> Verdict {
        (self.check)(history)
    }
}

/// A checker from a function.
pub fn from_fn<F>(name: impl Into<String>, check: F) -> Box<dyn Checker>
where
    F: Fn(&History) -> Verdict + Send + Sync + 'static,
{
    Box::new(FromFn { name: name.into(), check })
}

/// Runs all checkers and composes their verdicts. A checker that panics gives `unknown`, as in Jepsen: a bug in a
/// checker must neither hide the other verdicts nor pass for one.
pub fn check_all(name: &str, checkers: &[Box<dyn Checker>], history: &History, budget: &Budget) -> Verdict {
    let parts = checkers.iter().map(|checker| check_guarded(checker.as_ref(), history, budget)).collect();
    Verdict::compose(name, parts)
}

fn check_guarded(checker: &dyn Checker, history: &History, budget: &Budget) -> Verdict {
    catch_unwind(AssertUnwindSafe(|| checker.check_within(history, budget))).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Verdict::unknown(checker.name(), format!("the checker panicked: {what}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Valid;

    #[test]
    fn a_panicking_checker_is_unknown_and_hides_nothing() {
        let checkers = [
            from_fn("boom", |_| panic!("index out of range")),
            from_fn("fine", |_| Verdict::valid("fine", "ok")),
        ];
        let verdict = check_all("all", &checkers, &History::new(), &Budget::default());
        assert_eq!(verdict.valid, Valid::Unknown);
        assert_eq!(verdict.parts[0].reason.as_deref(), Some("the checker panicked: index out of range"));
        assert_eq!(verdict.parts[1].valid, Valid::True);
    }
}
