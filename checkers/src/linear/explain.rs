//! What is said of a key that is not linearizable, or not decided.

use super::engine::Report;
use super::meter::Limit;
use super::misread::{self, Misread};
use super::problem::{Entry, NEVER, Step};
use super::split::{self, Keys, Part};
use super::witness::{self, Core};
use serde_json::Value;

use crate::history::{Pairs, Raw};
use crate::model::{Call, Model, Operation, Values};
use crate::{Anomaly, Budget, History, Type};

/// Pending operations that a proof names.
const PENDING_MAX: usize = 8;

/// Turns entries back into operations of the history.
pub(crate) struct Explainer<'a, M> {
    pub(crate) model: &'a M,
    pub(crate) keys: Keys,
    pub(crate) history: &'a History,
    pub(crate) pairs: Pairs,
    pub(crate) values: &'a Values,
    pub(crate) budget: &'a Budget,
}

impl<M: Model> Explainer<'_, M> {
    /// The anomaly of a key on which no order passes the return that the engine reached.
    pub(crate) fn anomaly(&self, part: &Part<M>, report: &Report) -> Anomaly {
        let problem = &part.problem;
        let Step::Return(blocked) = problem.steps[report.reached] else {
            unreachable!("a search fails at a return");
        };
        // A misread convicts whatever the others did, so it is a core.
        let misread = misread::find(self.model, problem, blocked as usize);
        let core = match &misread {
            Some(misread) => Core { kept: misread.core(), minimal: true },
            None => witness::core(self.model, problem, report.reached, self.budget),
        };
        let mut shown: Vec<usize> = core.kept.clone();
        shown.extend(witness::sources(self.model, problem, &core.kept));
        shown.sort_unstable();
        shown.dedup();
        let entries: Vec<Entry> = shown.iter().map(|&at| problem.entries[at]).collect();
        let (kind, finding) = match &misread {
            Some(misread) => (misread.kind(), self.misread(part, misread)),
            None => {
                let recorded =
                    entries.iter().filter(|entry| !self.history.get(entry.invoke as usize).is_added());
                ("nonlinearizable", self.unordered(&problem.entries[blocked as usize], recorded.count()))
            }
        };
        let mut witness: Vec<usize> = entries.iter().flat_map(|entry| self.events(entry)).collect();
        witness.sort_unstable();
        Anomaly {
            kind: kind.into(),
            key: part.key.clone(),
            sentence: format!("{} is not linearizable: {finding}", subject(part)),
            witness,
            steps: self.steps(part, report, &entries, core.minimal),
            edges: Vec::new(),
        }
    }

    /// Why a key is undecided, and how much of it is decided.
    pub(crate) fn undecided(&self, part: &Part<M>, report: &Report, limit: Limit) -> String {
        let why = match limit {
            Limit::Steps => format!("no answer after {} configurations; raise the limit", report.steps),
            limit => limit.to_string(),
        };
        let decided = match part.problem.steps.get(report.reached) {
            Some(Step::Return(at)) if report.reached > 0 => {
                let event = part.problem.entries[*at as usize].complete as usize;
                format!(
                    "it is linearizable before {} at {}",
                    self.history.event_name(event),
                    self.time(event)
                )
            }
            _ => "nothing is decided".to_owned(),
        };
        format!("{}: {why}, or test fewer operations a key; {decided}", subject(part))
    }

    /// How many events of the history come before the one that is not decided, or that no order passes.
    pub(crate) fn decided_events(&self, part: &Part<M>, report: &Report) -> usize {
        let next = part.problem.steps.get(report.legal..).into_iter().flatten();
        let mut returns = next.filter_map(|step| if let Step::Return(at) = step { Some(*at) } else { None });
        returns.next().map_or(0, |at| part.problem.entries[at as usize].complete as usize)
    }

    fn misread(&self, part: &Part<M>, misread: &Misread) -> String {
        let entry = |at: usize| &part.problem.entries[at];
        let (reader, result) = self.observation(entry(misread.reader()));
        match *misread {
            Misread::Phantom { reader: at } => match self.failed_setter(part, entry(at)) {
                None => format!("{reader} {result}, which nobody had written"),
                Some(failed) => format!(
                    "{reader} {result}, but process {} failed to write it at {}; if that may have taken effect, record \
                     it as info",
                    self.history.get(failed).process(),
                    self.time(failed)
                ),
            },
            Misread::Future { write, .. } => {
                let begun = entry(write).invoke as usize;
                let who = self.history.get(begun).process();
                format!("{reader} {result}, which process {who} began to write at {}", self.time(begun))
            }
            Misread::Stale { later, lost, .. } => {
                let (later, by) = (entry(later), self.history.get(entry(later).invoke as usize).process());
                let value = misread::set_or_seen(self.model, &part.problem, later);
                let value = value.map_or(Value::Null, |symbol| self.values.value(symbol));
                let at = self.time(later.complete as usize);
                match (misread::sets(self.model, &part.problem, later), lost) {
                    (true, false) => format!("{reader} {result}, but {value} was acknowledged at {at}"),
                    (true, true) => {
                        format!("{reader} {result}, but {value} was acknowledged at {at} and never read")
                    }
                    (false, _) => format!("{reader} {result}, but process {by} had read {value} at {at}"),
                }
            }
        }
    }

    /// The completion of an operation that would have set what `reader` observed, had it not failed.
    fn failed_setter(&self, part: &Part<M>, reader: &Entry) -> Option<usize> {
        let observed = self.model.as_register(part.problem.kinds.at(reader.kind))?.observes()?;
        let observed = self.values.value(observed);
        self.history.iter().filter(|event| event.is_client() && event.kind() == Type::Fail).find_map(|fail| {
            let invocation = self.history.get(self.pairs.of(fail.index())?);
            let (key, call) = split::call(self.keys, invocation, None);
            let key = key.map(Raw::to_value).or_else(|| self.model.partition(&call));
            let mut values = Values::default();
            let op = M::Op::decode(&call, &mut values).ok()??;
            let set = self.model.as_register(&op)?.sets()?;
            (key == part.key && values.value(set) == observed).then_some(fail.index())
        })
    }

    /// `read by process 7 at 14.203 s` and `returned 12`.
    fn observation(&self, entry: &Entry) -> (String, String) {
        let call = self.call(entry);
        let event = entry.complete as usize;
        let reader =
            format!("{} by process {} at {}", call.f, self.history.get(event).process(), self.time(event));
        match (call.f.as_str(), call.output()) {
            ("cas", _) => (reader, format!("replaced {}", call.input.get(0).unwrap_or(&call.input))),
            (_, Some(value)) => (reader, format!("returned {value}")),
            _ => (reader, "took effect".to_owned()),
        }
    }

    fn unordered(&self, blocked: &Entry, ops: usize) -> String {
        format!("{} fits no order of {ops} operations that respects real time", self.says(blocked))
    }

    fn steps(&self, part: &Part<M>, report: &Report, witness: &[Entry], minimal: bool) -> Vec<String> {
        let Step::Return(at) = part.problem.steps[report.reached] else { return Vec::new() };
        let blocked = part.problem.entries[at as usize];
        let event = blocked.complete as usize;
        let name = self.history.event_name(event);
        let mut steps = vec![if report.legal == report.reached {
            format!("Everything before {name} at {} is linearizable; with it nothing is.", self.time(event))
        } else {
            format!(
                "With {name} at {} nothing is linearizable. Whether all before it is was not found within the limit \
                 on configurations.",
                self.time(event)
            )
        }];
        steps.extend(witness.iter().map(|entry| format!("{}.", self.says(entry))));
        let pending = part.problem.entries.iter().filter(|entry| {
            entry.invoke < blocked.complete && entry.complete > blocked.complete && entry.complete != NEVER
        });
        steps.extend(
            pending.take(PENDING_MAX).map(|entry| format!("Pending at that moment: {}.", self.says(entry))),
        );
        steps.push(
            "No order of these operations, whatever the others did, respects both real time and the model."
                .into(),
        );
        if !minimal {
            steps.push("A smaller witness may exist: the search for one ran out of its budget.".into());
        }
        steps
    }

    fn says(&self, entry: &Entry) -> String {
        let call = self.model.describe(&self.call(entry));
        let invocation = self.history.get(entry.invoke as usize);
        if invocation.is_added() {
            return format!("{call} by {}", invocation.actor());
        }
        let from = self.time(entry.invoke as usize);
        if entry.complete == NEVER {
            return format!("{call} by process {} from {from}", invocation.process());
        }
        format!(
            "{call} by process {} from {from} to {}",
            invocation.process(),
            self.time(entry.complete as usize)
        )
    }

    fn call(&self, entry: &Entry) -> Call {
        let invoke = entry.invoke as usize;
        let completion = self.pairs.of(invoke).map(|at| self.history.get(at));
        split::call(self.keys, self.history.get(invoke), completion).1.to_call()
    }

    fn events(&self, entry: &Entry) -> impl Iterator<Item = usize> + use<M> {
        let invoke = entry.invoke as usize;
        [Some(invoke), self.pairs.of(invoke)].into_iter().flatten()
    }

    fn time(&self, event: usize) -> String {
        format!("{:.3} s", self.history.get(event).time_ns() as f64 / 1e9)
    }
}

fn subject<M: Model>(part: &Part<M>) -> String {
    part.key.as_ref().map_or_else(|| "the history".to_owned(), |key| format!("key {key}"))
}
