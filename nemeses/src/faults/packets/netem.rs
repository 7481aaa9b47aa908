use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};

use super::super::chain::run;
use super::Flow;
use super::counts::{BySender, Counts};
use super::mechanism::Mechanism;
use super::profile::{Gilbert, Profile, Spread};

/// Packets that wait at most: more than any profile lets pile up on such machines.
const LIMIT: u32 = 100_000;
/// Bytes of the link's header, which netem counts with a packet and we do not.
const LINK_HEADER: i32 = 14;
/// Where our filters stand among others at a device's ingress: one for each sender, and two before them.
const PREF: usize = 9_300;

/// In the kernel: what comes from a sender is redirected, at the ingress of the device by which it comes, to an intermediate
/// device (`ifb`) of its own, whose queue is `tc netem`. As on the other way, packets are held on the receiving node, where
/// a loss looks like one.
///
/// Filters and devices go when it is dropped, and by a [sweep](Netem::sweep) when the agent was killed. What netem holds
/// then is lost.
pub(super) struct Netem {
    lines: BTreeMap<IpAddr, Line>,
    flows: Vec<Flow>,
    /// Devices with an ingress queue, and whether that is ours.
    ready: BTreeMap<String, bool>,
    made: usize,
    /// Damaged packets that the node had counted before.
    damaged: u64,
}

/// What a sender's packets go through.
struct Line {
    /// The device by which they come in.
    by: String,
    /// Of the intermediate device.
    number: usize,
    /// What was counted under earlier profiles.
    before: Counts,
    /// What the filter had seen then.
    seen_before: u64,
}

fn ifb(number: usize) -> String {
    format!("sqifb{number}")
}

impl Netem {
    /// Whether the kernel has netem and what leads packets to it, found out by making one of each.
    pub(super) fn probe() -> Result<()> {
        let line = ifb(0);
        make(&line)?;
        let tried = tc(&[
            format!("qdisc replace dev {line} root netem delay 1ms"),
            format!("qdisc add dev {line} ingress"),
            format!(
                "filter add dev {line} parent ffff: protocol ip u32 match u32 0 0 \
                 action mirred egress redirect dev {line}"
            ),
        ]);
        ip(&format!("link del {line}"))?;
        tried
    }

    /// Nothing, so far.
    pub(super) fn new() -> Result<Netem> {
        Ok(Netem {
            lines: BTreeMap::new(),
            flows: Vec::new(),
            ready: BTreeMap::new(),
            made: 0,
            damaged: damaged(),
        })
    }

    /// Leads what comes from this sender to a device of its own.
    fn add(&mut self, flow: &Flow) -> Result<()> {
        let Flow { from, profile } = flow;
        let by = device_to(*from)?;
        self.prepare(&by)?;
        self.made += 1;
        let (line, pref) = (ifb(self.made), PREF + self.made);
        let (before, seen_before) = Default::default();
        self.lines.insert(*from, Line { by: by.clone(), number: self.made, before, seen_before });
        make(&line)?;
        let (protocol, matches) = match from {
            IpAddr::V4(from) => ("ip", format!("ip src {from}/32")),
            IpAddr::V6(from) => ("ipv6", format!("ip6 src {from}/128")),
        };
        tc(&[
            format!("qdisc replace dev {line} root {}", arguments(profile)),
            format!(
                "filter add dev {by} parent ffff: protocol {protocol} pref {pref} u32 match {matches} \
                 action mirred egress redirect dev {line}"
            ),
        ])
    }

    fn remove(&mut self, from: &IpAddr) -> Result<()> {
        let Some(Line { by, number, .. }) = self.lines.remove(from) else { return Ok(()) };
        let gone = tc(&[format!("filter del dev {by} parent ffff: pref {}", PREF + number)]);
        ip(&format!("link del {}", ifb(number)))?;
        gone
    }

    /// Makes an ingress queue where neighbour discovery passes, as ARP does.
    fn prepare(&mut self, device: &str) -> Result<()> {
        if self.ready.contains_key(device) {
            return Ok(());
        }
        let prefs = [PREF - 2, PREF - 1];
        let made = match tc(&[format!("qdisc add dev {device} ingress")]) {
            Ok(()) => true,
            // Somebody else's, or a clsact, which has one too.
            Err(error) if format!("{error:#}").contains("xclusivity flag on") => false,
            Err(error) => return Err(error),
        };
        self.ready.insert(device.to_owned(), made);
        // Neighbour solicitation and advertisement are matched, with no action: they go on.
        tc(&prefs
            .into_iter()
            .zip([135, 136])
            .map(|(pref, kind)| {
                format!(
                    "filter add dev {device} parent ffff: protocol ipv6 pref {pref} u32 \
                 match ip6 protocol 58 0xff match u8 {kind} 0xff at 40 flowid 1:1"
                )
            })
            .collect::<Vec<_>>())?;
        Ok(())
    }

