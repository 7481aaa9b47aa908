//! An initial value other than null.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Facts, Order, all};
use crate::{Checker, History, Op, Process, Type};

/// The history of an object that held `initial` before its first operation, told so that checkers, for which that is null,
/// judge it right: a write before all others, or in transactions a null for each read of `initial` that nobody had written.
/// Where it is only read, the checkers tell what it is.
///
/// # Errors
/// If the operations are those of an object that has no value.
pub fn with_initial(
    history: &History,
    facts: &Facts,
    checkers: &[Box<dyn Checker>],
    initial: &Value,
) -> Result<History, String> {
    let any = |fs: &[&str]| fs.iter().any(|f| facts.has(f));
    let mut named = checkers.iter().map(|checker| checker.name());
    let mut counts = || named.any(|name| ["counter", "linearizable-counter"].contains(&name));
    let counter = any(&["add"]) || (!any(&["write", "cas"]) && counts());
    let writes = |f: &'static str, keyed: bool| Ok(written_first(history, f, keyed, initial));
    if facts.registers && !facts.lists {
        Ok(renamed(history, initial))
    } else if any(&["get", "put"]) {
        writes("put", true)
    } else if any(&["write", "cas"]) || (any(&["read"]) && !facts.reads_lists && !counter) {
        writes("write", facts.keyed)
    } else if counter && (initial.is_i64() || initial.is_u64()) {
        writes("add", false)
    } else if counter && !facts.reads_lists {
        Err(format!("--initial of a counter is an integer, such as 5, and not {initial}"))
    } else {
        Err("--initial is for registers, maps, counters and transactions over registers".to_owned())
    }
}

/// Whether these checkers judge such a history right: the write that [`with_initial`] puts in front of single operations
/// comes before them only for those that respect real time.
///
/// # Errors
/// If one does not, says which.
pub fn mind_initial(checkers: &[Box<dyn Checker>], facts: &Facts) -> Result<(), String> {
    let order =
        |name: &str| all().find(|entry| entry.name == name).map_or(Order::Sessions, |entry| entry.order);
    match checkers.iter().find(|checker| !facts.registers && order(checker.name()) == Order::Sessions) {
        Some(checker) => Err(format!(
            "--initial is for models that respect real time, such as linearizable-register, and {} does not: write null \
             where the history has the initial value",
            checker.name()
        )),
        None => Ok(()),
    }
}

fn written_first(history: &History, f: &'static str, keyed: bool, initial: &Value) -> History {
    let mut values = Vec::new();
    if keyed {
        let mut seen = HashSet::new();
        for op in history.iter().filter(|op| op.is_client()) {
            let key = op.raw().pair().map(|(key, _)| key).filter(|key| seen.insert(*key));
            values.extend(key.map(|key| json!([key.to_value(), initial])));
        }
    } else {
        values.push(initial.clone());
    }
    let used: HashSet<Process> = history.iter().map(|op| op.process()).collect();
    let free = (0..u32::MAX).map(Process::Client).find(|process| !used.contains(process));
    let process = free.unwrap_or(Process::Client(0));
    let start = history.iter().next().map_or(0, |op| op.time_ns());
    let first = values.iter().flat_map(|value| [Type::Invoke, Type::Ok].map(|kind| (value, kind)));
    let first =
        first.map(|(value, kind)| Op::new(f).value(value.clone()).kind(kind).process(process).at(start));
    like(history, first.chain(history.iter().map(|op| op.to_op())))
}

fn renamed(history: &History, initial: &Value) -> History {
    let mut written = HashSet::new();
    for op in history.iter().filter(|op| op.is_client()) {
        for [f, key, value] in mops(&op.value()) {
            if f == "w" && value == *initial {
                written.insert(key.to_string());
            }
        }
    }
    let rename = |mut op: Op| {
        for mop in op.value.as_array_mut().into_iter().flatten().filter_map(Value::as_array_mut) {
            if let [f, key, value] = mop.as_mut_slice()
                && f == "r"
                && value == initial
                && !written.contains(&key.to_string())
            {
                *value = Value::Null;
            }
        }
        op
    };
    like(history, history.iter().map(|op| if op.is_client() { rename(op.to_op()) } else { op.to_op() }))
}

