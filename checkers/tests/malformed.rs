//! Whatever is done to a history's bytes, the readers answer with a history or with a place and a reason.

mod common;
#[path = "common/random.rs"]
mod random;

use common::random_history;
use squall_checkers::history::{Format, JsonlWriter, ReadError, read, read_as, write_edn, write_jsonl};

fn jsonl() -> Vec<u8> {
    let mut text = Vec::new();
    write_jsonl(&random_history(7, 6), &mut text).unwrap();
    text
}

fn samples() -> Vec<(Format, Vec<u8>)> {
    let lines = String::from_utf8(jsonl()).unwrap();
    let array = format!("[{}]\n", lines.trim().replace('\n', ",\n"));
    let mut edn = Vec::new();
    write_edn(&random_history(8, 6), &mut edn).unwrap();
    let kinds = "; a comment\n(#jepsen.history.Op{:type :invoke, :process 0 :f :x :value [\\a #{1 nil} 1/2 #_ x]} \
                 [0 :ok :x (1N 2.5M \"\\u00e9\" #inst \"2020\" {[1] {}})])";
    let kv = "{:process 1, :type :invoke, :f :get, :key \"9\", :value nil}\n\
              {:process 1, :type :ok, :f :get, :key \"9\", :value \"x 1 0 y\"}\n";
    let log = "INFO  jepsen.util - 0\t:invoke\t:cas\t[3 0]\nINFO  jepsen.util - 0\t:fail\t:cas\t:timed-out\n";
    let mut frames = Vec::new();
    let mut writer = JsonlWriter::new(&mut frames).unwrap();
    for op in random_history(9, 6).iter() {
        writer.push(&op.to_op()).unwrap();
        writer.flush().unwrap();
    }
    drop(writer);
    vec![
        (Format::Jsonl, lines.into_bytes()),
        (Format::Jsonl, frames),
        (Format::JsonArray, array.into_bytes()),
        (Format::Edn, edn),
        (Format::Edn, kinds.into()),
        (Format::KvEdn, kv.into()),
        (Format::JepsenLog, log.into()),
        (Format::AwditTest, "w 1 2\nr 3 0\n---\nr 1 2\n====\nw 3 0\n".into()),
        (Format::PlumeText, "w(1,2,0,0)\nr(3,0,1,1)\nw(3,0,0,2)\nr(1,2,1,-1)\n".into()),
        (Format::DbcopText, "// one\n[x:=1 y==?] [y==1]!\n---\n[x==1]\n".into()),
        (
            Format::DbcopJson,
            r#"{"data":[[{"events":[["w",1,2],{"Read":{"variable":1,"version":2}}],"committed":true}]]}"#
                .into(),
        ),
        (Format::Fastlin, "# stack\npush 1 1 2\npop 1 2 3\npeek -1 4 4\n".into()),
    ]
}

/// Whether reading gives an error; one without a place or a reason fails the test.
fn refused(bytes: &[u8], format: Option<Format>) -> bool {
    let Err(error) = read_as(bytes, "h", format) else { return false };
    let ReadError { line, column, expected, got, .. } = &error;
    assert!(*line >= 1 && *column >= 1 && !expected.is_empty() && !got.is_empty(), "{error}");
    true
}

/// The sample cut at a byte, and with that byte changed, removed, or another put before it.
fn damaged(sample: &[u8], at: usize) -> Vec<Vec<u8>> {
    let (before, after) = sample.split_at(at);
    let flips = [0x01, 0x20, 0x80, 0xFF].map(|flip| [before, &[sample[at] ^ flip], &after[1..]].concat());
    let inserts = b"\"\\[}0:\n\t#".map(|byte| [before, &[byte], after].concat());
    let mut all = vec![before.to_vec(), [before, &after[1..]].concat()];
    all.extend(flips);
    all.extend(inserts);
    all
}

#[test]
fn no_change_of_a_byte_makes_a_reader_panic() {
    for (format, sample) in samples() {
        assert!(!refused(&sample, Some(format)), "{format}");
        let mut errors = 0;
        for at in 0..sample.len() {
            for bytes in damaged(&sample, at) {
                errors += usize::from(refused(&bytes, Some(format)));
                // Elsewhere the format is recognised as before.
                if at < 64 {
                    refused(&bytes, None);
                }
            }
        }
        assert!(errors > sample.len(), "{format}: only {errors} errors for {} bytes", sample.len());
    }
}

fn message(text: &str) -> String {
    read(text.as_bytes(), "h").unwrap_err().to_string()
}

