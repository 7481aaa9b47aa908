use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::cut::{At, Filter, Pair};

const CHAIN: &str = "squall-cut";

/// Drop rules in a chain of our own, for machines without a usable `nft`.
///
/// On a bridge it needs the module `br_netfilter`, which shows bridged packets to iptables, and the match `physdev`.
pub(super) struct Iptables {
    hook: &'static [&'static str],
}

/// The program for an IP version, and whether an address belongs to it.
pub(super) const VERSIONS: [(&str, bool); 2] = [("iptables", true), ("ip6tables", false)];

impl Iptables {
    pub(super) fn open(at: At) -> Result<Iptables> {
        let hook: &[&str] = match at {
            At::Node => &["INPUT", "-j", CHAIN],
            At::Switch => {
                for version in VERSIONS {
                    let switch = format!("/proc/sys/net/bridge/bridge-nf-call-{}", version.0);
                    std::fs::write(&switch, "1").with_context(|| {
                        format!("{switch} (bridged packets pass iptables only with the module br_netfilter)")
                    })?;
                }
                &["FORWARD", "-m", "physdev", "--physdev-is-bridged", "-j", CHAIN]
            }
        };
        let iptables = Iptables { hook };
        iptables.restore(&[])?;
        for (program, _) in VERSIONS {
            if run(program, &[&["-w", "5", "-C"], hook].concat(), "").is_err() {
                run(program, &[&["-w", "5", "-I"], hook].concat(), "")?;
            }
        }
        Ok(iptables)
    }

    /// Replaces the rules of the chain, in one transaction for each IP version.
    fn restore(&self, pairs: &[Pair]) -> Result<()> {
        for (program, v4) in VERSIONS {
            let mut table = format!("*filter\n:{CHAIN} - [0:0]\n");
            if !v4 {
                for kind in ["neighbour-solicitation", "neighbour-advertisement"] {
                    table += &format!("-A {CHAIN} -p icmpv6 --icmpv6-type {kind} -j RETURN\n");
                }
            }
            for (from, to) in pairs.iter().filter(|(from, _)| from.is_ipv4() == v4) {
                table += &format!("-A {CHAIN} -s {from} -d {to} -j DROP\n");
            }
            table += "COMMIT\n";
            run(&format!("{program}-restore"), &["-w", "5", "--noflush"], &table)?;
        }
        Ok(())
    }
}

impl Filter for Iptables {
    fn program(&self) -> &'static str {
        "iptables"
    }

    fn set(&mut self, pairs: &[Pair]) -> Result<()> {
        self.restore(pairs)
    }

    fn read(&mut self) -> Result<Vec<(Pair, u64)>> {
        let mut counts = Vec::new();
        for (program, _) in VERSIONS {
            // `-S -v` prints rules as they are written, with `-c packets bytes` at the end.
            let listing = run(program, &["-w", "5", "-v", "-S", CHAIN], "")?;
            counts.extend(listing.lines().filter_map(parse));
        }
        Ok(counts)
    }

    fn close(&mut self) -> Result<()> {
        for (program, _) in VERSIONS {
            let rules = run(program, &["-w", "5", "-S"], "")?;
            if rules.contains(&format!("-j {CHAIN}")) {
                run(program, &[&["-w", "5", "-D"], self.hook].concat(), "")?;
            }
            if rules.contains(&format!("-N {CHAIN}")) {
                run(program, &["-w", "5", "-F", CHAIN], "")?;
                run(program, &["-w", "5", "-X", CHAIN], "")?;
            }
        }
        Ok(())
    }
}

impl Drop for Iptables {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// `-A squall-cut -s 10.0.0.1/32 -d 10.0.0.2/32 -c 3 252 -j DROP`.
fn parse(rule: &str) -> Option<(Pair, u64)> {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let after = |flag: &str| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1));
    let address = |flag: &str| after(flag)?.split('/').next()?.parse().ok();
    Some(((address("-s")?, address("-d")?), after("-c")?.parse().ok()?))
}

pub(super) fn run(program: &str, args: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    child.stdin.take().expect("piped").write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let pair = (("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()), 3);
        assert_eq!(parse("-A squall-cut -s 10.0.0.1/32 -d 10.0.0.2/32 -c 3 252 -j DROP").unwrap(), pair);
        let v6 = parse("-A squall-cut -s fd00::1/128 -d fd00::2/128 -c 0 0 -j DROP").unwrap();
        assert_eq!(v6.1, 0);
        assert!(parse("-N squall-cut -c 0 0").is_none());
    }
}
