//! An initial value other than null.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::{CheckerEntry, Facts, Object, Order, all};
use crate::checker::check_all;
use crate::registers::Kind;
use crate::{Budget, Checker, History, Op, Process, Type, Verdict};

/// A history as checkers see it for which an object holds null at first.
#[derive(Debug)]
pub struct Begun {
    /// The history.
    pub history: History,
}

impl Begun {
    /// What the checkers say of it. Those that take operations one by one, or count them, judge the user's `own` history.
    pub fn check(
        &self,
        own: &History,
        name: &str,
        checkers: &[Box<dyn Checker>],
        budget: &Budget,
    ) -> Verdict {
        let part = |alone: &[Box<dyn Checker>]| match entry(&*alone[0]) {
            Some(entry) if entry.order == Order::Any => check_all(name, alone, own, budget).parts,
            _ => self.told(check_all(name, alone, &self.history, budget)).parts,
        };
        Verdict::compose(name, checkers.chunks(1).flat_map(part).collect())
    }

    /// A verdict on it as one on the user's own history: with the indices of its events.
    fn told(&self, mut verdict: Verdict) -> Verdict {
        let added = self.history.added();
        let own = |at: usize| at.checked_sub(added);
        for anomaly in &mut verdict.anomalies {
            anomaly.witness = anomaly.witness.iter().filter_map(|&at| own(at)).collect();
            anomaly.edges.retain_mut(|edge| {
                let ends = own(edge.from).zip(own(edge.to));
                (edge.from, edge.to) = ends.unwrap_or_default();
                ends.is_some()
            });
        }
        if let Some(prefix) = verdict.stats.get_mut("valid_prefix_events") {
            *prefix = prefix.as_u64().map_or(0, |events| events.saturating_sub(added as u64)).into();
        }
        verdict.parts = verdict.parts.into_iter().map(|part| self.told(part)).collect();
        verdict
    }
}

/// The history of an object that held `initial` before its first operation, told so that checkers, for which that is null,
/// judge it right: a write before all others, or in transactions a null in place of `initial`, and a value that nobody else
/// has in place of null. Where a counter is only read, the checkers tell what it is.
///
/// # Errors
/// If the operations are those of an object that has no value, or if a transaction read `initial` from a key to which somebody
/// wrote it again, so that nobody knows which of the two it saw.
pub fn with_initial(
    history: &History,
    facts: &Facts,
    checkers: &[Box<dyn Checker>],
    initial: &Value,
) -> Result<Begun, String> {
    let any = |fs: &[&str]| fs.iter().any(|f| facts.has(f));
    let counts =
        || checkers.iter().any(|checker| entry(&**checker).is_some_and(|entry| entry.on == Object::Counter));
    let counter = (any(&["add"]) || (!any(&["write", "cas"]) && counts())) && !facts.reads_lists;
    let writes = |f: &'static str, keyed: bool| Ok(written_first(history, f, keyed, initial));
    if facts.registers && !facts.lists {
        renamed(history, facts.keyed, initial).map(|history| Begun { history })
    } else if any(&["get", "put"]) {
        writes("put", true)
    } else if any(&["write", "cas"]) || (any(&["read"]) && !facts.reads_lists && !counter) {
        writes("write", facts.keyed)
    } else if counter && (initial.is_i64() || initial.is_u64()) {
        writes("add", facts.keyed)
    } else if counter {
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
    let order = |checker: &dyn Checker| entry(checker).map_or(Order::Sessions, |entry| entry.order);
    match checkers.iter().find(|checker| !facts.registers && order(&***checker) == Order::Sessions) {
        Some(checker) => Err(format!(
            "--initial is for models that respect real time, such as linearizable-register, and {} does not: write null \
             where the history has the initial value",
            checker.name()
        )),
        None => Ok(()),
    }
}

fn entry(checker: &dyn Checker) -> Option<&'static CheckerEntry> {
    all().find(|entry| entry.name == checker.name())
}

