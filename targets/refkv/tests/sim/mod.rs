//! A whole cluster in one thread: pure nodes, a bad network, disks that keep what was synced, clients, and crashes.
//! Everything follows from one seed.

pub(crate) mod clients;
pub(crate) mod history;
pub(crate) mod invariants;
pub(crate) mod network;
pub(crate) mod transfer;

use clients::SimClient;
use history::ClientOp;
use invariants::{Before, Ghost};
use network::{Network, Weather};
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use squall_refkv::bug::Bugs;
use squall_refkv::raft::message::Proposal;
use squall_refkv::raft::{
    Body, Change, Config, Durable, Input, Leases, Members, Node, NodeId, Op, Output, Record, Request,
};
use std::collections::BTreeMap;

const NAMES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];
const TICK_MS: u64 = 10;
const ELECTION_TIMEOUT_MS: u64 = 150;
/// How long the cluster has, once everything is mended, to answer again.
const RECOVERY_MS: u64 = 8000;

/// A property that does not hold.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    /// Which.
    pub(crate) kind: &'static str,
    /// How it came out.
    pub(crate) detail: String,
}

impl Violation {
    /// The property `kind` does not hold.
    pub(crate) fn new(kind: &'static str, detail: String) -> Violation {
        Violation { kind, detail }
    }
}

/// What a run is made of. Chances are per millisecond.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Members at the start; the other names of five wait to be added.
    pub(crate) nodes: usize,
    pub(crate) bugs: Bugs,
    /// Whether the nodes are looked into, or only the clients' history is judged.
    pub(crate) inspect: bool,
    pub(crate) chaos_ms: u64,
    pub(crate) weather: Weather,
    pub(crate) clients: usize,
    pub(crate) snapshot_every: u64,
    /// Leaders have leases, and the nodes' clocks drift by up to this and no more.
    pub(crate) drift_ppm_max: Option<u64>,
    /// One node crashes.
    pub(crate) crash: f64,
    /// All nodes crash.
    pub(crate) power_failure: f64,
    /// The network is cut in two, or mended.
    pub(crate) partition: f64,
    /// A node is held up for a while.
    pub(crate) pause: f64,
    /// A node is added or removed.
    pub(crate) change: f64,
    /// Nodes are asked to hand leadership over.
    pub(crate) transfer: f64,
}

impl Plan {
    /// Draws which faults are on, and how bad they are.
    pub(crate) fn swarm(rng: &mut SmallRng) -> Plan {
        let mut maybe = |chance: f64| if rng.random_bool(0.6) { chance } else { 0.0 };
        let weather =
            Weather { loss: maybe(0.05), duplication: maybe(0.05), delay_ms: 5, straggle: maybe(0.02) };
        let (crash, power_failure, partition) = (maybe(0.002), maybe(0.0005), maybe(0.003));
        let (pause, change) = (maybe(0.002), maybe(0.004));
        Plan {
            nodes: *[1, 3, 3, 4, 5].choose(rng).unwrap_or(&3),
            bugs: Bugs::default(),
            inspect: true,
            chaos_ms: 3000,
            weather,
            clients: 4,
            snapshot_every: *[5, 20, 1000].choose(rng).unwrap_or(&20),
            drift_ppm_max: None,
            crash,
            power_failure,
            partition,
            pause,
            change,
            transfer: if rng.random_bool(0.6) { 0.004 } else { 0.0 },
        }
    }
}

/// What a run did: proof that it was not empty.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Covered {
    pub(crate) committed: usize,
    pub(crate) terms_led: usize,
    pub(crate) appends_acknowledged: usize,
    pub(crate) reads_answered: usize,
    pub(crate) crashes: usize,
    pub(crate) snapshots_installed: u64,
    pub(crate) members_changed: usize,
    /// Leaders that told another node to take over.
    pub(crate) transfers: usize,
}

struct Server {
    node: Option<Node>,
    before: Before,
    durable: Durable,
    /// Written but not synced: lost in a crash.
    unsynced: Vec<Record>,
    boots: u64,
    /// How much faster than the true time its clock runs.
    drift_ppm: i64,
    starts_ms: u64,
    paused_until_ms: u64,
    held_up: Vec<Input>,
    dirty: bool,
    /// The node dies at its next output, in the middle of its write.
    doomed: bool,
}

/// The cluster, its clients and its past.
pub(crate) struct World {
    plan: Plan,
    rng: SmallRng,
    now: u64,
    servers: BTreeMap<NodeId, Server>,
    network: Network,
    ghost: Ghost,
    clients: Vec<SimClient>,
    ops: Vec<ClientOp>,
    /// Ticket to client.
    tickets: BTreeMap<u64, usize>,
    next_ticket: u64,
    covered: Covered,
}

