//! Logs beside a plain definition.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Kafka;
use super::testing::{Choice, Whole, agree};
use crate::{Checker, History, Op, Process, Type, Valid};

/// A message that an operation sends or polls: whether it sends, the key's first letter, the offset, the value.
type Mop = (bool, u8, Option<i64>, i64);

fn mops(op: &Whole) -> Vec<Mop> {
    if !matches!(op.f.as_str(), "send" | "poll" | "txn") {
        return Vec::new();
    }
    let told = op.complete != usize::MAX && op.told.is_array();
    let mut mops = Vec::new();
    for mop in (if told { &op.told } else { &op.asked }).as_array().into_iter().flatten() {
        if mop[0] == "send" {
            let (offset, value) = match mop[2].as_array() {
                Some(pair) if told => (pair[0].as_i64(), &pair[1]),
                _ => (None, &mop[2]),
            };
            // A pair that nobody told of is a value of its own.
            let pair = || 1000 * (1 + value[0].as_i64().unwrap_or(-1)) + value[1].as_i64().unwrap();
            mops.push((true, letter(&mop[1]), offset, value.as_i64().unwrap_or_else(pair)));
        }
        for (key, pairs) in mop[1].as_object().into_iter().flatten() {
            for pair in pairs.as_array().unwrap() {
                mops.push((false, key.as_bytes()[0], pair[0].as_i64(), pair[1].as_i64().unwrap()));
            }
        }
    }
    mops
}

fn letter(key: &Value) -> u8 {
    key.to_string().trim_start_matches('"').as_bytes()[0]
}

struct Naive<'a> {
    ops: Vec<(&'a Whole, Vec<Mop>)>,
    /// What lies where: the key, the offset, the value.
    shown: BTreeSet<(u8, i64, i64)>,
}

fn end(op: &Whole) -> usize {
    if op.complete == usize::MAX { op.invoke } else { op.complete }
}

