//! The processes of a node: their states, and who holds them stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::{self, Signal as Sig};
use nix::unistd::Pid;

/// Which faults hold which process: it goes on when the last one lets it.
static HOLDS: Mutex<BTreeMap<i32, BTreeSet<&'static str>>> = Mutex::new(BTreeMap::new());

/// Stops a process on behalf of a fault.
pub(super) fn hold(pid: i32, fault: &'static str) -> Result<()> {
    let mut holds = HOLDS.lock().unwrap_or_else(PoisonError::into_inner);
    holds.entry(pid).or_default().insert(fault);
    send(pid, Sig::SIGSTOP)
}

/// The fault has no more need for it to stand. It goes on unless another one has.
pub(super) fn release(pid: i32, fault: &'static str) -> Result<()> {
    let mut holds = HOLDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(by) = holds.get_mut(&pid) {
        by.remove(fault);
        if !by.is_empty() {
            return Ok(());
        }
    }
    holds.remove(&pid);
    send(pid, Sig::SIGCONT)
}

/// Whether another fault than this one has it stopped.
pub(super) fn is_held_by_another(pid: i32, fault: &str) -> bool {
    let holds = HOLDS.lock().unwrap_or_else(PoisonError::into_inner);
    holds.get(&pid).is_some_and(|by| by.iter().any(|other| *other != fault))
}

/// Tries something on a process that is there for nothing else.
pub(super) fn on_a_process(act: impl FnOnce(i32) -> Result<()>) -> Result<()> {
    let mut process = Command::new("sleep").arg("60").spawn().context("starting a process to try it on")?;
    let tried = act(process.id() as i32);
    process.kill()?;
    process.wait()?;
    tried
}

/// A process that is gone needs no signal.
fn send(pid: i32, signal: Sig) -> Result<()> {
    match signal::kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{signal} to pid {pid}")),
    }
}

/// The state letter of a process, from `/proc/PID/stat`; `None` when it is gone or only waits to be reaped.
pub(super) fn state(pid: i32) -> Option<char> {
    stat(pid).map(|(state, _)| state).filter(|state| !matches!(state, 'Z' | 'X'))
}

/// State and parent. The name before them is in parentheses and may hold anything, parentheses too.
pub(super) fn stat(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// `1 process`, `2 processes`.
pub(super) fn processes(n: usize) -> String {
    if n == 1 { "1 process".to_owned() } else { format!("{n} processes") }
}

/// `pid 7`, `pids 7, 9`.
pub(super) fn named<'a>(pids: impl IntoIterator<Item = &'a i32>) -> String {
    let list: Vec<String> = pids.into_iter().map(i32::to_string).collect();
    format!("pid{} {}", if list.len() == 1 { "" } else { "s" }, list.join(", "))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    /// A process that ends with the test.
    pub(crate) struct Running(pub(crate) Child);

    impl Running {
        /// A shell in a session of its own, as targets are; returns once it has said something.
        pub(crate) fn shell(script: &str) -> Running {
            let mut child =
                Command::new("setsid").args(["sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            Running(child)
        }

        pub(crate) fn pid(&self) -> i32 {
            self.0.id() as i32
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_process_goes_on_when_the_last_fault_lets_it() {
        let sleeper = Running::shell("echo up; exec sleep 60");
        let becomes = |stopped: bool| {
            let began = Instant::now();
            while (state(sleeper.pid()) == Some('T')) != stopped {
                assert!(began.elapsed() < Duration::from_secs(5), "stopped: {}", !stopped);
            }
        };
        hold(sleeper.pid(), "one").unwrap();
        hold(sleeper.pid(), "other").unwrap();
        becomes(true);
        assert!(is_held_by_another(sleeper.pid(), "one"));
        release(sleeper.pid(), "one").unwrap();
        assert!(!is_held_by_another(sleeper.pid(), "other"));
        assert_eq!(state(sleeper.pid()), Some('T'));
        release(sleeper.pid(), "other").unwrap();
        becomes(false);
    }
}
