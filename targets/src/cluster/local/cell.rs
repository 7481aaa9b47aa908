//! The cell: namespaces that hold a whole local cluster and vanish with it.
//!
//! Three processes share the work. The *keeper* is the one that the user started: it waits outside. The *init* is PID 1
//! of the new pid namespace: it reaps orphans, and when it ends the kernel kills everything inside. It gets SIGKILL
//! when the keeper ends in whatever way. The *controller* is its child and the only one in which
//! [`enter`] returns `Inside`.

use std::fs;
use std::io::{PipeReader, pipe};
use std::os::fd::AsFd;
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, setpgid};

use super::rtnl::Rtnl;
use super::{mounts, namespaces};
use crate::sys;

static INSIDE: AtomicBool = AtomicBool::new(false);

/// Where [`enter`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the process that was started, after everything inside has ended and vanished: exit with this code, which is
    /// the controller's, or 128 plus the signal that killed it.
    Outside {
        /// The exit code.
        code: i32,
    },
    /// In the cell: go on.
    Inside,
}

/// Makes the cell and goes on inside it. Call it first thing in `main`, while the process has one thread.
///
/// SIGINT, SIGTERM and SIGHUP sent to the process outside reach the one inside, unless they were ignored at the start.
/// The process inside has a process group of its own, so that a Ctrl-C comes once, by that way.
///
/// # Errors
/// [`Unavailable`](crate::cluster::Unavailable), where the machine forbids it. Nothing is left behind then.
pub fn enter() -> anyhow::Result<Place> {
    if inside() {
        return Ok(Place::Inside);
    }
    let forwarded = not_ignored([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])?;
    let mut awaited: SigSet = forwarded.iter().copied().collect();
    awaited.add(Signal::SIGCHLD);
    sys::default(Signal::SIGCHLD)?;
    let mask = awaited.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;

    namespaces::unshare_cell()?;
    let (lifeline, keeper_lives) = pipe()?;
    if let ForkResult::Parent { child } = sys::fork_single_threaded()? {
        let code = attend(child, &awaited, child)?;
        mask.thread_set_mask()?;
        return Ok(Place::Outside { code });
    }
    drop(keeper_lives);
    become_init(&lifeline)?;
    drop(lifeline);
    if let ForkResult::Parent { child } = sys::fork_single_threaded()? {
        exit(attend(child, &awaited, Pid::from_raw(-1)).unwrap_or(255));
    }
    mask.thread_set_mask()?;
    INSIDE.store(true, Ordering::Relaxed);
    Ok(Place::Inside)
}

/// Whether this process is in a cell.
pub(super) fn inside() -> bool {
    INSIDE.load(Ordering::Relaxed)
}

fn become_init(lifeline: &PipeReader) -> anyhow::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let mut ends = [PollFd::new(lifeline.as_fd(), PollFlags::empty())];
    if poll(&mut ends, PollTimeout::ZERO)? > 0 {
        bail!("the process that waits for the cell was killed while the cell was made");
    }
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    // A background process group may write to its terminal only so.
    sys::ignore(Signal::SIGTTOU)?;
    sys::ignore(Signal::SIGTTIN)?;
    mounts::private()?;
    mounts::proc()?;
    mounts::run()?;
    Rtnl::open().and_then(|mut links| links.up("lo")).context("setting the loopback interface up")
}

/// Passes signals on to `child` and reaps what `reaps` names (as waitpid(2) does) until the child ends; its exit code.
pub(crate) fn attend(child: Pid, awaited: &SigSet, reaps: Pid) -> anyhow::Result<i32> {
    loop {
        let signal = awaited.wait()?;
        if signal != Signal::SIGCHLD {
            // It fails only if the child has just ended, which the next round sees.
            let _ = kill(child, signal);
            continue;
        }
        loop {
            match waitpid(reaps, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == child => return Ok(code),
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => return Ok(128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Those of `signals` that this process does not ignore (as under nohup).
fn not_ignored<const N: usize>(signals: [Signal; N]) -> anyhow::Result<Vec<Signal>> {
    let status = fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .context("no SigIgn in /proc/self/status")?;
    Ok(signals.into_iter().filter(|&signal| mask >> (signal as i32 - 1) & 1 == 0).collect())
}
