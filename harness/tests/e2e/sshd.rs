//! Machines to reach through ssh: network namespaces with a real sshd in each, on a bridge, inside scratch namespaces that
//! end with the test. They share this machine's files, and have their own network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::again;
use super::squall::{Folder, SQUALL, Said, ended, until};

/// An ordinary user of the machines, by name and number.
pub(crate) const USER: (&str, &str) = ("ordinary", "4711");
/// The daemon must be called by its whole path.
const SSHD: &str = "/usr/sbin/sshd";

/// Runs a test again, by its full name, in namespaces of its own, if this is root and there is an sshd.
pub(crate) fn in_namespaces(test: &str, body: impl FnOnce()) {
    if !nix::unistd::geteuid().is_root() || !Path::new(SSHD).exists() {
        println!("skipped: it needs root and openssh-server (./setup.sh --all installs it)");
        return;
    }
    again::in_namespaces(test, &[&[]], body);
}

/// The machines `1..=n`, with the addresses 10.93.0.N. The controller's own is 10.93.0.254.
pub(crate) struct Machines {
    pub(crate) folder: Folder,
    keys: tempfile::TempDir,
    daemons: Vec<Child>,
    n: usize,
}

impl Machines {
    pub(crate) fn start(n: usize) -> Machines {
        Machines::with(n, "")
    }

    /// With these lines in the configuration of each sshd.
    pub(crate) fn with(n: usize, lines: &str) -> Machines {
        let keys = tempfile::tempdir().unwrap();
        let mut machines = Machines { folder: Folder::new(), keys, daemons: Vec::new(), n };
        machines.build();
        (1..=n).for_each(|i| machines.serve(i, lines));
        machines
    }

    fn build(&self) {
        let mut script = "set -e
            mount -t tmpfs none /run; mkdir -p /run/sshd /run/netns; mount -t tmpfs -o mode=1777 none /var/tmp
            mkdir /run/fake /run/noexec /run/small /run/read; mount -t tmpfs -o noexec none /run/noexec
            mount -t tmpfs -o size=1m none /run/small; mount -t tmpfs -o ro none /run/read
            ip link set lo up; ip link add br0 type bridge; ip link set br0 up
            ip addr add 10.93.0.254/24 dev br0
            (cat /etc/passwd; echo 'ordinary:*:4711:4711::/tmp:/bin/sh') > passwd; chmod 755 . ; chmod 644 passwd
            mount --bind passwd /etc/passwd
            : > sudoers; chmod 440 sudoers; [ ! -e /etc/sudoers ] || mount --bind sudoers /etc/sudoers
            ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f user; : > known\n"
            .to_owned();
        for i in 1..=self.n {
            script += &format!(
                "ip netns add m{i}; ip link add v{i} type veth peer name eth0 netns m{i}
                 ip link set v{i} master br0 up; ip -n m{i} link set lo up; ip -n m{i} link set eth0 up
                 ip -n m{i} addr add 10.93.0.{i}/24 dev eth0; echo \"10.93.0.{i} $(cat host.pub)\" >> known\n"
            );
        }
        sh(self.keys.path(), &script);
        let keys = self.keys.path().display();
        let config = format!(
            "IdentityFile {keys}/user\nUserKnownHostsFile {keys}/known\nGlobalKnownHostsFile /dev/null\n\
             StrictHostKeyChecking yes\nUser root\n"
        );
        fs::write(self.config(), config).unwrap();
    }

    /// Lets sudo be used on all machines by this rule and no other. The file of rules is their own.
    pub(crate) fn let_sudo(&self, rule: &str) {
        fs::write(self.keys.path().join("sudoers"), format!("{rule}\n")).unwrap();
    }

    fn serve(&mut self, i: usize, lines: &str) {
        let keys = self.keys.path();
        let text = format!(
            "HostKey {0}/host\nAuthorizedKeysFile {0}/user.pub\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n\
             PidFile none\n{lines}\n",
            keys.display()
        );
        let config = keys.join(format!("sshd{i}"));
        fs::write(&config, text).unwrap();
        let daemon = Command::new("ip")
            .args(["netns", "exec", &format!("m{i}"), SSHD, "-D", "-e", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(fs::File::create(keys.join(format!("log{i}"))).unwrap())
            .spawn()
            .unwrap();
        self.daemons.push(daemon);
        let address = format!("10.93.0.{i}:22").parse().unwrap();
        until("an sshd", || std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok());
    }

    /// The configuration file for ssh.
    pub(crate) fn config(&self) -> PathBuf {
        self.keys.path().join("config")
    }

    /// Their addresses, as `--nodes` takes them.
    pub(crate) fn nodes(&self) -> String {
        (1..=self.n).map(|i| format!("10.93.0.{i}")).collect::<Vec<_>>().join(",")
    }

    /// `squall` with these arguments and these machines as its nodes.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = self.folder.command(SQUALL);
        self.name_nodes(&mut command, args);
        command
    }

    /// The same, run on one of the machines.
    pub(crate) fn command_on(&self, i: usize, args: &str) -> Command {
        let mut command = self.folder.command("ip");
        command.args(["netns", "exec", &format!("m{i}"), SQUALL]);
        self.name_nodes(&mut command, args);
        command
    }

    pub(crate) fn name_nodes(&self, command: &mut Command, args: &str) {
        command.args(args.split_whitespace()).args(["--env", "ssh", "--nodes", &self.nodes()]);
        command.arg("--ssh-config").arg(self.config());
    }

    /// The same, to its end.
    pub(crate) fn squall(&self, args: &str) -> Said {
        ended(&mut self.command(args))
    }

    /// Runs a shell script on a machine, not through ssh, and returns what it printed.
    pub(crate) fn on(&self, i: usize, script: &str) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", &format!("m{i}"), "sh", "-c", script])
            .output()
            .unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What is on the machines of a run that is over: rules, processes and files. Empty if nothing is.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for i in 1..=self.n {
            let rules = self.on(i, "nft list ruleset; iptables -S; ip6tables -S; tc qdisc show");
            let ours = rules.lines().filter(|line| line.contains("squall") || line.contains("netem"));
            left.extend(ours.map(|line| format!("on machine {i}: {}", line.trim())));
        }
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(command) = fs::read_to_string(entry.path().join("cmdline")) else { continue };
            let command = command.replace('\0', " ");
            let ours = ["/var/tmp/squall-", "squall refkv", "nft -i"];
            if ours.iter().any(|start| command.starts_with(start)) {
                left.push(format!("process {}: {command}", entry.file_name().to_string_lossy()));
            }
        }
        for user in ["0", USER.1] {
            let runs = fs::read_dir(format!("/var/tmp/squall-{user}/runs")).into_iter().flatten().flatten();
            left.extend(runs.map(|entry| format!("files: {}", entry.path().display())));
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        left.extend(mounts.lines().filter(|line| line.contains("/var/tmp/squall-")).map(str::to_owned));
        left
    }

    /// Waits until nothing is left.
    pub(crate) fn until_clean(&self) {
        let start = std::time::Instant::now();
        let mut left = Vec::new();
        while start.elapsed() < Duration::from_secs(30) {
            let now = self.leftovers();
            if now.len() < left.len() {
                println!(
                    "{} things are left after {:?}, such as {:?}",
                    now.len(),
                    start.elapsed(),
                    now.first()
                );
            }
            left = now;
            if left.is_empty() {
                println!("nothing is left after {:?}", start.elapsed());
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("this is left: {left:#?}");
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// Runs a shell script in a directory and returns what it printed.
fn sh(directory: &Path, script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
