//! Tiny histories, for oracles that try everything.

use crate::testing::{Random, interval_orders};
use crate::{History, Op, Process, Type};

/// An acknowledged operation of a tiny history. Values are from 1 up; 0 is the initial value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tiny {
    pub(crate) session: usize,
    pub(crate) key: usize,
    pub(crate) read: Option<u8>,
    pub(crate) write: Option<u8>,
}

/// The operations as a recorded history, one after the other.
pub(crate) fn record(ops: &[Tiny]) -> History {
    let value = |v: u8| if v == 0 { serde_json::Value::Null } else { v.into() };
    let mut history = History::new();
    for op in ops {
        let (f, asked, told) = match (op.read, op.write) {
            (Some(old), Some(new)) => {
                let pair = serde_json::json!([op.key, [value(old), new]]);
                ("cas", pair.clone(), pair)
            }
            (None, Some(new)) => {
                ("write", serde_json::json!([op.key, new]), serde_json::json!([op.key, new]))
            }
            (Some(old), None) => {
                ("read", serde_json::json!([op.key, null]), serde_json::json!([op.key, value(old)]))
            }
            (None, None) => panic!("an operation reads or writes"),
        };
        let process = Process::Client(op.session as u32);
        history.push(&Op::new(f).process(process).value(asked));
        history.push(&Op::new(f).process(process).value(told).kind(Type::Ok));
    }
    history
}

/// The operations of these events alone, from invocation to completion.
pub(crate) fn cut(history: &History, events: &[usize]) -> History {
    let pairs = history.pairs();
    let kept = |at: usize| events.contains(&at) || pairs.of(at).is_some_and(|other| events.contains(&other));
    history.iter().filter(|op| kept(op.index())).map(|op| op.to_op()).collect()
}

/// The sessions of up to four operations, in every way that matters.
pub(crate) const SHAPES: [&[usize]; 12] = [
    &[0],
    &[0, 0],
    &[0, 1],
    &[0, 0, 0],
    &[0, 0, 1],
    &[0, 1, 2],
    &[0, 0, 0, 0],
    &[0, 0, 0, 1],
    &[0, 0, 1, 1],
    &[0, 0, 1, 2],
    &[0, 1, 1, 1],
    &[0, 1, 2, 3],
];

/// The sessions of `n` operations, up to their order.
pub(crate) fn partitions(n: usize) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    // Sizes that do not grow, and what is left.
    let mut stack = vec![(Vec::new(), n)];
    while let Some((sizes, left)) = stack.pop() {
        if left == 0 {
            let sessions = sizes.iter().enumerate().flat_map(|(session, &size)| vec![session; size]);
            all.push(sessions.collect());
        }
        let most = sizes.last().map_or(left, |&last: &usize| last.min(left));
        stack.extend((1..=most).map(|size| ([&sizes[..], &[size]].concat(), left - size)));
    }
    all
}

/// Every history of `n` reads and unique writes of one register with every order of their intervals; with `crashes`, also those
/// whose last write has no end.
pub(crate) fn every_timed(n: usize, crashes: bool, visit: &mut impl FnMut(&[Timed], &History)) {
    for intervals in interval_orders(n) {
        every(&vec![0; n], 1, false, &mut |ops| {
            let last = ops.iter().rposition(|op| op.write.is_some()).filter(|_| crashes);
            for crashed in [None, last].into_iter().take(1 + usize::from(last.is_some())) {
                let (timed, history) = recorded(ops, &intervals, crashed);
                visit(&timed, &history);
            }
        });
    }
}

/// At one position all begin before any ends. Each operation has a process of its own; an event takes a millisecond.
fn recorded(ops: &[Tiny], intervals: &[(u32, u32)], crashed: Option<usize>) -> (Vec<Timed>, History) {
    let value = |v: u8| if v == 0 { serde_json::Value::Null } else { v.into() };
    let begins = intervals.iter().enumerate().map(|(op, &(begin, _))| (begin, false, op));
    let ends = intervals.iter().enumerate().map(|(op, &(_, end))| (end, true, op));
    let mut events: Vec<(u32, bool, usize)> = begins.chain(ends).collect();
    events.retain(|&(_, ends, op)| !ends || crashed != Some(op));
    events.sort_unstable();
    let untimed = |op: &Tiny| Timed { read: op.read, write: op.write, start: 0, end: usize::MAX };
    let (mut timed, mut history): (Vec<Timed>, History) = (ops.iter().map(untimed).collect(), History::new());
    for (time, (_, ends, op)) in events.into_iter().enumerate() {
        let (f, v) = ops[op].write.map_or(("read", ops[op].read), |v| ("write", Some(v)));
        let event = Op::new(f).process(Process::Client(op as u32)).at(time as u64 * 1_000_000);
        let told = v.filter(|_| ends || f == "write").map_or(serde_json::Value::Null, value);
        history.push(&event.kind(if ends { Type::Ok } else { Type::Invoke }).value(told));
        *(if ends { &mut timed[op].end } else { &mut timed[op].start }) = time;
    }
    (timed, history)
}

/// Fills `ops` in every way: session shape by session shape, each op any write, read or cas; written values are the
/// position plus one, read values are the initial one or any written to that key.
pub(crate) fn every(sessions: &[usize], keys: usize, cas: bool, visit: &mut impl FnMut(&[Tiny])) {
    let n = sessions.len();
    let kinds = if cas { 3 } else { 2 };
    for code in 0..(keys * kinds).pow(n as u32) {
        let mut rest = code;
        let mut ops = Vec::new();
        for (at, &session) in sessions.iter().enumerate() {
            let (key, kind) = (rest % keys, rest / keys % kinds);
            rest /= keys * kinds;
            let read = (kind != 0).then_some(0);
            let write = (kind != 1).then_some(at as u8 + 1);
            ops.push(Tiny { session, key, read, write });
        }
        values(&mut ops, 0, visit);
    }
}

