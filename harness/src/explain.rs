//! What consistency models and anomalies are, for `squall explain`.

/// A thing worth explaining.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic {
    /// Its name in the field.
    pub(crate) name: &'static str,
    /// `model`, `anomaly` or `guide`.
    pub(crate) kind: &'static str,
    /// What it is, in one sentence.
    pub(crate) about: &'static str,
    /// How it comes about, an example, and what to do.
    pub(crate) text: &'static str,
    /// Where it is defined.
    pub(crate) source: &'static str,
}

/// Models from strong to weak, then anomalies.
pub(crate) static TOPICS: &[Topic] = &[
    Topic {
        name: "formats",
        kind: "guide",
        about: "the formats of histories that squall check reads, plain or compressed with zstd, told apart by content",
        text: "jsonl (one JSON object a line: what squall writes); json (one array of such objects, as elle-cli); jepsen-edn \
               (maps or [process type f value], bare or in a vector or list; Jepsen, Knossos, Elle); porcupine-kv (EDN maps \
               with :key); jepsen-log-2014 (INFO jepsen.util - 0 :invoke :read nil); awdit-test (r KEY VALUE and w KEY VALUE, \
               dashes between transactions, equals signs between sessions); plume-text (r(KEY,VALUE,SESSION,TXN), of Plume and \
               PolySI; transaction -1 aborted); dbcop (its bincode of 2019), dbcop-json, dbcop-text ([x:=1 y==2]); fastlin \
               (# queue, then METHOD VALUE START END). A format without times has no real-time order: linearizability and \
               strict serializability are unknown there. In those with integers only, a read of 0 that nobody wrote is a read \
               of the initial value. squall check --format NAME insists on one.",
        source: "squall check --help",
    },
    Topic {
        name: "schedules",
        kind: "guide",
        about: "files that say when which fault strikes, for squall test --schedule",
        text: "A TOML file. mix = [\"partition\", \"kill:one\"] has faults come and go, every interval = \"3s\" or so; swarm is a \
               list of which the seed chooses. A [[step]] strikes at = \"5s\" for = \"3s\", again every = \"10s\", with a fault = \
               \"kill\" or with faults = [\"kill\", \"clock\"] that share nodes = \"one\". [[phase]]s follow each other: each has for \
               = \"10s\" and mix, swarm or [[phase.step]], or it waits until = \"recovered\"; repeat = true goes through them \
               again and again. --dry-run prints what a seed makes of it.",
        source: "harness/docs/SCHEDULES.md",
    },
    Topic {
        name: "linearizable",
        kind: "model",
        about: "every operation seems to take effect at one instant between its invocation and its completion",
        text: "There is one order of all operations that respects real time and in which each returns what a single \
               copy would return. It is a property of one object and composes: if every key is linearizable, so is the \
               store. A system that stays linearizable must refuse some operations while it is partitioned (CAP).",
        source: "Herlihy & Wing, Linearizability, TOPLAS 1990",
    },
    Topic {
        name: "strict-serializable",
        kind: "model",
        about: "transactions seem to run one after the other, in an order that respects real time",
        text: "Serializability for transactions of several objects, with linearizability's rule on top: a transaction \
               that began after another had completed comes after it.",
        source: "Papadimitriou, JACM 1979; Adya, PhD thesis 1999",
    },
    Topic {
        name: "serializable",
        kind: "model",
        about: "transactions seem to run one after the other, in some order",
        text: "The order need not respect real time or even sessions: a read-only transaction may legally see the empty \
               database. Strict serializability is what most people mean.",
        source: "Papadimitriou, The serializability of concurrent database updates, JACM 1979",
    },
    Topic {
        name: "sequential",
        kind: "model",
        about: "there is one order of all operations that respects each process's own order",
        text: "Like linearizability without the clock: a process may lag, but never goes back, and all agree on the order.",
        source: "Lamport, How to make a multiprocessor computer…, IEEE ToC 1979",
    },
    Topic {
        name: "causal",
        kind: "model",
        about: "operations that are causally related are seen by everybody in that order",
        text: "Causes are a process's own earlier operations and the writes it has read, transitively. squall checks three \
               variants: CC (each read can be explained by some order of its causal past), CM (one order explains all \
               reads of a session) and CCv (all agree on one order of concurrent writes, so replicas converge). It is \
               the strongest model that stays available under partitions.",
        source: "Bouajjani, Enea, Guerraoui & Hamza, On verifying causal consistency, POPL 2017",
    },
    Topic {
        name: "session-guarantees",
        kind: "model",
        about: "what one session may rely on: read your writes, monotonic reads, monotonic writes, writes follow reads",
        text: "The four together give causal consistency. A client that sticks to one replica usually gets them; one that \
               fails over to another usually loses them.",
        source: "Terry et al., Session guarantees for weakly consistent replicated data, PDIS 1994",
    },
    Topic {
        name: "eventual",
        kind: "model",
        about: "if writes stop, all replicas come to the same state, some time",
        text: "It forbids nothing that a client could see while writes go on. Ask for more: convergence, a bound on \
               staleness, session guarantees.",
        source: "Vogels, Eventually consistent, CACM 2009",
    },
    Topic {
        name: "stale-read",
        kind: "anomaly",
        about: "a read returned a value that had been overwritten before the read began",
        text: "Usual causes: reads served from a follower or from a deposed leader's local state, a lease that outlived \
               its bound under clock drift, a cache. Remedy: read through the log, ReadIndex with a round of heartbeats \
               (Raft thesis 6.4), or a lease with a bound on drift.",
        source: "Herlihy & Wing 1990; Ongaro, PhD thesis 2014, 6.4",
    },
    Topic {
        name: "lost-write",
        kind: "anomaly",
        about: "an acknowledged write is gone: later reads show the value before it",
        text: "Usual causes: acknowledged before a majority had it, or before it was on disk, and then a failover or a \
               crash; a vote that was not persisted, so that two leaders held the same term; last-write-wins under clock skew.",
        source: "Ongaro & Ousterhout, In search of an understandable consensus algorithm, 2014, 5.3-5.4",
    },
    Topic {
        name: "phantom-read",
        kind: "anomaly",
        about: "a read returned a value that nobody ever wrote",
        text: "Usual causes: a client that mixes up keys or connections, a decoding bug, data left over from an earlier \
               run. Check the client before you blame the system.",
        source: "ThinAirRead in Bouajjani et al. 2017",
    },
    Topic {
        name: "nonlinearizable",
        kind: "anomaly",
        about: "no order of the operations explains what they returned",
        text: "The witness is a smallest set of operations that has no legal order: taking any one of them away makes it \
               legal. Read the proof steps from the top.",
        source: "Herlihy & Wing 1990",
    },
    Topic {
        name: "aborted-read",
        kind: "anomaly",
        about: "a read returned what an operation wrote that had failed",
        text: "Either the system kept a write that it had refused, or the client said fail where it should have said info: the \
               commonest mistake in a client. The proof says whether the history would be legal with info.",
        source: "G1a in Adya, PhD thesis 1999",
    },
    Topic {
        name: "duplicate",
        kind: "anomaly",
        about: "an element appears more often than it was added",
        text: "Usual causes: a retry that was applied twice, because the server forgot which requests it had seen \
               (after a restart, say). Remedy: idempotency keys that are part of the replicated state.",
        source: "Jepsen, set-full; Ongaro, PhD thesis 2014, 6.3",
    },
    Topic {
        name: "lost-append",
        kind: "anomaly",
        about: "an acknowledged append is missing from a later read of its list",
        text: "Usual causes are those of lost-write.",
        source: "Kingsbury & Alvaro, Elle, VLDB 2020",
    },
    Topic {
        name: "G0",
        kind: "anomaly",
        about: "a cycle of writes: two transactions overwrote each other in opposite orders (dirty write)",
        text: "Forbidden even by read uncommitted.",
        source: "Adya, PhD thesis 1999",
    },
    Topic {
        name: "G1a",
        kind: "anomaly",
        about: "aborted read: a transaction saw a write of a transaction that failed",
        text: "Sometimes the client is wrong: if it reported fail where it should have said info, the write may well have \
               happened.",
        source: "Adya, PhD thesis 1999",
    },
    Topic {
        name: "G1b",
        kind: "anomaly",
        about: "intermediate read: a transaction saw another in the middle",
        text: "It read a list that ends with an element that its writer followed with another in the same transaction.",
        source: "Adya, PhD thesis 1999",
    },
    Topic {
        name: "G1c",
        kind: "anomaly",
        about: "circular information flow: each of the transactions saw or overwrote something of the other",
        text: "A cycle of write-write and write-read dependencies. With -realtime or -process the cycle also uses the \
               order of time or of a process.",
        source: "Adya, PhD thesis 1999; Kingsbury & Alvaro, Elle, VLDB 2020",
    },
    Topic {
        name: "G-single",
        kind: "anomaly",
        about: "read skew: a cycle with exactly one anti-dependency",
        text: "A transaction saw part of another's effects and missed another part. Forbidden by snapshot isolation. As \
               G-single-realtime it is a stale read: it missed what was complete before it began.",
        source: "Adya, PhD thesis 1999; Elle, VLDB 2020",
    },
    Topic {
        name: "G-nonadjacent",
        kind: "anomaly",
        about: "long fork and its like: a cycle with several anti-dependencies, no two of them next to each other",
        text: "Two transactions saw two others in opposite orders, or the like. Parallel snapshot isolation allows it, snapshot \
               isolation does not.",
        source: "Cerone & Gotsman, PODC 2016; Elle",
    },
    Topic {
        name: "lost-update",
        kind: "anomaly",
        about: "two transactions read the same version and both wrote the key: one overwrote the other unseen",
        text: "Usual cause: read, compute and write without a lock or a comparison. Forbidden by cursor stability.",
        source: "Berenson et al., SIGMOD 1995 (P4); G-cursor in Adya, PhD thesis 1999",
    },
    Topic {
        name: "cyclic-versions",
        kind: "anomaly",
        about: "the values of a register come before themselves",
        text: "Each transaction read one value and wrote the next, and so on in a circle; or reads went back and forth although the \
               key was said to be sequential or linearizable.",
        source: "Kingsbury & Alvaro, Elle, VLDB 2020",
    },
    Topic {
        name: "unwritten-read",
        kind: "anomaly",
        about: "a read of a register returned what no recorded transaction wrote",
        text: "Where not all writes are recorded, somebody else may have written it, so it breaks no model. squall check takes all \
               writes to be recorded, and then it is a thin-air-read.",
        source: "ThinAirRead in Bouajjani et al., POPL 2017",
    },
    Topic {
        name: "G2-item",
        kind: "anomaly",
        about: "write skew: a cycle with several anti-dependencies",
        text: "Each transaction read what the other then changed. Snapshot isolation allows it, serializability does not.",
        source: "Adya, PhD thesis 1999",
    },
    Topic {
        name: "write-skew",
        kind: "anomaly",
        about: "two transactions each read what the other then overwrote, and wrote different keys",
        text: "Each was right about what it read, and both together break what either would have kept. Snapshot isolation \
               allows it, serializability does not.",
        source: "Berenson et al., A critique of ANSI SQL isolation levels, SIGMOD 1995",
    },
    Topic {
        name: "long-fork",
        kind: "anomaly",
        about: "two readers saw two writes in opposite orders: each saw one of them without the other",
        text: "Their snapshots are not prefixes of one order. Parallel snapshot isolation allows it; snapshot isolation \
               and prefix consistency do not.",
        source: "Sovran et al., Transactional storage for geo-replicated systems, SOSP 2011",
    },
    Topic {
        name: "no-version-order",
        kind: "anomaly",
        about: "whatever the order of the versions of a key, some read does not fit",
        text: "Nobody recorded which of two writes was the earlier. Both orders were tried, and each leads to a cycle of its \
               own; the steps tell which.",
        source: "Polygraphs: Papadimitriou, JACM 1979; Tan et al., Cobra, OSDI 2020",
    },
    Topic {
        name: "incompatible-order",
        kind: "anomaly",
        about: "two reads of a list disagree on the order of its elements",
        text: "Neither is a prefix of the other, so there is no single order of writes: replicas have diverged.",
        source: "Kingsbury & Alvaro, Elle, VLDB 2020",
    },
    Topic {
        name: "future-read",
        kind: "anomaly",
        about: "a read returned a value whose write began only after the read had ended",
        text: "No system can do that. Look at the clocks, the client, or a history put together from several recordings.",
        source: "Herlihy & Wing 1990",
    },
    Topic {
        name: "thin-air-read",
        kind: "anomaly",
        about: "a read returned a value that no operation wrote",
        text: "See phantom-read. Where others write too, or the history begins in the middle, of transactions over registers \
               ask -c rw-register-open, which takes such a value for theirs, as Elle does.",
        source: "ThinAirRead in Bouajjani et al., POPL 2017",
    },
    Topic {
        name: "cyclic-co",
        kind: "anomaly",
        about: "operations are causally before themselves",
        text: "Sessions and reads-from go round in a circle: somebody read what was written later, because of that read. CC, CCv and CM all forbid it.",
        source: "CyclicCO in Bouajjani et al., POPL 2017",
    },
    Topic {
        name: "write-co-init-read",
        kind: "anomaly",
        about: "a read returned the initial value although a write of the key was in its causal past",
        text: "The reader, or somebody whose writes it had seen, knew of the write. Usual cause: a replica that applied an effect before its cause.",
        source: "WriteCOInitRead in Bouajjani et al., POPL 2017",
    },
    Topic {
        name: "write-co-read",
        kind: "anomaly",
        about: "a read returned a value that another write in its causal past had overwritten",
        text: "As write-co-init-read, for a value that is not the initial one.",
        source: "WriteCORead in Bouajjani et al., POPL 2017",
    },
    Topic {
        name: "cyclic-cf",
        kind: "anomaly",
        about: "no order of concurrent writes fits all reads: replicas have not converged",
        text: "Two sessions saw two concurrent writes in opposite orders. Causal convergence (CCv) forbids it; causal memory does not.",
        source: "CyclicCF in Bouajjani et al., POPL 2017",
    },
    Topic {
        name: "write-hb-init-read",
        kind: "anomaly",
        about: "a read returned the initial value although what the session had seen before implies that a write came first",
        text: "Causal memory (CM) forbids it: no one order explains all reads of that session.",
        source: "WriteHBInitRead in Bouajjani et al., POPL 2017",
    },
    Topic {
        name: "cyclic-hb",
        kind: "anomaly",
        about: "what a session read implies that operations come before themselves",
        text: "Causal memory (CM) forbids it: no one order explains all reads of that session.",
        source: "CyclicHB in Bouajjani et al., POPL 2017",
    },
    Topic {
        name: "read-your-writes",
        kind: "anomaly",
        about: "a session did not see its own write",
        text: "Usual cause: the next request went to another replica. Remedy: stick to one replica, or carry a version with the session.",
        source: "Terry et al., PDIS 1994",
    },
    Topic {
        name: "monotonic-reads",
        kind: "anomaly",
        about: "a session saw something older than it had seen before",
        text: "Usual cause and remedy are those of read-your-writes.",
        source: "Terry et al., PDIS 1994",
    },
    Topic {
        name: "monotonic-writes",
        kind: "anomaly",
        about: "two writes of one session were seen without the first, or in the other order",
        text: "Usual cause: replication that does not keep a session's order.",
        source: "Terry et al., PDIS 1994",
    },
    Topic {
        name: "writes-follow-reads",
        kind: "anomaly",
        about: "a write was seen without what its writer had read before it",
        text: "An answer was seen without its question. Usual cause: replication that drops causal dependencies.",
        source: "Terry et al., PDIS 1994",
    },
    Topic {
        name: "inconsistent-offsets",
        kind: "anomaly",
        about: "two clients saw different messages at one offset of a log",
        text: "An offset names one message for ever. A log that is cut back by a new leader and then written again \
               has two.",
        source: "Jepsen, jepsen.tests.kafka",
    },
    Topic {
        name: "poll-skip",
        kind: "anomaly",
        about: "a consumer went on past a message that is in the log",
        text: "Two polls of one process follow each other, and a message that others sent or polled lies between. Within one \
               operation it is int-poll-skip; backwards, nonmonotonic-poll. A consumer that has subscribed may be \
               moved to other keys and back, so that there it is only counted.",
        source: "Jepsen, jepsen.tests.kafka",
    },
    Topic {
        name: "precommitted-read",
        kind: "anomaly",
        about: "a transaction polled a message that it had sent itself",
        text: "Consumers see only what is committed, and a transaction is not while it runs.",
        source: "Jepsen, jepsen.tests.kafka",
    },
    Topic {
        name: "divergence",
        kind: "anomaly",
        about: "two replicas, or two who watch a value, saw different things",
        text: "Of a watch: after the same change two watchers saw different ones, so that one of them missed a change or saw \
               it too late. Of replicas: their final reads differ, though nothing was written any more.",
        source: "Jepsen, etcd.watch",
    },
    Topic {
        name: "internal",
        kind: "anomaly",
        about: "a transaction did not see its own effects, or read a key twice and saw two things",
        text: "The transaction contradicts itself; nobody else is needed to prove it.",
        source: "Kingsbury & Alvaro, Elle, VLDB 2020",
    },
    Topic {
        name: "dirty-update",
        kind: "anomaly",
        about: "a transaction that committed overwrote or extended what a failed one had written",
        text: "The failed write has become part of the committed state.",
        source: "Kingsbury & Alvaro, Elle, VLDB 2020",
    },
    Topic {
        name: "duplicate-elements",
        kind: "anomaly",
        about: "a list has an element twice that was appended once",
        text: "Usual causes are those of duplicate.",
        source: "Kingsbury & Alvaro, Elle, VLDB 2020",
    },
    Topic {
        name: "reordered-append",
        kind: "anomaly",
        about: "two appends of one transaction are in the list in the other order",
        text: "A transaction's effects were applied in another order than it made them.",
        source: "Kingsbury & Alvaro, Elle, VLDB 2020",
    },
];

/// The topic of that name. `G-single-realtime` is `G-single` in a cycle that real time closes.
pub(crate) fn topic(name: &str) -> Option<&'static Topic> {
    let base = name.trim_end_matches("-realtime").trim_end_matches("-process");
    TOPICS.iter().find(|topic| topic.name == name || topic.name == base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_shows_as_something_that_is_explained() {
        for bug in squall_refkv::BUGS {
            bug.anomalies.iter().for_each(|kind| assert!(topic(kind).is_some(), "{}: {kind}", bug.name));
        }
    }

    #[test]
    fn names_are_unique_and_cycles_are_explained_however_they_close() {
        let mut names: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(topic("G-single-realtime").unwrap().name, "G-single");
        assert!(topic("no-such-thing").is_none());
    }
}
