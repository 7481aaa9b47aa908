//! The models that a history can be checked against, by the names that users of Porcupine, Knossos, Elle, AWDIT or dbcop know.

use super::{CheckerEntry, Facts, all};
use crate::Unknown;

/// A sequential specification, whose linearizability is checked, or a consistency model of transactions.
#[derive(Clone, Copy, Debug)]
pub struct ModelEntry {
    /// Its name, as `squall check --model` takes it.
    pub name: &'static str,
    /// Other names of it.
    pub aliases: &'static [&'static str],
    /// What it is, in one line.
    pub about: &'static str,
    /// The checkers that decide it: the first that fits the history does.
    pub checkers: &'static [&'static str],
}

const fn model(
    name: &'static str,
    aliases: &'static [&'static str],
    about: &'static str,
    checkers: &'static [&'static str],
) -> ModelEntry {
    ModelEntry { name, aliases, about, checkers }
}

/// Every model: sequential specifications, then consistency models from strong to weak, then properties.
pub const MODELS: &[ModelEntry] = &[
    model(
        "register",
        &["cas-register", "atomic-register", "rw"],
        "a register with read, write and cas, linearizable; one for each key where values are [key, value]",
        &["linearizable-registers", "linearizable-register"],
    ),
    model(
        "multi-register",
        &["registers"],
        "several registers, written and read by transactions, linearizable as one object",
        &["linearizable-multi-register", "linearizable-registers"],
    ),
    model(
        "kv",
        &["kv-append", "map", "key-value"],
        "a map with get, put, append and delete, linearizable",
        &["linearizable-kv"],
    ),
    model("mutex", &["lock"], "a lock with acquire and release, linearizable", &["linearizable-mutex"]),
    model(
        "semaphore",
        &[],
        "a semaphore with acquire and release, linearizable",
        &["linearizable-semaphore"],
    ),
    model(
        "queue",
        &["fifo-queue", "fifo"],
        "a first-in-first-out queue with enqueue and dequeue, linearizable",
        &["linearizable-queue"],
    ),
    model("stack", &["lifo"], "a stack with push and pop, linearizable", &["linearizable-stack"]),
    model(
        "priority-queue",
        &["priorityqueue", "heap"],
        "a priority queue with insert and poll of the smallest, linearizable; of the largest: max-priority-queue",
        &["linearizable-priority-queue"],
    ),
    model(
        "max-priority-queue",
        &["max-heap"],
        "a priority queue with insert and poll of the largest, linearizable",
        &["linearizable-max-priority-queue"],
    ),
    model(
        "set",
        &["set-full"],
        "a set: with contains or remove linearizable, else each added element is read from then on",
        &["linearizable-set", "set-full"],
    ),
    model("counter", &[], "a counter with add and read, linearizable", &["linearizable-counter"]),
    model("list-append", &["append"], "lists with append and r, strict serializable", &["append"]),
    model("rw-register", &["wr"], "registers with w and r, strict serializable", &["rw-register"]),
    model(
        "strict-serializable",
        &["strict-1sr", "strong-serializable", "strict"],
        "transactions seem to run one after the other, in an order that respects real time",
        &["append", "rw-register"],
    ),
    model(
        "strong-session-serializable",
        &["strong-session-1sr"],
        "transactions seem to run one after the other, in an order that respects sessions",
        &["append-strong-session-serializable", "rw-register-strong-session-serializable"],
    ),
    model(
        "serializable",
        &["serializability", "ser", "1sr", "pl-3"],
        "transactions seem to run one after the other, those of a session in any order (else: strong-session-serializable)",
        &["append-serializable", "rw-register-serializable"],
    ),
    model(
        "strong-session-snapshot-isolation",
        &["strong-session-si"],
        "snapshot isolation in which a snapshot holds what its session did before",
        &["append-strong-session-snapshot-isolation", "rw-register-strong-session-snapshot-isolation"],
    ),
    model(
        "snapshot-isolation",
        &["si", "pl-si"],
        "transactions read a snapshot, perhaps older than their session's last write (else: strong-session-snapshot-isolation), \
         and no two that overlap write the same key",
        &["append-snapshot-isolation", "rw-register-snapshot-isolation"],
    ),
    model(
        "parallel-snapshot-isolation",
        &["psi"],
        "snapshot isolation in which snapshots may see transactions in different orders",
        &["append-parallel-snapshot-isolation", "rw-register-parallel-snapshot-isolation"],
    ),
    model(
        "repeatable-read",
        &["rr", "pl-2.99"],
        "serializable but for predicates: no cycle of item dependencies",
        &["append-repeatable-read", "rw-register-repeatable-read"],
    ),
    model(
        "prefix",
        &["prefix-consistency"],
        "transactions read a prefix of one order of all, those of a session any prefix",
        &["append-prefix", "rw-register-prefix"],
    ),
    model(
        "causal",
        &["cc", "tcc", "causal-consistency", "causal+"],
        "what is causally related is seen in that order: by reads, and by sessions unless it is of lists",
        &["causal", "append-causal-cerone", "txn-causal"],
    ),
    model(
        "causal-convergence",
        &["ccv"],
        "causal, and all agree on concurrent writes",
        &["causal-convergence"],
    ),
    model(
        "causal-memory",
        &["cm"],
        "causal, and one order explains all reads of a session",
        &["causal-memory"],
    ),
    model(
        "read-atomic",
        &["ra", "atomic-read"],
        "all of a transaction's writes are seen, or none; of registers, those of its session too",
        &["append-read-atomic", "txn-read-atomic"],
    ),
    model(
        "read-committed",
        &["rc", "pl-2"],
        "only committed values are read, and none that its transaction overwrote; of registers, no older after newer ones",
        &["append-read-committed", "txn-read-committed"],
    ),
    model(
        "read-uncommitted",
        &["ru", "pl-1"],
        "writes of transactions do not interleave",
        &["append-read-uncommitted", "rw-register-read-uncommitted"],
    ),
    model(
        "sequential",
        &["sequential-consistency", "sc"],
        "one order of all operations that respects each process's own",
        &["sequential"],
    ),
    model("pram", &["fifo-consistency"], "each session's writes are seen in its order", &["pram"]),
    model("session-guarantees", &["session"], "what one session may rely on", &["session"]),
    model("read-your-writes", &["ryw"], "a session sees its own writes", &["read-your-writes"]),
    model(
        "monotonic-reads",
        &["mr"],
        "a session never sees something older than before",
        &["monotonic-reads"],
    ),
    model("monotonic-writes", &["mw"], "a session's writes are seen in its order", &["monotonic-writes"]),
    model(
        "writes-follow-reads",
        &["wfr"],
        "a write is seen after what its writer had read",
        &["writes-follow-reads"],
    ),
    model("bank", &[], "transfers keep the total", &["bank"]),
    model("long-fork", &[], "no two readers see two writes in opposite orders", &["long-fork"]),
    model("unique-ids", &[], "no id is given twice", &["unique-ids"]),
    model(
        "kafka",
        &["log", "partitioned-log"],
        "logs keep what is sent to them, at one offset each, and are polled in order",
        &["kafka"],
    ),
    model("watch", &[], "all who watch a value see the same changes in the same order", &["watch"]),
    model("total-queue", &[], "what was enqueued is dequeued, once", &["total-queue"]),
];

