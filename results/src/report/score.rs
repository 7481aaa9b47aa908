//! Availability and latency in normal operation and under each kind of fault, and the time to recover.
//!
//! CAP speaks of what stays available during a partition, PACELC of the latency that is paid without one (Abadi,
//! "Consistency Tradeoffs in Modern Distributed Database System Design", IEEE Computer 2012). Both are read off a run here.

use squall_checkers::{Fault, History};

use super::ops::{OpRow, Ops, Outcome};
use crate::RunConfig;

/// What clients met in one state of the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Score {
    /// `normal`, or a kind of fault.
    pub(crate) state: String,
    pub(crate) ops: u64,
    pub(crate) ok: u64,
    pub(crate) fail: u64,
    pub(crate) info: u64,
    /// Latency of ok operations.
    pub(crate) p50_ns: Option<u64>,
    pub(crate) p99_ns: Option<u64>,
    /// How long the state lasted.
    pub(crate) lasted_ns: u64,
    /// The kind's healings: see [`Recovery`].
    pub(crate) recoveries: Vec<Recovery>,
}

/// After a healing: how long until every node that the fault had touched answered ok again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Recovery {
    pub(crate) healed_ns: u64,
    /// `None` where the run ended first.
    pub(crate) took_ns: Option<u64>,
}

/// A stretch of the run in which no client operation succeeded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outage {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    /// Operations that were invoked meanwhile.
    pub(crate) invoked: u64,
    /// The kinds of the faults in force meanwhile.
    pub(crate) faults: Vec<String>,
}

/// What a run says about CAP and PACELC.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scorecard {
    /// Normal operation first, then the faults by name. Empty where no client did anything.
    pub(crate) scores: Vec<Score>,
    /// The longest few, longest first.
    pub(crate) outages: Vec<Outage>,
}

const OUTAGES: usize = 3;

impl Scorecard {
    pub(crate) fn of(config: &RunConfig, history: &History, ops: &Ops, bands: &[Fault]) -> Scorecard {
        if ops.clients().next().is_none() {
            return Scorecard::default();
        }
        let mut scores = scores(ops, bands);
        let answers = Answers::of(config, history, ops);
        for band in bands.iter().filter(|band| band.healed && !band.failed) {
            let recovery = Recovery { healed_ns: band.end_ns, took_ns: answers.recovery(band) };
            if let Some(score) = scores.iter_mut().skip(1).find(|score| score.state == band.fault) {
                score.recoveries.push(recovery);
            }
        }
        Scorecard { scores, outages: outages(ops, bands) }
    }
}

