use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Result, ensure};

use crate::{Report, Run, Store};

/// A file is read whole; a longer log is better read where it is.
const LARGEST_BYTES: u64 = 512 << 20;

pub(super) struct Served {
    pub(super) content_type: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// A file of a run, or `None` if there is none. Nothing outside the run's directory is ever opened.
pub(super) fn open(store: &Store, id: &str, path: &str) -> Result<Option<Served>> {
    let Some(run) = store.runs()?.into_iter().find(|run| run.id() == id) else { return Ok(None) };
    if path == "report.html" && is_stale(&run) && run.write_report().is_err() {
        // A store that cannot be written to can still be read.
        let bytes = Report::new(&run.load()?).render().into_bytes();
        return Ok(Some(Served { content_type: content_type(path), bytes }));
    }
    let Some(file) = inside(run.dir(), path) else { return Ok(None) };
    let bytes = fs::metadata(&file)?.len();
    ensure!(bytes <= LARGEST_BYTES, "{} has {bytes} bytes: read it there", file.display());
    Ok(Some(Served { content_type: content_type(path), bytes: fs::read(file)? }))
}

/// The file at a relative path, if it is one and neither `..` nor a link leads out of the directory.
fn inside(dir: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    if !path.components().all(|component| matches!(component, Component::Normal(_))) {
        return None;
    }
    let dir = dir.canonicalize().ok()?;
    let file = dir.join(path).canonicalize().ok()?;
    (file.starts_with(&dir) && file.is_file()).then_some(file)
}

/// Whether the report is missing or older than something it was made from.
fn is_stale(run: &Run) -> bool {
    let modified = |path: PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let Some(report) = modified(run.report_path()) else { return true };
    let sources = [run.config_path(), run.history_path(), run.faults_path(), run.verdict_path()];
    let newest: Option<SystemTime> = sources.into_iter().filter_map(modified).max();
    newest.is_some_and(|source| source > report)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("zst") => "application/zstd",
        Some("toml" | "jsonl" | "log" | "txt" | "md" | "out" | "err") | None => "text/plain; charset=utf-8",
        Some(_) => "application/octet-stream",
    }
}
