//! What a person reads who mistyped, and what a script sees: texts and exit codes.

use super::squall::{Folder, SQUALL, Said, ended};

const BAD: i32 = 254;

/// Asserts that the command is refused as a bad argument and that the error names all of this.
#[track_caller]
pub(crate) fn refused(folder: &Folder, args: &str, says: &[&str]) {
    let said = folder.squall(args).code(BAD);
    assert_eq!(said.stdout, "", "an error is no answer");
    assert!(said.stderr.lines().any(|line| line.starts_with("error: ")), "{said:#?}");
    for text in says {
        assert!(said.stderr.contains(text), "no {text:?}: {said:#?}");
    }
}

#[test]
fn a_typo_is_answered_with_what_was_probably_meant() {
    let folder = Folder::new();
    for (args, meant) in [
        ("test --wrkload set", "'--workload'"),
        ("tets", "'test'"),
        ("test -w registr", "`register`"),
        ("test -t refk", "`refkv`"),
        ("test -n partitoin", "`partition`"),
        ("test -n kill,puase", "`pause`"),
        ("test -n partition:halvs", "`halves`"),
        ("test --bug stale-raed", "`stale-read`"),
        ("demo --bug stale-raed", "`stale-read`"),
        ("test -o desing=raft", "`design`"),
        ("check latest -c linearizable-registr", "`linearizable-register`"),
        ("explain stale-raed", "`stale-read`"),
        ("explain linearisable", "`linearizable`"),
        ("list workload", "'workloads'"),
        ("completions bsh", "'bash'"),
        ("suite --only bug", "'bugs'"),
    ] {
        refused(&folder, args, &[meant]);
    }
    assert!(folder.runs().is_empty(), "something ran");
}

#[test]
fn a_value_that_cannot_be_is_refused_with_what_can() {
    let folder = Folder::new();
    for (args, says) in [
        ("test --nodes 0", ["--nodes", "1 to 9"]),
        ("test --nodes 10", ["--nodes", "1 to 9"]),
        ("test --nodes three", ["--nodes three", "--env ssh"]),
        ("test --time-limit 5", ["--time-limit", "30s"]),
        ("test --time-limit 0s", ["--time-limit", "longer than nothing"]),
        ("test --time-limit soon", ["--time-limit", "30s"]),
        ("test --interval=-1s", ["--interval", "30s"]),
        ("test --op-timeout 1parsec", ["--op-timeout", "500ms"]),
        ("test --seed xyz", ["--seed", "hexadecimal"]),
        ("test --seed 11112222333344445", ["--seed", "1 to 16"]),
        ("test --rate fast", ["--rate", "operations a second"]),
        ("test --rate=-5", ["--rate", "0 or more"]),
        ("test --concurrency 0", ["--concurrency 0", "1 to 1023"]),
        ("test --concurrency 0n", ["--concurrency 0n", "2n"]),
        ("test --concurrency 2000", ["--concurrency 2000", "1023"]),
        ("test --ops-per-key 0", ["--ops-per-key", "0"]),
        ("test -n none:one", ["none", "no parameter"]),
        ("test -n kill,kill", ["kill", "twice"]),
        ("test -o design", ["key=value", "design"]),
        ("test -o timeout-ms=soon", ["timeout-ms", "milliseconds"]),
        ("serve --listen nowhere", ["--listen", "nowhere"]),
        ("test surplus", ["surplus", "unexpected"]),
    ] {
        refused(&folder, args, &says);
    }
    assert!(folder.runs().is_empty(), "something ran");
}

