//! The crate's only unsafe code: what neither the standard library nor nix can offer safely.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
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

/// One descriptor in the ancillary data of a message (cmsg(3)).
#[repr(C)]
struct Descriptor {
    header: libc::cmsghdr,
    descriptor: libc::c_int,
}

impl Descriptor {
    fn new(descriptor: libc::c_int) -> Descriptor {
        // SAFETY: an integer-only structure, for which zeros are a value.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        (header.cmsg_level, header.cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        header.cmsg_len = (size_of::<libc::cmsghdr>() + size_of::<libc::c_int>()) as _;
        Descriptor { header, descriptor }
    }

    /// A message of one byte that carries it, for as long as both live.
    fn message(&mut self, data: &mut libc::iovec) -> libc::msghdr {
        // SAFETY: as above.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        (message.msg_iov, message.msg_iovlen) = (data, 1);
        (message.msg_control, message.msg_controllen) =
            (std::ptr::from_mut(self).cast(), size_of::<Descriptor>() as _);
        message
    }
}

/// Sends a descriptor; neither allocates nor locks.
fn send_descriptor(socket: &OwnedFd, descriptor: libc::c_int) -> io::Result<()> {
    let (mut byte, mut carried) = (0_u8, Descriptor::new(descriptor));
    let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let message = carried.message(&mut data);
    // SAFETY: all that the message points to lives on this stack for the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) };
    if sent == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits for a descriptor; `None` when nobody can send one any more.
pub(crate) fn receive_descriptor(socket: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let (mut byte, mut carried) = (0_u8, Descriptor::new(-1));
    let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut message = carried.message(&mut data);
    loop {
        // SAFETY: all that the message points to lives on this stack for the call.
        match unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) } {
            1 if carried.descriptor >= 0 => break,
            -1 if Errno::last() == Errno::EINTR => {}
            -1 => return Err(io::Error::last_os_error()),
            _ => return Ok(None),
        }
    }
    // SAFETY: the kernel has just made it for this process, and nobody else knows of it.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(carried.descriptor) }))
}

/// Makes the process that `command` will start, and its children, wait with those system calls that the filter selects until
/// they are answered. The listener for them is sent through the socket before the program starts.
pub(crate) fn be_filtered(command: &mut Command, filter: Vec<libc::sock_filter>, socket: OwnedFd) {
    // SAFETY: the closure makes system calls and touches no memory but its own, which was made before the fork.
    unsafe {
        command.pre_exec(move || {
            let listener = install_filter(&filter)?;
            send_descriptor(&socket, listener)
        });
    }
}

/// Returns the listener. Who is not root where it lives must give up setuid programs for it. Neither allocates nor locks.
fn install_filter(filter: &[libc::sock_filter]) -> io::Result<libc::c_int> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let install = |flags: libc::c_ulong| {
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: the program lives on this stack and points to the borrowed filter, which the kernel only reads.
        let listener = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
        Errno::result(listener).map(|listener| listener as libc::c_int)
    };
    let plain = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // So that an interruption does not begin a call anew that is being answered; since Linux 5.19.
    let steady = plain | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let mut installed = install(steady);
    if installed == Err(Errno::EACCES) {
        prctl::set_no_new_privs()?;
        installed = install(steady);
    }
    if installed == Err(Errno::EINVAL) {
        installed = install(plain);
    }
    Ok(installed?)
}

/// Makes the process that `command` will start make a system call that fails like this, or not start at all.
pub(crate) fn rehearse_call(command: &mut Command, answer: Errno) {
    // SAFETY: the closure makes one system call, on no file.
    unsafe {
        command.pre_exec(move || match Errno::result(libc::fsync(-1)) {
            Err(errno) if errno == answer => Ok(()),
            _ => Err(Errno::ENOSYS.into()),
        });
    }
}

/// Takes the next call that waits for an answer; `None` if it does not wait any more.
pub(crate) fn next_call(listener: BorrowedFd<'_>) -> io::Result<Option<libc::seccomp_notif>> {
    // SAFETY: an integer-only structure, for which zeros are a value; the kernel wants them.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
    // SAFETY: the request's number says how large the structure is, which lives on this stack for the call.
    let received = unsafe { libc::ioctl(listener.as_raw_fd(), request, &raw mut call) };
    match Errno::result(received) {
        Ok(_) => Ok(Some(call)),
        Err(Errno::ENOENT | Errno::EINTR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// What the kernel shall do with a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// What it does anyway.
    Pass,
    /// Return this.
    Value(i64),
    /// Fail with this number.
    Error(i32),
}

/// Answers a call. One that does not wait any more needs none.
pub(crate) fn answer_call(listener: BorrowedFd<'_>, id: u64, reply: Reply) -> io::Result<()> {
    let mut response = libc::seccomp_notif_resp { id, val: 0, error: 0, flags: 0 };
    match reply {
        Reply::Pass => response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        Reply::Value(value) => response.val = value,
        Reply::Error(errno) => response.error = -errno,
    }
    // SAFETY: as for receiving.
    let sent =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
    match Errno::result(sent) {
        Ok(_) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether a call still waits for its answer.
pub(crate) fn call_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one number, which lives on this stack for the call.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
}

/// Has the kernel switch from who calls to who answers, and back, on one processor, where it can (Linux 6.6).
pub(crate) fn wake_at_once(listener: BorrowedFd<'_>) {
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the argument is a number. Older kernels refuse it, and are slower.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
}
