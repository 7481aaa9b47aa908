//! Why a node cannot be used, and what to do, from what ssh, the node's shell or sudo said.

use std::env::consts::ARCH;

use super::SshAddress;
use super::remote::{Remote, quoted};
use crate::cluster::Unavailable;

/// ssh itself failed.
pub(super) fn of_ssh(remote: &Remote, said: &[String]) -> Unavailable {
    let Remote { name: node, address, .. } = remote;
    let mut line = said.last().map_or("ssh ended without a word", String::as_str);
    let has = |words: &[&str]| said.iter().any(|line| words.iter().any(|word| line.contains(word)));
    let ssh = remote.by_hand();
    let (what, remedy) = if has(&["IDENTIFICATION HAS CHANGED"]) {
        (
            "its host key is not the one that is known",
            format!(
                "make sure that it is the right machine, then remove the old key: ssh-keygen -R {}",
                known_as(address)
            ),
        )
    } else if has(&["Host key verification failed", "No ED25519 host key is known", "host key is known for"])
    {
        ("its host key is not known", format!("log in once by hand ({ssh}) and accept its key"))
    } else if let Some(open) = said.iter().find(|line| line.contains("are too open")) {
        line = open;
        ("ssh does not use a key that others may read", "chmod 600 it".to_owned())
    } else if has(&["Permission denied"]) {
        (
            "ssh may not log in there",
            format!(
                "make `{ssh} -o BatchMode=yes true` work: with the right user (USER@HOST), and a key without a password \
                 or in an agent"
            ),
        )
    } else if has(&["Could not resolve hostname"]) {
        (
            "its name is not known",
            format!("correct it, or add it to ~/.ssh/config or /etc/hosts: `{ssh}` must work"),
        )
    } else if has(&["Bad owner or permissions", "Bad configuration option", "command-line", "terminating, "])
    {
        (
            "ssh's configuration is wrong",
            "correct it: in --ssh-option, in --ssh-config, or in ~/.ssh/config".to_owned(),
        )
    } else if has(&["Connection refused"]) {
        (
            "it cannot be reached",
            format!("see that sshd runs there, and at that port (HOST:PORT is another): `{ssh}` must work"),
        )
    } else {
        ("it cannot be reached", format!("see that it is up and that `{ssh}` works"))
    };
    Unavailable::new(format!("{node} ({address}): {what} (ssh: {line})"), remedy)
}

/// As what known_hosts has a machine.
fn known_as(address: &SshAddress) -> String {
    let host = address.host();
    match address.port {
        Some(port) if port != 22 => quoted(&format!("[{host}]:{port}")),
        _ => host.to_owned(),
    }
}

/// The node runs on something else than this binary. `system` is what `uname -s` and `uname -m` say.
pub(super) fn of_system(node: &str, address: &SshAddress, system: &str) -> Option<Unavailable> {
    let same = match system.split_once(' ') {
        Some(("Linux", machine)) => match machine {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            "i386" | "i486" | "i586" | "i686" => "x86",
            other => other,
        },
        _ => {
            let what = format!("{node} ({address}) runs {system}, and agents run on Linux only");
            return Some(Unavailable::new(what, "use a Linux machine"));
        }
    };
    (same != ARCH).then(|| {
        Unavailable::new(
            format!("{node} ({address}) is a {same} machine, and this squall is built for {ARCH}"),
            format!("give one that is built for {same} with --agent FILE, or use {ARCH} nodes"),
        )
    })
}

/// A command on the node failed: while the binary was copied, or at the agent's start.
pub(super) fn of_command(node: &str, address: &SshAddress, doing: &str, said: &[String]) -> Unavailable {
    let line = said.last().map_or("no word why", String::as_str);
    let has = |words: &[&str]| said.iter().any(|line| words.iter().any(|word| line.contains(word)));
    let remedy = if has(&["No space left", "Disk quota exceeded"]) {
        "make room there, or choose another place with --ssh-dir"
    } else if has(&["password is required", "a terminal is required"]) {
        "let that user run sudo without a password, for every command (in sudoers: USER ALL=(root) NOPASSWD: ALL), or log \
         in as root: --nodes root@…"
    } else if has(&["sudo: not found", "sudo: command not found"]) {
        "install sudo there, or log in as root: --nodes root@…"
    } else if has(&["may not run sudo", "not in the sudoers", "not allowed to execute"]) {
        "allow that user to use sudo, or log in as root: --nodes root@…"
    } else if has(&["GLIBC_", "cannot execute: required file not found", "libgcc_s"]) {
        "its C library does not fit: give a squall that is built on the node's system, or a static one, with --agent FILE"
    } else if has(&["Exec format error", "cannot execute binary file", "syntax error"]) {
        "give a squall that is built for that machine with --agent FILE"
    } else if has(&["Permission denied", "Read-only file system", "cannot execute"]) {
        "choose a place with --ssh-dir that may be written to and is not mounted noexec"
    } else {
        "see that machine"
    };
    Unavailable::new(format!("{node} ({address}): {doing} failed ({line})"), remedy)
}

#[cfg(test)]
mod tests {
    use super::super::SshOptions;
    use super::*;

    #[test]
    fn a_machine_of_another_kind_is_told_apart() {
        let address: SshAddress = "db1".parse().unwrap();
        let of = |system: &str| of_system("n1", &address, system).map(|missing| missing.what);
        assert_eq!(of(&format!("Linux {ARCH}")), None);
        assert!(of("Linux riscv64").unwrap().contains("n1 (db1) is a riscv64 machine"));
        assert!(of("FreeBSD amd64").unwrap().contains("runs FreeBSD amd64"));
    }

    #[test]
    fn the_remedy_fits_what_was_said() {
        let address: SshAddress = "root@db1:2222".parse().unwrap();
        let config = Some("my config".into());
        let options = SshOptions { config, ..SshOptions::new(vec![address.clone()]) };
        let remote = Remote { name: "n1".to_owned(), address: address.clone(), options: options.into() };
        let ssh = |line: &str| of_ssh(&remote, &[line.to_owned(), "the end".to_owned()]).to_string();
        assert!(ssh("Host key verification failed.").contains("accept its key"));
        assert!(ssh("root@db1: Permission denied (publickey).").contains("BatchMode"));
        assert!(ssh("ssh: connect to host db1 port 2222: Connection refused").contains("HOST:PORT"));
        assert!(ssh("Permissions 0644 for '/key' are too open.").contains("chmod 600"));
        // A remedy that leaves out how the node is reached leads elsewhere.
        assert!(ssh("Connection timed out").contains("`ssh -F 'my config' -p 2222 root@db1` works"));
        assert!(ssh("REMOTE HOST IDENTIFICATION HAS CHANGED!").contains("-R '[db1]:2222'"));
        let on = |line: &str| of_command("n1", &address, "copying", &[line.to_owned()]).remedy;
        assert!(on("cat: write error: No space left on device").contains("--ssh-dir"));
        assert!(on("sudo: a password is required").contains("without a password"));
        assert!(on("sh: 1: exec: /tmp/x: Permission denied").contains("noexec"));
        assert!(on("/x: /lib/libc.so.6: version `GLIBC_2.38' not found").contains("--agent"));
    }
}
