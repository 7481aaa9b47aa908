//! `squall heal`: what an interrupted run left behind.

use anyhow::{Context as _, Result};
use squall_results::Store;

use crate::exit::Exit;
use crate::run_log::RunLog;
use crate::say::count;

/// Looks through the fault journals for faults that were never healed. A local cluster is gone with its controller, so
/// its open faults are only written down as healed; a controller that still lives is left alone.
pub(super) fn heal(store: &Store) -> Result<Exit> {
    let (mut healed, mut alive) = (0, 0);
    for run in store.runs()? {
        let open = squall_nemeses::journal::open_faults(&run.faults_path())?;
        if open.is_empty() {
            continue;
        }
        if RunLog::is_live(&run.log_path()) {
            eprintln!("{}: still running, left alone", run.id());
            alive += 1;
            continue;
        }
        squall_nemeses::journal::close_faults(&run.faults_path(), &open)
            .with_context(|| format!("cannot close the fault journal of {}", run.id()))?;
        println!("{}: {} vanished with the cluster", run.id(), count(open.len(), "fault", "faults"));
        healed += open.len();
    }
    match (healed, alive) {
        (0, 0) => println!("nothing to heal"),
        (0, _) => {}
        (n, _) => println!("healed {}", count(n, "fault", "faults")),
    }
    Ok(Exit::Valid)
}
