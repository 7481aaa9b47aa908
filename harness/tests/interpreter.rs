//! The interpreter as a library: what it records of good and bad clients, and what it says to bad generators.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use squall::event::{Event, Sink};
use squall::interpreter::{Crew, Interpreter};
use squall_checkers::history::validate;
use squall_checkers::{Budget, History, Op, Process, Type, Valid};
use squall_workloads::client::{AtomClient, NoopClient, TimeoutClient};
use squall_workloads::generator::{
    GeneratorExt as _, Threads, clients, clients_and_nemesis, forever, log, ops, sleep,
};
use squall_workloads::{Client, Completion, Context, Generator, Next, Node, Options};
use tokio::sync::watch;

/// Everything that a run told, as it came.
#[derive(Default)]
struct Recorded {
    ops: Vec<Op>,
    ticks: usize,
    /// After this many events the run is told to stop.
    stop: Option<(usize, watch::Sender<bool>)>,
}

impl Sink for Recorded {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Op(op) => self.ops.push(op.clone()),
            Event::Tick { .. } => self.ticks += 1,
            Event::Phase(_) => {}
        }
        if let Some((at, stop)) = &self.stop
            && self.ops.len() == *at
        {
            stop.send_replace(true);
        }
    }
}

impl Recorded {
    fn history(&self) -> History {
        self.ops.iter().cloned().collect()
    }

    fn of(&self, kind: Type) -> Vec<&Op> {
        self.ops.iter().filter(|op| op.kind == kind).collect()
    }

    /// What was asked of the nemesis, in order.
    fn nemesis(&self) -> Vec<String> {
        let asked = |op: &&Op| op.process == Process::Nemesis && op.kind == Type::Invoke;
        self.ops.iter().filter(asked).map(|op| format!("{} {}", op.f, op.value)).collect()
    }
}

fn crew(concurrency: usize, client: impl Client + 'static) -> Crew {
    let node = |i: u8| Node::new(format!("n{i}"), [127, 0, 0, i]);
    Crew { concurrency, client: Arc::new(client), nodes: (1..=3).map(node).collect(), nemesis: None }
}

async fn play(crew: Crew, seed: u64, mut generator: impl Generator) -> (Result<()>, Recorded) {
    let mut recorded = Recorded::default();
    let (_stop, stopped) = watch::channel(false);
    let mut interpreter = Interpreter::new(crew, Instant::now(), seed, stopped).unwrap();
    let ended = interpreter.run(&mut generator, &mut recorded).await;
    (ended, recorded)
}

/// A client that does the same thing wrong each time.
#[derive(Clone, Copy)]
enum Bad {
    Opens,
    Errs,
    Panics,
    Hangs,
    Invokes,
}

#[async_trait]
impl Client for Bad {
    async fn open(&self, node: &Node) -> Result<Box<dyn Client>> {
        match self {
            Bad::Opens => anyhow::bail!("{} refused", node.name),
            bad => Ok(Box::new(*bad)),
        }
    }

    async fn invoke(&mut self, op: &Op) -> Result<Completion> {
        match self {
            Bad::Panics => panic!("a mistake in a client, on purpose"),
            Bad::Hangs => std::future::pending().await,
            Bad::Invokes => Ok(Completion { kind: Type::Invoke, ..Completion::value(1) }),
            Bad::Opens | Bad::Errs => anyhow::bail!("{} went wrong", op.f),
        }
    }
}

/// Answers with what the function makes of the context.
struct Answers<F>(F);

impl<F: FnMut(&mut Context<'_>) -> Next + Send> Generator for Answers<F> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        (self.0)(ctx)
    }
}

#[tokio::test]
async fn a_run_on_a_correct_store_is_well_formed_and_valid() {
    let options = Options { concurrency: 6, nodes: vec!["n1".into()], ops_per_key: 100 };
    for entry in squall_workloads::workload::ALL {
        let workload = (entry.build)(&options);
        let (ended, recorded) =
            play(crew(6, AtomClient::new()), 7, clients(workload.generator.limit(600))).await;
        ended.unwrap();
        let history = recorded.history();
        assert_eq!(validate(&history, 1), [], "{}", entry.name);
        assert_eq!(recorded.of(Type::Invoke).len(), 600);
        assert!(recorded.ops.iter().enumerate().all(|(i, op)| op.index == i));
        let pairs = history.pairs();
        assert!((0..history.len()).all(|i| pairs.of(i).is_some()), "{}: an operation is open", entry.name);
        if workload.final_generator.is_none() {
            let verdict = squall_checkers::checker::check_all(
                entry.name,
                &workload.checkers,
                &history,
                &Budget::default(),
            );
            assert_eq!(verdict.valid, Valid::True, "{verdict:?}");
        }
    }
}

