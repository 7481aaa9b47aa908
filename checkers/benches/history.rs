//! Reading, writing and holding histories: `cargo bench -p squall-checkers --bench history`.
//!
//! `-- --events N` sets the number of events (10^6 if not given), `-- --quick` makes it 10^4. Prints for each step its seconds
//! on the CPU, the events a second, and the bytes an event takes in the file or in memory; last, the peak memory of the process.
//! `-- --stream` only records a history and reads it back, which holds nothing but the compressed file and the history.

mod measure;

use std::io;

use measure::{cpu_seconds, peak_kib};
use serde_json::{Value, json};
use squall_checkers::history::{
    History, JsonlWriter, Op, Process, Type, read, read_from, write_edn, write_jsonl,
};

const CLIENTS: u64 = 10;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = args.iter().position(|arg| arg == "--events").and_then(|at| args.get(at + 1));
    let quick = args.iter().any(|arg| arg == "--quick");
    let events = number
        .map_or(if quick { 10_000 } else { 1_000_000 }, |n| n.parse().expect("--events takes a number"));

    println!("{events} events              CPU s     events/s   bytes/event");
    if args.iter().any(|arg| arg == "--stream") {
        let file = measure("record", events, || record(events, register), Vec::len);
        measure("read", events, || read_from(&file[..], "zst").unwrap().history, History::memory_bytes);
    } else {
        println!("reads and writes");
        formats(events, register);
        println!("transactions");
        formats(events, transaction);
    }
    println!("peak memory {} MB", peak_kib() / 1024);
}

/// The function and the value of an operation, at its invocation or at its completion.
type Operation = fn(n: u64, invokes: bool) -> (&'static str, Value);

fn formats(events: usize, operation: Operation) {
    let history =
        measure("push", events, || turns(events, operation).collect::<History>(), History::memory_bytes);
    let compressed = measure("record, zstd", events, || record(events, operation), Vec::len);
    let plain = measure("write JSON lines", events, || to_vec(|out| write_jsonl(&history, out)), Vec::len);
    measure("read JSON lines", events, || read(&plain, "plain").unwrap().history, History::memory_bytes);
    measure(
        "read JSON lines, zstd",
        events,
        || read(&compressed, "zst").unwrap().history,
        History::memory_bytes,
    );
    let edn = measure("write EDN", events, || to_vec(|out| write_edn(&history, out)), Vec::len);
    measure("read EDN", events, || read(&edn, "edn").unwrap().history, History::memory_bytes);
}

fn measure<T>(what: &str, events: usize, run: impl FnOnce() -> T, bytes: impl FnOnce(&T) -> usize) -> T {
    let start = cpu_seconds();
    let result = run();
    let seconds = cpu_seconds() - start;
    let (rate, size) = (events as f64 / seconds, bytes(&result) as f64 / events as f64);
    println!("{what:<24} {seconds:>8.3} {rate:>12.0} {size:>13.1}");
    result
}

fn to_vec(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out).expect("a vector takes all");
    out
}

fn record(events: usize, operation: Operation) -> Vec<u8> {
    to_vec(|out| {
        let mut writer = JsonlWriter::new(out)?;
        turns(events, operation).try_for_each(|op| writer.push(&op))?;
        writer.flush()
    })
}

/// Invocations and completions of clients that take turns.
fn turns(events: usize, operation: Operation) -> impl Iterator<Item = Op> {
    (0..events as u64).map(move |n| {
        let (client, invokes) = (n % CLIENTS, (n / CLIENTS).is_multiple_of(2));
        let (f, value) = operation(n / (2 * CLIENTS) * CLIENTS + client, invokes);
        let kind = if invokes { Type::Invoke } else { Type::Ok };
        Op::new(f).value(value).process(Process::Client(client as u32)).kind(kind).at(n * 12_345)
    })
}

/// Reads and writes of 100 independent keys.
fn register(n: u64, invokes: bool) -> (&'static str, Value) {
    match n % 2 {
        0 => ("write", json!([n % 100, n])),
        _ if invokes => ("read", json!([n % 100, null])),
        _ => ("read", json!([n % 100, n - 1])),
    }
}

/// List-append transactions of four micro-operations.
fn transaction(n: u64, invokes: bool) -> (&'static str, Value) {
    let list = if invokes { Value::Null } else { json!([n, n + 1, n + 2]) };
    let append = |key| json!(["append", key, n]);
    ("txn", json!([append(n % 100), ["r", n % 97, list], append(n % 89), ["r", n % 83, list]]))
}
