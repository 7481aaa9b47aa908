//! The session guarantees of Terry, Demers, Petersen, Spreitzer, Theimer and Welch, *Session guarantees for weakly
//! consistent replicated data*, PDIS 1994, for key-value histories as [`causal`](crate::causal) takes them: sessions,
//! outcomes and values that were written twice are treated in the same way.
//!
//! **What is newer.** Nobody records the order in which a store applied its writes, so only what follows from the
//! sessions counts. For versions `u` and `v` of one key, `u ≺ v` (`v` is *newer*) if `u` is the initial one, or a session wrote `u` and
//! later `v`, or a session read `u` and later wrote `v` (a cas does both), and so on transitively.
//!
//! **What is checked**, for a session B that reads version `u` of key x:
//! - *read your writes*: B had not written a newer version of x.
//! - *monotonic reads*: B had not read a newer version of x.
//! - *monotonic writes*: no other session A had written a newer version of x and then a version, of any key, that B had
//!   read.
//! - *writes follow reads*: no other session A had read a newer version of x and then written a version, of any
//!   key, that B had read. Also, `≺` has no cycle.
//!
//! **No false alarm.** If all four guarantees hold, none of these is reported. For then what B reads reflects all that
//! B wrote or read before, and with each write all that its session had written or read before it, each in an order that
//! all servers share and that contains `≺`; so the version of x that B reads is none that is older than one of these. By the
//! same argument a causally consistent history (CC, and so CCv and CM) has none. Which guarantee a violation
//! counts under is decided by the operations that show it: two reads of one session say that reads were not
//! monotonic, though the cause may have been two writes that were applied in the wrong order.

//! **Each alone.** A checker of one guarantee reports the reads that count under it, judged with the same `≺`,
//! which rests on all four: it tells which promise of a system that makes all four is broken, not whether a system
//! that makes only one keeps it. By the definitions alone little can be told from outside: where only monotonic
//! writes is promised, two reads of a session may go to two servers, of which one lacks what the other had, so
//! that no history of single reads breaks it; where only read your writes is, a server may have applied two writes
//! of the session in the wrong order, and the read of the first is no proof; writes follow reads shows as a cycle
//! only. (So also by the axioms of Viotti and Vukolić, *Consistency in non-transactional distributed storage
//! systems*, ACM Computing Surveys 49(1), 2016: monotonic reads and read your writes bind what is visible, the
//! other two only the order of writes.) For such a system, a read of the initial value after a write or a read of
//! another one is the finding that stands by itself.

mod find;
mod order;

#[cfg(test)]
mod tests;

use find::{Finder, How, Violation};

use crate::registers::{self, Kv, Teller};
use crate::registry::{CheckerEntry, Object, Order};
use crate::{Anomaly, Budget, Checker, Edge, History, Verdict};

/// How many anomalies of a guarantee a verdict spells out.
const SHOWN: usize = 5;

/// Operations of a witness that are still tried one by one.
const TRIED: usize = 500;

/// The ready-made checkers of this family.
pub(crate) const CHECKERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "session",
        about: "registers keep the four session guarantees",
        order: Order::Sessions,
        on: Object::Single,
        build: |_| Box::new(Session::default()),
    },
    CheckerEntry {
        name: "read-your-writes",
        about: "a session of registers reads nothing older than what it wrote",
        order: Order::Sessions,
        on: Object::Single,
        build: |_| Box::new(Session::new(&[Guarantee::ReadYourWrites])),
    },
    CheckerEntry {
        name: "monotonic-reads",
        about: "a session of registers reads nothing older than what it read",
        order: Order::Sessions,
        on: Object::Single,
        build: |_| Box::new(Session::new(&[Guarantee::MonotonicReads])),
    },
    CheckerEntry {
        name: "monotonic-writes",
        about: "who sees a write to a register sees the earlier writes of its session",
        order: Order::Sessions,
        on: Object::Single,
        build: |_| Box::new(Session::new(&[Guarantee::MonotonicWrites])),
    },
    CheckerEntry {
        name: "writes-follow-reads",
        about: "who sees a write to a register sees what its session had read before it",
        order: Order::Sessions,
        on: Object::Single,
        build: |_| Box::new(Session::new(&[Guarantee::WritesFollowReads])),
    },
];

