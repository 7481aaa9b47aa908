//! System calls of the target that a fault answers in the kernel's place, by seccomp user notification (seccomp(2),
//! `seccomp_unotify(2)`).
//!
//! A filter is put into each process of the target before its program starts, and its children inherit it: what it selects
//! waits until the agent has answered (about 10 µs), all else costs next to nothing. There is no way to take a filter off: a
//! fault that is not in force lets calls pass. When the agent dies the kernel answers ENOSYS to what was selected: no matter,
//! since the target dies with its agent.

mod filter;
mod supervisor;

use std::collections::BTreeMap;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;

pub use self::filter::{Test, Watched};
use crate::cluster::Unavailable;
use crate::sys;

/// A system call that waits for an answer.
pub struct Call<'a> {
    /// Its number on this architecture.
    pub number: i64,
    /// Its arguments.
    pub args: [u64; 6],
    /// The thread that made it.
    pub thread: i32,
    id: u64,
    listener: BorrowedFd<'a>,
}

impl Call<'_> {
    /// What lies there in the memory of its process.
    pub fn read<const N: usize>(&self, address: u64) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        let from = [RemoteIoVec { base: address as usize, len: N }];
        let read = process_vm_readv(Pid::from_raw(self.thread), &mut [IoSliceMut::new(&mut bytes)], &from)?;
        self.still_waits()?;
        if read == N { Ok(bytes) } else { Err(Errno::EFAULT) }
    }

    /// Puts that there.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.still_waits()?;
        let to = [RemoteIoVec { base: address as usize, len: bytes.len() }];
        let written = process_vm_writev(Pid::from_raw(self.thread), &[IoSlice::new(bytes)], &to)?;
        if written == bytes.len() { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Otherwise its thread may have ended, and another may have its id.
    fn still_waits(&self) -> Result<(), Errno> {
        if sys::call_waits(self.listener, self.id) { Ok(()) } else { Err(Errno::ESRCH) }
    }
}

/// What is answered to a call.
pub enum Answer {
    /// The kernel does it.
    Pass,
    /// The kernel does it when this has returned, which may take its time: it has a thread of its own.
    PassAfter(Box<dyn FnOnce() + Send>),
    /// It is done, and this is what it returns.
    Return(i64),
    /// It fails.
    Fail(Errno),
}

/// Who answers calls. While one is answered, others of the same process wait.
pub trait Answers: Send + Sync {
    /// Those that are to come here.
    fn watched(&self) -> Vec<Watched>;

    /// Answers one of them.
    fn answer(&self, call: &Call<'_>) -> Answer;
}

/// Who answers which call, by its number.
type Table = BTreeMap<i64, Arc<dyn Answers>>;

/// The calls that are watched in every process of a node.
#[derive(Default)]
pub struct Calls {
    filter: Vec<libc::sock_filter>,
    answers: Arc<Table>,
}

impl Calls {
    /// Each call of these goes to the one who asked for it.
    ///
    /// # Errors
    /// If two ask for the same.
    pub fn new(all: impl IntoIterator<Item = Arc<dyn Answers>>) -> Result<Calls> {
        let (mut watched, mut answers) = (Vec::new(), Table::new());
        for one in all {
            let calls = one.watched();
            let taken = calls.iter().find(|call| answers.contains_key(&call.number));
            ensure!(taken.is_none(), "two faults answer system call {}", taken.map_or(0, |call| call.number));
            answers.extend(calls.iter().map(|call| (call.number, one.clone())));
            watched.extend(calls);
        }
        Ok(Calls { filter: filter::program(&watched), answers: Arc::new(answers) })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Has them watched in the process that this command starts, and in those that it starts: until the last one has ended.
    pub fn watch(&self, command: &mut Command) -> Result<()> {
        let (own, its) = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC)?;
        supervisor::start(own, self.answers.clone())?;
        sys::be_filtered(command, self.filter.clone(), its);
        Ok(())
    }

