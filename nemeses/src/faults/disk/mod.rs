//! Disk faults: a file system in memory under the data of a node, that knows what was fsynced.
//!
//! It is there only in runs that asked for it, since calls through it take longer. It is mounted before the target starts
//! and is empty then.
//!
//! What counts as saved: the data of a file after fsync, fdatasync, or a write through O_SYNC or O_DSYNC; names and
//! attributes, truncations and allocations as on ext4 (see [`Tree`](tree::Tree)). sync(2) and syncfs(2) are not seen: the
//! kernel does not tell a FUSE server of them. Memory maps work, and msync(2) saves. O_DIRECT alone saves nothing: a disk
//! has a cache of its own. Locks work.
//!
//! Reads that the page cache answers never reach the disk, so they neither fail nor wait.
//!
//! Where no such file system can be, fsyncs can fail or be slow all the same, by [system calls](fsyncs) that are answered for
//! the kernel.

mod content;
mod fs;
mod fsyncs;
mod profile;
mod server;
mod state;
mod tree;
mod waiting;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use nix::unistd::{Pid, getpid, syncfs};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::Unavailable;
use squall_targets::agent::NodeFault;
use squall_targets::agent::calls::{Answers, Calls};

use self::content::Lost;
use self::fsyncs::Fsyncs;
pub use self::profile::Profile as DiskProfile;
use self::server::{Answer, Ask, Server};
use self::state::Counts;
use crate::words::{count, thousands};

/// The kind of the fault, as packages ask for it.
pub const DISK: &str = "disk";

/// What is probed for faults that only the file system can make. Without it, some fault must be possible.
pub const FUSE: &str = "fuse";

/// What a disk is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskArgs {
    /// Fail like this until healed.
    Fail {
        /// How.
        profile: DiskProfile,
        /// Decides which calls fail.
        seed: u64,
    },
    /// Lose what was not fsynced, at once. All processes of the target must be gone.
    Lose {
        /// By this seed some of it is kept and some of it torn; without one all is lost.
        tearing: Option<u64>,
    },
}

/// Disk faults on a node: see the module.
#[derive(Default)]
pub struct Disk {
    data: PathBuf,
    means: Option<Means>,
    profile: DiskProfile,
}

/// By what faults are made, in a run that asked for them.
enum Means {
    /// A file system.
    Fuse(Server),
    /// Answers to system calls, for want of a file system.
    Calls(Arc<Fsyncs>, Unavailable),
    /// Nothing: why there is no file system.
    Nothing(Unavailable),
}

impl Means {
    /// The best that there is.
    fn find(data: &Path) -> Result<Means> {
        let lacks = match has_own_mounts().and_then(|()| Server::start(DISK, data)) {
            Ok(server) => return Ok(Means::Fuse(server)),
            Err(error) => error.downcast::<Unavailable>()?,
        };
        eprintln!("no file system for disk faults: {lacks}");
        Ok(match Calls::probe() {
            Ok(()) => Means::Calls(Arc::new(Fsyncs::new(data)), lacks),
            Err(_) => Means::Nothing(lacks),
        })
    }

    /// Whether it can do something; or what these arguments are about; or all that a file system can, for [`FUSE`].
    fn suffice(&self, args: &Value) -> Result<()> {
        let lacks = match self {
            Means::Fuse(_) => return Ok(()),
            Means::Nothing(lacks) => return Err(lacks.clone().into()),
            Means::Calls(_, lacks) => lacks,
        };
        if args.is_null() {
            return Ok(());
        }
        if args == FUSE {
            return Err(lacks.clone().into());
        }
        match DiskArgs::deserialize(args).context("the arguments of a disk fault")? {
            DiskArgs::Fail { profile, .. } if profile.is_of_fsyncs() => Ok(()),
            DiskArgs::Fail { .. } => Err(only_fsyncs(lacks).into()),
            DiskArgs::Lose { .. } => Err(lacks.clone().into()),
        }
    }
}

