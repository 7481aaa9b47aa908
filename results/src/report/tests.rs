use serde_json::{Value, json};
use squall_checkers::{Anomaly, Edge, FaultEvent, History, Op, Phase, Process, Receipt, Type, Verdict};

use super::*;
use crate::RunConfig;

const EVIL: &str = "</script><!--<script>alert(1)</script><img src=x onerror=alert(1)>\"'&";

/// The text of the element with this id, as a browser would find it.
fn element<'a>(page: &'a str, id: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("id=\"{id}\">")).unwrap();
    rest.split_once("</script>").unwrap().0
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".find(c as char);
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let digits: Vec<usize> = group.iter().filter_map(|c| digit(*c)).collect();
        let word = digits.iter().fold(0, |word, digit| word << 6 | digit) << (6 * (4 - digits.len()));
        bytes.extend_from_slice(&(word as u32).to_be_bytes()[1..digits.len()]);
    }
    bytes
}

/// A column, read as `data.js` reads it.
struct Column<'a>(std::slice::Iter<'a, u8>);

impl Column<'_> {
    fn unsigned(&mut self) -> u64 {
        let (mut n, mut shift) = (0, 0);
        loop {
            let byte = *self.0.next().unwrap();
            n |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return n;
            }
        }
    }

    fn signed(&mut self) -> i64 {
        let n = self.unsigned();
        (n >> 1) as i64 ^ -((n & 1) as i64)
    }
}

/// The events of a report, read back from the page as `data.js` reads it.
fn decode(page: &str) -> Vec<Op> {
    let meta: Value = serde_json::from_str(element(page, "meta")).unwrap();
    let texts: Vec<&str> = element(page, "texts").split('\n').collect();
    let bytes = from_base64(element(page, "columns"));
    let layout = &meta["layout"];
    let mut at = 0;
    let mut columns: Vec<Column<'_>> = Vec::new();
    for length in layout["columns"].as_array().unwrap() {
        let length = length.as_u64().unwrap() as usize;
        columns.push(Column(bytes[at..at + length].iter()));
        at += length;
    }
    assert_eq!(at, bytes.len());
    let keys = layout["keys"].as_u64().unwrap() as usize;
    let parse = |at: usize| serde_json::from_str::<Value>(texts[at]).unwrap();
    let mut near = vec![0; keys + 1];
    let mut events: Vec<Option<Op>> = vec![None; layout["events"].as_u64().unwrap() as usize];
    let (mut start, mut first) = (0, 0);
    for _ in 0..layout["ops"].as_u64().unwrap() {
        start += columns[0].unsigned();
        let end = start + columns[1].unsigned();
        first += columns[2].signed();
        let last = first + columns[3].unsigned() as i64;
        let process = match columns[4].unsigned() {
            0 => Process::Nemesis,
            id => Process::Client(id as u32 - 1),
        };
        let kind = columns[5].unsigned();
        let f = layout["functions"][(kind >> 3) as usize].as_str().unwrap().to_owned();
        let how = [Type::Ok, Type::Fail, Type::Info, Type::Invoke][(kind & 3) as usize];
        let tags = columns[6].unsigned();
        let slot = columns[7].unsigned() as usize;
        let mut value = |tag: u64, columns: &mut [Column<'_>]| match tag {
            0 => Some(Value::Null),
            1 => {
                near[slot] += columns[9].signed();
                Some(json!(near[slot]))
            }
            2 => Some(json!(true)),
            3 => Some(json!(false)),
            4 => Some(parse(keys + columns[9].unsigned() as usize)),
            5 => Some(json!([near[slot] + columns[9].signed(), near[slot] + columns[9].signed()])),
            _ => None,
        };
        let argument = value(tags & 7, &mut columns).unwrap();
        let result = value(tags >> 3 & 7, &mut columns).unwrap_or_else(|| argument.clone());
        let error = (tags & 64 != 0).then(|| parse(keys + columns[8].unsigned() as usize));
        let whole = |value: Value| if slot == 0 { value } else { json!([parse(slot - 1), value]) };
        let op = |kind, at, value| Op::new(f.clone()).process(process).kind(kind).at(at).value(whole(value));
        let alone = kind & 4 != 0;
        events[first as usize] = Some(op(if alone { how } else { Type::Invoke }, start, argument));
        if last != first {
            events[last as usize] = Some(op(how, end, result));
        }
        events[last as usize].as_mut().unwrap().error = error.map(|e| e.as_str().unwrap().to_owned());
    }
    let indexed = events.into_iter().enumerate().map(|(index, op)| Op { index, ..op.unwrap() });
    indexed.collect()
}