fn values(ops: &mut Vec<Tiny>, at: usize, visit: &mut impl FnMut(&[Tiny])) {
    if at == ops.len() {
        return visit(ops);
    }
    if ops[at].read.is_none() {
        return values(ops, at + 1, visit);
    }
    let key = ops[at].key;
    let others = |(w, op): (usize, &Tiny)| if w != at && op.key == key { op.write } else { None };
    let options: Vec<u8> = std::iter::once(0).chain(ops.iter().enumerate().filter_map(others)).collect();
    for value in options {
        ops[at].read = Some(value);
        values(ops, at + 1, visit);
    }
}

/// A random history of `n` operations, often of a single copy.
pub(crate) fn random(rng: &mut Random, n: usize) -> Vec<Tiny> {
    let (sessions, keys) = (1 + rng.below(4), 1 + rng.below(2));
    let mut ops: Vec<Tiny> = (0..n)
        .map(|at| {
            let kind = rng.below(7);
            let read = (kind >= 3).then_some(0);
            let write = (kind < 4).then_some(at as u8 + 1);
            Tiny { session: rng.below(sessions), key: rng.below(keys), read, write }
        })
        .collect();
    let mut store = [0; 2];
    for at in 0..n {
        if ops[at].read.is_some() {
            let key = ops[at].key;
            let others: Vec<u8> = (0..n)
                .filter(|&w| w != at && ops[w].key == key)
                .filter_map(|w| ops[w].write)
                .chain([0])
                .collect();
            // Mostly what a single copy would say, so that the verdicts are mixed.
            ops[at].read = Some(if rng.below(3) > 0 { store[key] } else { others[rng.below(others.len())] });
        }
        store[ops[at].key] = ops[at].write.unwrap_or(store[ops[at].key]);
    }
    ops
}

/// A read or a unique write of one register with its interval, in events; a write of unknown outcome has no end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Timed {
    pub(crate) read: Option<u8>,
    pub(crate) write: Option<u8>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A random history of `n` operations of three clients on one register, often nearly right. Values are from 1 up; 0 is
/// the initial one. An event takes a millisecond.
pub(crate) fn timed(rng: &mut Random, n: usize) -> (Vec<Timed>, History) {
    let value = |v: u8| if v == 0 { serde_json::Value::Null } else { v.into() };
    let (mut ops, mut history): (Vec<Timed>, History) = (Vec::new(), History::new());
    let (mut open, mut process) = ([None; 3], [0u32, 1, 2]);
    let mut stored = vec![0u8];
    let wild = 1 + rng.below(8);
    while ops.len() < n || open.iter().any(Option::is_some) {
        let client = rng.below(3);
        let time = history.len() as u64 * 1_000_000;
        let event =
            |f: &'static str, kind| Op::new(f).process(Process::Client(process[client])).kind(kind).at(time);
        match open[client].take() {
            None if ops.len() < n => {
                let write = (rng.below(2) == 0).then_some(ops.len() as u8 + 1);
                let op = match write {
                    Some(v) => event("write", Type::Invoke).value(value(v)),
                    None => event("read", Type::Invoke),
                };
                let read = write.is_none().then(|| stored[stored.len() - 1]);
                open[client] = Some(ops.len());
                ops.push(Timed { read, write, start: history.len(), end: usize::MAX });
                history.push(&op);
            }
            None => {}
            Some(at) => {
                let op: &mut Timed = &mut ops[at];
                if let Some(v) = op.write {
                    let crashes = rng.below(12) == 0;
                    let kind = if crashes { Type::Info } else { Type::Ok };
                    op.end = if crashes { usize::MAX } else { history.len() };
                    stored.push(v);
                    history.push(&event("write", kind).value(value(v)));
                    if crashes {
                        process[client] += 3;
                    }
                } else {
                    op.end = history.len();
                    let saw = match rng.below(3) {
                        0 if rng.below(wild) == 0 => rng.below(n + 1) as u8,
                        0 => op.read.unwrap_or(0),
                        _ => stored[stored.len() - 1],
                    };
                    op.read = Some(saw);
                    history.push(&event("read", Type::Ok).value(value(saw)));
                }
            }
        }
    }
    (ops, history)
}

/// The least `k` for which some order that respects `before` lets each read return one of the last `k` values, the
/// initial one counted. Writes without an end may be left out. `None` if there is no such order.
pub(crate) fn staleness(ops: &[Timed], before: &dyn Fn(&Timed, &Timed) -> bool) -> Option<usize> {
    let mut best = None;
    place(ops, before, 0, &mut vec![0], 1, &mut best);
    best
}

fn place(
    ops: &[Timed],
    before: &dyn Fn(&Timed, &Timed) -> bool,
    done: u32,
    values: &mut Vec<u8>,
    worst: usize,
    best: &mut Option<usize>,
) {
    if best.is_some_and(|best| best <= worst) {
        return;
    }
    let left = || (0..ops.len()).filter(|&op| done >> op & 1 == 0);
    if left().all(|op| ops[op].end == usize::MAX) {
        *best = Some(worst);
    }
    for op in left() {
        if left().any(|other| other != op && before(&ops[other], &ops[op])) {
            continue;
        }
        if let Some(value) = ops[op].write {
            values.push(value);
            place(ops, before, done | 1 << op, values, worst, best);
            values.pop();
        } else if let Some(at) = values.iter().rposition(|value| Some(*value) == ops[op].read) {
            place(ops, before, done | 1 << op, values, worst.max(values.len() - at), best);
        }
    }
}
