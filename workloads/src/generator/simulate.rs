//! A deterministic simulator: runs a generator without clients, clock or threads, to see what it does.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use squall_checkers::{Op, Process, Type, Value};

use super::{Context, Generator, Misuse, Next, Threads, Validated, nanos};
use crate::Completion;

/// How a simulated operation ends, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Time from invocation to completion.
    pub after: Duration,
    /// How it ends.
    pub completion: Completion,
}

impl From<Completion> for Reply {
    /// This after a millisecond.
    fn from(completion: Completion) -> Reply {
        Reply { after: Duration::from_millis(1), completion }
    }
}

impl Reply {
    /// `ok` after a millisecond.
    pub fn ok() -> Reply {
        Reply::from(Completion::ok())
    }

    /// `ok` with this result, after a millisecond.
    pub fn value(value: impl Into<Value>) -> Reply {
        Reply::from(Completion::value(value))
    }

    /// `fail` after a millisecond.
    pub fn fail() -> Reply {
        Reply::from(Completion::fail("simulated"))
    }

    /// `info` after a millisecond.
    pub fn info() -> Reply {
        Reply::from(Completion::info("simulated"))
    }
}

/// A simulated run.
///
/// ```
/// use squall_workloads::Op;
/// use squall_workloads::generator::{GeneratorExt as _, Simulation, clients, forever};
///
/// let schedule = Simulation::new(1).run(clients(forever(Op::new("read")).limit(2))).unwrap();
/// assert_eq!(schedule.to_string(), "0.000 1 0 read null\n1.000 1 0 read null\n");
/// ```
#[derive(Clone, Debug)]
pub struct Simulation {
    concurrency: usize,
    seed: u64,
    ops_max: usize,
}

impl Simulation {
    /// A run with this many client workers (at most [`Threads::CLIENTS_MAX`]), seed 0, at most 1,000,000 operations.
    pub fn new(concurrency: usize) -> Simulation {
        Simulation { concurrency, seed: 0, ops_max: 1_000_000 }
    }

    /// The same run with another seed.
    pub fn seed(self, seed: u64) -> Simulation {
        Simulation { seed, ..self }
    }

    /// The same run, cut off after this many operations, for generators without end.
    pub fn ops_max(self, ops_max: usize) -> Simulation {
        Simulation { ops_max, ..self }
    }

    /// Runs with perfect clients: every operation is `ok` after exactly a millisecond.
    pub fn run(&self, generator: impl Generator) -> Result<Schedule, Misuse> {
        self.run_with(generator, |_, _| Reply::ok())
    }

    /// Runs with clients that do as the function says. Its randomness is seeded too, and not the generator's.
    pub fn run_with(
        &self,
        generator: impl Generator,
        reply: impl FnMut(&Op, &mut ChaCha8Rng) -> Reply,
    ) -> Result<Schedule, Misuse> {
        let mut client_rng = ChaCha8Rng::seed_from_u64(self.seed);
        client_rng.set_stream(1);
        let mut run = Run {
            generator: Validated::new(generator),
            reply,
            client_rng,
            rng: ChaCha8Rng::seed_from_u64(self.seed),
            time_ns: 0,
            threads: Threads::all(self.concurrency),
            free: Threads::all(self.concurrency),
            processes: (0..self.concurrency as u32).collect(),
            open: BTreeMap::new(),
            events: Vec::new(),
        };
        run.play(self.ops_max);
        match run.generator.error() {
            Some(error) => Err(error.clone()),
            None => Ok(Schedule { events: run.events, concurrency: self.concurrency }),
        }
    }
}

/// What a simulated run did. As text, one line for each invocation and log line: time in ms, thread, process, f, value.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// All events in order.
    pub events: Vec<Op>,
    concurrency: usize,
}

impl Schedule {
    /// The invocations in order.
    pub fn invocations(&self) -> impl Iterator<Item = &Op> {
        self.events.iter().filter(|op| op.kind == Type::Invoke)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |op: &&Op| op.kind == Type::Invoke || op.kind == Type::Info && op.f == "log";
        for op in self.events.iter().filter(shown) {
            let thread = match op.process {
                Process::Nemesis => Threads::NEMESIS,
                Process::Client(id) => id as usize % self.concurrency.max(1) + 1,
            };
            let (ms, us) = (op.time_ns / 1_000_000, op.time_ns / 1_000 % 1_000);
            writeln!(f, "{ms}.{us:03} {thread} {} {} {}", op.process, op.f, op.value)?;
        }
        Ok(())
    }
}

struct Run<G, R> {
    generator: Validated<G>,
    reply: R,
    client_rng: ChaCha8Rng,
    rng: ChaCha8Rng,
    time_ns: u64,
    threads: Threads,
    free: Threads,
    processes: Vec<u32>,
    /// Completions that are still to come, by time and then by the order of invocations.
    open: BTreeMap<(u64, usize), Op>,
    events: Vec<Op>,
}

