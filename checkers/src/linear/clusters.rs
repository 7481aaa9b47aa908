//! Registers whose values are set once each, in near-linear time: Gibbons & Korach ("Testing shared memories", 1997,
//! section 4), here also with compare-and-set.
//!
//! Where each value is set once, a read says which operation it follows. What sets a value and the reads of it form a
//! *cluster*. In any order that a register allows nothing sets another value between the two, so a cluster is
//! contiguous; and a cas that replaced a value is next to that value's cluster, so that a chain of cas is one *block*,
//! in which the clusters stand in the order of the chain. Hence an order of all operations exists exactly if
//!
//! 1. every block has one that respects real time: no operation ends before one of an earlier group of its block
//!    begins, where the groups are the setter, its reads, the next setter, its reads …;
//! 2. the blocks can be ordered. Block A must precede B where some operation of A ends before one of B begins: where
//!    A's first end `a.end` is before B's last start `b.start`. This relation is acyclic exactly if no two blocks must
//!    precede each other: take a shortest longer cycle, in it the block A with the first end of all, P before it and
//!    Q before P. P precedes A. And `a.end <= q.end < p.start`, so A precedes P: a cycle of two.
//!
//! Two blocks must precede each other exactly if their zones, from the first end to the last start, overlap, or if one
//! ends after all its starts and lies inside the other's zone.
//!
//! Crashed setters may be left out where nobody observed their values but crashed setters that are left out too: every
//! order stays legal without them. Other crashed setters have no end.

use super::meter::Limit;
use crate::Budget;
use crate::near::partition_near;

/// A time that never comes, and no cluster.
pub(crate) const NONE: u32 = u32::MAX;

/// What sets a value, and the reads of it. Times are positions in the history from 1 up; 0 is before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster {
    pub(crate) object: u32,
    /// The cluster whose value the setter replaced, if it is a cas.
    pub(crate) from: u32,
    /// When the setter began; [`NONE`] where there is none.
    pub(crate) called: u32,
    /// When it ended; [`NONE`] where it crashed.
    pub(crate) returned: u32,
    /// When the first read ended; [`NONE`] where there is none.
    pub(crate) first_end: u32,
    /// When the last read began; 0 where there is none.
    pub(crate) last_start: u32,
}

impl Cluster {
    /// Of a value that nobody set yet.
    pub(crate) fn new(object: u32) -> Cluster {
        Cluster { object, from: NONE, called: NONE, returned: NONE, first_end: NONE, last_start: 0 }
    }

    /// Of the initial value.
    pub(crate) fn initial(object: u32) -> Cluster {
        Cluster { called: 0, returned: 0, ..Cluster::new(object) }
    }

    /// One more read.
    #[inline]
    pub(crate) fn read(&mut self, called: u32, returned: u32) {
        self.first_end = self.first_end.min(returned);
        self.last_start = self.last_start.max(called);
    }

    fn set(&self) -> bool {
        self.called != NONE
    }
}

/// From the first end to the last start of a block's operations.
#[derive(Clone, Copy, Debug)]
struct Zone {
    end: u32,
    start: u32,
}

impl Zone {
    const EMPTY: Zone = Zone { end: NONE, start: 0 };

    /// With a cluster that comes after what is in it; nothing if that cannot respect real time.
    #[inline]
    fn with(self, cluster: &Cluster) -> Option<Zone> {
        let start = self.start.max(cluster.called);
        let legal = cluster.returned >= self.start && cluster.first_end >= start;
        let end = self.end.min(cluster.returned).min(cluster.first_end);
        legal.then_some(Zone { end, start: start.max(cluster.last_start) })
    }
}

/// Bytes that [`illegal`] takes for each cluster.
pub(crate) const BYTES_PER_CLUSTER: usize = size_of::<Zone>() + size_of::<(u32, Zone)>() + 8;

/// For each of so many objects whether its operations have no order.
///
/// Clusters that need not be in one are taken out.
pub(crate) fn illegal(clusters: &mut [Cluster], objects: usize, budget: &Budget) -> Result<Vec<bool>, Limit> {
    let mut illegal = vec![false; objects];
    let chained = clusters.iter().any(|cluster| cluster.from != NONE);
    let next = if chained { chain(clusters, &mut illegal) } else { Vec::new() };
    budget.ask()?;
    let mut zones = Zones::new(clusters, objects);
    let mut placed = 0;
    for at in 0..clusters.len() {
        let cluster = clusters[at];
        let object = cluster.object as usize;
        if !cluster.set() {
            illegal[object] |= cluster.last_start > 0;
        } else if cluster.from == NONE && (cluster.returned != NONE || used(at, clusters, &next)) {
            let (zone, length) = block(at, clusters, &next);
            placed += length;
            match zone {
                Some(zone) => zones.take(object, zone),
                None => illegal[object] = true,
            }
        }
    }
    if chained && placed < clusters.iter().filter(|cluster| cluster.set()).count() {
        unplaced(clusters, &next, &mut illegal);
    }
    budget.ask()?;
    zones.judge(&mut illegal);
    Ok(illegal)
}

/// Whether somebody observed the value of this cluster.
fn used(at: usize, clusters: &[Cluster], next: &[u32]) -> bool {
    clusters[at].last_start > 0 || next.get(at).is_some_and(|&next| next != NONE)
}

