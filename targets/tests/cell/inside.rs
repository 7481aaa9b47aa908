//! What happens in the cell.

use std::collections::BTreeSet;
use std::fs;
use std::future::pending;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use squall_targets::agent::Spawn;
use squall_targets::cluster::local::{self, LocalCluster, Place};
use squall_targets::{Cluster, NodeHandle, Unavailable};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

/// Enters the cell and plays a scenario there.
pub(crate) fn controller(scenario: &str, logs: &str) -> ExitCode {
    let played = match local::enter() {
        Ok(Place::Outside { code }) => return ExitCode::from(code as u8),
        Ok(Place::Inside) => play(scenario, Path::new(logs)),
        Err(error) => Err(error),
    };
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{scenario}: {error:#}");
            ExitCode::from(if error.downcast_ref::<Unavailable>().is_some() { 3 } else { 1 })
        }
    }
}

/// What `doctor` would show.
pub(crate) fn probe() -> Result<()> {
    println!("{}", serde_json::to_string(&local::probe())?);
    Ok(())
}

fn play(scenario: &str, logs: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match scenario {
            "tour" => tour(logs).await,
            "processes" => processes(logs).await,
            "faults" => faults(logs).await,
            "agent-death" => agent_death(logs).await,
            "twice" => twice(logs).await,
            "refkv" => crate::refkv::scenario(logs).await,
            "hold" => hold(logs).await,
            "count-interrupts" => count_interrupts().await,
            "exit-7" => std::process::exit(7),
            "bring-up" => bring_up(logs).await,
            other => anyhow::bail!("no scenario {other}"),
        }
    })
}

/// Prints how long nodes take to come up.
async fn bring_up(logs: &Path) -> Result<()> {
    for _ in 0..5 {
        let start = Instant::now();
        let cluster = LocalCluster::start(5, logs, &[]).await?;
        println!("5 nodes: {:?}", start.elapsed());
        cluster.close().await;
    }
    Ok(())
}

/// Starts three nodes with a process each, says so, and stays.
async fn hold(logs: &Path) -> Result<()> {
    let cluster = LocalCluster::start(3, logs, &[]).await?;
    for node in &cluster.nodes {
        node.spawn(squall("breed", &["breed"])).await?;
    }
    println!("up");
    std::io::stdout().flush()?;
    pending().await
}

/// Exits with the number of SIGINTs that came, soon after the first.
async fn count_interrupts() -> Result<()> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    println!("up");
    std::io::stdout().flush()?;
    let mut count = 0;
    while timeout(Duration::from_millis(if count == 0 { 60_000 } else { 200 }), interrupts.recv())
        .await
        .is_ok()
    {
        count += 1;
    }
    std::process::exit(40 + count)
}

async fn tour(logs: &Path) -> Result<()> {
    let cluster = LocalCluster::start(5, logs, &[]).await?;
    ensure!(cluster.names() == ["n1", "n2", "n3", "n4", "n5"], "{:?}", cluster.names());
    for node in &cluster.nodes {
        node.spawn(squall("listen", &["listen", "7000"])).await?;
    }
    let mut names: Vec<String> = cluster.names().iter().map(|name| format!("{name}:7000")).collect();
    if fs::exists("/proc/net/if_inet6")? {
        names.extend(cluster.names().iter().map(|name| format!("{name}-v6:7000")));
    }
    let visit: Vec<&str> = ["visit"].into_iter().chain(names.iter().map(String::as_str)).collect();
    for node in &cluster.nodes {
        node.spawn(squall("visit", &visit)).await?;
    }
    for node in &cluster.nodes {
        let log = logs.join(node.name()).join("visit.log");
        let expected: String = names
            .iter()
            .map(|at| format!("{at} is {}\n", at.split([':', '-']).next().unwrap_or_default()))
            .collect();
        wait_for("the visits", || fs::read_to_string(&log).is_ok_and(|text| text == expected)).await?;
        let own = fs::read_to_string(logs.join(node.name()).join("listen.log"))?;
        ensure!(own == "listening on 7000\n", "{own}");
    }
    controller_reaches(&cluster)?;
    ensure!(!fs::exists("/tmp/mine")?, "the node's /tmp is the controller's");
    Ok(())
}