/// The model of that name.
///
/// # Errors
/// If there is none: names those that there are, and the nearest.
pub fn find_model(name: &str) -> Result<&'static ModelEntry, Unknown> {
    let lower = name.to_ascii_lowercase();
    let known = |model: &&ModelEntry| model.name == lower || model.aliases.contains(&lower.as_str());
    let names = || MODELS.iter().map(|model| model.name);
    MODELS.iter().find(known).ok_or_else(|| Unknown::new("model", name, names()))
}

impl ModelEntry {
    /// The checker that decides it for a history of these operations.
    ///
    /// # Errors
    /// If none does: says of which operations the model is.
    pub fn checker(&self, facts: &Facts) -> Result<&'static CheckerEntry, String> {
        let mut entries = self.checkers.iter().filter_map(|name| all().find(|entry| entry.name == *name));
        entries.find(|entry| facts.are_of(entry.on)).ok_or_else(|| {
            let fs: Vec<&str> = facts.fs.iter().map(String::as_str).collect();
            format!(
                "no checker decides the model {} for the operations {}: {} (see squall list models)",
                self.name,
                fs.join(", "),
                self.about
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::registry::unless_empty;
    use crate::{History, Op, Process, Type, Valid};

    fn history(ops: &[(&'static str, Value)]) -> History {
        let told = |f: &'static str, value: &Value, kind| {
            Op::new(f).value(value.clone()).kind(kind).process(Process::Client(0))
        };
        ops.iter().flat_map(|(f, value)| [Type::Invoke, Type::Ok].map(|kind| told(f, value, kind))).collect()
    }

    /// No history of long forks was taken by the model long-fork, for they are transactions, and no other model than those of
    /// transactions took any.
    #[test]
    fn every_model_takes_a_history_that_its_checkers_are_for_and_decides_it() {
        let registers = || vec![("write", json!(1)), ("read", json!(1))];
        let keyed = || vec![("write", json!(["x", 1])), ("read", json!(["x", 1]))];
        let lists = || vec![("txn", json!([["append", "x", 1]])), ("txn", json!([["r", "x", [1]]]))];
        let txns =
            || vec![("txn", json!([["w", "x", 1]])), ("txn", json!([["r", "x", 1], ["r", "y", null]]))];
        let lock = || vec![("acquire", json!(null)), ("release", json!(null))];
        let heap = || vec![("insert", json!(1)), ("poll", json!(1))];
        let mut histories: BTreeMap<&str, Vec<(&'static str, Value)>> = [
            ("multi-register", txns()),
            ("kv", vec![("put", json!(["x", "a"])), ("get", json!(["x", "a"]))]),
            ("mutex", lock()),
            ("semaphore", lock()),
            ("queue", vec![("enqueue", json!(1)), ("dequeue", json!(1))]),
            ("stack", vec![("push", json!(1)), ("pop", json!(1))]),
            ("priority-queue", heap()),
            ("max-priority-queue", heap()),
            ("set", vec![("add", json!(1)), ("read", json!([1]))]),
            ("counter", vec![("add", json!(1)), ("read", json!(1))]),
            ("list-append", lists()),
            ("bank", vec![("read", json!({"a": 1, "b": 2}))]),
            ("unique-ids", vec![("generate", json!(1))]),
            (
                "kafka",
                vec![("send", json!([["send", 0, [0, 1]]])), ("poll", json!([["poll", {"0": [[0, 1]]}]]))],
            ),
            ("watch", vec![("write", json!(1)), ("watch", json!([1]))]),
            ("total-queue", vec![("enqueue", json!(1)), ("drain", json!([1]))]),
        ]
        .into();
        for model in MODELS {
            let of_txns = |name: &&str| name.starts_with("append") || name.starts_with("rw-register");
            let ops = histories.remove(model.name).map(|ops| vec![ops]).unwrap_or_else(|| match model.name {
                "long-fork" => vec![txns()],
                "rw-register" => vec![txns(), keyed()],
                _ if model.checkers.iter().any(of_txns) => vec![lists(), txns(), keyed()],
                _ => vec![registers(), keyed()],
            });
            for ops in ops {
                let history = history(&ops);
                let facts = Facts::of(&history);
                let entry = model.checker(&facts).unwrap();
                let verdict = unless_empty((entry.build)(&facts).check(&history), &facts);
                assert_eq!(verdict.valid, Valid::True, "{} of {ops:?}: {}", model.name, verdict.summary);
            }
        }
        assert!(histories.is_empty(), "{histories:?}");
    }

    /// Lists of checkers ended in names that no history came to: all but the last must leave some history to the next.
    #[test]
    fn every_checker_of_a_model_decides_some_history() {
        let operations =
            ["write", "add", "contains", "enqueue", "acquire", "poll", "put", "watch", "generate"];
        let mut kinds: Vec<Facts> = operations.map(|f| Facts::of(&history(&[(f, json!(1))]))).into();
        for value in [json!([["w", 1, 1]]), json!([["append", 1, 1]]), json!([["send", 1, 1]])] {
            kinds.push(Facts::of(&history(&[("txn", value)])));
        }
        kinds.push(Facts::of(&history(&[("write", json!(["x", 1]))])));
        for model in MODELS {
            for name in model.checkers {
                let decides = |facts: &Facts| model.checker(facts).is_ok_and(|entry| entry.name == *name);
                assert!(kinds.iter().any(decides), "{name} of {}", model.name);
            }
        }
    }
}
