//! Nemeses on a real local cluster, whose processes chat with each other all the time.
//!
//! A binary of its own, since the cell must be entered before there are threads. It is also the agent and the target.

mod chatter;
mod clocks;
mod disks;
mod processes;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use chatter::{Heard, heard};
use squall_checkers::{Op, Receipt};
use squall_nemeses::journal::{open_faults, read};
use squall_nemeses::{Chaos, Journal, Phase, Schedule, Setting, faults};
use squall_targets::agent;
use squall_targets::cluster::local::{self, LocalCluster, Place};
use squall_targets::{Client, Cluster, Flags, NodeHandle, Target};
use tokio::time::sleep;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [agent::COMMAND] => agent::run(faults::all()),
        ["chatter", name, ..] => chatter::run(name),
        ["write"] => disks::write(),
        _ if as_both::is_due() => as_both::play(),
        _ => match local::enter() {
            Ok(Place::Outside { code }) => return ExitCode::from(code as u8),
            Ok(Place::Inside) => controller(),
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Root plays everything twice, the second time in a user namespace, where it has the rights of any user.
mod as_both {
    use std::process::Command;

    use super::*;

    const ONE: &str = "SQUALL_TEST_ONE_USER";

    pub(super) fn is_due() -> bool {
        nix::unistd::geteuid().is_root() && std::env::var_os(ONE).is_none()
    }

    pub(super) fn play() -> Result<()> {
        let program = std::env::current_exe()?;
        let mut user = Command::new("unshare");
        user.args(["--user", "--map-root-user"]).arg(&program);
        for (name, mut command) in [("root", Command::new(&program)), ("user", user)] {
            println!("as {name}");
            ensure!(command.env(ONE, "1").status()?.success(), "as {name}");
        }
        Ok(())
    }
}

struct Chatter;

#[async_trait]
impl Target for Chatter {
    fn op_sets(&self) -> &[&str] {
        &[]
    }

    async fn start(&self, _: &Cluster, node: &NodeHandle) -> Result<()> {
        chatter::start(node, &[]).await
    }

    async fn ready(&self, node: &NodeHandle) -> Result<()> {
        heard(node).map(drop)
    }

    fn client(&self, op_set: &str) -> Result<Box<dyn Client>> {
        bail!("no client for {op_set}")
    }

    fn flags(&self) -> Option<&dyn Flags> {
        Some(self)
    }
}

#[async_trait]
impl Flags for Chatter {
    fn choices(&self) -> &[&[&str]] {
        &[&["--softly"]]
    }

    async fn start_with(&self, _: &Cluster, node: &NodeHandle, flags: &[String]) -> Result<()> {
        chatter::start(node, flags).await
    }
}

fn controller() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let folder = tempfile::tempdir()?;
        let setting = Setting {
            nodes: 3,
            primaries: false,
            membership: false,
            transfer: false,
            flags: true,
            interval: Duration::from_secs(1),
        };
        let all = format!("partition,packets,regions,clock,kill,pause,{}", processes::NEMESES);
        let schedule = Schedule::of_list(&all, &setting, &squall_nemeses::registry::ALL)?;
        let cluster = LocalCluster::start(3, folder.path(), &schedule.preparations(1)).await?;
        for node in &cluster.nodes {
            Chatter.start(&cluster, node).await?;
        }
        chat(&cluster, &[]).await.context("before any fault")?;
        let nemeses = schedule.compose(1).nemeses;
        let path = folder.path().join("chatter.jsonl");
        let journal = Journal::create(&path, Instant::now())?;
        let chaos = Chaos::new(nemeses, journal, cluster.clone(), Arc::new(Chatter), 1)?;

        perform(&chaos, "start-partition", "n1").await?;
        chat(&cluster, &[(1, 2), (1, 3), (2, 1), (3, 1)]).await.context("n1 alone")?;
        perform(&chaos, "stop-partition", "").await?;
        chat(&cluster, &[]).await.context("after a partition")?;

        perform(&chaos, "start-partition", "{n1>n2}+port=7001").await?;
        chat(&cluster, &[(1, 2)]).await.context("n2 deaf to n1 at the port of the chat")?;
        // The next one replaces it.
        perform(&chaos, "start-partition", "n1+port=9").await?;
        chat(&cluster, &[]).await.context("another port")?;
        perform(&chaos, "start-partition", "n3+reset").await?;
        chat(&cluster, &[(1, 3), (2, 3), (3, 1), (3, 2)]).await.context("cut on the nodes")?;
        perform(&chaos, "stop-partition", "").await?;
        perform(&chaos, "start-partition", "isolate+flap=100ms/200ms").await?;
        chat(&cluster, &[]).await.context("links that flap pass something")?;
        perform(&chaos, "stop-partition", "").await?;

        perform(&chaos, "pause", "n2").await?;
        ensure!(heard(&cluster.nodes[1]).is_err(), "n2 answers while it is paused");
        perform(&chaos, "resume", "").await?;
        perform(&chaos, "kill", "majority").await?;
        perform(&chaos, "start", "").await?;
        chat(&cluster, &[]).await.context("after a pause and a kill")?;

        perform(&chaos, "start-regions", "a-b=40ms+a=n1/n2+b=n3").await?;
        perform(&chaos, "start-packets", "delay=20ms+jitter=5ms").await?;
        chat(&cluster, &[]).await.context("while packets are late")?;
        perform(&chaos, "stop-packets", "").await?;
        perform(&chaos, "start-packets", "loss=100%@n1>n2").await?;
        chat(&cluster, &[(1, 2)]).await.context("while all packets of one direction are lost")?;
        perform(&chaos, "stop-packets", "").await?;
        perform(&chaos, "stop-regions", "").await?;

        clocks::scenario(&chaos, &cluster, folder.path()).await?;

        processes::scenario(&chaos, &cluster).await?;
        chat(&cluster, &[]).await.context("after faults on processes")?;

        perform(&chaos, "start-partition", "majorities-ring").await?;
        perform(&chaos, "pause", "one").await?;
        perform(&chaos, "kill", "one").await?;
        sleep(Duration::from_millis(50)).await;
        ensure!(open_faults(&path)?.len() == 3, "three faults at a time");
        for (fault, receipt) in chaos.heal_all().await {
            receipt.with_context(|| format!("healing {fault}"))?;
        }
        ensure!(chaos.heal_all().await.is_empty() && open_faults(&path)?.is_empty(), "healed is healed");
        chat(&cluster, &[]).await.context("after healing all")?;

        for event in read(&path)? {
            let evidence = event.receipt.map(|receipt: Receipt| receipt.evidence).unwrap_or_default();
            if event.phase != Phase::Intent {
                println!("{} {:?}: {} ({evidence})", event.fault, event.phase, event.what);
            }
        }
        let summary = chaos.summary().await.to_string();
        println!("{summary}");
        ensure!(
            summary
                == "1 clock skew, 1 processor quota, 1 crash-loop, 1 restart with other flags, 2 kills, 1 memory limit, \
                    2 packet faults, 6 partitions (1 unconfirmed), 3 pauses, 1 region map, 1 restart, 1 rolling restart, \
                    1 slow node, 2 terminations",
            "{summary}"
        );
        cluster.close().await;
        disks::play(folder.path()).await
    })
}