impl<G: Generator, R: FnMut(&Op, &mut ChaCha8Rng) -> Reply> Run<G, R> {
    /// Completions first, as the real controller does: an operation that waits for its completion to be noticed looks
    /// longer than it was.
    fn play(&mut self, ops_max: usize) {
        let mut ops = 0;
        loop {
            if self.complete(self.time_ns) {
                continue;
            }
            let next = if ops < ops_max { self.ask() } else { Next::Done };
            match next {
                Next::Op(op) => {
                    ops += 1;
                    self.begin(op);
                }
                Next::Pending(until) => {
                    let completes = self.open.keys().next().map(|(time_ns, _)| *time_ns);
                    // The wrapper has ruled out a wait for nothing.
                    self.time_ns = super::sooner(until, completes).unwrap_or(self.time_ns);
                }
                Next::Done if self.complete(u64::MAX) => {}
                Next::Done => return,
            }
        }
    }

    fn ask(&mut self) -> Next {
        let (generator, mut ctx) = self.split();
        generator.next(&mut ctx)
    }

    fn split(&mut self) -> (&mut Validated<G>, Context<'_>) {
        let ctx = Context {
            time_ns: self.time_ns,
            threads: self.threads,
            free: self.free,
            processes: &self.processes,
            rng: &mut self.rng,
        };
        (&mut self.generator, ctx)
    }

    fn thread(&mut self, process: Process) -> usize {
        self.split().1.thread(process).expect("the wrapper has checked the process")
    }

    fn begin(&mut self, op: Op) {
        if op.kind == Type::Info {
            self.record(op);
            return;
        }
        let thread = self.thread(op.process);
        self.free.remove(thread);
        let Reply { after, completion } = (self.reply)(&op, &mut self.client_rng);
        let end_ns = self.time_ns.saturating_add(nanos(after));
        let ending = Op {
            time_ns: end_ns,
            kind: completion.kind,
            value: completion.value.unwrap_or_else(|| op.value.clone()),
            error: completion.error,
            ..op.clone()
        };
        self.open.insert((end_ns, self.events.len()), ending);
        self.tell(&op);
        self.record(op);
    }

    /// Completes the operation that ends soonest, if that is at `by_ns` at the latest.
    fn complete(&mut self, by_ns: u64) -> bool {
        let Some(first) = self.open.first_entry().filter(|first| first.key().0 <= by_ns) else {
            return false;
        };
        let ((time_ns, _), op) = first.remove_entry();
        self.time_ns = self.time_ns.max(time_ns);
        let thread = self.thread(op.process);
        self.free.insert(thread);
        let retired = op.kind == Type::Info && thread != Threads::NEMESIS;
        self.tell(&op);
        self.record(op);
        if retired {
            self.processes[thread - 1] += self.processes.len() as u32;
        }
        true
    }

    fn tell(&mut self, event: &Op) {
        let (generator, mut ctx) = self.split();
        generator.update(&mut ctx, event);
    }

    fn record(&mut self, op: Op) {
        let index = self.events.len();
        self.events.push(Op { index, ..op });
    }
}

/// Runs with perfect clients and compares with the expected text: see [`assert_text`].
#[cfg(test)]
#[track_caller]
pub(super) fn assert_schedule(simulation: &Simulation, generator: impl Generator, expected: &str) {
    assert_text(&simulation.run(generator).unwrap(), expected);
}

/// Compares with the expected text, whose lines may be indented.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_text(schedule: &Schedule, expected: &str) {
    let schedule = schedule.to_string();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(schedule.lines().collect::<Vec<_>>(), expected, "\n{schedule}");
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::super::{GeneratorExt as _, clients, forever};
    use super::*;

    fn flaky(_: &Op, rng: &mut ChaCha8Rng) -> Reply {
        let after = Duration::from_micros(rng.random_range(100..3000));
        match rng.random_range(0..4) {
            0 => Reply { after, ..Reply::info() },
            1 => Reply { after, ..Reply::fail() },
            _ => Reply { after, ..Reply::ok() },
        }
    }

    #[test]
    fn an_info_retires_the_process() {
        let read = clients(forever(Op::new("read")).limit(8));
        let schedule = Simulation::new(2).seed(2).run_with(read, flaky).unwrap();
        assert_text(
            &schedule,
            "
                0.000 1 0 read null
                0.000 2 1 read null
                0.379 1 2 read null
                1.553 2 3 read null
                2.207 1 2 read null
                3.501 1 2 read null
                3.950 2 3 read null
                4.239 2 5 read null
            ",
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let run = |seed| {
            let read = forever(Op::new("read")).stagger(Duration::from_millis(1)).limit(100);
            Simulation::new(5).seed(seed).run_with(read, flaky).unwrap()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn every_invocation_completes_in_order_of_time() {
        let read = forever(Op::new("read")).limit(200);
        let schedule = Simulation::new(7).run_with(read, flaky).unwrap();
        assert_eq!(schedule.events.len(), 400);
        assert!(schedule.events.windows(2).all(|pair| pair[0].time_ns <= pair[1].time_ns));
    }
}
