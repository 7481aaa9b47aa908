//! `register`: reads, writes and compare-and-set on independent keys.
//!
//! # What it does
//!
//! Each key is a register that starts as `null`. Groups of threads, two for each node (or all, if there are fewer),
//! each work on one key: so every node is asked for the same key at the same time, by a reader and by a writer. Half of
//! a group only read; the others write and compare-and-set. The halves are kept apart because a cluster without a
//! leader holds writers for seconds, while it is just then that a node which has been deposed and does not know it
//! answers reads. After [`Options::ops_per_key`] operations the group goes on with a fresh key.
//!
//! Keys bound the cost of judging: checking linearizability is exponential in the number of concurrent operations at
//! worst, and unknown outcomes stay concurrent for ever. On a fresh key they are forgotten.
//!
//! # Which values
//!
//! Every `write` and every new value of a `cas` is a value that the key never had before: 1, 2, 3, … Jepsen's
//! register draws from 0 to 4 instead, so that a random `cas` succeeds now and then. But then a stale read can pass by
//! chance, because the value has come back since. With unique values a read tells which write it saw. So violations
//! cannot hide, and the same history can be judged for
//! causal consistency and session guarantees, which need to know who read from whom.
//!
//! A `cas` must still succeed often enough to matter. So it expects a value that the key was seen to have recently: one
//! of the last three that an acknowledged read, write or `cas` told of, most often the last. With several writers that is
//! sometimes the present value and sometimes not, and both outcomes are tested.
//!
//! # The end
//!
//! When the cluster is healed, every key (of more than 1,000 the youngest) is read once more, so that writes which were
//! lost when nobody was looking are missed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use squall_checkers::model::Register as Model;
use squall_checkers::{Causal, CausalModel, Linearizable, Op, Session, Stats, Type, Value};

use super::{Options, Workload};
use crate::Generator;
use crate::generator::{
    Context, GeneratorExt as _, concurrent_keys, forever, from_fn, mix_weighted, reserve,
};

/// Values that a `cas` may expect.
const RECENT: usize = 3;

/// How far back a `cas` looks: each as likely as it is often here.
const LOOK_BACK: [usize; 4] = [0, 0, 1, 2];

/// Keys that are read again at the end.
const FINAL_KEYS_MAX: u64 = 1000;

/// What the generator knows of a key.
#[derive(Debug, Default)]
struct Register {
    /// The value written last: values count from 1.
    last: u64,
    /// What it was seen to hold; the `i`-th value seen is at `i % RECENT`.
    recent: [u64; RECENT],
    seen: usize,
}

