//! The checker that a history gets where nobody names one.

use super::{CheckerEntry, Facts, all};

/// The checker that fits the operations of a history, or what its file says that they are on.
///
/// # Errors
/// If none does: says which operations it has and how to name a checker.
pub fn fitting(facts: &Facts) -> Result<&'static CheckerEntry, String> {
    let known = |names: &[&str]| names.iter().find_map(|name| all().find(|entry| entry.name == *name));
    known(candidates(facts)).ok_or_else(|| {
        let fs: Vec<&str> = facts.fs.iter().map(String::as_str).collect();
        format!(
            "no checker is known to fit the operations {}: name one with -c (see squall list checkers), or a model with \
             --model (see squall list models)",
            fs.join(", ")
        )
    })
}

/// The first of these that there is.
fn candidates(facts: &Facts) -> &'static [&'static str] {
    let has = |f: &str| facts.has(f);
    let any = |fs: &[&str]| fs.iter().any(|f| has(f));
    match facts.object.as_deref() {
        Some("queue") => return &["linearizable-queue"],
        Some("stack") => return &["linearizable-stack"],
        // fastlin polls the largest.
        Some("priorityqueue") => return &["linearizable-max-priority-queue"],
        Some("set") => return &["linearizable-set"],
        _ => {}
    }
    if facts.logs {
        &["kafka"]
    } else if any(&["watch", "final-watch", "final_watch"]) {
        &["watch"]
    } else if any(&["transfer"]) || (facts.reads_maps && !facts.transactions()) {
        &["bank"]
    } else if facts.registers && !facts.lists {
        // The strongest that can be told without times is serializability.
        if facts.real_time {
            &["rw-register", "txn-serializable"]
        } else {
            &["txn-serializable", "txn-causal"]
        }
    } else if facts.transactions() {
        if facts.real_time { &["append"] } else { &["append-strong-session-serializable"] }
    } else if any(&["acquire", "release"]) {
        &["linearizable-mutex"]
    } else if has("drain") {
        &["total-queue"]
    } else if any(&["enqueue", "dequeue", "enq", "deq"]) {
        &["linearizable-queue"]
    } else if any(&["push", "pop"]) {
        &["linearizable-stack"]
    } else if has("poll") {
        &["linearizable-priority-queue"]
    } else if any(&["contains", "contains_true", "contains_false"]) || (has("add") && has("remove")) {
        &["linearizable-set"]
    } else if any(&["get", "put"]) {
        &["linearizable-kv"]
    } else if has("generate") {
        &["unique-ids"]
    } else if has("add") && facts.reads_lists {
        &["set-full", "set"]
    } else if has("add") {
        &["linearizable-counter"]
    } else if any(&["read", "write", "cas"]) {
        if facts.keyed { &["linearizable-registers"] } else { &["linearizable-register"] }
    } else {
        &[]
    }
}

/// The checker that a history gets in place of the named one, where that is of one object and the values name several.
pub fn keyed(name: &str, facts: &Facts) -> Option<&'static CheckerEntry> {
    let keyed = name == "linearizable-register" && facts.keyed;
    keyed.then(|| all().find(|entry| entry.name == "linearizable-registers")).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{History, Op, Type};

    fn name(ops: &[(&'static str, Value)]) -> Result<&'static str, String> {
        let history: History = ops
            .iter()
            .flat_map(|(f, value)| [Op::new(*f), Op::new(*f).value(value.clone()).kind(Type::Ok)])
            .map(|op| if op.f == "read" && op.kind == Type::Invoke { op.value(json!([1, null])) } else { op })
            .collect();
        fitting(&Facts::of(&history)).map(|entry| entry.name)
    }

    #[test]
    fn operations_tell_which_checker_fits() {
        assert_eq!(name(&[("read", json!([1, 2]))]).unwrap(), "linearizable-registers");
        assert_eq!(name(&[("write", json!(2))]).unwrap(), "linearizable-register");
        assert_eq!(name(&[("cas", json!([1, 2]))]).unwrap(), "linearizable-register");
        assert_eq!(name(&[("acquire", json!(null))]).unwrap(), "linearizable-mutex");
        assert_eq!(name(&[("txn", json!([["append", 1, 2]]))]).unwrap(), "append");
        assert_eq!(name(&[("txn", json!([["r", 1, [2]]]))]).unwrap(), "append");
        assert_eq!(name(&[("poll", json!([["poll", {"0": [[3, 4]]}]]))]).unwrap(), "kafka");
        assert_eq!(name(&[("write", json!(2)), ("watch", json!([2]))]).unwrap(), "watch");
        assert!(name(&[("frobnicate", json!(null))]).unwrap_err().contains("frobnicate"));
    }
}