async fn perform(chaos: &Chaos, f: &'static str, value: &str) -> Result<()> {
    let start = Instant::now();
    let completion = chaos.perform(&Op::new(f).value(value)).await;
    println!("{f} {value}: {:?}", start.elapsed());
    match completion.error {
        Some(error) => bail!("{f} {value}: {error}"),
        None => Ok(()),
    }
}

/// Waits until each node hears each other on both addresses, except in these (from, to) directions, where silence must
/// last.
async fn chat(cluster: &Cluster, cut: &[(usize, usize)]) -> Result<()> {
    let before: Vec<Heard> = cluster.nodes.iter().map(heard_soon).collect::<Result<_>>()?;
    let mut missing = Vec::new();
    for _ in 0..100 {
        sleep(Duration::from_millis(50)).await;
        missing.clear();
        for (to, node) in cluster.nodes.iter().enumerate() {
            let now = heard_soon(node)?;
            for from in (0..cluster.nodes.len()).filter(|&from| from != to) {
                for name in [format!("n{}", from + 1), format!("n{}-v6", from + 1)] {
                    let count = |heard: &Heard| heard.get(&name).copied().unwrap_or(0);
                    let new = count(&now).saturating_sub(count(&before[to]));
                    let is_cut = cut.contains(&(from + 1, to + 1));
                    // One may have been under way.
                    ensure!(!is_cut || new <= 1, "n{} heard {name} {new} times through a cut", to + 1);
                    if !is_cut && new < 5 {
                        missing.push(format!("n{} does not hear {name}", to + 1));
                    }
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
    }
    bail!("{}", missing.join(", "))
}

/// What a node heard, once it answers.
fn heard_soon(node: &NodeHandle) -> Result<Heard> {
    (0..20).map(|_| heard(node)).find(Result::is_ok).unwrap_or_else(|| heard(node))
}