/// A session guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// A session reads nothing older than what it wrote.
    ReadYourWrites,
    /// A session reads nothing older than what it read.
    MonotonicReads,
    /// Who sees a write sees the earlier writes of its session.
    MonotonicWrites,
    /// Who sees a write sees what its session had read before it.
    WritesFollowReads,
}

impl Guarantee {
    /// All four.
    pub const ALL: [Guarantee; 4] = [
        Guarantee::ReadYourWrites,
        Guarantee::MonotonicReads,
        Guarantee::MonotonicWrites,
        Guarantee::WritesFollowReads,
    ];

    /// Its name, as in anomalies and verdicts.
    pub fn name(self) -> &'static str {
        match self {
            Guarantee::ReadYourWrites => "read-your-writes",
            Guarantee::MonotonicReads => "monotonic-reads",
            Guarantee::MonotonicWrites => "monotonic-writes",
            Guarantee::WritesFollowReads => "writes-follow-reads",
        }
    }
}

/// Checks session guarantees; the verdict has a part for each. See the [module](self) for what exactly is checked.
///
/// For n operations in k sessions, O(n k) where the history is causally consistent; more only for the keys on which it
/// is not.
///
/// ```
/// use squall_checkers::{Checker, Guarantee, History, Op, Session, Type, Valid};
///
/// let history: History = [
///     Op::new("write").value(1),
///     Op::new("write").value(1).kind(Type::Ok),
///     Op::new("read"),
///     Op::new("read").kind(Type::Ok),
/// ]
/// .into_iter()
/// .collect();
/// let verdict = Session::new(&[Guarantee::ReadYourWrites]).check(&history);
/// assert_eq!(verdict.valid, Valid::False);
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    guarantees: Vec<Guarantee>,
}

impl Default for Session {
    fn default() -> Session {
        Session::new(&Guarantee::ALL)
    }
}

impl Session {
    /// A checker of these guarantees.
    pub fn new(guarantees: &[Guarantee]) -> Session {
        Session { guarantees: guarantees.to_vec() }
    }

    fn part(&self, guarantee: Guarantee, kv: &Kv, finder: &Finder, budget: &Budget) -> Verdict {
        let name = guarantee.name();
        let violations: Vec<&Violation> =
            finder.violations.iter().filter(|violation| violation.guarantee == guarantee).collect();
        let anomalies: Vec<Anomaly> = violations.iter().take(SHOWN).map(|v| explain(kv, v, budget)).collect();
        let verdict = match (anomalies.first(), &kv.ambiguous) {
            (Some(first), _) => {
                let summary = first.sentence.clone();
                Verdict::invalid(name, summary, anomalies)
            }
            (None, Some(reason)) => Verdict::unknown(name, reason),
            (None, None) => Verdict::valid(name, format!("{} sessions", kv.sessions())),
        };
        verdict.stat("anomalies", violations.len())
    }
}

impl Checker for Session {
    fn name(&self) -> &str {
        match self.guarantees.as_slice() {
            [one] => one.name(),
            _ => "session",
        }
    }

    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        registers::judge(self, history, budget, |kv| {
            let finder = Finder::run(kv, budget)?;
            let parts = self.guarantees.iter().map(|&g| self.part(g, kv, &finder, budget)).collect();
            Ok(Verdict::compose(self.name(), parts).stat("steps", finder.work))
        })
    }
}