/// An operation belongs to every kind of fault that was in force while it ran, and to `normal` where none was.
fn scores(ops: &Ops, bands: &[Fault]) -> Vec<Score> {
    let mut kinds: Vec<&str> = bands.iter().filter(|b| !b.failed).map(|b| b.fault.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let spans: Vec<Spans> = kinds.iter().map(|kind| Spans::of(bands, |band| band.fault == *kind)).collect();
    let mut tallies = vec![(Score::default(), Vec::new()); kinds.len() + 1];
    for row in ops.clients() {
        let mut normal = true;
        for (tally, spans) in tallies[1..].iter_mut().zip(&spans) {
            if spans.overlap(row.start_ns, row.end_ns) {
                normal = false;
                tally_up(tally, row);
            }
        }
        if normal {
            tally_up(&mut tallies[0], row);
        }
    }
    let faulty_ns = Spans::of(bands, |_| true).length_ns();
    let lasted =
        std::iter::once(ops.end_ns.saturating_sub(faulty_ns)).chain(spans.iter().map(Spans::length_ns));
    let states = std::iter::once("normal").chain(kinds.iter().copied());
    tallies
        .into_iter()
        .zip(states.zip(lasted))
        .map(|((score, mut latencies), (state, lasted_ns))| {
            latencies.sort_unstable();
            let (p50_ns, p99_ns) = (quantile(&latencies, 50), quantile(&latencies, 99));
            Score { state: state.to_owned(), lasted_ns, p50_ns, p99_ns, ..score }
        })
        .collect()
}

fn tally_up((score, latencies): &mut (Score, Vec<u64>), row: &OpRow) {
    score.ops += 1;
    match row.outcome {
        Outcome::Ok => {
            score.ok += 1;
            latencies.push(row.end_ns - row.start_ns);
        }
        Outcome::Fail => score.fail += 1,
        Outcome::Info | Outcome::Open => score.info += 1,
    }
}

/// The smallest value that at least so many percent do not exceed.
fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

/// Disjoint stretches of time in order.
struct Spans(Vec<(u64, u64)>);

impl Spans {
    /// The union of some of the bands, which are in order of their start. Faults that failed are none.
    fn of(bands: &[Fault], wanted: impl Fn(&Fault) -> bool) -> Spans {
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for band in bands.iter().filter(|band| !band.failed && wanted(band)) {
            match spans.last_mut() {
                Some(last) if band.start_ns <= last.1 => last.1 = last.1.max(band.end_ns),
                _ => spans.push((band.start_ns, band.end_ns)),
            }
        }
        Spans(spans)
    }

    fn overlap(&self, start_ns: u64, end_ns: u64) -> bool {
        let at = self.0.partition_point(|span| span.1 < start_ns);
        self.0.get(at).is_some_and(|span| span.0 <= end_ns)
    }

    fn length_ns(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }
}

fn outages(ops: &Ops, bands: &[Fault]) -> Vec<Outage> {
    let mut answered: Vec<u64> =
        ops.clients().filter(|row| row.outcome == Outcome::Ok).map(|row| row.end_ns).collect();
    answered.extend(ops.clients().map(|row| row.start_ns).min());
    answered.extend(ops.clients().map(|row| row.end_ns).max());
    answered.sort_unstable();
    let starts: Vec<u64> = ops.clients().map(|row| row.start_ns).collect();
    let mut gaps: Vec<(u64, u64)> =
        answered.windows(2).map(|pair| (pair[0], pair[1])).filter(|(start, end)| start < end).collect();
    gaps.sort_by_key(|(start, end)| std::cmp::Reverse(end - start));
    let outage = |(start_ns, end_ns): (u64, u64)| {
        let mut faults: Vec<String> =
            bands.iter().filter(|b| b.overlaps(start_ns, end_ns)).map(|b| b.fault.clone()).collect();
        faults.sort();
        faults.dedup();
        let invoked =
            starts.partition_point(|at| *at <= end_ns) - starts.partition_point(|at| *at < start_ns);
        Outage { start_ns, end_ns, invoked: invoked as u64, faults }
    };
    gaps.into_iter().take(OUTAGES).map(outage).collect()
}

/// For each node (and for all together, last) the ok operations by start, each with the earliest end from there on.
struct Answers<'a> {
    nodes: &'a [String],
    by_node: Vec<Vec<(u64, u64)>>,
}

impl<'a> Answers<'a> {
    fn of(config: &'a RunConfig, history: &History, ops: &Ops) -> Answers<'a> {
        let nodes = config.nodes.as_slice();
        let mut by_node = vec![Vec::new(); nodes.len() + 1];
        for row in ops.clients().filter(|row| row.outcome == Outcome::Ok) {
            by_node[nodes.len()].push((row.start_ns, row.end_ns));
            let thread = config.thread_of(history.get(row.first as usize).process());
            if let Some(node) = thread.and_then(|thread| (thread as usize).checked_rem(nodes.len())) {
                by_node[node].push((row.start_ns, row.end_ns));
            }
        }
        for answers in &mut by_node {
            let mut earliest = u64::MAX;
            for answer in answers.iter_mut().rev() {
                earliest = earliest.min(answer.1);
                answer.1 = earliest;
            }
        }
        Answers { nodes, by_node }
    }

    fn recovery(&self, band: &Fault) -> Option<u64> {
        let touched = |at: &usize| band.nodes.contains(&self.nodes[*at]) && !self.by_node[*at].is_empty();
        let mut nodes: Vec<usize> = (0..self.nodes.len()).filter(touched).collect();
        if nodes.is_empty() {
            nodes.push(self.nodes.len());
        }
        let healed = band.end_ns;
        let first_ok = |at: &usize| {
            let answers = &self.by_node[*at];
            answers.get(answers.partition_point(|answer| answer.0 < healed)).map(|answer| answer.1 - healed)
        };
        nodes.iter().map(first_ok).collect::<Option<Vec<u64>>>()?.into_iter().max()
    }
}

#[cfg(test)]
mod tests {
    use squall_checkers::{Op, Process, Type};

