//! The nemeses by name: what `-n` parses, and what `squall list nemeses` and `squall explain` show.

use anyhow::{Result, ensure};
use squall_checkers::Unknown;

use crate::package::{self, Package, Setting};
use crate::{
    clock, disk, faults, files, grudge, leader, nodes, packets, power, process_packages, regions, throttle,
};

/// A name and what it means.
pub type Named = (&'static str, &'static str);

/// A nemesis that `-n` knows.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The operations that inject and heal, as they stand in a history.
    pub ops: (&'static str, &'static str),
    /// What may follow its name and a colon; without it, each injection chooses at random.
    pub parameters: &'static [Named],
    /// What its receipts prove.
    pub receipt: &'static str,
    /// By what it is done, and where it differs, in which environment.
    pub mechanism: &'static str,
    /// What ends it.
    pub heals: &'static str,
    /// Makes its package, given what followed the colon; `None` breaks nothing.
    pub build: fn(Option<&str>, &Setting) -> Result<Option<Package>>,
}

impl Entry {
    /// A nemesis of one's own, which takes no parameter.
    pub const fn new(
        name: &'static str,
        about: &'static str,
        build: fn(Option<&str>, &Setting) -> Result<Option<Package>>,
    ) -> Entry {
        let (receipt, mechanism, heals) = ("what it measures", "its own", "its own way");
        Entry { name, about, ops: ("", ""), parameters: &[], receipt, mechanism, heals, build }
    }

    /// Its row in a table of faults, in Markdown, without the last line's end: name, mechanism, receipt, what ends it.
    pub fn row(&self) -> String {
        format!("| `{}` | {} | {} | {} |", self.name, self.mechanism, self.receipt, self.heals)
    }
}

