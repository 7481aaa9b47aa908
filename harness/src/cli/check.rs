//! `squall check`: judge a stored run, or a history from elsewhere.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use squall_checkers::checker::check_all;
use squall_checkers::history::{self, Parsed};
use squall_checkers::{Checker, History, Verdict, registry};
use squall_results::{RunConfig, RunData, Store, Totals};
use squall_workloads::workload::Options;

use super::args::CheckArgs;
use super::{BadArgument, NothingRan};
use crate::Squall;
use crate::coverage::Coverage;
use crate::exit::Exit;
use crate::judge::judge;
use crate::say::{Saying, word};

/// Judges and tells. A stored run keeps the new verdict and gets a new report.
pub(super) fn check(squall: &Squall, args: &CheckArgs, store: &Store, json: bool) -> Result<Exit> {
    let chosen = squall.find_checkers(&args.checker).map_err(|error| BadArgument(error.to_string()))?;
    if args.history == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        return check_foreign(&warned(history::read(&bytes, "standard input")?), chosen, json);
    }
    if Path::new(&args.history).is_file() {
        return check_foreign(&warned(history::read_file(&args.history)?), chosen, json);
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
    let RunData { config, history, faults, notes, .. } = run.load()?;
    notes.iter().for_each(|note| eprintln!("warning  {note}"));
    let own = chosen.is_empty();
    let checkers = if own { checkers_of(squall, &config)? } else { chosen };
    let verdict = judge(&config.workload, &checkers, &history);
    let coverage = Coverage::of(&history, &faults, !config.nemeses.is_empty());
    let mut report = None;
    // Other checkers than the run's own answer another question: the stored verdict stays.
    if own {
        run.write_verdict(&verdict, &Totals::of(&history, &faults))?;
        run.write_report()?;
        report = Some(run.report_path().display().to_string());
    }
    let again = Some(config.again());
    tell(
        &Saying { verdict: &verdict, history: &history, faults: &faults, coverage: &coverage, report, again },
        json,
    )
}

fn checkers_of(squall: &Squall, config: &RunConfig) -> Result<Vec<Box<dyn Checker>>> {
    let options = Options {
        concurrency: config.concurrency as usize,
        nodes: config.nodes.clone(),
        // Only generators mind.
        ops_per_key: 1,
    };
    Ok((squall.find_workload(&config.workload)?.build)(&options).checkers)
}

fn check_foreign(history: &History, mut checkers: Vec<Box<dyn Checker>>, json: bool) -> Result<Exit> {
    if !history.iter().any(|op| op.is_client()) {
        bail!(NothingRan("the history holds no operation of a client: there is nothing to judge".to_owned()));
    }
    if checkers.is_empty() {
        checkers = registry::fitting(history).map_err(BadArgument)?;
    }
    let verdict = check_all("history", &checkers, history);
    let coverage = Coverage::of(history, &[], false);
    tell(
        &Saying { verdict: &verdict, history, faults: &[], coverage: &coverage, report: None, again: None },
        json,
    )
}

fn warned(parsed: Parsed) -> History {
    parsed.warnings.iter().for_each(|warning| eprintln!("warning  {warning}"));
    parsed.history
}

fn tell(saying: &Saying<'_>, json: bool) -> Result<Exit> {
    let verdict: &Verdict = saying.verdict;
    if json {
        let document = serde_json::json!({ "word": word(verdict.valid), "verdict": verdict });
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print!("{}", saying.text());
        for part in &verdict.parts {
            println!("  {:<8} {:<24} {}", word(part.valid).to_lowercase(), part.checker, part.summary);
        }
    }
    Ok(verdict.valid.into())
}
