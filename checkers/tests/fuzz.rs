//! Mutated histories of every format go through every reader and, where they are readable, through every checker under a small
//! budget: nothing panics, and nothing goes far beyond its caps.
//!
//! `SQUALL_FUZZ=5000000 cargo test --test fuzz -- --nocapture` runs that many inputs, from `SQUALL_FUZZ_SEED` on.

mod common;
#[path = "common/random.rs"]
mod random;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use common::random_history;
use random::Random;
use squall_checkers::history::{Format, JsonlWriter, read_as, write_edn, write_jsonl};
use squall_checkers::registry::{self, CheckerEntry, Facts};
use squall_checkers::{Budget, History, Valid};

const INPUTS: u64 = 60_000;

/// Bytes of an input, at most: more finds no more.
const BYTES_MAX: usize = 8_192;

/// The caps on a checker, and how long it may take in all before it counts as hanging: the machine may be busy.
const TIME_CAP: Duration = Duration::from_millis(50);
const MEMORY_CAP: usize = 16 << 20;
const HANGS_AFTER: Duration = Duration::from_secs(20);

fn seeds() -> Vec<Vec<u8>> {
    let texts: [&str; 18] = [
        include_str!("fuzz/register.jsonl"),
        include_str!("fuzz/kv.edn"),
        include_str!("fuzz/append.jsonl"),
        include_str!("fuzz/rw.jsonl"),
        include_str!("fuzz/queue.jsonl"),
        include_str!("fuzz/set.edn"),
        include_str!("fuzz/bank.json"),
        include_str!("fuzz/locks.edn"),
        "INFO  jepsen.util - 0\t:invoke\t:cas\t[3 0]\nINFO  jepsen.util - 0\t:fail\t:cas\t[3 0]\nINFO  jepsen.util - 1\t:invoke\t:read\tnil\n\
         INFO  jepsen.util - 1\t:ok\t:read\t3\nINFO  jepsen.util - 2\t:invoke\t:write\t4\nINFO  jepsen.util - 2\t:info\t:write\t:timed-out\n",
        "w 1 2\nr 3 0\n---\nr 1 2\nw 1 3\n====\nw 3 0\n---\nr 1 3\nr 3 0\n====\nr 1 2\nr 3 5\n",
        "w(1,2,0,0)\nr(3,0,1,1)\nw(3,4,0,2)\nr(1,2,1,-1)\nr(3,4,1,3)\nr(1,0,1,4)\nw(1,5,1,4)\n",
        "// one\n[x:=1 y==?] [y==1]!\n---\n[x==1 y:=2]\n[x==?]\n---\n[y==2 x:=3]\n",
        r#"{"params":{},"data":[[{"events":[["w",1,2],{"Read":{"variable":1,"version":2}}],"committed":true}],[{"events":[["r",1,2],["w",1,3]],"committed":false}]]}"#,
        r#"[[{"events":[{"write":true,"variable":1,"value":2,"success":true},{"write":false,"variable":3,"value":0,"success":true}],"success":true}]]"#,
        "# stack\npush 1 1 2\npop 1 2 3\npeek -1 4 4\npush 2 3 9\npop 2 5 6\n",
        "# queue\nenq 2 0 1\nenq 1 1 2\ndeq 2 2 3\ndeq 1 3 4\ndeq -1 5 6\n",
        "# priorityqueue\ninsert 2 1 5\npeek 2 1 2\npoll 2 1 2\ninsert 5 1 3\npoll 5 6 7\n",
        "# set\ninsert 2 1 5\ncontains_true 2 1 2\ncontains_false 7 1 2\nremove 2 6 7\n",
    ];
    let mut seeds: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).into();
    let random = random_history(11, 24);
    let (mut jsonl, mut edn, mut frames) = (Vec::new(), Vec::new(), Vec::new());
    write_jsonl(&random, &mut jsonl).unwrap();
    write_edn(&random, &mut edn).unwrap();
    let mut writer = JsonlWriter::new(&mut frames).unwrap();
    for op in random.iter() {
        writer.push(&op.to_op()).unwrap();
    }
    drop(writer);
    seeds.extend([jsonl, edn, frames, dbcop()]);
    seeds
}

