//! `squall` in a virtual machine whose kernel has what the one at hand may lack.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};

use super::again;
use super::squall::{Folder, SQUALL, ended, said, until};
use super::ssh::{Seen, end, processes};
use super::sshd::Machines;

/// The output of a command in the guest, or nothing, said aloud, where there is no guest.
fn in_guest(folder: &Folder, show: &str, args: &str) -> Option<(Option<i32>, String)> {
    if std::env::var_os("SQUALL_GUEST").is_none() {
        println!("skipped: an emulated machine takes minutes; SQUALL_GUEST=1 asks for it");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/guest");
    let mut guest: Command = folder.command(script);
    guest.args(["-t", "300", "-s", show, SQUALL]).args(args.split_whitespace());
    // A machine that is emulated takes longer than what else is run here.
    let output = guest.output().expect("the script runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(77) {
        println!("skipped: {}", printed.trim());
        return None;
    }
    println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    Some((output.status.code(), printed))
}

#[test]
fn packet_faults_are_made_by_netem_where_the_kernel_has_it() {
    let args = "test --nodes 3 --time-limit 50s -n regions:a-b=10ms,packets:delay=20ms@all --interval 6s --rate 20 \
                --op-timeout 10s -q";
    let Some((code, printed)) = in_guest(&Folder::new(), "results/runs/*/faults.jsonl", args) else { return };
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("VALID  register: "));
    for kind in ["packets", "regions"] {
        let of_kind = |line: &&str| line.contains(&format!("\"fault\":\"{kind}\""));
        let mut events = printed.lines().filter(of_kind);
        assert!(
            events.any(|line| line.contains("\"healed\"") && line.contains("\"by\":\"netem\"")),
            "{kind}"
        );
    }
}

/// The time of day less the time since boot, which nobody can set, in seconds.
fn day_s() -> f64 {
    let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    day - uptime.split(' ').next().unwrap().parse::<f64>().unwrap()
}

/// The clock of a machine is set right whoever dies: by the guard, or, if nothing is alive there, by `squall heal`.
#[test]
fn the_clock_of_a_machine_is_right_again_after_everything_is_killed() {
    const TEST: &str = "guest::the_clock_of_a_machine_is_right_again_after_everything_is_killed";
    // What a machine has that can be logged into, and what squall uses there.
    let programs = [
        "sshd",
        "ssh",
        "ssh-keygen",
        "chmod",
        "cp",
        "cut",
        "date",
        "dirname",
        "env",
        "id",
        "ln",
        "mv",
        "rm",
        "rmdir",
        "sha256sum",
        "tail",
        "tar",
        "uname",
        "wc",
        SQUALL,
    ];
    again::in_guest(TEST, &programs, || {
        let machines = Machines::start(1);
        // The machines of the rig share a kernel with their controller, whose clock a fault would leave alone: it is given
        // the boot id of another.
        let other = "/run/boot_id";
        fs::write(other, "00000000-0000-4000-8000-000000000000\n").unwrap();
        let elsewhere = |args: &str| {
            let script = format!("mount --bind {other} /proc/sys/kernel/random/boot_id && exec \"$@\"");
            let mut command = machines.folder.command("unshare");
            command.args(["--mount", "sh", "-c", &script, "sh", SQUALL]);
            machines.name_nodes(&mut command, args);
            command
        };
        let right = day_s();
        let ahead = || day_s() - right;
        for who in ["the controller and the agent", "everything"] {
            let run =
                || elsewhere("test --time-limit 10m --interval 3s --rate 5 -n clock:hour+machine").spawn();
            let (mut child, mut refused) = (run().unwrap(), 0);
            until("an hour", || {
                if child.try_wait().unwrap().is_some() {
                    // An emulated machine may be too slow for ssh.
                    let ended = said(std::mem::replace(&mut child, run().unwrap()));
                    refused += 1;
                    assert!(ended.code == 3 && refused < 4, "it ended: {ended:#?}");
                }
                (ahead() > 3590.0).then_some(())
            });
            println!("before {who} died, the clock was {:.3} s ahead", ahead());
            let all = who == "everything";
            let victims = processes(if all { Seen::is_ours } else { Seen::is_agent });
            assert!(!victims.is_empty());
            // One that is stopped cannot clean up after the others.
            for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
                victims.iter().for_each(|&pid| kill(pid, signal).unwrap());
            }
            end(child);
            if all {
                sleep(Duration::from_secs(3));
                println!("3 s after, it was {:.3} s ahead", ahead());
                assert!(ahead() > 3590.0, "nobody was there to set it right: {}", ahead());
                let said = ended(&mut elsewhere("heal")).code(0);
                println!("{}", said.stdout);
                assert!(said.stdout.contains("removed error of the machine's clock"), "{said:#?}");
            } else {
                until("the right time", || (ahead().abs() < 1.0).then_some(()));
            }
            println!("after {who} died, and healing, it is {:.3} s ahead", ahead());
            assert!(ahead().abs() < 1.0, "{}", ahead());
            machines.until_clean();
            let said = ended(&mut elsewhere("heal")).code(0);
            assert!(said.stdout.contains("n1 (10.93.0.1): nothing was left"), "{said:#?}");
            assert!(ahead().abs() < 1.0, "healed is healed: {}", ahead());
        }
    });
}