/// Every nemesis.
pub static ALL: [Entry; 21] = [
    Entry {
        name: "none",
        about: "Breaks nothing.",
        ops: ("", ""),
        parameters: &[],
        receipt: "nothing",
        mechanism: "nothing",
        heals: "nothing to heal",
        build: package::none,
    },
    Entry {
        name: "partition",
        about: "Drops what nodes send to each other, in some directions, until healed. Clients still reach every node. Takes one \
                of these shapes, nodes such as n1+n3, or a grudge such as {n1,n2|n3} or {n1>n2;n2<>n3}; and after a + how: \
                port=2380 (only that port), reset (connections are reset instead of silence), flap=500ms/2s (cut and whole in turns).",
        ops: ("start-partition", "stop-partition"),
        parameters: &grudge::SHAPES,
        receipt: "the cut directions read back from the kernel, and the connections that were reset; after healing, the packets \
                  that were dropped, in how many cuts",
        mechanism: "one nft set of address pairs on the switch between the nodes (local), or on what each node receives (ssh); iptables where there is no nft. Flapping is done by the agent",
        heals: "the rules go, also with the agent: nft drops a table whose owner died",
        build: package::partition,
    },
    Entry {
        name: "packets",
        about: "Makes packets between some nodes and the others late, lost, double, overtaken, damaged or slow, by tc netem \
                where the kernel has it, else by a netfilter queue. Takes one of these profiles, perhaps with more as in \
                packets:loss+rate=1mbit, or settings of one's own such as packets:delay=50ms+loss=5%, and after an @ the nodes: packets:loss@one for all that they send and hear, \
                packets:loss@n1>n2+n3 for one direction, packets:loss@one<>rest for both.",
        ops: ("start-packets", "stop-packets"),
        parameters: packets::PRESETS.known,
        receipt: "the senders whose packets are held, and by what; after healing, how many packets were lost, delayed (and \
                  for how long), doubled or corrupted",
        mechanism: "tc netem on the receiver's side, where the kernel has it; else a netfilter queue (iptables) on the receiving node and an engine in the agent",
        heals: "the rules go; when nobody serves the queue, packets pass",
        build: package::packets,
    },
    Entry {
        name: "regions",
        about: "Puts the nodes into regions, n1 into the first, n2 into the second and so on, with the round-trip times of real \
                networks between them, from the beginning of a run to its end. Takes regions (us, uswest, eu, brazil, asia, japan, \
                australia, india, africa) such as regions:eu+us+asia, or \
                times of one's own: regions:a-b=80ms+b-c=200ms+a-c=150ms, and who is where: a=n1/n2+b=n3.",
        ops: ("start-regions", "stop-regions"),
        parameters: &regions::MAPS,
        receipt: "as for packets",
        mechanism: "as for packets",
        heals: "as for packets",
        build: package::regions,
    },
    Entry {
        name: "clock",
        about: "Skews the clocks that the target's processes see on some nodes. Takes one of these skews, or settings of \
                one's own such as clock:offset=-5s+clock=both, and after an @ the nodes: clock:hour@primaries. With \
                +machine it is the clock of the whole machine, for ssh nodes that do not run squall: clock:hour+machine@one.",
        ops: ("start-clock", "stop-clock"),
        parameters: clock::PRESETS.known,
        receipt: "the time that a process of the target sees, read through its own eyes; after healing, how many system calls were answered and waits moved",
        mechanism: "the clock functions in the vDSO of the target's processes are replaced, in new ones before their first instruction; system calls that read a clock or wait until a time come to the agent by seccomp notification (x86-64). With machine: clock_settime",
        heals: "the skew goes to nothing; it has a lease of seconds in each process, which runs out when the agent dies. A machine's clock is set by its time since boot, by the agent or who sweeps after it",
        build: package::clock,
    },
    Entry {
        name: "kill",
        about: "Kills every process of the target on some nodes with SIGKILL, and starts it again there.",
        ops: ("kill", "start"),
        parameters: &nodes::SPECS,
        receipt: "the pids that are gone, and how they ended; after restarting, the pids that run",
        mechanism: "SIGKILL to all of the target's processes",
        heals: "the target is started again",
        build: package::kill,
    },
    Entry {
        name: "term",
        about: "Asks the target on some nodes to end, with SIGTERM, kills what has not ended after 5 s, and starts it again \
                there. Takes these choices of nodes, and before an @ another time: term:500ms@one.",
        ops: ("term", "start-again"),
        parameters: &nodes::SPECS,
        receipt: "how each process ended and how long that took, and which had to be killed; after restarting, the pids \
                  that run",
        mechanism: "SIGTERM to all of the target's processes, SIGKILL after the time of grace",
        heals: "the target is started again",
        build: process_packages::term,
    },
    Entry {
        name: "restart",
        about: "Kills every process of the target on some nodes and starts it again at once.",
        ops: ("restart", "await-restart"),
        parameters: &nodes::SPECS,
        receipt: "the pids that are gone, those that run, and when the node answered again",
        mechanism: "SIGKILL, and the target is started again at once",
        heals: "it is waited for",
        build: process_packages::restart,
    },
    Entry {
        name: "rolling",
        about: "Restarts all nodes, or these, one after the other: each when the one before it answers again. It stops at \
                one that does not within 5 s.",
        ops: ("roll", "await-roll"),
        parameters: &nodes::SPECS,
        receipt: "for each node the pids that are gone, those that run, and when it answered again",
        mechanism: "as restart, node after node",
        heals: "it is waited for",
        build: process_packages::rolling,
    },
    Entry {
        name: "crash-loop",
        about: "Kills the target on some nodes five times, 300 ms after each start, then lets it run.",
        ops: ("start-crash-loop", "stop-crash-loop"),
        parameters: &nodes::SPECS,
        receipt: "the pids that are gone, one after the other; in the end, those that run",
        mechanism: "SIGKILL after each start",
        heals: "the target is started again",
        build: process_packages::crash_loop,
    },
    Entry {
        name: "pause",
        about: "Stops every process of the target on some nodes with SIGSTOP, and lets them go on.",
        ops: ("pause", "resume"),
        parameters: &nodes::SPECS,
        receipt: "every process in state T in /proc; after resuming, none",
        mechanism: "SIGSTOP to all of the target's processes and their children",
        heals: "SIGCONT, also when the agent ends",
        build: package::pause,
    },
    Entry {
        name: "power",
        about: "Lets the power fail on some nodes: kills every process of the target with SIGKILL and throws away what was \
                not fsynced, then starts the target again. Takes a choice of nodes, after what becomes of the data if need \
                be: power:all, power:torn, power:torn@all. Needs FUSE.",
        ops: ("power-off", "power-on"),
        parameters: &POWER,
        receipt: "the pids that are gone; how many bytes, files and names were thrown away",
        mechanism: "a FUSE file system under the data directory, which knows what was fsynced; SIGKILL, then what was not is dropped",
        heals: "the target is started again, on what the disk kept",
        build: package::power,
    },
    Entry {
        name: "disk",
        about: "Makes the disks of some nodes fail, slow or full. Takes one of these, or settings of one's own such as \
                disk:slow-fsync=50ms+eio-fsync=5%, and after an @ the nodes: disk:full@one. After healing, the target is started \
                again where it ended. Without FUSE only fsyncs can fail or be slow.",
        ops: ("start-disk", "stop-disk"),
        parameters: disk::PRESETS.known,
        receipt: "after healing, how many fsyncs, reads and writes failed, were refused or delayed (and for how long)",
        mechanism: "a FUSE file system under the data directory answers fsync, read and write with errors, late, or with no space; without FUSE, the agent answers fsyncs by seccomp notification",
        heals: "it answers as it should; what ended is started again",
        build: package::disk,
    },
    Entry {
        name: "files",
        about: "Damages a file on some nodes, at most a minority and always the same unless more are asked for. Takes one of \
                these, or settings of one's own such as files:flip=1+file=wal*, and after an @ the nodes: files:bitflip@all. \
                The damage stays when the run heals; only restore is done then. With kill, the target meets it.",
        ops: ("start-files", "stop-files"),
        parameters: files::PRESETS.known,
        receipt: "the file and the places, read back; after healing, how much of the damage is still there",
        mechanism: "the agent writes into the target's files",
        heals: "not at all, but for restore: damage stays",
        build: package::files,
    },
    Entry {
        name: "slow",
        about: "Lets every process of the target on some nodes run for a share of the time only: it is stopped and let go \
                ten times a second. Takes one of these, or a share such as slow:10%, and after an @ the nodes: slow:10%@one.",
        ops: ("start-slow", "stop-slow"),
        parameters: &throttle::SHARES,
        receipt: "the share of the time in which all processes stood in state T, and the processor time that they got",
        mechanism: "SIGSTOP and SIGCONT in turns of a tenth of a second, by the agent",
        heals: "SIGCONT, also when the agent ends",
        build: process_packages::slow,
    },
    Entry {
        name: "cpu",
        about: "Gives the target on some nodes a share of one processor and no more: when it has used that, it is stopped \
                until the next tenth of a second. Takes one of these, or a share such as cpu:15%, and after an @ the nodes.",
        ops: ("start-cpu", "stop-cpu"),
        parameters: &throttle::QUOTAS,
        receipt: "the processor time that it got, and how often it was stopped: never, if it did not need more",
        mechanism: "SIGSTOP when the share of a tenth of a second is used up and SIGCONT at its end, by the agent; what was used beyond it comes off the next",
        heals: "SIGCONT, also when the agent ends",
        build: process_packages::cpu,
    },
    Entry {
        name: "memory",
        about: "Lets each process of the target on some nodes have little more memory than it has: what it asks for beyond \
                that it does not get. Takes one of these, or an amount such as memory:8M, and after an @ the nodes. What \
                ends for want of memory is started again.",
        ops: ("start-memory", "stop-memory"),
        parameters: &throttle::HEADROOMS,
        receipt: "the limit (RLIMIT_DATA) read back from /proc; after healing, how much was left, and which processes ended",
        mechanism: "RLIMIT_DATA of each process, by prlimit",
        heals: "the limit goes; what ended is started again",
        build: process_packages::memory,
    },
    Entry {
        name: "flags",
        about: "Restarts the target on some nodes with other flags, and later as it was. Takes flags such as \
                flags:--snapshot-every=5@one, several with + between them; without, a choice of the target's own. For \
                targets that can.",
        ops: ("start-flags", "stop-flags"),
        parameters: &[("--FLAG=VALUE", "a flag of the target's command line")],
        receipt: "the command lines in /proc, and when the node answered again",
        mechanism: "the target's own capability: it is started with other arguments",
        heals: "it is started as it was",
        build: process_packages::flags,
    },
    Entry {
        name: "leader",
        about: "Has the one that leads hand over to another node while everything works. For targets that can.",
        ops: ("transfer-leader", "await-leader"),
        parameters: &leader::ACTS,
        receipt: "that the other one leads, by its own word, and after how long",
        mechanism: "the target's own capability (refkv: leadership transfer)",
        heals: "the leader is waited for",
        build: process_packages::leader,
    },
    Entry {
        name: "replace",
        about: "Removes nodes from the cluster's members, one after the other, wipes them, and adds new ones in their \
                place. For targets that can change their members.",
        ops: ("replace", "rejoin"),
        // Not all nodes can leave.
        parameters: match nodes::SPECS.split_last() {
            Some((_all, some)) => some,
            None => &[],
        },
        receipt: "the members without it, the pids that are gone; then the members with it, and its answer to clients",
        mechanism: "the target's own capability: removed, wiped, added as a new member",
        heals: "whatever is missing is added again",
        build: process_packages::replace,
    },
    Entry {
        name: "membership",
        about: "Removes nodes from the cluster's members, all at once and each through another node, and adds \
                them again. For targets that can change their members.",
        ops: ("leave", "join"),
        // Not all nodes can leave.
        parameters: match nodes::SPECS.split_last() {
            Some((_all, some)) => some,
            None => &[],
        },
        receipt: "the members as the nodes that stay see them",
        mechanism: "the target's own capability: removed and added through other members",
        heals: "whatever is missing is added again",
        build: package::membership,
    },
];