#[tokio::test]
async fn what_a_bad_client_does_is_info_and_retires_the_process() {
    let timed = |bad| TimeoutClient::new(Box::new(bad), Duration::from_millis(5));
    for (bad, error) in [
        (Bad::Errs, "read went wrong"),
        (Bad::Panics, "the client panicked"),
        (Bad::Hangs, "timeout"),
        (Bad::Invokes, "a completion is ok, fail or info"),
    ] {
        let (ended, recorded) = play(crew(3, timed(bad)), 1, forever(Op::new("read")).limit(30)).await;
        ended.unwrap();
        assert_eq!(validate(&recorded.history(), 1), []);
        let infos = recorded.of(Type::Info);
        assert_eq!(infos.len(), 30, "{error}");
        for info in infos {
            let said = info.error.as_deref().unwrap_or("nothing");
            assert!(said.contains(error), "{said:?} does not contain {error:?}");
        }
        // No process comes twice, and each thread's next process is its last one plus the concurrency.
        let mut processes: Vec<u32> = recorded
            .of(Type::Invoke)
            .iter()
            .map(|op| match op.process {
                Process::Client(id) => id,
                Process::Nemesis => panic!("there is no nemesis"),
            })
            .collect();
        processes.sort_unstable();
        for id in processes.iter().filter(|&&id| id >= 3) {
            assert!(processes.binary_search(&(id - 3)).is_ok(), "{id} came out of nowhere: {processes:?}");
        }
        processes.dedup();
        assert_eq!(processes.len(), 30, "a retired process went on");
    }
}

#[tokio::test]
async fn a_client_that_cannot_be_opened_fails_because_nothing_was_sent() {
    let (ended, recorded) = play(crew(2, Bad::Opens), 1, forever(Op::new("read")).limit(10)).await;
    ended.unwrap();
    let fails = recorded.of(Type::Fail);
    assert_eq!(fails.len(), 10);
    assert!(fails.iter().all(|op| op.error.as_deref().unwrap().ends_with("refused")));
    assert!(recorded.ops.iter().all(|op| matches!(op.process, Process::Client(0 | 1))));
}

