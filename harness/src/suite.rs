//! The nightly suite: correct designs must pass, every bug must be found. A wrong verdict, either way, is a failure.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use squall_checkers::Verdict;
use squall_results::seed_hex;

use crate::cli::args::{SuiteArgs, SuitePart};
use crate::exit::Exit;

/// One row of the matrix.
#[derive(Clone, Debug)]
struct Row {
    design: &'static str,
    workload: String,
    nemesis: String,
    nodes: u8,
    /// The bug that is switched on and must be found; without one the run must be valid.
    bug: Option<&'static squall_refkv::Bug>,
}

/// What came of a row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RowResult {
    /// The bug, or the design where it is correct.
    subject: String,
    workload: String,
    nemesis: String,
    nodes: u8,
    /// Whether the verdict is the right one.
    right: bool,
    /// What was said, per try.
    verdicts: Vec<String>,
    /// The last try's run.
    run: String,
    /// How to repeat the last try.
    again: String,
}

/// The workloads and nemeses under which a correct design must stay valid.
const CORRECT: &[(&str, &str, &str, u8)] = &[
    ("raft", "register", "partition,kill,pause", 5),
    ("raft", "set", "partition,kill", 3),
    ("raft", "append", "partition,kill,pause", 5),
    ("raft", "register", "partition:primaries", 3),
    ("raft", "append", "membership,kill", 5),
    ("raft", "register", "packets,kill", 5),
    ("raft", "set", "clock,kill", 3),
    ("raft", "set", "power,disk", 3),
    ("raft", "append", "power:all", 5),
    // Clocks that keep to the bound of its leases, which is 10 %.
    ("raft-lease", "register", "clock:drift=-90000ppm+clock=both,partition:primaries", 3),
];

/// What brings a bug out soon, beside its nemeses: much is under way when a fault strikes, and faults strike often.
pub(crate) const BUG_ARGS: [&str; 4] = ["--rate", "2000", "--interval", "1s"];

fn rows(only: Option<SuitePart>) -> Vec<Row> {
    let correct = CORRECT.iter().map(|&(design, workload, nemesis, nodes)| Row {
        design,
        workload: workload.to_owned(),
        nemesis: nemesis.to_owned(),
        nodes,
        bug: None,
    });
    let bugs = squall_refkv::BUGS.iter().map(|bug| Row {
        design: bug.design,
        workload: bug.workload.to_owned(),
        nemesis: bug.nemesis.to_owned(),
        nodes: 3,
        bug: Some(bug),
    });
    let mut rows = Vec::new();
    if only != Some(SuitePart::Bugs) {
        rows.extend(correct);
    }
    if only != Some(SuitePart::Correct) {
        rows.extend(bugs);
    }
    rows
}

/// Runs the matrix, each test in a process of its own, and prints a Markdown table.
pub(crate) fn run(args: &SuiteArgs, results: &std::path::Path, json: bool, seed: u64) -> Result<Exit> {
    let rows = rows(args.only);
    if !json {
        println!("# squall suite, seed {}\n", seed_hex(seed));
        println!(
            "| | subject | workload | nemesis | nodes | verdicts | run |\n|---|---|---|---|---|---|---|"
        );
    }
    let mut done = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let row_seed = seed.wrapping_add(index as u64 * 1000);
        let result = run_row(row, args, results, row_seed)?;
        if !json {
            println!(
                "| {} | {} | {} | {} | {} | {} | {} |",
                if result.right { "ok" } else { "**WRONG**" },
                result.subject,
                result.workload,
                result.nemesis,
                result.nodes,
                result.verdicts.join(", "),
                result.run
            );
        }
        done.push(result);
    }
    let wrong: Vec<&RowResult> = done.iter().filter(|result| !result.right).collect();
    if json {
        println!("{}", serde_json::to_string_pretty(&done)?);
    } else {
        println!("\n{} right, {} wrong", done.len() - wrong.len(), wrong.len());
        wrong.iter().for_each(|result| println!("again    {}", result.again));
    }
    Ok(if wrong.is_empty() { Exit::Valid } else { Exit::Invalid })
}

/// A correct row is run once and must be valid; a bug is tried until it is found or the tries are used up.
fn run_row(row: &Row, args: &SuiteArgs, results: &std::path::Path, seed: u64) -> Result<RowResult> {
    let mut result = RowResult {
        subject: row.bug.map_or(row.design, |bug| bug.name).to_owned(),
        workload: row.workload.clone(),
        nemesis: row.nemesis.clone(),
        nodes: row.nodes,
        right: false,
        verdicts: Vec::new(),
        run: String::new(),
        again: String::new(),
    };
    let tries = if row.bug.is_some() { args.tries } else { 1 };
    let wanted = if row.bug.is_some() { Exit::Invalid } else { Exit::Valid };
    for try_index in 0..tries {
        let output = run_test(row, args.time_limit, results, seed.wrapping_add(u64::from(try_index)))?;
        result.right = output.code == Some(i32::from(wanted as u8)) && output.is_right_for(row);
        let stop = result.right || matches!(output.code, Some(3 | 130 | 143));
        result.verdicts.push(output.said());
        result.run = output.run;
        result.again = output.again;
        if stop {
            break;
        }
    }
    Ok(result)
}

struct TestOutput {
    code: Option<i32>,
    word: String,
    /// Kinds of the anomalies.
    anomalies: Vec<String>,
    /// What was odd: in a correct design nothing may be.
    warnings: Vec<String>,
    run: String,
    again: String,
}

impl TestOutput {
    /// Whether it is the right anomaly, or no trouble at all where none is due.
    fn is_right_for(&self, row: &Row) -> bool {
        match row.bug {
            Some(bug) => self.anomalies.iter().any(|kind| bug.anomalies.contains(&kind.as_str())),
            None => self.warnings.is_empty(),
        }
    }

    /// The verdict in a few words.
    fn said(&self) -> String {
        let details = if self.anomalies.is_empty() { &self.warnings } else { &self.anomalies };
        if details.is_empty() { self.word.clone() } else { format!("{} ({})", self.word, details.join(", ")) }
    }
}

/// The kinds of the anomalies of a verdict and its parts, each once.
fn kinds(verdict: Verdict) -> Vec<String> {
    let kinds: BTreeSet<String> =
        verdict.all_anomalies().iter().map(|anomaly| anomaly.kind.clone()).collect();
    kinds.into_iter().collect()
}

/// Runs one test in a process of its own: a crash of one cannot hurt the others.
fn run_test(row: &Row, time_limit: Duration, results: &std::path::Path, seed: u64) -> Result<TestOutput> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["test", "--json", "-t", "refkv", "-w", &row.workload, "-n", &row.nemesis]);
    command.args(["--nodes", &row.nodes.to_string(), "--seed", &seed_hex(seed)]);
    command.args(["--time-limit", &humantime::format_duration(time_limit).to_string()]);
    command.args(["--option", &format!("design={}", row.design)]);
    command.arg("--results").arg(results);
    if let Some(bug) = row.bug {
        command.args(["--bug", bug.name]).args(BUG_ARGS);
    }
    crate::sys::die_with_us(&mut command);
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot run squall test")?;
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    Ok(TestOutput {
        code: output.status.code(),
        word: match text("word") {
            word if word.is_empty() => format!("exit {:?}", output.status.code()),
            word => word,
        },
        anomalies: serde_json::from_value(document["verdict"].clone()).map(kinds).unwrap_or_default(),
        warnings: serde_json::from_value(document["warnings"].clone()).unwrap_or_default(),
        run: text("id"),
        again: text("again"),
    })
}
