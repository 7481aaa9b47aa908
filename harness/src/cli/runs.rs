//! `squall runs`, `report` and `serve`.

use anyhow::Result;
use squall_results::Store;

use crate::exit::Exit;

/// Lists the stored runs, newest first.
pub(super) fn list(store: &Store, json: bool) -> Result<Exit> {
    let runs = store.list()?;
    if json {
        println!("{}", serde_json::to_string_pretty(&runs)?);
    } else if runs.is_empty() {
        eprintln!("no runs in {}; squall demo makes one", store.dir().display());
    }
    if runs.is_empty() {
        return Ok(Exit::NothingRan);
    }
    if !json {
        println!("{:<44} {:<10} {:>9} {:>7}  {:<24} anomalies", "run", "verdict", "ops", "time", "nemeses");
        for run in runs {
            let (ops, seconds) = run.totals.map_or_else(Default::default, |totals| {
                (totals.ops.to_string(), format!("{} s", totals.duration_ns / 1_000_000_000))
            });
            println!(
                "{:<44} {:<10} {ops:>9} {seconds:>7}  {:<24} {}",
                run.id,
                run.status.to_string(),
                run.nemeses.join(","),
                run.anomalies.join(",")
            );
        }
    }
    Ok(Exit::Valid)
}

/// Writes the report of a run again.
pub(super) fn report(store: &Store, wanted: &str) -> Result<Exit> {
    let run = store.find(wanted)?;
    run.write_report()?;
    println!("{}", run.report_path().display());
    Ok(Exit::Valid)
}

/// Serves the runs until Ctrl-C.
pub(super) fn serve(store: Store, listen: std::net::SocketAddr) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(squall_results::serve(store, listen))?;
    Ok(Exit::Valid)
}
