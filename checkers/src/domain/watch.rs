//! Watches: everybody who watches a value sees all its changes, in one order.
//!
//! **Operations** (Jepsen's `etcd.watch`): `write v`, each value once, and `watch` (or `final-watch`), which returns
//! the list of the changes that the process saw since its last watch: each is the value, or `[revision, value]` with
//! a revision that grows. Jepsen's `{"revision": r, "log": [value, …]}` is read as its log. A write may return
//! `[revision, value]` too. A process is a *watcher*: its log is what its acknowledged watches returned, one after
//! the other, from the first change on. Other functions are left out. An operation of unknown outcome is the last of a
//! watcher: a process that goes on is another one, and may begin with any change, for nobody knows what it got meanwhile.
//!
//! Values may be pairs that begin with an integer. Where such are written, a change `[n, x]` is the value `[n, x]`,
//! unless only `x` was written. The verdict is unknown if both were.
//!
//! All logs must be equal, or one the beginning of the other. Jepsen compares them with the one that most have,
//! where all watchers came equally far; else it does not decide. **Failures:**
//! - `divergence`: after the same change two watchers saw different ones: so one of them missed a change or saw it too
//!   late; `divergent-start`: their first changes differ;
//! - `duplicate`: a watcher saw a change twice; `nonmonotonic-watch`: a revision that is not above the last one;
//! - `inconsistent-revisions`: two values have one revision, or one has two;
//! - `gap`: a watcher went from one revision to a higher one, past that of an acknowledged write;
//! - `lost-event`: nobody saw an acknowledged write, but one that began after that was seen;
//! - `reordered-events`: a watcher saw two changes in one order, and their writes were made in the other;
//! - `phantom-event`: a value that nobody had begun to write; `aborted-event`: its write had failed.
//!
//! etcd calls these promises *ordered*, *unique* and *reliable*. `lost-event` and `reordered-events` rest on real
//! time and are looked for where there is one and the logs agree. The verdict is unknown where a watcher lacks the
//! last changes that others saw or that were acknowledged, unless its last operation is of unknown outcome: then it is
//! gone. So let all catch up at the end, as Jepsen's `final-watch` does. A value that was written twice makes it
//! unknown, too.
//!
//! *Why neighbours are enough.* If all logs begin with the same change, and after each change all see the same next
//! one, then all logs are the beginning of one chain. One pass over the logs.

use super::calls::{Calls, NONE, Pass as _, Stop};
use super::findings::{Findings, judged_minimal};
use super::watch_ops::{Event, Link, Seen, Watches, log};
use crate::history::Raw;
use crate::intern::Interner;
use crate::near::partition_near;
use crate::registry::Order;
use crate::{Budget, Checker, History, Verdict};

const NAME: &str = "watch";
const KINDS: [&str; 10] = [
    "divergence",
    "divergent-start",
    "duplicate",
    "nonmonotonic-watch",
    "inconsistent-revisions",
    "gap",
    "lost-event",
    "reordered-events",
    "phantom-event",
    "aborted-event",
];

/// Where there is one of these it is not known in which order the changes came.
const OF_ORDER: [&str; 5] =
    ["divergence", "divergent-start", "duplicate", "nonmonotonic-watch", "inconsistent-revisions"];

/// Changes between two looks at the budget.
const PACE: usize = 1 << 14;

/// Checks that watchers see the same changes: see the [module](super::watch).
///
/// ```
/// use squall_checkers::domain::Watch;
/// use squall_checkers::{Checker, history};
///
/// let text = r#"{"process":1,"type":"invoke","f":"watch"}
/// {"process":1,"type":"ok","f":"watch","value":["a","b","c"],"time":1000000000}
/// {"process":2,"type":"invoke","f":"watch"}
/// {"process":2,"type":"ok","f":"watch","value":["a","c"],"time":2000000000}"#;
/// let verdict = Watch::new().check(&history::read(text.as_bytes(), "watch.jsonl")?.history);
/// assert_eq!(verdict.anomalies[0].kind, "divergence");
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "after \"a\" watch by process 1 at 1.000 s has \"b\", but watch by process 2 at 2.000 s has \"c\""
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {}