    /// A new queue, since an old one keeps settings that are not in a new profile. What it holds is lost. Returns what was
    /// counted under the old profile.
    fn change(&mut self, old: &Flow, profile: &Profile) -> Result<Counts> {
        let line = ifb(self.line(old)?.number);
        let (counts, seen) = self.counts(
            old,
            &[
                format!("qdisc del dev {line} root"),
                format!("qdisc add dev {line} root {}", arguments(profile)),
            ],
        )?;
        let line = self.lines.get_mut(&old.from).context("a flow that was never set")?;
        (line.before, line.seen_before) = (counts.clone(), seen);
        Ok(counts)
    }

    fn line(&self, flow: &Flow) -> Result<&Line> {
        self.lines.get(&flow.from).context("a flow that was never set")
    }

    /// The kernel counts damaged packets by node, where a checksum gives them away, and not by sender.
    fn count_damaged(&self, counts: &mut BySender) {
        if let Some(flow) = self.flows.iter().find(|flow| flow.profile.corrupt > 0.0) {
            counts.entry(flow.from).or_default().corrupted = damaged().saturating_sub(self.damaged);
        }
    }

    /// What was done to a flow, and what its filter has seen in all. These commands come next.
    ///
    /// All by one process: what comes between two is counted by the filter and not by the queue.
    fn counts(&self, flow: &Flow, next: &[String]) -> Result<(Counts, u64)> {
        let Line { by, number, before, seen_before } = self.line(flow)?;
        let line = ifb(*number);
        let shown = [format!("qdisc show dev {line}"), format!("filter show dev {by} parent ffff:")];
        let listing = tc_prints(&[&shown, next].concat())?;
        let Queue { packets, drops, qlen } =
            Queue::of(&listing).with_context(|| format!("netem has gone from {line}: {listing}"))?;
        let seen = redirected(&listing, &line).with_context(|| format!("no filter leads to {line}"))?;
        let passed = packets + qlen;
        let Profile { delay_ms, rate_kbit, duplicate, .. } = flow.profile;
        let since = seen.saturating_sub(*seen_before);
        // Copies are delayed as well, and are no packets that came.
        let doubled = if duplicate > 0.0 { (passed + drops).saturating_sub(since) } else { 0 };
        let mut counts = before.clone();
        counts += Counts {
            seen: since,
            lost: drops,
            delayed: if delay_ms > 0.0 || rate_kbit > 0.0 { passed.saturating_sub(doubled) } else { 0 },
            doubled,
            ..Counts::default()
        };
        Ok((counts, seen))
    }
}

impl Netem {
    /// Removes what an agent that was killed left, and tells whether there was anything.
    pub(super) fn sweep() -> bool {
        let listing = run("ip", &["-o", "link", "show"], "").unwrap_or_default();
        // `5: sqifb1: <…`, `2: eth0@if3: <…`
        let name = |line: &str| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned());
        let devices: Vec<String> = listing.lines().filter_map(name).collect();
        let (ours, others): (Vec<&String>, Vec<&String>) =
            devices.iter().partition(|device| device.starts_with("sqifb"));
        if ours.is_empty() {
            return false;
        }
        for device in others {
            let filters =
                run("tc", &["filter", "show", "dev", device, "parent", "ffff:"], "").unwrap_or_default();
            for pref in prefs(&filters) {
                let _ = tc(&[format!("filter del dev {device} parent ffff: pref {pref}")]);
            }
        }
        ours.into_iter().for_each(|device| drop(ip(&format!("link del {device}"))));
        true
    }
}

/// Those of ours among the filters that `tc filter show` prints.
fn prefs(listing: &str) -> BTreeSet<usize> {
    let words: Vec<&str> = listing.split_whitespace().collect();
    let named = words.windows(2).filter(|pair| pair[0] == "pref").filter_map(|pair| pair[1].parse().ok());
    named.filter(|pref| (PREF - 2..PREF + 1000).contains(pref)).collect()
}

impl Drop for Netem {
    fn drop(&mut self) {
        let senders: Vec<IpAddr> = self.lines.keys().copied().collect();
        for from in senders {
            // What was made in part goes in part.
            let _ = self.remove(&from);
        }
        for (device, made) in &self.ready {
            let commands = match made {
                true => vec![format!("qdisc del dev {device} ingress")],
                false => [PREF - 2, PREF - 1]
                    .map(|pref| format!("filter del dev {device} parent ffff: pref {pref}"))
                    .to_vec(),
            };
            let _ = tc(&commands);
        }
    }
}

