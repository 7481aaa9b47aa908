//! The oracle of this family: a checker beside a plain definition, on all tiny histories and many random ones.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::history::{OpRef, Process};
use crate::testing::Random;
use crate::{Checker, History, Op, Type, Valid};

/// An operation, whole.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) f: String,
    pub(super) asked: Value,
    pub(super) told: Value,
    pub(super) kind: Type,
    pub(super) process: Process,
    /// The position of its invocation.
    pub(super) invoke: usize,
    /// The position of its completion, or `usize::MAX`.
    pub(super) complete: usize,
}

impl Whole {
    pub(super) fn ok(&self) -> bool {
        self.kind == Type::Ok
    }

    /// Whether it certainly ended before `other` began.
    pub(super) fn before(&self, other: &Whole) -> bool {
        self.kind != Type::Info && self.complete < other.invoke
    }
}

pub(super) fn wholes(history: &History) -> Vec<Whole> {
    let pairs = history.pairs();
    let invoked = |event: &OpRef<'_>| event.kind() == Type::Invoke;
    let whole = |event: OpRef<'_>| {
        let complete = pairs.of(event.index()).map(|at| history.get(at));
        Whole {
            f: event.f().to_owned(),
            asked: event.value(),
            told: complete.map_or(Value::Null, |op| op.value()),
            kind: complete.map_or(Type::Info, |op| op.kind()),
            process: event.process(),
            invoke: event.index(),
            complete: complete.map_or(usize::MAX, |op| op.index()),
        }
    };
    history.iter().filter(invoked).map(whole).collect()
}

