//! `squall check`: judge a stored run, or a history from elsewhere.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use squall_checkers::checker::check_all;
use squall_checkers::history::{self, Parsed};
use squall_checkers::{Budget, Checker, Verdict, registry};
use squall_results::{Run, RunConfig, RunData, Store, Totals};
use squall_workloads::workload::Options;

use super::args::CheckArgs;
use super::{BadArgument, NothingRan};
use crate::Squall;
use crate::exit::Exit;
use crate::judge::judge;
use crate::say::{tell, word};

/// Judges and tells. A stored run keeps the new verdict and gets a new report.
pub(super) fn check(squall: &Squall, args: &CheckArgs, store: &Store, json: bool) -> Result<Exit> {
    let chosen = squall.find_checkers(&args.checker).map_err(|error| BadArgument(error.to_string()))?;
    if args.history == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        return check_foreign(history::read(&bytes, "standard input")?, "standard input", chosen, json);
    }
    if Path::new(&args.history).is_file() {
        return check_foreign(history::read_file(&args.history)?, &args.history, chosen, json);
    }
    check_run(squall, &args.history, chosen, store, json)
}

fn check_run(
    squall: &Squall,
    wanted: &str,
    chosen: Vec<Box<dyn Checker>>,
    store: &Store,
    json: bool,
) -> Result<Exit> {
    let run = store.find(wanted).map_err(|error| match wanted {
        "latest" => error,
        _ => BadArgument(format!("there is no file {wanted}, and {error}")).into(),
    })?;
    let mut data = run.load()?;
    // What is torn is judged as far as it goes; what is damaged or missing must not replace a verdict.
    if !run.history_path().exists() {
        bail!(NothingRan(format!("{} has no history: it ended before its clients began", run.id())));
    }
    data.history = history::read_file(run.history_path())?.history;
    let own = chosen.is_empty();
    let checkers = if own { checkers_of(squall, &data.config)? } else { chosen };
    let verdict = judge(&data.config.workload, &checkers, &data.history);
    data.verdict = Some(verdict.clone());
    let mut report = None;
    // Other checkers than the run's own answer another question: the stored verdict stays.
    if own {
        report = keep(&run, &mut data, &verdict);
    }
    told(&data, &verdict, report, json)
}

/// Stores the verdict and writes the report. What cannot be written changes no verdict.
fn keep(run: &Run, data: &mut RunData, verdict: &Verdict) -> Option<String> {
    let warn = |error: anyhow::Error| eprintln!("warning  {error:#}");
    if !run.verdict_path().exists() && data.config.notes.is_empty() {
        let note = "The run was cut short before it was judged: this is its beginning.".to_owned();
        data.config.notes.push(note.clone());
        data.notes.push(note);
        run.write_config(&data.config).unwrap_or_else(warn);
    }
    run.write_verdict(verdict, &Totals::of(&data.history, &data.faults)).unwrap_or_else(warn);
    run.write_report_of(data).map_err(warn).ok().map(|path| path.display().to_string())
}

fn checkers_of(squall: &Squall, config: &RunConfig) -> Result<Vec<Box<dyn Checker>>> {
    let options = Options {
        concurrency: config.concurrency as usize,
        nodes: config.nodes.clone(),
        // Only generators mind.
        ops_per_key: 1,
    };
    let entry = squall.find_workload(&config.workload).map_err(|error| {
        BadArgument(format!(
            "the run names no workload whose checkers could judge it, name some with -c: {error}"
        ))
    })?;
    Ok((entry.build)(&options).checkers)
}

fn check_foreign(
    parsed: Parsed,
    name: &str,
    mut checkers: Vec<Box<dyn Checker>>,
    json: bool,
) -> Result<Exit> {
    let history = parsed.history;
    if !history.iter().any(|op| op.is_client()) {
        bail!(NothingRan("the history holds no operation of a client: there is nothing to judge".to_owned()));
    }
    if checkers.is_empty() {
        checkers = registry::fitting(&history).map_err(BadArgument)?;
    }
    let verdict = check_all(name, &checkers, &history, &Budget::default());
    let notes = parsed.warnings.iter().map(ToString::to_string).collect();
    let (id, verdict) = (name.to_owned(), Some(verdict));
    let data = RunData { id, history, verdict, notes, ..RunData::default() };
    told(&data, data.verdict.as_ref().expect("judged above"), None, json)
}

/// Prints the last lines of a run, and a line for each checker.
fn told(data: &RunData, verdict: &Verdict, report: Option<String>, json: bool) -> Result<Exit> {
    tell(data, report, json)?;
    if !json {
        for part in &verdict.parts {
            println!("  {:<8} {:<24} {}", word(part.valid).to_lowercase(), part.checker, part.summary);
        }
    }
    Ok(verdict.valid.into())
}
