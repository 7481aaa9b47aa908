//! The errors that operations ended with.

use std::collections::HashMap;

use serde_json::json;

use crate::{Budget, Checker, History, Type, Verdict};

/// Groups operations that failed or are of unknown outcome by their error, the commonest first.
///
/// Always valid: an error says nothing against a database, but a person wants to know which there were.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnhandledErrors;

impl Checker for UnhandledErrors {
    fn name(&self) -> &str {
        "errors"
    }

    /// Stats: `errors`, a list of `{error, type, f, count, example}`; `example` is the index of the first such event.
    fn check_within(&self, history: &History, _budget: &Budget) -> Verdict {
        let mut groups: HashMap<(&str, Type, &str), (usize, usize)> = HashMap::new();
        for event in history.iter().filter(|event| event.is_client() && event.kind() != Type::Ok) {
            if let Some(error) = event.error() {
                groups.entry((error, event.kind(), event.f())).or_insert((0, event.index())).0 += 1;
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_unstable_by_key(|&(_, (count, first))| (std::cmp::Reverse(count), first));
        let total: usize = groups.iter().map(|(_, (count, _))| count).sum();
        let summary = match groups.first() {
            None => "no errors".to_owned(),
            Some(((error, ..), (count, _))) => {
                format!("{total} errors of {} kinds, most often {error} ({count} times)", groups.len())
            }
        };
        let list: Vec<_> = groups
            .iter()
            .map(|((error, kind, f), (count, first))| {
                json!({"error": error, "type": kind.name(), "f": f, "count": count, "example": first})
            })
            .collect();
        Verdict::valid("errors", summary).stat("errors", list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, Valid};

    #[test]
    fn groups_by_error_and_keeps_the_first_example() {
        let failed = |kind, error: &str| {
            let mut op = Op::new("read").kind(kind);
            op.error = Some(error.into());
            op
        };
        let history: History = [
            failed(Type::Fail, "refused"),
            failed(Type::Info, "timeout"),
            Op::new("read").kind(Type::Ok),
            failed(Type::Info, "timeout"),
        ]
        .into_iter()
        .collect();
        let verdict = UnhandledErrors.check(&history);
        assert_eq!(verdict.valid, Valid::True);
        assert_eq!(verdict.summary, "3 errors of 2 kinds, most often timeout (2 times)");
        let first = json!({"error": "timeout", "type": "info", "f": "read", "count": 2, "example": 1});
        assert_eq!(verdict.stats["errors"][0], first);
        assert_eq!(UnhandledErrors.check(&History::new()).summary, "no errors");
    }
}