    use super::*;

    fn band(fault: &str, node: &str, start_ns: u64, end_ns: u64) -> Fault {
        Fault {
            id: 1,
            fault: fault.into(),
            what: node.into(),
            nodes: vec![node.into()],
            start_ns,
            end_ns,
            confirmed: true,
            pending: false,
            failed: false,
            healed: true,
            receipts: vec![],
        }
    }

    /// Operations of two clients, `(process, start, end, how)`, each in events of its own.
    fn history(ops: &[(u32, u64, u64, Type)]) -> History {
        let mut events = Vec::new();
        for &(process, start, end, how) in ops {
            let op = || Op::new("read").process(Process::Client(process));
            events.push(op().at(start));
            events.push(op().at(end).kind(how));
        }
        events.sort_by_key(|op| op.time_ns);
        events.into_iter().collect()
    }

    fn two_nodes() -> RunConfig {
        RunConfig { nodes: vec!["n1".into(), "n2".into()], concurrency: 2, ..RunConfig::default() }
    }

    #[test]
    fn operations_are_counted_under_the_faults_they_met() {
        let history = history(&[
            (0, 0, 4, Type::Ok),
            (1, 1, 12, Type::Info),
            (0, 11, 19, Type::Ok),
            (0, 31, 32, Type::Fail),
            (0, 40, 50, Type::Ok),
        ]);
        let ops = Ops::of(&history);
        let bands = [band("partition", "n2", 10, 20), band("kill", "n1", 15, 30)];
        let card = Scorecard::of(&two_nodes(), &history, &ops, &bands);
        let seen: Vec<_> = card
            .scores
            .iter()
            .map(|s| (s.state.as_str(), s.ops, s.ok, s.fail, s.info, s.p50_ns, s.lasted_ns))
            .collect();
        let expected = [
            ("normal", 3, 2, 1, 0, Some(4), 30),
            ("kill", 1, 1, 0, 0, Some(8), 15),
            ("partition", 2, 1, 0, 1, Some(8), 10),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn recovery_waits_for_every_node_that_was_touched() {
        let history = history(&[
            (0, 21, 22, Type::Ok),
            (1, 19, 23, Type::Ok),
            (1, 25, 29, Type::Ok),
            (0, 40, 41, Type::Ok),
        ]);
        let ops = Ops::of(&history);
        let mut both = band("partition", "n1", 10, 20);
        both.nodes.push("n2".into());
        let took = |band: Fault| {
            let card = Scorecard::of(&two_nodes(), &history, &ops, &[band]);
            card.scores[1].recoveries[0].took_ns
        };
        assert_eq!(took(band("kill", "n1", 10, 20)), Some(2));
        assert_eq!(
            took(both),
            Some(9),
            "n2 answered last, and its operation from before the healing is no proof"
        );
        assert_eq!(took(band("kill", "n2", 10, 30)), None);
        assert_eq!(took(band("kill", "elsewhere", 10, 30)), Some(11), "an unknown node: any answer counts");
    }

    #[test]
    fn an_outage_is_a_time_without_an_ok() {
        let history = history(&[
            (0, 0, 10, Type::Ok),
            (1, 5, 30, Type::Info),
            (0, 12, 13, Type::Fail),
            (0, 35, 40, Type::Ok),
            (0, 41, 45, Type::Fail),
        ]);
        let card = Scorecard::of(&two_nodes(), &history, &Ops::of(&history), &[band("kill", "n1", 15, 20)]);
        let longest = Outage { start_ns: 10, end_ns: 40, invoked: 2, faults: vec!["kill".into()] };
        assert_eq!(card.outages[0], longest);
        assert_eq!(
            card.outages.iter().map(|o| (o.start_ns, o.end_ns)).collect::<Vec<_>>(),
            [(10, 40), (0, 10), (40, 45)]
        );
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        let history = History::new();
        let card = Scorecard::of(&two_nodes(), &history, &Ops::of(&history), &[band("kill", "n1", 1, 2)]);
        assert_eq!(card, Scorecard::default());
        assert_eq!(quantile(&[], 99), None);
        assert_eq!((quantile(&[1, 2], 50), quantile(&[1, 2, 3], 99)), (Some(1), Some(3)));
    }
}
