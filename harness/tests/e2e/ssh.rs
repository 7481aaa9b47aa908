//! `--env ssh`, with a real sshd on each machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use squall_checkers::{FaultEvent, Phase};

use super::squall::{random_moments, said, until};
use super::sshd::{Machines, USER, in_namespaces};

#[test]
fn every_fault_bites_on_machines_reached_by_ssh_and_nothing_is_left() {
    in_namespaces("ssh::every_fault_bites_on_machines_reached_by_ssh_and_nothing_is_left", || {
        let machines = Machines::start(3);
        // One after the other, so that none is in the way of another's receipt.
        for nemesis in ["none", "partition:halves", "kill:one", "pause:one", "clock:hour", "packets:delay"] {
            let said =
                machines.squall(&format!("test --time-limit 3s --interval 700ms -n {nemesis}")).code(0);
            let first = said.stdout.lines().next().unwrap_or_default();
            println!("{nemesis}: {first}");
            assert!(first.starts_with("VALID  register: "), "{said:#?}");
            machines.until_clean();
            let run = machines.folder.runs().pop().unwrap();
            let confirmed =
                |event: &FaultEvent| event.receipt.as_ref().is_some_and(|receipt| receipt.confirmed);
            let bit = run.faults().iter().filter(|event| confirmed(event)).count();
            assert!(nemesis == "none" || bit > 0, "{nemesis}: {:#?}", run.faults());
            for node in ["n1", "n2", "n3"] {
                assert!(
                    run.text(&format!("nodes/{node}/agent.log")).contains(&format!("agent of {node} up"))
                );
                assert!(!run.text(&format!("nodes/{node}/refkv.log")).is_empty(), "{node} logged nothing");
            }
            assert_eq!(run.config()["ssh"]["n2"].as_str(), Some("10.93.0.2"));
        }
    });
}

/// A run under everything at once, once at least these many faults are in force.
fn in_the_thick_of_it(machines: &Machines, least: usize) -> Child {
    in_the_thick_of_it_with(machines, least, "")
}

/// The same, with these arguments besides.
fn in_the_thick_of_it_with(machines: &Machines, least: usize, args: &str) -> Child {
    let nemeses = "partition:halves,pause:minority,clock:hour,packets:delay";
    let args = format!("test --time-limit 10m --interval 2s -w set --rate 50 -n {nemeses} {args}");
    let runs = machines.folder.runs().len();
    let (mut child, mut refused) = (machines.command(&args).spawn().unwrap(), 0);
    until("faults in force", || {
        if let Some(status) = child.try_wait().unwrap() {
            // Machines that were just swept may not be free yet.
            refused += 1;
            assert!(status.code() == Some(3) && refused < 5, "it ended: {status}");
            child = machines.command(&args).spawn().unwrap();
        }
        let run = machines.folder.runs().into_iter().skip(runs).last()?;
        let injected = |id: &u64| {
            let mut events = run.faults().into_iter().filter(|event| event.id == *id);
            events.any(|event| event.phase == Phase::Injected && event.receipt.is_some_and(|r| r.confirmed))
        };
        (run.open_faults().iter().filter(|id| injected(id)).count() >= least).then_some(())
    });
    assert!(!machines.leftovers().is_empty(), "something is there to be removed");
    child
}

pub(crate) fn end(child: Child) {
    let pid = Pid::from_raw(child.id() as i32);
    let _ = kill(pid, Signal::SIGKILL);
    let _ = said(child);
}

/// A process as `/proc` shows it.
pub(crate) struct Seen {
    pid: Pid,
    pub(crate) command: String,
    parent: String,
    leads_session: bool,
}

impl Seen {
    /// An agent, its guard, or what cleans up after both: they are one program, split in three.
    pub(crate) fn is_ours(&self) -> bool {
        is_agent(&self.command)
    }

    fn is_guard(&self) -> bool {
        self.is_ours() && !is_agent(&self.parent)
    }

    pub(crate) fn is_agent(&self) -> bool {
        self.is_ours() && !self.is_guard() && self.leads_session
    }
}

fn is_agent(command: &str) -> bool {
    command.starts_with("/var/tmp/squall-") && command.trim_end().ends_with(" agent")
}

/// The processes of which this is true.
pub(crate) fn processes(wanted: fn(&Seen) -> bool) -> Vec<Pid> {
    let command = |pid: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse() else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // State, parent, group, session.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let [_, parent, _, session, ..] = fields[..] else { continue };
        let seen = Seen {
            pid: Pid::from_raw(pid),
            command: command(&name),
            parent: command(parent),
            leads_session: session == name,
        };
        if wanted(&seen) {
            found.push(seen.pid);
        }
    }
    found
}

