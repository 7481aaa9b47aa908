//! `squall check` as a stranger uses it: what was rough there, and must not be again.

use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cli::{READ, WRITTEN, refused};
use super::squall::{Folder, SQUALL, Said, ended, said};

/// A folder with `good.jsonl`, and `bad.jsonl`, which reads 4 where 3 was written.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("good.jsonl", format!("{WRITTEN}{READ}"));
    folder.write("bad.jsonl", format!("{WRITTEN}{}", READ.replace('3', "4")));
    folder
}

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

/// `squall check bad.jsonl --witness small.jsonl` left four lines of a history of a thousand if the two were one file: it was
/// emptied and became its own witness.
#[test]
fn a_witness_never_overwrites_the_history() {
    let folder = folder();
    let before = read(&folder, "bad.jsonl");
    symlink("bad.jsonl", folder.path().join("symbolic")).unwrap();
    std::fs::hard_link(folder.path().join("bad.jsonl"), folder.path().join("hard")).unwrap();
    for path in ["bad.jsonl", "./bad.jsonl", "symbolic", "hard"] {
        for args in ["check bad.jsonl", "check good.jsonl symbolic", "check hard --json"] {
            refused(&folder, &format!("{args} --witness {path}"), &["overwritten"]);
        }
    }
    let input = std::fs::File::open(folder.path().join("bad.jsonl")).unwrap();
    let mut command = folder.command(SQUALL);
    let said = ended(command.args(["check", "-", "--witness", "hard"]).stdin(input)).code(254);
    assert!(said.stderr.contains("the file of standard input"), "{said:#?}");
    assert_eq!(read(&folder, "bad.jsonl"), before);
}

/// A verdict was lost if its witness could not be written: there was nothing but the error, after all the work.
#[test]
fn where_a_witness_cannot_go_is_said_before_anything_is_judged() {
    let folder = folder();
    refused(&folder, "check bad.jsonl --witness no/such/folder/w.jsonl", &["no/such/folder/w.jsonl"]);
    refused(&folder, "check bad.jsonl --witness .", &["is a folder"]);
    refused(&folder, "check bad.jsonl --witness - --json", &["standard output", "--json"]);
    // What is there is neither emptied nor made where there is no witness.
    folder.write("old.jsonl", "old");
    let said = folder.squall("check good.jsonl --witness old.jsonl").code(0);
    assert!(said.stderr.contains("nothing is written to old.jsonl"), "{said:#?}");
    folder.squall("check good.jsonl --witness new.jsonl").code(0);
    assert_eq!(read(&folder, "old.jsonl"), "old");
    assert!(!folder.path().join("new.jsonl").exists());
    // A device that is full shows only when it is written to: the verdict stands.
    let said = folder.squall("check bad.jsonl --witness /dev/full").code(1);
    assert!(said.stdout.starts_with("INVALID"), "{said:#?}");
    assert!(said.stderr.contains("error: there is no witness: cannot write /dev/full"), "{said:#?}");
}

/// `--witness -` made a file of the name `-`.
#[test]
fn a_witness_can_go_to_standard_output() {
    let folder = folder();
    let said = folder.squall("check bad.jsonl --witness -").code(1);
    assert!(said.stderr.starts_with("INVALID  bad.jsonl"), "{said:#?}");
    assert!(!folder.path().join("-").exists());
    folder.squall_reading("check -", &said.stdout).code(1);
    assert_eq!(folder.squall("check bad.jsonl --witness /dev/stdout").code(1).stdout, said.stdout);
}

/// Of several histories nobody knew whose witness it was.
#[test]
fn a_witness_names_its_history() {
    let folder = folder();
    let said = folder.squall("check good.jsonl bad.jsonl --witness small.jsonl").code(1);
    let told = said.stderr.lines().find(|line| line.starts_with("witness")).unwrap();
    assert!(told.contains("events of bad.jsonl, which squall check -c linearizable-register"), "{told}");
    folder.squall("check small.jsonl -c linearizable-register").code(1);
}

/// With `--json` there was nothing on standard output where a history could not be read.
#[test]
fn what_cannot_be_judged_has_a_document_too() {
    let folder = folder();
    let error = |said: &Said| {
        assert!(said.stderr.starts_with("error: "), "{said:#?}");
        let document = said.json();
        let document = document.as_array().map_or(document.clone(), |all| all.last().unwrap().clone());
        assert_eq!(document["word"], "ERROR");
        document["error"].as_str().unwrap().to_owned()
    };
    folder.write("letter.txt", "Dear Sir or Madam,\n");
    let one = folder.squall("check letter.txt --json").code(254);
    assert!(error(&one).starts_with("letter.txt:1:1: expected"));
    let two = folder.squall("check good.jsonl letter.txt --json").code(254);
    assert_eq!(two.json()[0]["word"], "VALID");
    error(&two);
    let gone = folder.squall("check bad.jsonl gone.jsonl --json").code(254);
    assert!(error(&gone).contains("there is no file gone.jsonl"));
    // In the table an error is cut; on standard error it is whole.
    let table = folder.squall("check good.jsonl letter.txt").code(254);
    assert!(table.stderr.contains("error: letter.txt:1:1: expected a history in one of"), "{table:#?}");
}