impl Naive<'_> {
    fn of(ops: &[Whole]) -> Naive<'_> {
        let mut naive = Naive { ops: ops.iter().map(|op| (op, mops(op))).collect(), shown: BTreeSet::new() };
        naive.ops.sort_by_key(|(op, _)| end(op));
        let shown = naive.ops.iter().flat_map(|(op, mops)| {
            let committed = naive.committed(op, mops);
            mops.iter().filter(move |mop| !mop.0 || committed)
        });
        let shown = shown.filter_map(|mop| Some((mop.1, mop.2?, mop.3)));
        naive.shown = shown.collect();
        naive
    }

    fn polled(&self, key: u8, value: i64) -> bool {
        let polls = |mops: &[Mop]| mops.iter().any(|mop| !mop.0 && mop.1 == key && mop.3 == value);
        self.ops.iter().any(|(op, mops)| op.ok() && polls(mops))
    }

    fn committed(&self, op: &Whole, mops: &[Mop]) -> bool {
        op.ok() || op.kind == Type::Info && mops.iter().any(|mop| mop.0 && self.polled(mop.1, mop.3))
    }

    fn sends(&self, key: u8, value: i64) -> Vec<&Whole> {
        let of = |mop: &&Mop| mop.0 && mop.1 == key && mop.3 == value;
        self.ops.iter().flat_map(|(op, mops)| mops.iter().filter(of).map(|_| *op)).collect()
    }

    fn twice(&self, key: u8, value: i64) -> bool {
        self.sends(key, value).iter().filter(|op| op.kind != Type::Fail).count() > 1
    }

    fn offsets(&self, key: u8, value: i64) -> Vec<i64> {
        let of = |shown: &&(u8, i64, i64)| shown.0 == key && shown.2 == value;
        self.shown.iter().filter(of).map(|shown| shown.1).collect()
    }

    /// Where the message of a micro-operation lies.
    fn place(&self, op: &Whole, mop: &Mop) -> Option<i64> {
        let offsets = self.offsets(mop.1, mop.3);
        let by_value = if offsets.len() == 1 && !self.twice(mop.1, mop.3) { Some(offsets[0]) } else { None };
        mop.2.filter(|_| !mop.0 || op.ok()).or(by_value)
    }

    fn of_messages(&self, kinds: &mut BTreeSet<&'static str>) {
        for (key, offset, value) in &self.shown {
            if self.shown.iter().any(|(k, o, v)| (k, o) == (key, offset) && v != value) {
                kinds.insert("inconsistent-offsets");
            }
        }
        for (op, mops) in &self.ops {
            for &(sends, key, _, value) in mops {
                let offsets = self.offsets(key, value);
                if offsets.len() > 1 && !self.twice(key, value) {
                    kinds.insert("duplicate");
                }
                let own = || mops.iter().any(|mop| mop.0 && mop.1 == key && mop.3 == value);
                if !sends && !self.twice(key, value) && own() {
                    kinds.insert("precommitted-read");
                }
                let beyond = |mop: &Mop| {
                    let least = self.offsets(mop.1, mop.3).first().copied();
                    !mop.0 && mop.1 == key && least >= offsets.last().copied()
                };
                let passed = || self.ops.iter().any(|(op, mops)| op.ok() && mops.iter().any(beyond));
                let unseen = !self.polled(key, value) && !offsets.is_empty();
                if sends && self.committed(op, mops) && unseen && passed() {
                    kinds.insert("lost-write");
                }
                let first = |other: &Whole| other.invoke < self.first_poll(key, value);
                if !sends && op.ok() {
                    let (failed, sent): (Vec<&Whole>, Vec<&Whole>) =
                        self.sends(key, value).into_iter().partition(|op| op.kind == Type::Fail);
                    if !sent.into_iter().any(first) {
                        kinds.insert(if failed.into_iter().any(first) { "G1a" } else { "phantom-read" });
                    }
                }
            }
        }
    }

    fn first_poll(&self, key: u8, value: i64) -> usize {
        let polls = |mops: &[Mop]| mops.iter().any(|mop| !mop.0 && mop.1 == key && mop.3 == value);
        let polls = self.ops.iter().filter(|(op, mops)| op.ok() && polls(mops));
        polls.map(|(op, _)| op.complete).min().unwrap_or(usize::MAX)
    }

    /// The order of two messages of a key: none if it is right or not known.
    fn order(&self, a: (&Whole, &Mop), b: (&Whole, &Mop)) -> Option<&'static str> {
        let (from, to) = (self.place(a.0, a.1)?, self.place(b.0, b.1)?);
        let between = |shown: &&(u8, i64, i64)| shown.0 == a.1.1 && from < shown.1 && shown.1 < to;
        if to <= from {
            return Some("nonmonotonic");
        }
        self.shown.iter().any(|shown| between(&shown)).then_some("skip")
    }

    fn of_order(&self, kinds: &mut BTreeSet<&'static str>) {
        for (at, (op, mops)) in self.ops.iter().enumerate() {
            for (nth, mop) in mops.iter().enumerate() {
                let alike = |other: &&Mop| (other.0, other.1) == (mop.0, mop.1);
                let before = mops[..nth].iter().rev().find(alike);
                let kind = match before {
                    Some(before) => {
                        let order = self.order((op, before), (op, mop));
                        order.map(|order| (mop.0, true, order))
                    }
                    None => {
                        let order = self.before(at, mop).and_then(|a| self.order(a, (op, mop)));
                        order.map(|order| (mop.0, false, order))
                    }
                };
                let known = match kind {
                    Some((false, true, "nonmonotonic")) => "int-nonmonotonic-poll",
                    Some((false, true, "skip")) => "int-poll-skip",
                    Some((false, false, "nonmonotonic")) => "nonmonotonic-poll",
                    Some((false, false, "skip")) => "poll-skip",
                    Some((true, true, "nonmonotonic")) => "int-nonmonotonic-send",
                    Some((true, false, "nonmonotonic")) => "nonmonotonic-send",
                    _ => continue,
                };
                if mop.0 || !self.subscribed(at) {
                    kinds.insert(known);
                }
            }
        }
    }

    /// The assignments of the process of an operation that are done before it.
    fn assignments(&self, at: usize) -> Vec<(usize, &Whole)> {
        let process = self.ops[at].0.process;
        let assigns = |op: &Whole| op.f == "assign" || op.f == "subscribe";
        let done = |op: &Whole| op.complete != usize::MAX && op.kind != Type::Fail;
        let before = self.ops[..at].iter().map(|(op, _)| *op).enumerate();
        before.filter(|(_, op)| op.process == process && assigns(op) && done(op)).collect()
    }

    fn subscribed(&self, at: usize) -> bool {
        self.assignments(at).last().is_some_and(|(_, op)| op.f == "subscribe")
    }

    /// The last message of the same kind and key that the process sent or polled in an earlier operation.
    fn before(&self, at: usize, mop: &Mop) -> Option<(&Whole, &Mop)> {
        let (op, _) = &self.ops[at];
        let alike = |other: &&Mop| (other.0, other.1) == (mop.0, mop.1);
        for (n, (earlier, mops)) in self.ops[..at].iter().enumerate().rev() {
            if !mop.0 {
                let assigned = |(nth, _): &(usize, &Whole)| *nth == n;
                if let Some((_, assign)) = self.assignments(at).into_iter().find(assigned) {
                    let list = if assign.told.is_array() { &assign.told } else { &assign.asked };
                    let keeps = list.as_array().unwrap().iter().any(|key| letter(key) == mop.1);
                    if !keeps || (assign.f == "assign" && self.subscribed(n)) {
                        return None;
                    }
                }
            }
            let polls = earlier.asked.as_array().into_iter().flatten().any(|mop| mop[0] == "poll");
            let lost = earlier.kind == Type::Info || !mop.0 && earlier.kind == Type::Fail && polls;
            if earlier.process == op.process && lost {
                return None;
            }
            let counts = earlier.ok();
            if earlier.process == op.process
                && counts
                && !(mop.0 && op.kind == Type::Fail)
                && let Some(last) = mops.iter().rfind(alike)
            {
                return Some((*earlier, last));
            }
        }
        None
    }
}

