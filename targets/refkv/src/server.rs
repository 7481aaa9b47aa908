//! The runtime: drives the pure node over real sockets, a real disk and a real clock.
//!
//! One task owns the node. It takes in everything that waits, asks the node once what is to be done, writes, fsyncs,
//! and only then speaks. So one fsync serves all inputs that came while the one before was under way (group commit).

use crate::args::Args;
use crate::bug::{BugKind, Bugs, LEASE};
use crate::http::{self, Api};
use crate::peer::{Hello, Links, read_link};
use crate::raft::{Answer, Config, Durable, Input, Leases, Members, Message, Node, Output, Request};
use crate::wal::{Wal, replace};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, lookup_host};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_local};

pub use crate::metrics::View;

const TICK: Duration = Duration::from_millis(10);
const QUEUE_EVENTS_MAX: usize = 16_384;
const BATCH_EVENTS_MAX: usize = 1024;
/// Under the bug `ack-before-fsync`: how long records stay in memory, as in a write-back cache.
const LAZY_WRITE: Duration = Duration::from_millis(500);

/// What reaches the node's task from the others.
#[derive(Debug)]
pub enum Event {
    /// From a peer.
    Message(Message),
    /// A peer has called and said where it can be called back.
    Hello(Hello),
    /// From a client.
    Request(Request, oneshot::Sender<Answer>),
}

/// Runs one node until it is stopped or its disk fails.
///
/// # Errors
///
/// When the arguments make no sense, an address cannot be used, the log cannot be used, or the disk fails.
pub fn run(args: Args) -> Result<()> {
    let cluster = args.cluster()?;
    let bugs = args.bug_set()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(args, cluster, bugs))
}

async fn serve(args: Args, cluster: Members, bugs: Bugs) -> Result<()> {
    let own_addr = cluster.get(&args.id).cloned();
    let peers = bind(own_addr.as_deref(), None, args.peer_port).await?;
    let clients = bind(own_addr.as_deref(), Some(args.client_port), args.client_port).await?;
    let (wal, durable) = Wal::open(&args.data)?;
    let boot = next_boot(&args.data)?;
    eprintln!(
        "refkv {}: design {}, peers at {}, clients at {}, data in {}{}",
        args.id,
        args.design,
        peers.local_addr()?,
        clients.local_addr()?,
        args.data.display(),
        args.bugs.iter().map(|bug| format!(", bug {bug}")).collect::<String>(),
    );
    let (events, inbox) = mpsc::channel(QUEUE_EVENTS_MAX);
    let hello = Hello { id: args.id.clone(), addr: own_addr };
    let (driver, view) = Driver::new(&args, cluster, bugs, hello, wal, durable, boot);
    spawn_local(accept_peers(peers, events.clone()));
    let api = Api { events, view, peer_port: args.peer_port };
    tokio::select! {
        end = driver.run(inbox) => end,
        end = axum::serve(clients, http::router(api)) => Ok(end?),
    }
}

/// A number that is larger than that of every earlier start by far, even if the clock was set back meanwhile.
fn next_boot(data: &Path) -> Result<u64> {
    const BETWEEN: u64 = 1 << 21;
    let path = data.join("boot");
    let last = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    let boot = last.map_or(now, |last| now.max(last + BETWEEN));
    replace(&path, boot.to_string().as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(boot)
}

/// Listens on loopback if the node's address is there, and on every interface otherwise. The port is `port`, or that of
/// the address, or `default_port`.
async fn bind(own_addr: Option<&str>, port: Option<u16>, default_port: u16) -> Result<TcpListener> {
    let resolved = match own_addr {
        Some(addr) => lookup_host(addr).await.with_context(|| format!("cannot resolve {addr}"))?.next(),
        None => None,
    };
    let addr = resolved.unwrap_or_else(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), default_port));
    let ip: IpAddr = match addr.ip() {
        ip if ip.is_loopback() => ip,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let addr = SocketAddr::new(ip, port.unwrap_or(addr.port()));
    TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))
}

async fn accept_peers(listener: TcpListener, events: mpsc::Sender<Event>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: wait for some to come free.
            tokio::time::sleep(TICK).await;
            continue;
        };
        let events = events.clone();
        spawn_local(async move {
            // The node is gone when a send fails, and then so is the process.
            let hello = async |hello| drop(events.send(Event::Hello(hello)).await);
            let message = async |message| drop(events.send(Event::Message(message)).await);
            if let Err(error) = read_link(stream, hello, message).await {
                eprintln!("refkv: a peer's connection broke: {error}");
            }
        });
    }
}

/// The task that owns the node.
struct Driver {
    node: Node,
    wal: Option<Wal>,
    links: Links,
    begin: Instant,
    next_ticket: u64,
    tickets: HashMap<u64, oneshot::Sender<Answer>>,
    view: watch::Sender<View>,
    lazy: bool,
    last_sync: Instant,
}

