//! The checker that a history gets where nobody names one.

use super::{CheckerEntry, Facts, all};

/// The checker that fits the operations of a history, or what its file says that they are on.
///
/// # Errors
/// If none does: says which operations it has and how to name a checker.
pub fn fitting(facts: &Facts) -> Result<&'static CheckerEntry, String> {
    let known = |name: &str| all().find(|entry| entry.name == name);
    name_of_fitting(facts).and_then(known).ok_or_else(|| {
        let fs: Vec<&str> = facts.fs.iter().map(String::as_str).collect();
        format!(
            "no checker is known to fit the operations {}: name one with -c (see squall list checkers), or a model with \
             --model (see squall list models)",
            fs.join(", ")
        )
    })
}

/// What a look at the next value is called.
const PEEKS: [&str; 5] = ["peek", "front", "top", "first", "head"];

fn name_of_fitting(facts: &Facts) -> Option<&'static str> {
    let has = |f: &str| facts.has(f);
    let any = |fs: &[&str]| fs.iter().any(|f| has(f));
    match facts.object.as_deref() {
        Some("queue") => return Some("linearizable-queue"),
        Some("stack") => return Some("linearizable-stack"),
        // fastlin polls the largest.
        Some("priorityqueue") => return Some("linearizable-max-priority-queue"),
        Some("set") => return Some("linearizable-set"),
        _ => {}
    }
    Some(if facts.logs {
        "kafka"
    } else if any(&["watch", "final-watch", "final_watch"]) {
        "watch"
    } else if has("transfer") || (facts.reads_maps && facts.fs.len() == 1) {
        "bank"
    } else if facts.registers && !facts.lists {
        // The strongest that can be told without times is serializability.
        if facts.real_time { "rw-register" } else { "txn-serializable" }
    } else if facts.transactions() {
        if facts.real_time { "append" } else { "append-strong-session-serializable" }
    } else if any(&["acquire", "release"]) {
        "linearizable-mutex"
    } else if has("drain") {
        "total-queue"
    } else if any(&["enqueue", "dequeue", "enq", "deq"]) {
        "linearizable-queue"
    } else if any(&["push", "pop"]) {
        "linearizable-stack"
    } else if has("poll") {
        "linearizable-priority-queue"
    } else if any(&["contains", "contains_true", "contains_false"]) || (has("add") && has("remove")) {
        "linearizable-set"
    } else if has("insert") && !has("remove") {
        "linearizable-priority-queue"
    } else if !facts.fs.is_empty() && facts.fs.iter().all(|f| PEEKS.contains(&f.as_str())) {
        // Where nothing is inserted and nothing removed, all that can be peeked at are alike.
        "linearizable-queue"
    } else if any(&["get", "put"]) {
        "linearizable-kv"
    } else if has("generate") {
        "unique-ids"
    } else if has("add") && facts.reads_lists {
        "set-full"
    } else if has("add") {
        "linearizable-counter"
    } else if facts.maps && facts.asks_maps && !has("cas") {
        "linearizable-multi-register"
    } else if any(&["read", "write", "cas"]) {
        if facts.keyed { "linearizable-registers" } else { "linearizable-register" }
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::registry::find_model;
    use crate::{History, Op, Type, Valid};

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

    /// What the checker that fits says of these: what is asked and what is told.
    fn judged(ops: &[(&'static str, Value, Value)]) -> (&'static str, Valid) {
        let history = asked_and_told(ops);
        let facts = Facts::of(&history);
        let entry = fitting(&facts).unwrap();
        (entry.name, (entry.build)(&facts).check(&history).valid)
    }

    fn asked_and_told(ops: &[(&'static str, Value, Value)]) -> History {
        let events = ops.iter().flat_map(|(f, asked, told)| {
            [Op::new(*f).value(asked.clone()), Op::new(*f).value(told.clone()).kind(Type::Ok)]
        });
        events.collect()
    }

    /// A register that held JSON objects was judged as a bank: what was written was no total, and a stale read was none.
    #[test]
    fn a_register_of_objects_is_no_bank() {
        let write = |value: Value| ("write", value.clone(), value);
        let read = |value: Value| ("read", Value::Null, value);
        let (one, two) = (json!({"a": 1}), json!({"a": 2}));
        let right = [write(one.clone()), read(one.clone()), write(two.clone()), read(two.clone())];
        assert_eq!(judged(&right), ("linearizable-register", Valid::True));
        let stale = [write(one.clone()), write(two.clone()), read(one.clone())];
        assert_eq!(judged(&stale), ("linearizable-register", Valid::False));
        assert_eq!(judged(&[read(one.clone()), read(two)]), ("bank", Valid::False));
        let transfer = json!({"from": "a", "to": "b", "amount": 1});
        let bank = [("transfer", transfer.clone(), transfer), read(one)];
        assert_eq!(judged(&bank).0, "bank");
    }

    /// The model that is of several registers refused the form in which Knossos writes and reads them, which its checker takes.
    #[test]
    fn several_registers_are_written_and_read_as_maps() {
        let write = |value: Value| ("write", value.clone(), value);
        let history = |read: Value| {
            [write(json!({"x": 1})), write(json!({"y": 2})), ("read", json!({"x": null}), json!({"x": read}))]
        };
        for (read, valid) in [(1, Valid::True), (2, Valid::False)] {
            let ops = history(json!(read));
            let told = asked_and_told(&ops);
            let entry = find_model("multi-register").unwrap().checker(&Facts::of(&told)).unwrap();
            assert_eq!(
                (entry.name, (entry.build)(&Facts::of(&told)).check(&told).valid),
                ("linearizable-multi-register", valid)
            );
            // A read that asks for a map asks several registers.
            assert_eq!(judged(&ops), ("linearizable-multi-register", valid));
        }
    }

    /// A counter of each key was judged as a set: its reads, `[key, value]`, were taken for lists of elements.
    #[test]
    fn counters_with_keys_are_no_sets() {
        let add = |value: Value| ("add", value.clone(), value);
        let read = |value: Value| ("read", Value::Null, value);
        for (value, valid) in [(2, Valid::True), (3, Valid::False)] {
            let ops = [add(json!(["k", 2])), add(json!(["j", 1])), read(json!(["k", value]))];
            assert_eq!(judged(&ops), ("linearizable-counter", valid));
        }
        // Sets of pairs, two of which look like a key and a value.
        let pairs = [add(json!(["k", 2])), add(json!(["j", 3])), read(json!([["k", 2], ["j", 3]]))];
        assert_eq!(judged(&pairs), ("set-full", Valid::True));
        assert_eq!(judged(&[add(json!(1)), add(json!(2)), read(json!([1, 2]))]), ("set-full", Valid::True));
        let sets = |value: Value| [add(json!(["k", 2])), read(json!(["k", value]))];
        assert_eq!(judged(&sets(json!([2]))), ("set-full", Valid::True));
        assert_eq!(judged(&sets(json!([]))), ("set-full", Valid::False));
    }

    /// Keys that are lists were taken for elements of a set of pairs: a set of each key lost what it held and held what nobody
    /// had added.
    #[test]
    fn keys_may_be_lists() {
        let both = |f: &'static str, value: Value| (f, value.clone(), value);
        let read = |value: Value| ("read", Value::Null, value);
        let cases = [
            (vec![json!([["x", 1], 5])], json!([["x", 1], [5]]), ("set-full", Valid::True)),
            (vec![json!([["x", 1], 5])], json!([["x", 1], []]), ("set-full", Valid::False)),
            (
                vec![json!([["x", 1], 5]), json!([["x", 1], 6])],
                json!([["x", 1], [5, 6]]),
                ("set-full", Valid::True),
            ),
            // Nobody read of key a.
            (
                vec![json!([["x", 1], 5]), json!(["a", 6])],
                json!([["x", 1], [5]]),
                ("set-full", Valid::Unknown),
            ),
            (vec![json!([["x", 1], 5])], json!([["y", 1], [6, 7]]), ("set-full", Valid::False)),
            (vec![json!([["x", 1], 5])], json!([["x", 1], 5]), ("linearizable-counter", Valid::True)),
            (vec![json!([["x", 1], 5])], json!([["x", 1], 6]), ("linearizable-counter", Valid::False)),
            (vec![json!([["x", 1], 5])], json!([["y", 1], 0]), ("linearizable-counter", Valid::True)),
            // A read of another key tells as much: of a set with pairs for elements this would be no element.
            (vec![json!([7, 100]), json!([["a", 1], 100])], json!([7, [100]]), ("set-full", Valid::Unknown)),
            (vec![json!([7, 100]), json!([["a", 1], 100])], json!([7, []]), ("set-full", Valid::False)),
            (
                vec![json!(["x", 5]), json!([["a", 1], 5])],
                json!(["x", 5]),
                ("linearizable-counter", Valid::True),
            ),
            (
                vec![json!(["x", 5]), json!([["a", 1], 5])],
                json!(["x", 4]),
                ("linearizable-counter", Valid::False),
            ),
            // Elements may be pairs of a list and something else, too.
            (
                vec![json!([[1, 2], 3]), json!([[4, 5], 6])],
                json!([[[1, 2], 3], [[4, 5], 6]]),
                ("set-full", Valid::True),
            ),
        ];
        for (adds, told, expected) in cases {
            let mut ops: Vec<_> = adds.into_iter().map(|add| both("add", add)).collect();
            ops.push(read(told));
            assert_eq!(judged(&ops), expected, "{ops:?}");
            if expected.0 == "linearizable-counter" {
                let history = asked_and_told(&ops);
                let counter = all().find(|entry| entry.name == "counter").unwrap();
                assert_eq!(
                    (counter.build)(&Facts::of(&history)).check(&history).valid,
                    expected.1,
                    "{ops:?}"
                );
            }
        }
    }

    /// Sets with keys were judged as one set, of keys and lists; counters with keys, by `counter`, not at all.
    #[test]
    fn each_key_is_judged_alone_by_every_checker_that_can() {
        let both = |f: &'static str, value: Value| (f, value.clone(), value);
        let read = |key: &str, value: Value| ("read", Value::Null, json!([key, value]));
        let sets = |x: Value| {
            [both("add", json!(["x", 1])), both("add", json!(["y", 2])), read("y", json!([2])), read("x", x)]
        };
        let counters = |x: Value| {
            [both("add", json!(["x", 1])), both("add", json!(["y", 2])), read("y", json!(2)), read("x", x)]
        };
        let cases = [
            ("set", sets(json!([1])), sets(json!([]))),
            ("set-full", sets(json!([1])), sets(json!([2, 1]))),
            ("counter", counters(json!(1)), counters(json!(3))),
            ("linearizable-counter", counters(json!(1)), counters(json!(3))),
        ];
        let named = |name: &str| all().find(|entry| entry.name == name).unwrap();
        for (name, right, wrong) in cases {
            for (ops, valid) in [(right, Valid::True), (wrong, Valid::False)] {
                let history = asked_and_told(&ops);
                let facts = Facts::of(&history);
                let verdict = (named(name).build)(&facts).check(&history);
                let key = verdict.anomalies.first().and_then(|anomaly| anomaly.key.clone());
                assert_eq!(
                    (verdict.valid, key.is_some()),
                    (valid, valid == Valid::False),
                    "{name}: {verdict:?}"
                );
                let model = find_model(if name.ends_with("counter") { "counter" } else { "set" }).unwrap();
                let entry = model.checker(&facts).unwrap();
                assert_eq!((entry.build)(&facts).check(&history).valid, valid, "{name}");
            }
        }
        // What is no set of each key is none.
        let history = asked_and_told(&counters(json!(1)));
        let verdict = (named("set").build)(&Facts::of(&history)).check(&history);
        assert!(verdict.reason.unwrap().ends_with("a set is read as a list, not [\"x\",1]"));
        let ages = [both("write", json!(["x", 1])), both("write", json!(["y", 2])), read("x", json!(1))];
        let history = asked_and_told(&ages);
        let verdict = (named("staleness").build)(&Facts::of(&history)).check(&history);
        assert_eq!((verdict.valid, &verdict.stats["stale"]), (Valid::True, &json!(0)));
    }

    /// A witness without an add was taken for a read of a key: it was unknown, where it should fail by itself.
    #[test]
    fn reads_of_two_elements_alone_are_judged() {
        for (told, fails) in [
            (json!([5, 5]), true),
            (json!([1.5, true]), true),
            (json!([5, [5]]), true),
            // Of a key to which nothing was added.
            (json!([5, []]), false),
            (json!([5, null]), false),
        ] {
            let history = asked_and_told(&[("read", Value::Null, told)]);
            for name in ["set", "set-full"] {
                let entry = all().find(|entry| entry.name == name).unwrap();
                let verdict = (entry.build)(&Facts::of(&history)).check(&history);
                assert_eq!(verdict.valid == Valid::False, fails, "{name}: {verdict:?}");
            }
        }
    }

    /// A witness may be one peek, and a priority queue may only be filled: for neither was there said to be a checker.
    #[test]
    fn a_peek_alone_and_inserts_alone_are_judged() {
        let peek = |value: Value| ("peek", Value::Null, value);
        let insert = |value: u32| ("insert", json!(value), json!(value));
        assert_eq!(judged(&[peek(json!(1))]), ("linearizable-queue", Valid::False));
        assert_eq!(judged(&[peek(Value::Null)]), ("linearizable-queue", Valid::True));
        assert_eq!(judged(&[insert(1)]), ("linearizable-priority-queue", Valid::True));
        assert_eq!(
            judged(&[insert(2), insert(1), peek(json!(1))]),
            ("linearizable-priority-queue", Valid::True)
        );
        let push = ("push", json!(1), json!(1));
        assert_eq!(judged(&[push, peek(json!(1))]), ("linearizable-stack", Valid::True));
    }
}
