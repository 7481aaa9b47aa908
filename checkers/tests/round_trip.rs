//! Written and read again, a history is the same.

mod common;
#[path = "common/random.rs"]
mod random;

use common::random_history;
use squall_checkers::history::{Format, History, JsonlWriter, Op, read, write_edn, write_jsonl};

fn ops(history: &History) -> Vec<Op> {
    history.iter().map(|op| op.to_op()).collect()
}

fn jsonl(history: &History) -> Vec<u8> {
    let mut text = Vec::new();
    write_jsonl(history, &mut text).unwrap();
    text
}

fn frames(history: &History, frame_events: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = JsonlWriter::new(&mut bytes).unwrap();
    for (n, op) in history.iter().enumerate() {
        if n > 0 && n % frame_events == 0 {
            writer.flush().unwrap();
        }
        writer.push(&op.to_op()).unwrap();
    }
    drop(writer);
    bytes
}

#[test]
fn json_lines_come_back_byte_for_byte() {
    for seed in 0..200 {
        let history = random_history(seed, 60);
        let text = jsonl(&history);
        let parsed = read(&text, "h.jsonl").unwrap();
        assert_eq!(parsed.format, Format::Jsonl);
        assert!(!parsed.torn && parsed.warnings.is_empty(), "{:?}", parsed.warnings);
        assert_eq!(ops(&parsed.history), ops(&history), "seed {seed}");
        assert_eq!(jsonl(&parsed.history), text, "seed {seed}");
    }
}

fn edn(history: &History) -> String {
    let mut text = Vec::new();
    write_edn(history, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn edn_comes_back_whole() {
    for seed in 0..200 {
        let history = random_history(seed, 60);
        let text = edn(&history);
        let parsed = read(text.as_bytes(), "h.edn").unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert_eq!(parsed.format, Format::Edn);
        assert_eq!(ops(&parsed.history), ops(&history), "seed {seed}");
        assert_eq!(edn(&parsed.history), text, "seed {seed}");
    }
}

#[test]
fn edn_looks_as_jepsen_writes_it() {
    let text = concat!(
        "{:index 0, :time 5, :type :invoke, :process 0, :f :txn, :value [[:append 1 2] [:r \"x\" nil]]}\n",
        "{:index 1, :time 6, :type :info, :process :nemesis, :f :start, :value nil}\n",
        "{:index 2, :time 7, :type :invoke, :process 1, :f :read, :value [3 {0 100, :a \"b\", \"c d\" 1.5}]}\n",
        "{:index 3, :time 8, :type :fail, :process 0, :f :txn, :value nil, :error :not-held}\n",
        "{:index 4, :time 9, :type :info, :process 1, :f :read, :value nil, :error \"connection refused\"}\n",
    );
    assert_eq!(edn(&read(text.as_bytes(), "h.edn").unwrap().history), text);
}

#[test]
fn compressed_lines_hold_the_same_text() {
    let history = random_history(1, 5_000);
    let bytes = frames(&history, usize::MAX);
    assert_eq!(zstd::decode_all(&bytes[..]).unwrap(), jsonl(&history));
    let parsed = read(&bytes, "h.jsonl.zst").unwrap();
    assert_eq!(ops(&parsed.history), ops(&history));
}

#[test]
fn a_file_torn_anywhere_gives_all_that_was_whole() {
    let history = random_history(2, 90);
    let all = ops(&history);
    let bytes = frames(&history, 30);
    let first = frames(&random_history(2, 30), usize::MAX).len();
    for cut in 0..bytes.len() {
        let parsed = read(&bytes[..cut], "h.jsonl.zst").unwrap_or_else(|e| panic!("cut {cut}: {e}"));
        let read = ops(&parsed.history);
        assert_eq!(read, all[..read.len()], "cut {cut}");
        assert!(read.len() >= 30 || cut < first, "cut {cut}: {} events", read.len());
        let at_boundary = cut == 0 || !parsed.torn;
        assert!(!at_boundary || read.len().is_multiple_of(30), "cut {cut}: not torn, {} events", read.len());
    }
    assert_eq!(ops(&read(&bytes, "h.jsonl.zst").unwrap().history), all);
}

#[test]
fn plain_lines_torn_anywhere_give_all_whole_lines() {
    let text = jsonl(&random_history(3, 20));
    for cut in 0..text.len() {
        let parsed = read(&text[..cut], "h.jsonl").unwrap_or_else(|e| panic!("cut {cut}: {e}"));
        let newlines = text[..cut].iter().filter(|&&b| b == b'\n').count();
        let whole = newlines + usize::from(text[cut] == b'\n');
        assert_eq!(parsed.history.len(), whole, "cut {cut}");
        assert_eq!(parsed.torn, cut > 0 && text[cut - 1] != b'\n' && text[cut] != b'\n', "cut {cut}");
        let zeros = read(&[&text[..cut], &[0; 100]].concat(), "h.jsonl");
        // The first two bytes tell the format.
        if cut > 1 {
            let zeros = zeros.unwrap_or_else(|e| panic!("cut {cut}, then zeros: {e}"));
            assert!(zeros.torn && zeros.history.len() == whole, "cut {cut}, then zeros");
        }
    }
}

#[test]
fn garbage_in_the_middle_is_an_error() {
    let history = random_history(2, 90);
    let mut bytes = frames(&history, 30);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    let error = read(&bytes, "h.jsonl.zst").unwrap_err();
    assert!(error.line > 30 && error.line <= 90, "{error}");
}
