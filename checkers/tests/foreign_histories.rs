//! Histories that others recorded: every file of a format that is read loads, and says what it should.
//!
//! See [`foreign`] for where they are.

#[path = "common/foreign.rs"]
mod foreign;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use squall_checkers::history::{
    Format, History, Parsed, Type, read, read_file, validate, write_edn, write_jsonl,
};

/// Every file once: file, path, format.
fn files() -> Vec<(String, PathBuf, Format)> {
    let format = |name: &str| Format::from_name(name).unwrap_or_else(|| panic!("there is no format {name}"));
    let files: BTreeMap<_, _> =
        foreign::rows().into_iter().map(|(path, [file, name, ..])| (file, (path, format(&name)))).collect();
    files.into_iter().map(|(file, (path, format))| (file, path, format)).collect()
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
        let mut again = read(&edn, &file).unwrap_or_else(|e| panic!("{e}")).history;
        // EDN has no place for these.
        again.set_real_time(history.has_real_time());
        history.object().into_iter().for_each(|object| again.set_object(object));
        let mut jsonl_again = Vec::new();
        write_jsonl(&again, &mut jsonl_again).unwrap();
        assert!(jsonl == jsonl_again, "{file}");
        if !history.has_real_time() || history.object().is_some() {
            let lines = read(&jsonl, &file).unwrap_or_else(|e| panic!("{e}")).history;
            let whole = |history: &History| (history.has_real_time(), history.object().map(str::to_owned));
            assert_eq!(whole(&lines), whole(&history), "{file}");
        }
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
        ("awdit/read-atomic/generated/l4e10sqrt.txt", 10, 0, 0),
        ("isovista/dgraph_si.txt", 962, 0, 0),
        ("fastlin/stack/nonlin_simple_1.log", 12, 0, 0),
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
