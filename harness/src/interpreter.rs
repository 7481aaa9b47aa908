//! The interpreter: asks the generator for operations, hands them to workers, and puts completions into the stream.
//!
//! One scheduler, one task per worker with a queue of one. Completions are taken before new operations are asked for:
//! an operation that waits in a queue would look concurrent with more than it really was, and false concurrency hides
//! anomalies (Jepsen's interpreter does the same).

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use squall_checkers::{Op, Process, Type};
use squall_workloads::generator::Threads;
use squall_workloads::{Client, Context, Generator, Next, Node};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::event::{Event, Sink};
use crate::worker::Worker;

/// How often a run that only waits still gives its sinks a tick.
const TICK: Duration = Duration::from_millis(100);

/// Workers, processes and the clock of a run. Generators are run on it one after the other, phase by phase.
pub struct Interpreter {
    start: Instant,
    rng: ChaCha8Rng,
    stop: watch::Receiver<bool>,
    threads: Threads,
    free: Threads,
    /// The process that each client worker plays.
    processes: Vec<u32>,
    next_index: usize,
    /// Queues of the workers, by thread.
    queues: Vec<Option<mpsc::Sender<Op>>>,
    done: mpsc::Receiver<(usize, Op)>,
    /// Dropping the set ends the workers.
    _workers: JoinSet<()>,
}

/// Who performs the operations.
pub struct Crew {
    /// How many client workers.
    pub concurrency: usize,
    /// What every client is opened from.
    pub client: Arc<dyn Client>,
    /// The nodes, given to the workers in turn.
    pub nodes: Vec<Node>,
    /// What performs the nemesis' operations, if there is a nemesis.
    pub nemesis: Option<Box<dyn Client>>,
}

impl Interpreter {
    /// Starts the workers. `stop` turns true when the run should end early: nothing more is then asked of a generator.
    pub fn new(crew: Crew, start: Instant, seed: u64, stop: watch::Receiver<bool>) -> Result<Interpreter> {
        let concurrency = crew.concurrency;
        ensure!(
            (1..=Threads::CLIENTS_MAX).contains(&concurrency),
            "concurrency must be 1 to {}, not {concurrency}",
            Threads::CLIENTS_MAX
        );
        ensure!(!crew.nodes.is_empty(), "clients need at least one node");
        let (done_sender, done) = mpsc::channel(concurrency + 1);
        let mut workers = JoinSet::new();
        let mut queues = Vec::with_capacity(concurrency + 1);
        let mut threads = Threads::all(concurrency);
        let hire = |thread: usize| {
            let (queue, ops) = mpsc::channel(1);
            (queue, Worker { thread, ops, done: done_sender.clone() })
        };
        match crew.nemesis {
            Some(nemesis) => {
                let (queue, worker) = hire(Threads::NEMESIS);
                workers.spawn(worker.serve_nemesis(nemesis));
                queues.push(Some(queue));
            }
            None => {
                threads.remove(Threads::NEMESIS);
                queues.push(None);
            }
        }
        for index in 0..concurrency {
            let (queue, worker) = hire(index + 1);
            workers.spawn(
                worker.serve_client(crew.client.clone(), crew.nodes[index % crew.nodes.len()].clone()),
            );
            queues.push(Some(queue));
        }
        Ok(Interpreter {
            start,
            rng: ChaCha8Rng::seed_from_u64(seed),
            stop,
            threads,
            free: threads,
            processes: (0..concurrency as u32).collect(),
            next_index: 0,
            queues,
            done,
            _workers: workers,
        })
    }

    /// Runs a generator to its end, or until the run is told to stop, and waits for all operations to complete.
    pub async fn run(&mut self, generator: &mut dyn Generator, sink: &mut dyn Sink) -> Result<()> {
        let mut tick = tokio::time::interval(TICK);
        loop {
            while let Ok((thread, op)) = self.done.try_recv() {
                self.complete(thread, op, generator, sink)?;
            }
            let next = if *self.stop.borrow() { Next::Done } else { generator.next(&mut self.context()) };
            let until = match next {
                Next::Op(op) => {
                    self.begin(op, generator, sink)?;
                    continue;
                }
                Next::Done if self.free == self.threads => return Ok(()),
                Next::Done => None,
                Next::Pending(None) if self.free == self.threads => {
                    bail!("the generator is stuck: it waits for an event, but no operation is running")
                }
                Next::Pending(until) => until,
            };
            let until = until.map(|ns| self.start + Duration::from_nanos(ns));
            tokio::select! {
                biased;
                Some((thread, op)) = self.done.recv() => self.complete(thread, op, generator, sink)?,
                () = sleep_until(until), if until.is_some() => {}
                Ok(()) = self.stop.changed() => {}
                _ = tick.tick() => sink.event(Event::Tick { time_ns: self.now_ns() }),
            }
        }
    }

    /// Nanoseconds since the start of the run.
    pub fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn context(&mut self) -> Context<'_> {
        Context {
            time_ns: self.now_ns(),
            threads: self.threads,
            free: self.free,
            processes: &self.processes,
            rng: &mut self.rng,
        }
    }

    /// Records an invocation and hands it to its worker.
    fn begin(&mut self, mut op: Op, generator: &mut dyn Generator, sink: &mut dyn Sink) -> Result<()> {
        op.time_ns = self.now_ns();
        if op.kind == Type::Info {
            self.record(&mut op, sink);
            return Ok(());
        }
        let thread = self.context().thread(op.process).filter(|&thread| self.free.contains(thread));
        let Some(thread) = thread else {
            bail!("the generator gave an operation to process {}, which is not free: {op}", op.process)
        };
        ensure!(op.kind == Type::Invoke, "the generator gave a completion instead of an invocation: {op}");
        self.free.remove(thread);
        self.record(&mut op, sink);
        generator.update(&mut self.context(), &op);
        let queue = self.queues[thread].as_ref().expect("a thread of the context has a worker");
        queue.try_send(op).map_err(|_| anyhow::anyhow!("worker {thread} is gone"))
    }

    /// Records a completion, frees its thread, and retires the process after an `info`.
    fn complete(
        &mut self,
        thread: usize,
        mut op: Op,
        generator: &mut dyn Generator,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        op.time_ns = self.now_ns();
        self.free.insert(thread);
        self.record(&mut op, sink);
        generator.update(&mut self.context(), &op);
        if let (Process::Client(id), Type::Info) = (op.process, op.kind) {
            let next = id.checked_add(self.processes.len() as u32);
            self.processes[thread - 1] = next.ok_or_else(|| anyhow::anyhow!("process ids ran out"))?;
        }
        Ok(())
    }

    fn record(&mut self, op: &mut Op, sink: &mut dyn Sink) {
        op.index = self.next_index;
        self.next_index += 1;
        sink.event(Event::Op(op));
    }
}

async fn sleep_until(until: Option<Instant>) {
    if let Some(until) = until {
        tokio::time::sleep_until(until.into()).await;
    }
}
