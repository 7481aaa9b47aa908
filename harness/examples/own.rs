//! A target, a workload, a nemesis and a checker of one's own, with the whole of squall around them.
//!
//! The system under test counts hits in memory. Pausing it does no harm; killing it makes it count from the beginning:
//!
//! ```text
//! cargo run --example own -- test -t counter -w hits -n hiccup --nodes 1
//! cargo run --example own -- test -t counter -w hits -n kill --nodes 1
//! ```

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader as StdBufReader, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use async_trait::async_trait;
use squall::{NemesisEntry, Squall, TargetEntry, WorkloadEntry};
use squall_checkers::history::OpRef;
use squall_checkers::{Anomaly, History, Op, Type, Verdict, from_fn};
use squall_nemeses::{Nemesis, Package, Plan, Receipt, Scene};
use squall_targets::agent::Spawn;
use squall_targets::{Client, Cluster, Completion, Node, NodeHandle, Target};
use squall_workloads::generator::forever;
use squall_workloads::workload::{Options, Workload};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const PORT: u16 = 7777;

// The target: how to start it, when it answers, and how to talk to it.

struct Counter;

#[async_trait]
impl Target for Counter {
    fn op_sets(&self) -> &[&str] {
        &["hits"]
    }
    async fn start(&self, _cluster: &Cluster, node: &NodeHandle) -> Result<()> {
        node.spawn(Spawn::new("counter", ["squall", "serve-counter"])).await.map(drop)
    }
    async fn ready(&self, node: &NodeHandle) -> Result<()> {
        Ok(TcpStream::connect((node.node.ip, PORT)).await.map(drop)?)
    }
    fn client(&self, _op_set: &str) -> Result<Box<dyn Client>> {
        Ok(Box::new(CounterClient(None)))
    }
}

// The workload: what clients do, and who judges.

fn hits(_options: &Options) -> Workload {
    let workload = Workload::new("hits", forever(Op::new("hit")));
    workload.check(from_fn("unique-hits", unique_hits))
}

// The nemesis: the agent on each node knows the fault `signal`, which stops processes.

struct Hiccup;

#[async_trait]
impl Nemesis for Hiccup {
    fn fault(&self) -> &str {
        "hiccup"
    }
    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        on.each(&plan.nodes, |node| node.inject("signal", Default::default())).await
    }
    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        on.each(&on.cluster.names(), |node| node.heal("signal")).await
    }
}

// The checker: no two hits may have the same number.

fn unique_hits(history: &History) -> Verdict {
    let mut seen = HashSet::new();
    let twice = history.iter().filter(|op| op.kind() == Type::Ok && !seen.insert(op.value().to_string()));
    let anomaly =
        |hit: OpRef| Anomaly::new("duplicate-hit", format!("{} came twice", hit.value()), [hit.index()]);
    Verdict::of("unique-hits", twice.map(anomaly).collect())
}

// The client: one line there, one line back. An error is `info`, unless nothing was sent.

struct CounterClient(Option<BufReader<TcpStream>>);

#[async_trait]
impl Client for CounterClient {
    async fn open(&self, node: &Node) -> Result<Box<dyn Client>> {
        let stream = TcpStream::connect((node.ip, PORT)).await?;
        Ok(Box::new(CounterClient(Some(BufReader::new(stream)))))
    }
    async fn invoke(&mut self, _op: &Op) -> Result<Completion> {
        let stream = self.0.as_mut().expect("opened");
        stream.write_all(b"hit\n").await?;
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        Ok(Completion::value(line.trim().parse::<u64>()?))
    }
}

/// The system under test: answers each line with how many there were.
fn serve_counter() -> Result<()> {
    let count = std::sync::atomic::AtomicU64::new(0);
    let listener = std::net::TcpListener::bind(("0.0.0.0", PORT))?;
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            let (mut stream, count) = (stream?, &count);
            scope.spawn(move || -> Result<()> {
                for line in StdBufReader::new(stream.try_clone()?).lines() {
                    line?;
                    writeln!(stream, "{}", count.fetch_add(1, std::sync::atomic::Ordering::SeqCst))?;
                }
                Ok(())
            });
        }
        Ok(())
    })
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("serve-counter") {
        return serve_counter().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    Squall::new()
        .target(TargetEntry::new("counter", "counts hits in memory", |_| Ok(Box::new(Counter))))
        .workload(WorkloadEntry { name: "hits", about: "hits the counter", op_set: "hits", build: hits })
        .nemesis(NemesisEntry::new("hiccup", "stops a node for a while", |_, setting| {
            Ok(Some(Package::new(Hiccup, setting.interval, Box::new(|_| Default::default()))))
        }))
        .main()
}
