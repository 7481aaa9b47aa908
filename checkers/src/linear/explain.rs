//! What is said of a key that is not linearizable, or not decided.

use super::engine::{Limit, Report};
use super::problem::{Entry, NEVER, Step};
use super::split::{self, Keys, Part};
use crate::model::{Call, Model};
use crate::{Anomaly, History};

/// Turns entries back into operations of the history.
pub(crate) struct Explainer<'a, M> {
    pub(crate) model: &'a M,
    pub(crate) keys: Keys,
    pub(crate) history: &'a History,
}

impl<M: Model> Explainer<'_, M> {
    /// The anomaly of a key on which no order passes the return that the engine reached.
    pub(crate) fn anomaly(&self, part: &Part<M>, report: &Report) -> Anomaly {
        let Step::Return(at) = part.problem.steps[report.reached] else {
            unreachable!("a search fails at a return");
        };
        let blocked = part.problem.entries[at as usize];
        let sentence =
            format!("{} is not linearizable: {} fits no order", subject(part), self.says(&blocked));
        let witness = vec![blocked.invoke as usize, blocked.complete as usize];
        Anomaly {
            kind: "nonlinearizable".into(),
            key: part.key.clone(),
            sentence,
            witness,
            steps: Vec::new(),
            edges: Vec::new(),
        }
    }

    /// Why a key is undecided, and how much of it is.
    pub(crate) fn undecided(&self, part: &Part<M>, report: &Report, limit: Limit) -> String {
        let why = match limit {
            Limit::Steps => format!("no answer after {} configurations; raise the limit", report.steps),
            Limit::Memory => "no answer within the limit on memory; raise it".to_owned(),
            Limit::Time => "no answer within the limit on time; raise it".to_owned(),
            Limit::Width => "more than 4096 operations pending at once; use fewer clients".to_owned(),
        };
        let decided = match part.problem.steps.get(report.reached) {
            Some(Step::Return(at)) if report.reached > 0 => {
                let event = part.problem.entries[*at as usize].complete as usize;
                format!("linearizable up to event {event} at {}", seconds(self.history.get(event).time_ns()))
            }
            _ => "nothing is decided".to_owned(),
        };
        format!("{}: {why}, or test fewer operations a key. {decided}", subject(part))
    }

    fn says(&self, entry: &Entry) -> String {
        let call = self.model.describe(&self.call(entry));
        let invocation = self.history.get(entry.invoke as usize);
        if entry.complete == NEVER {
            return format!(
                "{call} by process {} from {}",
                invocation.process(),
                seconds(invocation.time_ns())
            );
        }
        let completion = self.history.get(entry.complete as usize);
        format!("{call} by process {} at {}", completion.process(), seconds(completion.time_ns()))
    }

    fn call(&self, entry: &Entry) -> Call {
        let completion = (entry.complete != NEVER).then(|| self.history.get(entry.complete as usize));
        split::call(self.model, self.keys, self.history.get(entry.invoke as usize), completion).1
    }
}

fn subject<M: Model>(part: &Part<M>) -> String {
    part.key.as_ref().map_or_else(|| "the history".to_owned(), |key| format!("key {key}"))
}

fn seconds(time_ns: u64) -> String {
    format!("{:.3} s", time_ns as f64 / 1e9)
}
