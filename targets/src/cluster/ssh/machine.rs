//! A node's machine from nothing to an agent that answers.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use super::remote::{Binary, Remote, Running, quoted};
use super::trouble;
use crate::agent::CONTROL_VARIABLE;

/// A look at the machine.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);
/// Copying the binary, over a slow line too.
const COPY_TIMEOUT: Duration = Duration::from_secs(900);
/// Fetching logs.
const FETCH_TIMEOUT: Duration = Duration::from_secs(300);

/// A machine that can run an agent.
pub(super) struct Machine {
    pub(super) remote: Remote,
    /// Ours there: binaries, and a directory for each run.
    pub(super) dir: PathBuf,
    /// The user that ssh logs in as.
    pub(super) uid: u32,
    /// Where ssh arrived, if it says so.
    pub(super) ip: Option<IpAddr>,
    binary: PathBuf,
}

impl Machine {
    /// Looks at a machine, and copies the binary to it if it is not there.
    pub(super) async fn prepare(remote: Remote, binary: &Binary) -> Result<Machine> {
        let place = quoted(&remote.place().to_string_lossy());
        let (name, sha256) = (binary.name(), &binary.sha256);
        let script = format!(
            r#"echo "system $(uname -s) $(uname -m)"
echo "user $(id -u)"
echo "connection $SSH_CONNECTION"
d={place}/squall-$(id -u)
umask 022
mkdir -p "$d" || exit 1
[ -O "$d" ] && [ ! -L "$d" ] || {{ echo "$d belongs to someone else" >&2; exit 1; }}
echo "dir $d"
b="$d/{name}"
[ ! -x "$b" ] || [ "$(sha256sum < "$b" | cut -c1-64)" != {sha256} ] || echo "binary there"
"#
        );
        let looked = remote.run(&script, Stdio::null(), LOOK_TIMEOUT).await?;
        let told = |what: &str| {
            let lines = looked.output.lines().filter_map(|line| line.split_once(' '));
            lines.filter(|(name, _)| *name == what).map(|(_, value)| value.trim().to_owned()).next()
        };
        let system = told("system").unwrap_or_default();
        if let Some(missing) = trouble::of_system(&remote.name, &remote.address, &system)
            && remote.options.agent.is_none()
        {
            return Err(missing.into());
        }
        let (Some(dir), Some(uid)) = (told("dir"), told("user").and_then(|uid| uid.parse().ok())) else {
            let doing = "making a directory for squall";
            return Err(trouble::of_command(&remote.name, &remote.address, doing, &looked.said).into());
        };
        let connection = told("connection").unwrap_or_default();
        let ip = connection.split(' ').nth(2).and_then(|ip| ip.parse::<IpAddr>().ok());
        let dir = PathBuf::from(dir);
        let machine =
            Machine { binary: dir.join(name), ip: ip.map(|ip| ip.to_canonical()), dir, uid, remote };
        if told("binary").is_none() {
            machine.copy(binary).await?;
        }
        Ok(machine)
    }

    async fn copy(&self, binary: &Binary) -> Result<()> {
        let (b, sha256) = (quoted(&self.binary.to_string_lossy()), &binary.sha256);
        // Older ones are of no use any more; those that run do so without their name.
        let script = format!(
            r#"b={b}
t="$b.$$"
trap 'rm -f "$t"' EXIT
cat > "$t" && chmod 755 "$t" || exit 1
got=$(sha256sum < "$t" | cut -c1-64)
[ -z "$got" ] || [ "$got" = {sha256} ] || {{ echo "it arrived damaged" >&2; exit 1; }}
mv -f "$t" "$b" || exit 1
for old in "${{b%/*}}"/squall-????????????????; do [ "$old" = "$b" ] || rm -f "$old"; done
"#
        );
        let copied = self.remote.run(&script, binary.open()?.into(), COPY_TIMEOUT).await?;
        if !copied.status.success() {
            return Err(self.failed("copying squall", &copied.said));
        }
        Ok(())
    }

    /// Starts the agent: its input and output are the running script's.
    pub(super) async fn start_agent(&self) -> Result<Running> {
        let script = format!(
            "PATH=\"$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin\"; export PATH\n\
             exec {} env {CONTROL_VARIABLE}=\"$SSH_CONNECTION\" {} agent\n",
            self.remote.sudo(),
            quoted(&self.binary.to_string_lossy())
        );
        self.remote.start(&script, Stdio::piped()).await
    }

    /// Why something failed on it.
    pub(super) fn failed(&self, doing: &str, said: &[String]) -> anyhow::Error {
        trouble::of_command(&self.remote.name, &self.remote.address, doing, said).into()
    }

    /// Copies the files in a directory there to one here.
    pub(super) async fn fetch(&self, from: &Path, to: &Path) -> Result<()> {
        let from = quoted(&from.to_string_lossy());
        let script = format!("exec {} tar -C {from} -cf - .\n", self.remote.sudo());
        let fetching = async {
            let mut running = self.remote.start(&script, Stdio::null()).await?;
            let mut tar = Command::new("tar");
            tar.args(["-xf", "-", "--no-same-owner", "--no-same-permissions", "-C"]).arg(to);
            let mut tar = tar.stdin(Stdio::piped()).kill_on_drop(true).spawn().context("starting tar")?;
            let mut input = tar.stdin.take().expect("its input is a pipe");
            // If tar has ended, its status says so.
            let _ = tokio::io::copy(&mut running.output, &mut input).await;
            drop(input);
            let (there, here) = (running.child.wait().await?, tar.wait().await?);
            if !there.success() {
                return Err(self.failed("reading the logs", &running.hear_out().await));
            }
            if !here.success() {
                bail!("tar ended with {here}");
            }
            Ok(())
        };
        match tokio::time::timeout(FETCH_TIMEOUT, fetching).await {
            Ok(fetched) => fetched,
            Err(_) => bail!("no end within {} s", FETCH_TIMEOUT.as_secs()),
        }
    }
}
