use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use squall_targets::agent::ControlPath;

/// The program for an IP version, and whether an IPv4 address belongs to it.
pub(super) const VERSIONS: [(&str, bool); 2] = [("iptables", true), ("ip6tables", false)];

/// A chain of our own in the filter tables of IPv4 and IPv6, with a rule that leads to it. Both go when it is dropped.
///
/// Neighbour discovery passes, as ARP does: else a fault in one direction of IPv6 would soon be one in both. So does what
/// the controller says to this agent.
pub(super) struct Chain {
    name: &'static str,
    /// The built-in chain and the matches of the packets that come here.
    hook: &'static [&'static str],
}

impl Chain {
    /// An empty chain that no packet passes yet.
    pub(super) fn open(name: &'static str, hook: &'static [&'static str]) -> Result<Chain> {
        let chain = Chain { name, hook };
        // What was made goes again, even if not all of it can be.
        chain.set(|_| Vec::new())?;
        Ok(chain)
    }

    /// Removes what an agent that was killed left, and tells whether there was anything.
    pub(super) fn sweep(name: &'static str, hook: &'static [&'static str]) -> bool {
        let chain = Chain { name, hook };
        let was_there = chain.remove();
        std::mem::forget(chain);
        was_there
    }

    fn remove(&self) -> bool {
        let mut was_there = false;
        for (program, _) in VERSIONS {
            while self.call(program, "-D").is_ok() {}
            let act = |act: &str| run(program, &["-w", "5", act, self.name], "").is_ok();
            act("-F");
            was_there |= act("-X");
        }
        was_there
    }

    /// Replaces its rules, in one transaction for each IP version: what follows `-A chain` in each rule, given whether it
    /// is for IPv4.
    pub(super) fn set(&self, rules: impl Fn(bool) -> Vec<String>) -> Result<()> {
        let name = self.name;
        for (program, v4) in VERSIONS {
            let mut table = format!("*filter\n:{name} - [0:0]\n");
            if !v4 {
                for kind in ["neighbour-solicitation", "neighbour-advertisement"] {
                    table += &format!("-A {name} -p icmpv6 --icmpv6-type {kind} -j RETURN\n");
                }
            }
            if let Some(ControlPath { from, from_port, to_port }) = ControlPath::own() {
                if from.is_ipv4() == v4 {
                    table += &format!(
                        "-A {name} -s {from} -p tcp --sport {from_port} --dport {to_port} -j RETURN\n"
                    );
                }
                // What other nodes answer to a controller on this one.
                table += &format!("-A {name} -p tcp --sport {to_port} -j RETURN\n");
            }
            for rule in rules(v4) {
                table += &format!("-A {name} {rule}\n");
            }
            table += "COMMIT\n";
            run(&format!("{program}-restore"), &["-w", "5", "--noflush"], &table)?;
        }
        Ok(())
    }

    /// Lets packets pass it, or no longer.
    pub(super) fn engage(&self, on: bool) -> Result<()> {
        for (program, _) in VERSIONS {
            let is_on = self.call(program, "-C").is_ok();
            if is_on != on {
                self.call(program, if on { "-I" } else { "-D" })?;
            }
        }
        Ok(())
    }

    fn call(&self, program: &str, act: &str) -> Result<String> {
        run(program, &[&["-w", "5", act], self.hook, &["-j", self.name]].concat(), "")
    }

    /// The rules of both IP versions as they would be written, with `-c PACKETS BYTES`.
    pub(super) fn rules(&self) -> Result<Vec<String>> {
        let mut rules = Vec::new();
        for (program, _) in VERSIONS {
            let listing = run(program, &["-w", "5", "-v", "-S", self.name], "")?;
            rules.extend(listing.lines().map(str::to_owned));
        }
        Ok(rules)
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Runs a program to its end and returns what it printed.
pub(super) fn run(program: &str, args: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    // One that ends without reading says why on its standard error.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", args.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