fn by(process: u32, kind: Type, at: u64, f: &'static str, value: Value) -> Op {
    Op::new(f).process(Process::Client(process)).kind(kind).at(at).value(value)
}

fn report_of(ops: Vec<Op>) -> (History, String) {
    let data = RunData { history: ops.into_iter().collect(), ..RunData::default() };
    let page = Report::new(&data).render();
    (data.history, page)
}

#[test]
fn the_page_holds_the_whole_history() {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(-7),
        json!(1_u64 << 51),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.5),
        json!(EVIL),
        json!("line\nbreak \\u003c"),
        json!([5, -6]),
        json!([[4, 5], "x"]),
        json!({"a": [null]}),
        json!([["append", "x", 1], ["r", "x", [1, 2]]]),
    ];
    for keyed in [false, true] {
        let wrap = |value: &Value| if keyed { json!([EVIL, value]) } else { value.clone() };
        let mut ops = vec![Op::new("start").process(Process::Nemesis).kind(Type::Info).value("n1")];
        for (at, value) in values.iter().enumerate() {
            let (at, p) = (1_000_000_007 * at as u64, at as u32);
            let how = [Type::Ok, Type::Fail, Type::Info][at as usize % 3];
            let other = wrap(&values[(p as usize + 5) % values.len()]);
            ops.push(by(p, Type::Invoke, at, "write", wrap(value)));
            ops.push(by(900 + p, Type::Invoke, at, "read", wrap(&json!(null))));
            ops.push(Op { error: Some(EVIL.into()), ..by(p, how, at + 3, "write", wrap(value)) });
            ops.push(by(900 + p, Type::Ok, at + 77, "read", other));
        }
        ops.push(by(7, Type::Invoke, 14_000_000_099, "never", wrap(&json!(3))));
        let (history, page) = report_of(ops);
        let expected: Vec<Op> = history.iter().map(|event| event.to_op()).collect();
        assert_eq!(decode(&page), expected);
        assert_eq!(columns::is_keyed(&history), keyed);
    }
}

#[test]
fn a_register_operation_takes_at_most_20_bytes_of_the_page() {
    let mut random: u64 = 88_172_645_463_325_252;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let ops = 100_000;
    let mut events = Vec::new();
    for nth in 0..ops {
        let (start, took, p) = (nth * 100_000 + next(90_000), 400_000 + next(900_000), nth as u32 % 16);
        let (key, read) = (next(20), next(2) == 0);
        let (f, argument, result) = match read {
            true => ("read", json!([key, null]), json!([key, nth.saturating_sub(next(50))])),
            false => ("write", json!([key, nth]), json!([key, nth])),
        };
        events.push(by(p, Type::Invoke, start, f, argument));
        events.push(by(p, Type::Ok, start + took, f, result));
    }
    events.sort_by_key(|op| op.time_ns);
    let (_, empty) = report_of(vec![]);
    let (_, page) = report_of(events);
    let bytes = page.len() - empty.len();
    assert!(bytes as u64 <= 20 * ops, "{} bytes an operation", bytes as f64 / ops as f64);
}

fn fault(id: u64, at: u64, phase: Phase, what: &str, receipt: Option<Receipt>) -> FaultEvent {
    let nodes = vec!["n1".to_owned()];
    let (fault, what) = ("partition".into(), what.into());
    FaultEvent { id, time_ns: at, phase, fault, what, nodes, receipt, ..FaultEvent::default() }
}

