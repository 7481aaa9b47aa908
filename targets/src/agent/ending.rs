//! How the processes of a node end: by themselves, asked to, or killed.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};
use squall_checkers::Receipt;

use super::node::Node;
use super::process_table::{self, Entry};

/// How long a killed process may take to be gone: longer only in uninterruptible sleep or in a frozen cgroup.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to look whether it is.
const POLL: Duration = Duration::from_millis(2);

impl Node {
    /// Reaps the target's processes that ended, orphans too. Those of the faults are left to the faults.
    pub(super) fn reap(&mut self) {
        let own = getpid().as_raw();
        for entry in process_table::target().into_iter().filter(|e| e.is_zombie() && e.parent == own) {
            let status = match waitpid(Pid::from_raw(entry.pid), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => ExitStatus::from_raw(code << 8),
                Ok(WaitStatus::Signaled(_, signal, _)) => ExitStatus::from_raw(signal as i32),
                _ => continue,
            };
            if let Some(name) = self.spawned.remove(&entry.pid) {
                eprintln!("{name} (pid {}) ended: {status}", entry.pid);
            }
            self.ended.insert(entry.pid, status);
        }
    }

    /// Kills every process of the target.
    pub(super) fn kill(&mut self) -> Result<Receipt> {
        self.ended.clear();
        let killed = self.kill_all()?;
        if killed.is_empty() {
            return Ok(Receipt::unconfirmed("no process was running"));
        }
        let mut evidence = format!("{} gone (SIGKILL)", named(&killed));
        for (pid, status) in std::mem::take(&mut self.ended) {
            if killed.contains(&pid) && status.signal() != Some(Signal::SIGKILL as i32) {
                evidence.push_str(&format!(", pid {pid} before it could ({status})"));
            }
        }
        Ok(Receipt::confirmed(evidence).with("pids", killed))
    }

    /// Asks the target to end, as a service manager does: SIGTERM goes to the processes that it was started with, not to
    /// their children. What is left when they have ended, or after the grace time, is killed.
    pub(super) fn terminate(&mut self, grace: Duration) -> Result<Receipt> {
        self.ended.clear();
        let own = getpid().as_raw();
        let live = || process_table::target().into_iter().filter(|entry| !entry.is_zombie());
        let asked: Vec<i32> = live().filter(|entry| entry.parent == own).map(|entry| entry.pid).collect();
        if asked.is_empty() {
            return Ok(Receipt::unconfirmed("no process was running"));
        }
        let began = Instant::now();
        for &pid in &asked {
            signal(pid, Signal::SIGTERM)?;
        }
        // Gone is who can be reaped: a process may be a zombie while one of its threads still waits for the disk.
        while !asked.iter().all(|pid| self.ended.contains_key(pid)) && began.elapsed() < grace {
            sleep(POLL);
            self.reap();
        }
        let took_ms = began.elapsed().as_millis() as u64;
        let late: Vec<i32> = asked.iter().copied().filter(|pid| !self.ended.contains_key(pid)).collect();
        let mut phrases: Vec<String> = self
            .ended
            .iter()
            .filter(|(pid, _)| asked.contains(pid))
            .map(|(pid, status)| format!("pid {pid} ended within {took_ms} ms of SIGTERM ({status})"))
            .collect();
        let killed = self.kill_all()?;
        let left: Vec<i32> = killed.iter().copied().filter(|pid| !late.contains(pid)).collect();
        if !late.is_empty() {
            let grace_s = grace.as_secs_f64();
            phrases.push(format!("{} still there {grace_s} s after SIGTERM and killed", named(&late)));
        }
        if !left.is_empty() {
            phrases.push(format!("{} left over and killed", named(&left)));
        }
        Ok(Receipt::confirmed(phrases.join(", "))
            .with("pids", asked)
            .with("took_ms", took_ms)
            .with("killed", killed))
    }

    /// Sends SIGKILL until no process of the target is left, and tells to which.
    fn kill_all(&mut self) -> Result<Vec<i32>> {
        let mut killed: Vec<i32> = Vec::new();
        let deadline = Instant::now() + KILL_TIMEOUT;
        loop {
            let remaining = process_table::target();
            for pid in remaining.iter().filter(|entry| !entry.is_zombie()).map(|entry| entry.pid) {
                if signal(pid, Signal::SIGKILL)? && !killed.contains(&pid) {
                    killed.push(pid);
                }
            }
            if remaining.is_empty() {
                return Ok(killed);
            }
            if Instant::now() > deadline {
                let pids: Vec<i32> = remaining.iter().map(|entry: &Entry| entry.pid).collect();
                bail!("{} still there {} s after SIGKILL", named(&pids), KILL_TIMEOUT.as_secs());
            }
            sleep(POLL);
            self.reap();
        }
    }
}

/// Whether the process was there to get it.
fn signal(pid: i32, signal: Signal) -> Result<bool> {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => bail!("sending {signal} to pid {pid}: {}", errno.desc()),
    }
}

/// `pid 7`, `pids 7, 9`.
fn named(pids: &[i32]) -> String {
    let list: Vec<String> = pids.iter().map(i32::to_string).collect();
    format!("pid{} {}", if pids.len() == 1 { "" } else { "s" }, list.join(", "))
}
