//! What a checker found, and its verdict.

use serde_json::{Value, json};

use super::calls::{Calls, Stop, brief, judged};
use crate::history::Raw;
use crate::registry::Order;
use crate::{Anomaly, Budget, History, Type, Valid, Verdict};

/// Anomalies of one kind that are explained; further ones are counted.
pub(super) const EXPLAINED_MAX: usize = 8;

/// Events of all witnesses, beyond which further anomalies are only counted.
const EVENTS_MAX: usize = 100_000;

/// Events of a witness that are told step by step.
const STEPS_MAX: usize = 64;

/// Bytes of a witness's values, up to which it is made smaller.
const SHRUNK_MAX: usize = 1 << 16;

/// Counts anomalies by kind and explains the first of each.
pub(super) struct Findings<'a> {
    checker: &'static str,
    calls: &'a Calls<'a>,
    /// Every kind that the checker knows, worst first.
    kinds: &'static [&'static str],
    counts: Vec<usize>,
    anomalies: Vec<(usize, Anomaly)>,
    events: usize,
}

impl<'a> Findings<'a> {
    pub(super) fn new(
        checker: &'static str,
        kinds: &'static [&'static str],
        calls: &'a Calls<'a>,
    ) -> Findings<'a> {
        Findings { checker, calls, kinds, counts: vec![0; kinds.len()], anomalies: Vec::new(), events: 0 }
    }

    /// Counts an anomaly. If it is one of the first of its kind, asks for its sentence and the invocations that show
    /// it.
    pub(super) fn add(
        &mut self,
        kind: &'static str,
        key: Option<&Value>,
        tell: impl FnOnce(&Calls<'a>) -> (String, Vec<u32>),
    ) {
        let rank = self.kinds.iter().position(|known| *known == kind).expect("a kind of this checker");
        self.counts[rank] += 1;
        if self.counts[rank] == 1 || (self.counts[rank] <= EXPLAINED_MAX && self.events < EVENTS_MAX) {
            let (sentence, invocations) = tell(self.calls);
            let anomaly = anomaly(self.calls, kind, key, sentence, &invocations);
            self.events += anomaly.witness.len();
            self.anomalies.push((rank, anomaly));
        }
    }

    pub(super) fn count(&self, kind: &str) -> usize {
        self.kinds.iter().position(|known| *known == kind).map_or(0, |rank| self.counts[rank])
    }

    pub(super) fn calls(&self) -> &'a Calls<'a> {
        self.calls
    }

    /// Invalid if anything was found; else unknown if there is a reason; else valid. Its stats are the counts.
    pub(super) fn verdict(mut self, summary: String, undecided: Option<String>) -> Verdict {
        self.anomalies.sort_by_key(|(rank, _)| *rank);
        let anomalies: Vec<Anomaly> = self.anomalies.into_iter().map(|(_, anomaly)| anomaly).collect();
        let mut verdict = match (anomalies.is_empty(), undecided) {
            (false, _) => Verdict::invalid(self.checker, summary, anomalies),
            (true, Some(reason)) => {
                Verdict { summary, valid: Valid::Unknown, ..Verdict::unknown(self.checker, reason) }
            }
            (true, None) => Verdict::valid(self.checker, summary),
        };
        for (kind, count) in self.kinds.iter().zip(self.counts) {
            verdict = verdict.stat(kind.replace('-', "_"), count);
        }
        verdict
    }
}

/// An anomaly whose witness is these operations, by their invocations.
fn anomaly(
    calls: &Calls<'_>,
    kind: &str,
    key: Option<&Value>,
    sentence: String,
    invocations: &[u32],
) -> Anomaly {
    let events = invocations.iter().flat_map(|&at| {
        let call = calls.call(at);
        [Some(call.invoke()), call.complete()]
    });
    let mut witness: Vec<usize> = events.flatten().map(|event| event.index()).collect();
    witness.sort_unstable();
    witness.dedup();
    let steps = witness.iter().take(STEPS_MAX).map(|&at| step(calls.history, at)).collect();
    let sentence = key.map_or(sentence.clone(), |key| format!("key {key}: {sentence}"));
    Anomaly { kind: kind.into(), key: key.cloned(), sentence, witness, steps, edges: Vec::new() }
}