impl Watch {
    /// The checker.
    pub fn new() -> Watch {
        Watch::default()
    }
}

impl Checker for Watch {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `watchers`, `writes` (acknowledged), `events` (different changes that were seen), `unseen` (acknowledged
    /// writes that nobody saw), `behind` (watchers that lack the last change), and how many show each kind of failure.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged_minimal(NAME, Order::Sessions, history, budget, judge)
    }
}

fn judge(calls: &Calls<'_>) -> Result<Verdict, Stop> {
    let mut watches = Watches::default();
    let _held = calls.run(&mut watches)?;
    let mut ops = std::mem::take(&mut watches.ops);
    ops.sort_by_key(|(watcher, _)| *watcher);
    let _more = calls.budget.lease(ops.capacity() * size_of::<(u32, u32)>())?;
    let mut judge = Judge {
        watches,
        found: Findings::new(NAME, &KINDS, calls),
        revisions: Interner::default(),
        values: Vec::new(),
        start: None,
        gone: Vec::new(),
        ends: Vec::new(),
        seen: 0,
        near: 0,
    };
    judge.revisions();
    let mut held = calls.budget.lease(0)?;
    for (nth, watcher) in ops.chunk_by(|a, b| a.0 == b.0).enumerate() {
        judge.watcher(nth as u32, watcher)?;
        held.resize(judge.bytes())?;
    }
    judge.events();
    let chain = judge.chain();
    let clear = judge.watches.twice.is_none() && OF_ORDER.iter().all(|kind| judge.found.count(kind) == 0);
    if clear && calls.history.has_real_time() {
        judge.real_time(&chain);
    }
    Ok(judge.verdict(chain.last().copied().unwrap_or(NONE)))
}

struct Judge<'a> {
    watches: Watches,
    found: Findings<'a>,
    /// Revisions, and for each the value and who shows it.
    revisions: Interner,
    values: Vec<(u32, u32)>,
    start: Option<Link>,
    /// The watchers whose last operation is of unknown outcome, and the last change of each.
    gone: Vec<bool>,
    ends: Vec<u32>,
    seen: usize,
    /// Where the last gap was looked for among the revisions of writes.
    near: usize,
}

impl<'a> Judge<'a> {
    fn value(&self, id: u32) -> serde_json::Value {
        self.watches.ids.value(id)
    }

    fn event(&self, id: u32) -> &Event {
        &self.watches.events[id as usize]
    }