impl Driver {
    fn new(
        args: &Args,
        cluster: Members,
        bugs: Bugs,
        hello: Hello,
        wal: Wal,
        durable: Durable,
        boot: u64,
    ) -> (Driver, watch::Receiver<View>) {
        let mut links = Links::new(hello);
        for (id, addr) in &cluster {
            links.learn(id, addr);
        }
        let config = Config {
            id: args.id.clone(),
            members: if args.join { Members::new() } else { cluster },
            election_timeout_ms: args.election_timeout_ms,
            heartbeat_ms: args.heartbeat_ms,
            snapshot_every: args.snapshot_every,
            request_timeout_ms: args.request_timeout_ms,
            seed: args.seed.unwrap_or(boot ^ u64::from(std::process::id())),
            boot,
            leases: (args.design == LEASE).then_some(Leases { drift_ppm_max: args.lease_drift_ppm }),
            bugs,
        };
        let begin = Instant::now();
        let node = Node::new(config, durable, 0);
        let status = node.status();
        let (view, watcher) =
            watch::channel(View { status, wal: wal.stats(), sent: 0, dropped: 0, connects: 0 });
        let lazy = bugs.has(BugKind::AckBeforeFsync);
        let tickets = HashMap::new();
        let driver = Driver {
            node,
            wal: Some(wal),
            links,
            begin,
            next_ticket: 0,
            tickets,
            view,
            lazy,
            last_sync: begin,
        };
        (driver, watcher)
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Event>) -> Result<()> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut events = Vec::new();
        loop {
            tokio::select! {
                // Inputs do not keep time from passing: a tick that is due comes first.
                biased;
                _ = ticks.tick() => self.step(Input::Tick),
                _ = inbox.recv_many(&mut events, BATCH_EVENTS_MAX) => {}
            }
            for event in events.drain(..) {
                self.take(event);
            }
            let output = self.node.output();
            self.carry_out(output).await?;
        }
    }

    fn step(&mut self, input: Input) {
        self.node.step(self.begin.elapsed().as_millis() as u64, input);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.step(Input::Message(message)),
            Event::Hello(Hello { id, addr: Some(addr) }) => self.links.learn(&id, &addr),
            Event::Hello(Hello { addr: None, .. }) => {}
            Event::Request(request, answer) => {
                self.next_ticket += 1;
                self.tickets.insert(self.next_ticket, answer);
                self.step(Input::Request { ticket: self.next_ticket, request });
            }
        }
    }

    /// First to disk, then out: nothing that a node says may be forgotten by it.
    async fn carry_out(&mut self, output: Output) -> Result<()> {
        let due = self.lazy && self.last_sync.elapsed() >= LAZY_WRITE;
        if !output.records.is_empty() || due {
            let sync = output.sync || due;
            self.write(output.records, sync).await?;
        }
        for message in output.messages {
            self.links.send(message);
        }
        for (ticket, answer) in output.answers {
            if let Some(sender) = self.tickets.remove(&ticket) {
                // A client that has hung up wants no answer.
                let _ = sender.send(answer);
            }
        }
        self.show();
        Ok(())
    }

    async fn write(&mut self, records: Vec<crate::raft::Record>, sync: bool) -> Result<()> {
        let mut wal = self.wal.take().context("the log was lost")?;
        // On another thread, so that this one goes on reading what becomes the next batch.
        let (wal, end) = tokio::task::spawn_blocking(move || {
            let end = wal.append(&records).and_then(|()| if sync { wal.sync() } else { Ok(()) });
            (wal, end)
        })
        .await?;
        self.wal = Some(wal);
        if sync {
            self.last_sync = Instant::now();
        }
        end.context("the disk failed; what is on it is not known, so this node stops")
    }

    fn show(&mut self) {
        let status = self.node.status();
        for (id, addr) in &status.members {
            self.links.learn(id, addr);
        }
        let links = self.links.stats();
        let view = View {
            status,
            wal: self.wal.as_ref().map(Wal::stats).unwrap_or_default(),
            sent: links.sent.get(),
            dropped: links.dropped.get(),
            connects: links.connects.get(),
        };
        self.view.send_replace(view);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node whose clock was set back by an hour took a smaller number than in its life before, and its writes were
    /// taken for repetitions of old ones.
    #[test]
    fn a_later_start_has_a_larger_number_whatever_the_clock_says() {
        let data = tempfile::tempdir().unwrap();
        let first = next_boot(data.path()).unwrap();
        let ahead = first + 3_600_000_000_000;
        fs::write(data.path().join("boot"), ahead.to_string()).unwrap();
        assert!(next_boot(data.path()).unwrap() >= ahead + (1 << 21));
    }
}