impl Mechanism for Netem {
    fn name(&self) -> &'static str {
        "netem"
    }

    fn set(&mut self, flows: &[Flow], _seed: u64) -> Result<BySender> {
        let mut before = self.read()?;
        let gone: Vec<IpAddr> =
            self.lines.keys().filter(|from| flows.iter().all(|flow| flow.from != **from)).copied().collect();
        gone.iter().try_for_each(|from| self.remove(from))?;
        for flow in flows {
            match self.flows.iter().find(|old| old.from == flow.from).copied() {
                None => self.add(flow)?,
                Some(old) if old == *flow => {}
                Some(old) => {
                    before.insert(flow.from, self.change(&old, &flow.profile)?);
                }
            }
        }
        // One sender stands for the damage: another one perhaps from now on, whose count begins with what there is.
        self.count_damaged(&mut before);
        self.flows = flows.to_vec();
        self.count_damaged(&mut before);
        Ok(before)
    }

    fn read(&mut self) -> Result<BySender> {
        let mut counts = BTreeMap::new();
        for flow in &self.flows {
            counts.insert(flow.from, self.counts(flow, &[])?.0);
        }
        self.count_damaged(&mut counts);
        Ok(counts)
    }

    fn close(mut self: Box<Self>) -> Result<BySender> {
        self.read()
    }
}

/// What netem has counted.
#[derive(Debug, PartialEq)]
struct Queue {
    /// Those that have left it.
    packets: u64,
    drops: u64,
    /// Those that wait.
    qlen: u64,
}

impl Queue {
    /// In what `tc -s qdisc show` prints.
    fn of(listing: &str) -> Option<Queue> {
        let (_, rest) = listing.split_once("qdisc netem ")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let after = |name: &str, nth: usize| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + nth)?.trim_end_matches([',', 'p']).parse().ok()
        };
        Some(Queue { packets: after("Sent", 3)?, drops: after("(dropped", 1)?, qlen: after("backlog", 2)? })
    }
}

/// Runs commands of `tc`, up to the first that fails.
fn tc(commands: &[String]) -> Result<()> {
    tc_prints(commands).map(drop)
}

/// Returns what they print.
fn tc_prints(commands: &[String]) -> Result<String> {
    run("tc", &["-s", "-batch", "-"], &(commands.join("\n") + "\n"))
}

/// Runs commands of `ip`, a line each, up to the first that fails.
fn ip(commands: &str) -> Result<()> {
    run("ip", &["-batch", "-"], &format!("{commands}\n")).map(drop)
}

/// Makes an intermediate device, up.
fn make(device: &str) -> Result<()> {
    ip(&format!("link add {device} type ifb"))?;
    // Without an address it says nothing of its own, which its queue would count. A kernel without IPv6 knows no such mode.
    let _ = ip(&format!("link set {device} addrgenmode none"));
    ip(&format!("link set {device} up"))
}

/// The device by which packets of this address come, as far as the routes tell.
fn device_to(address: IpAddr) -> Result<String> {
    let route = run("ip", &["-o", "route", "get", &address.to_string()], "")?;
    let mut words = route.split_whitespace().skip_while(|word| *word != "dev");
    let device = words.nth(1).with_context(|| format!("no device in: {route}"))?;
    ensure!(device != "lo", "{address} is an address of this node");
    Ok(device.to_owned())
}

/// The packets that the filter which leads to a device has seen, in what `tc -s filter show` prints.
fn redirected(listing: &str, device: &str) -> Option<u64> {
    let (_, rest) = listing.split_once(&format!("to device {device})"))?;
    let sent = rest.lines().map(str::trim).find(|line| line.starts_with("Sent "))?;
    sent.split_whitespace().nth(3)?.parse().ok()
}

