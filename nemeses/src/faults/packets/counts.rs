use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::{AddAssign, Sub};

/// What was done to the packets of each sender.
pub(super) type BySender = BTreeMap<IpAddr, Counts>;

/// What was done to packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) seen: u64,
    pub(super) lost: u64,
    pub(super) delayed: u64,
    /// All time for which packets were held, where that is known, in parts: by what was in force when they came.
    pub(super) held_us: Vec<u64>,
    pub(super) doubled: u64,
    pub(super) corrupted: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.seen += more.seen;
        self.lost += more.lost;
        self.delayed += more.delayed;
        self.held_us.extend(more.held_us);
        self.doubled += more.doubled;
        self.corrupted += more.corrupted;
    }
}

impl Sub for Counts {
    type Output = Counts;

    /// What was added since. The kernel may forget what it counted, so nothing is less than none. Packets that came before
    /// and were held still are not among those that were delayed since, so their time is not counted either.
    fn sub(self, before: Counts) -> Counts {
        Counts {
            seen: self.seen.saturating_sub(before.seen),
            lost: self.lost.saturating_sub(before.lost),
            delayed: self.delayed.saturating_sub(before.delayed),
            held_us: self.held_us.into_iter().skip(before.held_us.len()).collect(),
            doubled: self.doubled.saturating_sub(before.doubled),
            corrupted: self.corrupted.saturating_sub(before.corrupted),
        }
    }
}
