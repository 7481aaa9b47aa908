use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use squall_targets::agent::ControlPath;

use super::cut::{At, Filter, Pair};
use super::how::How;

const ANSWER: Duration = Duration::from_secs(5);
/// A command that touches nothing and always prints one line: it marks the end of what came before.
const MARK: (&str, &str) = ("describe mark", "datatype mark ");

/// A resident `nft -i` that owns one table with a set of (source, destination) pairs for each IP version.
///
/// The table has `flags owner`: only the process that made it can change it, and the kernel removes it when that process
/// ends (Linux 5.12). `nft` ends when its standard input closes, so nothing outlives the agent.
///
/// Neighbour discovery passes, as ARP does: else a one-way cut of IPv6 would soon be a cut of both ways. So does what the
/// controller says to this agent.
pub(super) struct Nft {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    table: &'static str,
    /// Adds the rules that drop what is in the sets.
    rules: String,
}

impl Nft {
    pub(super) fn open(at: At) -> Result<Nft> {
        let (table, hook) = match at {
            At::Switch => ("bridge squall", "forward"),
            At::Node => ("inet squall", "input"),
        };
        let (output, input) = std::io::pipe()?;
        let mut child = Command::new("nft")
            .arg("-i")
            // It would write a history of its commands into the user's home.
            .env("HOME", "/dev/null")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(input.try_clone()?)
            .stderr(input)
            .spawn()
            .context("cannot run it")?;
        let stdin = child.stdin.take().expect("piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut nft = Nft { child, stdin, lines, table, rules: String::new() };
        nft.ask(&format!(
            "add table {table} {{ flags owner; }}; \
             add set {table} cut4 {{ type ipv4_addr . ipv4_addr; counter; }}; \
             add set {table} cut6 {{ type ipv6_addr . ipv6_addr; counter; }}; \
             add chain {table} cuts {{ type filter hook {hook} priority 0; }}"
        ))?;
        Ok(nft)
    }

    /// Runs one line, a transaction, and returns what it printed.
    fn ask(&mut self, line: &str) -> Result<String> {
        // A write fails when nft has ended; the reason is in what it printed.
        let written = writeln!(self.stdin, "{line}\n{}", MARK.0);
        let mut printed = String::new();
        loop {
            match self.lines.recv_timeout(ANSWER) {
                Ok(line) if line.contains(MARK.1) => break,
                Ok(line) => printed.extend([line.as_str(), "\n"]),
                Err(RecvTimeoutError::Timeout) => bail!("no answer within {} s: {printed}", ANSWER.as_secs()),
                Err(RecvTimeoutError::Disconnected) => return Err(anyhow!("it ended. {}", printed.trim())),
            }
        }
        written?;
        match printed.lines().find(|line| line.contains("Error: ")) {
            Some(error) => bail!("{error} in: {line}"),
            None => Ok(printed),
        }
    }
}

impl Filter for Nft {
    fn program(&self) -> &'static str {
        "nft"
    }

    fn set(&mut self, pairs: &[Pair], how: &How) -> Result<()> {
        let table = self.table;
        self.rules = rules(table, how);
        let flush = format!("flush chain {table} cuts; flush set {table} cut4; flush set {table} cut6");
        let mut line = flush + &self.rules;
        for (set, v4) in [("cut4", true), ("cut6", false)] {
            let of_version = pairs.iter().filter(|(from, _)| from.is_ipv4() == v4);
            let elements: Vec<String> = of_version.map(|(from, to)| format!("{from} . {to}")).collect();
            if !elements.is_empty() {
                line += &format!("; add element {table} {set} {{ {} }}", elements.join(", "));
            }
        }
        self.ask(&line).map(drop)
    }

    fn read(&mut self) -> Result<Vec<(Pair, u64)>> {
        let table = self.table;
        let mut counts = parse(&self.ask(&format!("list set {table} cut4"))?)?;
        counts.extend(parse(&self.ask(&format!("list set {table} cut6"))?)?);
        Ok(counts)
    }

    fn engage(&mut self, on: bool) -> Result<()> {
        let rules = if on { self.rules.as_str() } else { "" };
        self.ask(&format!("flush chain {} cuts{rules}", self.table)).map(drop)
    }
}

impl Drop for Nft {
    fn drop(&mut self) {
        // The kernel removes the table before the process can be waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rules of a chain that drops what is in the sets, each after a semicolon.
fn rules(table: &str, how: &How) -> String {
    let ports: Vec<String> = how.ports.iter().map(u16::to_string).collect();
    // The sets count what they are asked for, so they are asked last.
    let matches = match ports.is_empty() {
        true => vec![String::new()],
        false => ["sport", "dport"]
            .map(|side| format!("meta l4proto {{ tcp, udp }} th {side} {{ {} }} ", ports.join(", ")))
            .to_vec(),
    };
    let control = ControlPath::own().map_or_else(String::new, |path| {
        let version = if path.from.is_ipv4() { "ip" } else { "ip6" };
        let ControlPath { from, from_port, to_port } = path;
        // And what other nodes answer to a controller on this one.
        format!(
            "; add rule {table} cuts {version} saddr {from} tcp sport {from_port} tcp dport {to_port} accept; \
             add rule {table} cuts tcp sport {to_port} accept"
        )
    });
    let mut rules = control;
    rules +=
        &format!("; add rule {table} cuts icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept");
    for pairs in ["ip saddr . ip daddr @cut4", "ip6 saddr . ip6 daddr @cut6"] {
        for matches in &matches {
            if how.reset {
                rules += &format!(
                    "; add rule {table} cuts {matches}meta l4proto tcp {pairs} reject with tcp reset"
                );
            }
            rules += &format!("; add rule {table} cuts {matches}{pairs} drop");
        }
    }
    rules
}

/// The elements in `… elements = { 10.0.0.2 . 10.0.0.1 counter packets 3 bytes 180, … } …`.
fn parse(listing: &str) -> Result<Vec<(Pair, u64)>> {
    let Some((_, rest)) = listing.split_once("elements = {") else {
        return Ok(Vec::new());
    };
    let elements = rest.split('}').next().unwrap_or_default();
    let parsed = elements.split(',').map(|element| {
        let words: Vec<&str> = element.split_whitespace().collect();
        match words[..] {
            [from, ".", to, "counter", "packets", packets, ..] => {
                Some(((from.parse().ok()?, to.parse().ok()?), packets.parse().ok()?))
            }
            _ => None,
        }
    });
    parsed.collect::<Option<_>>().with_context(|| format!("cannot read: {listing}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read() {
        let listing = "table bridge squall {\n\tset cut4 {\n\t\ttype ipv4_addr . ipv4_addr\n\t\tcounter\n\t\t\
            elements = { 10.0.0.2 . 10.0.0.1 counter packets 3 bytes 180,\n\t\t\t     \
            fd00::1 . fd00::2 counter packets 0 bytes 0 }\n\t}\n}\n";
        let pair = |from: &str, to: &str| (from.parse().unwrap(), to.parse().unwrap());
        assert_eq!(
            parse(listing).unwrap(),
            [(pair("10.0.0.2", "10.0.0.1"), 3), (pair("fd00::1", "fd00::2"), 0)]
        );
        assert_eq!(parse("table bridge squall {\n}\n").unwrap(), []);
        assert!(parse("elements = { 10.0.0.2 . 10.0.0.1 }").is_err());
    }
}
