//! Whether the operations of a register history carry a key.

use crate::History;
use crate::Type;
use crate::history::{OpRef, Raw};

/// The kinds of operations that a register has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Delete,
    Cas,
}

impl Kind {
    /// The kind of this function.
    pub(crate) fn of(f: &str) -> Option<Kind> {
        match f {
            "read" | "get" => Some(Kind::Read),
            "write" | "put" => Some(Kind::Write),
            "cas" => Some(Kind::Cas),
            "delete" => Some(Kind::Delete),
            _ => None,
        }
    }

    /// Whether an event of this type tells on what the operation was: what was read is known at the end, all else from
    /// the beginning.
    #[inline]
    pub(crate) fn told_by(self, event: Type) -> bool {
        event == if self == Kind::Read { Type::Ok } else { Type::Invoke }
    }
}

/// Whether values are `[key, value]`, and of a cas `[key, [old, new]]`: in all operations or in none.
///
/// The first event that says so counts for all, so that a register may hold pairs only where nothing looks like a key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keying {
    /// The first event with a key, and the first without.
    with: Option<usize>,
    without: Option<usize>,
}

impl Keying {
    /// That of a whole history.
    pub(crate) fn of(history: &History) -> Keying {
        let mut keying = Keying::default();
        for event in history.iter().filter(|event| event.is_client()) {
            if let Some(kind) = Kind::of(event.f()).filter(|kind| kind.told_by(event.kind())) {
                keying.note(event, kind);
            }
        }
        keying
    }

