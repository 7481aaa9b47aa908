use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::counts::{BySender, Counts};
use super::shaper::Shaper;

/// What happens to what each sender says, and what happened. Times are since it was made.
pub(super) struct Lines {
    start: Instant,
    by_sender: HashMap<IpAddr, Line>,
    /// How often the flows were set.
    era: u64,
    /// Whose profile is another, or none, since that was asked last.
    changed: HashSet<IpAddr>,
}

/// That of one sender.
pub(super) struct Line {
    pub(super) shaper: Shaper,
    /// But for the time for which packets were held: see `held`.
    pub(super) counts: Counts,
    /// By the era in which they came.
    held: BTreeMap<u64, Tally>,
}

/// For how long some packets were held.
#[derive(Clone, Copy, Default)]
struct Tally {
    /// Those that went on.
    gone: Duration,
    /// How many are still held, and the sum of the times when they came.
    waiting: u32,
    came: Duration,
}

/// What a held packet is entered as.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) from: IpAddr,
    era: u64,
    came: Duration,
}

impl Lines {
    pub(super) fn new() -> Lines {
        let (by_sender, changed) = Default::default();
        Lines { start: Instant::now(), by_sender, era: 0, changed }
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// From now on each sender's packets have what its shaper says, and those of others pass. Who has the same profile as
    /// before keeps the shaper, with what it has drawn so far. What was counted stays; what that is at this moment is told.
    pub(super) fn set(&mut self, shapers: impl IntoIterator<Item = (IpAddr, Shaper)>) -> BySender {
        let counts = self.counts(self.start.elapsed());
        let mut before = std::mem::take(&mut self.by_sender);
        self.era += 1;
        for (from, shaper) in shapers {
            let mut line = match before.remove(&from) {
                // What is on its way still takes the line.
                Some(line) if line.shaper.profile() == shaper.profile() => line,
                Some(line) => {
                    self.changed.insert(from);
                    Line { shaper, ..line }
                }
                None => Line { shaper, counts: Counts::default(), held: BTreeMap::new() },
            };
            line.held.insert(self.era, Tally::default());
            self.by_sender.insert(from, line);
        }
        self.changed.extend(before.into_keys());
        counts
    }

    /// By sender, with the time for which packets have been held until now.
    pub(super) fn counts(&self, now: Duration) -> BySender {
        let of = |line: &Line| Counts {
            held_us: line.held.values().map(|tally| tally.held(now).as_micros() as u64).collect(),
            ..line.counts.clone()
        };
        self.by_sender.iter().map(|(from, line)| (*from, of(line))).collect()
    }

    pub(super) fn get_mut(&mut self, from: IpAddr) -> Option<&mut Line> {
        self.by_sender.get_mut(&from)
    }

    /// A packet is held from now on.
    pub(super) fn hold(&mut self, from: IpAddr, came: Duration) -> Entry {
        let era = self.era;
        if let Some(line) = self.by_sender.get_mut(&from) {
            line.counts.delayed += 1;
            let tally = line.held.entry(era).or_default();
            tally.waiting += 1;
            tally.came += came;
        }
        Entry { from, era, came }
    }

    /// It goes on. (Nothing is counted any more for a sender that was left alone meanwhile.)
    pub(super) fn release(&mut self, entry: Entry, now: Duration) {
        let line = self.by_sender.get_mut(&entry.from);
        let Some(tally) = line.and_then(|line| line.held.get_mut(&entry.era)) else { return };
        tally.waiting -= 1;
        tally.came -= entry.came;
        tally.gone += now.saturating_sub(entry.came);
    }

    /// Whose held packets must be looked at again; they are told once.
    pub(super) fn changed(&mut self) -> HashSet<IpAddr> {
        std::mem::take(&mut self.changed)
    }
}

impl Tally {
    fn held(&self, now: Duration) -> Duration {
        self.gone + (now * self.waiting).saturating_sub(self.came)
    }
}

#[cfg(test)]
mod tests {
    use super::super::shaper::Fate;
    use super::*;

    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const SECOND: Duration = Duration::from_secs(1);