#[tokio::test]
async fn a_mistake_of_a_generator_is_an_error_and_not_a_hang() {
    let waits_for_nothing = Answers(|_: &mut Context<'_>| Next::Pending(None));
    let names_a_busy_process =
        Answers(|_: &mut Context<'_>| Next::Op(Op::new("read").process(Process::Client(1))));
    let names_nobody = Answers(|_: &mut Context<'_>| Next::Op(Op::new("read").process(Process::Client(77))));
    let completes = Answers(|_: &mut Context<'_>| Next::Op(Op::new("read").kind(Type::Ok)));
    let asks_no_nemesis = Answers(|_: &mut Context<'_>| Next::Op(Op::new("kill").process(Process::Nemesis)));
    let mistakes: [(Box<dyn Generator>, &str); 5] = [
        (Box::new(waits_for_nothing), "the generator is stuck"),
        (Box::new(names_a_busy_process), "process 1, which is not free"),
        (Box::new(names_nobody), "process 77, which is not free"),
        (Box::new(completes), "a completion instead of an invocation"),
        (Box::new(asks_no_nemesis), "process nemesis, which is not free"),
    ];
    for (generator, said) in mistakes {
        let (ended, _) = play(crew(2, NoopClient), 1, generator).await;
        let error = ended.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_generator_may_wait_for_an_operation_that_runs() {
    let slow = TimeoutClient::new(Box::new(Bad::Hangs), Duration::from_millis(250));
    let (ended, recorded) = play(crew(1, slow), 1, ops([Op::new("a"), Op::new("b")])).await;
    ended.unwrap();
    assert_eq!(recorded.of(Type::Info).len(), 2);
    assert!(recorded.ticks > 0, "a run that waits tells that time passes");
}

#[test]
fn a_crew_that_cannot_work_is_refused() {
    let refused = |crew| {
        let (_stop, stopped) = watch::channel(false);
        Interpreter::new(crew, Instant::now(), 1, stopped).err().expect("refused").to_string()
    };
    assert!(refused(crew(0, NoopClient)).contains("concurrency must be 1 to"));
    assert!(refused(crew(Threads::CLIENTS_MAX + 1, NoopClient)).contains("concurrency must be 1 to"));
    assert!(refused(Crew { nodes: vec![], ..crew(1, NoopClient) }).contains("at least one node"));
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_completes_what_it_began_and_asks_no_more() {
    let (stop, stopped) = watch::channel(false);
    let mut recorded = Recorded { stop: Some((101, stop)), ..Recorded::default() };
    let mut interpreter = Interpreter::new(crew(5, AtomClient::new()), Instant::now(), 1, stopped).unwrap();
    interpreter.run(&mut forever(Op::new("add").value(1)), &mut recorded).await.unwrap();
    let invoked = recorded.of(Type::Invoke).len();
    assert!((51..=101).contains(&invoked), "{invoked} operations were begun");
    assert_eq!(recorded.of(Type::Ok).len(), invoked);
    interpreter.run(&mut forever(Op::new("add").value(1)), &mut recorded).await.unwrap();
    assert_eq!(recorded.of(Type::Invoke).len(), invoked, "a stopped run began something");
}

#[tokio::test]
async fn a_run_that_sleeps_is_woken_by_the_stop() {
    let (stop, stopped) = watch::channel(false);
    let mut recorded = Recorded { stop: Some((0, stop)), ..Recorded::default() };
    let mut interpreter = Interpreter::new(crew(1, NoopClient), Instant::now(), 1, stopped).unwrap();
    // The first tick tells it to stop; without that it would sleep for ever.
    interpreter.run(&mut sleep(Duration::from_secs(1 << 30)), &mut recorded).await.unwrap();
    assert_eq!(recorded.ops, []);
}

#[tokio::test]
async fn a_log_line_is_recorded_without_a_worker() {
    let (ended, recorded) = play(crew(1, NoopClient), 1, log("half-time")).await;
    ended.unwrap();
    let [line] = recorded.ops.as_slice() else { panic!("{:?}", recorded.ops) };
    assert_eq!(
        (line.process, line.kind, line.value.as_str()),
        (Process::Nemesis, Type::Info, Some("half-time"))
    );
}

/// Acts as a nemesis, in a way, and counts.
struct Breaks(Arc<AtomicUsize>);

#[async_trait]
impl Client for Breaks {
    async fn open(&self, _: &Node) -> Result<Box<dyn Client>> {
        unreachable!("a nemesis is not opened")
    }

    async fn invoke(&mut self, op: &Op) -> Result<Completion> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match op.f.as_ref() {
            "err" => anyhow::bail!("no such node"),
            "panic" => panic!("a mistake in a nemesis, on purpose"),
            _ => Ok(Completion::ok()),
        }
    }
}

#[tokio::test]
async fn the_nemesis_is_one_process_for_ever_and_completes_with_info() {
    let acts = Arc::new(AtomicUsize::new(0));
    let crew = Crew { nemesis: Some(Box::new(Breaks(acts.clone()))), ..crew(1, NoopClient) };
    let all = ["err", "panic", "kill"].map(|f| Op::new(f).process(Process::Nemesis));
    let (ended, recorded) = play(crew, 1, squall_workloads::generator::nemesis(ops(all))).await;
    ended.unwrap();
    assert_eq!(acts.load(Ordering::Relaxed), 3);
    let said: Vec<_> = recorded.of(Type::Info).iter().map(|op| (op.process, op.error.as_deref())).collect();
    let nemesis = Process::Nemesis;
    assert_eq!(
        said,
        [(nemesis, Some("no such node")), (nemesis, Some("the client panicked")), (nemesis, None)]
    );
}

/// A chaotic schedule beside busy clients: what the nemesis was asked, and what the clients were.
async fn scheduled(seed: u64, concurrency: usize, client: impl Client + 'static) -> Recorded {
    let acts = Arc::new(AtomicUsize::new(0));
    let crew = Crew { nemesis: Some(Box::new(Breaks(acts))), ..crew(concurrency, client) };
    let draw = |ctx: &mut Context<'_>| {
        Op::new(*ctx.choose(&["kill", "pause", "cut"])).value(*ctx.choose(&[1, 2, 3]))
    };
    let schedule = squall_workloads::generator::from_fn(draw).rate(200.0).limit(25);
    let options = Options { concurrency, nodes: vec!["n1".into()], ops_per_key: 50 };
    let main = squall_workloads::register(&options).generator.limit(500);
    let (ended, recorded) = play(crew, seed, clients_and_nemesis(main, schedule)).await;
    ended.unwrap();
    recorded
}

#[tokio::test]
async fn the_same_seed_gives_the_same_schedule() {
    let asked = |recorded: &Recorded| -> Vec<String> {
        recorded
            .of(Type::Invoke)
            .iter()
            .filter(|op| op.process != Process::Nemesis)
            .map(|op| format!("{} {}", op.f, op.value))
            .collect()
    };
    let (one, two) = (scheduled(9, 1, AtomClient::new()).await, scheduled(9, 1, AtomClient::new()).await);
    assert_eq!(one.nemesis().len(), 25);
    assert_eq!(one.nemesis(), two.nemesis());
    assert_eq!(asked(&one), asked(&two));
    let other = scheduled(10, 1, AtomClient::new()).await;
    assert_ne!(one.nemesis(), other.nemesis());
    assert_ne!(asked(&one), asked(&other));
    let slow = TimeoutClient::new(Box::new(Bad::Hangs), Duration::from_millis(2));
    let beside_slow_clients = scheduled(9, 8, slow).await;
    assert_eq!(one.nemesis(), beside_slow_clients.nemesis(), "the nemesis minds how fast clients are");
}