#[test]
fn errors_say_where_and_what() {
    let invoke = r#"{"index":0,"time":5,"process":0,"type":"invoke","f":"read"}"#;
    let cases = [
        (
            r#"{"time":0,"process":0,"type":"okay","f":"read"}"#.to_owned(),
            r#"h:1:30: expected "type" to be invoke, ok, fail or info, got "okay""#,
        ),
        (
            format!("{invoke}\n\n{{\"type\":\"ok\", \"process\":-1}}\n"),
            r#"h:3:25: expected "process" to be an integer from 0 to 4294967294, or nemesis, got `-1`"#,
        ),
        (
            format!("{invoke}\n{{\"index\":1\n{invoke}\n"),
            r#"h:2:11: expected "," or "}", got the end of the line"#,
        ),
        (
            format!("{invoke}\n{{\"type\":\"ok\",\"f\":\"é\u{e9}\" 1}}\n"),
            r#"h:2:23: expected "," or "}", got `1`"#,
        ),
        (format!("{invoke} x\n"), "h:1:61: expected the end of the line after the operation, got `x`"),
        (
            format!("{invoke}\n{}", invoke.replace("\"index\":0", "\"index\":1")),
            "h:2:1: expected process 0 to complete its operation of line 1 first, got \"invoke\"",
        ),
        (
            invoke.replace("invoke", "ok"),
            "h:1:1: expected process 0 to invoke an operation before it completes one, got \"ok\"",
        ),
        (
            format!("{invoke}\n{{\"index\":1,\"time\":4,\"process\":0,\"type\":\"ok\",\"f\":\"read\"}}\n"),
            r#"h:2:1: expected "time" to be at least 5, as on line 1, got 4"#,
        ),
        (
            format!("{invoke}\n{{\"index\":0,\"time\":6,\"process\":0,\"type\":\"ok\",\"f\":\"read\"}}\n"),
            r#"h:2:1: expected "index" to be above 0, that of the event before, got 0"#,
        ),
        (
            r#"{"process":0,"type":"invoke"}"#.into(),
            r#"h:1:1: expected an operation with "f", got one without"#,
        ),
        (
            format!("{invoke}\n{{\"f\":\"read\",\"type\":\"ok\"}}\n"),
            r#"h:2:1: expected an operation with "process", got one without"#,
        ),
        (r#"{"type":"ok","type":"ok"}"#.into(), r#"h:1:14: expected each key once, got "type""#),
        ("[{\"type\":\"ok\"\n,\"process\":[1,\n}]".into(), "h:3:1: expected a JSON value, got `}`"),
        ("[{:type :okay}]".into(), "h:1:9: expected :type to be invoke, ok, fail or info, got :okay"),
        ("[{:type :ok :f :read\n :value [1 2)}]".into(), "h:2:13: expected a value or \"]\", got `)`"),
        (
            "(0 :invoke :read nil".into(),
            "h:1:21: expected the end of [process type f value], got the end of the file",
        ),
        (
            "INFO  jepsen.util - 0\t:invoke\t:read\n".into(),
            "h:1:36: expected a tab and more, got the end of the line",
        ),
        (
            "hello\n".into(),
            "h:1:1: expected a history in one of the formats jsonl, json, jepsen-edn, porcupine-kv, jepsen-log-2014, awdit-test, plume-text, dbcop, dbcop-json, dbcop-text, fastlin, got `hello`",
        ),
    ];
    let got: Vec<String> = cases.iter().map(|(text, _)| message(text)).collect();
    let expected: Vec<&str> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(got, expected);
}

#[test]
fn nesting_has_a_limit_in_every_format() {
    for depth in [512, 513, 200_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let texts = [
            format!("{{\"process\":0,\"type\":\"invoke\",\"f\":\"f\",\"value\":{open}{close}}}\n"),
            format!("[{{\"process\":0,\"type\":\"invoke\",\"f\":\"f\",\"value\":{open}{close}}}]"),
            format!("{{:process 0 :type :invoke :f :f :value {open}{close}}}"),
            format!("{{:process 0 :type :invoke :f :f :value {{:unknown {}{}}}}}", &open[1..], &close[1..]),
            format!("INFO  jepsen.util - 0\t:invoke\t:f\t{open}{close}\n"),
        ];
        for text in texts {
            if depth == 512 {
                let history = read(text.as_bytes(), "h").unwrap().history;
                assert_eq!(history.get(0).value(), history.get(0).to_op().value);
            } else {
                assert!(message(&text).contains("at most 512 levels of nesting"), "{}", message(&text));
            }
        }
    }
}

#[test]
fn what_is_odd_but_readable_is_a_warning() {
    let warnings = |text: &str| read(text.as_bytes(), "h").unwrap().warnings;
    let backwards = "[{:process 0 :type :invoke :f :read :time 5}\n{:process 0 :type :ok :f :read :time 4}]";
    assert_eq!(
        warnings(backwards),
        ["line 2: time runs backwards: event 1: time 4 ns, after 5 ns of event 0"]
    );
    let gap = "{:index 10 :process 0 :type :invoke :f :read} {:index 12 :process 0 :type :ok :f :read}";
    assert_eq!(warnings(gap), ["line 1: event 0 has index 10; events are renumbered from 0"]);
    let torn = "{\"process\":0,\"type\":\"invoke\",\"f\":\"read\"}\n{\"proc";
    assert_eq!(
        warnings(torn),
        [
            "the file ends in the middle of a record, on line 2, column 7 (expected a closing quote): the 1 whole events \
          before it were read"
        ]
    );
    // There was nothing but "no operation" of a file of which not even the first record was whole.
    assert_eq!(
        warnings("{\"process\":0,"),
        [
            "the file ends in the middle of its first record, on line 1, column 14 (expected a key in quotes): there is \
          nothing to read"
        ]
    );
}
