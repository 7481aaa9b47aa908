//! The ready-made checkers by name, and which of them fit a history that comes without a workload.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    Checker, History, Op, Stats, Type, UnhandledErrors, append, causal, domain, isolation, linear, polygraph,
    session,
};

/// A ready-made checker.
#[derive(Clone, Copy, Debug)]
pub struct CheckerEntry {
    /// Its name, as `squall check -c` takes it.
    pub name: &'static str,
    /// What it decides, in one line.
    pub about: &'static str,
    /// Makes it.
    pub build: fn() -> Box<dyn Checker>,
}

/// Every ready-made checker. Each family keeps its own list.
pub fn all() -> impl Iterator<Item = &'static CheckerEntry> {
    let families = [
        linear::CHECKERS,
        causal::CHECKERS,
        session::CHECKERS,
        append::CHECKERS,
        isolation::CHECKERS,
        polygraph::CHECKERS,
        domain::CHECKERS,
        OTHERS,
    ];
    families.into_iter().flatten()
}

const OTHERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "stats",
        about: "every kind of operation succeeds now and then",
        build: || Box::new(Stats),
    },
    CheckerEntry {
        name: "errors",
        about: "which errors there were, how often, with an example of each",
        build: || Box::new(UnhandledErrors),
    },
];

/// The checkers that fit the operations of a history.
///
/// # Errors
/// If none does: says which operations it has and how to name a checker.
pub fn fitting(history: &History) -> Result<Vec<Box<dyn Checker>>, String> {
    let fs: BTreeSet<&str> = history.iter().filter(|op| op.is_client()).map(|op| op.f()).collect();
    let has = |f: &str| fs.contains(f);
    let names: &[&str] = if has("txn") {
        &["append"]
    } else if has("acquire") || has("release") {
        &["linearizable-mutex"]
    } else if has("get") || has("put") {
        &["linearizable-kv"]
    } else if has("add") && reads_lists(history) {
        &["set"]
    } else if has("add") {
        &["linearizable-counter"]
    } else if has("read") || has("write") || has("cas") {
        if independent(history) { &["linearizable-registers"] } else { &["linearizable-register"] }
    } else {
        let fs: Vec<&str> = fs.into_iter().collect();
        return Err(format!(
            "no checker is known to fit the operations {}: name one with -c (see squall list checkers)",
            fs.join(", ")
        ));
    };
    let named = |name: &&str| all().find(|entry| entry.name == *name).map(|entry| (entry.build)());
    Ok(names.iter().filter_map(named).collect())
}

fn reads_lists(history: &History) -> bool {
    let reads = |op: &Op| op.f == "read" && op.kind == Type::Ok;
    history.iter().map(|op| op.to_op()).any(|op| reads(&op) && op.value.is_array())
}

/// Whether every value is a pair whose second half fits the operation: a plain `cas` also has two values, but a plain
/// read or write has one.
fn independent(history: &History) -> bool {
    let mut plain =
        history.iter().filter(|op| op.is_client() && matches!(op.f(), "read" | "write")).peekable();
    plain.peek().is_some() && plain.all(|op| matches!(op.value(), Value::Array(pair) if pair.len() == 2))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(ops: &[(&'static str, Value)]) -> Result<Vec<String>, String> {
        let history: History = ops
            .iter()
            .flat_map(|(f, value)| [Op::new(*f), Op::new(*f).value(value.clone()).kind(Type::Ok)])
            .map(|op| if op.f == "read" && op.kind == Type::Invoke { op.value(json!([1, null])) } else { op })
            .collect();
        Ok(fitting(&history)?.iter().map(|checker| checker.name().to_owned()).collect())
    }

    #[test]
    fn names_are_unique_and_those_of_the_checkers() {
        let names: BTreeSet<&str> = all().map(|entry| entry.name).collect();
        assert_eq!(names.len(), all().count());
        for entry in all() {
            assert_eq!((entry.build)().name(), entry.name);
        }
    }

    #[test]
    fn operations_tell_which_checker_fits() {
        assert_eq!(names(&[("read", json!([1, 2]))]).unwrap(), ["linearizable-registers"]);
        assert_eq!(names(&[("acquire", json!(null))]).unwrap(), ["linearizable-mutex"]);
        assert!(names(&[("frobnicate", json!(null))]).unwrap_err().contains("frobnicate"));
    }
}
