//! What is wrong, in words.

use super::PolygraphModel;
use super::core;
use super::known::{Known, Why};
use super::problem::{INIT, Problem};
use super::solver::{Cycle, Found, LITERAL, READ, Solver};
use super::witness::Witness;
use crate::txn::{NONE, Teller};
use crate::{Anomaly, Budget, Edge};

/// How many cases of a proof are spelt out, and how many reasons.
const CASES: usize = 6;
const REASONS: usize = 40;

/// One transaction comes before another.
#[derive(Clone, Debug)]
struct Arrow {
    from: u32,
    to: u32,
    kind: &'static str,
    key: u32,
    text: String,
}

/// The anomaly that transactions without an order are.
pub(super) fn disorder(
    teller: &Teller,
    problem: &Problem,
    model: PolygraphModel,
    witness: &Witness,
    budget: &Budget,
) -> Anomaly {
    let Ok(part) = problem.only(&witness.txns, budget) else {
        let ids: Vec<u32> = witness.txns.iter().map(|&txn| problem.entries[txn as usize].id).collect();
        return teller.anomaly("no-version-order", NONE, unexplained(ids.len()), &ids);
    };
    let proof = Proof { teller, problem: &part, model };
    let (kind, sentence, arrows, steps) =
        proof.lost_update().or_else(|| proof.find(budget)).unwrap_or_else(|| {
            ("no-version-order".to_owned(), unexplained(part.len() - 1), Vec::new(), Vec::new())
        });
    let ids: Vec<u32> = part.entries.iter().map(|entry| entry.id).filter(|&id| id != NONE).collect();
    let key = arrows.iter().map(|arrow| arrow.key).find(|&key| key != NONE).unwrap_or(NONE);
    let name = if key == NONE { NONE } else { part.names[key as usize] };
    let mut anomaly = teller.anomaly(&kind, name, sentence, &ids);
    anomaly.steps = steps;
    if !witness.minimal {
        anomaly
            .steps
            .push("the budget did not suffice to take away every transaction that is not needed".to_owned());
    }
    let event = |txn: u32| teller.event(part.entries[txn as usize].id);
    let edge =
        |arrow: &Arrow| Edge { from: event(arrow.from), to: event(arrow.to), kind: arrow.kind.to_owned() };
    anomaly.edges = arrows.iter().map(edge).collect();
    anomaly
}

fn unexplained(txns: usize) -> String {
    format!("{txns} transactions have no order that explains their reads")
}

/// The kind of an anomaly, its sentence, its edges and its steps.
type Told = (String, String, Vec<Arrow>, Vec<String>);

/// Why a few transactions have no order.
struct Proof<'a> {
    teller: &'a Teller<'a>,
    problem: &'a Problem,
    model: PolygraphModel,
}

