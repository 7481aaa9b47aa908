//! What it costs to ask a generator for an operation and to tell it of both events.
//!
//! The controller asks from one thread, so this is a lower bound on its time for an operation: at 200,000 operations a
//! second it has 5 µs in all.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use squall_workloads::generator::{GeneratorExt as _, Threads, clients, clients_and_nemesis, forever};
use squall_workloads::{Context, Generator, Next, Op, Options, Process, Type, append, register, set};

/// Workers, of whom the longest busy one completes whenever none is free: a saturated run.
struct Run {
    generator: Box<dyn Generator>,
    rng: ChaCha8Rng,
    time_ns: u64,
    threads: Threads,
    free: Threads,
    processes: Vec<u32>,
    open: std::collections::VecDeque<Op>,
}

impl Run {
    fn new(concurrency: usize, generator: Box<dyn Generator>) -> Run {
        Run {
            generator,
            rng: ChaCha8Rng::seed_from_u64(1),
            time_ns: 0,
            threads: Threads::all(concurrency),
            free: Threads::all(concurrency),
            processes: (0..concurrency as u32).collect(),
            open: std::collections::VecDeque::new(),
        }
    }

    /// One operation: asked for, invoked, and another one completed.
    fn step(&mut self) {
        self.time_ns += 5_000;
        let mut ctx = Context {
            time_ns: self.time_ns,
            threads: self.threads,
            free: self.free,
            processes: &self.processes,
            rng: &mut self.rng,
        };
        if self.open.len() + 1 == self.processes.len()
            && let Some(op) = self.open.pop_front()
        {
            ctx.free.insert(ctx.thread(op.process).expect("nobody is retired"));
            self.generator.update(&mut ctx, &op.kind(Type::Ok));
        }
        if let Next::Op(op) = black_box(self.generator.next(&mut ctx)) {
            ctx.free.remove(ctx.thread(op.process).expect("nobody is retired"));
            self.generator.update(&mut ctx, &op);
            if op.process == Process::Nemesis {
                ctx.free.insert(Threads::NEMESIS);
            } else {
                self.open.push_back(op);
            }
        }
        self.free = ctx.free;
    }
}

fn stacks(options: &Options) -> Vec<(&'static str, Box<dyn Generator>)> {
    let mean = Duration::from_micros(4);
    let day = Duration::from_secs(86_400);
    let paced = |generator: Box<dyn Generator>| generator.stagger(mean).time_limit(day);
    let faults = forever(Op::new("partition")).delay(Duration::from_secs(5));
    vec![
        ("read", clients(forever(Op::new("read"))).boxed()),
        ("register", clients(paced(register(options).generator)).boxed()),
        ("set", clients(paced(set(options).generator)).boxed()),
        ("append", clients(paced(append(options).generator)).boxed()),
        ("register and nemesis", clients_and_nemesis(paced(register(options).generator), faults).boxed()),
    ]
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for concurrency in [10, 100] {
        let nodes = (1..=5).map(|i| format!("n{i}")).collect();
        let options = Options { concurrency, nodes, ops_per_key: 200 };
        let mut group = criterion.benchmark_group(format!("concurrency {concurrency}"));
        group.throughput(Throughput::Elements(1));
        for (name, generator) in stacks(&options) {
            let mut run = Run::new(concurrency, generator);
            group.bench_function(name, |bencher| bencher.iter(|| run.step()));
        }
    }
    criterion.final_summary();
}
