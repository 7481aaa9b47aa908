use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::agent::NodeFault;

use super::processes::{hold, on_a_process, processes, release, stat, state};

const KIND: &str = "signal";

const SETTLE: Duration = Duration::from_secs(2);

/// Pause: every process of the node is stopped by SIGSTOP until SIGCONT. Takes no arguments.
#[derive(Default)]
pub struct Signal {
    stopped: BTreeSet<i32>,
}

impl NodeFault for Signal {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn probe(&mut self, _args: &Value) -> Result<()> {
        try_to_stop()
    }

    fn inject(&mut self, _args: &Value, pids: &[i32]) -> Result<Receipt> {
        let asked = Instant::now();
        let before = self.stopped.len();
        // What a process forked just before it stopped is found in the next round.
        let mut all: BTreeSet<i32> = pids.iter().copied().collect();
        loop {
            for &pid in all.difference(&self.stopped.clone()) {
                hold(pid, KIND)?;
                self.stopped.insert(pid);
            }
            settle(&self.stopped, |state| state == 'T');
            all = with_descendants(&self.stopped)?;
            if all.is_subset(&self.stopped) || asked.elapsed() > SETTLE {
                break;
            }
        }
        let is_new = self.stopped.len() > before;
        let done = if is_new { "paused" } else { "paused already" };
        let mut receipt = describe(&self.stopped, done, |state| state == 'T');
        receipt.confirmed &= is_new;
        Ok(receipt.with("us", asked.elapsed().as_micros() as u64))
    }

    fn heal(&mut self, pids: &[i32]) -> Result<Receipt> {
        let stopped = std::mem::take(&mut self.stopped);
        // Those that it stopped and, in case it does not remember, all that live.
        let all: BTreeSet<i32> = stopped.iter().chain(pids).copied().collect();
        // Who was killed meanwhile was stopped to its end.
        let gone = stopped.iter().filter(|&&pid| state(pid).is_none()).count();
        let lasted = gone + stopped.iter().filter(|&&pid| state(pid) == Some('T')).count();
        for &pid in &all {
            release(pid, KIND)?;
        }
        settle(&all, |state| state != 'T');
        let mut receipt = describe(&all, "resumed", |state| state != 'T');
        if gone > 0 {
            receipt.evidence += &format!(", {} killed while paused", processes(gone));
        }
        let resumed = receipt.confirmed || gone == all.len();
        receipt.confirmed = resumed && lasted > 0 && lasted == stopped.len();
        Ok(receipt.with("stopped_until_now", lasted))
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        for &pid in &self.stopped {
            let _ = release(pid, KIND);
        }
    }
}

/// Stops a process of its own.
pub(super) fn try_to_stop() -> Result<()> {
    on_a_process(|pid| {
        hold(pid, KIND)?;
        settle(&BTreeSet::from([pid]), |state| state == 'T');
        let stopped = state(pid) == Some('T');
        release(pid, KIND)?;
        ensure!(stopped, "a process that is sent SIGSTOP does not stop");
        Ok(())
    })
}

/// Waits, within a bound, until the state of each process that lives is as wished.
fn settle(pids: &BTreeSet<i32>, wished: impl Fn(char) -> bool) {
    let deadline = Instant::now() + SETTLE;
    while !pids.iter().filter_map(|&pid| state(pid)).all(&wished) && Instant::now() < deadline {
        thread::sleep(Duration::from_micros(200));
    }
}

/// A receipt for the processes whose state is as wished, out of those that live.
fn describe(pids: &BTreeSet<i32>, done: &str, wished: impl Fn(char) -> bool) -> Receipt {
    let states: Vec<(i32, char)> = pids.iter().filter_map(|&pid| Some((pid, state(pid)?))).collect();
    let as_wished = states.iter().filter(|(_, state)| wished(*state)).count();
    let list: Vec<String> = states.iter().map(|(pid, state)| format!("{pid} {state}")).collect();
    let evidence = match states.len() {
        0 => "no process lives".to_owned(),
        n if n == as_wished => format!("{} {done} (pid and state: {})", processes(n), list.join(", ")),
        n => format!("{as_wished} of {n} processes {done} (pid and state: {})", list.join(", ")),
    };
    Receipt { confirmed: !states.is_empty() && as_wished == states.len(), ..Receipt::confirmed(evidence) }
        .with("processes", as_wished)
}

