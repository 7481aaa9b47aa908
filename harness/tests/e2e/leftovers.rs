//! What a run may leave behind: nothing but its directory. Looked for on the whole machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::squall::{Folder, until};

/// The environment variable by which processes are known as ours.
pub(crate) const MARKER: &str = "E2E_MARKER";

/// What a machine has before a run.
pub(crate) struct Machine {
    interfaces: BTreeSet<String>,
    mounts: BTreeSet<String>,
    scratch: BTreeSet<String>,
}

impl Machine {
    /// As it is now.
    pub(crate) fn now() -> Machine {
        let lines = |path: &str, pick: fn(&str) -> Option<&str>| -> BTreeSet<String> {
            fs::read_to_string(path).unwrap().lines().filter_map(pick).map(str::to_owned).collect()
        };
        Machine {
            interfaces: lines("/proc/self/net/dev", |line| Some(line.split_once(':')?.0.trim())),
            mounts: lines("/proc/self/mounts", |line| line.starts_with("squall ").then_some(line)),
            scratch: ["/run", "/dev/shm", "/var/tmp"].iter().flat_map(|dir| names(Path::new(dir))).collect(),
        }
    }

    /// Asserts that a run in that folder, whose processes were marked so, left nothing but its directory.
    pub(crate) fn is_clean_after(&self, folder: &Folder, marker: &str) {
        until_gone(marker);
        let now = Machine::now();
        let ours = |name: &&String| {
            let mut letters = name.chars();
            *name == "squall"
                || name.len() == 2 && letters.next() == Some('n') && letters.all(|c| c.is_ascii_digit())
        };
        let new: Vec<_> = now.interfaces.difference(&self.interfaces).filter(ours).collect();
        assert!(new.is_empty(), "interfaces are left: {new:?}");
        let new: Vec<_> = now.mounts.difference(&self.mounts).collect();
        assert!(new.is_empty(), "mounts are left: {new:?}");
        let new: Vec<_> =
            now.scratch.difference(&self.scratch).filter(|name| name.contains("squall")).collect();
        assert!(new.is_empty(), "files are left: {new:?}");
        let outside: Vec<_> = names(folder.path()).into_iter().filter(|name| name != "results").collect();
        assert!(outside.is_empty(), "files outside of the results: {outside:?}");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The processes on this machine, whatever their namespaces, with this mark in their environment: id and command line.
pub(crate) fn marked(marker: &str) -> Vec<(i32, String)> {
    let mark = format!("{MARKER}={marker}");
    let pids = names(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok());
    let found = pids.filter_map(|pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        if !environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()) {
            return None;
        }
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&command).replace('\0', " ")))
    });
    found.collect()
}

/// Ends whatever has this mark, so that a test that fails leaves nothing running.
pub(crate) fn end_marked(marker: &str) {
    for (pid, _) in marked(marker) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn until_gone(marker: &str) {
    until(&format!("the end of {:?}", marked(marker)), || marked(marker).is_empty().then_some(()));
}
