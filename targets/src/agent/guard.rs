//! What outlives an agent on a machine that others use too.

use std::fs;
use std::io::{self, PipeReader, Read, pipe};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::exit;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, setpgid};
use serde::{Deserialize, Serialize};

use super::NodeFault;
use super::process_table::{self, Entry};
use crate::cluster::Unavailable;
use crate::cluster::local::{attend, mounts};
use crate::sys;

/// Held by the agent and its guard: a network has one agent at a time. The kernel keeps such names by network namespace.
const CLAIM: &[u8] = b"squall-agent";
/// How long to wait for an agent that is just ending, as one does whose controller was killed.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(20);
/// How long processes may take to be gone after SIGKILL.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// What is beside an agent on a machine that is not ours alone, and outlives it: there nothing else removes what it leaves.
///
/// Where it may (as root), the agent becomes the init of a pid namespace, with its own mounts, so that the kernel ends
/// every process and mount with it. Elsewhere orphans come to the *guard*, its parent, who ends them. The agent ends with
/// its guard. When it has ended, in whatever way, the *executor*, a process in a group of its own, [sweeps](NodeFault::sweep) after each fault and removes the scratch directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Removed with all that is in it, logs and data of the node among that.
    pub scratch: PathBuf,
    /// Leaves it there.
    #[serde(default)]
    pub keep: bool,
}

impl Guard {
    /// Splits this process, which must have one thread, in three, and returns in the one that is to be the agent.
    pub(super) fn enter(&self, faults: &mut [Box<dyn NodeFault>]) -> Result<()> {
        let claim = claim()?;
        // In case all three were killed, and the machine still runs.
        sweep(faults);
        let namespaces = may_make_namespaces()?;
        let mut awaited: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        awaited.add(Signal::SIGCHLD);
        sys::default(Signal::SIGCHLD)?;
        // The executor keeps this mask: it must not be hurried.
        let mask = awaited.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        prctl::set_child_subreaper(true)?;
        let (until_dead, agent_lives) = pipe()?;
        let executor = match sys::fork_single_threaded()? {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                drop(agent_lives);
                self.execute(until_dead, faults)
            }
        };
        drop(until_dead);
        if namespaces {
            unshare(CloneFlags::CLONE_NEWPID).context("making a pid namespace")?;
        }
        let (lifeline, guard_lives) = pipe()?;
        if let ForkResult::Parent { child } = sys::fork_single_threaded()? {
            drop(agent_lives);
            let code = attend(child, &awaited, Pid::from_raw(-1)).unwrap_or(255);
            end_offspring(executor);
            // An error means that it was reaped with the others.
            let _ = waitpid(executor, None);
            if self.scratch.exists() && !self.keep {
                // It was killed.
                self.clean(faults);
            }
            exit(code);
        }
        drop(guard_lives);
        // The agent holds them as long as it lives, so that no other comes before it has healed.
        std::mem::forget((claim, agent_lives));
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

    /// What the executor does, once nobody holds the other end of the pipe any more.
    fn execute(&self, mut until_dead: PipeReader, faults: &mut [Box<dyn NodeFault>]) -> ! {
        let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
        let _ = until_dead.read_to_end(&mut Vec::new());
        self.clean(faults);
        exit(0)
    }

    /// Tries to remove the directory for a while, since processes that write there may still be ending.
    fn clean(&self, faults: &mut [Box<dyn NodeFault>]) {
        sweep(faults);
        if self.keep {
            return;
        }
        let deadline = Instant::now() + END_TIMEOUT;
        while let Err(error) = fs::remove_dir_all(&self.scratch) {
            if error.kind() == io::ErrorKind::NotFound {
                break;
            }
            if Instant::now() > deadline {
                eprintln!("removing {}: {error}", self.scratch.display());
                return;
            }
            sleep(Duration::from_millis(50));
        }
        // The directory of the run, if this was its last node here.
        if let Some(run) = self.scratch.parent() {
            let _ = fs::remove_dir(run);
        }
    }
}

fn sweep(faults: &mut [Box<dyn NodeFault>]) {
    for fault in faults {
        match fault.sweep() {
            Ok(left) => left.iter().for_each(|left| eprintln!("removed what was left: {left}")),
            Err(error) => eprintln!("sweeping after {}: {error:#}", fault.kind()),
        }
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
fn end_offspring(but: Pid) {
    let deadline = Instant::now() + END_TIMEOUT;
    loop {
        let is_other = |entry: &Entry| entry.pid != but.as_raw() && entry.parent != but.as_raw();
        let left: Vec<Entry> = process_table::offspring().into_iter().filter(is_other).collect();
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
