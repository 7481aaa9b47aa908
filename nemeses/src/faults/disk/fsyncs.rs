//! Faulty fsyncs where there is no FUSE: the system calls of the target are answered instead (seccomp notification).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use squall_targets::agent::calls::{Answer, Answers, Call, Watched};

use super::profile::Profile;
use super::state::{Counts, Deed};
use super::waiting::Waiting;

/// Lets fsync and fdatasync of files under a directory fail or take long. One that fails is not done; what it should have
/// saved may be saved by a later one, or by the kernel in its own time.
pub(super) struct Fsyncs {
    data: PathBuf,
    shared: Arc<Shared>,
}

/// What the calls that wait need too.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    profile: Profile,
    rng: ChaCha8Rng,
    counts: Counts,
    waiting: Waiting,
}

/// A call that waits. If this is dropped before, no thread could be had for it and it did not.
struct Held {
    number: u64,
    shared: Arc<Shared>,
}

impl Fsyncs {
    pub(super) fn new(data: &Path) -> Fsyncs {
        let data = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
        let (profile, counts, waiting, changed) = Default::default();
        let state = State { profile, rng: ChaCha8Rng::seed_from_u64(0), counts, waiting };
        Fsyncs { data, shared: Arc::new(Shared { state: Mutex::new(state), changed }) }
    }

    /// Fails from now on as this profile says, and tells what happened under the one before. What waits goes on.
    pub(super) fn set(&self, profile: Profile, seed: u64) -> Counts {
        let mut state = self.shared.lock();
        (state.profile, state.rng) = (profile, ChaCha8Rng::seed_from_u64(seed));
        state.counts.held_us += state.waiting.end_all().as_micros() as u64;
        self.shared.changed.notify_all();
        std::mem::take(&mut state.counts)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Returns after this time, or when the call has no more need to wait.
    fn wait(self, time: Duration) {
        let waits = |state: &mut State| state.waiting.has(self.number);
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), time, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = state.waiting.end(self.number) {
            state.counts.held_us += held.as_micros() as u64;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.waiting.end(self.number).is_some() {
            state.counts.held[Deed::Fsync as usize] -= 1;
        }
    }
}

impl Answers for Fsyncs {
    fn watched(&self) -> Vec<Watched> {
        vec![Watched::every(libc::SYS_fsync), Watched::every(libc::SYS_fdatasync)]
    }

    fn answer(&self, call: &Call<'_>) -> Answer {
        let mut state = self.shared.lock();
        if state.profile.is_idle() {
            return Answer::Pass;
        }
        let file = fs::read_link(format!("/proc/{}/fd/{}", call.thread, call.args[0]));
        if !file.is_ok_and(|file| file.starts_with(&self.data)) {
            return Answer::Pass;
        }
        state.counts.fsyncs += 1;
        let Profile { eio_fsync, slow_fsync_ms, .. } = state.profile;
        if eio_fsync > 0.0 && state.rng.random_bool(eio_fsync) {
            state.counts.fsyncs_failed += 1;
            return Answer::Fail(Errno::EIO);
        }
        if slow_fsync_ms == 0.0 {
            return Answer::Pass;
        }
        let delay = Duration::from_secs_f64(slow_fsync_ms / 1000.0);
        state.counts.held[Deed::Fsync as usize] += 1;
        let held = Held { number: state.waiting.begin(), shared: self.shared.clone() };
        Answer::PassAfter(Box::new(move || held.wait(delay)))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;
    use std::time::Instant;

    use squall_targets::agent::calls::Calls;

    use super::*;

    #[test]
    fn fsyncs_under_the_data_fail_and_are_slow_and_others_are_not() {
        let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let fsyncs = Arc::new(Fsyncs::new(data.path()));
        let calls = Calls::new([fsyncs.clone() as Arc<dyn Answers>]).unwrap();
        // Whether a program could save a file there, and how long that took.
        let save = |folder: &tempfile::TempDir| {
            let mut command = Command::new("dd");
            command.args(["if=/dev/zero", "of=file", "bs=1k", "count=1", "conv=fsync", "status=none"]);
            calls.watch(command.current_dir(folder)).unwrap();
            let began = Instant::now();
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.success(), said, began.elapsed())
        };
        assert!(save(&data).0);
        fsyncs.set("eio-fsync=100%".parse().unwrap(), 1);
        let (saved, said, _) = save(&data);
        assert!(!saved && said.contains("Input/output error"), "{said}");
        assert!(save(&elsewhere).0);
        let counts = fsyncs.set("slow-fsync=300ms".parse().unwrap(), 1);
        assert_eq!((counts.fsyncs, counts.fsyncs_failed), (1, 1));
        let (saved, _, took) = save(&data);
        println!("an fsync that shall take 300 ms: {took:?}");
        assert!(saved && took >= Duration::from_millis(300), "{took:?}");
        assert!(save(&elsewhere).0);
        let counts = fsyncs.set(Profile::default(), 0);
        assert_eq!((counts.fsyncs, counts.held[0], counts.fsyncs_failed), (1, 1, 0));
        assert!(save(&data).0);
        assert_eq!(fsyncs.set(Profile::default(), 0), Counts::default());
    }