fn with_descendants(pids: &BTreeSet<i32>) -> Result<BTreeSet<i32>> {
    let mut all = pids.clone();
    let entries = fs::read_dir("/proc").context("cannot list /proc")?;
    let mut family: Vec<(i32, i32)> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| stat(pid).filter(|(state, _)| *state != 'Z').map(|(_, parent)| (pid, parent)))
        .collect();
    loop {
        let before = all.len();
        family.retain(|(pid, parent)| {
            let found = all.contains(parent);
            if found {
                all.insert(*pid);
            }
            !found
        });
        if all.len() == before {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, Stdio};

    use nix::sys::signal::{Signal as Sig, kill};
    use nix::unistd::Pid;

    use super::*;

    fn send(pid: i32, signal: Sig) {
        let _ = kill(Pid::from_raw(pid), signal);
    }

    /// A shell with a child of its own; returns once both run.
    fn family() -> (Child, i32) {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (shell, line.trim().parse().unwrap())
    }

    fn end(mut shell: Child, child: i32) {
        send(child, Sig::SIGKILL);
        shell.kill().unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn processes_and_their_children_stop_and_go_on() {
        let (shell, child) = family();
        let pid = shell.id() as i32;
        let mut fault = Signal::default();

        let stopped = fault.inject(&Value::Null, &[pid]).unwrap();
        assert!(stopped.confirmed, "{stopped:?}");
        assert_eq!((state(pid), state(child)), (Some('T'), Some('T')));
        assert_eq!(stopped.measured["processes"], 2);
        println!("{}, {} us", stopped.evidence, stopped.measured["us"]);

        let resumed = fault.heal(&[pid, child]).unwrap();
        assert!(resumed.confirmed, "{resumed:?}");
        assert!(state(pid) != Some('T') && state(child) != Some('T'));
        assert_eq!(resumed.measured["stopped_until_now"], 2);

        let again = fault.heal(&[pid, child]).unwrap();
        assert!(!again.confirmed, "nothing was stopped: {again:?}");
        end(shell, child);
    }

    #[test]
    fn a_dropped_fault_leaves_nothing_stopped() {
        let (shell, child) = family();
        let mut fault = Signal::default();
        assert!(fault.inject(&Value::Null, &[shell.id() as i32]).unwrap().confirmed);
        drop(fault);
        settle(&[child].into(), |state| state != 'T');
        assert_ne!(state(child), Some('T'));
        end(shell, child);
    }

    #[test]
    fn the_receipt_tells_of_processes_that_someone_else_resumed() {
        let (shell, child) = family();
        let pids = [shell.id() as i32, child];
        let mut fault = Signal::default();
        fault.inject(&Value::Null, &pids).unwrap();
        pids.iter().for_each(|&pid| send(pid, Sig::SIGCONT));
        settle(&pids.into(), |state| state != 'T');
        assert!(!fault.heal(&pids).unwrap().confirmed);
        end(shell, child);
    }

    #[test]
    fn a_pause_that_a_kill_ended_was_a_pause() {
        let (shell, child) = family();
        let mut fault = Signal::default();
        fault.inject(&Value::Null, &[shell.id() as i32]).unwrap();
        end(shell, child);
        settle(&[child].into(), |_| false);
        let receipt = fault.heal(&[]).unwrap();
        assert!(receipt.confirmed, "{receipt:?}");
        assert_eq!(receipt.evidence, "no process lives, 2 processes killed while paused");
    }

    /// It counted like the first, though it changed nothing.
    #[test]
    fn a_second_pause_of_the_same_is_not_confirmed() {
        let [(first, child), (second, other)] = [family(), family()];
        let pids = [first.id() as i32, second.id() as i32];
        let mut fault = Signal::default();
        assert!(fault.inject(&Value::Null, &pids[..1]).unwrap().confirmed);
        let again = fault.inject(&Value::Null, &pids[..1]).unwrap();
        assert!(!again.confirmed && again.evidence.contains("paused already"), "{again:?}");
        let more = fault.inject(&Value::Null, &pids).unwrap();
        assert!(more.confirmed && state(other) == Some('T'), "{more:?}");
        assert!(fault.heal(&pids).unwrap().confirmed);
        end(first, child);
        end(second, other);
    }

    #[test]
    fn a_pause_of_nothing_is_not_confirmed() {
        let receipt = Signal::default().inject(&Value::Null, &[]).unwrap();
        assert_eq!((receipt.confirmed, receipt.evidence.as_str()), (false, "no process lives"));
    }
}