impl Register {
    fn fresh(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn saw(&mut self, value: u64) {
        self.recent[self.seen % RECENT] = value;
        self.seen += 1;
    }

    /// Takes note of an acknowledged operation.
    fn observe(&mut self, event: &Op) {
        let value = match event.f.as_ref() {
            "read" | "write" => &event.value,
            "cas" => &event.value[1],
            _ => return,
        };
        if let (Type::Ok, Some(value)) = (event.kind, value.as_u64()) {
            self.saw(value);
        }
    }

    fn write(&mut self) -> Op {
        Op::new("write").value(self.fresh())
    }

    /// A `cas` from a value that was seen recently; a write while nothing was seen.
    fn cas(&mut self, ctx: &mut Context<'_>) -> Op {
        let back = *ctx.choose(&LOOK_BACK);
        let Some(at) = self.seen.checked_sub(1 + back.min(self.seen.saturating_sub(1))) else {
            return self.write();
        };
        let old = self.recent[at % RECENT];
        Op::new("cas").value(Value::Array(vec![old.into(), self.fresh().into()]))
    }
}

/// Reads on half of the threads, writes and cas on the others.
fn one_key(threads: usize) -> impl Generator {
    let register = Arc::new(Mutex::new(Register::default()));
    let change = |make: fn(&mut Register, &mut Context<'_>) -> Op| {
        let register = register.clone();
        from_fn(move |ctx| make(&mut register.lock().unwrap_or_else(PoisonError::into_inner), ctx))
    };
    let read = || forever(Op::new("read")).boxed();
    let write = change(|register, _| register.write()).boxed();
    let cas = change(Register::cas).boxed();
    let all = match threads {
        0 | 1 => mix_weighted([(2, read()), (1, write), (1, cas)]).boxed(),
        _ => reserve([(threads / 2, read())], mix_weighted([(1, write), (1, cas)]).boxed()).boxed(),
    };
    all.on_update(move |event| register.lock().unwrap_or_else(PoisonError::into_inner).observe(event))
}

/// Reads, writes and compare-and-set on independent keys; op set `register`.
pub fn register(options: &Options) -> Workload {
    let threads = options.concurrency.min(2 * options.nodes.len()).max(1);
    let ops_per_key = options.ops_per_key.max(1);
    let begun = Arc::new(AtomicU64::new(0));
    let count = begun.clone();
    let keys = (0_u64..).inspect(move |key| count.store(key + 1, Ordering::Relaxed));
    let main = concurrent_keys(threads, keys, move |_| one_key(threads).limit(ops_per_key));
    Workload::new("register", main)
        .finally(last_reads(begun))
        .check(Box::new(Linearizable::new("linearizable", Model).independent()))
        .check(Box::new(Causal::new(CausalModel::Cc)))
        .check(Box::new(Causal::new(CausalModel::Ccv)))
        .check(Box::new(Causal::new(CausalModel::Cm)))
        .check(Box::new(Session::default()))
        .check(Box::new(Stats))
}

/// One thread a key, until it was read or five tries have failed.
fn last_reads(begun: Arc<AtomicU64>) -> impl Generator {
    let mut left = None;
    let keys = std::iter::from_fn(move || {
        let end = begun.load(Ordering::Relaxed);
        left.get_or_insert(end.saturating_sub(FINAL_KEYS_MAX)..end).next()
    });
    concurrent_keys(1, keys, |_| {
        forever(Op::new("read")).delay(Duration::from_millis(200)).until_ok().limit(5)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use squall_checkers::{Valid, Verdict};

    use super::*;
    use crate::client::{AtomClient, Fault};
    use crate::generator::{Reply, Schedule, Simulation, assert_text, clients};
    use crate::workload::testing::{simulate, test_options};

    fn play(concurrency: usize, nodes: usize) -> Schedule {
        let options = test_options(concurrency, nodes, 100);
        simulate(&options, register(&options), &AtomClient::new(), 1000.0, 2000).0
    }

    #[test]
    fn a_key_looks_like_this() {
        let workload = register(&test_options(4, 2, 8));
        let client = AtomClient::new();
        let schedule = Simulation::new(4)
            .run_with(clients(workload.generator.limit(12)), |op, _| Reply::from(client.apply(op)))
            .unwrap();
        assert_text(
            &schedule,
            "
                0.000 3 2 write [0,1]
                0.000 2 1 read [0,null]
                0.000 4 3 write [0,2]
                0.000 1 0 read [0,null]
                1.000 1 0 read [0,null]
                1.000 2 1 read [0,null]
                1.000 4 3 cas [0,[1,3]]
                1.000 3 2 cas [0,[2,4]]
                2.000 1 0 read [1,null]
                2.000 4 3 write [1,1]
                2.000 3 2 write [1,2]
                2.000 2 1 read [1,null]
            ",
        );
    }

    #[test]
    fn values_are_never_written_twice() {
        let schedule = play(10, 5);
        let mut written = HashSet::new();
        for op in schedule.invocations() {
            let value = match op.f.as_ref() {
                "write" => &op.value[1],
                "cas" => &op.value[1][1],
                _ => continue,
            };
            assert!(written.insert((op.value[0].clone(), value.clone())), "{op} writes an old value");
        }
    }

    #[test]
    fn cas_succeeds_and_fails() {
        let schedule = play(10, 5);
        let count = |kind| schedule.events.iter().filter(|op| op.f == "cas" && op.kind == kind).count();
        assert!(count(Type::Ok) > 100 && count(Type::Fail) > 50, "{} {}", count(Type::Ok), count(Type::Fail));
    }

    #[test]
    fn every_key_is_read_at_the_end() {
        let schedule = play(3, 5);
        let last: Vec<&Value> = schedule.invocations().skip(2000).map(|op| &op.value[0]).collect();
        assert_eq!(last.len(), 20);
        assert_eq!(last.iter().collect::<HashSet<_>>().len(), 20);
    }

    #[test]
    fn one_thread_reads_and_writes() {
        let schedule = play(1, 5);
        let fs: HashSet<_> = schedule.invocations().map(|op| op.f.clone()).collect();
        assert_eq!(fs.len(), 3);
    }

    fn judge(fault: Fault) -> Verdict {
        let options = test_options(10, 5, 100);
        simulate(&options, register(&options), &AtomClient::with_fault(fault), 1000.0, 2000).1
    }

    #[test]
    fn a_correct_store_passes() {
        let verdict = judge(Fault::None);
        assert_eq!(verdict.valid, Valid::True, "{verdict:?}");
    }

    #[test]
    fn stale_reads_and_lost_writes_are_found() {
        assert_eq!(judge(Fault::StaleRead(50)).valid, Valid::False);
        assert_eq!(judge(Fault::LostWrite(50)).valid, Valid::False);
    }
}