    /// Tries whether calls can be watched here: a child makes one, which is answered.
    pub fn probe() -> Result<()> {
        let tried = || -> Result<()> {
            let calls = Calls::new([Arc::new(Rehearsal) as Arc<dyn Answers>])?;
            let mut command = Command::new("true");
            calls.watch(&mut command)?;
            sys::rehearse_call(&mut command, Rehearsal::ANSWER);
            let status = command.status().context("starting a process to try it on")?;
            ensure!(status.success(), "the process to try it on ended with {status}");
            Ok(())
        };
        tried().map_err(|error| {
            let what = format!("system calls cannot be watched here ({error:#})");
            let remedy =
                "use Linux 5.5 or later; in a container, allow seccomp (--security-opt seccomp=unconfined)";
            Unavailable::new(what, remedy).into()
        })
    }
}

/// Answers a call in a way in which the kernel never would.
struct Rehearsal;

impl Rehearsal {
    const ANSWER: Errno = Errno::EDQUOT;
}

impl Answers for Rehearsal {
    fn watched(&self) -> Vec<Watched> {
        vec![Watched::every(libc::SYS_fsync)]
    }

    fn answer(&self, _: &Call<'_>) -> Answer {
        Answer::Fail(Rehearsal::ANSWER)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::Stdio;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    use super::*;

    /// A number of its own for the nice value, and fsyncs that are late.
    #[derive(Default)]
    struct Odd(AtomicU64);

    impl Answers for Odd {
        fn watched(&self) -> Vec<Watched> {
            let own = Test::OneOf { argument: 0, mask: u32::MAX, values: vec![0] };
            vec![Watched { number: libc::SYS_getpriority, tests: vec![own] }, Watched::every(libc::SYS_fsync)]
        }

        fn answer(&self, call: &Call<'_>) -> Answer {
            self.0.fetch_add(1, Ordering::Relaxed);
            match call.number {
                // As the kernel returns it: 20 less the nice value.
                libc::SYS_getpriority => Answer::Return(20 - 7),
                _ => Answer::PassAfter(Box::new(|| sleep(Duration::from_millis(200)))),
            }
        }
    }

    #[test]
    fn calls_of_a_program_and_of_its_children_are_answered() {
        Calls::probe().unwrap();
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("file")).unwrap();
        let odd = Arc::new(Odd::default());
        let calls = Calls::new([odd.clone() as Arc<dyn Answers>]).unwrap();
        let run = |script: &str, watched: bool| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).current_dir(&folder);
            if watched {
                calls.watch(&mut command).unwrap();
            }
            let began = Instant::now();
            let output = command.output().unwrap();
            (String::from_utf8_lossy(&output.stdout).trim().to_owned(), began.elapsed())
        };
        assert_eq!(run("nice", true).0, "7");
        assert_eq!(run("nice; sh -c nice", true).0, "7\n7");
        assert_ne!(run("nice", false).0, "7");
        assert_eq!(odd.0.load(Ordering::Relaxed), 3);
        let (said, took) = run("sync -d file && sync file && echo synced", true);
        assert_eq!((said.as_str(), odd.0.load(Ordering::Relaxed)), ("synced", 4), "fdatasync is not watched");
        assert!(took >= Duration::from_millis(200), "{took:?}");
    }

    #[test]
    fn a_call_has_one_who_answers_it() {
        let odd = || Arc::new(Odd::default()) as Arc<dyn Answers>;
        let error = Calls::new([odd(), Arc::new(Rehearsal)]).err().unwrap().to_string();
        assert_eq!(error, format!("two faults answer system call {}", libc::SYS_fsync));
    }

    /// The thread for one call could not be started, and from then on all calls of the target failed.
    #[test]
    fn a_call_for_which_there_is_no_thread_passes_and_others_are_answered() {
        const ALONE: &str = "SQUALL_TEST_NO_THREADS";
        if std::env::var_os(ALONE).is_none() {
            let test =
                "agent::calls::tests::a_call_for_which_there_is_no_thread_passes_and_others_are_answered";
            let mut command = Command::new(std::env::current_exe().unwrap());
            let output = command.args(["--exact", test, "--nocapture"]).env(ALONE, "1").output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("it passes at once"), "{said}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("file")).unwrap();
        let calls = Calls::new([Arc::new(Odd::default()) as Arc<dyn Answers>]).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "nice; read go; ulimit -v unlimited; sync file && nice"]).current_dir(&folder);
        calls.watch(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        // The thread that answers has begun: it needs room too.
        let mut child = command.spawn().unwrap();
        let mut first = [0; 2];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(&first, b"7\n");
        // No room for the stack of another thread.
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let has = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        let has: u64 = has.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
        let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
        setrlimit(Resource::RLIMIT_AS, has + (1 << 20), hard).unwrap();
        let output = child.wait_with_output().unwrap();
        setrlimit(Resource::RLIMIT_AS, hard, hard).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "7", "{output:?}");
    }
}
