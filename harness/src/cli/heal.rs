//! `squall heal`: what an interrupted run left behind.

use anyhow::Result;
use squall_nemeses::journal;
use squall_results::{Run, Store};

use crate::exit::Exit;
use crate::run_log::RunLog;
use crate::say::count;

/// Looks through the fault journals for faults that were never healed. A local cluster is gone with its controller, so
/// its open faults are only written down as healed; a controller that still lives is left alone.
pub(super) fn heal(store: &Store) -> Result<Exit> {
    let (mut healed, mut alive) = (0, 0);
    for run in store.runs()? {
        // Before the journal is read: a run that ends in between has healed itself.
        let live = RunLog::is_live(&run.log_path());
        match heal_run(&run, live) {
            Ok(0) => {}
            Ok(_) if live => {
                eprintln!("{}: still running, left alone", run.id());
                alive += 1;
            }
            Ok(faults) => {
                println!("{}: {} vanished with the cluster", run.id(), count(faults, "fault", "faults"));
                healed += faults;
            }
            Err(error) => eprintln!("warning  {}: {error:#}", run.id()),
        }
    }
    match (healed, alive) {
        (0, 0) => println!("nothing to heal"),
        (0, _) => {}
        (n, _) => println!("{} closed in the journals", count(n, "fault", "faults")),
    }
    Ok(Exit::Valid)
}

/// How many faults a run left open. They are closed unless it is still running.
fn heal_run(run: &Run, live: bool) -> Result<usize> {
    let open = journal::open_faults(&run.faults_path())?;
    if !live && !open.is_empty() {
        journal::close_faults(&run.faults_path(), &open)?;
    }
    Ok(open.len())
}