    /// Something about these values, and the operations that show it: with the writes that tell how changes are read.
    fn add(
        &mut self,
        kind: &'static str,
        ids: &[u32],
        tell: impl FnOnce(&mut Watches, &Calls<'a>) -> (String, Vec<u32>),
    ) {
        let watches = &mut self.watches;
        self.found.add(kind, None, |calls| {
            let (sentence, mut shown) = tell(watches, calls);
            if let Some(pair) = watches.pair {
                shown.push(pair);
                shown.extend(ids.iter().filter_map(|&id| watches.written(id)));
            }
            shown.retain(|by| *by != NONE);
            let crashes: Vec<u32> = shown.iter().filter_map(|&by| watches.crash(calls, by)).collect();
            (sentence, [shown, crashes].concat())
        });
    }

    /// The revisions that writes returned, in order; what they say of values.
    fn revisions(&mut self) {
        let mut revisions = std::mem::take(&mut self.watches.revisions);
        revisions.sort_unstable();
        for &(revision, id, by) in &revisions {
            self.note_revision(revision, id, by);
        }
        self.watches.revisions = revisions;
    }

    fn bytes(&self) -> usize {
        self.watches.bytes()
            + self.revisions.memory_bytes()
            + self.values.capacity() * size_of::<(u32, u32)>()
    }

    /// A value has a revision, and must have no other; nor must the revision have another value.
    fn note_revision(&mut self, revision: i64, id: u32, by: u32) {
        let event = &mut self.watches.events[id as usize];
        if event.revision_by == NONE {
            (event.revision, event.revision_by) = (revision, by);
        }
        let at = self.revisions.intern_raw(Raw::Int(revision)) as usize;
        if at == self.values.len() {
            self.values.push((id, by));
            event.has_revision = event.revision == revision;
        }
        let known = *event;
        let (other, other_by) = self.values[at];
        if other != id {
            let (x, y) = (self.value(other), self.value(id));
            self.add("inconsistent-revisions", &[other, id], |_, calls| {
                let (first, second) = (calls.did(other_by), calls.did(by));
                (format!("{first} has {x} at revision {revision}, and {second} has {y}"), vec![other_by, by])
            });
        } else if known.revision != revision && !known.twice {
            let value = self.value(id);
            self.add("inconsistent-revisions", &[id], |_, calls| {
                let (first, second) = (calls.did(known.revision_by), calls.did(by));
                let sentence =
                    format!("{first} has {value} at revision {}, and {second} at {revision}", known.revision);
                (sentence, vec![known.revision_by, by])
            });
        }
    }

    /// All that one watcher saw.
    fn watcher(&mut self, number: u32, ops: &[(u32, u32)]) -> Result<(), Stop> {
        let calls = self.found.calls();
        let mut last: Option<Seen> = None;
        // After what cannot be, or may be two changes, it is not known what is next; nor where a process resumes.
        let resumed = self.watches.resumed[ops[0].0 as usize] != NONE;
        let (mut chained, mut end) = (!resumed, NONE);
        for &(_, by) in ops {
            calls.budget.ask()?;
            let completion = calls.call(by).ok();
            let completed = completion.map_or(NONE, |event| event.index() as u32);
            let (mut log, mut nth) = (log(completion)?, 0);
            while let Some((revision, id)) = self.watches.next(&mut log)? {
                nth += 1;
                if nth % PACE == 0 {
                    calls.budget.ask()?;
                }
                let fresh = self.sees(number, id, (by, completed));
                let grows = self.grows(last, (id, revision, by));
                if let Some(revision) = revision
                    && !self.event(id).is_at(revision)
                {
                    self.note_revision(revision, id, by);
                }
                if fresh && grows && chained {
                    self.link(last, (id, revision, by));
                }
                chained = fresh && grows;
                (last, end) = (Some((id, revision, by)), id);
            }
        }
        self.ends.push(end);
        self.gone.push(ops.last().is_some_and(|&(_, by)| !calls.call(by).is_ok()));
        Ok(())
    }

    /// A watcher sees a change: whether for the first time, as far as that is known.
    fn sees(&mut self, watcher: u32, id: u32, (by, end): (u32, u32)) -> bool {
        let event = &mut self.watches.events[id as usize];
        self.seen += usize::from(event.seen == NONE);
        let before = std::mem::replace(&mut event.watcher, watcher + 1) == watcher + 1;
        event.seen = event.seen.min(end);
        if event.twice || !before {
            return !event.twice;
        }
        self.add("duplicate", &[id], |watches, calls| {
            let first = watches.first(calls, by, id);
            let (did, value) = (calls.did(by), watches.ids.value(id));
            let sentence = match first == by {
                true => format!("{did} has {value} twice"),
                false => format!("{did} has {value}, which {} had already", calls.did(first)),
            };
            (sentence, vec![first, by])
        });
        false
    }

    /// Whether the revision of a change is above that of the last one.
    fn grows(&mut self, last: Option<Seen>, (to, revision, by): Seen) -> bool {
        let (Some((id, Some(before), before_by)), Some(revision)) = (last, revision) else { return true };
        if revision > before {
            return true;
        }
        let value = self.value(id);
        self.add("nonmonotonic-watch", &[id, to], |_, calls| {
            let (did, earlier) = (calls.did(by), calls.did(before_by));
            let sentence = format!("{did} has revision {revision} after {earlier} had {before} with {value}");
            (sentence, vec![before_by, by])
        });
        false
    }

    /// A watcher saw one change and then the next, or began with it.
    fn link(&mut self, from: Option<Seen>, (to, revision, to_by): Seen) {
        let known = match from {
            Some((id, ..)) => Some(self.event(id).next).filter(|next| next.to != NONE),
            None => self.start,
        };
        let from_by = from.map_or(NONE, |(_, _, by)| by);
        let link = Link { to, from_by, to_by };
        if let (Some((id, Some(before), _)), Some(revision)) = (from, revision)
            && before.checked_add(1).is_some_and(|next| next < revision)
        {
            self.gap((id, before), revision, link);
        }
        let Some(known) = known else {
            match from {
                Some((id, ..)) => self.watches.events[id as usize].next = link,
                None => self.start = Some(link),
            }
            return;
        };
        if known.to == to {
            return;
        }
        let (x, y) = (self.value(known.to), self.value(to));
        let after = from.map(|(id, ..)| self.value(id));
        let kind = if from.is_some() { "divergence" } else { "divergent-start" };
        self.add(kind, &[known.to, to, from.map_or(to, |(id, ..)| id)], |_, calls| {
            let (first, second) = (calls.did(known.to_by), calls.did(to_by));
            let sentence = match after {
                Some(after) => format!("after {after} {first} has {x}, but {second} has {y}"),
                None => format!("{first} begins with {x}, but {second} with {y}"),
            };
            (sentence, vec![known.from_by, known.to_by, from_by, to_by])
        });
    }

    /// Looks for an acknowledged write between the revisions of two changes.
    fn gap(&mut self, (before, from): (u32, i64), to: i64, link: Link) {
        let revisions = &self.watches.revisions;
        self.near = partition_near(revisions, self.near, |(revision, ..)| *revision <= from);
        let Some(&(revision, id, write)) = revisions.get(self.near) else { return };
        if revision < to {
            let value = self.value(id);
            self.add("gap", &[before, link.to], |_, calls| {
                let (did, wrote) = (calls.did(link.to_by), calls.did(write));
                let sentence = format!(
                    "{did} goes from revision {from} to {to}, past {revision}, which {wrote} gave {value}"
                );
                (sentence, vec![link.from_by, link.to_by, write])
            });
        }
    }

    /// What was seen though nobody had written it.
    fn events(&mut self) {
        let calls = self.found.calls();
        for id in 0..self.watches.events.len() as u32 {
            let end = if calls.history.has_real_time() { self.event(id).seen } else { NONE };
            if self.event(id).seen == NONE || self.event(id).write < end {
                continue;
            }
            let (event, value) = (*self.event(id), self.value(id));
            if event.failed < end {
                self.add("aborted-event", &[id], |_, calls| {
                    let seen_by = event.seen_by(calls);
                    let (did, by) = (calls.did(seen_by), calls.by(event.failed));
                    let advice = "if that may have taken effect, record it as info";
                    let sentence = format!("{did} has {value}, whose write by {by} failed; {advice}");
                    (sentence, vec![seen_by, event.failed])
                });
            } else {
                self.add("phantom-event", &[id], |_, calls| {
                    let seen_by = event.seen_by(calls);
                    let did = calls.did(seen_by);
                    (format!("{did} has {value}, which nobody had written"), vec![seen_by])
                });
            }
        }
    }

    /// The one log that all watchers agree on.
    fn chain(&self) -> Vec<u32> {
        let mut next = self.start.map_or(NONE, |link| link.to);
        let mut chain = Vec::new();
        while next != NONE && chain.len() < self.watches.events.len() {
            chain.push(next);
            next = self.event(next).next.to;
        }
        chain
    }

    /// The order of the log beside that of the writes.
    fn real_time(&mut self, chain: &[u32]) {
        let written = || chain.iter().copied().filter(|&id| self.event(id).write != NONE);
        let latest = written().max_by_key(|&id| self.event(id).write);
        // Of those that were seen later, the write that was acknowledged first.
        let mut earliest: Option<u32> = None;
        let mut reordered = Vec::new();
        for id in written().rev() {
            let acknowledged = |id: u32| self.event(id).acknowledged;
            let before = |&other: &u32| acknowledged(other) < self.event(id).write;
            reordered.extend(earliest.filter(before).map(|other| (id, other)));
            if earliest.is_none_or(|other| acknowledged(id) < acknowledged(other)) {
                earliest = Some(id);
            }
        }
        for (first, second) in reordered {
            self.reordered(first, second);
        }
        if let Some(latest) = latest {
            self.lost(latest);
        }
    }

    /// Two changes that were seen in one order and written in the other.
    fn reordered(&mut self, first: u32, second: u32) {
        let (a, b) = (*self.event(first), *self.event(second));
        let (x, y) = (self.value(first), self.value(second));
        self.add("reordered-events", &[first, second], |watches, calls| {
            let last = b.seen_by(calls);
            let seen_by = watches.first(calls, last, first);
            let (seen, wrote, began) = (calls.did(last), calls.did(b.write), calls.by(a.write));
            let sentence =
                format!("{seen} has {y} after {x}, but {wrote} wrote {y} before {began} began to write {x}");
            (sentence, vec![a.write, b.write, seen_by, last])
        });
    }

    /// Acknowledged writes that nobody saw, though one that began later was.
    fn lost(&mut self, latest: u32) {
        let later = *self.event(latest);
        for id in 0..self.watches.events.len() as u32 {
            let event = self.event(id);
            if event.seen == NONE && !event.twice && event.acknowledged < later.write {
                let event = *event;
                let (lost, value) = (self.value(id), self.value(latest));
                self.add("lost-event", &[id, latest], |_, calls| {
                    let seen_by = later.seen_by(calls);
                    let (did, seen) = (calls.did(event.write), calls.did(seen_by));
                    let but = format!("though {seen} has {value}, which was written later");
                    (
                        format!("{did} wrote {lost} and nobody saw it, {but}"),
                        vec![event.write, later.write, seen_by],
                    )
                });
            }
        }
    }

    /// The verdict, where the log ends with `last`.
    fn verdict(self, last: u32) -> Verdict {
        let behind = self.ends.iter().zip(&self.gone).filter(|(end, gone)| **end != last && !**gone).count();
        let missed = |event: &&Event| event.acknowledged != NONE && event.seen == NONE;
        let unseen = self.watches.events.iter().filter(missed).count();
        let watchers = self.ends.len();
        let summary = format!("{watchers} watchers saw {} changes", self.seen);
        let catch_up = "let every watcher catch up at the end";
        let undecided = match (self.watches.twice, self.seen, behind, unseen) {
            (Some(twice), ..) => Some(twice),
            (None, 0, ..) => Some("no change was seen".to_owned()),
            (None, _, 0, 0) => None,
            (None, _, 0, unseen) => {
                Some(format!("{unseen} acknowledged writes were not seen yet: {catch_up}"))
            }
            (None, _, behind, _) => {
                Some(format!("{behind} watchers lack changes that others saw: {catch_up}"))
            }
        };
        let verdict = self.found.verdict(summary, undecided);
        let verdict = verdict.stat("watchers", watchers).stat("writes", self.watches.writes);
        verdict.stat("events", self.seen).stat("unseen", unseen).stat("behind", behind)
    }
}
