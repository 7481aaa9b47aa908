//! Registers whose values are set once, against brute force.

use serde_json::json;

use super::generate::{Shape, random};
use super::oracle::{agree, show};
use super::{Timed, problem};
use crate::linear::problem::NEVER;
use crate::linear::zones::UniqueWrites;
use crate::model::{Counter, CounterOp, Register, RegisterOp, Symbol};
use crate::testing::Random;
use crate::{Checker, History, Linearizable, Op, Process, Type, Valid};

/// Registers whose values are set once: the clusters, on the problem and straight from a history, against brute force.
#[test]
fn random_unique_values_agree_with_brute_force() {
    const HISTORIES: usize = 100_000;
    let mut source = Random(4);
    let (mut legal, mut unique) = (0, 0);
    for round in 0..HISTORIES {
        let (ops, processes) = (2 + source.below(9), 1 + source.below(4));
        let raw = unique_values(&mut source, Shape { ops, processes, crash_every: 6 });
        let problem = problem(&Register, &raw);
        unique += usize::from(UniqueWrites::new(&Register, &problem).is_some());
        let expected = agree(&Register, &raw);
        legal += usize::from(expected);
        if round % 4 == 0 {
            let checker = Linearizable::new("register", Register);
            let verdict = checker.check(&history(&raw));
            assert_eq!(verdict.valid == Valid::True, expected, "{} {verdict:?}", show(&raw));
            assert!(!expected || verdict.stats["configurations"] == 0, "it is not searched: {}", show(&raw));
        }
    }
    println!(
        "unique values: {HISTORIES} random histories, {legal} linearizable, a fourth straight from events"
    );
    assert_eq!(unique, HISTORIES);
    assert!(HISTORIES / 20 < legal && legal < HISTORIES * 19 / 20, "{legal} of {HISTORIES}");
}

/// A random execution of a register in which every setter sets another value; half the time one read is then changed.
fn unique_values(source: &mut Random, shape: Shape) -> Vec<Timed<RegisterOp>> {
    let mut raw = random(&Counter, &[CounterOp::Add(0)], shape, source);
    raw.iter_mut().for_each(|timed| timed.op = CounterOp::Add(0));
    // Effects at random moments of the intervals, in order.
    let end =
        raw.iter().map(|t| if t.complete == NEVER { t.invoke + 2 } else { t.complete }).max().unwrap_or(0);
    let mut moments: Vec<(u32, usize)> = Vec::new();
    for (at, timed) in raw.iter().enumerate() {
        let last = if timed.complete == NEVER { end } else { timed.complete - 1 };
        moments.push((timed.invoke + source.below((last - timed.invoke.min(last) + 1) as usize) as u32, at));
    }
    moments.sort_unstable();
    let (mut value, mut next) = (Symbol::NIL, 0);
    let mut set = vec![RegisterOp::Read(Symbol::NIL); raw.len()];
    for (_, at) in moments {
        let op = match source.below(5) {
            0 | 1 => RegisterOp::Read(value),
            2 => RegisterOp::Cas(value, value),
            kind => {
                next += 1;
                if kind == 3 { RegisterOp::Write(Symbol(next)) } else { RegisterOp::Cas(value, Symbol(next)) }
            }
        };
        // A crashed one may not have taken effect.
        if raw[at].complete != NEVER || source.below(2) == 0 {
            value = op.sets().unwrap_or(value);
        }
        set[at] = op;
    }
    if source.below(2) == 0 {
        let (at, other) = (source.below(set.len()), Symbol(source.below(next as usize + 1) as u32));
        set[at] = match set[at] {
            RegisterOp::Cas(old, new) if old != new && new != other => RegisterOp::Cas(other, new),
            RegisterOp::Write(value) => RegisterOp::Write(value),
            _ => RegisterOp::Read(other),
        };
    }
    raw.into_iter().zip(set).map(|(t, op)| Timed { op, invoke: t.invoke, complete: t.complete }).collect()
}

/// The events of these operations, each by a process of its own.
fn history(raw: &[Timed<RegisterOp>]) -> History {
    let mut events: Vec<(u32, Op)> = Vec::new();
    for (at, timed) in raw.iter().enumerate() {
        let value = |symbol: Symbol| if symbol == Symbol::NIL { json!(null) } else { json!(symbol.0) };
        let (f, asked, returned) = match timed.op {
            RegisterOp::Read(v) => ("read", json!(null), value(v)),
            RegisterOp::Write(v) => ("write", value(v), value(v)),
            RegisterOp::Cas(a, b) => ("cas", json!([value(a), value(b)]), json!([value(a), value(b)])),
            RegisterOp::Mismatch(_) => unreachable!("no execution of unique values has one"),
        };
        let event = |kind, value| Op::new(f).process(Process::Client(at as u32)).kind(kind).value(value);
        events.push((timed.invoke, event(Type::Invoke, asked)));
        if timed.complete != NEVER {
            events.push((timed.complete, event(Type::Ok, returned)));
        }
    }
    events.sort_by_key(|&(time, _)| time);
    events.into_iter().map(|(_, op)| op).collect()
}
