//! The reference key-value store on real nodes, through the target.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde_json::{Value, json};
use squall_targets::cluster::local::LocalCluster;
use squall_targets::target::{self, TargetOptions};
use squall_targets::{Client, Cluster, Completion, NodeHandle, Target};
use squall_workloads::{Op, Type};
use tokio::time::sleep;

#[derive(Parser)]
enum Cli {
    Refkv(squall_refkv::Args),
}

/// The server, as the `squall` binary runs it.
pub(crate) fn serve() -> Result<()> {
    let Cli::Refkv(args) = Cli::parse();
    squall_refkv::run(args)
}

pub(crate) async fn scenario(logs: &Path) -> Result<()> {
    let cluster = LocalCluster::start(3, logs, &[]).await?;
    let options = TargetOptions::parse(["design=raft", "flag=--snapshot-every=50", "flag=--seed=1"])?;
    let refkv = target::find("refkv")?.make(&options)?;
    for node in &cluster.nodes {
        refkv.start(&cluster, node).await?;
    }
    all_ready(&*refkv, &cluster.nodes).await?;
    operations(&*refkv, &cluster).await?;
    lose_the_leader(&*refkv, &cluster).await?;
    change_members(&*refkv, &cluster).await
}

async fn operations(refkv: &dyn Target, cluster: &Cluster) -> Result<()> {
    let node = &cluster.nodes[0];
    let mut register = refkv.client("register")?.open(&node.node).await?;
    expect(&mut *register, "read", json!([1, null]), Completion::value(json!([1, null]))).await?;
    expect(&mut *register, "write", json!([1, 4]), Completion::ok()).await?;
    expect(&mut *register, "cas", json!([1, [4, 5]]), Completion::ok()).await?;
    expect(&mut *register, "cas", json!([1, [4, 6]]), Completion::fail("cas-mismatch")).await?;
    expect(&mut *register, "read", json!([1, null]), Completion::value(json!([1, 5]))).await?;
    let mut set = refkv.client("set")?.open(&node.node).await?;
    expect(&mut *set, "read", json!(null), Completion::value(json!([]))).await?;
    expect(&mut *set, "add", json!(7), Completion::ok()).await?;
    expect(&mut *set, "read", json!(null), Completion::value(json!([7]))).await?;
    let mut txn = refkv.client("txn")?.open(&node.node).await?;
    let asked = json!([["append", 9, 1], ["r", 9, null], ["append", 9, 2]]);
    let answered = json!([["append", 9, 1], ["r", 9, [1]], ["append", 9, 2]]);
    expect(&mut *txn, "txn", asked, Completion::value(answered)).await?;
    let read = json!([["r", 9, null]]);
    expect(&mut *txn, "txn", read, Completion::value(json!([["r", 9, [1, 2]]]))).await
}

/// Kills the leader; another one takes over, and the old one comes back with its data.
async fn lose_the_leader(refkv: &dyn Target, cluster: &Cluster) -> Result<()> {
    let primaries = refkv.primaries().context("it knows its primaries")?;
    let [old] =
        primaries.primaries(cluster).await.try_into().map_err(|all| anyhow::anyhow!("leaders: {all:?}"))?;
    let dead = cluster.node(&old).context("a node")?;
    let mut client = refkv.client("register")?.open(&dead.node).await?;
    ensure!(dead.kill().await?.confirmed);
    let write = client.invoke(&Op::new("write").value(json!([1, 6]))).await?;
    ensure!(write.kind == Type::Fail, "nobody listens, yet {write:?}");
    let mut tries = 0;
    // The others call themselves healthy until they miss the leader.
    while primaries.primaries(cluster).await.is_empty() {
        tries += 1;
        ensure!(tries < 500, "nobody takes over from {old}");
        sleep(Duration::from_millis(20)).await;
    }
    let leaders = primaries.primaries(cluster).await;
    ensure!(leaders.len() == 1 && leaders[0] != old, "{leaders:?} after {old}");
    refkv.start(cluster, dead).await?;
    all_ready(refkv, std::slice::from_ref(dead)).await?;
    expect(&mut *client, "read", json!([1, null]), Completion::value(json!([1, 5]))).await
}

/// Removes a node, wipes it, and adds it again.
async fn change_members(refkv: &dyn Target, cluster: &Cluster) -> Result<()> {
    let membership = refkv.membership().context("it has members")?;
    let leaders = refkv.primaries().context("primaries")?.primaries(cluster).await;
    let leader = cluster.node(leaders.first().context("a leader")?).context("a node")?;
    let other = cluster.nodes.iter().find(|node| node.name() != leader.name()).context("another node")?;
    membership.remove(leader, other).await?;
    ensure!(!membership.members(leader).await?.contains(&other.node.name));
    other.kill().await?;
    other.wipe().await?;
    refkv.start(cluster, other).await?;
    membership.add(leader, other).await?;
    ensure!(membership.members(leader).await? == cluster.names());
    all_ready(refkv, std::slice::from_ref(other)).await?;
    let mut client = refkv.client("register")?.open(&other.node).await?;
    expect(&mut *client, "read", json!([1, null]), Completion::value(json!([1, 5]))).await
}

async fn expect(client: &mut dyn Client, f: &'static str, value: Value, expected: Completion) -> Result<()> {
    let completion = client.invoke(&Op::new(f).value(value.clone())).await?;
    ensure!(completion == expected, "{f} {value}: {completion:?}, not {expected:?}");
    Ok(())
}

async fn all_ready(refkv: &dyn Target, nodes: &[NodeHandle]) -> Result<()> {
    for node in nodes {
        let mut tries = 0;
        while let Err(error) = refkv.ready(node).await {
            tries += 1;
            if tries == 500 {
                bail!("{} is never ready: {error:#}", node.name());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}
