//! On which key: independent keys, as in Jepsen's `independent`.
//!
//! Checking linearizability takes short histories, and a test should be long. So the test is cut into many keys, each
//! with a generator of its own that knows nothing of keys; the value `v` of its operations becomes `[k, v]`, and the
//! events that it sees are unwrapped again.

use std::sync::{Arc, Mutex, PoisonError};

use squall_checkers::{Op, Value};

use super::lanes::Lanes;
use super::{Context, Generator, Next, Threads};

/// Keys in a row that may have no operation before we take it that none ever will.
const EMPTY_MAX: usize = 1000;

/// Keys that were not begun yet, and the generator of each.
struct Source<I, F> {
    keys: I,
    make: F,
}

impl<K, I, G, F> Source<I, F>
where
    K: Into<Value>,
    I: Iterator<Item = K>,
    F: FnMut(&Value) -> G,
{
    fn next(&mut self) -> Option<(Value, G)> {
        let key = self.keys.next()?.into();
        let generator = (self.make)(&key);
        Some((key, generator))
    }
}

/// The key on which somebody works, and its generator.
struct Current<G> {
    key: Value,
    generator: G,
}

impl<G: Generator> Current<G> {
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        match self.generator.next(ctx) {
            Next::Op(mut op) => {
                op.value = Value::Array(vec![self.key.clone(), op.value]);
                Next::Op(op)
            }
            next => next,
        }
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        if let Value::Array(pair) = &event.value
            && let [key, value] = pair.as_slice()
            && *key == self.key
        {
            let event = Op { value: value.clone(), f: event.f.clone(), error: event.error.clone(), ..*event };
            self.generator.update(ctx, &event);
        }
    }
}

/// See [`sequential_keys`].
pub struct SequentialKeys<I, F, G> {
    source: Arc<Mutex<Source<I, F>>>,
    current: Option<Current<G>>,
}

/// One key after the other on all threads, each until its generator is done.
///
/// A key does not wait for the operations of the last one to complete.
pub fn sequential_keys<K, I, G, F>(keys: I, make: F) -> SequentialKeys<I::IntoIter, F, G>
where
    K: Into<Value>,
    I: IntoIterator<Item = K, IntoIter: Send>,
    G: Generator,
    F: FnMut(&Value) -> G + Send,
{
    SequentialKeys::new(Arc::new(Mutex::new(Source { keys: keys.into_iter(), make })))
}

impl<I, F, G> SequentialKeys<I, F, G> {
    fn new(source: Arc<Mutex<Source<I, F>>>) -> SequentialKeys<I, F, G> {
        SequentialKeys { source, current: None }
    }
}

impl<K, I, F, G> Generator for SequentialKeys<I, F, G>
where
    K: Into<Value>,
    I: Iterator<Item = K> + Send,
    G: Generator,
    F: FnMut(&Value) -> G + Send,
{
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        for _ in 0..EMPTY_MAX {
            if self.current.is_none() {
                let next = self.source.lock().unwrap_or_else(PoisonError::into_inner).next();
                self.current = next.map(|(key, generator)| Current { key, generator });
            }
            let Some(current) = &mut self.current else { return Next::Done };
            match current.next(ctx) {
                Next::Done => self.current = None,
                next => return next,
            }
        }
        Next::Done
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        // Late events of an earlier key are nobody's business any more.
        if let Some(current) = &mut self.current {
            current.update(ctx, event);
        }
    }
}

/// See [`concurrent_keys`].
pub struct ConcurrentKeys<I, F, G> {
    threads_per_key: usize,
    source: Arc<Mutex<Source<I, F>>>,
    groups: Option<Lanes<SequentialKeys<I, F, G>>>,
}

/// Several keys at once, each on a group of threads; when a key's generator is done, its group begins the next key.
/// Done when the keys are used up and every group is done with its last one.
///
/// The client threads of the context are cut into groups of `threads_per_key` (at least 1). Threads that are left over
/// join the groups one by one, so that none is idle; if there are too few for one group, they all make one.
pub fn concurrent_keys<K, I, G, F>(
    threads_per_key: usize,
    keys: I,
    make: F,
) -> ConcurrentKeys<I::IntoIter, F, G>
where
    K: Into<Value>,
    I: IntoIterator<Item = K, IntoIter: Send>,
    G: Generator,
    F: FnMut(&Value) -> G + Send,
{
    let source = Arc::new(Mutex::new(Source { keys: keys.into_iter(), make }));
    ConcurrentKeys { threads_per_key, source, groups: None }
}