/// What power failures take.
static POWER: [Named; 9] = {
    let [one, minority, majority, third, primaries, followers, all] = nodes::SPECS;
    let [lost, torn] = power::KINDS;
    [one, minority, majority, third, primaries, followers, all, lost, torn]
};
/// A means of the kernel that some faults are made by.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// Its name.
    pub name: &'static str,
    /// The kind of the node fault that tries it, and what it is told for that (nothing if empty).
    pub probe: (&'static str, &'static str),
    /// What cannot be done without it.
    pub lost: &'static str,
}

/// Those that are tried by themselves, since a fault may do without or be made in another way.
pub static MEANS: [Means; 4] = [
    Means {
        name: "FUSE",
        probe: (faults::DISK, faults::FUSE),
        lost: "-n power; with -n disk, reads and writes that fail or are slow, and full disks",
    },
    Means {
        name: "seccomp notification",
        probe: (faults::CLOCK, faults::CALLS),
        lost: "with -n clock, programs that ask the kernel itself, and waits until a time; -n disk without FUSE",
    },
    Means { name: "ptrace and the vDSO", probe: (faults::CLOCK, ""), lost: "-n clock" },
    Means { name: "signals", probe: ("signal", ""), lost: "-n pause, -n slow, -n cpu" },
];

/// Splits `partition:{n1|n2,n3},kill` into items. Commas within braces are those of a grudge.
pub(crate) fn items(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let outside = move |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    };
    list.split(outside).map(str::trim)
}