/// A file that broke off in its first line held "no operation".
#[test]
fn a_torn_first_line_is_said_with_its_place() {
    let folder = Folder::new();
    folder.write("torn.jsonl", "{\"process\":0,\"type\":\"inv");
    let said = folder.squall("check torn.jsonl").code(4);
    assert!(said.stderr.contains("torn.jsonl: the file ends in the middle of its first record"), "{said:#?}");
    assert!(said.stderr.contains("line 1, column 25"), "{said:#?}");
}

/// A folder was "no file", and that of a run was one only with a slash in its name.
#[test]
fn a_folder_is_that_of_a_run_or_its_files_are_to_be_named() {
    let folder = folder();
    std::fs::create_dir_all(folder.path().join("logs")).unwrap();
    for args in ["check logs", "check logs/", "check ."] {
        refused(&folder, args, &["is a folder, but not that of a run", "*"]);
    }
    let run = folder.path().join("20261121-083012-refkv-register-7f3a");
    std::fs::create_dir_all(&run).unwrap();
    let bad = std::fs::read(folder.path().join("bad.jsonl")).unwrap();
    std::fs::write(run.join("history.jsonl.zst"), &bad).unwrap();
    let name = "20261121-083012-refkv-register-7f3a";
    for args in [name.to_owned(), format!("{name}/"), format!("./{name}")] {
        folder.squall(&format!("check {args} -c linearizable-register")).code(1);
    }
    let witness = format!("check {name} -c stats --witness {name}/history.jsonl.zst");
    refused(&folder, &witness, &["overwritten"]);
}

/// `--initial foo` was the string `foo`, and so was `--initial [1,`; and a counter that was only read was judged as a register.
#[test]
fn an_initial_value_is_json_and_a_counters_is_a_number() {
    let folder = Folder::new();
    folder.write("reads.jsonl", READ);
    for value in ["foo", "[1,", "nil", "0x5"] {
        refused(&folder, &format!("check reads.jsonl --initial {value}"), &["as JSON: 0, null"]);
    }
    folder.squall("check reads.jsonl -c counter --initial 3").code(0);
    folder.squall("check reads.jsonl -m counter --initial 3").code(0);
    // A negative one was taken for an option.
    folder.squall("check reads.jsonl -m counter --initial -3").code(1);
    folder.squall("check reads.jsonl -m counter --initial 4 --witness small.jsonl").code(1);
    folder.squall("check small.jsonl -m counter --initial 4").code(1);
    folder.squall("check small.jsonl -m counter --initial 3").code(0);
    refused(&folder, "check reads.jsonl -c counter --initial \"foo\"", &["counter is an integer", "foo"]);
}

/// The second `-` was an empty history.
#[test]
fn standard_input_is_read_once() {
    let folder = folder();
    refused(&folder, "check - good.jsonl -", &["only once"]);
}

/// A redirected standard output was emptied by a witness that went to one of its other names, and the verdict was lost.
#[test]
fn standard_output_has_many_names() {
    let folder = folder();
    for name in ["/dev/fd/1", "/proc/self/fd/1", "out"] {
        for (json, code) in [("", 1), (" --json", 254)] {
            let out = std::fs::File::create(folder.path().join("out")).unwrap();
            let args = format!("check bad.jsonl --witness {name}{json}");
            let said = ended(folder.command(SQUALL).args(args.split(' ')).stdout(out)).code(code);
            let witness = if said.code == 1 { 2 } else { 0 };
            assert_eq!(read(&folder, "out").lines().count(), witness, "{name}{json}");
            if said.code == 1 {
                assert!(said.stderr.contains("INVALID  bad.jsonl"), "{said:#?}");
                folder.squall("check out").code(1);
            }
        }
    }
}

/// The anomalies of session guarantees stand in parts of their verdicts, and no witness was written.
#[test]
fn a_checker_of_several_writes_a_witness() {
    let folder = folder();
    let own = WRITTEN.replace('3', "4") + &READ.replace("\"process\":1", "\"process\":0");
    folder.write("stale.jsonl", format!("{WRITTEN}{own}"));
    folder.squall("check stale.jsonl -m read-your-writes --witness small.jsonl").code(1);
    folder.squall("check small.jsonl -m read-your-writes").code(1);
}

/// A history after a byte order mark, as some editors leave it, was in no known format, and nobody said what to do with gzip.
#[test]
fn a_byte_order_mark_is_passed_over_and_gzip_is_told() {
    let folder = folder();
    folder.write("marked.jsonl", format!("\u{feff}{WRITTEN}{READ}"));
    folder.squall("check marked.jsonl").code(0);
    folder.write("h.gz", [0x1f, 0x8b, 8, 0, 0]);
    refused(&folder, "check h.gz", &["gzip", "zcat FILE | squall check -"]);
}

/// While standard input was waited for, Ctrl-C ended nothing, and what was judged already was lost.
#[test]
fn a_signal_ends_the_wait_for_input_and_keeps_what_is_judged() {
    let folder = folder();
    let mut command = folder.command(SQUALL);
    let mut child = command.args(["check", "bad.jsonl", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take();
    // Until the other history is judged: nothing tells when.
    std::thread::sleep(Duration::from_secs(2));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let said = said(child).code(130);
    drop(input);
    assert!(said.stdout.contains("INVALID  bad.jsonl"), "{said:#?}");
    assert!(said.stderr.contains("standard input was not read to its end"), "{said:#?}");
}