/// Cuts the client threads into consecutive groups of `size` or a little more.
fn groups(threads: &Threads, size: usize) -> Vec<Threads> {
    let threads = threads.and(&Threads::clients());
    let (all, size) = (threads.len(), size.max(1));
    let count = (all / size).max(1);
    let mut left = threads.iter();
    (0..count).map(|i| left.by_ref().take(all / count + usize::from(i < all % count)).collect()).collect()
}

impl<K, I, F, G> Generator for ConcurrentKeys<I, F, G>
where
    K: Into<Value>,
    I: Iterator<Item = K> + Send,
    G: Generator,
    F: FnMut(&Value) -> G + Send,
{
    fn next(&mut self, ctx: &mut Context<'_>) -> Next {
        self.groups
            .get_or_insert_with(|| {
                let groups = groups(&ctx.threads, self.threads_per_key);
                let source = &self.source;
                Lanes::new(ctx, groups.into_iter().map(|group| (group, SequentialKeys::new(source.clone()))))
            })
            .next(ctx)
    }

    fn update(&mut self, ctx: &mut Context<'_>, event: &Op) {
        if let Some(groups) = &mut self.groups {
            groups.update(ctx, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulate::{assert_schedule, assert_text};
    use super::super::{Reply, Simulation, clients, forever, nothing, ops};
    use super::*;

    fn three(_: &Value) -> impl Generator + use<> {
        ops((1..=3).map(|v| Op::new("write").value(v)))
    }

    #[test]
    fn keys_one_after_the_other() {
        assert_schedule(
            &Simulation::new(2),
            clients(sequential_keys(["x", "y"], three)),
            "
                0.000 2 1 write [\"x\",1]
                0.000 1 0 write [\"x\",2]
                1.000 2 1 write [\"x\",3]
                1.000 1 0 write [\"y\",1]
                2.000 1 0 write [\"y\",2]
                2.000 2 1 write [\"y\",3]
            ",
        );
    }

    #[test]
    fn keys_side_by_side() {
        assert_schedule(
            &Simulation::new(4),
            concurrent_keys(2, 0..3, three),
            "
                0.000 2 1 write [0,1]
                0.000 3 2 write [1,1]
                0.000 1 0 write [0,2]
                0.000 4 3 write [1,2]
                1.000 2 1 write [0,3]
                1.000 4 3 write [1,3]
                1.000 3 2 write [2,1]
                2.000 3 2 write [2,2]
                2.000 4 3 write [2,3]
            ",
        );
    }

    #[test]
    fn no_thread_is_left_over() {
        let sizes =
            |clients, size| groups(&Threads::all(clients), size).iter().map(Threads::len).collect::<Vec<_>>();
        assert_eq!(sizes(10, 5), [5, 5]);
        assert_eq!(sizes(11, 3), [4, 4, 3]);
        assert_eq!(sizes(3, 10), [3]);
        assert_eq!(sizes(2, 0), [1, 1]);
    }

    /// Reads until a read of 7 comes back.
    struct UntilSeven(bool);

    impl Generator for UntilSeven {
        fn next(&mut self, ctx: &mut Context<'_>) -> Next {
            if self.0 { Next::Done } else { forever(Op::new("read")).next(ctx) }
        }

        fn update(&mut self, _: &mut Context<'_>, event: &Op) {
            self.0 |= event.value == 7;
        }
    }

    #[test]
    fn a_generator_sees_its_own_key_unwrapped() {
        let mut value = 4;
        let schedule = Simulation::new(1)
            .run_with(clients(sequential_keys(0..2, |_: &Value| UntilSeven(false))), |op, _| {
                value += 1;
                // The third read of key 0 gives 7, and so does the sixth, the third of key 1.
                let read = if value == 10 { 7 } else { value };
                Reply::value(serde_json::json!([op.value[0], read]))
            })
            .unwrap();
        assert_text(
            &schedule,
            "
                0.000 1 0 read [0,null]
                1.000 1 0 read [0,null]
                2.000 1 0 read [0,null]
                3.000 1 0 read [1,null]
                4.000 1 0 read [1,null]
                5.000 1 0 read [1,null]
            ",
        );
    }

    #[test]
    fn endless_keys_without_operations_end() {
        assert_schedule(&Simulation::new(1), sequential_keys(0.., |_: &Value| nothing()), "");
    }
}
