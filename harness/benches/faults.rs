//! Every nemesis on the reference KV, for as long as it takes to bite a few times: prints the table of
//! `harness/docs/FAULTS.md`, with the median times from the intent to the receipt and from the begin of healing to its end.
//! Ends with 1 if a run was not valid, or a nemesis never bit.
//!
//! `cargo bench -p squall --bench faults [-- NAME...]`

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use squall_checkers::history::faults;
use squall_checkers::{FaultEvent, Phase};
use squall_nemeses::{journal, registry};

const NODES: &str = "3";

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let mut all_well = true;
    println!("| nemesis | mechanism | receipt | what ends it | bit | to apply | to heal |");
    println!("|---|---|---|---|---|---|---|");
    for entry in &registry::ALL {
        if entry.name == "none" || !asked.is_empty() && !asked.iter().any(|name| name == entry.name) {
            continue;
        }
        match measured(entry.name) {
            Ok(columns) => println!("{} {columns}", entry.row()),
            Err(error) => {
                println!("{} {error} | | |", entry.row());
                all_well = false;
            }
        }
    }
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The last columns: how many of its faults bit, and how long they took.
fn measured(nemesis: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let run = Command::new(env!("CARGO_BIN_EXE_squall"))
        .args([
            "test",
            "-q",
            "--nodes",
            NODES,
            "--time-limit",
            "15s",
            "--interval",
            "2s",
            "--seed",
            "1",
            "-n",
            nemesis,
        ])
        .arg("--results")
        .arg(folder.path())
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&run.stdout);
    if run.status.code() != Some(0) {
        let error = String::from_utf8_lossy(&run.stderr).lines().last().unwrap_or_default().to_owned();
        return Err(format!("{}: {} {error}", run.status, said.lines().next().unwrap_or_default()));
    }
    let events = events(folder.path()).ok_or("no journal")?;
    let injected: Vec<&FaultEvent> = events.iter().filter(|event| event.phase == Phase::Injected).collect();
    let bit = faults(&events, 0).iter().filter(|fault| fault.confirmed).count();
    if bit == 0 {
        return Err(format!("none of {} bit", injected.len()));
    }
    let intent = |id: u64| events.iter().find(|event| event.id == id && event.phase == Phase::Intent);
    let apply = injected.iter().filter_map(|event| Some(event.time_ns - intent(event.id)?.time_ns)).collect();
    let healings = events.iter().filter(|event| event.phase == Phase::Healed);
    let heal = healings.filter_map(|event| Some(event.time_ns - event.began_ns?)).collect();
    Ok(format!("{bit} of {} | {} | {} |", injected.len(), median(apply), median(heal)))
}

fn events(results: &Path) -> Option<Vec<FaultEvent>> {
    let runs = fs::read_dir(results).ok()?.filter_map(|entry| Some(entry.ok()?.path().join("faults.jsonl")));
    runs.filter(|path| path.is_file()).find_map(|path| journal::read(&path).ok())
}

fn median(mut ns: Vec<u64>) -> String {
    ns.sort_unstable();
    match ns.get(ns.len() / 2) {
        None => "-".to_owned(),
        Some(&ns) if ns < 1_000_000 => format!("{} µs", ns / 1_000),
        Some(&ns) if ns < 10_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        Some(&ns) => format!("{} ms", ns / 1_000_000),
    }
}
