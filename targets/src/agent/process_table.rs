//! What `/proc` says about processes.

use std::collections::BTreeSet;
use std::fs;

use nix::unistd::{Pid, getpid, getsid};

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: i32,
    pub(super) parent: i32,
    session: i32,
    state: char,
}

impl Entry {
    pub(super) fn is_zombie(self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The target's processes: the agent's descendants, zombies included, without those in the agent's own session, which
/// are the helpers of its faults.
pub(super) fn target() -> Vec<Entry> {
    let own = getsid(None).unwrap_or(getpid()).as_raw();
    let all = all();
    let ours = if getpid() == Pid::from_raw(1) { None } else { Some(descendants(&all, getpid().as_raw())) };
    let is_ours = |pid| ours.as_ref().is_none_or(|ours| ours.contains(&pid));
    all.into_iter().filter(|entry| entry.session != own && is_ours(entry.pid)).collect()
}

/// All descendants of this process, zombies included.
pub(super) fn offspring() -> Vec<Entry> {
    let all = all();
    let ours = descendants(&all, getpid().as_raw());
    all.into_iter().filter(|entry| ours.contains(&entry.pid)).collect()
}

/// The ids of the target's live processes, for faults that watch them.
pub fn target_pids() -> Vec<i32> {
    target().into_iter().filter(|entry| !entry.is_zombie()).map(|entry| entry.pid).collect()
}

/// The command lines of the target's live processes, with their ids.
pub(super) fn target_commands() -> Vec<(i32, Vec<String>)> {
    let command = |pid: i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = line.strip_suffix(b"\0").unwrap_or(&line);
        Some((pid, line.split(|&byte| byte == 0).map(|arg| String::from_utf8_lossy(arg).into()).collect()))
    };
    target_pids().into_iter().filter_map(command).collect()
}

fn all() -> Vec<Entry> {
    let Ok(directory) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = directory.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut table: Vec<Entry> = pids.filter_map(entry).collect();
    table.sort_unstable_by_key(|entry| entry.pid);
    table
}

/// `None` if it is gone.
fn entry(pid: i32) -> Option<Entry> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// proc_pid_stat(5). The name, in parentheses, may itself hold blanks and parentheses.
fn parse(pid: i32, stat: &str) -> Option<Entry> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let _group = fields.next()?;
    let session = fields.next()?.parse().ok()?;
    Some(Entry { pid, parent, session, state })
}

fn descendants(all: &[Entry], root: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            all.iter().filter(|entry| found.contains(&entry.parent)).map(|e| e.pid).collect::<Vec<_>>(),
        );
        if found.len() == before {
            found.remove(&root);
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let entry = parse(7, "7 (a) R (b) Z 3 4 5 0 -1 4194560 0").unwrap();
        assert_eq!(entry, Entry { pid: 7, parent: 3, session: 5, state: 'Z' });
    }

    #[test]
    fn descendants_are_found_at_any_depth_and_in_any_order() {
        let entry = |pid, parent| Entry { pid, parent, session: 0, state: 'S' };
        let all = [entry(2, 9), entry(5, 1), entry(7, 5), entry(9, 7), entry(11, 3)];
        assert_eq!(descendants(&all, 5), BTreeSet::from([2, 7, 9]));
    }
}