#[test]
fn a_run_that_is_not_there_is_answered_with_those_that_are() {
    let folder = Folder::new();
    for command in ["check", "report"] {
        refused(&folder, &format!("{command} latest"), &["there are no runs in results/runs", "squall test"]);
    }
    let said = folder.squall("runs list").code(4);
    assert!(said.stderr.contains("no runs in results/runs"), "{said:#?}");
    assert_eq!(folder.squall("runs list --json").code(4).json(), serde_json::json!([]));
    assert_eq!(folder.squall("heal").code(0).stdout, "nothing to heal\n");
    // Who forgets --env ssh believed that the machines were healed.
    refused(&folder, "heal --nodes db1,db2", &["machines need --env ssh"]);
    // A typo was answered like a folder in which nothing is open.
    refused(&folder, "heal --results reslts/runs", &["--results reslts/runs", "no such directory"]);
    std::fs::create_dir(folder.path().join("runs")).unwrap();
    assert_eq!(folder.squall("heal --results runs").code(0).stdout, "nothing to heal\n");
    refused(&folder, "doctor -o port=1", &["name that with -t"]);
    refused(&folder, "doctor -n kill,,pause", &["a nemesis is missing", "partition,kill"]);

    let id = "20261121-083012-refkv-register-7f3a";
    std::fs::create_dir_all(folder.results().join(id)).unwrap();
    for command in ["check", "report"] {
        refused(&folder, &format!("{command} 9999"), &["no run matches \"9999\"", id]);
        refused(&folder, &format!("{command} no/such/file.edn"), &["no/such/file.edn"]);
    }
    assert!(folder.squall("check 083012").code(4).stderr.contains("has no history"));
    std::fs::write(folder.results().join(id).join("history.jsonl.zst"), []).unwrap();
    refused(&folder, "check 083012", &["names no workload", "-c"]);
    folder.squall("check 083012 -c stats").code(2);
    assert!(folder.squall("runs list").code(0).stdout.contains("incomplete"));
    assert_eq!(
        folder.squall("heal").code(0).stdout,
        "nothing to heal\n",
        "a run that died before its journal"
    );
}

/// Who forgets --env ssh got a run on this machine, without a word about what else was said.
#[test]
fn flags_for_ssh_are_refused_where_nodes_are_local() {
    let folder = Folder::new();
    for command in ["test", "doctor", "heal"] {
        for flag in
            ["--sudo", "--keep", "--ssh-option Port=23", "--ssh-config c", "--ssh-dir /srv", "--agent a"]
        {
            let name = flag.split(' ').next().unwrap();
            refused(
                &folder,
                &format!("{command} {flag}"),
                &[&format!("{name}: for --env ssh only"), "--nodes db1,db2"],
            );
        }
    }
    refused(&folder, "test --keep --nodes 3 --sudo", &["--sudo, --keep: for --env ssh only"]);
    refused(&folder, "heal --env ssh --sudo", &["--env ssh needs its nodes"]);
    assert!(folder.runs().is_empty(), "something ran");

    // What is set for all runs is for those that it suits.
    folder.write("squall.toml", "[test]\nsudo = true\n[heal]\nssh-option = \"Port=23\"\n");
    folder.squall("test --dry-run").code(0);
    let mut heal = folder.command(SQUALL);
    let healed = ended(heal.arg("heal").env("SQUALL_SUDO", "true").env("SQUALL_SSH_DIR", "/srv")).code(0);
    assert_eq!(healed.stdout, "nothing to heal\n");
}

/// Two operations on a register.
pub(crate) const WRITTEN: &str = r#"{"process":0,"type":"invoke","f":"write","value":3}
{"process":0,"type":"ok","f":"write","value":3}
"#;
pub(crate) const READ: &str = r#"{"process":1,"type":"invoke","f":"read"}
{"process":1,"type":"ok","f":"read","value":3}
"#;

#[test]
fn several_histories_are_judged_at_once_and_the_worst_decides() {
    let folder = Folder::new();
    folder.write("good.jsonl", format!("{WRITTEN}{READ}"));
    folder.write("bad.jsonl", format!("{WRITTEN}{}", READ.replace('3', "4")));
    let said = folder.squall("check good.jsonl good.jsonl").code(0);
    assert!(said.stdout.contains("2 histories: 2 valid"), "{said:#?}");
    let said = folder.squall("check good.jsonl bad.jsonl --witness small.jsonl").code(1);
    assert!(said.stdout.contains("INVALID  bad.jsonl"), "{said:#?}");
    assert!(said.stdout.ends_with("2 histories: 1 valid, 0 unknown, 1 invalid\n"), "{said:#?}");
    folder.squall("check small.jsonl").code(1);
    let said = folder.squall("check good.jsonl bad.jsonl --json").code(1);
    let words: Vec<_> = said.json().as_array().unwrap().iter().map(|one| one["word"].clone()).collect();
    assert_eq!(words, ["VALID", "INVALID"]);
    assert!(folder.squall("check good.jsonl letter.txt").code(254).stdout.contains("ERROR"));

    assert!(
        folder
            .squall("check bad.jsonl -m register --time-cap 5s")
            .code(1)
            .stdout
            .contains("jsonl, 2 operations")
    );
    folder.write("early.jsonl", READ);
    folder.squall("check early.jsonl").code(1);
    folder.squall("check early.jsonl --initial 3").code(0);
    refused(&folder, "check bad.jsonl -m regster", &["`register`"]);
    folder.squall("check bad.jsonl -m serializable").code(1);
    folder.write("lock.jsonl", READ.replace("read", "acquire"));
    refused(&folder, "check lock.jsonl -m serializable", &["serializable", "acquire"]);
    refused(&folder, "check bad.jsonl --format jsnl", &["`jsonl`"]);
    refused(&folder, "check bad.jsonl --memory-cap 5", &["512MiB"]);
    assert!(
        folder.squall("check bad.jsonl -c append").code(2).stdout.contains("judged none of the operations")
    );
}