/// As [`judged`], where no operation can be left out of a witness without its kind of anomaly going: unless they are
/// large. For checkers whose operations may show several anomalies of one kind.
pub(super) fn judged_minimal(
    name: &str,
    order: Order,
    history: &History,
    budget: &Budget,
    judge: fn(&Calls<'_>) -> Result<Verdict, Stop>,
) -> Verdict {
    let judge = &|history: &History| judged(name, order, history, budget, judge);
    let mut verdict = judge(history);
    for anomaly in &mut verdict.anomalies {
        while budget.ask().is_ok()
            && let Some(smaller) = smaller(anomaly, history, judge)
        {
            *anomaly = smaller;
        }
    }
    let mut told = Vec::new();
    verdict.anomalies.retain(|anomaly| {
        let new = !told.contains(&(anomaly.kind.clone(), anomaly.witness.clone()));
        told.push((anomaly.kind.clone(), anomaly.witness.clone()));
        new
    });
    verdict
}

/// An anomaly of the same kind that fewer of the operations show.
fn smaller(anomaly: &Anomaly, history: &History, judge: &dyn Fn(&History) -> Verdict) -> Option<Anomaly> {
    let bytes = |&at: &usize| if let Raw::Text(text) = history.get(at).raw() { text.len() } else { 0 };
    if anomaly.witness.iter().map(bytes).sum::<usize>() > SHRUNK_MAX {
        return None;
    }
    let cut = |events: &[usize]| {
        let mut cut: History = events.iter().map(|&at| history.get(at).to_op()).collect();
        cut.set_real_time(history.has_real_time());
        cut
    };
    let whole = cut(&anomaly.witness);
    let pairs = whole.pairs();
    let invocations = whole.iter().filter(|event| event.kind() == Type::Invoke);
    invocations.map(|event| event.index()).find_map(|left_out| {
        let stays = |&at: &usize| at != left_out && Some(at) != pairs.of(left_out);
        let events: Vec<usize> = (0..whole.len()).filter(stays).map(|at| anomaly.witness[at]).collect();
        let found = judge(&cut(&events)).anomalies.into_iter().find(|found| found.kind == anomaly.kind)?;
        let witness = found.witness.iter().map(|&at| events[at]).collect();
        Some(Anomaly { witness, ..found })
    })
}

fn step(history: &History, at: usize) -> String {
    let event = history.get(at);
    let (kind, f) = (event.kind().name(), event.f());
    format!("{}: {kind} {f} {} by process {}", time(event.time_ns()), brief(event.raw()), event.process())
}

/// Seconds since the start of the run.
pub(super) fn time(ns: u64) -> String {
    format!("{:.3} s", ns as f64 / 1e9)
}

impl Calls<'_> {
    /// Who did an operation.
    pub(super) fn by(&self, invoke: u32) -> String {
        format!("process {}", self.history.get(invoke as usize).process())
    }

    /// When an operation completed, or began if it did not.
    pub(super) fn end(&self, invoke: u32) -> String {
        let call = self.call(invoke);
        time(call.complete().unwrap_or(call.invoke()).time_ns())
    }

    /// `read by process 3 at 1.500 s`: an operation by its completion.
    pub(super) fn did(&self, invoke: u32) -> String {
        format!("{} by {} at {}", self.call(invoke).f(), self.by(invoke), self.end(invoke))
    }
}

/// The distribution of times: `{p50, p95, p99, max}` in milliseconds, or null where there is none.
pub(super) fn percentiles(times_ns: &mut [u64]) -> Value {
    times_ns.sort_unstable();
    let Some(last) = times_ns.len().checked_sub(1) else { return Value::Null };
    let at = |percent: usize| {
        times_ns[(times_ns.len() * percent).div_ceil(100).saturating_sub(1).min(last)] as f64 / 1e6
    };
    json!({"p50": at(50), "p95": at(95), "p99": at(99), "max": at(100)})
}