/// Of each key, where operations have keys.
fn written_first(history: &History, f: &'static str, keyed: bool, initial: &Value) -> Begun {
    let mut values = Vec::new();
    if keyed {
        let (mut seen, pairs) = (HashSet::new(), history.pairs());
        for op in history.iter().filter(|op| op.is_client() && op.kind() == Type::Invoke) {
            let told = pairs.of(op.index()).map(|at| history.get(at)).filter(|op| op.kind() == Type::Ok);
            let key = op.raw().pair().or_else(|| told?.raw().pair()).map(|(key, _)| key);
            // A read that did not return may be of any key.
            let known = key.is_some() || told.is_some() || Kind::of(op.f()) != Some(Kind::Read);
            if known && seen.insert(key) {
                values.push(key.map_or_else(|| initial.clone(), |key| json!([key.to_value(), initial])));
            }
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
    let mut history = like(history, first.chain(history.iter().map(|op| op.to_op())));
    history.set_added(2 * values.len());
    Begun { history }
}

fn renamed(history: &History, keyed: bool, initial: &Value) -> Result<History, String> {
    // Who else wrote it, by key, and values that are taken.
    let (mut again, mut taken) = (HashMap::new(), HashSet::new());
    let pairs = history.pairs();
    let failed = |at: usize| history.get(at).kind() == Type::Fail;
    let fails = |at: usize| failed(at) || pairs.of(at).is_some_and(failed);
    for op in history.iter().filter(|op| op.is_client()) {
        let (counts, index) = (op.kind() == Type::Invoke && !fails(op.index()), op.index());
        for (does, key, value) in accesses(&mut op.to_op(), keyed) {
            taken.extend(value.as_str().map(str::to_owned));
            if does == Does::Write && value == initial && counts {
                again.entry(key).or_insert(index);
            }
        }
    }
    let mut null = "null".to_owned();
    while taken.contains(&null) {
        null.push('\'');
    }
    let rename = |mut op: Op| {
        let (told, index) = (op.kind == Type::Ok || op.f == "cas" && !fails(op.index), op.index);
        let mut own = HashSet::new();
        for (does, key, value) in accesses(&mut op, keyed) {
            match does {
                Does::Write => {
                    own.insert(key);
                }
                // What it wrote itself it reads again.
                Does::Read if told && (value != initial || own.contains(&key)) => {}
                Does::Read if told => {
                    if let Some(writer) = again.get(&key) {
                        let of =
                            if key.is_empty() { "the register".to_owned() } else { format!("key {key}") };
                        return Err(format!(
                            "--initial {initial}: event {index} read {initial} of {of}, which event {writer} wrote to it, so \
                             that nobody knows which it saw: give every write a value of its own, other than the initial one"
                        ));
                    }
                    *value = Value::Null;
                    continue;
                }
                Does::Read => continue,
            }
            if value.is_null() {
                *value = null.clone().into();
            }
        }
        Ok(op)
    };
    let ops = history.iter().map(|op| if op.is_client() { rename(op.to_op()) } else { Ok(op.to_op()) });
    Ok(like(history, ops.collect::<Result<Vec<Op>, String>>()?.into_iter()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Read,
    Write,
}

/// What a transaction, or a single operation on a register, reads and writes, in order: of which key, and which value.
fn accesses(op: &mut Op, keyed: bool) -> Vec<(Does, String, &mut Value)> {
    let Some(kind) = Kind::of(&op.f) else { return mops(&mut op.value).collect() };
    let (key, value) = match (&mut op.value, keyed) {
        // No JSON, and so no key of a transaction.
        (value, false) => (String::new(), value),
        (Value::Array(pair), true) => match pair.as_mut_slice() {
            [key, value] => (key.to_string(), value),
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    match kind {
        Kind::Read => vec![(Does::Read, key, value)],
        Kind::Write => vec![(Does::Write, key, value)],
        Kind::Cas => match value.as_array_mut().map(Vec::as_mut_slice) {
            Some([old, new]) => vec![(Does::Read, key.clone(), old), (Does::Write, key, new)],
            _ => Vec::new(),
        },
        // No checker of transactions takes one.
        Kind::Delete => Vec::new(),
    }
}

/// Those of the micro-operations of a transaction.
fn mops(txn: &mut Value) -> impl Iterator<Item = (Does, String, &mut Value)> {
    let triples = txn.as_array_mut().into_iter().flatten().filter_map(Value::as_array_mut);
    triples.filter_map(|mop| match mop.as_mut_slice() {
        [f, key, value] => match f.as_str()?.trim_start_matches(':') {
            "r" => Some((Does::Read, key.to_string(), value)),
            "w" => Some((Does::Write, key.to_string(), value)),
            _ => None,
        },
        _ => None,
    })
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
    use crate::registry::{find_model, fitting};

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
            let valid = |history: &History| (fitting(&facts).unwrap().build)(&facts).check(history).valid;
            assert_eq!(valid(&history), Valid::False, "{ops:?}");
            let told = with_initial(&history, &facts, &[], &initial).unwrap();
            assert_eq!(valid(&told.history), Valid::True, "{ops:?}");
        }
        let txns = history(&[("txn", json!([["r", 1, 7], ["r", 2, 7], ["w", 2, 7]]))]);
        let told = with_initial(&txns, &Facts::of(&txns), &[], &json!(8)).unwrap();
        assert_eq!(told.history.get(1).value(), json!([["r", 1, 7], ["r", 2, 7], ["w", 2, 7]]));
        let mind = |name: &str| {
            let entry = all().find(|entry| entry.name == name).unwrap();
            let facts = Facts::of(&history(&[("write", json!(1))]));
            mind_initial(&[(entry.build)(&facts)], &facts)
        };
        for name in ["linearizable-register", "eventual-consistency", "counter", "stats"] {
            mind(name).unwrap();
        }
        assert!(mind("sequential").unwrap_err().contains("sequential does not"));
        let locks = history(&[("acquire", json!(null))]);
        assert!(with_initial(&locks, &Facts::of(&locks), &[], &initial).is_err());
    }

    /// A map without keys got no initial value, without a word, and registers with keys that were only read were taken for lists.
    #[test]
    fn maps_without_keys_and_keyed_registers_that_are_only_read_have_an_initial_value() {
        let cases = [
            vec![("get", json!(7)), ("put", json!(3)), ("get", json!(3))],
            vec![("get", json!(["k", 7])), ("put", json!(["j", 3])), ("get", json!(["j", 3]))],
            vec![("read", json!(["x", 7]))],
            vec![("read", json!(["x", 7])), ("read", json!(["y", 7]))],
            vec![("add", json!(["x", 1])), ("read", json!(["x", 8])), ("read", json!(["y", 7]))],
        ];
        for ops in cases {
            let mut history = history(&ops);
            let facts = Facts::of(&history);
            let judge = |history: &History, initial: Value| {
                let told = with_initial(history, &facts, &[], &initial).unwrap();
                (fitting(&facts).unwrap().build)(&facts).check(&told.history).valid
            };
            assert_eq!([7, 8].map(|n| judge(&history, json!(n))), [Valid::True, Valid::False], "{ops:?}");
            // So it is where reads name their keys at their ends alone.
            let bare = |op: Op| match op.kind {
                Type::Invoke if ["read", "get"].contains(&&*op.f) => op.value(Value::Null),
                _ => op,
            };
            history = history.iter().map(|op| bare(op.to_op())).collect();
            assert_eq!([7, 8].map(|n| judge(&history, json!(n))), [Valid::True, Valid::False], "{ops:?}");
        }
        let set = history(&[("add", json!(1)), ("read", json!([1, 2]))]);
        assert!(with_initial(&set, &Facts::of(&set), &[], &json!(2)).is_err());
    }

    #[test]
    fn a_counter_that_is_only_read_is_one_where_its_checker_says_so() {
        // Reads alone were taken for those of a register: a write came before them, and a counter knows none. So nothing was
        // judged, also of a witness, which may be one read.
        let reads = history(&[("read", json!(7)), ("read", json!(7))]);
        let facts = Facts::of(&reads);
        for name in ["counter", "linearizable-counter"] {
            let checkers = [(all().find(|entry| entry.name == name).unwrap().build)(&facts)];
            let judge = |initial: Value| {
                checkers[0].check(&with_initial(&reads, &facts, &checkers, &initial).unwrap().history).valid
            };
            assert_eq!((judge(json!(7)), judge(json!(6))), (Valid::True, Valid::False), "{name}");
            let wrong = |initial: Value| with_initial(&reads, &facts, &checkers, &initial).unwrap_err();
            assert!(wrong(json!("foo")).contains("an integer"), "{}", wrong(json!(1.5)));
        }
    }

    /// They counted the write that was put in front.
    #[test]
    fn events_are_those_of_the_users_own_history() {
        let own =
            history(&[("write", json!(["x", 8])), ("read", json!(["y", 7])), ("read", json!(["x", 7]))]);
        let facts = Facts::of(&own);
        let entry = fitting(&facts).unwrap();
        let begun = with_initial(&own, &facts, &[], &json!(7)).unwrap();
        let verdict = begun.told((entry.build)(&facts).check(&begun.history));
        assert_eq!((verdict.valid, &*verdict.anomalies[0].witness), (Valid::False, &[0, 1, 4, 5][..]));
        assert_eq!(verdict.stats["valid_prefix_events"], json!(5));
        // It shows the same by itself.
        let small = own.witness(&verdict.anomalies[0].witness);
        let begun = with_initial(&small, &Facts::of(&small), &[], &json!(7)).unwrap();
        assert_eq!((entry.build)(&facts).check(&begun.history).valid, Valid::False);
        // So it is in sentences.
        let checker = all().find(|entry| entry.name == "regular-register").unwrap();
        let queue = history(&[("write", json!(8)), ("pop", json!(8))]);
        let begun = with_initial(&queue, &Facts::of(&queue), &[], &json!(7)).unwrap();
        let reason = begun.told((checker.build)(&facts).check(&begun.history)).reason.unwrap();
        assert!(reason.starts_with("event 2: a register has no `pop`"), "{reason}");
    }

    /// What the checkers say of a history with an initial value.
    fn checked(history: &History, initial: &Value, names: &[&str]) -> Verdict {
        let facts = Facts::of(history);
        let build = |name: &&str| (all().find(|entry| entry.name == *name).unwrap().build)(&facts);
        let checkers: Vec<_> = names.iter().map(build).collect();
        let begun = with_initial(history, &facts, &checkers, initial).unwrap();
        begun.check(history, "all", &checkers, &Budget::default())
    }

    /// Sentences were edited by pattern when they were finished: key "event 5" became key "event 3", a value "event 1" became
    /// "event --initial".
    #[test]
    fn keys_and_values_that_look_like_events_stay_as_they_are() {
        let own = history(&[("write", json!(["event 5", "event 1"])), ("read", json!(["event 5", 7]))]);
        let verdict = checked(&own, &json!(7), &["linearizable-registers"]);
        let anomaly = &verdict.parts[0].anomalies[0];
        let sentence = "key \"event 5\" is not linearizable: read by process 0 at 0.000 s returned 7, but \"event 1\" was \
                        acknowledged at 0.000 s";
        assert_eq!(anomaly.sentence, sentence);
        let steps = anomaly.steps.join("\n");
        assert!(steps.starts_with("Everything before event 3 at"), "{steps}");
        assert!(steps.contains("\"event 1\""), "{steps}");
        // What was put in front is told as what it is.
        assert!(steps.contains("7 by --initial."), "{steps}");
        // Sentences that name two events name it, too.
        let twice = history(&[("write", json!(7)), ("write", json!(8)), ("read", json!(7))]);
        let reason = checked(&twice, &json!(7), &["delta-atomicity"]).parts[0].reason.clone().unwrap();
        assert!(reason.starts_with("event 5 read 7, which --initial and event 0 both wrote"), "{reason}");
    }

    /// The write that was put in front counted as one of the user's: two failed writes beside it were "2 failed, 1 ok".
    #[test]
    fn only_what_the_user_recorded_is_counted() {
        let fails = |n: u32| [Op::new("write").value(n), Op::new("write").value(n).kind(Type::Fail)];
        let read = [Op::new("read"), Op::new("read").value(7).kind(Type::Ok)];
        let own: History = fails(1).into_iter().chain(fails(2)).chain(read).collect();
        let names = ["linearizable-register", "stats", "errors"];
        let verdict = checked(&own, &json!(7), &names);
        assert_eq!(verdict.parts.iter().map(|part| &*part.checker).collect::<Vec<_>>(), names);
        let stats = (all().find(|entry| entry.name == "stats").unwrap().build)(&Facts::of(&own)).check(&own);
        assert_eq!((stats.valid, &verdict.parts[1].summary), (Valid::Unknown, &stats.summary));
        assert_eq!((verdict.parts[1].valid, &verdict.parts[1].stats), (Valid::Unknown, &stats.stats));

        let reads = history(&[("read", json!(["x", 7])), ("read", json!(["y", 7]))]);
        let summary = |history: &History, name: &str| {
            let verdict = checked(history, &json!(7), &[name]);
            (verdict.parts[0].summary.clone(), verdict.parts[0].stats.get("ops").cloned())
        };
        let two = Some(json!(2));
        assert_eq!(
            summary(&reads, "linearizable-registers"),
            ("2 ops on 2 keys linearizable".to_owned(), two.clone())
        );
        let (said, ops) = summary(&reads, "k-atomicity");
        assert!(said.ends_with(": 2 operations on 2 keys") && ops == two, "{said}");
        let adds = history(&[("add", json!(1)), ("read", json!(8)), ("add", json!(1)), ("read", json!(9))]);
        assert!(summary(&adds, "counter").0.starts_with("2 reads beside 2 adds"));
    }

    fn judged(txns: &[Value], initial: &Value) -> Result<Valid, String> {
        let ops: Vec<_> = txns.iter().map(|txn| ("txn", txn.clone())).collect();
        let history = history(&ops);
        let facts = Facts::of(&history);
        let told = with_initial(&history, &facts, &[], initial)?;
        Ok((fitting(&facts).unwrap().build)(&facts).check(&told.history).valid)
    }

    /// With an initial value of 7, a read of null was taken for a read of the initial value, too, so that a store which lost a key
    /// was valid.
    #[test]
    fn null_is_not_the_initial_value_of_transactions_where_another_is() {
        let seven = json!(7);
        let cases = [
            (vec![json!([["r", 1, 7], ["w", 1, 8]]), json!([["r", 1, 8], ["r", 2, 7]])], Valid::True),
            (vec![json!([["w", 2, 8]]), json!([["r", 1, null]])], Valid::False),
            (vec![json!([["w", 1, 8]]), json!([["r", 1, 7]])], Valid::False),
            // Null is a value like any other, and so is a text that says so.
            (vec![json!([["w", 1, null]]), json!([["r", 1, null]])], Valid::True),
            (vec![json!([["w", 1, "null"]]), json!([["r", 1, null]])], Valid::False),
        ];
        for (txns, expected) in cases {
            assert_eq!(judged(&txns, &seven), Ok(expected), "{txns:?}");
        }
    }

    /// Where the initial value was written again, all reads of it counted as reads of that write: a first read of it was invalid.
    #[test]
    fn an_initial_value_that_is_written_again_is_refused_where_it_is_read() {
        let read = json!([["r", 1, 7]]);
        let refused = judged(&[read.clone(), json!([["w", 1, 7]])], &json!(7)).unwrap_err();
        assert!(refused.contains("event 1 read 7 of key 1, which event 2 wrote to it"), "{refused}");
        // Of another key, or by the transaction that wrote it, there is no doubt.
        let other = judged(&[read.clone(), json!([["w", 2, 7]])], &json!(7));
        let own = judged(&[read, json!([["w", 2, 7], ["r", 2, 7]])], &json!(7));
        assert_eq!([other, own], [Ok(Valid::True), Ok(Valid::True)]);
    }

    /// Single operations beside transactions kept the initial value, which nobody had written, and a null stayed one that was
    /// at first.
    #[test]
    fn single_operations_beside_transactions_have_the_same_initial_value() {
        let cases = [
            (json!([["w", "x", 1]]), ("read", json!(["y", 0])), Some(true)),
            (json!([["w", "x", 3]]), ("read", json!(["z", null])), Some(false)),
            (json!([["r", "y", 1]]), ("cas", json!(["y", [0, 1]])), Some(true)),
            (json!([["r", "x", 0]]), ("cas", json!(["y", [null, 1]])), Some(false)),
            (json!([["r", "x", 0]]), ("write", json!(["x", 0])), None),
            (json!([["w", "x", 0]]), ("cas", json!(["x", [0, 1]])), None),
            (json!([["w", "x", 1]]), ("read", json!(0)), Some(true)),
            (json!([["r", "x", 0]]), ("cas", json!([0, 1])), Some(true)),
        ];
        for (txn, (f, value), expected) in cases {
            for model in ["ser", "strict"] {
                // At once, so that order does not matter.
                let single = Op::new(f).value(value.clone()).process(Process::Client(1));
                let begin = [Op::new("txn").value(txn.clone()).process(Process::Client(0)), single];
                let history: History =
                    begin.clone().into_iter().chain(begin.map(|op| op.kind(Type::Ok))).collect();
                let facts = Facts::of(&history);
                let entry = find_model(model).unwrap().checker(&facts).unwrap();
                let told = with_initial(&history, &facts, &[], &json!(0));
                let valid = told.ok().map(|told| (entry.build)(&facts).check(&told.history).valid);
                let expected = expected.map(|valid| if valid { Valid::True } else { Valid::False });
                assert_eq!(valid, expected, "{model}: {txn} and {f} {value}");
            }
        }
    }
}
