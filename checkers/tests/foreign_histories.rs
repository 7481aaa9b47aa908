//! Histories that others recorded: every file of a format that is read loads, and says what it should.
//!
//! They are not part of this repository. Where `SQUALL_HISTORIES` names their folder, or `shared/histories` lies beside the
//! workspace, they are read; elsewhere there is nothing to check.

use std::env;
use std::fs;
use std::path::PathBuf;

use squall_checkers::history::{Format, Parsed, Type, read, read_file, validate, write_edn, write_jsonl};

fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/histories"));
    let folder = env::var_os("SQUALL_HISTORIES").map_or_else(beside, PathBuf::from);
    if folder.join("expected.tsv").is_file() {
        return Some(folder);
    }
    println!("skipped: there are no foreign histories in {}", folder.display());
    None
}

/// The files of formats that are read: file, path, format.
fn files() -> Vec<(String, PathBuf, Format)> {
    let Some(folder) = folder() else { return Vec::new() };
    let table = fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let rows = table.lines().skip(1).filter_map(|row| {
        let mut columns = row.split('\t');
        let file = columns.next().unwrap();
        let format = match columns.next().unwrap() {
            "elle-json" => Some(Format::JsonArray),
            name => Format::from_name(name),
        };
        format.map(|format| (file.to_owned(), folder.join(file), format))
    });
    rows.collect()
}

fn load(path: &PathBuf) -> Parsed {
    read_file(path).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_file_loads_in_its_format() {
    for (file, path, format) in files() {
        let parsed = load(&path);
        assert_eq!(parsed.format, format, "{file}");
        assert!(!parsed.torn && parsed.history.len() >= 4, "{file}: {} events", parsed.history.len());
        let only_time = validate(&parsed.history, 1000).iter().all(|p| p.to_string().contains("time"));
        assert!(only_time, "{file}");
    }
}

#[test]
fn written_again_they_say_the_same() {
    for (file, path, _) in files() {
        let history = load(&path).history;
        let (mut edn, mut jsonl) = (Vec::new(), Vec::new());
        write_edn(&history, &mut edn).unwrap();
        write_jsonl(&history, &mut jsonl).unwrap();
        let again = read(&edn, &file).unwrap_or_else(|e| panic!("{e}")).history;
        let mut jsonl_again = Vec::new();
        write_jsonl(&again, &mut jsonl_again).unwrap();
        assert!(jsonl == jsonl_again, "{file}");
    }
}

/// How many events each file has was counted with other tools.
#[test]
fn no_event_is_lost() {
    let counts = [
        ("knossos/mutex/bad/etcd.edn", 1135, 299, 12),
        ("elle-cli/knossos/mutex/bad/etcd.json", 1135, 299, 12),
        ("knossos/cas-register/bad/cas-failure.edn", 590, 85, 9),
        ("elle-cli/jepsen/bank.edn", 680, 99, 39),
        ("porcupine/kv/c50-ok.txt", 3424, 0, 0),
    ];
    let files = files();
    for (name, events, fails, infos) in counts {
        for (file, path, _) in files.iter().filter(|(file, ..)| file == name) {
            let history = load(path).history;
            let of = |kind| history.iter().filter(|op| op.kind() == kind).count();
            assert_eq!((history.len(), of(Type::Fail), of(Type::Info)), (events, fails, infos), "{file}");
        }
    }
    for (file, path, _) in files.iter().filter(|(_, _, format)| *format == Format::JepsenLog) {
        let text = fs::read_to_string(path).unwrap();
        let history = load(path).history;
        assert_eq!(history.len(), text.lines().count(), "{file}");
        let timed_out = text.lines().filter(|line| line.ends_with(":timed-out")).count();
        let unknown = history.iter().filter(|op| op.kind() == Type::Info).count();
        assert_eq!(unknown, timed_out, "{file}");
    }
}
