//! The designs and the bugs, as data.
//!
//! Everything that speaks of a bug by name reads it here: the command line, the lists, the explanations, the nightly
//! suite. In the protocol a bug is one `if self.bugs().has(BugKind::…)` beside the correct line, so that a reader sees
//! both.

/// A protocol that this crate implements, with what it promises to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Design {
    /// The name given to `--design`.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    /// The guarantee a client may rely on, operation by operation.
    pub claims: &'static str,
}

/// The designs, in the order in which they are listed.
pub static DESIGNS: &[Design] = &[
    Design {
        name: "raft",
        summary: "Raft with pre-vote, check-quorum, snapshots, single-server membership change, ReadIndex reads and \
                  sessions",
        claims: "every operation is linearizable; a retried write takes effect at most once",
    },
    Design {
        name: LEASE,
        summary: "the same, where a leader answers reads by its lease and asks nobody",
        claims: "the same, as long as no clock (CLOCK_MONOTONIC) drifts by more than --lease-drift-ppm or jumps",
    },
];

/// The design whose leaders have leases.
pub const LEASE: &str = "raft-lease";

/// Which mistake. One variant a row of [`BUGS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BugKind {
    /// Reads are served from local state.
    StaleRead,
    /// The vote record is not written.
    VoteNotPersisted,
    /// The leader answers before replication.
    AckBeforeCommit,
    /// Entries are acknowledged before they are on disk.
    AckBeforeFsync,
    /// Entries of old terms are committed by counting.
    CommitOldTerm,
    /// A follower compares indices and not terms.
    LostTermCheck,
    /// A snapshot lacks the last entry it claims to hold.
    SnapshotDropsEntry,
    /// Membership changes overlap.
    TwoChangesAtOnce,
    /// Retries are applied again.
    DoubleApply,
    /// A lease lasts as long as the promise that it stands on.
    LeaseWithoutBound,
}

/// A mistake that can be switched on, with where and how it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bug {
    /// The switch.
    pub kind: BugKind,
    /// The name given to `--bug`.
    pub name: &'static str,
    /// The design it belongs to: a name of [`DESIGNS`].
    pub design: &'static str,
    /// What the broken server does, in one sentence.
    pub breaks: &'static str,
    /// What a client sees: the kinds of anomaly that it can show as, the likeliest first.
    pub anomalies: &'static [&'static str],
    /// The workload that finds it: `register`, `set` or `append`.
    pub workload: &'static str,
    /// The nemeses that bring it out, and where they must hit, separated by commas: `partition:primaries,kill:all`.
    pub nemesis: &'static str,
    /// Which nodes those nemeses must hit, and how, for the bug to bite soon.
    pub recipe: &'static str,
    /// Arguments to add to the server's command line to make it show sooner.
    pub args: &'static [&'static str],
    /// The section of the Raft paper (extended version, 2014) or of Ongaro's thesis that it violates.
    pub section: &'static str,
}

