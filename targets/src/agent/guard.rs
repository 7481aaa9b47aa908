//! What outlives an agent on a machine that others use too.

use std::fs::File;
use std::io::{self, pipe};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio, exit};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};
use serde::{Deserialize, Serialize};

use super::process_table;
use crate::cluster::Unavailable;
use crate::cluster::local::{attend, mounts};
use crate::sys;

/// Held by the agent and its guard: a network has one agent at a time. The kernel keeps such names by network namespace.
const CLAIM: &[u8] = b"squall-agent";
/// How long to wait for an agent that is just ending, as one does whose controller was killed.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(20);
/// How long processes may take to be gone after SIGKILL.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// The agent's will, if it has a guard.
static WILL: OnceLock<File> = OnceLock::new();

/// Where an agent that has a guard writes shell commands, a line each, that are to be run when it is dead, however it died:
/// they must undo what the kernel does not undo by itself, and do no harm where that has been undone. A process of its own
/// runs them, which neither a signal to the agent's processes nor their end takes along.
///
/// `None` where an agent has no guard: its own children outlive it there, and can do the same.
pub fn will() -> Option<&'static File> {
    WILL.get()
}

/// A second process beside an agent, which outlives it and removes what the agent could not: on a machine that is not
/// ours alone nothing else does.
///
/// Where it may (as root), the agent becomes the init of a pid namespace, with its own mounts, so that the kernel ends
/// every process and mount with it. Elsewhere orphans come to the guard, who ends them. The agent ends with its guard. When
/// both have ended, in whatever way, a third carries out the agent's [will] and removes the scratch directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Removed with all that is in it, logs and data of the node among that.
    pub scratch: PathBuf,
    /// Leaves it there.
    #[serde(default)]
    pub keep: bool,
}

impl Guard {
    /// Splits this process, which must have one thread, in two, and returns in the one that is to be the agent.
    pub(super) fn enter(&self) -> Result<()> {
        let claim = claim()?;
        let namespaces = may_make_namespaces()?;
        let mut awaited: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        awaited.add(Signal::SIGCHLD);
        sys::default(Signal::SIGCHLD)?;
        let mask = awaited.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        prctl::set_child_subreaper(true)?;
        let mut executor = self.executor()?;
        let will = executor.stdin.take().map(std::os::fd::OwnedFd::from).expect("its input is a pipe");
        if namespaces {
            unshare(CloneFlags::CLONE_NEWPID).context("making a pid namespace")?;
        }
        let (lifeline, guard_lives) = pipe()?;
        if let ForkResult::Parent { child } = sys::fork_single_threaded()? {
            drop(will);
            let code = attend(child, &awaited, Pid::from_raw(-1)).unwrap_or(255);
            end_offspring(executor.id() as i32);
            // An error means that it was reaped with the others.
            let _ = executor.wait();
            exit(code);
        }
        drop(guard_lives);
        let _ = WILL.set(File::from(will));
        // The agent holds it as long as it lives, so that no other comes before it has healed.
        std::mem::forget(claim);
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        let mut ends = [PollFd::new(lifeline.as_fd(), PollFlags::empty())];
        if poll(&mut ends, PollTimeout::ZERO)? > 0 {
            bail!("the guard of the agent was killed");
        }
        mask.thread_set_mask()?;
        if namespaces {
            own_mounts()?;
        }
        Ok(())
    }

    /// A shell that reads commands until nobody is left who could write some, runs them, and removes the scratch directory.
    /// That may take some tries, while processes in it are still ending.
    fn executor(&self) -> Result<Child> {
        let remove = "for try in 1 2 3 4 5; do rm -rf \"$1\" && break; sleep 0.2; done; rmdir \"${1%/*}\"";
        let script = format!(
            "trap '' HUP INT TERM; commands=$(cat); eval \"$commands\"; {}",
            if self.keep { "" } else { remove }
        );
        Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(&self.scratch)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting sh, which cleans up when the agent is dead")
    }
}

/// Makes sure that no other agent acts on this machine's network.
fn claim() -> Result<UnixListener> {
    let name = SocketAddr::from_abstract_name(CLAIM)?;
    let deadline = Instant::now() + CLAIM_TIMEOUT;
    loop {
        match UnixListener::bind_addr(&name) {
            Ok(claim) => return Ok(claim),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                return Err(error).context("claiming this machine for one agent");
            }
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(20)),
            Err(_) => {
                let what = "another agent of squall is at work on this machine, and two would undo each other's faults";
                return Err(Unavailable::new(what, "wait until its run has ended").into());
            }
        }
    }
}

/// Tries it in a child: half of it would be worse than none.
fn may_make_namespaces() -> Result<bool> {
    if let ForkResult::Parent { child } = sys::fork_single_threaded()? {
        return Ok(waitpid(child, None)? == WaitStatus::Exited(child, 0));
    }
    let tried = || -> Result<bool> {
        unshare(CloneFlags::CLONE_NEWPID)?;
        if let ForkResult::Parent { child } = sys::fork_single_threaded()? {
            return Ok(waitpid(child, None)? == WaitStatus::Exited(child, 0));
        }
        own_mounts()?;
        Ok(true)
    };
    exit(i32::from(!tried().unwrap_or(false)))
}

/// Mounts of this process alone, with a `/proc` of its pid namespace.
fn own_mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("making a mount namespace")?;
    mounts::private()?;
    mounts::proc()
}

/// Ends what the agent left, without a pid namespace: orphans, stopped ones too. All but this one.
fn end_offspring(but: i32) {
    let deadline = Instant::now() + END_TIMEOUT;
    loop {
        let left: Vec<_> = process_table::offspring()
            .into_iter()
            .filter(|entry| entry.pid != but && entry.parent != but)
            .collect();
        if left.is_empty() || Instant::now() > deadline {
            break;
        }
        for entry in left {
            let pid = Pid::from_raw(entry.pid);
            match kill(pid, Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => eprintln!("killing pid {pid}: {}", errno.desc()),
            }
        }
        while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
            waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG))
        {}
        sleep(Duration::from_millis(2));
    }
}
