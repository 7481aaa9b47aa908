//! The histories that others recorded, with their expected verdicts.
//!
//! They are not part of this repository. Where `SQUALL_HISTORIES` names their folder, or `shared/histories` lies beside the
//! workspace, they are read; elsewhere there is nothing to check.

use std::path::PathBuf;
use std::{env, fs};

/// Each row of their table: where the file is; then file, format, model, claim, and whether it holds (`true` or `false`). None where the
/// folder is not there.
pub(crate) fn rows() -> Vec<(PathBuf, [String; 5])> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/histories"));
    let folder = env::var_os("SQUALL_HISTORIES").map_or_else(beside, PathBuf::from);
    let Ok(table) = fs::read_to_string(folder.join("expected.tsv")) else {
        println!("skipped: there are no foreign histories in {}", folder.display());
        return Vec::new();
    };
    let row = |line: &str| {
        let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let columns: [String; 5] = columns.try_into().unwrap_or_else(|_| panic!("five columns: {line}"));
        (folder.join(&columns[0]), columns)
    };
    table.lines().skip(1).map(row).collect()
}