/// Runs `plan` from `seed`: chaos, then recovery, then the judgement of the clients' history.
pub(crate) fn run(seed: u64, plan: Plan) -> Result<Covered, Violation> {
    let correct = plan.bugs == Bugs::default();
    let mut world = World::new(seed, plan);
    while world.now < world.plan.chaos_ms {
        world.chaos();
        world.millisecond()?;
    }
    world.mend();
    let recovered = world.recover()?;
    if correct && !recovered {
        let status: Vec<_> = world.servers.values().filter_map(|s| Some(s.node.as_ref()?.status())).collect();
        return Err(Violation::new(
            "liveness",
            format!("nothing is committed {RECOVERY_MS} ms after healing: {status:#?}"),
        ));
    }
    history::check(&world.ops, world.ghost.reference())?;
    world.covered.committed = world.ghost.committed();
    world.covered.terms_led = world.ghost.terms_led();
    Ok(world.covered)
}

impl World {
    fn new(seed: u64, plan: Plan) -> World {
        let clients = (0..plan.clients).map(|n| SimClient { name: format!("c{n}"), seq: 0, busy: None });
        let mut world = World {
            rng: SmallRng::seed_from_u64(seed),
            now: 0,
            servers: BTreeMap::new(),
            network: Network::default(),
            ghost: Ghost::new(plan.snapshot_every),
            clients: clients.collect(),
            ops: Vec::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            covered: Covered::default(),
            plan,
        };
        let drift_ppm_max = world.plan.drift_ppm_max.unwrap_or(0) as i64;
        for id in NAMES {
            let drift_ppm = drift_ppm_max * world.rng.random_range(-1..=1);
            world.servers.insert(id.into(), Server::new(drift_ppm));
            world.start(id);
        }
        world
    }

    fn start(&mut self, id: &str) {
        let first = &NAMES[..self.plan.nodes];
        let members: Members = first.iter().map(|id| ((*id).to_owned(), String::new())).collect();
        let Some(server) = self.servers.get_mut(id) else { return };
        server.boots += 1;
        let config = Config {
            id: id.into(),
            members: if first.contains(&id) { members } else { Members::new() },
            election_timeout_ms: ELECTION_TIMEOUT_MS,
            heartbeat_ms: 30,
            snapshot_every: self.plan.snapshot_every,
            request_timeout_ms: 700,
            seed: self.rng.random(),
            boot: server.boots << 20,
            leases: self.plan.drift_ppm_max.map(|drift_ppm_max| Leases { drift_ppm_max }),
            bugs: self.plan.bugs,
        };
        let node = Node::new(config, server.durable.clone(), clock(self.now, server.drift_ppm));
        server.before = Before::note(&node.status());
        server.node = Some(node);
    }

    /// One millisecond passes: messages arrive, clocks tick, clients act, and nodes do what follows.
    fn millisecond(&mut self) -> Result<(), Violation> {
        self.now += 1;
        for id in NAMES {
            if self.servers[id].node.is_none() && self.now >= self.servers[id].starts_ms {
                self.start(id);
            }
        }
        for message in self.network.arrived(self.now) {
            let to = message.to.clone();
            self.give(&to, Input::Message(message));
        }
        for (n, id) in NAMES.iter().enumerate() {
            if (self.now + n as u64).is_multiple_of(TICK_MS) {
                self.give(id, Input::Tick);
            }
        }
        for client in 0..self.clients.len() {
            if self.clients[client].busy.is_none() && self.rng.random_bool(0.05) {
                self.invoke(client);
            }
        }
        for id in NAMES {
            self.finish_step(id)?;
        }
        Ok(())
    }

    fn give(&mut self, id: &str, input: Input) {
        let Some(server) = self.servers.get_mut(id) else { return };
        let Some(node) = &mut server.node else { return };
        if self.now < server.paused_until_ms {
            if !matches!(input, Input::Tick) {
                server.held_up.push(input);
            }
            return;
        }
        let now = clock(self.now, server.drift_ppm);
        for held in server.held_up.drain(..) {
            node.step(now, held);
        }
        node.step(now, input);
        server.dirty = true;
    }

    fn finish_step(&mut self, id: &str) -> Result<(), Violation> {
        let Some(server) = self.servers.get_mut(id) else { return Ok(()) };
        if !std::mem::take(&mut server.dirty) {
            return Ok(());
        }
        let Some(mut node) = server.node.take() else { return Ok(()) };
        let output = node.output();
        if server.doomed && server.tear(&output, &mut self.rng) {
            self.crash(id);
            return Ok(());
        }
        let checked = self.ghost.check(&server.before, &node, &output);
        if self.plan.inspect {
            checked?;
        }
        if server.doomed {
            server.write(&output);
            self.crash(id);
            return Ok(());
        }
        server.before = Before::note(&node.status());
        server.node = Some(node);
        server.write(&output);
        for message in output.messages {
            self.covered.transfers += usize::from(matches!(message.body, Body::TimeoutNow));
            self.network.send(self.now, &self.plan.weather, &mut self.rng, message);
        }
        for (ticket, answer) in output.answers {
            self.answer(ticket, answer);
        }
        Ok(())
    }

