//! Makes runs that look real, to look at reports: `cargo run -p squall-results --example synthetic -- DIR [OPS]`.
//!
//! DIR becomes a store with a valid run, an invalid one with several anomalies, an unknown, an empty and a torn one, and,
//! with OPS, one of that many operations. It prints where each report is, its size and how long it took to make.

use std::collections::HashMap;
use std::fs::{self, File};
use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use squall_checkers::history::JsonlWriter;
use squall_checkers::{
    Anomaly, Edge, FaultEvent, History, Op, Phase, Process, Receipt, Type, Valid, Verdict,
};
use squall_results::{Run, RunConfig, Store, Timestamp, Totals};

const SECOND: u64 = 1_000_000_000;

/// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A latency around `middle`, with a long tail.
    fn latency(&mut self, middle: u64) -> u64 {
        let tail = if self.below(50) == 0 { 8 } else { 1 };
        middle * (60 + self.below(50) + self.below(50)) / 100 * tail
    }
}

const KINDS: [&str; 4] = ["partition", "kill", "pause", "clock-skew"];

fn faults(seconds: u64) -> Vec<FaultEvent> {
    let mut events = Vec::new();
    for id in 1..seconds / 8 {
        let kind = KINDS[id as usize % 4];
        let start = id * 8 * SECOND;
        let node = format!("n{}", 1 + id % 5);
        let what = if kind == "partition" { "{n1,n2} | {n3,n4,n5}".to_owned() } else { node.clone() };
        let nodes = if kind == "partition" { vec!["n1".into(), "n2".into()] } else { vec![node] };
        let event = |time_ns, phase, receipt| FaultEvent {
            id,
            time_ns,
            phase,
            fault: kind.into(),
            what: what.clone(),
            nodes: nodes.clone(),
            receipt,
            ..FaultEvent::default()
        };
        events.push(event(start - 5_000_000, Phase::Intent, None));
        if id == 7 {
            events.push(event(
                start,
                Phase::Failed,
                Some(Receipt::unconfirmed("adjtimex: permission denied")),
            ));
            continue;
        }
        let injected = match kind {
            "partition" => Receipt::unconfirmed("6 rules in place"),
            "kill" => Receipt::confirmed("pid 17 is gone, SIGKILL"),
            "pause" => Receipt::confirmed("pid 17 in state T"),
            _ => Receipt::unconfirmed("offset not read back"),
        };
        events.push(event(start, Phase::Injected, Some(injected)));
        let healed = (kind == "partition").then(|| Receipt::confirmed("1,204 packets dropped"));
        events.push(event(start + 4 * SECOND, Phase::Healed, healed));
    }
    events
}

/// Clients that read and write independent registers while faults come and go.
fn history(ops: u64, config: &RunConfig, faults: &[FaultEvent], random: &mut Random) -> History {
    let threads = u64::from(config.concurrency);
    let pause = (config.time_limit_s * 1e9) as u64 * threads / ops.max(1);
    let hit = |at: u64, node: &str| {
        faults.iter().find(|event| {
            let here = event.phase == Phase::Injected && event.nodes.iter().any(|n| n == node);
            here && (event.time_ns..event.time_ns + 4 * SECOND).contains(&at)
        })
    };
    let mut registers: HashMap<u64, u64> = HashMap::new();
    let mut events: Vec<Op> = Vec::new();
    for thread in 0..threads {
        let (mut process, mut now) = (thread as u32, random.below(pause + 1));
        for nth in 0..ops / threads {
            let key = random.below(12);
            let node = config.node_of(Process::Client(process)).unwrap_or("n1").to_owned();
            let (mut took, mut how, mut error) = (random.latency(pause / 5), Type::Ok, None);
            match hit(now, &node).map(|fault| fault.fault.as_str()) {
                Some("partition" | "pause") if random.below(4) > 0 => {
                    (took, how, error) = (SECOND / 2, Type::Info, Some("timeout after 500 ms"));
                }
                Some("kill") => (took, how, error) = (200_000, Type::Fail, Some("connection refused")),
                Some(_) => took *= 4,
                None => {}
            }
            let (f, argument) = match random.below(3) {
                0 => ("write", json!([key, thread + threads * nth])),
                _ => ("read", json!([key, null])),
            };
            let result = match (f, how) {
                ("read", Type::Ok) => json!([key, registers.get(&key)]),
                _ => argument.clone(),
            };
            if let (true, Some(value)) = (how != Type::Fail, argument[1].as_u64()) {
                registers.insert(key, value);
            }
            let op = |kind, at| Op::new(f).process(Process::Client(process)).kind(kind).at(at);
            events.push(op(Type::Invoke, now).value(argument));
            let mut completion = op(how, now + took).value(result);
            completion.error = error.map(str::to_owned);
            events.push(completion);
            if how == Type::Info {
                process += threads as u32;
            }
            now += took.max(random.latency(pause));
        }
    }
    events.sort_by_key(|op| op.time_ns);
    events.into_iter().collect()
}

/// The indices of the first `n` events after a time that satisfy a test.
fn pick(history: &History, from: u64, n: usize, test: impl Fn(&Op) -> bool) -> Vec<usize> {
    let events = history.iter().filter(|event| event.time_ns() >= from).map(|event| event.to_op());
    events.filter(test).map(|op| op.index).take(n).collect()
}

