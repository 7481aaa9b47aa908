use std::path::Path;
use std::process::ExitCode;

use anyhow::ensure;
use squall_checkers::registry as checkers;
pub use squall_checkers::registry::CheckerEntry;
use squall_checkers::{FaultEvent, Unknown};
use squall_nemeses::registry as nemeses;
pub use squall_nemeses::registry::Entry as NemesisEntry;
use squall_nemeses::{Schedule, Setting};
use squall_targets::Target;
use squall_targets::systems::file::FileTarget;
use squall_targets::target;
pub use squall_targets::target::Entry as TargetEntry;
use squall_targets::target::TargetOptions;
use squall_workloads::workload;
pub use squall_workloads::workload::Entry as WorkloadEntry;

/// The `squall` command with everything it knows by name.
pub struct Squall {
    pub(crate) targets: Vec<TargetEntry>,
    pub(crate) workloads: Vec<WorkloadEntry>,
    pub(crate) nemeses: Vec<NemesisEntry>,
    pub(crate) checkers: Vec<CheckerEntry>,
}

impl Default for Squall {
    fn default() -> Squall {
        Squall::new()
    }
}

impl Squall {
    /// The command with what comes built in.
    pub fn new() -> Squall {
        Squall {
            targets: target::ALL.to_vec(),
            workloads: workload::ALL.to_vec(),
            nemeses: nemeses::ALL.to_vec(),
            checkers: checkers::all().copied().collect(),
        }
    }

    /// Knows one more target. One of the same name is replaced, as with the others.
    pub fn target(mut self, entry: TargetEntry) -> Squall {
        self.targets.retain(|known| known.name != entry.name);
        self.targets.push(entry);
        self
    }

    /// Knows one more workload.
    pub fn workload(mut self, entry: WorkloadEntry) -> Squall {
        self.workloads.retain(|known| known.name != entry.name);
        self.workloads.push(entry);
        self
    }

    /// Knows one more nemesis.
    pub fn nemesis(mut self, entry: NemesisEntry) -> Squall {
        self.nemeses.retain(|known| known.name != entry.name);
        self.nemeses.push(entry);
        self
    }

    /// Knows one more checker, for `squall check -c`. A workload's own checkers are in the workload.
    pub fn checker(mut self, entry: CheckerEntry) -> Squall {
        self.checkers.retain(|known| known.name != entry.name);
        self.checkers.push(entry);
        self
    }

    /// Parses the command line and does what it says. Call it first thing in `main`, before any thread is started.
    pub fn main(self) -> ExitCode {
        crate::cli::main(&self, std::env::args_os().collect())
    }

    pub(crate) fn find_target(&self, name: &str) -> Result<&TargetEntry, Unknown> {
        find("target", name, &self.targets, |entry| entry.name)
    }

    /// The target of this name, or the one that this file (`….toml`) describes; and what to call it.
    pub(crate) fn make_target(
        &self,
        name: &str,
        options: &TargetOptions,
    ) -> anyhow::Result<(String, Box<dyn Target>)> {
        let file = Path::new(name);
        if file.extension().is_none_or(|extension| extension != "toml") {
            return Ok((name.to_owned(), self.find_target(name)?.make(options)?));
        }
        ensure!(options.is_empty(), "{name} is a target file: it takes no -o and no --bug");
        let stem = file.file_stem().map_or(name.into(), |stem| stem.to_string_lossy());
        Ok((stem.into_owned(), Box::new(FileTarget::read(file)?)))
    }

    pub(crate) fn find_workload(&self, name: &str) -> Result<&WorkloadEntry, Unknown> {
        find("workload", name, &self.workloads, |entry| entry.name)
    }

    /// The schedule of a list such as `partition:halves,kill`.
    pub(crate) fn schedule_of_list(&self, list: &str, setting: &Setting) -> anyhow::Result<Schedule> {
        Schedule::of_list(list, setting, &self.nemeses)
    }

    /// The schedule that does again what a journal says.
    pub(crate) fn schedule_of_journal(
        &self,
        journal: &[FaultEvent],
        setting: &Setting,
    ) -> anyhow::Result<Schedule> {
        Schedule::of_journal(journal, setting, &self.nemeses)
    }

    /// The schedule of a file of this name and text.
    pub(crate) fn schedule_of_file(
        &self,
        name: &str,
        text: &str,
        setting: &Setting,
    ) -> anyhow::Result<Schedule> {
        Schedule::of_file(name, text, setting, &self.nemeses)
    }

    pub(crate) fn find_checker(&self, name: &str) -> Result<&CheckerEntry, Unknown> {
        find("checker", name, &self.checkers, |entry| entry.name)
    }
}

fn find<'a, T>(
    kind: &'static str,
    name: &str,
    entries: &'a [T],
    of: fn(&T) -> &'static str,
) -> Result<&'a T, Unknown> {
    let known = || Unknown::new(kind, name, entries.iter().map(of));
    entries.iter().find(|entry| of(entry) == name).ok_or_else(known)
}
