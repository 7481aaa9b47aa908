use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::{Deserialize, Serialize};

use super::content::Lost;
use super::profile::Profile;
use super::tree::{Attributes, Tree};
use super::waiting::Waiting;

/// What the file system did since its profile was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) fsyncs: u64,
    pub(super) fsyncs_failed: u64,
    pub(super) reads: u64,
    pub(super) reads_failed: u64,
    pub(super) writes: u64,
    pub(super) writes_failed: u64,
    /// For want of room.
    pub(super) refused: u64,
    /// How many calls were held back, by what they do.
    pub(super) held: [u64; 3],
    /// For how long altogether.
    pub(super) held_us: u64,
}

/// What a call does, as far as faults tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Fsync,
    Read,
    Write,
}

/// An open directory: who was there when it was opened, so that reading on is not disturbed by removals.
pub(super) type Listing = Arc<Vec<(u64, fuser::FileType, OsString)>>;

/// Everything that the file system knows.
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) listings: HashMap<u64, Listing>,
    pub(super) last_listing: u64,
    pub(super) counts: Counts,
    waiting: Waiting,
    profile: Profile,
    rng: ChaCha8Rng,
    /// Bytes that fit on it, and those that fit while it is healthy.
    limit: u64,
    capacity: u64,
    /// How often the power failed.
    failures: u64,
}

/// A disk that fails when it is told to. Clones share it.
#[derive(Clone)]
pub(super) struct Disk {
    state: Arc<Mutex<State>>,
    /// When the profile changes or the power fails.
    changed: Arc<Condvar>,
}

impl State {
    /// Whether a call fails, by chance. It is counted at once: one that is held back first may fail when this is healed.
    pub(super) fn fails(&mut self, deed: Deed) -> bool {
        let (share, failed) = match deed {
            Deed::Fsync => (self.profile.eio_fsync, &mut self.counts.fsyncs_failed),
            Deed::Read => (self.profile.eio_read, &mut self.counts.reads_failed),
            Deed::Write => (self.profile.eio_write, &mut self.counts.writes_failed),
        };
        let fails = share > 0.0 && self.rng.random_bool(share);
        *failed += u64::from(fails);
        fails
    }

    /// For how long a call is held back.
    pub(super) fn delay(&self, deed: Deed) -> Duration {
        let ms = match deed {
            Deed::Fsync => self.profile.slow_fsync_ms,
            Deed::Read => self.profile.slow_read_ms,
            Deed::Write => self.profile.slow_write_ms,
        };
        Duration::from_secs_f64(ms / 1000.0)
    }

    /// Whether so many more pages fit.
    pub(super) fn has_room(&self, pages: u64) -> bool {
        pages == 0 || self.tree.used() + pages * super::content::PAGE <= self.limit
    }

    /// Bytes in all, and bytes free.
    pub(super) fn room(&self) -> (u64, u64) {
        (self.capacity, self.limit.saturating_sub(self.tree.used()))
    }

    /// What is held back goes on.
    fn release(&mut self) {
        self.counts.held_us += self.waiting.end_all().as_micros() as u64;
    }

    /// Saves a file or a directory, or fails to.
    pub(super) fn fsync(&mut self, number: u64, fails: bool) -> Result<(), Errno> {
        if fails {
            self.tree.abandon(number);
            return Err(Errno::EIO);
        }
        self.tree.save(number);
        Ok(())
    }
}

impl Disk {
    /// An empty disk that holds so many bytes.
    pub(super) fn new(root: Attributes, capacity: u64) -> Disk {
        let (listings, last_listing, counts, waiting, profile, failures) = Default::default();
        let (tree, rng) = (Tree::new(root), ChaCha8Rng::seed_from_u64(0));
        let limit = capacity;
        let state =
            State { tree, listings, last_listing, counts, waiting, profile, rng, limit, capacity, failures };
        Disk { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    /// Nothing panics while it holds the lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails from now on as this profile says, and tells what happened under the one before. What is held back goes on.
    pub(super) fn set(&self, profile: Profile, seed: u64) -> Counts {
        let mut state = self.lock();
        state.profile = profile;
        state.rng = ChaCha8Rng::seed_from_u64(seed);
        let room = profile.room_mib.map(|mib| state.tree.used() + (mib * f64::from(1 << 20)) as u64);
        state.limit = room.map_or(state.capacity, |room| room.min(state.capacity));
        state.release();
        self.changed.notify_all();
        std::mem::take(&mut state.counts)
    }

    /// The power fails: see [`Tree::lose`]. Whoever uses the disk must be gone.
    pub(super) fn lose(&self, tearing: Option<u64>) -> Lost {
        let mut state = self.lock();
        state.failures += 1;
        state.listings.clear();
        state.release();
        self.changed.notify_all();
        state.tree.lose(tearing.map(ChaCha8Rng::seed_from_u64))
    }

    /// Calls back after a delay, or at once if the profile changes meanwhile or no thread can be had; not under the lock of the
    /// caller. Tells the callback whether the power failed in between, so that nothing must be saved any more.
    pub(super) fn after<F>(&self, mut state: MutexGuard<'_, State>, delays: &[(Deed, Duration)], done: F)
    where
        F: FnOnce(&mut State, bool) + Send + 'static,
    {
        let failures = state.failures;
        let delays = || delays.iter().filter(|(_, delay)| !delay.is_zero());
        let delay: Duration = delays().map(|(_, delay)| *delay).sum();
        if delay.is_zero() {
            return done(&mut state, false);
        }
        let number = state.waiting.begin();
        let (disk, (hand, handed)) = (self.clone(), mpsc::channel::<F>());
        let late = move || {
            // Nothing if this thread could not be had.
            let Ok(done) = handed.recv() else { return };
            let waits = |state: &mut State| state.waiting.has(number);
            let waited = disk.changed.wait_timeout_while(disk.lock(), delay, waits);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if let Some(held) = state.waiting.end(number) {
                state.counts.held_us += held.as_micros() as u64;
            }
            let failed = state.failures != failures;
            done(&mut state, failed);
        };
        // As many threads as calls are held back, which are at most as many as the threads of the target.
        match thread::Builder::new().name("held".into()).spawn(late) {
            Ok(_) => {
                delays().for_each(|(deed, _)| state.counts.held[*deed as usize] += 1);
                let _ = hand.send(done);
            }
            Err(error) => {
                eprintln!("no thread for a call that is to be held back: {error}; it goes on at once");
                state.waiting.end(number);
                done(&mut state, false);
            }
        }
    }
}
