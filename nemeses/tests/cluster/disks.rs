//! Disk faults and power failures under a process that tells what it saved.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use squall_checkers::{Op, Receipt};
use squall_nemeses::faults::DISK;
use squall_nemeses::journal::read;
use squall_nemeses::{Chaos, Journal, Schedule, Setting};
use squall_targets::agent::Spawn;
use squall_targets::cluster::local::LocalCluster;
use squall_targets::{Client, Cluster, NodeHandle, Target};

/// The target's process: appends numbers to a file that it saves each time and to one that it never saves, and prints what
/// is saved.
pub(crate) fn write() -> Result<()> {
    let open = |name| OpenOptions::new().create(true).append(true).open(name);
    let (mut saved, mut unsaved) = (open("saved")?, open("unsaved")?);
    let mut number = fs::read_to_string("saved")?.lines().count();
    loop {
        number += 1;
        let save = |file: &mut File| writeln!(file, "{number}").and_then(|()| file.sync_data());
        if let Err(error) = save(&mut saved) {
            println!("{error}");
            return Err(error.into());
        }
        println!("{number}");
        writeln!(unsaved, "{number}")?;
        sleep(Duration::from_millis(2));
    }
}

struct Writer;

#[async_trait]
impl Target for Writer {
    fn op_sets(&self) -> &[&str] {
        &[]
    }

    async fn start(&self, _: &Cluster, node: &NodeHandle) -> Result<()> {
        node.spawn(Spawn::new("writer", ["squall", "write"])).await.map(drop)
    }

    async fn ready(&self, _: &NodeHandle) -> Result<()> {
        Ok(())
    }

    fn client(&self, op_set: &str) -> Result<Box<dyn Client>> {
        bail!("no client for {op_set}")
    }
}

/// Plays the whole scenario, in the cell.
pub(crate) async fn play(logs: &Path) -> Result<()> {
    let setting = Setting {
        nodes: 3,
        primaries: false,
        membership: false,
        transfer: false,
        flags: false,
        interval: Duration::from_secs(1),
    };
    let schedule = Schedule::of_list("power,disk,files", &setting, &squall_nemeses::registry::ALL)?;
    ensure!(schedule.preparations(1) == [DISK]);
    let cluster = LocalCluster::start(3, logs, &schedule.preparations(1)).await?;
    for node in &cluster.nodes {
        Writer.start(&cluster, node).await?;
    }
    let journal = Journal::create(&logs.join("faults.jsonl"), Instant::now())?;
    let chaos = Chaos::new(schedule.compose(1).nemeses, journal, cluster.clone(), Arc::new(Writer), 1)?;
    let stage = Stage { cluster: &cluster, chaos, logs };

    let mounts = stage.sh("n1", "mounts", "grep ' /run/data ' /proc/mounts | tail -n 1").await?;
    ensure!(mounts.starts_with("squall /run/data fuse.squall"), "{mounts}");
    stage.power().await.context("power failures")?;
    stage.disk().await.context("disk faults")?;
    stage.wiped().await.context("wiping")?;

    let receipts = stage.perform("start-files", "flip=4+file=saved@n2").await?;
    ensure!(receipts.confirmed && receipts.evidence.contains("saved: 4 bits flipped"), "{receipts:?}");
    let healed = stage.perform("stop-files", "").await?;
    ensure!(healed.evidence.contains("n2: not healed, damage stays"), "{healed:?}");

    let summary = stage.chaos.summary().await.to_string();
    println!("{summary}");
    ensure!(
        summary == "4 disk faults (1 unconfirmed), 1 damaged file, 3 power failures (1 unconfirmed)",
        "{summary}"
    );
    cluster.close().await;
    let left: Vec<String> = commands()?.into_iter().filter(|line| line.contains("agent")).collect();
    ensure!(left.is_empty(), "helpers are left: {left:?}");
    Ok(())
}

struct Stage<'a> {
    cluster: &'a Cluster,
    chaos: Chaos,
    logs: &'a Path,
}

