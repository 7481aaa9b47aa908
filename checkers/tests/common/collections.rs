//! Histories of collections that keep their promises, of any size.

use std::collections::{BTreeSet, VecDeque};

use squall_checkers::{History, Op, Process, Type};

use crate::random::Random;

/// Which collection, and how its values leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Fifo,
    Lifo,
    Least,
    /// By name: a set.
    Named,
}

/// What [`collection`] makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) order: Order,
    pub(crate) ops: usize,
    pub(crate) clients: usize,
    /// One operation in so many has an unknown outcome; 0: none.
    pub(crate) crash_every: usize,
    /// Whether removals may outnumber insertions, so that some find nothing.
    pub(crate) empties: bool,
}

/// The values that are held.
#[derive(Default)]
struct Held {
    line: VecDeque<i64>,
    sorted: BTreeSet<i64>,
}

struct Running {
    f: &'static str,
    input: Option<i64>,
    /// What it returned, once it has taken effect.
    output: Option<Option<i64>>,
    crashes: bool,
}

/// A history of clients on one collection: each operation takes effect at a random moment of its interval, and every value is
/// inserted once.
pub(crate) fn collection(with: Use, seed: u64) -> History {
    let mut random = Random(seed);
    let mut held = Held::default();
    let mut running: Vec<Option<Running>> = (0..with.clients).map(|_| None).collect();
    let mut process: Vec<u32> = (0..with.clients as u32).collect();
    let mut history = History::new();
    let (mut started, mut size) = (0, 0usize);
    while started < with.ops || running.iter().any(Option::is_some) {
        let client = random.below(with.clients);
        let time_ns = history.len() as u64 * 10_000;
        let event = |f, kind, value: Option<i64>| {
            Op::new(f).process(Process::Client(process[client])).kind(kind).value(value).at(time_ns)
        };
        match &mut running[client] {
            None if started < with.ops => {
                started += 1;
                let grow = if with.empties {
                    random.below(2) == 0
                } else {
                    size < 16 || (size < 64 && random.below(2) == 0)
                };
                let op = start(with, &mut random, &mut held, started as i64, grow);
                size = if grow { size + 1 } else { size.saturating_sub(1) };
                history.push(&event(op.f, Type::Invoke, op.input));
                running[client] = Some(op);
            }
            None => {}
            Some(op) if op.output.is_none() && !(op.crashes && random.below(2) == 0) => {
                op.output = Some(apply(with.order, op, &mut held));
            }
            Some(op) if op.crashes => {
                history.push(&event(op.f, Type::Info, op.input));
                running[client] = None;
                process[client] += with.clients as u32;
            }
            Some(op) => {
                history.push(&event(op.f, Type::Ok, op.output.flatten()));
                running[client] = None;
            }
        }
    }
    history
}

fn start(with: Use, random: &mut Random, held: &mut Held, serial: i64, grow: bool) -> Running {
    let crashes = with.crash_every > 0 && random.below(with.crash_every) == 0;
    let (f, input) = match (with.order, grow) {
        (Order::Fifo, true) => ("enqueue", Some(serial)),
        (Order::Fifo, false) => ("dequeue", None),
        (Order::Lifo, true) => ("push", Some(serial)),
        (Order::Lifo, false) => ("pop", None),
        (Order::Least, true) => ("insert", Some((random.next() >> 1) as i64)),
        (Order::Least, false) => ("poll", None),
        (Order::Named, true) => ("add", Some(serial)),
        (Order::Named, false) => ("remove", Some(held.line.pop_front().unwrap_or(-serial))),
    };
    Running { f, input, output: None, crashes }
}

fn apply(order: Order, op: &Running, held: &mut Held) -> Option<i64> {
    if let (Some(value), "enqueue" | "push" | "insert" | "add") = (op.input, op.f) {
        if order == Order::Least {
            held.sorted.insert(value);
        } else {
            held.line.push_back(value);
        }
        return Some(value);
    }
    match order {
        Order::Fifo => held.line.pop_front(),
        Order::Lifo => held.line.pop_back(),
        Order::Least => held.sorted.pop_first(),
        Order::Named => op.input,
    }
}
