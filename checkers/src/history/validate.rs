use std::fmt;

use super::open_ops::OpenOps;
use super::{History, Process, Type};

/// A way in which a sequence of events is not a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A client completed what it had not invoked.
    NotInvoked {
        /// Index of the completion.
        index: usize,
        /// The process.
        process: Process,
    },
    /// A client invoked while an operation of its own was open.
    StillOpen {
        /// Index of the second invocation.
        index: usize,
        /// Index of the first.
        open: usize,
        /// The process.
        process: Process,
    },
    /// An event is earlier than the one before it.
    TimeBackwards {
        /// Index of the earlier event. The other is the one before it.
        index: usize,
        /// Its time, in nanoseconds since the start of the run.
        time_ns: u64,
        /// The time of the event before it.
        before_ns: u64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NotInvoked { index, process } => {
                write!(f, "event {index}: process {process} completes an operation that it did not invoke")
            }
            Problem::StillOpen { index, open, process } => {
                write!(
                    f,
                    "event {index}: process {process} invokes while its operation of event {open} is open"
                )
            }
            Problem::TimeBackwards { index, time_ns, before_ns } => {
                write!(f, "event {index}: time {time_ns} ns, after {before_ns} ns of event {}", index - 1)
            }
        }
    }
}

/// The first `limit` problems of a history, in order; none if it is well-formed.
///
/// Each client's events alternate: invoke, completion, invoke, ... and the times never fall. A client may go on after
/// an `info`: the operation stays pending for ever all the same. The nemesis may do as it likes.
pub fn validate(history: &History, limit: usize) -> Vec<Problem> {
    let mut rules = Rules::default();
    let events = history.iter().flat_map(|op| rules.event(op.index(), op.time_ns(), op.process(), op.kind()));
    events.take(limit).collect()
}

/// The rules, applied to one event after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    open: OpenOps<u32>,
    last_ns: u64,
}

impl Rules {
    /// The problems of the next event: one of its order in time, one of its process.
    #[inline]
    pub(super) fn event(
        &mut self,
        index: usize,
        time_ns: u64,
        process: Process,
        kind: Type,
    ) -> impl Iterator<Item = Problem> + use<> {
        let before_ns = std::mem::replace(&mut self.last_ns, time_ns);
        let backwards = (time_ns < before_ns).then_some(Problem::TimeBackwards { index, time_ns, before_ns });
        let unpaired = match process {
            Process::Nemesis => None,
            Process::Client(id) if kind == Type::Invoke => {
                let open = self.open.insert(id, index as u32);
                open.map(|open| Problem::StillOpen { index, open: open as usize, process })
            }
            Process::Client(id) => {
                let open = self.open.remove(id);
                open.is_none().then_some(Problem::NotInvoked { index, process })
            }
        };
        backwards.into_iter().chain(unpaired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Op;

    fn history(events: &[(u32, Type, u64)]) -> History {
        events
            .iter()
            .map(|&(p, kind, t)| Op::new("read").process(Process::Client(p)).kind(kind).at(t))
            .collect()
    }

    #[test]
    fn each_rule_names_both_events() {
        let history = history(&[
            (0, Type::Invoke, 5),
            (1, Type::Ok, 5),
            (0, Type::Invoke, 4),
            (0, Type::Ok, 6),
            (0, Type::Info, 6),
        ]);
        let problems: Vec<String> = validate(&history, 10).iter().map(Problem::to_string).collect();
        assert_eq!(
            problems,
            [
                "event 1: process 1 completes an operation that it did not invoke",
                "event 2: time 4 ns, after 5 ns of event 1",
                "event 2: process 0 invokes while its operation of event 0 is open",
                "event 4: process 0 completes an operation that it did not invoke",
            ]
        );
        assert_eq!(validate(&history, 2).len(), 2);
    }

    #[test]
    fn the_nemesis_and_a_process_that_goes_on_after_info_are_no_problem() {
        let mut history = history(&[(3, Type::Invoke, 0), (3, Type::Info, 1), (3, Type::Invoke, 2)]);
        for kind in [Type::Info, Type::Invoke, Type::Invoke, Type::Ok, Type::Info] {
            history.push(&Op::new("kill").process(Process::Nemesis).kind(kind).at(9));
        }
        assert_eq!(validate(&history, 9), []);
    }
}
