//! Why a node cannot be used, and what to do, from what ssh, the node's shell or sudo said.

use std::env::consts::ARCH;

use super::SshAddress;
use crate::cluster::Unavailable;

/// ssh itself failed.
pub(super) fn of_ssh(node: &str, address: &SshAddress, said: &[String]) -> Unavailable {
    let line = said.last().map_or("ssh ended without a word", String::as_str);
    let has = |words: &[&str]| said.iter().any(|line| words.iter().any(|word| line.contains(word)));
    let dest = &address.destination;
    let (what, remedy) = if has(&["IDENTIFICATION HAS CHANGED"]) {
        (
            "its host key is not the one that is known",
            format!(
                "make sure that it is the right machine, then remove the old key: ssh-keygen -R {}",
                host(dest)
            ),
        )
    } else if has(&["Host key verification failed", "No ED25519 host key is known", "host key is known for"])
    {
        ("its host key is not known", format!("log in once by hand (ssh {dest}) and accept its key"))
    } else if has(&["Permission denied"]) {
        (
            "ssh may not log in there",
            format!("make `ssh -o BatchMode=yes {dest} true` work: a key without a password, or in an agent"),
        )
    } else if has(&["Could not resolve hostname"]) {
        (
            "its name is not known",
            format!("correct it, or add it to ~/.ssh/config or /etc/hosts: ssh {dest} must work"),
        )
    } else if has(&["Bad owner or permissions", "Bad configuration option", "terminating, "]) {
        ("ssh's configuration is wrong", "correct it".to_owned())
    } else {
        ("it cannot be reached", format!("see that it is up and that `ssh {dest}` works"))
    };
    Unavailable::new(format!("{node} ({address}): {what} (ssh: {line})"), remedy)
}

fn host(destination: &str) -> &str {
    destination.rsplit_once('@').map_or(destination, |(_, host)| host)
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
        "let that user run sudo without a password, or log in as root: --nodes root@…"
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
        let address: SshAddress = "root@db1:22".parse().unwrap();
        let ssh = |line: &str| of_ssh("n1", &address, &[line.to_owned()]).to_string();
        assert!(ssh("Host key verification failed.").contains("accept its key"));
        assert!(ssh("root@db1: Permission denied (publickey).").contains("BatchMode"));
        assert!(ssh("ssh: connect to host db1 port 22: Connection refused").contains("Connection refused"));
        let on = |line: &str| of_command("n1", &address, "copying", &[line.to_owned()]).remedy;
        assert!(on("cat: write error: No space left on device").contains("--ssh-dir"));
        assert!(on("sudo: a password is required").contains("without a password"));
        assert!(on("sh: 1: exec: /tmp/x: Permission denied").contains("noexec"));
        assert!(on("/x: /lib/libc.so.6: version `GLIBC_2.38' not found").contains("--agent"));
    }
}