fn naive(ops: &[Whole]) -> BTreeSet<&'static str> {
    let naive = Naive::of(ops);
    let mut kinds = BTreeSet::new();
    naive.of_messages(&mut kinds);
    naive.of_order(&mut kinds);
    let all = || naive.ops.iter().flat_map(|(op, mops)| mops.iter().map(move |mop| (op, mop)));
    let twice = || all().any(|(_, mop)| sent_twice(&naive, mop));
    if kinds.is_empty() && (!all().any(|(op, mop)| op.ok() && !mop.0) || twice()) {
        kinds.insert("unknown");
    }
    kinds
}

fn sent_twice(naive: &Naive<'_>, mop: &Mop) -> bool {
    mop.0 && naive.twice(mop.1, mop.3)
}

fn poll(pairs: Value) -> Choice {
    ("poll", json!([["poll"]]), json!([["poll", { "0": pairs }]]))
}

fn send(offset: Value, value: i64) -> Choice {
    ("send", json!([["send", 0, value]]), json!([["send", 0, [offset, value]]]))
}

#[test]
fn agrees_with_the_plain_definition() {
    let mut choices = vec![send(json!(0), 10), send(json!(1), 11), send(json!(2), 12), send(json!(null), 11)];
    let both = |f: &'static str, value: Value| (f, value.clone(), value);
    choices.push(both("send", json!([["send", 0, [1, 11]]])));
    choices.push(both("txn", json!([["send", 0, [1, 11]], ["send", 0, [0, 10]]])));
    choices.push(both("txn", json!([["send", 0, [0, 10]], ["send", 0, [2, 12]]])));
    choices.push(both("txn", json!([["send", 0, [0, 10]], ["poll", {"0": [[0, 10]]}]])));
    choices.push(both("txn", json!([["poll", {"0": [[0, 10]]}], ["poll", {"0": [[1, 11]]}]])));
    for pairs in [
        json!([[0, 10]]),
        json!([[1, 11]]),
        json!([[2, 12]]),
        json!([[0, 10], [1, 11]]),
        json!([[1, 11], [0, 10]]),
        json!([[0, 10], [2, 12]]),
        json!([[0, 11]]),
        json!([[1, 10]]),
        json!([[null, 11]]),
        json!([]),
    ] {
        choices.push(poll(pairs));
    }
    choices.extend([both("assign", json!([0])), both("assign", json!([])), both("subscribe", json!([0]))]);
    choices.push(both("crash", json!(null)));
    agree(&Kafka::new(), naive, &choices, [1, 50_000, 6]);
}