/// A profile as arguments of `tc`.
fn arguments(profile: &Profile) -> String {
    let Profile { delay_ms, jitter_ms, spread, .. } = *profile;
    let mut words = vec![format!("netem limit {LIMIT}")];
    if delay_ms > 0.0 {
        words.push(format!("delay {}us", (delay_ms * 1e3).round()));
        if jitter_ms > 0.0 {
            words.push(format!("{}us", (jitter_ms * 1e3).round()));
            let table = match spread {
                Spread::Uniform => "",
                Spread::Normal => "distribution normal",
                Spread::Pareto => "distribution pareto",
                Spread::ParetoNormal => "distribution paretonormal",
            };
            words.push(table.to_owned());
        }
    }
    let share = |name: &str, share: f64| (share > 0.0).then(|| format!("{name} {}", percent(share)));
    // Its own correlation changes the share of losses; two states that share a packet's fate with the next do not.
    let c = profile.loss_correlation;
    let bursts = (c > 0.0).then_some(Gilbert {
        enter: (1.0 - c) * profile.loss,
        leave: (1.0 - c) * (1.0 - profile.loss),
        bad: 1.0,
        good: 0.0,
    });
    match profile.gilbert.or(bursts) {
        Some(Gilbert { enter, leave, bad, good }) => {
            let [enter, leave, bad, good] = [enter, leave, bad, good].map(percent);
            words.push(format!("loss gemodel {enter} {leave} {bad} {good}"));
        }
        None => words.extend(share("loss random", profile.loss)),
    }
    words.extend(share("duplicate", profile.duplicate));
    words.extend(share("corrupt", profile.corrupt));
    words.extend(share("reorder", profile.reorder));
    if profile.rate_kbit > 0.0 {
        words.push(format!("rate {}bit {}", (profile.rate_kbit * 1e3).round(), -LINK_HEADER));
    }
    words.join(" ")
}

fn percent(share: f64) -> String {
    format!("{:.6}%", share * 100.0)
}

/// How many packets with a wrong checksum this network namespace has counted.
fn damaged() -> u64 {
    // That of this thread, which need not be the program's.
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    damaged_in(&read("snmp")) + damaged_in(&read("snmp6"))
}

/// The sum of what counts damage in `snmp`, a line of names above one of numbers for each protocol, or in `snmp6`, a name
/// and a number on each line.
fn damaged_in(text: &str) -> u64 {
    let counts = |name: &str| name.ends_with("InCsumErrors") || name.ends_with("InHdrErrors");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let mut sum = 0;
    for (above, line) in std::iter::once(&Vec::new()).chain(&lines).zip(&lines) {
        if let [name, number] = line[..]
            && counts(name)
        {
            sum += number.parse::<u64>().unwrap_or(0);
        }
        if above.first() == line.first() {
            let named = above.iter().zip(line).filter(|(name, _)| counts(name));
            sum += named.filter_map(|(_, number)| number.parse::<u64>().ok()).sum::<u64>();
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_become_arguments() {
        for (profile, expected) in [
            ("delay=40ms", "netem limit 100000 delay 40000us"),
            ("delay=40ms+pareto-jitter=5ms", "netem limit 100000 delay 40000us 5000us distribution pareto"),
            ("loss=30%", "netem limit 100000 loss random 30.000000%"),
            (
                "loss=20%+burst=75%",
                "netem limit 100000 loss gemodel 5.000000% 20.000000% 100.000000% 0.000000%",
            ),
            (
                "gilbert=1%/20%/90%/2%+rate=1mbit",
                "netem limit 100000 loss gemodel 1.000000% 20.000000% 90.000000% 2.000000% rate 1000000bit -14",
            ),
        ] {
            assert_eq!(arguments(&profile.parse().unwrap()), expected);
        }
    }

    #[test]
    fn counters_are_read() {
        let listing = "filter protocol ip pref 9301 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0\n  \
            match 7f000001/ffffffff at 12\n\taction order 1: mirred (Egress Redirect to device sqifb1) stolen\n\t\
            index 1 ref 1 bind 1 installed 0 sec firstused 0 sec\n\tAction statistics:\n\t\
            Sent 336 bytes 4 pkt (dropped 0, overlimits 0 requeues 0) \n";
        assert_eq!(redirected(listing, "sqifb1"), Some(4));
        assert_eq!(redirected(listing, "sqifb11"), None);
        let queue = "qdisc netem 8001: root refcnt 2 limit 100000 delay 20ms\n \
            Sent 1400 bytes 14 pkt (dropped 3, overlimits 0 requeues 0) \n backlog 2Kb 20p requeues 0\n";
        let counted = Some(Queue { packets: 14, drops: 3, qlen: 20 });
        assert_eq!(Queue::of(&format!("{queue}{listing}")), counted);
        assert_eq!(Queue::of(listing), None);
        let snmp = "Ip: Forwarding InHdrErrors\nIp: 1 2\nUdp: InDatagrams InCsumErrors\nUdp: 9 3\n";
        assert_eq!(damaged_in(snmp), 5);
        assert_eq!(damaged_in("Ip6InHdrErrors   \t1\nUdp6InCsumErrors  \t4\nUdp6InErrors 7\n"), 5);
    }
}