#[test]
fn everything_is_gone_whoever_is_killed() {
    in_namespaces("ssh::everything_is_gone_whoever_is_killed", || {
        let machines = Machines::start(3);
        type Wanted = fn(&Seen) -> bool;
        let victims: [(&str, Wanted, usize); 5] = [
            ("the local ssh", |seen| seen.command.starts_with("ssh -T"), 3),
            ("the agents", Seen::is_agent, 3),
            ("the guards", Seen::is_guard, 3),
            ("what cleans up", |seen| seen.is_ours() && !seen.is_agent() && !seen.is_guard(), 3),
            ("agents and guards", |seen| seen.is_agent() || seen.is_guard(), 6),
        ];
        let child = in_the_thick_of_it(&machines, 3);
        end(child);
        print!("the controller killed: ");
        machines.until_clean();
        for (who, wanted, count) in victims {
            let child = in_the_thick_of_it(&machines, 3);
            let victims = processes(wanted);
            assert_eq!(victims.len(), count, "{who}: {victims:?}");
            victims.iter().for_each(|&pid| kill(pid, Signal::SIGKILL).unwrap());
            print!("{who} killed: ");
            if who == "what cleans up" {
                // Agents and guards live on until their controller ends.
                end(child);
                machines.until_clean();
                continue;
            }
            machines.until_clean();
            end(child);
        }
    });
}

/// A run under faults that its seed chooses, killed at one moment after another, from when it is started or from when its
/// faults may begin: as many as are asked for, 16 without.
#[test]
fn nothing_is_left_whenever_the_controller_is_killed() {
    in_namespaces("ssh::nothing_is_left_whenever_the_controller_is_killed", || {
        let kills =
            std::env::var("SQUALL_KILLS").map_or(16, |n| n.parse().expect("SQUALL_KILLS is a number"));
        let machines = Machines::start(3);
        let faults = "-n swarm --interval 300ms --op-timeout 500ms";
        for (seed, moment) in random_moments(kills, Duration::from_secs(6)).enumerate() {
            let args = format!("test --time-limit 10m {faults} --seed {seed}");
            let runs = machines.folder.runs().len();
            let mut child = machines.command(&args).spawn().unwrap();
            if seed % 2 == 1 {
                // However long a start takes on a busy machine.
                until("a run under way", || {
                    let run = machines.folder.runs().into_iter().nth(runs)?;
                    run.holds("squall.log", "running").then_some(())
                });
            }
            std::thread::sleep(moment);
            assert!(child.try_wait().unwrap().is_none(), "seed {seed}: {:#?}", said(child));
            end(child);
            print!("seed {seed}, killed after {moment:?}: ");
            machines.until_clean();
        }
        // What is there to be removed, or nothing was shown.
        let faults: usize = machines.folder.runs().iter().map(|run| run.open_faults().len()).sum();
        println!("{faults} faults were in force");
        assert!(faults > kills as usize / 4, "{faults} faults");
    });
}

#[test]
fn a_cut_control_path_heals_by_the_lease() {
    in_namespaces("ssh::a_cut_control_path_heals_by_the_lease", || {
        let machines = Machines::start(3);
        let child = in_the_thick_of_it(&machines, 3);
        for i in 1..=3 {
            machines.on(
                i,
                "nft add table inet wall; nft add chain inet wall in { type filter hook input priority -10 \\; }; \
                 nft add rule inet wall in ip saddr 10.93.0.254 drop",
            );
        }
        print!("the control path cut: ");
        machines.until_clean();
        end(child);
    });
}