/// The bugs, in the order in which they are listed.
pub static BUGS: &[Bug] = &[
    Bug {
        kind: BugKind::StaleRead,
        name: "stale-read",
        design: "raft",
        breaks: "every node answers reads from its local state, without asking for a read index",
        anomalies: &["stale-read"],
        workload: "register",
        nemesis: "partition",
        recipe: "cut any node off from a majority: it goes on answering reads with what it last knew",
        args: &[],
        section: "paper §8; thesis §6.4",
    },
    Bug {
        kind: BugKind::VoteNotPersisted,
        name: "vote-not-persisted",
        design: "raft",
        breaks: "the vote record (currentTerm and votedFor) is not written, so a restarted node votes and leads \
                 again in terms that are already taken",
        anomalies: &["lost-write", "stale-read"],
        workload: "set",
        nemesis: "kill:all",
        recipe: "kill all nodes at once under load and start them again: terms begin anew, and one index holds \
                 two entries of one term",
        args: &[],
        section: "paper Figure 2 (persistent state) and §5.2; thesis §3.8",
    },
    Bug {
        kind: BugKind::AckBeforeCommit,
        name: "ack-before-commit",
        design: "raft",
        breaks: "the leader answers a write when it has appended it to its own log",
        anomalies: &["lost-write"],
        workload: "set",
        nemesis: "partition:primaries",
        recipe: "isolate the leader while clients write to it",
        args: &[],
        section: "paper §5.3; thesis §3.5",
    },
    Bug {
        kind: BugKind::AckBeforeFsync,
        name: "ack-before-fsync",
        design: "raft",
        breaks: "entries are acknowledged while they are still in a buffer of the process, written every 500 ms",
        anomalies: &["lost-write"],
        workload: "set",
        nemesis: "kill:all",
        recipe: "kill all nodes, or a majority, at once under load",
        args: &[],
        section: "paper Figure 2 (persistent state) and §5.1; thesis §3.8",
    },
    Bug {
        kind: BugKind::CommitOldTerm,
        name: "commit-old-term",
        design: "raft",
        breaks: "a new leader appends no entry of its own term, commits entries of old terms by counting replicas, \
                 and answers reads before it knows what is committed",
        anomalies: &["stale-read"],
        workload: "register",
        nemesis: "kill:all",
        recipe: "kill all nodes at once under load and start them again: reads that come before the first write of the \
                 new term see the state of the last snapshot",
        args: &[],
        section: "paper §5.4.2 (Figure 8) and §8; thesis §3.6.2 and §6.4",
    },
    Bug {
        kind: BugKind::LostTermCheck,
        name: "lost-term-check",
        design: "raft",
        breaks: "a follower compares the index of an entry that it already has, and not its term",
        anomalies: &["stale-read", "lost-write"],
        workload: "set",
        nemesis: "partition:primaries",
        recipe: "isolate the leader under load for longer than an election, then heal",
        args: &[],
        section: "paper §5.3 and Figure 2 (AppendEntries, rules 2 and 3); thesis §3.5",
    },
    Bug {
        kind: BugKind::SnapshotDropsEntry,
        name: "snapshot-drops-entry",
        design: "raft",
        breaks: "a snapshot is taken just before the last entry that it claims to hold is applied",
        anomalies: &["lost-write", "stale-read"],
        workload: "set",
        nemesis: "kill",
        recipe: "kill and restart any node after it took a snapshot",
        args: &["--snapshot-every", "50"],
        section: "paper §7; thesis §5.1",
    },
    Bug {
        kind: BugKind::TwoChangesAtOnce,
        name: "two-changes-at-once",
        design: "raft",
        breaks: "the leader starts a membership change while another is not committed, so two majorities can be \
                 disjoint",
        anomalies: &["lost-write", "stale-read"],
        workload: "set",
        nemesis: "membership:followers",
        recipe: "ask the leader to remove all the others, one after the other without waiting: it goes on alone, \
                 and they, who never heard of it, elect another",
        args: &[],
        section: "thesis §4.1 and §4.3",
    },
    Bug {
        kind: BugKind::DoubleApply,
        name: "double-apply",
        design: "raft",
        breaks: "the table of sessions is ignored, so a write that a node sent twice to be safe takes effect twice",
        anomalies: &["duplicate"],
        workload: "set",
        nemesis: "kill:primaries,partition:primaries",
        recipe: "kill or isolate the leader while the other nodes forward writes to it",
        args: &[],
        section: "paper §8; thesis §6.3",
    },
    Bug {
        kind: BugKind::LeaseWithoutBound,
        name: "lease-without-bound",
        design: LEASE,
        breaks: "a leader trusts its lease for as long as the others keep their promise, as if all clocks ran alike",
        anomalies: &["stale-read"],
        workload: "register",
        nemesis: "clock:drift=-400000ppm+clock=both@primaries,partition:primaries",
        recipe: "let the leader's clock be slow, within the stated bound, and cut it off: another is elected before its \
                 lease ends",
        args: &["--lease-drift-ppm", "500000"],
        section: "thesis §6.4.1",
    },
];

/// The bugs that are on in one node. Empty by default: the correct design.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bugs(u16);

impl Bugs {
    /// The correct design with the one bug `kind`.
    pub fn only(kind: BugKind) -> Bugs {
        Bugs(1 << kind as u8)
    }

    /// The same set with the bug `kind` added.
    pub fn with(self, kind: BugKind) -> Bugs {
        Bugs(self.0 | 1 << kind as u8)
    }

    /// Whether `kind` is on.
    pub fn has(self, kind: BugKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sound() {
        for (position, bug) in BUGS.iter().enumerate() {
            assert_eq!(bug.kind as usize, position, "{}: one row a variant, in order", bug.name);
            assert!(DESIGNS.iter().any(|design| design.name == bug.design), "{}: unknown design", bug.name);
            assert!(["register", "set", "append"].contains(&bug.workload), "{}: unknown workload", bug.name);
            for nemesis in bug.nemesis.split(',').map(|nemesis| nemesis.split(':').next().unwrap_or_default())
            {
                assert!(
                    ["partition", "kill", "pause", "membership", "clock"].contains(&nemesis),
                    "{}: {nemesis}",
                    bug.name
                );
            }
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let bugs = Bugs::only(BugKind::StaleRead).with(BugKind::DoubleApply);
        assert!(bugs.has(BugKind::StaleRead) && bugs.has(BugKind::DoubleApply));
        assert!(!bugs.has(BugKind::AckBeforeCommit));
        assert_eq!(Bugs::default().0, 0);
    }
}