fn stale_read() -> RunData {
    const MS: u64 = 1_000_000;
    let history: History = [
        by(0, Type::Invoke, 10 * MS, "write", json!([4, 12])),
        by(0, Type::Ok, 20 * MS, "write", json!([4, 12])),
        by(1, Type::Invoke, 30 * MS, "write", json!([4, 15])),
        by(1, Type::Ok, 40 * MS, "write", json!([4, 15])),
        by(2, Type::Invoke, 50 * MS, "read", json!([4, null])),
        by(2, Type::Ok, 60 * MS, "read", json!([4, 12])),
    ]
    .into_iter()
    .collect();
    let anomaly = Anomaly {
        kind: "stale-read".into(),
        key: Some(json!(4)),
        sentence: "read by process 2 returned 12, but 15 was acknowledged before".into(),
        witness: vec![0, 3, 5],
        steps: vec!["write 15 came before the read.".into(), "So `12` was gone.".into()],
        edges: vec![
            Edge { from: 3, to: 4, kind: "real time".into() },
            Edge { from: 5, to: 2, kind: "reads from".into() },
        ],
    };
    let verdict = Verdict::invalid("register", "register: key 4 is not linearizable", vec![anomaly]);
    let receipt = Some(Receipt::confirmed("1,204 packets dropped"));
    RunData {
        id: "20261121-083012-refkv-register-7f3a".into(),
        config: RunConfig {
            target: "refkv".into(),
            workload: "register".into(),
            seed: 0x7f3a_91c2,
            nodes: vec!["n1".into(), "n2".into()],
            concurrency: 3,
            ..RunConfig::default()
        },
        history,
        faults: vec![
            fault(1, 25 * MS, Phase::Injected, "{n1} | {n2}", Some(Receipt::confirmed(""))),
            fault(1, 55 * MS, Phase::Healed, "{n1} | {n2}", receipt),
        ],
        verdict: Some(Verdict::compose("all", vec![verdict])),
        ..RunData::default()
    }
}

/// What is left of markup when tags go and each element's text stands on a line of its own.
fn text(html: &str) -> String {
    let mut lines = Vec::new();
    for piece in html.split('<') {
        let text = piece.split_once('>').map_or(piece, |(_, text)| text).trim();
        if !text.is_empty() {
            lines.push(text.replace("&gt;", ">").replace("&lt;", "<"));
        }
    }
    lines.join("\n")
}

#[test]
fn the_text_of_a_report_says_what_a_person_asks_first() {
    let page = Report::new(&stale_read()).render();
    let main =
        page.split_once("<main>").unwrap().1.split_once("<section class=\"card\" id=\"run\">").unwrap().0;
    let expected = "\
invalid
register: key 4 is not linearizable
read by process 2 returned 12, but 15 was acknowledged before
during partition
{n1} | {n2}
receipt: 1,204 packets dropped
3 ops in 60.0 ms: 3 ok, 0 fail, 0 info; 1 partition, all confirmed; 1 key had fewer than 10 ok ops
squall test -t refkv -w register --seed 7f3a91c2
Copy
Target
refkv
Workload
register
Nodes
n1, n2
Clients
3
1 anomaly
1
stale-read
key 4
register
Show in the timeline
0.010 s to 0.060 s
read by process 2 returned 12, but 15 was acknowledged before
partition
{n1} | {n2}
1,204 packets dropped
write 15 came before the read.
So
12
was gone.
partition
partition {n1} | {n2}: 1,204 packets dropped
process 0
process 1
process 2
write 12
0.010 s
write 12 · 0.010000000 s to 0.020000000 s
write 15
0.030 s
write 15 · 0.030000000 s to 0.040000000 s
read → 12
0.050 s
read → 12 · 0.050000000 s to 0.060000000 s
The witness in order: what overlaps was concurrent. Distances are not to scale.
real time
reads from
write 15
op 2
read → 12
op 4
Each arrow leads from what must come first.
The 3 operations of the witness
op
process
node
operation
outcome
from
to
0
0
n1
write 12
ok
0.010000000 s
0.020000000 s
2
1
n2
write 15
ok
0.030000000 s
0.040000000 s
4
2
n1
read → 12
ok
0.050000000 s
0.060000000 s";
    assert_eq!(text(main), expected);
    assert!(expected.contains(&Report::new(&stale_read()).outline().coverage));
}

