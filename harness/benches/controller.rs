//! What the controller costs: operations a second, on one core, through a client that does nothing.
//!
//! `cargo bench -p squall --bench controller`; the throughput is in invocations, each with its completion.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use squall::event::{Event, Sink};
use squall::interpreter::{Crew, Interpreter};
use squall_checkers::{History, Op};
use squall_workloads::Node;
use squall_workloads::client::NoopClient;
use squall_workloads::generator::{GeneratorExt as _, clients, from_fn};

const OPS: usize = 100_000;

/// Keeps the history in memory, as the recorder does.
#[derive(Default)]
struct Memory(History);

impl Sink for Memory {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Op(op) = event {
            self.0.push(op);
        }
    }
}

async fn run(concurrency: usize) -> History {
    let node = Node::new("n1", [127, 0, 0, 1]);
    let crew = Crew { concurrency, client: Arc::new(NoopClient), nodes: vec![node], nemesis: None };
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let mut interpreter = Interpreter::new(crew, Instant::now(), 1, stopped).expect("a crew");
    let mut next = 0i64;
    let write = from_fn(move |_| {
        next += 1;
        Op::new("write").value(vec![next % 8, next])
    });
    let mut memory = Memory::default();
    interpreter.run(&mut clients(write.limit(OPS)), &mut memory).await.expect("a run");
    memory.0
}

fn controller(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("controller");
    group.throughput(Throughput::Elements(OPS as u64)).sample_size(10);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    for concurrency in [10, 100] {
        let bytes = runtime.block_on(run(concurrency)).memory_bytes();
        println!("concurrency {concurrency}: {} bytes of memory per op", bytes / OPS);
        group.bench_with_input(BenchmarkId::new("noop", concurrency), &concurrency, |b, &concurrency| {
            b.iter(|| black_box(runtime.block_on(run(concurrency)).len()));
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    controller(&mut criterion);
    criterion.final_summary();
}