impl Proof<'_> {
    /// Two transactions that read one version and both overwrote it.
    fn lost_update(&self) -> Option<Told> {
        if self.model == PolygraphModel::PrefixConsistency {
            return None;
        }
        let problem = self.problem;
        let updates: Vec<(u32, u32)> = (0u32..)
            .zip(&problem.reads)
            .filter(|(_, read)| {
                problem.version(read.txn, problem.versions[read.version as usize].key).is_some()
            })
            .map(|(at, _)| at)
            .map(|at| (problem.reads[at as usize].version, at))
            .collect();
        let same = |a: &(u32, u32), b: &(u32, u32)| a.0 == b.0 && a.1 < b.1;
        let pairs = updates.iter().flat_map(|a| updates.iter().map(move |b| (a, b)));
        let (&(version, a), &(_, b)) = pairs.into_iter().find(|(a, b)| same(a, b))?;
        let [a, b] = [a, b].map(|read| problem.reads[read as usize].txn);
        let key = problem.versions[version as usize].key;
        let sentence = format!(
            "{} and {} both read {}, and both overwrote it: one of the two updates is lost",
            self.name(a),
            self.name(b),
            self.version(version)
        );
        let arrow = |from: u32, to: u32| {
            let (reader, writer) = (self.name(from), self.name(to));
            let text = format!("{reader} read {}, which {writer} overwrote", self.version(version));
            Arrow { from, to, kind: "rw", key, text }
        };
        let arrows = vec![arrow(a, b), arrow(b, a)];
        let steps = arrows.iter().map(|arrow| arrow.text.clone()).collect();
        Some(("lost-update".to_owned(), sentence, arrows, steps))
    }

    /// The proof by what is known, or else by cases.
    fn find(&self, budget: &Budget) -> Option<Told> {
        let mut known = Known::new(self.problem, self.model, budget).ok()?;
        if !known.grow(budget).ok()? {
            return Some(self.by_cycle(&known, &core::plainest(&known)));
        }
        let mut lease = budget.lease(Solver::bytes(&known)).ok()?;
        let mut solver = Solver::new(&known, budget).ok()?;
        match solver.search(u64::MAX, budget, &mut lease).ok()? {
            Found::Nothing(cycles) => Some(self.by_cases(&known, &solver, &cycles)),
            _ => None,
        }
    }

    fn by_cycle(&self, known: &Known, cycle: &Cycle) -> Told {
        let cycle = self.unrolled(known, cycle);
        let arrows = self.arrows(known, &cycle, &|_| unreachable!("nothing is assumed"));
        let kind = class(&arrows, |txn| !self.problem.entries[txn as usize].writes.is_empty());
        let texts: Vec<&str> = arrows.iter().map(|arrow| arrow.text.as_str()).collect();
        let sentence = format!("{kind}: {}; so each comes before itself", texts.join("; "));
        let mut steps: Vec<String> = arrows.iter().map(|arrow| arrow.text.clone()).collect();
        steps.extend(self.reasons(known, cycle));
        (kind, sentence, arrows, steps)
    }

    fn by_cases(&self, known: &Known, solver: &Solver, cycles: &[Cycle]) -> Told {
        let pair = |literal: u32| solver.pair(literal);
        let mut keys: Vec<u32> = Vec::new();
        let mut steps = Vec::new();
        for cycle in cycles.iter().take(CASES) {
            let mut literals: Vec<u32> =
                cycle.iter().filter(|edge| edge.2 & LITERAL != 0).map(|edge| edge.2 & !LITERAL).collect();
            literals.sort_unstable();
            literals.dedup();
            let assumed: Vec<String> = literals
                .iter()
                .map(|&literal| {
                    let (a, b) = pair(literal);
                    let key = self.problem.common(a, b).next().map(|(version, _)| version);
                    let key = key.map_or(NONE, |version| self.problem.versions[version as usize].key);
                    keys.push(key);
                    format!("{} wrote {} before {}", self.name(a), self.object(key), self.name(b))
                })
                .collect();
            let arrows = self.arrows(known, cycle, &pair);
            let texts: Vec<&str> = arrows.iter().map(|arrow| arrow.text.as_str()).collect();
            steps.push(format!("if {}: {}", assumed.join(" and "), texts.join("; ")));
        }
        if cycles.len() > CASES {
            steps.push(format!("and so for {} more cases", cycles.len() - CASES));
        }
        let first = cycles.first().map(|cycle| self.arrows(known, cycle, &pair)).unwrap_or_default();
        steps.extend(self.reasons(known, cycles.iter().take(CASES).flatten().copied().collect()));
        keys.sort_unstable();
        keys.dedup();
        let names: Vec<String> = keys.iter().map(|&key| self.object(key)).collect();
        let sentence = format!(
            "no order of the versions of {} explains what {} transactions read: {}",
            names.join(" and "),
            self.problem.len() - 1,
            steps.first().map_or("", String::as_str)
        );
        ("no-version-order".to_owned(), sentence, first, steps)
    }

    /// A cycle without the initial transaction, and, where anti-dependencies are no edges, with one: if it goes back to the
    /// writer of what a read saw because another came before the read, then it is the read that the other overwrote.
    fn unrolled(&self, known: &Known, cycle: &Cycle) -> Cycle {
        let overwritten = |&(_, _, tag): &(u32, u32, u32)| match known.edges[tag as usize].why {
            Why::Overwritten(read) => Some((tag, read)),
            _ => None,
        };
        let found: Vec<(u32, u32)> = cycle.iter().filter_map(overwritten).collect();
        let initial = |&&(tag, _): &&(u32, u32)| known.layout.txn(known.edges[tag as usize].to) == Some(INIT);
        let one = match found.as_slice() {
            [one] if self.model == PolygraphModel::ParallelSnapshotIsolation => Some(one),
            _ => found.iter().find(initial),
        };
        let Some(&(tag, read)) = one else { return cycle.clone() };
        let begin = known.layout.begin(self.problem.reads[read as usize].txn);
        let writer = known.edges[tag as usize].from;
        let mut cycle = core::path(known, writer, begin, tag);
        cycle.push((begin, writer, READ | read));
        cycle
    }

    /// The edges of a cycle between transactions. `pair` gives the two of an assumption.
    fn arrows(&self, known: &Known, cycle: &Cycle, pair: &dyn Fn(u32) -> (u32, u32)) -> Vec<Arrow> {
        let mut arrows: Vec<Arrow> = Vec::new();
        let mut late: Option<u32> = None;
        // Start where an edge starts at a transaction.
        let start = cycle.iter().position(|edge| known.layout.txn(edge.0).is_some()).unwrap_or(0);
        for &(from, to, tag) in cycle.iter().cycle().skip(start).take(cycle.len()) {
            let from = late.take().or_else(|| known.layout.txn(from)).unwrap_or(INIT);
            let Some(to_txn) = known.layout.txn(to) else {
                late = Some(from);
                continue;
            };
            if from != to_txn {
                arrows.push(self.arrow(known, from, to_txn, tag, pair));
            }
        }
        arrows
    }

    fn arrow(&self, known: &Known, from: u32, to: u32, tag: u32, pair: &dyn Fn(u32) -> (u32, u32)) -> Arrow {
        let (a, b) = (self.name(from), self.name(to));
        let made = |kind, key, text| Arrow { from, to, kind, key, text };
        let version_of = |read: u32| self.problem.reads[read as usize].version;
        let key_of = |version: u32| self.problem.versions[version as usize].key;
        let anti = |version: u32| {
            let text = format!("{a} read {}, which {b} overwrote", self.version(version));
            made("rw", key_of(version), text)
        };
        if tag & LITERAL != 0 {
            let (first, _) = pair(tag & !LITERAL);
            let common = || self.problem.common(pair(tag & !LITERAL).0, pair(tag & !LITERAL).1);
            if first == from {
                let key = common().next().map_or(NONE, |(version, _)| key_of(version));
                return made("ww", key, format!("{a} wrote {} before {b}", self.object(key)));
            }
            let read =
                |version: u32| self.problem.readers(version).iter().any(|&read| self.reader(read) == from);
            let version = common().map(|(version, _)| version).find(|&version| read(version));
            return version.map_or_else(|| made("rw", NONE, format!("{a} read before {b} wrote")), anti);
        }
        if tag & READ != 0 {
            return anti(version_of(tag & !READ));
        }
        match known.edges[tag as usize].why {
            Why::Read(read) => {
                let version = version_of(read);
                made("wr", key_of(version), format!("{b} read {}, which {a} wrote", self.version(version)))
            }
            Why::Overwritten(read) => {
                let (version, reader) = (version_of(read), self.name(self.reader(read)));
                let text = format!(
                    "{a} wrote {} before {b}, for {reader} read {} after it",
                    self.object(key_of(version)),
                    self.version(version)
                );
                made("ww", key_of(version), text)
            }
            Why::Unread(read) => anti(version_of(read)),
            Why::Overlap(version) => {
                let key = key_of(version);
                let text =
                    format!("{a} wrote {} before {b}, for it began before {b} committed", self.object(key));
                made("ww", key, text)
            }
            Why::RealTime | Why::Link => {
                made("real time", NONE, format!("{a} had completed before {b} began"))
            }
            Why::Own | Why::Session => {
                made("session order", NONE, format!("{a} came before {b} in the same process"))
            }
        }
    }

    /// Why edges of the known graph are implied, and the edges by which they are.
    fn reasons(&self, known: &Known, mut open: Cycle) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        let mut seen: Cycle = Vec::new();
        while let Some(edge) = open.pop() {
            if told.len() >= REASONS || seen.contains(&edge) {
                continue;
            }
            seen.push(edge);
            let Some((from, to, before)) = core::ground(known, edge) else { continue };
            let path = core::path(known, from, to, before);
            let arrows = self.arrows(known, &path, &|_| unreachable!("nothing is assumed"));
            let initial = |arrow: &Arrow| arrow.from == INIT || arrow.to == INIT;
            if !arrows.is_empty() && !arrows.iter().any(initial) {
                let texts: Vec<&str> = arrows.iter().map(|arrow| arrow.text.as_str()).collect();
                let [from, to] = [from, to].map(|node| known.layout.txn(node).unwrap_or(INIT));
                told.push(format!(
                    "{} comes before {}: {}",
                    self.name(from),
                    self.name(to),
                    texts.join("; ")
                ));
            }
            open.extend(path);
        }
        told
    }

    fn reader(&self, read: u32) -> u32 {
        self.problem.reads[read as usize].txn
    }

    fn name(&self, txn: u32) -> String {
        match self.problem.entries[txn as usize].id {
            NONE => "the initial state".to_owned(),
            id => self.teller.name(id),
        }
    }

    fn object(&self, key: u32) -> String {
        let name = self.problem.names.get(key as usize);
        name.map_or_else(|| "a key".to_owned(), |&name| self.teller.txns.object(name))
    }

    /// `7 of key 2`, or `the initial value of key 2`.
    fn version(&self, version: u32) -> String {
        let version = self.problem.versions[version as usize];
        let id = self.problem.entries[version.txn as usize].id;
        let last = match id {
            NONE => None,
            id => self.teller.txns.written(id, self.problem.names[version.key as usize]).last(),
        };
        match last {
            Some(element) => self.teller.element(element),
            None => format!("the initial value of {}", self.object(version.key)),
        }
    }
}

