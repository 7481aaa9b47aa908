//! What systems are used as: sets, counters, queues, ids, banks, logs, locks.

use serde_json::{Value, json};
use squall_checkers::domain::{
    Bank, Convergence, Counter, ExactlyOnce, Fencing, Kafka, LongFork, Monotonic, Queue, SetFull, Staleness,
    UniqueIds, Watch,
};
use squall_checkers::{History, Op, Process, Type, Valid};

use crate::case::{Case, Input};
use crate::random::Random;

pub(crate) fn cases() -> Vec<Case> {
    let base = Case {
        name: "",
        size: 1_000_000,
        quick: 20_000,
        input: set,
        checker: || Box::new(SetFull::new().linearizable()),
        valid: Valid::True,
        bar_ms: Some(200.0),
        bar_mib: None,
        quick_bytes_per_op: 300,
        quick_steps_per_op: None,
    };
    vec![
        Case { name: "set, 4 reads of the whole", ..base },
        Case { name: "set-full, 4 reads of the whole", checker: || Box::new(SetFull::new()), ..base },
        Case { name: "counter", input: counter, checker: || Box::new(Counter::new()), ..base },
        Case { name: "unordered-queue", input: queue, checker: || Box::new(Queue::new()), ..base },
        Case { name: "total-queue", input: queue, checker: || Box::new(Queue::total()), ..base },
        Case { name: "unique-ids", input: ids, checker: || Box::new(UniqueIds::new()), ..base },
        Case { name: "bank, 8 accounts", input: bank, checker: || Box::new(Bank::new()), ..base },
        Case { name: "long-fork, groups of 2", input: forks, checker: || Box::new(LongFork::new()), ..base },
        Case { name: "kafka, a message a poll", input: logs, checker: || Box::new(Kafka::new()), ..base },
        Case {
            name: "kafka, batches of 9",
            input: batches,
            checker: || Box::new(Kafka::new()),
            quick_bytes_per_op: 500,
            ..base
        },
        Case { name: "watch, 3 watchers", input: changes, checker: || Box::new(Watch::new()), ..base },
        Case { name: "monotonic", input: monotonic, checker: || Box::new(Monotonic::new()), ..base },
        Case { name: "fencing", input: locks, checker: || Box::new(Fencing::new()), ..base },
        Case { name: "staleness", input: registers, checker: || Box::new(Staleness::new()), ..base },
        Case { name: "convergence", input: replicas, checker: || Box::new(Convergence::new()), ..base },
        Case { name: "exactly-once", input: work, checker: || Box::new(ExactlyOnce::new()), ..base },
    ]
}

