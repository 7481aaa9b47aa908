//! The mounts of the cell and of its nodes.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::Context;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use crate::cluster::Unavailable;

/// What stays visible under the fresh `/run`: places where a person's files may lie.
const KEPT: [&str; 2] = ["/run/user", "/run/media"];

/// Keeps every later mount inside this mount namespace.
pub(crate) fn private() -> anyhow::Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("making the mounts private")
}

/// A `/proc` of this pid namespace.
pub(crate) fn proc() -> anyhow::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).map_err(|errno| match errno {
        Errno::EPERM => Unavailable::new(
            "a fresh /proc cannot be mounted: the container hides parts of its own",
            "start the container with --privileged or --security-opt systempaths=unconfined, or run as root outside",
        )
        .into(),
        errno => anyhow::Error::from(errno).context("mounting /proc"),
    })
}

/// An empty file system in memory, with these permissions (octal).
pub(super) fn tmpfs(at: &str, mode: &str) -> anyhow::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let options = format!("mode={mode}");
    mount(Some("squall"), at, Some("tmpfs"), flags, Some(options.as_str()))
        .with_context(|| format!("mounting a tmpfs on {at}"))
}

/// An empty `/run` that still shows [`KEPT`]. Its lock files must be ours: without root the machine's are closed to us,
/// and `iptables` will not work without its own.
pub(super) fn run() -> anyhow::Result<()> {
    let kept: Vec<_> = KEPT.iter().filter_map(|path| Some((path, fs::File::open(path).ok()?))).collect();
    tmpfs("/run", "755")?;
    for (path, directory) in kept {
        fs::create_dir(path).with_context(|| format!("making {path}"))?;
        bind(Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())), path)?;
    }
    Ok(())
}

/// Shows `source` at `at` too.
pub(super) fn bind(source: &Path, at: &str) -> anyhow::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(source), at, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("mounting {} on {at}", source.display()))
}