/// For each cluster the one that replaced it. Takes out what crashed and nobody observed.
fn chain(clusters: &mut [Cluster], illegal: &mut [bool]) -> Vec<u32> {
    // What returned, what was read and what was replaced by one of these must be in an order.
    let mut needed = vec![false; clusters.len()];
    for (mut at, cluster) in clusters.iter().enumerate() {
        let observed = cluster.returned != NONE || cluster.last_start > 0;
        while cluster.set() && observed && !needed[at] {
            needed[at] = true;
            match clusters[at].from {
                NONE => break,
                from => at = from as usize,
            }
        }
    }
    for (cluster, _) in clusters.iter_mut().zip(needed).filter(|(_, needed)| !needed) {
        (cluster.called, cluster.from) = (NONE, NONE);
    }
    let mut next = vec![NONE; clusters.len()];
    for (at, cluster) in clusters.iter().enumerate().filter(|(_, cluster)| cluster.from != NONE) {
        // A value that is replaced never comes back: two cannot replace it, and nobody can one that nobody set.
        let before = &mut next[cluster.from as usize];
        illegal[cluster.object as usize] |= *before != NONE || !clusters[cluster.from as usize].set();
        *before = at as u32;
    }
    next
}

/// The zone of the block that begins with this cluster, where it can be ordered, and how many clusters it has.
#[inline]
fn block(root: usize, clusters: &[Cluster], next: &[u32]) -> (Option<Zone>, usize) {
    let (mut zone, mut length) = (Some(Zone::EMPTY), 0);
    let mut at = root;
    loop {
        zone = zone.and_then(|zone| zone.with(&clusters[at]));
        length += 1;
        match next.get(at) {
            // A chain is no longer than all clusters: each has one predecessor, and the root has none.
            Some(&after) if after != NONE => at = after as usize,
            _ => return (zone, length),
        }
    }
}

/// Convicts the objects whose clusters are in no block: they replace each other in a circle.
fn unplaced(clusters: &[Cluster], next: &[u32], illegal: &mut [bool]) {
    let mut placed = vec![false; clusters.len()];
    for (root, _) in clusters.iter().enumerate().filter(|(_, cluster)| cluster.set() && cluster.from == NONE)
    {
        let mut at = root;
        while !placed[at] {
            placed[at] = true;
            if next[at] != NONE {
                at = next[at] as usize;
            }
        }
    }
    for (cluster, _) in clusters.iter().zip(placed).filter(|(cluster, placed)| cluster.set() && !placed) {
        illegal[cluster.object as usize] = true;
    }
}

/// The zones of blocks, by object.
struct Zones {
    /// Those whose first end comes first: object by object. The others fit into any moment.
    forward: Vec<Zone>,
    /// Where each object's lie: begin, and end as far as it is filled.
    ranges: Vec<(u32, u32)>,
    backward: Vec<(u32, Zone)>,
}

impl Zones {
    fn new(clusters: &[Cluster], objects: usize) -> Zones {
        // A block is forward only if it has a read or a second cluster.
        let mut counts = vec![0u32; objects];
        let mut single = 0;
        for cluster in clusters.iter().filter(|cluster| cluster.set()) {
            counts[cluster.object as usize] += 1;
            single += usize::from(
                cluster.last_start == 0 || cluster.last_start < cluster.returned.min(cluster.first_end),
            );
        }
        let mut begin = 0;
        let mut ranges = Vec::with_capacity(objects);
        for count in counts {
            ranges.push((begin, begin));
            begin += count;
        }
        Zones { forward: vec![Zone::EMPTY; begin as usize], ranges, backward: Vec::with_capacity(single) }
    }

    #[inline]
    fn take(&mut self, object: usize, zone: Zone) {
        if zone.end < zone.start {
            let end = &mut self.ranges[object].1;
            self.forward[*end as usize] = zone;
            *end += 1;
        } else {
            self.backward.push((object as u32, zone));
        }
    }

    fn judge(mut self, illegal: &mut [bool]) {
        for (object, &(begin, end)) in self.ranges.iter().enumerate() {
            let zones = &mut self.forward[begin as usize..end as usize];
            sort(zones);
            illegal[object] |= zones.windows(2).any(|pair| pair[0].start >= pair[1].end);
        }
        let mut hints = vec![0usize; self.ranges.len()];
        for &(object, zone) in &self.backward {
            let object = object as usize;
            let (begin, end) = self.ranges[object];
            let forward = &self.forward[begin as usize..end as usize];
            // The first zone that is not over when the block's last operation begins.
            let at = partition_near(forward, hints[object], |hold| hold.start < zone.start);
            hints[object] = at;
            illegal[object] |=
                forward.get(at).is_some_and(|hold| hold.end < zone.start && zone.end < hold.start);
        }
    }
}

/// Sorts by end, in linear time where the zones are nearly in order, as they mostly are.
fn sort(zones: &mut [Zone]) {
    let mut moves_left = 8 * zones.len();
    for at in 1..zones.len() {
        let zone = zones[at];
        let mut to = at;
        while to > 0 && zones[to - 1].end > zone.end && moves_left > 0 {
            zones[to] = zones[to - 1];
            to -= 1;
            moves_left -= 1;
        }
        zones[to] = zone;
        if moves_left == 0 {
            zones.sort_unstable_by_key(|zone| zone.end);
            return;
        }
    }
}