/// The micro-operations of a transaction.
fn mops(txn: &Value) -> Vec<[Value; 3]> {
    let triples = txn.as_array().into_iter().flatten();
    triples.filter_map(|mop| <[Value; 3]>::try_from(mop.as_array()?.clone()).ok()).collect()
}

fn like(history: &History, ops: impl Iterator<Item = Op>) -> History {
    let mut new: History = ops.collect();
    new.set_real_time(history.has_real_time());
    history.object().into_iter().for_each(|object| new.set_object(object));
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Valid;
    use crate::registry::fitting;

    fn history(ops: &[(&'static str, Value)]) -> History {
        let events = ops.iter().flat_map(|(f, value)| [Type::Invoke, Type::Ok].map(|kind| (f, value, kind)));
        events.map(|(f, value, kind)| Op::new(*f).value(value.clone()).kind(kind)).collect()
    }

    #[test]
    fn an_initial_value_makes_its_reads_legal() {
        let initial = json!(7);
        for ops in [
            [("read", json!(7)), ("cas", json!([7, 8]))],
            [("read", json!([1, 7])), ("write", json!([1, 8]))],
            [("get", json!(["k", 7])), ("put", json!(["k", 8]))],
            [("read", json!(7)), ("add", json!(1))],
        ] {
            let history = history(&ops);
            let facts = Facts::of(&history);
            let valid = |history: &History| (fitting(&facts).unwrap().build)().check(history).valid;
            assert_eq!(valid(&history), Valid::False, "{ops:?}");
            let told = with_initial(&history, &facts, &[], &initial).unwrap();
            assert_eq!(valid(&told), Valid::True, "{ops:?}");
        }
        let txns = history(&[("txn", json!([["r", 1, 7], ["r", 2, 7], ["w", 2, 7]]))]);
        let told = with_initial(&txns, &Facts::of(&txns), &[], &initial).unwrap();
        assert_eq!(told.get(1).value(), json!([["r", 1, null], ["r", 2, 7], ["w", 2, 7]]));
        let mind = |name: &str| {
            let entry = all().find(|entry| entry.name == name).unwrap();
            mind_initial(&[(entry.build)()], &Facts::of(&history(&[("write", json!(1))])))
        };
        for name in ["linearizable-register", "eventual-consistency", "counter", "stats"] {
            mind(name).unwrap();
        }
        assert!(mind("sequential").unwrap_err().contains("sequential does not"));
        let locks = history(&[("acquire", json!(null))]);
        assert!(with_initial(&locks, &Facts::of(&locks), &[], &initial).is_err());
    }

    #[test]
    fn a_counter_that_is_only_read_is_one_where_its_checker_says_so() {
        // Reads alone were taken for those of a register: a write came before them, and a counter knows none. So nothing was
        // judged, also of a witness, which may be one read.
        let reads = history(&[("read", json!(7)), ("read", json!(7))]);
        let facts = Facts::of(&reads);
        for name in ["counter", "linearizable-counter"] {
            let checkers = [(all().find(|entry| entry.name == name).unwrap().build)()];
            let judge = |initial: Value| {
                checkers[0].check(&with_initial(&reads, &facts, &checkers, &initial).unwrap()).valid
            };
            assert_eq!((judge(json!(7)), judge(json!(6))), (Valid::True, Valid::False), "{name}");
            let wrong = |initial: Value| with_initial(&reads, &facts, &checkers, &initial).unwrap_err();
            assert!(wrong(json!("foo")).contains("an integer"), "{}", wrong(json!(1.5)));
        }
    }
}