fn anomalies(history: &History) -> Vec<Anomaly> {
    let ok = |f: &'static str| move |op: &Op| op.f == f && op.kind == Type::Ok;
    let on_key_4 = |op: &Op| op.value[0] == json!(4) && op.kind == Type::Ok;
    let stale = pick(history, 9 * SECOND, 4, on_key_4);
    let cycle = pick(history, 17 * SECOND, 4, ok("write"));
    let lost = pick(history, 33 * SECOND, 14, |op| op.kind != Type::Invoke);
    let edge =
        |from: usize, to: usize, kind: &str| Edge { from: cycle[from], to: cycle[to], kind: kind.into() };
    vec![
        Anomaly {
            kind: "stale-read".into(),
            key: Some(json!(4)),
            sentence: "read by process 7 at 9.203 s returned 12, but 15 was acknowledged at 9.080 s".into(),
            witness: stale,
            steps: vec![
                "write 15 was acknowledged before the read began.".into(),
                "No other write began between them, so the register held 15.".into(),
                "The read returned 12, which 15 had replaced. No order of these operations explains it."
                    .into(),
            ],
            edges: vec![],
        },
        Anomaly {
            kind: "G-single".into(),
            key: None,
            sentence: "four transactions form a cycle with one anti-dependency".into(),
            steps: vec!["Each must come before the next, and the last before the first.".into()],
            edges: vec![
                edge(0, 1, "reads from"),
                edge(1, 2, "session order"),
                edge(2, 3, "anti-dependency"),
                edge(3, 0, "real time"),
            ],
            witness: cycle,
        },
        Anomaly {
            kind: "lost-write".into(),
            key: Some(json!("</script><script>alert(1)</script>")),
            sentence: "an acknowledged write was never seen again & <b>nobody</b> knows why".into(),
            witness: lost,
            steps: vec![],
            edges: vec![],
        },
    ]
}

fn config(nth: u64, workload: &str, seconds: f64) -> RunConfig {
    let argv = ["squall", "test", "-t", "refkv", "-w", workload, "-n", "partition,kill,pause,clock-skew"];
    RunConfig {
        version: env!("CARGO_PKG_VERSION").into(),
        argv: argv.map(String::from).into(),
        seed: 0x7f3a_91c2 + nth,
        started: Timestamp::from_unix_ms(1_795_249_812_000 + nth * 97_000),
        target: "refkv".into(),
        workload: workload.into(),
        nemeses: KINDS.map(String::from).into(),
        nodes: (1..=5).map(|n| format!("n{n}")).collect(),
        concurrency: 10,
        rate_hz: Some(200.0),
        time_limit_s: seconds,
        ..RunConfig::default()
    }
}

fn record(run: &Run, history: &History, faults: &[FaultEvent]) -> Result<()> {
    let mut writer = JsonlWriter::new(File::create(run.history_path())?)?;
    for op in history.iter() {
        writer.push(&op.to_op())?;
    }
    writer.flush()?;
    let lines: Vec<String> = faults.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    fs::write(run.faults_path(), lines.join("\n") + "\n")?;
    for node in ["n1", "n2", "n3"] {
        fs::write(
            run.create_node_dir(node)?.join("server.log"),
            format!("{node}: became leader in term 7\n"),
        )?;
    }
    fs::write(run.log_path(), "nodes are up\n")?;
    Ok(())
}

fn make(
    store: &Store,
    nth: u64,
    workload: &str,
    ops: u64,
    seconds: f64,
    valid: Option<Valid>,
) -> Result<Run> {
    let config = config(nth, workload, seconds);
    let run = store.create(&config)?;
    let faults = if ops == 0 { vec![] } else { faults(seconds as u64) };
    let history = history(ops, &config, &faults, &mut Random(config.seed));
    record(&run, &history, &faults)?;
    let stats = Verdict::valid("stats", "no client ever gave up")
        .stat("ok_share", 0.93)
        .stat("keys", 12)
        .stat("by_function", json!({"read": 1_601, "write": 790}));
    let verdict = match valid {
        Some(Valid::False) => {
            Verdict::invalid("register", "register: key 4 is not linearizable", anomalies(&history))
        }
        Some(Valid::Unknown) => Verdict::unknown(
            "register",
            "key 3 was not decided within 30 s: 1,880 of 2,391 ops were; give it `--check-memory 4G` or fewer clients",
        ),
        Some(Valid::True) => Verdict::valid("register", "12 registers are linearizable").stat("keys", 12),
        None => return Ok(run),
    };
    run.write_verdict(&Verdict::compose("all", vec![stats, verdict]), &Totals::of(&history, &faults))?;
    Ok(run)
}

fn report(run: &Run) -> Result<()> {
    let began = Instant::now();
    let data = run.load()?;
    let loaded = began.elapsed();
    let path = run.write_report_of(&data)?;
    let bytes = fs::metadata(&path)?.len();
    let ops = (data.history.len() / 2).max(1) as u64;
    let rendered = began.elapsed() - loaded;
    println!("{} {bytes} B, {} B/op, load {loaded:.1?}, render {rendered:.1?}", path.display(), bytes / ops);
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let store = Store::open(arguments.next().unwrap_or_else(|| "results/runs".into()));
    let ops = arguments.next().map(|n| n.parse()).transpose()?;
    report(&make(&store, 0, "register", 2_400, 60.0, Some(Valid::True))?)?;
    report(&make(&store, 1, "register", 12_000, 60.0, Some(Valid::False))?)?;
    report(&make(&store, 2, "cas-register", 2_400, 60.0, Some(Valid::Unknown))?)?;
    report(&make(&store, 3, "register", 0, 60.0, Some(Valid::True))?)?;
    let torn = make(&store, 4, "register", 2_400, 60.0, None)?;
    let whole = fs::read(torn.history_path())?;
    fs::write(torn.history_path(), &whole[..whole.len() * 2 / 3])?;
    report(&torn)?;
    if let Some(ops) = ops {
        report(&make(&store, 5, "register", ops, 120.0, Some(Valid::False))?)?;
    }
    Ok(())
}