    fn shaper(profile: &str) -> [(IpAddr, Shaper); 1] {
        [(FROM, Shaper::new(profile.parse().unwrap(), 1))]
    }

    fn held_us(counts: &BySender) -> u64 {
        counts[&FROM].held_us.iter().sum()
    }

    /// What was told was the time for which a packet was to be held, when it had hardly come.
    #[test]
    fn a_packet_was_held_until_it_went_on_or_until_now() {
        let mut lines = Lines::new();
        lines.set(shaper("delay=20s"));
        let first = lines.hold(FROM, SECOND);
        lines.hold(FROM, SECOND * 3);
        assert_eq!(held_us(&lines.counts(SECOND * 4)), 3_000_000 + 1_000_000);
        lines.release(first, SECOND * 5);
        assert_eq!(held_us(&lines.counts(SECOND * 6)), 4_000_000 + 3_000_000);
    }

    /// Those that came before a fault are not its own, however long they are held still.
    #[test]
    fn packets_count_for_what_was_in_force_when_they_came() {
        let mut lines = Lines::new();
        lines.set(shaper("delay=20s"));
        let old = lines.hold(FROM, SECOND);
        let before = lines.set(shaper("delay=30s")).remove(&FROM).unwrap();
        lines.hold(FROM, SECOND * 2);
        let since = |lines: &Lines, now| lines.counts(now).remove(&FROM).unwrap() - before.clone();
        for (now, told) in [(SECOND * 4, 2_000_000), (SECOND * 12, 10_000_000)] {
            let own = since(&lines, now);
            assert_eq!((own.delayed, own.held_us.iter().sum::<u64>()), (1, told));
        }
        lines.release(old, SECOND * 20);
        assert_eq!(since(&lines, SECOND * 21).held_us.iter().sum::<u64>(), 19_000_000);
        assert_eq!(held_us(&lines.counts(SECOND * 21)), 19_000_000 + 19_000_000);
    }

    /// Whatever changed for another sender, the line was free again at once, and passed more than its rate.
    #[test]
    fn a_line_that_stays_as_it_was_is_no_sooner_free() {
        let mut lines = Lines::new();
        let other = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
        let arrives = |lines: &mut Lines| match lines.get_mut(FROM).unwrap().shaper.fate(0, 1000, 980) {
            Fate::Arrives { at_ns, .. } => Duration::from_nanos(at_ns),
            Fate::Lost => panic!("nothing is lost"),
        };
        lines.set(shaper("rate=8kbit"));
        assert_eq!(arrives(&mut lines), SECOND);
        let both =
            shaper("rate=8kbit").into_iter().chain([(other, Shaper::new("delay=1s".parse().unwrap(), 2))]);
        lines.set(both);
        assert_eq!(arrives(&mut lines), SECOND * 2);
        lines.set(shaper("rate=8kbit"));
        assert_eq!(arrives(&mut lines), SECOND * 3);
        assert_eq!(lines.changed(), HashSet::from([other]));
        // Another profile is another line.
        lines.set(shaper("rate=16kbit"));
        assert_eq!(arrives(&mut lines), SECOND / 2);
    }

    /// A sender that is left alone and comes back is counted from nothing.
    #[test]
    fn what_a_sender_said_before_it_was_left_alone_is_forgotten() {
        let mut lines = Lines::new();
        lines.set(shaper("delay=20s"));
        let old = lines.hold(FROM, SECOND);
        assert!(lines.changed().is_empty());
        lines.set([]);
        assert_eq!(lines.changed(), HashSet::from([FROM]));
        lines.set(shaper("delay=1s"));
        lines.release(old, SECOND * 5);
        assert_eq!(held_us(&lines.counts(SECOND * 6)), 0);
    }
}