fn explain(kv: &Kv, violation: &Violation, budget: &Budget) -> Anomaly {
    let teller = Teller { kv, within: Some(kv.ops[violation.read as usize].key) };
    let (mut anomaly, ops) = match violation.how {
        How::Own { newer } => stale(&teller, violation, newer, None),
        How::Other { newer, write, reader } => stale(&teller, violation, newer, Some((write, reader))),
        How::Circle(ref circle) => circular(&teller, violation, circle),
    };
    let fails = |ops: &[u32]| {
        let cut = kv.cut(&kv.with_sources(ops));
        let same = |found: &Violation| found.guarantee == violation.guarantee;
        Finder::run(&cut, budget).is_ok_and(|finder| finder.violations.iter().any(same))
    };
    let mut ops = kv.with_sources(&ops);
    if ops.len() <= TRIED && fails(&ops) {
        ops = kv.with_sources(&registers::minimal(&ops, fails));
    }
    anomaly.witness = ops.iter().map(|&op| teller.event(op)).collect();
    anomaly.witness.sort_unstable();
    anomaly
}

fn stale(
    teller: &Teller,
    violation: &Violation,
    newer: u32,
    seen: Option<(u32, u32)>,
) -> (Anomaly, Vec<u32>) {
    let Violation { guarantee, read, .. } = *violation;
    let (how, version, value) = match guarantee {
        Guarantee::ReadYourWrites | Guarantee::MonotonicWrites => {
            ("written", Some(newer), teller.wrote(newer))
        }
        Guarantee::MonotonicReads | Guarantee::WritesFollowReads => {
            ("read", teller.kv.source(newer), teller.read(newer))
        }
    };
    let sentence = match seen {
        None => format!("{} after it had {how} {value}, which is newer", teller.did_read(read)),
        Some((write, _)) => format!(
            "{} after it had seen the {}, which had {how} {value}, a newer one, before that",
            teller.did_read(read),
            teller.name(write)
        ),
    };
    let old = teller.kv.source(read);
    let mut witness = vec![newer, read];
    witness.extend(seen.iter().flat_map(|&(write, reader)| [write, reader]));
    witness.extend(old.into_iter().chain(version));
    let mut anomaly = teller.anomaly(guarantee.name(), read, sentence, &witness);
    if let (Some(old), Some(version)) = (old, version) {
        teller.causal(&mut anomaly, old, version);
        witness.extend(teller.path(old, version).iter().map(|&(op, _)| op));
    }
    let mut way = vec![(newer, read, "session order")];
    if let Some((write, reader)) = seen {
        way = vec![
            (newer, write, "session order"),
            (write, reader, "reads from"),
            (reader, read, "session order"),
        ];
    }
    way.extend(old.map(|old| (old, read, "reads from")));
    add(teller, &mut anomaly, &way);
    (anomaly, witness)
}

fn circular(teller: &Teller, violation: &Violation, circle: &[(u32, u32)]) -> (Anomaly, Vec<u32>) {
    let mut edges = Vec::new();
    for (at, &(read, write)) in circle.iter().enumerate() {
        let (next, _) = circle[(at + 1) % circle.len()];
        edges.push((write, read, "reads from"));
        edges.extend((next != write).then_some((next, write, "session order")));
    }
    let names: Vec<String> = edges.iter().map(|&(_, to, _)| teller.name(to)).collect();
    let sentence =
        format!("versions of one key were each written after the next in a circle: {}", names.join("; "));
    let witness: Vec<u32> = edges.iter().flat_map(|&(from, to, _)| [from, to]).collect();
    let mut anomaly = teller.anomaly(violation.guarantee.name(), violation.read, sentence, &witness);
    add(teller, &mut anomaly, &edges);
    (anomaly, witness)
}

fn add(teller: &Teller, anomaly: &mut Anomaly, edges: &[(u32, u32, &str)]) {
    anomaly.edges.extend(edges.iter().map(|&(from, to, kind)| Edge {
        from: teller.event(from),
        to: teller.event(to),
        kind: kind.to_owned(),
    }));
}