impl NodeFault for Disk {
    fn kind(&self) -> &'static str {
        DISK
    }

    fn settle(&mut self, data: &Path, needed: bool) -> Result<()> {
        data.clone_into(&mut self.data);
        if needed {
            self.means = Some(Means::find(data)?);
        }
        Ok(())
    }

    fn calls(&self) -> Option<Arc<dyn Answers>> {
        match &self.means {
            Some(Means::Calls(fsyncs, _)) => Some(fsyncs.clone() as Arc<dyn Answers>),
            _ => None,
        }
    }

    /// In a run that did not ask for it, on a directory of its own.
    fn probe(&mut self, args: &Value) -> Result<()> {
        if let Some(means) = &self.means {
            return means.suffice(args);
        }
        let place = std::env::temp_dir().join(format!("squall-fuse-{}", std::process::id()));
        std::fs::create_dir_all(&place).with_context(|| format!("making {}", place.display()))?;
        let tried = Means::find(&place).and_then(|means| means.suffice(args));
        std::fs::remove_dir(&place).with_context(|| format!("removing {}", place.display()))?;
        tried
    }

    fn help(&mut self) -> Result<()> {
        server::serve()
    }

    fn inject(&mut self, args: &Value, pids: &[i32]) -> Result<Receipt> {
        match DiskArgs::deserialize(args).context("the arguments of a disk fault")? {
            DiskArgs::Fail { profile, seed } => {
                self.set(profile, seed)?;
                let by = match &self.means {
                    Some(Means::Calls(_, lacks)) => format!(", by its system calls ({})", lacks.what),
                    _ => String::new(),
                };
                Ok(Receipt::pending(format!("{profile} on {}{by}", self.data.display())))
            }
            DiskArgs::Lose { tearing } => self.lose(tearing, pids),
        }
    }

    fn heal(&mut self, _: &[i32]) -> Result<Receipt> {
        let profile = self.profile;
        if profile.is_idle() {
            return Ok(Receipt::unconfirmed("no disk was faulty"));
        }
        let counts = self.set(DiskProfile::default(), 0)?;
        Ok(receipt(&profile, &counts))
    }
}

/// What was asked for takes a file system, and there are system calls only.
fn only_fsyncs(lacks: &Unavailable) -> Unavailable {
    let what = format!("without a file system of its own only fsyncs can fail or be slow ({})", lacks.what);
    Unavailable::new(what, lacks.remedy.clone())
}

impl Disk {
    fn server(&mut self) -> Result<&mut Server> {
        let server = match self.means.as_mut() {
            Some(Means::Fuse(server)) => server,
            Some(Means::Calls(_, lacks) | Means::Nothing(lacks)) => return Err(lacks.clone().into()),
            None => bail!("the run did not ask for disk faults, so there is no file system"),
        };
        if !server.is_alive() {
            bail!("the file system has ended: its last words are in agent.log");
        }
        Ok(server)
    }

    fn set(&mut self, profile: DiskProfile, seed: u64) -> Result<Counts> {
        if let Some(Means::Calls(fsyncs, lacks)) = &self.means {
            if !profile.is_of_fsyncs() {
                return Err(only_fsyncs(lacks).into());
            }
            self.profile = profile;
            return Ok(fsyncs.set(profile, seed));
        }
        match self.server()?.ask(&Ask::Set { profile, seed })? {
            Answer::Was(counts) => {
                self.profile = profile;
                Ok(counts)
            }
            other => bail!("the file system answered {other:?}"),
        }
    }

    fn lose(&mut self, tearing: Option<u64>, pids: &[i32]) -> Result<Receipt> {
        if !pids.is_empty() {
            bail!("pids {pids:?} still use the disk: they would go on with what they know");
        }
        self.server()?;
        // What programs wrote through memory maps is with the kernel still, and would come later.
        let root = File::open(&self.data).with_context(|| format!("opening {}", self.data.display()))?;
        syncfs(&root).context("collecting what was written through memory maps")?;
        drop(root);
        let begin = Instant::now();
        let answer = self.server()?.ask(&Ask::Lose { tearing })?;
        let Answer::Lost(lost) = answer else { bail!("the file system answered {answer:?}") };
        Ok(lost_receipt(&lost).with("us", begin.elapsed().as_micros() as u64))
    }
}