#[test]
fn a_history_that_is_none_is_refused_with_the_place() {
    let folder = Folder::new();
    folder.write("typo.jsonl", format!("{WRITTEN}{}", READ.replace("\"ok\"", "\"okay\"")));
    refused(&folder, "check typo.jsonl", &["typo.jsonl:4:21: expected \"type\" to be", "got \"okay\""]);
    folder.write("letter.txt", "Dear Sir or Madam,\n");
    refused(&folder, "check letter.txt", &["letter.txt:1:1: expected a history in one of the formats"]);
    folder.write("unbalanced.edn", "{:process 0, :type :invoke, :f :read}\n{:process 0, :type ]}\n");
    refused(&folder, "check unbalanced.edn", &["unbalanced.edn:2:20: "]);
    folder.write("other.jsonl", WRITTEN.replace("write", "dance"));
    refused(&folder, "check other.jsonl", &["dance", "-c", "squall list checkers"]);
    folder.write("binary", [0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3]);
    refused(&folder, "check binary", &["binary"]);
}

#[test]
fn an_empty_history_is_no_pass() {
    let folder = Folder::new();
    folder.write("empty.jsonl", "");
    for args in ["check empty.jsonl", "check - ", "check empty.jsonl -c stats"] {
        let said = folder.squall(args).code(4);
        assert!(said.stderr.contains("no operation"), "{said:#?}");
    }
}

#[test]
fn a_torn_history_is_judged_as_far_as_it_goes_and_that_is_said() {
    let folder = Folder::new();
    folder.write("torn.jsonl", format!("{WRITTEN}{READ}{{\"process\":1,\"ty"));
    let said = folder.squall("check torn.jsonl").code(0);
    assert!(said.stdout.starts_with("VALID  torn.jsonl: 2 ops"), "{said:#?}");
    assert!(said.line("warning").contains("the 4 whole events before it were read"), "{said:#?}");
    let warnings = &folder.squall("check torn.jsonl --json").code(0).json()["warnings"];
    assert!(warnings[0].as_str().unwrap().contains("in the middle of a record"), "{warnings}");
}

#[test]
fn standard_input_is_read_in_every_format() {
    let folder = Folder::new();
    let edn = "{:index 0, :time 0, :type :invoke, :process 0, :f :write, :value 3}
{:index 1, :time 1, :type :ok, :process 0, :f :write, :value 3}
{:index 2, :time 2, :type :invoke, :process 1, :f :read, :value nil}
{:index 3, :time 3, :type :ok, :process 1, :f :read, :value 3}\n";
    for input in [format!("{WRITTEN}{READ}"), edn.to_owned()] {
        let valid = |args: &str| folder.squall_reading(args, &input).code(0);
        assert!(valid("check -").stdout.contains("linearizable-register"));
        let chosen = valid("check - -c stats,linearizable-register --json").json();
        let parts: Vec<_> =
            chosen["verdict"]["parts"].as_array().unwrap().iter().map(|p| &p["checker"]).collect();
        assert_eq!(parts, ["stats", "linearizable-register"]);
        let invalid = folder.squall_reading("check -", &input.replace("3}", "4}").replacen("4}", "3}", 2));
        assert!(invalid.code(1).stdout.starts_with("INVALID  standard input: "));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = Folder::new();
    for args in
        ["list checkers", "list checkers --json", "explain linearizable", "completions bash", "test --help"]
    {
        let mut command = folder.command("sh");
        // `exec` closes what the shell holds of the pipe, so squall writes to nobody.
        let script = "{ sleep 0.1; \"$0\" \"$@\"; echo \"code $?\" >&2; } | :";
        let said = ended(command.args(["-c", script, super::squall::SQUALL]).args(args.split(' ')));
        assert_eq!(said.stderr.lines().next(), Some("code 0"), "{args}: {said:#?}");
    }
}

#[test]
fn whatever_is_listed_is_explained() {
    let folder = Folder::new();
    for kind in ["targets", "workloads", "nemeses", "checkers", "models", "bugs"] {
        let text = folder.squall(&format!("list {kind}")).code(0).stdout;
        let rows = folder.squall(&format!("list {kind} --json")).code(0).json();
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), text.lines().count());
        for row in rows {
            let (name, about) = (row["name"].as_str().unwrap(), row["about"].as_str().unwrap());
            assert!(!about.is_empty(), "{name}");
            let explained = folder.squall(&format!("explain {name}")).code(0).stdout;
            assert!(explained.starts_with(&format!("{name} (")), "{explained}");
        }
    }
}