#[test]
fn a_node_that_cannot_be_used_is_exit_code_3_with_its_reason() {
    in_namespaces("ssh::a_node_that_cannot_be_used_is_exit_code_3_with_its_reason", || {
        let machines = Machines::with(2, "SetEnv PATH=/run/fake:/usr/bin:/bin:/usr/sbin:/sbin");
        let refused = |args: &str, words: &[&str]| {
            let said = machines.squall(&format!("test --time-limit 1s {args}")).code(3);
            println!("{}", said.stderr);
            for word in words {
                assert!(said.stderr.contains(word), "no word of {word:?}: {said:#?}");
            }
            assert_eq!(machines.leftovers(), [""; 0]);
        };
        refused(
            "--ssh-option PubkeyAuthentication=no",
            &["n1 (10.93.0.1)", "may not log in", "Permission denied"],
        );
        let key = machines.config().with_file_name("user");
        let allow = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        allow(0o644);
        refused("", &["a key that others may read", "are too open", "chmod 600"]);
        allow(0o600);
        refused("--ssh-option UserKnownHostsFile=/dev/null", &["host key is not known", "accept its key"]);
        refused("--ssh-option Prot=23", &["ssh's configuration is wrong", "prot", "--ssh-option"]);
        refused("--ssh-option Port=23", &["cannot be reached", "Connection refused", "2 of 2 nodes"]);
        refused(
            "--ssh-dir /run/noexec",
            &["starting the agent failed", "Permission denied", "mounted noexec"],
        );
        refused("--ssh-dir /run/small", &["copying squall failed", "No space left", "make room"]);
        refused("--ssh-dir /run/read", &["making a directory for squall failed", "Read-only file system"]);

        std::fs::write("/run/fake/uname", "#!/bin/sh\n[ $1 = -s ] && echo Linux || echo riscv64\n").unwrap();
        std::fs::set_permissions("/run/fake/uname", std::fs::Permissions::from_mode(0o755)).unwrap();
        refused("", &["n1 (10.93.0.1) is a riscv64 machine", "--agent FILE"]);
    });
}

#[test]
fn two_runs_do_not_share_a_node() {
    in_namespaces("ssh::two_runs_do_not_share_a_node", || {
        let machines = Machines::start(1);
        let child = in_the_thick_of_it_alone(&machines);
        let said = machines.squall("test --time-limit 1s").code(3);
        assert!(said.stderr.contains("n1 cannot start: another agent of squall is at work"), "{said:#?}");
        assert!(!machines.leftovers().is_empty(), "the first run goes on");
        end(child);
        machines.until_clean();
    });
}

/// A run with one node and no faults, once its target answers.
fn in_the_thick_of_it_alone(machines: &Machines) -> Child {
    let child = machines.command("test --time-limit 10m --rate 50").spawn().unwrap();
    machines.folder.run_with("squall.log", "running");
    child
}

#[test]
fn a_controller_on_a_node_keeps_its_nodes_through_a_cut() {
    in_namespaces("ssh::a_controller_on_a_node_keeps_its_nodes_through_a_cut", || {
        let machines = Machines::start(3);
        let args = "test --time-limit 10m --interval 8s --rate 50 --op-timeout 1s -n partition:halves";
        let child = machines.command_on(1, args).spawn().unwrap();
        // The first machine is always cut off from another one: longer than an agent would bear to hear nothing.
        let mut since: Option<(u64, Instant)> = None;
        until("a long cut", || {
            let run = machines.folder.runs().pop()?;
            let open = run.open_faults().first().copied()?;
            since = since.filter(|(id, _)| *id == open).or(Some((open, Instant::now())));
            since.filter(|(_, since)| since.elapsed() > Duration::from_millis(7500))
        });
        assert_eq!(
            processes(|seen| seen.is_agent() || seen.is_guard()).len(),
            6,
            "three agents with their guards"
        );
        end(child);
        machines.until_clean();
    });
}

