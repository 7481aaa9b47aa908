//! The crate's only unsafe code: what neither the standard library nor nix can offer safely.

use std::fs::{self, File};
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::{prctl, ptrace};
use nix::unistd::{ForkResult, fork, setsid};

/// Forks a process that has one thread; with more it is an error, since a lock that another thread holds would stay
/// locked in the child for ever.
pub(crate) fn fork_single_threaded() -> io::Result<ForkResult> {
    let threads = fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("cannot fork a process that has {threads} threads")));
    }
    // SAFETY: this thread is the only one, so the child has everything that the parent has.
    Ok(unsafe { fork() }?)
}

/// Ignores a signal.
pub(crate) fn ignore(signal: Signal) -> io::Result<()> {
    set_handler(signal, SigHandler::SigIgn)
}

/// Gives a signal its default action.
pub(crate) fn default(signal: Signal) -> io::Result<()> {
    set_handler(signal, SigHandler::SigDfl)
}

fn set_handler(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler is a disposition, or `note_signal`, which is async-signal-safe.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

static NOTES: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note_signal(signal: libc::c_int) {
    let byte = signal as u8;
    // SAFETY: write(2) is async-signal-safe, the buffer is one live byte, and the descriptor is never closed. A full
    // pipe loses the byte, but then there are others to wake the reader.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(NOTES.load(Ordering::Relaxed), std::ptr::from_ref(&byte).cast(), 1);
        *libc::__errno_location() = errno;
    }
}

/// From now on each of these signals is a byte, its number, in the pipe returned. A handler rather than a blocked mask
/// and a signalfd, since children inherit a mask. Once in a process. Both ends are non-blocking.
pub(crate) fn signals_as_bytes(signals: &[Signal]) -> io::Result<File> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)?;
    NOTES.store(writer.into_raw_fd(), Ordering::Relaxed);
    for &signal in signals {
        set_handler(signal, SigHandler::Handler(note_signal))?;
    }
    Ok(File::from(reader))
}

/// Makes the process that `command` will start the leader of a session of its own, with no signal blocked, and ends it
/// when the calling thread ends.
pub(crate) fn detach(command: &mut Command) {
    // SAFETY: the closure makes three system calls and touches no memory but its own.
    unsafe {
        command.pre_exec(|| {
            setsid()?;
            SigSet::empty().thread_set_mask()?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            Ok(())
        });
    }
}

/// Makes the process that `command` will start stop before its first instruction, traced by the thread that starts it.
pub(crate) fn be_traced(command: &mut Command) {
    // SAFETY: the closure makes one system call.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
}

/// A socket to the kernel's routing and link tables, bound to the network namespace of this moment.
pub(crate) fn netlink_route_socket() -> io::Result<File> {
    // SAFETY: plain system call; the descriptor is checked before it is owned, and nobody else has it.
    unsafe {
        let fd = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from_raw_fd(fd))
    }
}