    fn crash(&mut self, id: &str) {
        self.covered.crashes += 1;
        let down_ms = self.rng.random_range(1..400);
        let Some(server) = self.servers.get_mut(id) else { return };
        server.node = None;
        server.unsynced.clear();
        server.held_up.clear();
        (server.dirty, server.doomed) = (false, false);
        server.starts_ms = self.now + down_ms;
        let dropped: Vec<usize> = (0..self.clients.len())
            .filter(|client| self.clients[*client].busy.as_ref().is_some_and(|(_, asked, _)| asked == id))
            .collect();
        self.tickets.retain(|_, client| !dropped.contains(client));
        for client in dropped {
            let Some((op, _, retries)) = self.clients[client].busy.take() else { continue };
            if retries {
                self.ask(client, op, retries);
            }
        }
    }

    fn chaos(&mut self) {
        if self.rng.random_bool(self.plan.crash) {
            let id = self.any_name();
            self.servers.entry(id).and_modify(|server| server.doomed = true);
        }
        if self.rng.random_bool(self.plan.power_failure) {
            for server in self.servers.values_mut() {
                server.doomed = true;
            }
        }
        if self.rng.random_bool(self.plan.pause) {
            let (id, until) = (self.any_name(), self.now + self.rng.random_range(1..500));
            self.servers.entry(id).and_modify(|server| server.paused_until_ms = until);
        }
        if self.rng.random_bool(self.plan.partition) {
            self.network.heal();
            if self.rng.random_bool(0.7) {
                self.partition();
            }
        }
        if self.rng.random_bool(self.plan.change) {
            self.change_members();
        }
        if self.rng.random_bool(self.plan.transfer) {
            let to = self.any_name();
            self.hand_over_to(&to);
        }
    }

    fn any_name(&mut self) -> NodeId {
        (*NAMES.choose(&mut self.rng).unwrap_or(&"n1")).to_owned()
    }

    /// Cuts a leader off, or any nodes, in one or both directions.
    fn partition(&mut self) {
        let leads = |server: &Server| server.node.as_ref().is_some_and(|node| node.status().role == "leader");
        let leader = NAMES.iter().find(|id| leads(&self.servers[**id]));
        let mut names: Vec<NodeId> = NAMES.iter().map(|id| (*id).to_owned()).collect();
        names.shuffle(&mut self.rng);
        let mut size = self.rng.random_range(1..=2);
        if let Some(leader) = leader.filter(|_| self.rng.random_bool(0.5)) {
            names.sort_by_key(|id| id != leader);
            size = 1;
        }
        let (left, right) = names.split_at(size);
        self.network.cut(left, right, self.rng.random_bool(0.2));
    }

    /// Asks a node for one or more changes at once.
    fn change_members(&mut self) {
        let asked = self.any_name();
        for _ in 0..self.rng.random_range(1..=3) {
            let id = self.any_name();
            let add = self.rng.random_bool(0.5);
            let change = if add { Change::Add { id, addr: String::new() } } else { Change::Remove(id) };
            self.next_ticket += 1;
            let request = Request { key: None, op: Op::Propose(Proposal::Change(change)) };
            self.covered.members_changed += 1;
            self.give(&asked, Input::Request { ticket: self.next_ticket, request });
        }
    }

    /// Ends all faults.
    fn mend(&mut self) {
        self.network.heal();
        self.plan.weather = Weather { loss: 0.0, duplication: 0.0, delay_ms: 5, straggle: 0.0 };
        for server in self.servers.values_mut() {
            server.starts_ms = self.now;
            server.paused_until_ms = 0;
            server.doomed = false;
        }
    }

    /// Whether the cluster commits something new.
    fn recover(&mut self) -> Result<bool, Violation> {
        let before = self.covered.appends_acknowledged;
        for _ in 0..RECOVERY_MS {
            self.millisecond()?;
            if self.covered.appends_acknowledged > before + 3 {
                let nodes = self.servers.values().filter_map(|server| server.node.as_ref());
                self.covered.snapshots_installed =
                    nodes.map(|node| node.status().stats.snapshots_installed).sum();
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What a clock shows that drifts.
fn clock(now: u64, drift_ppm: i64) -> u64 {
    now * (1_000_000 + drift_ppm).unsigned_abs() / 1_000_000
}

impl Server {
    fn new(drift_ppm: i64) -> Server {
        Server {
            drift_ppm,
            node: None,
            before: Before::default(),
            durable: Durable::default(),
            unsynced: Vec::new(),
            boots: 0,
            starts_ms: 0,
            paused_until_ms: 0,
            held_up: Vec::new(),
            dirty: false,
            doomed: false,
        }
    }

    fn write(&mut self, output: &Output) {
        self.unsynced.extend(output.records.iter().cloned());
        if output.sync {
            for record in self.unsynced.drain(..) {
                self.durable.replay(record);
            }
        }
    }

    /// A crash in the middle of the write: only some of the records reach the disk, and nothing else is done. False if
    /// the write is all or nothing, and was done.
    fn tear(&mut self, output: &Output, rng: &mut SmallRng) -> bool {
        let whole = output.records.iter().any(|record| matches!(record, Record::Checkpoint(_)));
        if !output.sync || output.records.is_empty() || whole {
            return !output.sync;
        }
        self.unsynced.extend(output.records.iter().cloned());
        let written = rng.random_range(0..self.unsynced.len());
        for record in self.unsynced.drain(..written) {
            self.durable.replay(record);
        }
        true
    }
}