impl Stage<'_> {
    async fn power(&self) -> Result<()> {
        for node in self.cluster.names() {
            self.progress(&node).await?;
        }
        let receipt = self.perform("power-off", "lost@all").await?;
        ensure!(receipt.confirmed && receipt.evidence.contains("lost"), "{receipt:?}");
        for node in self.cluster.names() {
            let told = self.told(&node)?;
            let script = "wc -l < saved; wc -c < unsaved";
            let found = self.sh(&node, "after-power", script).await?;
            let [saved, unsaved]: [usize; 2] = [0, 1]
                .map(|line| found.lines().nth(line).and_then(|text| text.parse().ok()).unwrap_or(usize::MAX));
            // One may have been saved and not told of yet.
            ensure!(
                told > 20 && (told..=told + 1).contains(&saved),
                "{node} told of {told}, and {saved} are there"
            );
            ensure!(unsaved == 0, "{node}: {unsaved} bytes are there that nobody saved");
        }
        self.perform("power-on", "").await?;
        self.progress("n3").await?;
        let receipt = self.perform("power-off", "torn@n1+n2").await?;
        ensure!(receipt.confirmed, "{receipt:?}");
        for node in ["n1", "n2"] {
            let told = self.told(node)?;
            let saved: usize = self.sh(node, "after-torn", "wc -l < saved").await?.trim().parse()?;
            ensure!(saved >= told, "{node} told of {told}, and {saved} are there");
        }
        self.perform("power-on", "").await?;
        Ok(())
    }

    async fn disk(&self) -> Result<()> {
        self.progress("n1").await?;
        self.perform("start-disk", "eio-fsync=100%@n1").await?;
        let log = self.logs.join("n1/writer.log");
        self.wait("the writer fails", || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains("os error 5"))
        })
        .await?;
        let receipt = self.perform("stop-disk", "").await?;
        ensure!(receipt.confirmed && receipt.evidence.ends_with("n1 started again"), "{receipt:?}");
        self.progress("n1").await?;

        self.perform("start-disk", "slow-fsync=100ms@n2").await?;
        let before = self.told("n2")?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (new, receipt) = (self.told("n2")? - before, self.perform("stop-disk", "").await?);
        ensure!(receipt.confirmed && new <= 11, "{new} in a second of slow fsyncs: {receipt:?}");

        self.perform("start-disk", "full@n3").await?;
        let log = self.logs.join("n3/writer.log");
        self.wait("the disk is full", || {
            fs::read_to_string(&log).is_ok_and(|text| text.contains("os error 28"))
        })
        .await?;
        ensure!(self.perform("stop-disk", "").await?.confirmed);

        // Nobody reads.
        self.perform("start-disk", "eio-read=100%@n2").await?;
        let receipt = self.perform("stop-disk", "").await?;
        ensure!(!receipt.confirmed && receipt.evidence.contains("0 of 0 reads failed"), "{receipt:?}");
        Ok(())
    }

    /// What was wiped does not come back, not even by a power failure.
    async fn wiped(&self) -> Result<()> {
        let node = self.cluster.node("n3").context("n3")?;
        node.kill().await?;
        node.wipe().await?;
        self.perform("power-off", "lost@n3")
            .await
            .err()
            .context("a power failure without a process is confirmed")?;
        ensure!(self.sh("n3", "ls", "ls -A").await? == "");
        // The power failure did not end it, so the power's return does not start it.
        self.perform("power-on", "").await.err().context("what was dead before is started")?;
        Writer.start(self.cluster, node).await?;
        self.progress("n3").await
    }

    /// Performs an operation and returns its receipt; an injection must be confirmed, or wait for its end.
    async fn perform(&self, f: &'static str, value: &str) -> Result<Receipt> {
        let start = Instant::now();
        let completion = self.chaos.perform(&Op::new(f).value(value)).await;
        if let Some(error) = completion.error {
            bail!("{f} {value}: {error}");
        }
        let last = read(&self.logs.join("faults.jsonl"))?.pop().context("the journal is empty")?;
        let receipt = last.receipt.context("no receipt")?;
        println!("{f} {value} in {:?}: {}", start.elapsed(), receipt.evidence);
        ensure!(receipt.confirmed || receipt.pending || f.starts_with("stop"), "{f} {value}: {receipt:?}");
        Ok(receipt)
    }

    /// The last number that the writer of a node told of.
    fn told(&self, node: &str) -> Result<usize> {
        let log = fs::read_to_string(self.logs.join(node).join("writer.log"))?;
        let last = log.lines().filter_map(|line| line.parse().ok()).next_back();
        last.with_context(|| format!("{node} told of nothing: {log}"))
    }

    /// Waits until the writer of a node has saved some more.
    async fn progress(&self, node: &str) -> Result<()> {
        let before = self.told(node).unwrap_or(0);
        let goal = |told: usize| told >= before + 30 || told + 30 < before;
        self.wait("progress", || self.told(node).is_ok_and(goal)).await
    }

    async fn wait(&self, what: &str, met: impl Fn() -> bool) -> Result<()> {
        for _ in 0..1000 {
            if met() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("waited in vain for: {what}")
    }

    /// What a shell prints on a node, in the data directory.
    async fn sh(&self, node: &str, name: &str, script: &str) -> Result<String> {
        let handle = self.cluster.node(node).context("no such node")?;
        let script = format!("{script}; echo end");
        let pid = handle.spawn(Spawn::new(name, ["sh", "-c", &script])).await?;
        let log = self.logs.join(node).join(format!("{name}.log"));
        self.wait(name, || fs::read_to_string(&log).is_ok_and(|text| text.ends_with("end\n"))).await?;
        // It must not be taken for the target.
        while handle.pids().await?.contains(&pid) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(fs::read_to_string(&log)?.trim_end_matches("end\n").to_owned())
    }
}

/// The command lines of all processes in the cell.
fn commands() -> Result<Vec<String>> {
    let lines =
        fs::read_dir("/proc")?.flatten().map(|entry| fs::read_to_string(entry.path().join("cmdline")));
    Ok(lines.filter_map(|line| Some(line.ok()?.replace('\0', " "))).collect())
}
