use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use squall_checkers::{Op, Process};

const WORDS: usize = 16;

/// A set of worker threads: thread 0 is the nemesis, thread `i + 1` the client worker `i`.
///
/// A thread is a worker that lasts for the whole run; the process it plays changes after each `info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads([u64; WORDS]);

impl Threads {
    /// The nemesis thread.
    pub const NEMESIS: usize = 0;
    /// The greatest number of client workers.
    pub const CLIENTS_MAX: usize = WORDS * 64 - 1;

    /// No thread.
    pub fn none() -> Threads {
        Threads([0; WORDS])
    }

    /// The nemesis and `clients` client workers (at most [`Threads::CLIENTS_MAX`]).
    pub fn all(clients: usize) -> Threads {
        Threads::range(0, clients + 1)
    }

    /// Every client worker there can be: meet it with a context's threads to have those of the run.
    pub fn clients() -> Threads {
        let mut set = Threads([u64::MAX; WORDS]);
        set.remove(Threads::NEMESIS);
        set
    }

    /// The nemesis thread alone.
    pub fn nemesis() -> Threads {
        Threads::range(0, 1)
    }

    /// Threads `from..to`.
    pub fn range(from: usize, to: usize) -> Threads {
        assert!(to <= WORDS * 64, "at most {} client workers", Threads::CLIENTS_MAX);
        let mut set = Threads::none();
        (from..to).for_each(|thread| set.insert(thread));
        set
    }

    /// Adds a thread.
    pub fn insert(&mut self, thread: usize) {
        self.0[thread / 64] |= 1 << (thread % 64);
    }

    /// Takes a thread out.
    pub fn remove(&mut self, thread: usize) {
        self.0[thread / 64] &= !(1 << (thread % 64));
    }

    /// Whether the thread is in the set.
    pub fn contains(&self, thread: usize) -> bool {
        self.0[thread / 64] & 1 << (thread % 64) != 0
    }

    /// How many threads it holds.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The threads in both sets.
    pub fn and(&self, other: &Threads) -> Threads {
        Threads(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// The threads in this set that are not in the other.
    pub fn minus(&self, other: &Threads) -> Threads {
        Threads(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    /// The threads in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(i, &word)| {
            (0..64).filter(move |bit| word & 1 << bit != 0).map(move |bit| i * 64 + bit)
        })
    }

    /// The `n`-th thread in ascending order, from 0; `None` if the set has fewer.
    pub fn nth(&self, mut n: usize) -> Option<usize> {
        for (i, &word) in self.0.iter().enumerate() {
            let count = word.count_ones() as usize;
            if n < count {
                let mut word = word;
                (0..n).for_each(|_| word &= word - 1);
                return Some(i * 64 + word.trailing_zeros() as usize);
            }
            n -= count;
        }
        None
    }
}

impl FromIterator<usize> for Threads {
    fn from_iter<I: IntoIterator<Item = usize>>(threads: I) -> Threads {
        let mut set = Threads::none();
        threads.into_iter().for_each(|thread| set.insert(thread));
        set
    }
}

/// What a generator may know: the time, which of its threads are free, who plays on them, and a source of randomness.
#[derive(Debug)]
pub struct Context<'a> {
    /// Nanoseconds since the start of the run.
    pub time_ns: u64,
    /// The threads this generator may use.
    pub threads: Threads,
    /// Those of them that are idle.
    pub free: Threads,
    /// The process that each client worker plays, by worker.
    pub processes: &'a [u32],
    /// The only source of randomness. A fixed algorithm, so that a seed means the same on every machine and version.
    pub rng: &'a mut ChaCha8Rng,
}

impl Context<'_> {
    /// The same moment as seen by a generator that may use only `threads`.
    pub fn restrict(&mut self, threads: &Threads) -> Context<'_> {
        Context {
            time_ns: self.time_ns,
            threads: self.threads.and(threads),
            free: self.free.and(threads),
            processes: self.processes,
            rng: self.rng,
        }
    }

    /// The same moment with another source of randomness.
    pub fn with_rng<'b>(&'b self, rng: &'b mut ChaCha8Rng) -> Context<'b> {
        Context {
            time_ns: self.time_ns,
            threads: self.threads,
            free: self.free,
            processes: self.processes,
            rng,
        }
    }

    /// The process that plays on a thread.
    pub fn process(&self, thread: usize) -> Process {
        match thread {
            Threads::NEMESIS => Process::Nemesis,
            client => Process::Client(self.processes[client - 1]),
        }
    }

    /// The thread on which a process plays, unless it was retired.
    pub fn thread(&self, process: Process) -> Option<usize> {
        match process {
            Process::Nemesis => Some(Threads::NEMESIS),
            // Workers take new process ids in steps of the concurrency, so the remainder names the worker.
            Process::Client(id) => {
                let worker = id as usize % self.processes.len().max(1);
                (self.processes.get(worker) == Some(&id)).then_some(worker + 1)
            }
        }
    }

    /// A random free process.
    pub fn pick_process(&mut self) -> Option<Process> {
        let free = self.free.len();
        if free == 0 {
            return None;
        }
        let thread = self.free.nth(self.rng.random_range(0..free))?;
        Some(self.process(thread))
    }

    /// The operation, to be invoked now by a random free process; `None` when no thread is free.
    pub fn fill(&mut self, op: Op) -> Option<Op> {
        let process = self.pick_process()?;
        Some(Op { time_ns: self.time_ns, process, ..op })
    }

    /// A random element of a slice that is not empty.
    pub fn choose<'b, T>(&mut self, items: &'b [T]) -> &'b T {
        items.choose(self.rng).expect("something to choose from")
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn threads_are_a_set() {
        let mut set = Threads::range(0, 70);
        set.remove(64);
        assert_eq!((set.len(), set.contains(63), set.contains(64)), (69, true, false));
        assert_eq!(set.nth(0), Some(0));
        assert_eq!(set.nth(64), Some(65));
        assert_eq!(set.nth(69), None);
        assert_eq!(set.iter().count(), 69);
        assert_eq!(
            set.minus(&Threads::nemesis()).and(&Threads::range(0, 3)).iter().collect::<Vec<_>>(),
            [1, 2]
        );
    }

    #[test]
    fn a_retired_process_has_no_thread() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let all = Threads::all(2);
        let ctx = Context { time_ns: 0, threads: all, free: all, processes: &[0, 3], rng: &mut rng };
        assert_eq!(ctx.thread(Process::Client(0)), Some(1));
        assert_eq!(ctx.thread(Process::Client(1)), None);
        assert_eq!(ctx.thread(Process::Client(3)), Some(2));
        assert_eq!(ctx.process(2), Process::Client(3));
    }
}
