//! Faulty fsyncs where there is no FUSE: the system calls of the target are answered instead (seccomp notification).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use squall_targets::agent::calls::{Answer, Answers, Call, Watched};

use super::profile::Profile;
use super::state::{Counts, Deed};

/// Lets fsync and fdatasync of files under a directory fail or take long. One that fails is not done; what it should have
/// saved may be saved by a later one, or by the kernel in its own time.
pub(super) struct Fsyncs {
    data: PathBuf,
    state: Mutex<State>,
}

struct State {
    profile: Profile,
    rng: ChaCha8Rng,
    counts: Counts,
}

impl Fsyncs {
    pub(super) fn new(data: &Path) -> Fsyncs {
        let data = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
        let (profile, counts) = Default::default();
        Fsyncs { data, state: Mutex::new(State { profile, rng: ChaCha8Rng::seed_from_u64(0), counts }) }
    }

    /// Whether it can do all that.
    pub(super) fn can(profile: &Profile) -> bool {
        let Profile { eio_fsync, slow_fsync_ms, .. } = *profile;
        *profile == Profile { eio_fsync, slow_fsync_ms, ..Profile::default() }
    }

    /// Fails from now on as this profile says, and tells what happened under the one before.
    pub(super) fn set(&self, profile: Profile, seed: u64) -> Counts {
        let mut state = self.lock();
        (state.profile, state.rng) = (profile, ChaCha8Rng::seed_from_u64(seed));
        std::mem::take(&mut state.counts)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Fsyncs {
    fn watched(&self) -> Vec<Watched> {
        vec![Watched::every(libc::SYS_fsync), Watched::every(libc::SYS_fdatasync)]
    }

    fn answer(&self, call: &Call<'_>) -> Answer {
        let mut state = self.lock();
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
        state.counts.held_us += delay.as_micros() as u64;
        Answer::PassAfter(delay)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;
    use std::time::Instant;

    use squall_targets::agent::calls::Calls;

    use super::*;

    #[test]
    fn fsyncs_under_the_data_fail_and_are_slow_and_others_are_not() {
        let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let fsyncs = Arc::new(Fsyncs::new(data.path()));
        let calls = Calls::new([fsyncs.clone() as Arc<dyn Answers>]);
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

    #[test]
    fn only_fsyncs_can_be_faulty() {
        for (text, can) in
            [("eio-fsync=5%+slow-fsync=1ms", true), ("eio-fsync=5%+eio-read=1%", false), ("room=0MiB", false)]
        {
            assert_eq!(Fsyncs::can(&text.parse().unwrap()), can, "{text}");
        }
    }
}
