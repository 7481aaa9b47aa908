//! A cache of the summaries of a store's runs: `index.json`.
//!
//! Each entry carries the sizes and times of the files it was made from. An entry whose stamp differs is read again, and
//! one without a directory is dropped, so the file may be lost, old or foreign and the list is still right.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::{Run, RunSummary, files};

const FORMAT: u32 = 1;

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    format: u32,
    runs: BTreeMap<String, Entry>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// Size and modification time (nanoseconds since 1970) of `run.toml`, then of `verdict.json`; zeros where missing.
    stamp: [u64; 4],
    summary: RunSummary,
}

pub(crate) struct Index {
    path: PathBuf,
    stored: BTreeMap<String, Entry>,
    fresh: BTreeMap<String, Entry>,
}

impl Index {
    pub(crate) fn load(store: &Path) -> Index {
        let path = store.join("index.json");
        let stored: Option<Stored> = fs::read(&path).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let stored = stored.filter(|stored| stored.format == FORMAT).unwrap_or_default();
        Index { path, stored: stored.runs, fresh: BTreeMap::new() }
    }

    pub(crate) fn summary(&mut self, run: &Run) -> RunSummary {
        let stamp = stamp(run);
        let entry = match self.stored.get(run.id()) {
            Some(entry) if entry.stamp == stamp => entry.clone(),
            _ => Entry { stamp, summary: RunSummary::read(run) },
        };
        self.fresh.insert(run.id().to_owned(), entry.clone());
        entry.summary
    }

    /// Writes the index if it changed. A store that cannot be written to is still listed, only more slowly.
    pub(crate) fn save(self) {
        if self.fresh == self.stored {
            return;
        }
        let stored = Stored { format: FORMAT, runs: self.fresh };
        let _ = files::replace(&self.path, |out| {
            Ok(serde_json::to_writer(&mut *out as &mut dyn Write, &stored)?)
        });
    }
}

fn stamp(run: &Run) -> [u64; 4] {
    let [config, verdict] = [run.config_path(), run.verdict_path()].map(|path| {
        let meta = fs::metadata(path).ok()?;
        let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((meta.len(), modified.as_nanos() as u64))
    });
    let ((a, b), (c, d)) = (config.unwrap_or_default(), verdict.unwrap_or_default());
    [a, b, c, d]
}