/// dbcop's bincode: two sessions of a transaction each.
fn dbcop() -> Vec<u8> {
    let mut out = Vec::new();
    let integer = |out: &mut Vec<u8>, n: u64| out.extend_from_slice(&n.to_le_bytes());
    (0..5).for_each(|n| integer(&mut out, n));
    for text in ["x", "2019-04-05T12:00:00+00:00", "2019-04-05T12:00:01+00:00"] {
        integer(&mut out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
    integer(&mut out, 2);
    for write in [1, 0] {
        integer(&mut out, 1);
        integer(&mut out, 1);
        out.push(write);
        integer(&mut out, 7);
        integer(&mut out, 1);
        out.extend_from_slice(&[1, 1]);
    }
    out
}

/// What stands in histories, and what should not.
const TOKENS: [&[u8]; 36] = [
    b"null",
    b"nil",
    b"true",
    b"-1",
    b"0",
    b"9223372036854775807",
    b"18446744073709551616",
    b"4294967295",
    b"1e308",
    b"-0",
    b"\"append\"",
    b"\"r\"",
    b"\"w\"",
    b":invoke",
    b":ok",
    b":fail",
    b":info",
    b"\"invoke\"",
    b"\"ok\"",
    b"\"fail\"",
    b"\"info\"",
    b"[",
    b"]",
    b"{",
    b"}",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"\\u0000",
    b"\xff\xfe",
    b"\"read\"",
    b"\"write\"",
    b"\"cas\"",
    b"\"txn\"",
    b"nemesis",
    b"\n",
    b",",
    b"=====\n",
];

/// A few changes to a seed, some with a piece of another.
fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(10) {
            0 => bytes.truncate(at),
            1 | 2 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            3 if at < bytes.len() => bytes[at] = b"0123456789"[random.below(10)],
            4 => drop(bytes.drain(at.min(end)..end)),
            5 | 6 => {
                let token = TOKENS[random.below(TOKENS.len())];
                // In the place of a word, now and then.
                let word = bytes[at..].iter().position(|b| b" \t\n,:[]{}()".contains(b)).unwrap_or(0);
                let end = if random.below(2) == 0 { at + word } else { at };
                drop(bytes.splice(at..end, token.iter().copied()));
            }
            7 => {
                let piece = bytes[at.min(end)..end].repeat(1 + random.below(40));
                drop(bytes.splice(at..at, piece));
            }
            8 => line_moved(random, &mut bytes),
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let to = (from + random.below(200)).min(other.len());
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

/// A line goes, or stands elsewhere, or twice.
fn line_moved(random: &mut Random, bytes: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
    let from = random.below(lines.len());
    let line = lines[from].clone();
    if random.below(3) > 0 {
        lines.remove(from);
    }
    if random.below(3) > 0 {
        lines.insert(random.below(lines.len() + 1), line);
    }
    *bytes = lines.join(&b'\n');
}

/// The verdict on a witness, written and read again.
fn alone(entry: &CheckerEntry, facts: &Facts, witness: &History) -> (String, Valid) {
    let mut text = Vec::new();
    write_jsonl(witness, &mut text).unwrap();
    let read = read_as(&text[..], "witness", None).unwrap_or_else(|e| panic!("{}: {e}", entry.name)).history;
    let budget = Budget::default().time(TIME_CAP).memory_bytes(MEMORY_CAP);
    (String::from_utf8_lossy(&text).into_owned(), (entry.build)(facts).check_within(&read, &budget).valid)
}

/// Runs the checkers on a history: all of them on a few, one on the others.
fn check(
    history: &History,
    checkers: &[&CheckerEntry],
    random: &mut Random,
    input: u64,
    [witnesses, unfinished]: [&mut u64; 2],
) {
    let all = input.is_multiple_of(16);
    let few = [random.below(checkers.len()), random.below(checkers.len())];
    let facts = Facts::of(history);
    let fitting = registry::fitting(&facts).map(|entry| entry.name).unwrap_or_default();
    for (n, entry) in checkers.iter().enumerate() {
        if !all && !few.contains(&n) && entry.name != fitting {
            continue;
        }
        let start = Instant::now();
        let budget = Budget::default().time(TIME_CAP).memory_bytes(MEMORY_CAP);
        let judged = catch_unwind(AssertUnwindSafe(|| (entry.build)(&facts).check_within(history, &budget)));
        let mut text = Vec::new();
        write_jsonl(history, &mut text).unwrap();
        let text = || String::from_utf8_lossy(&text);
        let verdict =
            judged.unwrap_or_else(|_| panic!("{} panics on input {input}:\n{}", entry.name, text()));
        assert!(start.elapsed() < HANGS_AFTER, "{} hangs on input {input}:\n{}", entry.name, text());
        for anomaly in &verdict.anomalies {
            let in_history = anomaly.witness.iter().all(|&event| event < history.len());
            assert!(in_history && !anomaly.sentence.is_empty(), "{}: {anomaly:?}\n{}", entry.name, text());
        }
        if let Some(anomaly) = verdict.anomalies.first() {
            *witnesses += 1;
            let (witness, again) = alone(entry, &facts, &history.witness(&anomaly.witness));
            // Where the cap on time was reached before a witness was found that stands alone, the anomaly says so.
            let said = anomaly.steps.iter().any(|step| step.contains("alone do not show it"));
            *unfinished += u64::from(said);
            assert!(
                again != Valid::True || said,
                "{}: the witness of {anomaly:?} is valid alone:\n{witness}\nof input {input}:\n{}",
                entry.name,
                text()
            );
        }
        let verdict = registry::unless_empty(verdict, &facts);
        serde_json::to_string(&verdict).unwrap();
    }
}

#[test]
fn no_input_makes_a_reader_or_a_checker_panic() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
    let inputs = number("SQUALL_FUZZ").unwrap_or(INPUTS);
    let first = number("SQUALL_FUZZ_SEED").unwrap_or(0);
    let seeds = seeds();
    let checkers: Vec<&CheckerEntry> = registry::all().collect();
    let (mut readable, mut recognised, mut witnesses, mut unfinished) = (0u64, 0u64, 0u64, 0u64);
    for input in first..first + inputs {
        let mut random = Random(input);
        // The seeds themselves come first.
        let bytes = match input {
            n if (n as usize) < seeds.len() => seeds[n as usize].clone(),
            _ => mutated(&mut random, &seeds),
        };
        let format = [None, None, None, Some(Format::ALL[random.below(Format::ALL.len())])][random.below(4)];
        let parsed = catch_unwind(AssertUnwindSafe(|| read_as(&bytes[..], "h", format)));
        let parsed = parsed.unwrap_or_else(|_| {
            panic!("a reader panics on input {input} as {format:?}:\n{}", String::from_utf8_lossy(&bytes))
        });
        recognised += u64::from(Format::detect(&bytes).is_some());
        match parsed {
            Ok(parsed) => {
                readable += 1;
                check(&parsed.history, &checkers, &mut random, input, [&mut witnesses, &mut unfinished]);
            }
            Err(error) => {
                assert!(error.line > 0 && error.column > 0 && !error.expected.is_empty(), "{error}")
            }
        }
    }
    println!(
        "{inputs} inputs, {recognised} of a known format, {readable} readable, {witnesses} witnesses judged alone, {unfinished} \
         of which say that they do not fail so"
    );
    assert!(readable * 20 > inputs, "the mutations destroy too much");
    assert!(unfinished * 20 <= witnesses.max(20), "{unfinished} of {witnesses} witnesses do not stand alone");
}
