//! `append`: transactions that append to lists and read them.
//!
//! # What it does
//!
//! A transaction is a list of one to four micro-operations, `["append", k, v]` or `["r", k, null]`, half of each, which
//! a client completes as the same list with what each read returned. The value of an append is unique for its key: 1,
//! 2, 3, …
//!
//! # Why lists
//!
//! Elle's insight (Kingsbury and Alvaro, VLDB 2020): a register forgets, a list does not. Whoever reads `[3, 1, 2]` knows
//! which appends came before, and in which order. So the version order of each key is read off the results, and with it
//! all dependencies between transactions: who overwrote whom, who read from whom, who read before whom wrote. A
//! cycle among them is an anomaly, and its kinds of edges tell which one; that takes linear time where a search over
//! serial orders takes exponential time.
//!
//! # Which keys
//!
//! A window of ten keys is active. A transaction draws its keys from it with probabilities 1, 2, 4, … 512 in 1023: the
//! hot ones make conflicts, which show anomalies, and the cold ones live long, which ties distant transactions together.
//! A key that was appended to often enough (half of [`Options::ops_per_key`], at most 256) makes way for a fresh one, so
//! that lists stay short and reads cheap.
//!
//! # The end
//!
//! When the cluster is healed, each thread reads the 32 youngest keys in one transaction, until that succeeds, at most
//! ten times. So appends that were acknowledged late and lost are missed, and nodes that disagree are found.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng as _;
use squall_checkers::{Append, Op, Stats, Value};

use super::{Options, Workload};
use crate::generator::{Context, GeneratorExt as _, from_fn};

/// Active keys.
const WINDOW: u64 = 10;

/// Most micro-operations in a transaction.
const MOPS_MAX: usize = 4;

/// Most appends to a key.
const APPENDS_MAX: u64 = 256;

/// Keys that are read at the end.
const FINAL_KEYS: u64 = 32;

/// Appends to each active key so far, and the key that comes next.
#[derive(Debug)]
struct Keys {
    active: Vec<(u64, u64)>,
    next: u64,
    appends_max: u64,
}

impl Keys {
    fn new(appends_max: u64) -> Keys {
        Keys { active: (0..WINDOW).map(|key| (key, 0)).collect(), next: WINDOW, appends_max }
    }

    fn mop(&mut self, ctx: &mut Context<'_>) -> Value {
        // Of the tickets 1 to 2^10 - 1, slot i has 2^i.
        let slot = ctx.rng.random_range(1..1_u64 << WINDOW).ilog2() as usize;
        let (key, appends) = &mut self.active[slot];
        if ctx.rng.random_bool(0.5) {
            return read(*key);
        }
        *appends += 1;
        let mop = Value::Array(vec!["append".into(), (*key).into(), (*appends).into()]);
        if *appends >= self.appends_max {
            self.active[slot] = (self.next, 0);
            self.next += 1;
        }
        mop
    }

    fn txn(&mut self, ctx: &mut Context<'_>) -> Op {
        let mops = ctx.rng.random_range(1..=MOPS_MAX);
        Op::new("txn").value((0..mops).map(|_| self.mop(ctx)).collect::<Vec<_>>())
    }

    fn read_youngest(&self) -> Op {
        let keys = self.next.saturating_sub(FINAL_KEYS)..self.next;
        Op::new("txn").value(keys.map(read).collect::<Vec<_>>())
    }
}

fn read(key: u64) -> Value {
    Value::Array(vec!["r".into(), key.into(), Value::Null])
}