/// `ops` operations of 10 clients, each of which takes effect when it begins and completes while others run. `next` says
/// what the `n`th does: the function, the argument and the result.
fn run(ops: usize, mut next: impl FnMut(&mut Random, usize) -> (&'static str, Value, Value)) -> History {
    let mut random = Random(1);
    let mut open: Vec<Option<(&'static str, Value)>> = vec![None; 10];
    let (mut history, mut begun) = (History::new(), 0);
    while begun < ops || open.iter().any(Option::is_some) {
        let client = random.below(open.len());
        let at = history.len() as u64 * 1_000_000;
        let event =
            |f: &'static str, value| Op::new(f).process(Process::Client(client as u32)).value(value).at(at);
        match open[client].take() {
            None if begun < ops => {
                let (f, asked, told) = next(&mut random, begun);
                begun += 1;
                history.push(&event(f, asked));
                open[client] = Some((f, told));
            }
            None => {}
            Some((f, told)) => history.push(&event(f, told).kind(Type::Ok)),
        }
    }
    history
}

fn set(ops: usize) -> Input {
    let mut history = run(ops - 4, |_, n| ("add", json!(n), json!(n)));
    let all: Value = (0..ops - 4).collect();
    for _ in 0..4 {
        let op = Op::new("read").at(history.len() as u64 * 1_000_000);
        history.push(&op.clone());
        history.push(&op.value(all.clone()).kind(Type::Ok));
    }
    Input::of(history)
}

fn counter(ops: usize) -> Input {
    let mut sum = 0;
    Input::of(run(ops, |random, _| match random.below(2) {
        0 => ("read", json!(null), json!(sum)),
        _ => {
            sum += 1;
            ("add", json!(1), json!(1))
        }
    }))
}

fn queue(ops: usize) -> Input {
    let (mut first, mut end) = (0, 0);
    let mut history = run(ops - 1, |random, _| {
        if first == end || random.below(2) == 0 {
            end += 1;
            return ("enqueue", json!(end - 1), json!(end - 1));
        }
        first += 1;
        ("dequeue", json!(null), json!(first - 1))
    });
    let rest: Value = (first..end).collect();
    let op = Op::new("drain").at(history.len() as u64 * 1_000_000);
    history.push(&op.clone());
    history.push(&op.value(rest).kind(Type::Ok));
    Input::of(history)
}

fn ids(ops: usize) -> Input {
    Input::of(run(ops, |_, n| ("generate", json!(null), json!(n * 1024 + 7))))
}

fn bank(ops: usize) -> Input {
    let mut balances = [100; 8];
    Input::of(run(ops, |random, _| {
        if random.below(2) == 0 {
            let told =
                balances.iter().enumerate().map(|(account, balance)| (account.to_string(), json!(balance)));
            return ("read", json!(null), Value::Object(told.collect()));
        }
        let (from, to) = (random.below(8), random.below(8));
        let amount = random.below(5).min(balances[from]);
        balances[from] -= amount;
        balances[to] += amount;
        let transfer = json!({"from": from, "to": to, "amount": amount});
        ("transfer", transfer.clone(), transfer)
    }))
}

fn forks(ops: usize) -> Input {
    let mut written = 0_usize;
    Input::of(run(ops, |random, _| {
        if random.below(3) == 0 {
            written += 1;
            let write = json!([["w", written - 1, 1]]);
            return ("txn", write.clone(), write);
        }
        let group = written.saturating_sub(random.below(6)) / 2 * 2;
        let read = |key: usize| if key < written { json!(["r", key, 1]) } else { json!(["r", key, null]) };
        let asked = json!([["r", group, null], ["r", group + 1, null]]);
        ("txn", asked, json!([read(group), read(group + 1)]))
    }))
}

fn logs(ops: usize) -> Input {
    sent_and_polled(ops, 2)
}

fn batches(ops: usize) -> Input {
    sent_and_polled(ops, 10)
}

/// Ten logs, each with its producer and its consumer. One operation of `every` polls all that is new in one of them.
fn sent_and_polled(ops: usize, every: usize) -> Input {
    let mut random = Random(2);
    let mut history = History::new();
    let mut new: Vec<Vec<Value>> = vec![Vec::new(); 10];
    let mut ends = [0; 10];
    for n in 0..ops {
        let log = if n % every == 0 { n / every % 10 } else { random.below(10) };
        let mut push = |f: &'static str, asked: Value, told: Value| {
            let op = Op::new(f).process(Process::Client(log as u32)).at(n as u64 * 1_000_000);
            history.push(&op.clone().value(asked));
            history.push(&op.value(told).kind(Type::Ok));
        };
        if n % every == 0 {
            let messages = Value::from(std::mem::take(&mut new[log]));
            push("poll", json!([["poll"]]), json!([["poll", { log.to_string(): messages }]]));
        } else {
            push("send", json!([["send", log, n]]), json!([["send", log, [ends[log], n]]]));
            new[log].push(json!([ends[log], n]));
            // A transaction's end takes an offset.
            ends[log] += 2;
        }
    }
    Input::of(history)
}

/// Three watchers who look at what is new after every ten writes.
fn changes(ops: usize) -> Input {
    let mut history = History::new();
    let mut new = Vec::new();
    // The last watches see the last writes.
    for n in 0..ops / 13 * 13 {
        let process = match n % 13 {
            10.. => n % 13,
            _ => 0,
        };
        let op = Op::new(if process == 0 { "write" } else { "watch" });
        let op = op.process(Process::Client(process as u32)).at(n as u64 * 1_000_000);
        if process == 0 {
            new.push(json!([n, n]));
            history.push(&op.clone().value(json!(n)));
            history.push(&op.value(json!([n, n])).kind(Type::Ok));
        } else {
            history.push(&op.clone());
            history.push(&op.value(new.clone()).kind(Type::Ok));
            if process == 12 {
                new.clear();
            }
        }
    }
    Input::of(history)
}

fn monotonic(ops: usize) -> Input {
    let mut value = 0;
    Input::of(run(ops, |random, _| {
        let grows = random.below(2);
        value += grows;
        (["read", "inc"][grows], json!(null), json!(value))
    }))
}

fn locks(ops: usize) -> Input {
    let mut history = History::new();
    for n in 0..ops {
        let op = |f: &'static str| {
            Op::new(f).process(Process::Client((n / 3 % 10) as u32)).at(n as u64 * 1_000_000)
        };
        let (f, asked, told) = match n % 3 {
            0 => ("acquire", json!(null), json!(n)),
            1 => ("write", json!(n - 1), json!(null)),
            _ => ("release", json!(null), json!(null)),
        };
        history.push(&op(f).value(asked));
        history.push(&op(f).value(told).kind(Type::Ok));
    }
    Input::of(history)
}

fn registers(ops: usize) -> Input {
    let mut value = json!(null);
    Input::of(run(ops, |random, n| {
        if random.below(2) == 0 {
            return ("read", json!(null), value.clone());
        }
        value = json!(n);
        ("write", value.clone(), value.clone())
    }))
}

fn work(ops: usize) -> Input {
    let mut history = run(ops - 1, |_, n| ("submit", json!(n), json!(n)));
    let all: Value = (0..ops - 1).collect();
    let op = Op::new("read").at(history.len() as u64 * 1_000_000);
    history.push(&op.clone());
    history.push(&op.value(all).kind(Type::Ok));
    Input::of(history)
}

fn replicas(ops: usize) -> Input {
    let mut history = run(ops - 3, |_, n| ("add", json!(n), json!(n)));
    let all: Value = (0..ops - 3).collect();
    for process in 0..3 {
        let op = Op::new("read").process(Process::Client(process)).at(history.len() as u64 * 1_000_000);
        history.push(&op.clone());
        history.push(&op.value(all.clone()).kind(Type::Ok));
    }
    Input::of(history)
}
