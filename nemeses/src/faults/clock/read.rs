//! Reads the clock of another process, through that process' own eyes.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::hook::now;
use super::vdso::{self, Vdso};

/// Instructions that reading a clock may take.
const STEPS: usize = 5_000;

/// Where the call shall return to: no code can lie there.
const NOWHERE: u64 = 0x10;

/// What clock 0 (CLOCK_REALTIME) or 1 (CLOCK_MONOTONIC) shows to the process, in nanoseconds: its main thread is
/// stopped, calls its own `clock_gettime`, and goes on where it was.
pub(super) fn clock(pid: i32, vdso: &Vdso, clock: u64) -> Result<i64> {
    let entry = vdso::find(&pid.to_string())?.start + vdso.functions[0].start as u64;
    let thread = Pid::from_raw(pid);
    ptrace::seize(thread, ptrace::Options::empty()).with_context(|| format!("tracing pid {pid}"))?;
    let read = stop(thread).and_then(|()| call(thread, entry, clock));
    // It may have been killed meanwhile.
    let _ = ptrace::detach(thread, None);
    read.with_context(|| format!("reading the clock of pid {pid}"))
}

/// How far a clock of the process is from the true one; the true time of that; and how long it took to read.
pub(super) fn offset(pid: i32, vdso: &Vdso, which: usize) -> Result<(i64, i64, Duration)> {
    let before = now()[which];
    let seen = clock(pid, vdso, which as u64)?;
    let after = now()[which];
    let true_ns = before + (after - before) / 2;
    Ok((seen - true_ns, true_ns, Duration::from_nanos((after - before) as u64)))
}

fn stop(thread: Pid) -> Result<()> {
    ptrace::interrupt(thread)?;
    waitpid(thread, Some(WaitPidFlag::__WALL))?;
    Ok(())
}

fn call(thread: Pid, entry: u64, clock: u64) -> Result<i64> {
    let saved = ptrace::getregs(thread)?;
    // Below what the interrupted function may use without saying so.
    let result = (saved.rsp - 1024) & !63;
    let mut registers = saved;
    (registers.rip, registers.rdi, registers.rsi, registers.rsp) = (entry, clock, result, result - 8);
    // Else the kernel would start an interrupted system call anew, with our registers.
    registers.orig_rax = u64::MAX;
    ptrace::write(thread, (result - 8) as ptrace::AddressType, NOWHERE as i64)?;
    ptrace::setregs(thread, registers)?;
    let called = step_through(thread);
    let word = |at: u64| ptrace::read(thread, at as ptrace::AddressType);
    let time = called.and_then(|()| Ok(word(result)? * 1_000_000_000 + word(result + 8)?));
    ptrace::setregs(thread, saved)?;
    time
}

fn step_through(thread: Pid) -> Result<()> {
    for _ in 0..STEPS {
        ptrace::step(thread, None)?;
        waitpid(thread, Some(WaitPidFlag::__WALL))?;
        if ptrace::getregs(thread)?.rip == NOWHERE {
            return Ok(());
        }
    }
    bail!("clock_gettime does not return")
}
