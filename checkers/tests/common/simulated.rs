//! Histories of simulated registers.

use serde_json::{Value, json};
use squall_checkers::{Op, Process, Type};

use crate::random::Random;

/// What [`simulate`] makes.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) ops: usize,
    pub(crate) clients: usize,
    pub(crate) keys: usize,
    /// Values are `0..values`, or all different where it is 0.
    pub(crate) values: usize,
    /// One operation in so many has an unknown outcome; 0: none.
    pub(crate) crash_every: usize,
    pub(crate) cas: bool,
}

/// A client's operation: how it was asked, and what it returned once it has taken effect.
struct Running {
    f: &'static str,
    key: usize,
    input: Value,
    done: Option<(Type, Value)>,
    crashes: bool,
}

/// A history of clients on linearizable registers: each operation takes effect at a random moment of its interval.
pub(crate) fn simulate(shape: Shape, seed: u64) -> Vec<Op> {
    let mut ops = Vec::new();
    simulate_each(shape, seed, |op| ops.push(op));
    ops
}

/// The same, event by event.
pub(crate) fn simulate_each(shape: Shape, seed: u64, mut emit: impl FnMut(Op)) {
    let mut random = Random(seed);
    let mut registers = vec![Value::Null; shape.keys];
    let mut running: Vec<Option<Running>> = (0..shape.clients).map(|_| None).collect();
    let mut process: Vec<u32> = (0..shape.clients as u32).collect();
    let mut events = 0;
    let mut started = 0;
    while started < shape.ops || running.iter().any(Option::is_some) {
        let client = random.below(shape.clients);
        let time = events * 1_000_000;
        let event = |f, kind, value| {
            Op::new(f).process(Process::Client(process[client])).kind(kind).value(value).at(time)
        };
        let mut push = |op| {
            emit(op);
            events += 1;
        };
        match &mut running[client] {
            None if started < shape.ops => {
                started += 1;
                let mut op = start(&mut random, shape, started);
                if op.f == "cas" && shape.values == 0 {
                    // What is set once is replaced only by who saw it.
                    op.input[0] = registers[op.key].clone();
                }
                push(event(op.f, Type::Invoke, json!([op.key, op.input])));
                running[client] = Some(op);
            }
            None => {}
            Some(op) if op.done.is_none() && !(op.crashes && random.below(2) == 0) => {
                op.done = Some(apply(op, &mut registers[op.key]));
            }
            Some(op) if op.crashes => {
                push(event(op.f, Type::Info, json!([op.key, op.input])));
                running[client] = None;
                process[client] += shape.clients as u32;
            }
            Some(op) => {
                let (kind, output) = op.done.take().expect("it took effect");
                push(event(op.f, kind, json!([op.key, output])));
                running[client] = None;
            }
        }
    }
}

fn start(random: &mut Random, shape: Shape, serial: usize) -> Running {
    let mut value = || if shape.values == 0 { json!(serial) } else { json!(random.below(shape.values)) };
    let (a, b) = (value(), value());
    let (f, input) = match random.below(if shape.cas { 3 } else { 2 }) {
        0 => ("read", Value::Null),
        1 => ("write", a),
        _ => ("cas", json!([a, b])),
    };
    let crashes = shape.crash_every > 0 && random.below(shape.crash_every) == 0;
    Running { f, key: random.below(shape.keys), input, done: None, crashes }
}

fn apply(op: &Running, register: &mut Value) -> (Type, Value) {
    match op.f {
        "read" => (Type::Ok, register.clone()),
        "write" => {
            *register = op.input.clone();
            (Type::Ok, op.input.clone())
        }
        _ if op.input[0] == *register => {
            *register = op.input[1].clone();
            (Type::Ok, op.input.clone())
        }
        _ => (Type::Fail, op.input.clone()),
    }
}
