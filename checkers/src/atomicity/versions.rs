//! How many versions back the reads of a key go.

use std::collections::BTreeSet;

use super::STEPS;
use super::cluster::{Key, Times, conflict};
use crate::{Budget, Spent};

/// What is known of the least k of a key.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) least: u64,
    pub(super) most: u64,
    /// What says that k is no less, if a read does.
    pub(super) proof: Option<Proof>,
    pub(super) steps: u64,
}

/// A read, and the writes that lie between the one that it saw and itself.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) read: u32,
    /// Each with the operation that shows when it had taken effect: itself, or a read of it.
    pub(super) between: Vec<(u32, u32)>,
    /// That operation of the write that the read saw, or `NONE` for the initial value.
    pub(super) saw: u32,
}

/// Bounds on the k of a key, which meet if it is 1 or 2 and often else.
///
/// # Errors
/// What is spent.
pub(super) fn bounds(key: &Key, budget: &Budget) -> Result<Bounds, Spent> {
    budget.ask()?;
    let mut steps = 2 * key.ops.len() as u64;
    if conflict(key, &Times::events(), 0).is_none() {
        return Ok(Bounds { least: 1, most: 1, proof: None, steps });
    }
    let (between, read) = most_between(key);
    let proof = (between > 0).then(|| proof(key, read));
    let (mut least, mut most) = (2.max(1 + between), by_hand(key));
    if least == 2 && most > 2 {
        let mut search = Search::new(key);
        match search.two(STEPS * key.ops.len() as u64, budget)? {
            Some(true) => most = 2,
            Some(false) => least = 3,
            None => {}
        }
        steps += search.steps;
    }
    Ok(Bounds { least, most, proof, steps })
}

/// The most writes that lie wholly between a read and the write that it saw, and which read that is. O(n log n).
fn most_between(key: &Key) -> (u64, usize) {
    let mut starts: Vec<u32> = key.writes.iter().map(|write| write.start).collect();
    starts.sort_unstable();
    // Of the writes that have ended, how many began at each place: a Fenwick tree.
    let mut tree = vec![0u32; starts.len() + 1];
    let mut ended = 0;
    let mut best = (0, 0);
    for (at, read) in key.reads.iter().enumerate() {
        while ended < key.writes.len() && key.writes[ended].end < read.start {
            let mut place = starts.partition_point(|&start| start < key.writes[ended].start) + 1;
            while place < tree.len() {
                tree[place] += 1;
                place += place & place.wrapping_neg();
            }
            ended += 1;
        }
        let mut place = starts.partition_point(|&start| start <= key.writes[read.write as usize].end);
        let mut before = 0;
        while place > 0 {
            before += tree[place];
            place -= place & place.wrapping_neg();
        }
        let between = ended as u64 - u64::from(before);
        if between > best.0 {
            best = (between, at);
        }
    }
    best
}

fn proof(key: &Key, read: usize) -> Proof {
    let read = key.reads[read];
    let saw = key.writes[read.write as usize];
    let between = key.writes.iter().filter(|write| write.start > saw.end && write.end < read.start);
    Proof { read: read.op, between: between.map(|write| (write.op, write.end_op)).collect(), saw: saw.end_op }
}

/// The k of orders made by hand: the writes by end or by start, and each read as early as it can be. Both extend real time,
/// and so does the place of a read: a write after it in time has a greater place than the write that it saw, which
/// had taken effect when the read ended, and than all that ended before it began.
fn by_hand(key: &Key) -> u64 {
    let ends: Vec<u32> = (0..key.writes.len() as u32).collect();
    let mut starts = ends.clone();
    starts.sort_by_key(|&write| key.writes[write as usize].start);
    let mut place = vec![0; ends.len()];
    (0..).zip(&starts).for_each(|(at, &write)| place[write as usize] = at);
    worst(key, &ends).min(worst(key, &place))
}

/// The k of an order of the writes, given as the place of each.
fn worst(key: &Key, place: &[u32]) -> u64 {
    let mut by_end: Vec<usize> = (0..key.reads.len()).collect();
    by_end.sort_unstable_by_key(|&read| key.reads[read].end);
    let mut at = vec![0u32; key.reads.len()];
    let (mut writes, mut reads, mut least, mut worst) = (0, 0, 0, 0);
    for (id, read) in key.reads.iter().enumerate() {
        while writes < key.writes.len() && key.writes[writes].end < read.start {
            least = least.max(place[writes]);
            writes += 1;
        }
        while reads < by_end.len() && key.reads[by_end[reads]].end < read.start {
            least = least.max(at[by_end[reads]]);
            reads += 1;
        }
        let saw = place[read.write as usize];
        at[id] = least.max(saw);
        worst = worst.max(at[id] - saw);
    }
    u64::from(worst) + 1
}

