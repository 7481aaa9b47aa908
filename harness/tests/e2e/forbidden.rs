//! Where namespaces are forbidden: said at once, with what to do about it, and nothing half-made.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::squall::{Folder, SQUALL, Said, ended, said};

/// `squall` as an ordinary user where no user namespace may be made: in one of its own, whose limit is none. The limit
/// of a user namespace is its own, so the machine's stays as it is.
fn forbidden(folder: &Folder, args: &str) -> Said {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces || exit 99
                  exec setpriv --inh-caps=-all --ambient-caps=-all -- \"$@\"";
    let mut command;
    if nix::unistd::geteuid().is_root() {
        command = folder.command("setpriv");
        command.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--inh-caps=-all",
            "unshare",
        ]);
        std::os::unix::fs::chown(folder.path(), Some(65_534), Some(65_534)).unwrap();
    } else {
        command = folder.command("unshare");
    }
    command.args(["--user", "--map-current-user", "--keep-caps", "sh", "-c", script, "sh"]);
    ended(command.arg(folder.own_squall()).args(args.split(' ')))
}

#[test]
fn a_test_says_what_forbids_it_and_what_to_do() {
    let folder = Folder::new();
    let said = forbidden(&folder, "test --time-limit 1s").code(3);
    assert_eq!(said.stdout, "");
    assert!(said.stderr.contains("may not make namespaces here"), "{said:#?}");
    assert!(said.stderr.contains("sudo sysctl user.max_user_namespaces="), "{said:#?}");
    assert!(folder.runs().is_empty(), "a run was begun");
}

#[test]
fn doctor_finds_nothing_missing_here_and_names_the_remedy_where_something_is() {
    let folder = Folder::new();
    let fine = folder.squall("doctor").code(0);
    assert!(!fine.stdout.contains("MISSING"), "{fine:#?}");
    assert!(fine.stdout.contains("squall demo can run"));

    // What it keeps for a moment stayed for ever when it was killed.
    let kept = tempfile::tempdir().unwrap();
    for moment_ms in [100, 200, 400] {
        let child = folder.command(SQUALL).arg("doctor").env("TMPDIR", kept.path()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(moment_ms));
        kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
        let _ = said(child);
        assert!(kept.path().read_dir().unwrap().next().is_none(), "something is left");
    }

    let said = forbidden(&folder, "doctor").code(3);
    assert!(said.stdout.contains("MISSING user namespaces"), "{said:#?}");
    assert!(said.stdout.contains("remedy: run as root, or allow it: sudo sysctl user.max_user_namespaces="));
    let said = forbidden(&folder, "doctor --json").code(3);
    let probes = said.json();
    let missing = probes.as_array().unwrap().iter().filter(|probe| probe["ok"] == false);
    assert!(missing.clone().count() > 0);
    assert!(missing.clone().all(|probe| probe["detail"].is_string()));
}