    /// They waited to the end of their time, seconds after the fault was healed.
    #[test]
    fn fsyncs_that_wait_go_on_when_the_fault_is_healed() {
        let data = tempfile::tempdir().unwrap();
        let fsyncs = Arc::new(Fsyncs::new(data.path()));
        let calls = Calls::new([fsyncs.clone() as Arc<dyn Answers>]).unwrap();
        fsyncs.set("slow-fsync=5s".parse().unwrap(), 1);
        let mut command = Command::new("dd");
        command.args(["if=/dev/zero", "of=file", "bs=1k", "count=1", "conv=fsync", "status=none"]);
        calls.watch(command.current_dir(&data)).unwrap();
        let mut dd = command.spawn().unwrap();
        while fsyncs.shared.lock().waiting.is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        let counts = fsyncs.set(Profile::default(), 0);
        assert!(dd.wait().unwrap().success());
        println!("an fsync that shall take 5 s went on {:?} after healing", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        assert!(counts.held[0] == 1 && (50_000..5_000_000).contains(&counts.held_us), "{counts:?}");
        assert_eq!(fsyncs.set(Profile::default(), 0), Counts::default());
    }

    /// Answers as another does, where no thread can be started.
    struct NoThreads(Arc<Fsyncs>);

    impl Answers for NoThreads {
        fn watched(&self) -> Vec<Watched> {
            self.0.watched()
        }

        fn answer(&self, call: &Call<'_>) -> Answer {
            match self.0.answer(call) {
                Answer::PassAfter(_) => Answer::Pass,
                other => other,
            }
        }
    }

    /// One for which no thread could be started passed at once, and was told as delayed until healing.
    #[test]
    fn an_fsync_for_which_there_is_no_thread_was_not_delayed() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("file"), "saved").unwrap();
        let fsyncs = Arc::new(Fsyncs::new(data.path()));
        let calls = Calls::new([Arc::new(NoThreads(fsyncs.clone())) as Arc<dyn Answers>]).unwrap();
        fsyncs.set("slow-fsync=5s".parse().unwrap(), 1);
        let mut command = Command::new("sync");
        calls.watch(command.arg("file").current_dir(&data)).unwrap();
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let counts = fsyncs.set(Profile::default(), 0);
        assert_eq!((counts.fsyncs, counts.held, counts.held_us), (1, [0; 3], 0));
    }

    #[test]
    fn only_fsyncs_can_be_faulty() {
        for (text, can) in
            [("eio-fsync=5%+slow-fsync=1ms", true), ("eio-fsync=5%+eio-read=1%", false), ("room=0MiB", false)]
        {
            assert_eq!(text.parse::<Profile>().unwrap().is_of_fsyncs(), can, "{text}");
        }
    }
}