fn controller_reaches(cluster: &Cluster) -> Result<()> {
    for node in &cluster.nodes {
        let stream = std::net::TcpStream::connect((node.node.ip, 7000))?;
        ensure!(stream.local_addr()?.ip() == local::CONTROLLER_IP, "{:?}", stream.local_addr());
    }
    Ok(())
}

async fn processes(logs: &Path) -> Result<()> {
    let cluster = LocalCluster::start(2, logs, &[]).await?;
    let [node, other] = cluster.nodes.as_slice() else { anyhow::bail!("two nodes") };
    ensure!(node.kill().await? == squall_targets::Receipt::unconfirmed("no process was running"));

    let bystander = other.spawn(sh("bystander", "exec sleep 1000")).await?;
    let pid = node.spawn(squall("breed", &["breed"])).await?;
    wait_for_log(logs, "n1/breed.log", "bred\n").await?;
    wait_for_pids(node, 5).await?;
    let before: BTreeSet<i32> = node.pids().await?.into_iter().collect();
    ensure!(before.contains(&pid) && !before.contains(&1), "{before:?}");
    ensure!(
        node.spawn(squall("breed", &["breed"]))
            .await
            .is_err_and(|e| format!("{e:#}").contains("runs already"))
    );

    let receipt = node.kill().await?;
    ensure!(receipt.confirmed && receipt.evidence.ends_with("gone (SIGKILL)"), "{receipt:?}");
    let killed: BTreeSet<i32> = serde_json::from_value(receipt.measured["pids"].clone())?;
    ensure!(killed == before, "{killed:?} {before:?}");
    ensure!(node.pids().await?.is_empty() && other.pids().await?.contains(&bystander));
    let agent_log = fs::read_to_string(logs.join("n1/agent.log"))?;
    ensure!(agent_log.contains(&format!("breed (pid {pid}) ended: signal: 9 (SIGKILL)")), "{agent_log}");

    node.spawn(squall("breed", &["breed"])).await.context("starting again")?;
    wait_for_log(logs, "n1/breed.log", "bred\nbred\n").await?;
    data(node, logs).await
}

async fn data(node: &NodeHandle, logs: &Path) -> Result<()> {
    let script =
        "mkdir -p {data}/a/b && echo $X > {data}/a/b/c && ln -s /etc d && ls $SQUALL_DATA; echo $SQUALL_NODE";
    let mut write = sh("write", script);
    write.env.insert("X".into(), "{data}".into());
    node.spawn(write).await?;
    wait_for_log(logs, "n1/write.log", "a\nd\nn1\n").await?;
    node.spawn(sh("read", "cat a/b/c")).await?;
    wait_for_log(logs, "n1/read.log", "/run/data\n").await?;
    node.wipe().await?;
    node.spawn(sh("ls", "ls -A; ls -d /etc")).await?;
    wait_for_log(logs, "n1/ls.log", "/etc\n").await?;
    let missing = Spawn { name: "no".into(), argv: vec!["/tmp/no-such".into()], ..Spawn::default() };
    let error = format!("{:#}", node.spawn(missing).await.err().context("it started")?);
    ensure!(error.starts_with("n1: starting /tmp/no-such (a local node has a /tmp"), "{error}");
    let error = format!("{:#}", node.spawn(sh("../up", "true")).await.err().context("it started")?);
    ensure!(error.contains("process name"), "{error}");
    Ok(())
}