    /// Notes an event that tells, and splits its value if that is a key and something else.
    #[inline]
    pub(crate) fn note<'a>(&mut self, event: OpRef<'a>, kind: Kind) -> Option<(Raw<'a>, Raw<'a>)> {
        let pair = event.raw().pair().filter(|(_, second)| kind != Kind::Cas || second.pair().is_some());
        let first = if pair.is_some() { &mut self.with } else { &mut self.without };
        first.get_or_insert(event.index());
        pair
    }

    /// Whether there are keys; none where nothing tells.
    pub(crate) fn keyed(self) -> bool {
        self.with.is_some() && self.without.is_none()
    }

    /// What to say where some values carry a key and some do not.
    #[inline]
    pub(crate) fn clash(self, history: &History) -> Option<String> {
        let (with, without) = (self.with?, self.without?);
        Some(format!(
            "{} carries [key, value] and {} does not: give every read, write and cas a key, or none",
            history.event_name(with),
            history.event_name(without)
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Register;
    use crate::registry::{Facts, all};
    use crate::testing::Random;
    use crate::txn::{Shape, Txns};
    use crate::{Budget, Checker, Linearizable, Op, Process, Valid, Verdict};

    /// A function, what is asked and what is told.
    type Case = (&'static str, Value, Value);

    /// There were three notions of a keyed history, which disagreed: one looked at reads and writes alone, so that a
    /// history of nothing but cas had keys; one took a null in the invocation of a read for a value without a key.
    #[test]
    fn all_readers_of_a_history_agree_on_whether_it_has_keys() {
        let cases: [(&[Case], Option<bool>); 7] = [
            (&[("cas", json!([1, 2]), json!([1, 2]))], Some(false)),
            (&[("cas", json!([0, [1, 2]]), json!([0, [1, 2]]))], Some(true)),
            (&[("read", json!(null), json!([0, 2]))], Some(true)),
            (&[("read", json!([0, null]), json!([0, null]))], Some(true)),
            (&[("read", json!(null), json!(null))], Some(false)),
            (&[("write", json!([0, 1]), json!(null)), ("read", json!(null), json!([0, 1]))], Some(true)),
            (&[("write", json!([0, 1]), json!([0, 1])), ("cas", json!([1, 2]), json!([1, 2]))], None),
        ];
        for (ops, expected) in cases {
            let events = ops.iter().flat_map(|(f, asked, told)| {
                [Op::new(*f).value(asked.clone()), Op::new(*f).value(told.clone()).kind(Type::Ok)]
            });
            let (history, budget): (History, Budget) = (events.collect(), Budget::default());
            assert_eq!(Facts::of(&history).keyed, expected == Some(true), "{ops:?}");
            let registers = super::super::parse::Registers::parse(&history, &budget).map(|r| r.keyed);
            assert_eq!(registers.ok(), expected, "{ops:?}");
            let keyed = |txns: Txns| txns.keys.value(0) == json!(0);
            let txns = Txns::parse(&history, Shape::Registers, &budget).map(keyed);
            assert_eq!(txns.ok(), expected, "{ops:?}");
        }
    }

    /// A read that was invoked with null and returned `["x", 1]` was one of an object of its own, where nobody had written:
    /// a phantom read, for linearizability alone.
    #[test]
    fn a_read_may_name_its_key_at_its_end() {
        let case = |f: &'static str, told: Value| {
            let asked = if Kind::of(f) == Some(Kind::Read) { Value::Null } else { told.clone() };
            [Op::new(f).value(asked), Op::new(f).value(told).kind(Type::Ok)]
        };
        let judge = |checker: &str, ops: &[[Op; 2]]| {
            let history: History = ops.iter().flatten().cloned().collect();
            let entry = all().find(|entry| entry.name == checker).unwrap();
            let verdict = (entry.build)(&Facts::of(&history)).check(&history);
            (verdict.valid, verdict.stats["keys"].clone())
        };
        let writes = [case("write", json!(["x", 1])), case("write", json!(["y", 2]))];
        for (value, valid) in [(json!(["x", 1]), Valid::True), (json!(["x", 2]), Valid::False)] {
            let mut ops = writes.to_vec();
            // That of a read which did not return is not known.
            ops.push([Op::new("read"), Op::new("read").kind(Type::Fail)]);
            ops.push(case("read", value.clone()));
            assert_eq!(judge("linearizable-registers", &ops), (valid, json!(2)), "{value}");
            // So it is where values are written again, and where the object is a map.
            ops.insert(1, case("write", json!(["x", 1])));
            assert_eq!(judge("linearizable-registers", &ops), (valid, json!(2)), "{value}");
            let map = [case("put", json!(["x", 1])), case("append", json!(["y", "a"])), case("get", value)];
            assert_eq!(judge("linearizable-kv", &map), (valid, json!(2)));
        }
        let bare = [case("put", json!(1)), case("get", json!(1))];
        assert_eq!(judge("linearizable-kv", &bare), (Valid::True, json!(1)));
    }

    #[test]
    fn where_a_read_names_its_key_changes_no_verdict() {
        const ROUNDS: u64 = 5_000;
        let mut rng = Random(11);
        let mut valid = 0;
        for _ in 0..ROUNDS {
            let (mut early, mut late) = (Vec::new(), Vec::new());
            let mut open: Vec<(u32, &'static str, Value)> = Vec::new();
            for process in 0..6 {
                while !open.is_empty() && rng.below(2) == 0 {
                    let (process, f, value) = open.swap_remove(rng.below(open.len()));
                    let kind = [Type::Ok, Type::Ok, Type::Ok, Type::Info, Type::Fail][rng.below(5)];
                    let op = Op::new(f).process(Process::Client(process)).value(value).kind(kind);
                    early.push(op.clone());
                    late.push(op);
                }
                let (key, value) = (rng.below(2), 1 + rng.below(3));
                let (f, asked, told) = match rng.below(5) {
                    0 | 1 => ("write", json!([key, value]), json!([key, value])),
                    2 => ("cas", json!([key, [value, value + 1]]), json!([key, [value, value + 1]])),
                    _ => ("read", json!([key, null]), json!([key, value])),
                };
                let op = Op::new(f).process(Process::Client(process)).value(asked);
                early.push(op.clone());
                late.push(if f == "read" { op.value(Value::Null) } else { op });
                open.push((process, f, told));
            }
            let judge = |ops: Vec<Op>| {
                let history: History = ops.into_iter().collect();
                Linearizable::new("registers", Register).independent().check(&history)
            };
            let (early, late) = (judge(early), judge(late));
            assert_eq!((early.valid, &early.stats["ops"]), (late.valid, &late.stats["ops"]));
            // Keys come in the order in which they are first named.
            let kinds = |verdict: &Verdict| {
                let mut kinds: Vec<_> =
                    verdict.anomalies.iter().map(|anomaly| anomaly.kind.clone()).collect();
                kinds.sort();
                kinds
            };
            assert_eq!(kinds(&early), kinds(&late));
            valid += usize::from(early.valid == Valid::True);
        }
        println!("{ROUNDS} histories, of which {valid} are valid");
        assert!(valid > 500 && valid < 4_500);
    }
}