/// List-append transactions; op set `txn`.
pub fn append(options: &Options) -> Workload {
    let appends_max = (options.ops_per_key as u64 / 2).clamp(1, APPENDS_MAX);
    let keys = Arc::new(Mutex::new(Keys::new(appends_max)));
    let end = keys.clone();
    let main = from_fn(move |ctx| keys.lock().unwrap_or_else(PoisonError::into_inner).txn(ctx));
    let last = from_fn(move |_| end.lock().unwrap_or_else(PoisonError::into_inner).read_youngest());
    let last = last.delay(Duration::from_millis(500)).until_ok().limit(10).each_thread();
    Workload::new("append", main)
        .op_set("txn")
        .finally(last)
        .check(Box::new(Append::default()))
        .check(Box::new(Stats))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use squall_checkers::{Valid, Verdict};

    use super::*;
    use crate::client::{AtomClient, Fault};
    use crate::generator::{Simulation, assert_text, clients};
    use crate::workload::testing::{simulate, test_options};

    #[test]
    fn transactions_look_like_this() {
        let workload = append(&test_options(2, 3, 4));
        let schedule = Simulation::new(2).run(clients(workload.generator.limit(8))).unwrap();
        assert_text(
            &schedule,
            "
                0.000 2 1 txn [[\"r\",9,null],[\"append\",9,1],[\"append\",6,1],[\"r\",9,null]]
                0.000 1 0 txn [[\"append\",8,1],[\"append\",7,1]]
                1.000 2 1 txn [[\"append\",7,2],[\"append\",8,2],[\"append\",10,1],[\"append\",11,1]]
                1.000 1 0 txn [[\"r\",11,null]]
                2.000 1 0 txn [[\"r\",9,null],[\"append\",11,2],[\"r\",9,null]]
                2.000 2 1 txn [[\"r\",9,null],[\"r\",6,null],[\"append\",9,2]]
                3.000 1 0 txn [[\"r\",13,null],[\"append\",13,1],[\"r\",12,null],[\"r\",13,null]]
                3.000 2 1 txn [[\"append\",13,2]]
            ",
        );
    }

    #[test]
    fn each_thread_reads_the_youngest_keys_at_the_end() {
        let workload = append(&test_options(2, 3, 4));
        let all = clients(workload.generator.limit(100).then(workload.final_generator.unwrap()));
        let schedule = Simulation::new(2).run(all).unwrap();
        let last: Vec<&Op> = schedule.invocations().skip(100).collect();
        assert_eq!(last.len(), 2);
        assert_eq!(last[0].value, last[1].value);
        let keys: Vec<u64> =
            last[0].value.as_array().unwrap().iter().map(|mop| mop[1].as_u64().unwrap()).collect();
        assert_eq!(keys.len(), 32);
        let youngest = schedule.invocations().take(100).flat_map(|op| op.value.as_array().unwrap());
        assert!(youngest.map(|mop| mop[1].as_u64().unwrap()).max() <= keys.last().copied());
    }

    #[test]
    fn keys_retire_and_values_are_unique() {
        let workload = append(&test_options(5, 3, 40));
        let schedule = Simulation::new(5).run(clients(workload.generator.limit(3000))).unwrap();
        let mut appended: HashMap<u64, HashSet<u64>> = HashMap::new();
        for op in schedule.invocations() {
            let mops = op.value.as_array().unwrap();
            assert!((1..=MOPS_MAX).contains(&mops.len()));
            for mop in mops.iter().filter(|mop| mop[0] == "append") {
                let values = appended.entry(mop[1].as_u64().unwrap()).or_default();
                assert!(values.insert(mop[2].as_u64().unwrap()), "{mop} twice");
            }
        }
        assert!(appended.values().all(|values| values.len() <= 20));
        let full = appended.values().filter(|values| values.len() == 20).count();
        assert!(full > 100, "{full} keys retired in 3,000 transactions");
    }

    fn judge(fault: Fault) -> Verdict {
        let options = test_options(10, 5, 100);
        simulate(&options, append(&options), &AtomClient::with_fault(fault), 1000.0, 400).1
    }

    #[test]
    fn a_correct_store_passes() {
        let verdict = judge(Fault::None);
        assert_eq!(verdict.valid, Valid::True, "{verdict:?}");
    }

    #[test]
    fn stale_reads_and_lost_appends_are_found() {
        assert_eq!(judge(Fault::StaleRead(50)).valid, Valid::False);
        assert_eq!(judge(Fault::LostWrite(50)).valid, Valid::False);
    }
}