async fn faults(logs: &Path) -> Result<()> {
    let cluster = LocalCluster::start(1, logs, &[]).await?;
    let switch = cluster.switch.as_ref().context("a switch")?;
    for node in [&cluster.nodes[0], switch] {
        node.spawn(sh("sleeper", "exec sleep 1000")).await?;
        let error = format!("{:#}", node.inject("tooy", json!({})).await.err().context("no fault tooy")?);
        ensure!(
            error == format!("{}: there is no fault `tooy`, did you mean `toy`? There are: toy", node.name()),
            "{error}"
        );
        ensure!(node.inject("toy", json!({"seconds": "1000"})).await?.measured["target"] == 1);
        ensure!(node.kill().await?.measured["pids"].as_array().is_some_and(|pids| pids.len() == 1));
        let healed = node.heal("toy").await?.evidence;
        ensure!(healed == "helper alive: true, ended by signal: 9 (SIGKILL)", "{healed}");
        ensure!(!node.heal("toy").await?.confirmed);
        // A helper's status is the fault's to collect, even while others are reaped.
        node.inject("toy", json!({"seconds": "0"})).await?;
        node.spawn(sh("short", "exec sleep 0.1")).await?;
        wait_for_pids(node, 0).await?;
        let healed = node.heal("toy").await?.evidence;
        ensure!(healed == "helper alive: false, ended by exit status: 0", "{healed}");
        node.inject("toy", json!({"seconds": "1000"})).await?;
    }
    cluster.close().await;
    let left: Vec<String> = commands()?.into_iter().filter(|command| command.starts_with("sleep")).collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

/// The command lines of all processes in the cell, its nodes included.
fn commands() -> Result<Vec<String>> {
    let lines =
        fs::read_dir("/proc")?.flatten().map(|entry| fs::read_to_string(entry.path().join("cmdline")));
    Ok(lines.filter_map(|line| Some(line.ok()?.replace('\0', " "))).collect())
}

async fn agent_death(logs: &Path) -> Result<()> {
    let cluster = LocalCluster::start(2, logs, &[]).await?;
    // As PID 1 an agent is safe from its own node, but not from the cell.
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        if let [pid, "1"] = pids.split_whitespace().collect::<Vec<_>>().as_slice() {
            kill(Pid::from_raw(pid.parse()?), Signal::SIGKILL)?;
        }
    }
    for node in &cluster.nodes {
        for _ in 0..2 {
            let error = format!("{:#}", node.pids().await.err().context("the agent lives")?);
            ensure!(error.starts_with(&format!("{}: the agent is gone", node.name())), "{error}");
        }
    }
    cluster.switch.as_ref().context("a switch")?.pids().await?;
    Ok(())
}

async fn twice(logs: &Path) -> Result<()> {
    for _ in 0..3 {
        let cluster = LocalCluster::start(3, logs, &[]).await?;
        cluster.nodes[2].spawn(sh("sleeper", "exec sleep 1000")).await?;
        cluster.close().await;
    }
    let error = LocalCluster::start(10, logs, &[]).await.err().context("ten nodes came up")?;
    ensure!(format!("{error:#}").contains("1 to 9 nodes"), "{error:#}");
    Ok(())
}

fn squall(name: &str, args: &[&str]) -> Spawn {
    let argv = ["squall"].iter().chain(args).map(ToString::to_string).collect();
    Spawn { name: name.into(), argv, ..Spawn::default() }
}

fn sh(name: &str, script: &str) -> Spawn {
    Spawn { name: name.into(), argv: vec!["sh".into(), "-c".into(), script.into()], ..Spawn::default() }
}

async fn wait_for_log(logs: &Path, file: &str, text: &str) -> Result<()> {
    let path = logs.join(file);
    wait_for(file, || fs::read_to_string(&path).is_ok_and(|found| found == text)).await.with_context(|| {
        format!("{file} says {:?}, not {text:?}", fs::read_to_string(&path).unwrap_or_default())
    })
}

async fn wait_for_pids(node: &NodeHandle, count: usize) -> Result<()> {
    for _ in 0..500 {
        if node.pids().await?.len() == count {
            return Ok(());
        }
        sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("{}: {:?} are not {count} processes", node.name(), node.pids().await?)
}

async fn wait_for(what: &str, mut met: impl FnMut() -> bool) -> Result<()> {
    for _ in 0..500 {
        if met() {
            return Ok(());
        }
        sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("waited in vain for {what}")
}
