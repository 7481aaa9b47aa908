//! Seeded random histories.

use serde_json::{Map, Value};
use squall_checkers::history::{History, Op, Process, Type};

use crate::random::Random;

impl Random {
    fn pick<'a>(&mut self, names: &[&'a str]) -> &'a str {
        names[self.below(names.len())]
    }

    fn integer(&mut self) -> i64 {
        let magnitude = (1i64 << self.below(63)) - 1;
        if self.below(2) == 0 { magnitude } else { -magnitude - 1 }
    }

    fn value(&mut self, depth: usize) -> Value {
        let shapes = if depth == 0 { 7 } else { 10 };
        match self.below(shapes) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 0),
            2 | 3 => self.integer().into(),
            4 => (self.below(5) as i64).into(),
            5 => (self.integer() as f64 / 8.0).into(),
            6 => self.pick(&["", "a", "x 9 0 y", "é\n\"\\\u{1}", "nil", ":k", "😀"]).into(),
            7 => self.micro_ops(),
            8 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let entries = (0..self.below(4)).map(|_| {
                    let key = self.pick(&["a", "0", "-7", "two words", "", "é", "nil", "ns/k"]).to_owned();
                    (key, self.value(depth - 1))
                });
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    fn micro_ops(&mut self) -> Value {
        let ops = (0..1 + self.below(3)).map(|_| {
            let f = self.pick(&["append", "r", "w"]);
            Value::from(vec![f.into(), Value::from(self.below(9)), self.value(0)])
        });
        ops.collect()
    }
}

/// A well-formed history of at least `events` events in which everything that can differ does.
pub(crate) fn random_history(seed: u64, events: usize) -> History {
    let mut random = Random(seed);
    let mut history = History::new();
    let mut open: Vec<Option<&str>> = vec![None; 4];
    let mut time_ns = 0;
    while history.len() < events {
        time_ns += random.below(1_000_000) as u64;
        if random.below(20) == 0 {
            let kind = [Type::Invoke, Type::Info][random.below(2)];
            let op = Op::new("kill").process(Process::Nemesis).kind(kind).at(time_ns);
            history.push(&op.value(random.value(1)));
            continue;
        }
        let process = random.below(open.len());
        let (f, kind) = match open[process].take() {
            Some(f) => (f, [Type::Ok, Type::Fail, Type::Info][random.below(3)]),
            None => (random.pick(&["read", "write", "cas", "txn", "a name"]), Type::Invoke),
        };
        if kind == Type::Invoke {
            open[process] = Some(f);
        }
        let id = if process == 3 { 4_000_000_000 } else { process as u32 };
        let value = if f == "txn" { random.micro_ops() } else { random.value(2) };
        let mut op = Op::new(f.to_owned()).process(Process::Client(id)).kind(kind).at(time_ns).value(value);
        if matches!(kind, Type::Fail | Type::Info) && random.below(2) == 0 {
            op.error =
                Some(random.pick(&["timeout", "connection refused: \"n1\"", "[\"a\",1]", ""]).to_owned());
        }
        history.push(&op);
    }
    history
}