#[test]
fn help_shows_examples_and_the_exit_codes() {
    let folder = Folder::new();
    let help = folder.squall("--help").code(0).stdout;
    assert!(help.contains("Exit codes:") && help.contains("254 bad arguments"), "{help}");
    let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names: Vec<&str> = listed
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() >= 11 && names.contains(&"test"), "{names:?}");
    for name in names {
        let said = folder.squall(&format!("{name} --help")).code(0);
        assert!(said.stdout.contains("Example"), "squall {name} --help shows no example");
        assert!(said.stdout.contains(&format!("  squall {name}")), "{}", said.stdout);
    }
    assert_eq!(folder.squall("-V").code(0).stdout, format!("squall {}\n", env!("CARGO_PKG_VERSION")));
    let bare = folder.squall("").code(BAD);
    assert!(bare.stderr.contains("Usage: squall"), "{bare:#?}");
}

#[test]
fn every_shell_has_completions() {
    let folder = Folder::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let said = folder.squall(&format!("completions {shell}")).code(0);
        assert!(said.stdout.contains("time-limit"), "{shell}");
    }
}

/// The number of nodes of a run, found out by one that is refused for its concurrency.
fn nodes(folder: &Folder, env: &[(&str, &str)], args: &str) -> Said {
    let mut command = folder.command(super::squall::SQUALL);
    command.args(["test", "--concurrency", "500n"]).args(args.split_whitespace()).envs(env.iter().copied());
    ended(&mut command)
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let folder = Folder::new();
    // 500n is too much for three nodes and not for two: the refusal tells which number was heard.
    let three = |env: &[(&str, &str)], args: &str| {
        let said = nodes(&folder, env, args).code(BAD);
        assert!(said.stderr.contains("--concurrency 500n"), "{said:#?}");
    };
    let too_many = |env: &[(&str, &str)], said_of: &str| {
        let said = nodes(&folder, env, "").code(BAD);
        assert!(said.stderr.contains(said_of), "{said:#?}");
    };
    three(&[("SQUALL_NODES", "3")], "");
    too_many(&[("SQUALL_NODES", "12")], "--nodes 12: there are 1 to 9 local nodes");
    three(&[("SQUALL_NODES", "12")], "--nodes 3");
    folder.write("squall.toml", "[test]\nnodes = 12\n");
    too_many(&[], "--nodes 12: there are 1 to 9 local nodes");
    three(&[("SQUALL_NODES", "3")], "");
    three(&[], "--nodes 3");
}

#[test]
fn mistakes_in_the_file_are_told_with_the_file() {
    let folder = Folder::new();
    for (text, says) in [
        ("[tset]\nnodes = 3", ["squall.toml", "[tset]"]),
        ("[test]\nnode = 3", ["squall.toml", "--node;"]),
        ("[test]\nnodes = 12", ["--nodes", "12"]),
        ("test = 3", ["squall.toml", "[test]"]),
        ("[test", ["squall.toml", "line 1"]),
        ("[test]\nworkload = \"registr\"", ["registr", "`register`"]),
    ] {
        folder.write("squall.toml", text);
        refused(&folder, "test", &says);
    }
}

#[test]
fn the_page_of_faults_says_what_the_registry_says() {
    let page = include_str!("../../docs/FAULTS.md");
    for entry in squall_nemeses::registry::ALL.iter().filter(|entry| entry.name != "none") {
        assert!(
            page.contains(&entry.row()),
            "cargo bench -p squall --bench faults makes the page anew: {}",
            entry.row()
        );
    }
}
