//! Commands on a node, through the user's own ssh.

use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::said::Said;
use super::{SshAddress, SshOptions, trouble};
use crate::cluster::Unavailable;

/// How long a node may take to answer at all, ssh's own time-out for connecting included.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for what a command that ended has said.
const SAID_TIMEOUT: Duration = Duration::from_secs(1);
/// Every script prints it first: what comes before is the login shell's, or ssh has failed.
const BEGIN: &str = "squall-begin";

/// A node's machine.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) name: String,
    pub(super) address: SshAddress,
    pub(super) options: Arc<SshOptions>,
}

/// A script that has begun.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) output: BufReader<ChildStdout>,
    pub(super) said: Said,
    /// Ends when nobody can say anything more.
    pub(super) listening: JoinHandle<()>,
}

/// A script that has ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) output: String,
    pub(super) said: Vec<String>,
}

impl Remote {
    /// Starts a POSIX shell script on the node, whatever the user's login shell is.
    ///
    /// # Errors
    /// [`Unavailable`](crate::cluster::Unavailable) if the node cannot be reached, with what ssh said.
    pub(super) async fn start(&self, script: &str, input: Stdio) -> Result<Running> {
        let mut child =
            self.ssh(script).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(
                |error| {
                    Unavailable::new(format!("ssh does not start here: {error}"), "install openssh-client")
                },
            )?;
        let said = Said::default();
        let listening = said.listen(child.stderr.take().expect("its standard error is a pipe"));
        let mut running = Running {
            output: BufReader::new(child.stdout.take().expect("its output is a pipe")),
            child,
            said,
            listening,
        };
        match timeout(BEGIN_TIMEOUT, running.begins()).await {
            Ok(Ok(None)) => Ok(running),
            Ok(Ok(Some(shell))) => {
                let mut said = running.hear_out().await;
                said.extend(shell.filter(|_| said.is_empty()));
                Err(trouble::of_ssh(self, &said).into())
            }
            Ok(Err(error)) => Err(error).with_context(|| format!("{}: listening to ssh", self.name)),
            Err(_) => {
                let seconds = BEGIN_TIMEOUT.as_secs();
                let mut said = running.said.lines();
                said.push(format!("no answer within {seconds} s"));
                Err(trouble::of_ssh(self, &said).into())
            }
        }
    }

    /// Runs a script to its end.
    pub(super) async fn run(&self, script: &str, input: Stdio, within: Duration) -> Result<Ended> {
        let mut running = self.start(script, input).await?;
        let mut output = String::new();
        let ending = async {
            running.output.read_to_string(&mut output).await?;
            running.child.wait().await
        };
        match timeout(within, ending).await {
            Ok(status) => Ok(Ended { status: status?, output, said: running.hear_out().await }),
            Err(_) => bail!("{} ({}): no end within {} s", self.name, self.address, within.as_secs()),
        }
    }

    /// Words that do what follows with the rights of root, if that was asked for.
    pub(super) fn sudo(&self) -> &'static str {
        // Root needs none.
        if self.options.sudo { "$([ \"$(id -u)\" = 0 ] || echo 'sudo -n --')" } else { "" }
    }

    /// What a person types to log in there in the same way.
    pub(super) fn by_hand(&self) -> String {
        let SshOptions { config, options, .. } = self.options.as_ref();
        let mut words = vec!["ssh".to_owned()];
        words.extend(config.iter().flat_map(|path| ["-F".to_owned(), path.to_string_lossy().into_owned()]));
        words.extend(options.iter().flat_map(|option| ["-o".to_owned(), option.clone()]));
        words.extend(self.address.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        words.push(self.address.destination.clone());
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }

    fn ssh(&self, script: &str) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-T");
        if let Some(config) = &self.options.config {
            command.arg("-F").arg(config);
        }
        // Of each option the first counts: those of the user before ours.
        let ours = [
            "BatchMode=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "ClearAllForwardings=yes",
            "ControlMaster=no",
            "LogLevel=ERROR",
        ];
        let options = self.options.options.iter().map(String::as_str).chain(ours);
        options.for_each(|option| {
            command.args(["-o", option]);
        });
        if let Some(port) = self.address.port {
            command.arg("-p").arg(port.to_string());
        }
        let script = format!("echo {BEGIN}\n{script}");
        command.arg("--").arg(&self.address.destination).arg(format!("exec sh -c {}", quoted(&script)));
        // A Ctrl-C is for the controller: it still needs its nodes to heal them.
        command.process_group(0).kill_on_drop(false);
        command
    }

    /// A path below the place for runs and binaries.
    pub(super) fn place(&self) -> PathBuf {
        self.options.dir.clone()
    }
}

impl Running {
    /// Reads up to the script's first word. Otherwise the last line that there was, if there was one.
    async fn begins(&mut self) -> std::io::Result<Option<Option<String>>> {
        let mut last = None;
        let mut line = Vec::new();
        while self.output.read_until(b'\n', &mut line).await? > 0 {
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            if text.ends_with(BEGIN) {
                return Ok(None);
            }
            last = Some(text).filter(|text| !text.is_empty()).or(last);
            line.clear();
        }
        Ok(Some(last))
    }

    /// What it said, now that it has ended.
    pub(super) async fn hear_out(self) -> Vec<String> {
        let _ = timeout(SAID_TIMEOUT, self.listening).await;
        self.said.lines()
    }
}

/// As one word for a shell.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The program that is copied to the nodes.
pub(super) struct Binary {
    path: PathBuf,
    /// In hexadecimal.
    pub(super) sha256: String,
}

impl Binary {
    /// This one, or the one given.
    pub(super) async fn find(given: Option<&PathBuf>) -> Result<Binary> {
        let path = given.cloned().unwrap_or_else(|| "/proc/self/exe".into());
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let output = Command::new("sha256sum").stdin(file).output().await.context("running sha256sum")?;
        let sha256: String = String::from_utf8_lossy(&output.stdout).chars().take(64).collect();
        if sha256.len() != 64 || !sha256.chars().all(|c| c.is_ascii_hexdigit()) {
            bail!("sha256sum says {:?}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(Binary { path, sha256 })
    }

    /// What it is called on a node.
    pub(super) fn name(&self) -> String {
        format!("squall-{}", &self.sha256[..16])
    }

    pub(super) fn open(&self) -> Result<File> {
        File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))
    }
}