/// The search for an order in which each read returns one of the last two values, from its end.
///
/// The last write is one that does not precede another. What begins after it has ended comes after it, so that
/// these reads return it or all the same other value, whose write is then the one before it, and so on: an *epoch*. If none is
/// demanded, the epoch ends, and what is left can be ordered exactly if all could: what succeeded is never undone.
/// Epochs are tried side by side with growing limits, so that a long failure does not hold up a short success.
struct Search<'a> {
    key: &'a Key,
    by_start: BTreeSet<(u32, u32)>,
    by_end: BTreeSet<(u32, u32)>,
    /// Reads by start.
    reads: BTreeSet<(u32, u32)>,
    /// By write: its reads.
    reads_of: Vec<Vec<u32>>,
    steps: u64,
}

/// How an epoch ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Epoch {
    Fits,
    Fails,
    Long,
}

/// What an epoch took out.
#[derive(Default)]
struct Taken {
    writes: Vec<u32>,
    reads: Vec<u32>,
}

impl<'a> Search<'a> {
    fn new(key: &'a Key) -> Search<'a> {
        let mut reads_of = vec![Vec::new(); key.writes.len()];
        for (id, read) in (0..).zip(&key.reads) {
            reads_of[read.write as usize].push(id);
        }
        Search {
            key,
            by_start: (0..).zip(&key.writes).map(|(id, write)| (write.start, id)).collect(),
            by_end: (0..).zip(&key.writes).map(|(id, write)| (write.end, id)).collect(),
            reads: (0..).zip(&key.reads).map(|(id, read)| (read.start, id)).collect(),
            reads_of,
            steps: 0,
        }
    }

    /// Whether there is such an order; nothing after `cap` steps.
    fn two(&mut self, cap: u64, budget: &Budget) -> Result<Option<bool>, Spent> {
        while let Some(&(start, _)) = self.by_start.last() {
            let last: Vec<u32> =
                self.by_end.iter().rev().take_while(|(end, _)| *end >= start).map(|&(_, id)| id).collect();
            let mut limit = 64;
            loop {
                budget.ask()?;
                let epochs = last.iter().map(|&write| self.epoch(write, limit));
                let mut long = false;
                let mut fits = false;
                for epoch in epochs {
                    long |= epoch == Epoch::Long;
                    if epoch == Epoch::Fits {
                        fits = true;
                        break;
                    }
                }
                if fits {
                    break;
                }
                if !long {
                    return Ok(Some(false));
                }
                if self.steps > cap {
                    return Ok(None);
                }
                limit *= 2;
            }
        }
        Ok(Some(true))
    }

    /// Takes out an epoch that ends with this write, or nothing.
    fn epoch(&mut self, last: u32, limit: u64) -> Epoch {
        let mut taken = Taken::default();
        let result = self.run(last, self.steps + limit, &mut taken);
        if result != Epoch::Fits {
            for write in taken.writes {
                let times = self.key.writes[write as usize];
                self.by_start.insert((times.start, write));
                self.by_end.insert((times.end, write));
            }
            self.reads
                .extend(taken.reads.into_iter().map(|read| (self.key.reads[read as usize].start, read)));
        }
        result
    }

    fn run(&mut self, last: u32, limit: u64, taken: &mut Taken) -> Epoch {
        let mut next = Some(last);
        while let Some(write) = next.take() {
            let times = self.key.writes[write as usize];
            let later = self.by_start.last().is_some_and(|&(start, _)| start > times.end);
            if later || !self.by_start.remove(&(times.start, write)) {
                return Epoch::Fails;
            }
            self.by_end.remove(&(times.end, write));
            taken.writes.push(write);
            while let Some(&(start, read)) = self.reads.last().filter(|(start, _)| *start > times.end) {
                self.steps += 1;
                self.reads.remove(&(start, read));
                taken.reads.push(read);
                let saw = self.key.reads[read as usize].write;
                if saw != write && *next.get_or_insert(saw) != saw {
                    return Epoch::Fails;
                }
            }
            for at in 0..self.reads_of[write as usize].len() {
                let read = self.reads_of[write as usize][at];
                self.steps += 1;
                if self.reads.remove(&(self.key.reads[read as usize].start, read)) {
                    taken.reads.push(read);
                }
            }
            if self.steps > limit && next.is_some() {
                return Epoch::Long;
            }
        }
        Epoch::Fits
    }
}