#[test]
fn the_scripts_know_the_witness_and_the_faults() {
    let page = Report::new(&stale_read()).render();
    let meta: Value = serde_json::from_str(element(&page, "meta")).unwrap();
    let anomaly =
        json!({"kind": "stale-read", "start_ns": 10_000_000, "end_ns": 60_000_000, "events": [0, 2, 4]});
    assert_eq!(meta["anomalies"], json!([anomaly]));
    assert_eq!(meta["bands"][0]["confirmed"], json!(true));
    assert_eq!(meta["layout"]["ops"], json!(3));
    assert!(page.contains("id=\"anomaly-1\"") && page.contains("href=\"#op-4\""));
}

#[test]
fn no_value_breaks_out_of_the_page() {
    let plain = Report::new(&stale_read()).render();
    let evil = || EVIL.to_owned();
    let mut data = stale_read();
    data.id = evil();
    data.config = RunConfig {
        target: evil(),
        workload: evil(),
        argv: vec![evil(), evil()],
        nemeses: vec![evil()],
        nodes: vec![evil(), evil()],
        version: evil(),
        ..data.config
    };
    data.config.target_options.insert(evil(), evil().into());
    data.notes = vec![evil()];
    data.files = vec![crate::RunFile { path: evil(), bytes: 1 }];
    for event in &mut data.faults {
        (event.fault, event.what) = (evil(), evil());
        event.receipt = Some(Receipt::confirmed(evil()));
    }
    data.history =
        data.history.iter().map(|event| Op { error: Some(evil()), ..event.to_op().value(EVIL) }).collect();
    let mut anomaly = data.verdict.unwrap().parts[0].anomalies[0].clone();
    (anomaly.kind, anomaly.sentence, anomaly.key) = (evil(), format!("`{EVIL}`"), Some(json!(EVIL)));
    anomaly.steps = vec![evil()];
    anomaly.edges[0].kind = evil();
    data.verdict = Some(Verdict::invalid(EVIL, EVIL, vec![anomaly]).stat(EVIL, EVIL));
    let page = Report::new(&data).render();
    for tag in ["<script", "</script", "<!--", "<img"] {
        assert_eq!(page.matches(tag).count(), plain.matches(tag).count(), "{tag}");
    }
    assert_eq!(decode(&page)[0].value, json!(EVIL));
}

#[test]
fn a_report_asks_the_network_for_nothing() {
    let page = Report::new(&stale_read()).render();
    for outside in
        ["http:", "https:", "src=", "@import", "url(\"", "url(h", "<link", "fetch(", "XMLHttp", "import("]
    {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn odd_data_makes_an_odd_report_and_no_panic() {
    let mut data = stale_read();
    let anomalies = &mut data.verdict.as_mut().unwrap().parts[0].anomalies;
    anomalies[0].witness = vec![5, 5, 99, usize::MAX];
    anomalies[0].edges.push(Edge { from: 2, to: 2, kind: String::new() });
    anomalies[0].edges.push(Edge { from: 77, to: usize::MAX, kind: String::new() });
    data.config.time_limit_s = f64::NAN;
    data.config.rate_hz = Some(f64::INFINITY);
    data.config.concurrency = u32::MAX;
    data.faults.push(fault(u64::MAX, u64::MAX, Phase::Intent, "", None));
    data.faults.push(fault(u64::MAX, 0, Phase::Healed, "", None));
    let mut ops: Vec<Op> = data.history.iter().map(|event| event.to_op()).collect();
    ops.push(by(u32::MAX - 1, Type::Invoke, u64::MAX, "", json!(null)));
    ops.push(by(u32::MAX - 1, Type::Ok, 0, "", json!([[]])));
    ops.push(by(5, Type::Fail, 3, "alone", json!(null)));
    data.history = ops.into_iter().collect();
    assert!(Report::new(&data).render().contains("register: key 4 is not linearizable"));

    let empty = Report::new(&RunData::default()).render();
    assert!(empty.contains("No client operation was recorded.") && empty.ends_with("</html>\n"));
    assert!(!empty.contains("{{"));
}