/// Names a cycle after the edges that it holds, as Elle does, or after its shape where that has a name.
fn class(arrows: &[Arrow], writes: impl Fn(u32) -> bool) -> String {
    let kinds: Vec<&str> = arrows.iter().map(|arrow| arrow.kind).collect();
    let fork = [["wr", "rw", "wr", "rw"], ["rw", "wr", "rw", "wr"]];
    if kinds == ["rw", "rw"] && arrows.iter().all(|arrow| writes(arrow.from)) {
        return "write-skew".to_owned();
    }
    if fork.iter().any(|fork| kinds == fork) {
        return "long-fork".to_owned();
    }
    let count = |kind: &str| kinds.iter().filter(|&&other| other == kind).count();
    let adjacent = (0..kinds.len()).any(|at| kinds[at] == "rw" && kinds[(at + 1) % kinds.len()] == "rw");
    let class = match (count("rw"), count("wr")) {
        (0, 0) => "G0",
        (0, _) => "G1c",
        (1, _) => "G-single",
        _ if adjacent => "G2-item",
        _ => "G-nonadjacent",
    };
    let suffix = match (count("real time"), count("session order")) {
        (0, 0) => "",
        (0, _) => "-process",
        _ => "-realtime",
    };
    format!("{class}{suffix}")
}