#[test]
fn doctor_says_of_each_node_what_a_run_would_find_and_heal_removes_what_is_left() {
    in_namespaces(
        "ssh::doctor_says_of_each_node_what_a_run_would_find_and_heal_removes_what_is_left",
        || {
            let machines = Machines::with(2, "SetEnv PATH=/run/fake:/usr/bin:/bin:/usr/sbin:/sbin");
            let fine = machines.squall("doctor -t refkv").code(0);
            println!("{}", fine.stdout);
            for word in ["n1 (10.93.0.1)", "n2 (10.93.0.2)", "nemesis partition", "starts and answers"] {
                assert!(fine.stdout.contains(word), "no word of {word}: {fine:#?}");
            }
            assert!(!fine.stdout.contains("MISSING"), "{fine:#?}");
            let config = machines.config();
            let reached = format!("--env ssh --nodes {}", machines.nodes());
            let end = format!("\nsquall test -t refkv {reached} --ssh-config {} can run\n", config.display());
            assert!(fine.stdout.ends_with(&end), "{fine:#?}");
            machines.until_clean();
            // What it keeps for a moment stayed for ever when it was ended.
            let kept = tempfile::tempdir().unwrap();
            let child = machines.command("doctor").env("TMPDIR", kept.path()).spawn().unwrap();
            let is_empty = || kept.path().read_dir().unwrap().next().is_none();
            until("something kept", || (!is_empty()).then_some(()));
            kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
            said(child).code(143);
            assert!(is_empty(), "something is left");
            machines.until_clean();
            // Who asks for nothing is told what was tried, and by which way.
            let said = machines.squall("doctor --ssh-option Port=23").code(3);
            println!("{}", said.stdout);
            let log_in = format!("`ssh -F {} -o Port=23 10.93.0.2` must work", config.display());
            assert!(said.stdout.contains(&log_in), "{said:#?}");
            assert!(said.stdout.contains("n2 (10.93.0.2): it cannot be reached"), "{said:#?}");
            let way = format!("{reached} --ssh-option Port=23 --ssh-config {}", config.display());
            let end = format!("\nsquall test -n partition,kill,pause {way} cannot run yet\n");
            assert!(said.stdout.ends_with(&end), "{said:#?}");

            // Programs that do not work: what is asked for decides.
            for program in ["nft", "iptables", "iptables-restore", "ip6tables", "ip6tables-restore"] {
                let path = Path::new("/run/fake").join(program);
                std::fs::write(&path, "#!/bin/sh\necho it is broken >&2\nexit 1\n").unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            machines.squall("doctor -n kill,clock").code(0);
            let said = machines.squall("doctor -n partition --json").code(3);
            let checks = said.json();
            let missing: Vec<_> =
                checks.as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
            assert_eq!(missing.len(), 2, "{checks:#}");
            for (name, check) in ["n1", "n2"].into_iter().zip(&missing) {
                assert!(check["on"].as_str().unwrap().starts_with(name), "{check:#}");
            }
            assert!(missing.iter().all(|check| check["name"] == "nemesis partition"
                && check["needed"] == true
                && check["remedy"].as_str().unwrap().contains("nftables")));
            machines.squall("test --time-limit 1s -n partition").code(3);
            for program in std::fs::read_dir("/run/fake").unwrap().flatten() {
                std::fs::remove_file(program.path()).unwrap();
            }
            machines.until_clean();

            // As if a run had been killed with its guards and all.
            machines.on(1, "iptables -N squall-cut; iptables -I INPUT -j squall-cut");
            std::fs::create_dir_all("/var/tmp/squall-0/runs/old/n1/data").unwrap();
            let said = machines.squall("doctor -n kill").code(0);
            let heal = format!(
                "remedy: squall heal --env ssh --nodes 10.93.0.1 --ssh-config {}\n",
                machines.config().display()
            );
            assert!(said.stdout.contains(&heal), "{said:#?}");
            // The doctor's own agents swept when they ended.
            machines.on(1, "iptables -N squall-cut 2>/dev/null; iptables -I INPUT -j squall-cut");
            let said = machines.squall("heal").code(0);
            println!("{}", said.stdout);
            assert!(said.stdout.contains("removed rules: chain squall-cut of iptables"), "{said:#?}");
            assert_eq!(machines.leftovers(), [""; 0]);
            let said = machines.squall("heal").code(0);
            assert!(said.stdout.contains("n2 (10.93.0.2): nothing was left"), "{said:#?}");
        },
    );
}

#[test]
fn an_ordinary_user_can_do_less_and_leaves_as_little() {
    in_namespaces("ssh::an_ordinary_user_can_do_less_and_leaves_as_little", || {
        let machines = Machines::with(2, "SetEnv PATH=/run/fake:/usr/bin:/bin:/usr/sbin:/sbin");
        let login = format!("--ssh-option User={}", USER.0);
        for fault in ["kill", "pause", "clock"] {
            let args = format!("test {login} --time-limit 2s --interval 500ms -n {fault}");
            let said = machines.squall(&args).code(0);
            assert!(said.stderr.contains("n1 (10.93.0.1): the agent is not root there"), "{said:#?}");
            let faults = machines.folder.runs().pop().unwrap().faults();
            let confirmed =
                |event: &FaultEvent| event.receipt.as_ref().is_some_and(|receipt| receipt.confirmed);
            assert!(faults.iter().any(confirmed), "{faults:#?}");
            machines.until_clean();
        }

        let said = machines.squall(&format!("test {login} --time-limit 3s -n partition")).code(3);
        assert!(said.stderr.contains("the nemesis partition cannot act here: n1"), "{said:#?}");
        let sudo = |answer: &str| {
            std::fs::write("/run/fake/sudo", format!("#!/bin/sh\necho \"sudo: {answer}\" >&2\nexit 1\n"))
                .unwrap();
            std::fs::set_permissions("/run/fake/sudo", std::fs::Permissions::from_mode(0o755)).unwrap();
            machines.squall(&format!("test {login} --sudo --time-limit 1s")).code(3).stderr
        };
        assert!(sudo("a password is required").contains("let that user run sudo without a password"));
        assert!(sudo("ordinary is not in the sudoers file").contains("allow that user to use sudo"));
        machines.until_clean();

        // No pid namespace ends what an agent leaves: its guard does.
        let nemeses = "pause:all,clock:hour";
        for who in ["the controller", "the agents"] {
            let args = format!("test {login} --time-limit 10m --interval 1s --rate 50 -n {nemeses}");
            let runs = machines.folder.runs().len();
            let child = machines.command(&args).spawn().unwrap();
            until("faults in force", || {
                let run = machines.folder.runs().into_iter().nth(runs)?;
                (run.open_faults().len() == 2).then_some(())
            });
            if who == "the controller" {
                end(child);
                machines.until_clean();
                continue;
            }
            let agents = processes(Seen::is_agent);
            assert_eq!(agents.len(), 2, "{agents:?}");
            agents.iter().for_each(|&pid| kill(pid, Signal::SIGKILL).unwrap());
            print!("{who} killed: ");
            machines.until_clean();
            end(child);
        }
    });
}

/// With the real sudo, and a rule for it that is there inside the namespaces only.
#[test]
fn an_ordinary_user_with_sudo_can_do_all_and_leaves_as_little() {
    in_namespaces("ssh::an_ordinary_user_with_sudo_can_do_all_and_leaves_as_little", || {
        if !Path::new("/usr/bin/sudo").exists() {
            println!("skipped: there is no sudo here; ./setup.sh --all installs it");
            return;
        }
        let machines = Machines::start(3);
        machines.let_sudo(&format!("{} ALL=(root) NOPASSWD: ALL", USER.0));
        let login = format!("--ssh-option User={} --sudo", USER.0);
        let said = machines.squall(&format!("doctor {login} -n partition,packets,kill")).code(0);
        let way = format!("--sudo --ssh-option User={} --ssh-config", USER.0);
        assert!(said.stdout.lines().last().is_some_and(|end| end.contains(&way)), "{said:#?}");
        for fault in ["partition:halves", "packets:delay", "kill", "clock"] {
            let args = format!("test {login} --time-limit 3s --interval 700ms -n {fault}");
            let said = machines.squall(&args).code(0);
            assert!(!said.stderr.contains("not root"), "{said:#?}");
            let faults = machines.folder.runs().pop().unwrap().faults();
            let confirmed =
                |event: &FaultEvent| event.receipt.as_ref().is_some_and(|receipt| receipt.confirmed);
            assert!(faults.iter().any(confirmed), "{faults:#?}");
            machines.until_clean();
        }

        // Who is killed lives behind a sudo, which passes on signals of its own choice.
        for who in ["the controller", "the agents"] {
            let child = in_the_thick_of_it_with(&machines, 3, &login);
            let agents = processes(Seen::is_agent);
            assert_eq!(agents.len(), 3, "{agents:?}");
            for agent in &agents {
                let status = std::fs::read_to_string(format!("/proc/{agent}/status")).unwrap();
                assert!(status.contains("\nUid:\t0\t0\t0\t0\n"), "{status}");
            }
            match who {
                "the controller" => end(child),
                _ => {
                    agents.iter().for_each(|&pid| kill(pid, Signal::SIGKILL).unwrap());
                    print!("{who} killed: ");
                    machines.until_clean();
                    end(child);
                }
            }
            machines.until_clean();
            let sudo: fn(&Seen) -> bool = |seen| seen.command.starts_with("sudo ");
            until("no sudo", || processes(sudo).is_empty().then_some(()));
        }

        // What is left by a run that was killed with its guards and all is root's.
        machines.on(1, "iptables -N squall-cut; iptables -I INPUT -j squall-cut");
        let said = machines.squall(&format!("heal --ssh-option User={}", USER.0)).code(0);
        assert!(said.stdout.contains("n1 (10.93.0.1): nothing was left"), "only root sees it: {said:#?}");
        let said = machines.squall(&format!("heal {login}")).code(0);
        assert!(said.stdout.contains("removed rules: chain squall-cut of iptables"), "{said:#?}");
        assert_eq!(machines.leftovers(), [""; 0]);

        // A rule for another command, one that wants a password, and none: sudo says the same of all three.
        for rule in ["ALL=(root) NOPASSWD: /bin/true", "ALL=(root) ALL", ""] {
            machines.let_sudo(&if rule.is_empty() { String::new() } else { format!("{} {rule}", USER.0) });
            let said = machines.squall(&format!("test {login} --time-limit 1s")).code(3);
            println!("{rule:?}: {}", said.stderr);
            for word in ["starting the agent failed (sudo: ", "without a password", "NOPASSWD: ALL"] {
                assert!(said.stderr.contains(word), "no word of {word}: {said:#?}");
            }
        }
        assert_eq!(machines.leftovers(), [""; 0]);
    });
}