/// Splits `partition:halves` into a nemesis of these and its parameter.
pub(crate) fn parse<'a, 'b>(item: &'b str, known: &'a [Entry]) -> Result<(&'a Entry, Option<&'b str>)> {
    let (name, parameter) = match item.split_once(':') {
        Some((name, parameter)) => (name, Some(parameter)),
        None => (item, None),
    };
    ensure!(
        !item.is_empty(),
        "a nemesis is missing: a list is written as partition,kill, and none breaks nothing"
    );
    let Some(entry) = known.iter().find(|entry| entry.name == name) else {
        return Err(Unknown::new("nemesis", name, known.iter().map(|entry| entry.name)).into());
    };
    ensure!(parameter.is_none() || !entry.parameters.is_empty(), "{name} takes no parameter");
    Ok((entry, parameter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_from_its_parameter() {
        let parsed = |text| parse(text, &ALL).map(|(entry, parameter)| (entry.name, parameter)).unwrap();
        assert_eq!(parsed("partition:halves"), ("partition", Some("halves")));
        assert_eq!(parsed("kill"), ("kill", None));
        assert!(items("partition:{n1,n2|n3}+reset, kill").eq(["partition:{n1,n2|n3}+reset", "kill"]));
    }

    #[test]
    fn mistakes_are_explained() {
        let error = |text| parse(text, &ALL).unwrap_err().to_string();
        let typo = error("partiton");
        assert!(
            typo.starts_with(
                "there is no nemesis `partiton`, did you mean `partition`? There are: partition, "
            ),
            "{typo}"
        );
        assert!(error("").contains("a list is written as partition,kill"));
        assert_eq!(error("none:one"), "none takes no parameter");
    }
}