/// A mount must end with the agent, as everything does of which it is the init.
fn has_own_mounts() -> Result<()> {
    if getpid() == Pid::from_raw(1) {
        return Ok(());
    }
    let what = "the agent has no mounts of its own, so a file system could outlive it";
    Err(Unavailable::new(what, "run the agent as root (with sudo)").into())
}

/// Confirmed if anything that was asked for happened, and nothing failed to that surely should have. (Many programs never
/// read again what they wrote.)
fn receipt(profile: &DiskProfile, counts: &Counts) -> Receipt {
    let [fsyncs, reads, writes] = counts.held;
    let fail = |share: f64, of: u64| (share > 0.0).then_some(share * of as f64);
    // What fails or is refused need not wait before.
    let wait = |ms: f64, eio: f64, of: u64| (ms > 0.0).then_some((1.0 - eio) * of as f64);
    let let_in = counts.writes.saturating_sub(counts.refused);
    // How many are expected at least, if it was asked for; of what; how many there were, of how many calls.
    let effects = [
        (fail(profile.eio_fsync, counts.fsyncs), "fsync", "failed", counts.fsyncs_failed, counts.fsyncs),
        (fail(profile.eio_read, counts.reads), "read", "failed", counts.reads_failed, counts.reads),
        (fail(profile.eio_write, counts.writes), "write", "failed", counts.writes_failed, counts.writes),
        (
            wait(profile.slow_fsync_ms, profile.eio_fsync, counts.fsyncs),
            "fsync",
            "delayed",
            fsyncs,
            counts.fsyncs,
        ),
        (wait(profile.slow_read_ms, profile.eio_read, counts.reads), "read", "delayed", reads, counts.reads),
        (wait(profile.slow_write_ms, profile.eio_write, let_in), "write", "delayed", writes, counts.writes),
        // Whatever overwrites needs no room.
        (profile.room_mib.map(|_| 0.0), "write", "refused", counts.refused, counts.writes),
    ];
    let (mut words, mut happened, mut failed) = (Vec::new(), false, false);
    for (expected, what, how, n, of) in effects {
        let Some(expected) = expected else { continue };
        happened |= n > 0;
        failed |= n == 0 && expected >= super::SURELY;
        words.push(format!("{} of {} {how}", thousands(n), count(of, what)));
    }
    let held: u64 = counts.held.iter().sum();
    let mean_ms = if held > 0 { counts.held_us as f64 / held as f64 / 1000.0 } else { 0.0 };
    let mut evidence = words.join(", ");
    if held > 0 {
        evidence += &format!(" by {mean_ms:.1} ms");
    }
    Receipt { confirmed: happened && !failed, ..Receipt::confirmed(evidence) }
        .with("fsyncs", counts.fsyncs)
        .with("fsyncs_failed", counts.fsyncs_failed)
        .with("reads", counts.reads)
        .with("reads_failed", counts.reads_failed)
        .with("writes", counts.writes)
        .with("writes_failed", counts.writes_failed)
        .with("refused", counts.refused)
        .with("delayed", held)
        .with("delay_ms_mean", (mean_ms * 1000.0).round() / 1000.0)
}

/// A power failure that found everything saved is one all the same.
fn lost_receipt(lost: &Lost) -> Receipt {
    let Lost { bytes, files, names, survived } = *lost;
    let mut evidence = match (bytes, names) {
        (0, 0) if survived == 0 => "nothing was there to lose, all was fsynced".to_owned(),
        (0, 0) => "nothing lost".to_owned(),
        _ => {
            format!("{} of {} and {} lost", count(bytes, "byte"), count(files, "file"), count(names, "name"))
        }
    };
    if survived > 0 {
        evidence += &format!(", {} kept in whole or in part", count(survived, "unsaved change"));
    }
    Receipt::confirmed(evidence)
        .with("bytes", bytes)
        .with("files", files)
        .with("names", names)
        .with("survived", survived)
}

#[cfg(test)]
mod tests;
