//! The histories that others recorded, with their expected verdicts.
//!
//! They are not part of this repository. Where `SQUALL_HISTORIES` names their folder, or `shared/histories` lies beside the
//! workspace, they are read; elsewhere there is nothing to check.

use std::path::PathBuf;
use std::{env, fs};

/// A row of their table. Not every test looks at all of it.
#[allow(dead_code)]
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The path below the folder.
    pub(crate) file: String,
    pub(crate) path: PathBuf,
    pub(crate) format: String,
    pub(crate) model: String,
    pub(crate) claim: String,
    pub(crate) holds: bool,
}

/// All rows; none where the folder is not there.
pub(crate) fn rows() -> Vec<Row> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/histories"));
    let folder = env::var_os("SQUALL_HISTORIES").map_or_else(beside, PathBuf::from);
    let Ok(table) = fs::read_to_string(folder.join("expected.tsv")) else {
        println!("skipped: there are no foreign histories in {}", folder.display());
        return Vec::new();
    };
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [file, format, model, claim, holds] = columns[..] else { panic!("five columns: {line}") };
        Row {
            file: file.into(),
            path: folder.join(file),
            format: format.into(),
            model: model.into(),
            claim: claim.into(),
            holds: holds == "true",
        }
    };
    table.lines().skip(1).map(row).collect()
}