/// What an operation may be: the function, the argument, and what it returns if it is acknowledged.
pub(super) type Choice = (&'static str, Value, Value);

/// What a plain definition says of a history: the kinds of anomalies, or `"unknown"` alone.
pub(super) type Naive = fn(&[Whole]) -> BTreeSet<&'static str>;

/// Compares on histories of up to `tiny` operations out of `choices`, all of them, and on `cases` random ones of up to
/// `ops`. Also cuts every witness out of its history: it must show the same anomaly, and nothing may be left out of it.
pub(super) fn agree(checker: &dyn Checker, naive: Naive, choices: &[Choice], [tiny, cases, ops]: [usize; 3]) {
    let mut tally = Tally::default();
    for n in 0..=tiny {
        every(n, choices, &mut |history| tally.compare(checker, naive, history));
    }
    let exhaustive = tally.cases;
    let mut random = Random(7);
    for _ in 0..cases {
        let n = 1 + random.below(ops);
        tally.compare(checker, naive, &scattered(&mut random, n, choices));
    }
    let Tally { cases, invalid, unknown, witnesses } = tally;
    println!(
        "{}: {cases} histories ({exhaustive} are all of up to {tiny} operations), {invalid} invalid, {unknown} unknown, \
         {witnesses} witnesses",
        checker.name()
    );
    assert!(invalid * 50 >= cases && (cases - invalid) * 50 >= cases, "too few of one kind");
}

#[derive(Default)]
struct Tally {
    cases: usize,
    invalid: usize,
    unknown: usize,
    witnesses: usize,
}

impl Tally {
    fn compare(&mut self, checker: &dyn Checker, naive: Naive, history: &History) {
        self.cases += 1;
        let expected = naive(&wholes(history));
        let verdict = checker.check(history);
        let found: BTreeSet<&str> = match verdict.valid {
            Valid::Unknown => BTreeSet::from(["unknown"]),
            _ => verdict.anomalies.iter().map(|anomaly| anomaly.kind.as_str()).collect(),
        };
        assert_eq!(found, expected, "{verdict:#?}\n{}", text(history));
        assert_eq!(verdict.valid == Valid::False, !verdict.anomalies.is_empty());
        self.unknown += usize::from(verdict.valid == Valid::Unknown);
        self.invalid += usize::from(verdict.valid == Valid::False);
        for anomaly in &verdict.anomalies {
            self.witnesses += 1;
            minimal(checker, history, &anomaly.kind, &anomaly.witness);
        }
    }
}

/// The witness shows the anomaly by itself, and without any of its operations it does not.
pub(super) fn minimal(checker: &dyn Checker, history: &History, kind: &str, witness: &[usize]) {
    let pairs = history.pairs();
    let shows = |events: &[usize]| {
        let cut: History = events.iter().map(|&at| history.get(at).to_op()).collect();
        // Without the later read that has it, what was stale is lost.
        let same = |other: &str| other == kind || (kind, other) == ("stale-read", "lost-write");
        checker.check(&cut).anomalies.iter().any(|anomaly| same(&anomaly.kind))
    };
    assert!(shows(witness), "{kind}: the witness {witness:?} does not show it\n{}", text(history));
    for &at in witness.iter().filter(|&&at| history.get(at).kind() == Type::Invoke) {
        let without: Vec<usize> =
            witness.iter().copied().filter(|&e| e != at && Some(e) != pairs.of(at)).collect();
        assert!(!shows(&without), "{kind}: {witness:?} without {at} shows it too\n{}", text(history));
    }
}

pub(super) fn text(history: &History) -> String {
    history.iter().map(|op| format!("{:>4} {}\n", op.index(), op.to_op())).collect()
}

fn event(at: usize, process: usize, kind: Type, f: &'static str, value: &Value) -> Op {
    let op = Op::new(f).process(Process::Client(process as u32)).kind(kind).value(value.clone());
    op.at(at as u64 * 1_000_000_000)
}

/// A random history: every operation one of `choices`, with a random end.
pub(super) fn scattered(random: &mut Random, ops: usize, choices: &[Choice]) -> History {
    let clients = 1 + random.below(3);
    let mut open: Vec<Option<&Choice>> = vec![None; clients];
    let mut names: Vec<usize> = (0..clients).collect();
    let (mut history, mut begun) = (History::new(), 0);
    while begun < ops || open.iter().any(Option::is_some) {
        let client = random.below(clients);
        let (at, process) = (history.len(), names[client]);
        match open[client].take() {
            None if begun < ops => {
                let choice = &choices[random.below(choices.len())];
                begun += 1;
                open[client] = Some(choice);
                history.push(&event(at, process, Type::Invoke, choice.0, &choice.1));
            }
            None => {}
            Some((f, asked, told)) => {
                let end = random.below(10);
                if end > 2 {
                    history.push(&event(at, process, Type::Ok, f, told));
                    continue;
                }
                if end == 2 {
                    history.push(&event(at, process, Type::Fail, f, asked));
                    continue;
                }
                if end == 1 {
                    history.push(&event(at, process, Type::Info, f, asked));
                }
                names[client] += clients;
            }
        }
    }
    history
}

/// Calls `visit` with every history of `ops` operations of `choices` that all end with ok, fail or info.
fn every(ops: usize, choices: &[Choice], visit: &mut dyn FnMut(&History)) {
    const ENDS: [Type; 3] = [Type::Ok, Type::Fail, Type::Info];
    let kinds = choices.len() * ENDS.len();
    for shape in shapes(ops) {
        for mut code in 0..kinds.pow(ops as u32) {
            let picked: Vec<(&Choice, Type)> = (0..ops)
                .map(|_| {
                    let pick = code % kinds;
                    code /= kinds;
                    (&choices[pick / ENDS.len()], ENDS[pick % ENDS.len()])
                })
                .collect();
            visit(&arrange(&shape, &picked));
        }
    }
}

/// Every way in which the events of `ops` operations can interleave: the operation of each event, numbered by invocation.
fn shapes(ops: usize) -> Vec<Vec<usize>> {
    let mut shapes = vec![(Vec::new(), 0, Vec::new())];
    for _ in 0..2 * ops {
        let mut longer = Vec::new();
        for (shape, begun, open) in shapes {
            if begun < ops {
                let (mut shape, mut open): (Vec<usize>, Vec<usize>) = (shape.clone(), open.clone());
                shape.push(begun);
                open.push(begun);
                longer.push((shape, begun + 1, open));
            }
            for (at, &op) in open.iter().enumerate() {
                let (mut shape, mut open) = (shape.clone(), open.clone());
                shape.push(op);
                open.remove(at);
                longer.push((shape, begun, open));
            }
        }
        shapes = longer;
    }
    shapes.into_iter().map(|(shape, ..)| shape).collect()
}

/// The history of that shape. An operation takes the lowest process that is free.
fn arrange(shape: &[usize], picked: &[(&Choice, Type)]) -> History {
    let mut busy: Vec<Option<usize>> = Vec::new();
    let mut history = History::new();
    for &op in shape {
        let ((f, asked, told), kind) = picked[op];
        let at = history.len();
        match busy.iter().position(|&running| running == Some(op)) {
            Some(process) => {
                // After an unknown outcome the process is not used again.
                busy[process] = if kind == Type::Info { Some(usize::MAX) } else { None };
                history.push(&event(at, process, kind, f, if kind == Type::Ok { told } else { asked }));
            }
            None => {
                let process = busy.iter().position(Option::is_none).unwrap_or_else(|| {
                    busy.push(None);
                    busy.len() - 1
                });
                busy[process] = Some(op);
                history.push(&event(at, process, Type::Invoke, f, asked));
            }
        }
    }
    history
}
