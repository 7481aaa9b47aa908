//! The process that serves the file system of a node, and the agent's line to it.
//!
//! A process of its own, since one that looks into a file system that it serves itself cannot be killed at the wrong
//! moment: it would wait for its own answer.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fuser::{BackgroundSession, Config, Session, SessionACL};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{major, minor};
use serde::{Deserialize, Serialize};
use squall_targets::Unavailable;
use squall_targets::agent::helper;

use super::content::Lost;
use super::fs::Fs;
use super::profile::Profile;
use super::state::{Counts, Disk};
use super::tree::Attributes;

/// How long the server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Calls that it works on at a time.
const THREADS: usize = 2;
/// The number of its device, by the kernel's list of them.
const FUSE: (u64, u64) = (10, 229);
const REMEDY: &str = "load the module (sudo modprobe fuse) and let this user open the device (sudo chmod 666 /dev/fuse); in a \
                      container, start it with --device /dev/fuse --cap-add SYS_ADMIN";

/// What the agent asks of the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ask {
    /// Show the file system here. The first.
    Mount(PathBuf),
    /// Fail like this from now on.
    Set { profile: Profile, seed: u64 },
    /// Lose what is not on disk; tear it by this seed, if there is one.
    Lose { tearing: Option<u64> },
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Mounted,
    /// What happened under the profile before.
    Was(Counts),
    Lost(Lost),
    Unavailable(Unavailable),
    Error(String),
}

/// The line to a server. Dropping it ends the server and takes the file system away.
pub(super) struct Server {
    child: Child,
    line: Option<BufReader<UnixStream>>,
}

impl Server {
    /// Starts a server that shows an empty file system at `data`.
    pub(super) fn start(kind: &str, data: &Path) -> Result<Server> {
        let (own, its) = UnixStream::pair()?;
        own.set_read_timeout(Some(ANSWER_MAX))?;
        let child = helper(kind)
            .stdin(Stdio::from(OwnedFd::from(its)))
            .spawn()
            .context("starting the file system")?;
        let mut server = Server { child, line: Some(BufReader::new(own)) };
        match server.ask(&Ask::Mount(data.to_owned()))? {
            Answer::Mounted => Ok(server),
            other => bail!("the file system answered {other:?}"),
        }
    }

    pub(super) fn ask(&mut self, ask: &Ask) -> Result<Answer> {
        let line = self.line.as_mut().context("the file system was ended")?;
        let mut text = serde_json::to_string(ask)?;
        text.push('\n');
        let mut said = String::new();
        let asked = line.get_mut().write_all(text.as_bytes()).and_then(|()| line.read_line(&mut said));
        if asked.context("asking the file system")? == 0 {
            bail!("the file system has ended: its last words are in agent.log");
        }
        match serde_json::from_str(&said).context("what the file system said")? {
            Answer::Unavailable(what) => Err(what.into()),
            Answer::Error(message) => bail!("the file system: {message}"),
            answer => Ok(answer),
        }
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is the end of it.
        self.line = None;
        let _ = self.child.wait();
    }
}

/// What the server does: answers until its standard input ends, and then takes the file system away.
pub(super) fn serve() -> Result<()> {
    let line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut mounted: Option<Mounted> = None;
    for ask in BufReader::new(line.try_clone()?).lines() {
        // The agent is gone.
        let Ok(ask) = ask else { break };
        let answer = answer(&mut mounted, serde_json::from_str(&ask)?).unwrap_or_else(|error| {
            match error.downcast_ref::<Unavailable>() {
                Some(what) => Answer::Unavailable(what.clone()),
                None => Answer::Error(format!("{error:#}")),
            }
        });
        let mut text = serde_json::to_string(&answer)?;
        text.push('\n');
        (&line).write_all(text.as_bytes())?;
    }
    Ok(())
}

fn answer(mounted: &mut Option<Mounted>, ask: Ask) -> Result<Answer> {
    let disk = mounted.as_ref().map(|mounted| &mounted.disk).context("it is not mounted");
    Ok(match ask {
        Ask::Mount(at) => {
            *mounted = Some(Mounted::new(&at, parent_id())?);
            Answer::Mounted
        }
        Ask::Set { profile, seed } => Answer::Was(disk?.set(profile, seed)),
        Ask::Lose { tearing } => Answer::Lost(disk?.lose(tearing)),
    })
}

/// A file system in its place. Dropping it takes it away.
pub(super) struct Mounted {
    pub(super) disk: Disk,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

impl Mounted {
    /// An empty file system over the directory `at`, which keeps its owner and its mode. The agent's own calls are spared
    /// from faults.
    pub(super) fn new(at: &Path, agent: u32) -> Result<Mounted> {
        let root = fs::metadata(at).with_context(|| format!("looking at {}", at.display()))?;
        let attributes = Attributes::new((root.mode() & 0o7777) as u16, root.uid(), root.gid());
        let disk = Disk::new(attributes, capacity());
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(|error| {
            Unavailable::new(format!("there is no FUSE here: opening /dev/fuse: {error}"), REMEDY)
        })?;
        // Containers may have /dev/null there.
        let number = device.metadata().context("looking at /dev/fuse")?.rdev();
        if (major(number), minor(number)) != FUSE {
            let what = "there is no FUSE here: /dev/fuse is not its device";
            return Err(Unavailable::new(what, REMEDY).into());
        }
        let options = format!(
            "fd={},rootmode=40000,user_id={},group_id={},allow_other,default_permissions",
            device.as_raw_fd(),
            nix::unistd::geteuid(),
            nix::unistd::getegid()
        );
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("squall"), at, Some("fuse.squall"), flags, Some(options.as_str())).map_err(|errno| {
            match errno {
                Errno::EPERM | Errno::ENODEV => Unavailable::new(
                    format!("a FUSE file system cannot be mounted ({})", errno.desc()),
                    REMEDY,
                )
                .into(),
                errno => anyhow::Error::from(errno).context(format!("mounting on {}", at.display())),
            }
        })?;
        let mut mounted = Mounted { disk: disk.clone(), at: at.to_owned(), session: None };
        let mut config = Config::default();
        config.acl = SessionACL::All;
        config.n_threads = Some(THREADS);
        let session = Session::from_fd(Fs { disk, agent }, device.into(), SessionACL::All, config)?;
        mounted.session = Some(session.spawn()?);
        Ok(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Whoever still uses it gets errors.
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

/// Half of the memory that is free, since files are kept there.
fn capacity() -> u64 {
    const LEAST: u64 = 1 << 30;
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(LEAST, |kib| (kib * 1024 / 2).max(LEAST))
}
