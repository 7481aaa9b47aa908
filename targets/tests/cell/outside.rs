//! The tests: scenarios played in a cell, watched from outside it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, geteuid};
use squall_targets::cluster::local::Probe;

/// Who "nobody" is on Linux.
const NOBODY: u32 = 65_534;
const TOKEN: &str = "SQUALL_TEST_TOKEN";

type Test = fn(&Stage) -> Result<()>;
const TESTS: [(&str, Test); 14] = [
    ("probe_finds_what_the_cell_needs", probe_finds_what_the_cell_needs),
    ("five_nodes_meet_by_name", |stage| play(stage, "tour")),
    ("processes_are_seen_and_killed_with_a_receipt", |stage| play(stage, "processes")),
    ("faults_are_dispatched_and_healed", |stage| play(stage, "faults")),
    ("a_dead_agent_is_an_error_that_names_its_node", |stage| play(stage, "agent-death")),
    ("clusters_follow_each_other_in_one_cell", |stage| play(stage, "twice")),
    ("refkv_serves_and_survives_its_leader", |stage| play(stage, "refkv")),
    ("the_exit_code_comes_through", the_exit_code_comes_through),
    ("a_signal_reaches_the_controller_and_ends_everything", a_signal_ends_everything),
    ("a_ctrl_c_comes_once", a_ctrl_c_comes_once),
    ("a_signal_ignored_at_the_start_stays_ignored", a_signal_ignored_at_the_start_stays_ignored),
    ("nothing_survives_a_sigkill_at_any_moment", nothing_survives_a_sigkill_at_any_moment),
    ("a_masked_proc_is_exit_code_3_with_a_remedy", a_masked_proc_is_exit_code_3),
    ("forbidden_namespaces_are_exit_code_3_with_a_remedy", forbidden_namespaces_are_exit_code_3),
];

/// Runs the tests whose names contain the filter, if there is one: as root if this is root, and without root.
pub(crate) fn run_all(args: &[&str]) -> ExitCode {
    let filter = args.iter().find(|arg| !arg.starts_with('-'));
    let chosen = TESTS.iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter)));
    if args.contains(&"--list") {
        chosen.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let users: &[bool] = if geteuid().is_root() { &[true, false] } else { &[false] };
    let mut failed = 0;
    for (name, test) in chosen {
        for &root in users {
            let outcome = Stage::build(root).and_then(|stage| test(&stage));
            let user = if root { "root" } else { "rootless" };
            println!("test {name} ({user}) ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
            if let Err(error) = outcome {
                println!("    {error:#}");
                failed += 1;
            }
        }
    }
    println!("\ntest result: {}. {failed} failed", if failed == 0 { "ok" } else { "FAILED" });
    ExitCode::from(u8::from(failed > 0))
}

/// A place for one test: a directory, a token by which its processes are known, and a user.
struct Stage {
    root: bool,
    directory: tempfile::TempDir,
    program: PathBuf,
    before: Host,
}

/// What a cell might leave behind on the machine.
#[derive(Debug, PartialEq)]
struct Host {
    interfaces: BTreeSet<String>,
    mounts: BTreeSet<String>,
}

impl Host {
    fn look() -> Result<Host> {
        let names = fs::read_dir("/sys/class/net")?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Host { interfaces: names.collect(), mounts: mounts.lines().map(str::to_owned).collect() })
    }
}

impl Stage {
    fn build(root: bool) -> Result<Stage> {
        let directory = tempfile::Builder::new().prefix("cell-test-").tempdir()?;
        let own = std::env::current_exe()?;
        let program = directory.path().join("squall-cell-test");
        // The original may lie where an unprivileged user cannot reach it.
        if fs::hard_link(&own, &program).is_err() {
            fs::copy(&own, &program)?;
        }
        fs::create_dir(directory.path().join("tmp"))?;
        fs::create_dir(directory.path().join("logs"))?;
        for path in [".", "tmp", "logs"] {
            fs::set_permissions(directory.path().join(path), fs::Permissions::from_mode(0o777))?;
        }
        Ok(Stage { root, directory, program, before: Host::look()? })
    }

    fn token(&self) -> String {
        self.directory.path().display().to_string()
    }

    fn command(&self, args: &[&str]) -> Command {
        self.prepare(Command::new(&self.program), args)
    }