/// Fewer operations, of which more fit into a history; of two keys.
#[test]
fn agrees_with_the_plain_definition_on_longer_histories() {
    let choices = [
        send(json!(0), 10),
        send(json!(5), 11),
        poll(json!([[0, 10]])),
        poll(json!([[5, 11]])),
        ("txn", json!([]), json!([["poll", {"0": [[5, 11]], "x": [[7, 1]]}], ["send", "x", [7, 1]]])),
    ];
    agree(&Kafka::new(), naive, &choices, [2, 50_000, 8]);
}

fn history(ops: &[(u32, &'static str, Value, Value)]) -> History {
    let event = |(process, f, asked, told): &(u32, &'static str, Value, Value)| {
        let op = Op::new(*f).process(Process::Client(*process));
        [op.clone().value(asked.clone()), op.value(told.clone()).kind(Type::Ok)]
    };
    ops.iter().flat_map(event).collect()
}

#[test]
fn a_subscriber_may_be_moved_and_another_may_not() {
    let (x, y) = (send(json!(0), 10), send(json!(1), 11));
    let polls = [poll(json!([[0, 10], [1, 11]])), poll(json!([[0, 10]]))];
    let with = |f: &'static str| {
        let mut ops = vec![(0, x.0, x.1.clone(), x.2.clone()), (0, y.0, y.1.clone(), y.2.clone())];
        ops.push((1, f, json!([0]), json!([0])));
        ops.extend(polls.iter().map(|poll| (1, poll.0, poll.1.clone(), poll.2.clone())));
        Kafka::new().check(&history(&ops))
    };
    let (assigned, subscribed) = (with("assign"), with("subscribe"));
    assert_eq!(assigned.anomalies[0].kind, "nonmonotonic-poll");
    assert_eq!(
        assigned.anomalies[0].sentence,
        "key 0: poll by process 1 at 0.000 s polled 11 at offset 1 last, then poll by process 1 at 0.000 s 10 at offset 0"
    );
    assert_eq!((subscribed.valid, &subscribed.stats["subscribed_polls"]), (Valid::True, &json!(1)));
}

/// What was polled of unknown outcome, or by an operation that failed, was skipped: the next poll of the process went on behind
/// it, and a process that goes on under its name was told to have lost messages.
#[test]
fn a_poll_that_did_not_succeed_may_have_got_what_the_next_one_lacks() {
    let sends = (0..4).map(|at| send(json!(at), 10 + at));
    let start = sends.map(|(f, asked, told)| (0, f, asked, told)).collect::<Vec<_>>();
    let verdict = |between: &[(&'static str, Value, Type)], next: Value| {
        let polls = |pairs: Value| {
            let (f, asked, told) = poll(pairs);
            history(&[(1, f, asked, told)]).iter().map(|op| op.to_op()).collect::<Vec<_>>()
        };
        let mut ops: Vec<Op> = history(&start).iter().map(|op| op.to_op()).collect();
        ops.extend(polls(json!([[0, 10], [1, 11]])));
        for (f, value, kind) in between {
            let op = Op::new(*f).process(Process::Client(1)).value(value.clone());
            ops.extend([op.clone(), op.kind(*kind)]);
        }
        ops.extend(polls(next));
        Kafka::new().check(&ops.into_iter().collect::<History>())
    };
    let last = || json!([[3, 13]]);
    let kinds = |verdict: crate::Verdict| -> Vec<String> {
        verdict
            .anomalies
            .into_iter()
            .map(|anomaly| anomaly.kind)
            .filter(|kind| kind != "lost-write")
            .collect()
    };
    let asked = json!([["poll"]]);
    assert_eq!(kinds(verdict(&[], last())), ["poll-skip"]);
    for kind in [Type::Info, Type::Fail] {
        assert_eq!(kinds(verdict(&[("poll", asked.clone(), kind)], last())), [""; 0]);
        assert_eq!(kinds(verdict(&[("poll", asked.clone(), kind)], json!([[0, 10]]))), [""; 0]);
    }
    let sent = json!([["send", 0, 99]]);
    assert_eq!(kinds(verdict(&[("send", sent.clone(), Type::Fail)], last())), ["poll-skip"]);
    assert_eq!(kinds(verdict(&[("send", sent, Type::Info)], last())), [""; 0], "a new client");
}

/// The verdict on a message that is sent to each of these keys, and a poll that has them under these names.
fn of_keys(keys: &[Value], names: &[&str]) -> crate::Verdict {
    let mut ops: Vec<(u32, &'static str, Value, Value)> = Vec::new();
    for (at, key) in (0..).zip(keys) {
        ops.push((0, "send", json!([["send", key, at]]), json!([["send", key, [0, at]]])));
    }
    let polled: serde_json::Map<String, Value> =
        names.iter().zip(0..).map(|(name, at)| ((*name).to_owned(), json!([[0, at]]))).collect();
    ops.push((1, "poll", json!([["poll"]]), json!([["poll", polled]])));
    Kafka::new().check(&history(&ops))
}

#[test]
fn keys_that_are_no_strings_are_found_by_their_names() {
    // A send to null or to a list was never that of the key `null` or `[1,2]` which a poll had: all was a phantom read.
    let keys = [json!(7), json!("x"), json!(null), json!([1, "b"]), json!(true), json!(1.5), json!("07")];
    let names = ["7", "x", "null", "[1,\"b\"]", "true", "1.5", "07"];
    let verdict = of_keys(&keys, &names);
    assert_eq!((verdict.valid, &verdict.stats["polled"]), (Valid::True, &json!(7)), "{verdict:?}");
    assert_eq!(of_keys(&[json!(null)], &["nil"]).valid, Valid::True, "as EDN's null is read");
    assert_eq!(of_keys(&[json!("nil")], &["nil"]).valid, Valid::True);
    let other = of_keys(&[json!([1, 2])], &["(1, 2)"]);
    assert!(other.reason.as_deref().unwrap().contains("a key of the name (1, 2)"), "{other:?}");
    assert_eq!(of_keys(&[json!(1)], &["(1, 2)"]).anomalies[0].kind, "phantom-read", "integers have one name");
}

#[test]
fn keys_of_one_name_are_not_judged() {
    // `1` and `"1"` were one log: two messages at its offset 0.
    for keys in [[json!(1), json!("1")], [json!(null), json!("null")], [json!("nil"), json!(null)]] {
        let verdict = of_keys(&keys, &["1"]);
        assert_eq!(verdict.valid, Valid::Unknown, "{verdict:?}");
        assert!(verdict.reason.unwrap().contains("both sent to"), "{keys:?}");
    }
    let verdict = of_keys(&[json!(1), json!("1"), json!(3)], &["1", "1", "3", "4"]);
    assert_eq!(verdict.anomalies.len(), 1, "others are: {verdict:?}");
    assert_eq!(verdict.anomalies[0].key, Some(json!(4)));
}

#[test]
fn what_is_no_operation_on_logs_is_unknown_and_the_shape_is_told() {
    for (value, says) in [
        (json!(1), "list of"),
        (json!([["r", 1, null]]), "list of"),
        (json!([["send", 1]]), "[\"send\", key, [offset, message]] once"),
        (json!([["poll", {"0": [1]}]]), "{key: [[offset, message], …], …}"),
        (json!([["poll", {"0": [["a", 1]]}]]), "an offset is an integer"),
    ] {
        let verdict = Kafka::new().check(&history(&[(0, "txn", value.clone(), value)]));
        assert_eq!(verdict.valid, Valid::Unknown);
        let reason = verdict.reason.unwrap();
        assert!(reason.starts_with("event ") && reason.contains(says), "{reason}");
    }
}