    /// The user, environment and pipes of a test's process.
    fn prepare(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).env(TOKEN, self.token()).env("TMPDIR", self.path("tmp"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if geteuid().is_root() && !self.root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn controller(&self, scenario: &str) -> Command {
        self.command(&["--controller", scenario, &self.path("logs")])
    }

    /// The controller, run by another command.
    fn controller_under(&self, wrapper: &[&str], scenario: &str) -> Command {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(&self.program);
        self.prepare(command, &["--controller", scenario, &self.path("logs")])
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// The processes of this test that live, by the token in their environment.
    fn processes(&self) -> Result<Vec<String>> {
        let token = format!("{TOKEN}={}", self.token());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
            if environment.split(|&byte| byte == 0).any(|variable| variable == token.as_bytes()) {
                found.push(fs::read_to_string(entry.path().join("stat")).unwrap_or_default());
            }
        }
        Ok(found)
    }

    /// Waits until no process of the test lives, then looks at what else could be left.
    fn nothing_is_left(&self) -> Result<()> {
        for _ in 0..500 {
            if self.processes()?.is_empty() {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        let left = self.processes()?;
        ensure!(left.is_empty(), "processes are left: {left:?}");
        let after = Host::look()?;
        ensure!(after.interfaces == self.before.interfaces, "interfaces: {:?}", after.interfaces);
        ensure!(after.mounts == self.before.mounts, "mounts: {:?}", after.mounts);
        ensure!(
            fs::read_dir(self.directory.path().join("tmp"))?.next().is_none(),
            "files are left in the tmp directory"
        );
        let entries = fs::read_dir(self.directory.path())?.count();
        ensure!(entries == 3, "{entries} files, not the program, logs and tmp");
        Ok(())
    }
}

fn play(stage: &Stage, scenario: &str) -> Result<()> {
    expect(&stage.controller(scenario).output()?, 0)?;
    stage.nothing_is_left()
}

fn expect(output: &Output, code: i32) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code), "{}, not {code}: {said}", output.status);
    Ok(())
}

fn probe_finds_what_the_cell_needs(stage: &Stage) -> Result<()> {
    let output = stage.command(&["--probe"]).output()?;
    expect(&output, 0)?;
    let probes: Vec<Probe> = serde_json::from_slice(&output.stdout)?;
    let missing: Vec<&Probe> = probes.iter().filter(|probe| !probe.ok).collect();
    ensure!(probes.len() == 6 && missing.is_empty(), "{missing:#?}");
    stage.nothing_is_left()
}

fn the_exit_code_comes_through(stage: &Stage) -> Result<()> {
    expect(&stage.controller("exit-7").output()?, 7)?;
    expect(&stage.controller("no-such-scenario").output()?, 1)?;
    stage.nothing_is_left()
}

/// Starts the scenario that stays, and waits until its cluster is up.
fn hold(command: &mut Command) -> Result<Child> {
    let mut child = command.spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().context("its output")?).read_line(&mut line)?;
    if line != "up\n" {
        let output = child.wait_with_output()?;
        anyhow::bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(child)
}

fn a_signal_ends_everything(stage: &Stage) -> Result<()> {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let child = hold(&mut stage.controller("hold"))?;
        ensure!(
            stage.processes()?.len() > 12,
            "the token does not find the processes: {:?}",
            stage.processes()?
        );
        send(&child, signal)?;
        expect(&child.wait_with_output()?, code)?;
        stage.nothing_is_left()?;
    }
    Ok(())
}

/// A terminal sends SIGINT to its whole foreground process group.
fn a_ctrl_c_comes_once(stage: &Stage) -> Result<()> {
    let child = hold(stage.controller("count-interrupts").process_group(0))?;
    killpg(Pid::from_raw(child.id() as i32), Signal::SIGINT)?;
    expect(&child.wait_with_output()?, 41)?;
    stage.nothing_is_left()
}

fn a_signal_ignored_at_the_start_stays_ignored(stage: &Stage) -> Result<()> {
    let child = hold(&mut stage.controller_under(&["nohup"], "hold"))?;
    send(&child, Signal::SIGHUP)?;
    send(&child, Signal::SIGTERM)?;
    expect(&child.wait_with_output()?, 143)?;
    stage.nothing_is_left()
}

fn send(child: &Child, signal: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(child.id() as i32), signal)?)
}

/// Kills the keeper while the cluster comes up and while it runs, at moments spread by the golden ratio.
fn nothing_survives_a_sigkill_at_any_moment(stage: &Stage) -> Result<()> {
    const SPREAD: Duration = Duration::from_millis(250);
    let mut came_up = 0;
    for round in 0..20 {
        let mut child = stage.controller("hold").spawn()?;
        sleep(SPREAD.mul_f64((f64::from(round) * 0.618_034).fract()));
        child.kill()?;
        let status = child.wait()?;
        ensure!(status.signal() == Some(Signal::SIGKILL as i32), "{status}");
        stage.nothing_is_left().with_context(|| format!("round {round}"))?;
        // Only now: what survived would hold the pipe open.
        came_up += u32::from(std::io::read_to_string(child.stdout.context("its output")?)? == "up\n");
    }
    let mut child = hold(&mut stage.controller("hold"))?;
    child.kill()?;
    child.wait()?;
    stage.nothing_is_left().with_context(|| format!("once up, after {came_up} others"))
}

/// In a user namespace that may have no further namespaces.
fn forbidden_namespaces_are_exit_code_3(stage: &Stage) -> Result<()> {
    let script = "echo 0 > /proc/sys/user/max_net_namespaces && echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    unavailable_after(stage, script, "sudo sysctl user.max_user_namespaces=")
}

/// As container engines hide parts of /proc, which keeps a user namespace from mounting its own.
fn a_masked_proc_is_exit_code_3(stage: &Stage) -> Result<()> {
    let script = "mount -t tmpfs none /proc/sys && exec unshare --user --map-root-user --mount \"$@\"";
    unavailable_after(stage, script, "systempaths=unconfined")
}

/// In a user namespace prepared by `script`, the cell cannot be made, and the error says what to do.
fn unavailable_after(stage: &Stage, script: &str, remedy: &str) -> Result<()> {
    let wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"];
    let output = stage.controller_under(&wrapper, "exit-7").output()?;
    expect(&output, 3)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains(remedy), "{said}");
    stage.nothing_is_left()
}
