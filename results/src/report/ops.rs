use squall_checkers::history::OpRef;
use squall_checkers::{History, Process, Type};

use super::columns::split;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It took effect.
    Ok,
    /// It did not.
    Fail,
    /// Nobody knows, and the client said so.
    Info,
    /// Nothing was heard of it until the end.
    Open,
}

/// An operation: an invocation with its completion, or an event that stands alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpRow {
    pub(crate) start_ns: u64,
    /// Its completion, or the end of the run.
    pub(crate) end_ns: u64,
    /// Index of its first event.
    pub(crate) first: u32,
    /// Index of its last event: the same where there is only one.
    pub(crate) last: u32,
    pub(crate) outcome: Outcome,
    pub(crate) client: bool,
}

/// Every operation of a history by the time of its start.
#[derive(Debug, Default)]
pub(crate) struct Ops {
    pub(crate) rows: Vec<OpRow>,
    /// For each event the row of its operation.
    row_of_event: Vec<u32>,
    pub(crate) end_ns: u64,
}

impl Ops {
    pub(crate) fn of(history: &History) -> Ops {
        let pairs = history.pairs();
        let end_ns = history.iter().map(OpRef::time_ns).max().unwrap_or(0);
        let mut rows = Vec::with_capacity(history.len() / 2 + 1);
        for event in history.iter() {
            let index = event.index();
            let other = pairs.of(index);
            if event.kind() != Type::Invoke && other.is_some() {
                continue;
            }
            let last = other.map_or(event, |other| history.get(other));
            let outcome = match last.kind() {
                Type::Invoke => Outcome::Open,
                Type::Ok => Outcome::Ok,
                Type::Fail => Outcome::Fail,
                Type::Info => Outcome::Info,
            };
            let start_ns = event.time_ns();
            let ended = if outcome == Outcome::Open { end_ns } else { last.time_ns() };
            rows.push(OpRow {
                start_ns,
                // A clock that ran backwards in a foreign history must not give a negative length.
                end_ns: ended.max(start_ns),
                first: index as u32,
                last: last.index() as u32,
                outcome,
                client: event.process() != Process::Nemesis,
            });
        }
        rows.sort_by_key(|row| (row.start_ns, row.first));
        let mut row_of_event = vec![0; history.len()];
        for (at, row) in rows.iter().enumerate() {
            row_of_event[row.first as usize] = at as u32;
            row_of_event[row.last as usize] = at as u32;
        }
        Ops { rows, row_of_event, end_ns }
    }

    /// The operation that an event belongs to; `None` for an index beyond the history.
    pub(crate) fn of_event(&self, index: usize) -> Option<&OpRow> {
        self.rows.get(*self.row_of_event.get(index)? as usize)
    }

    /// Operations of clients.
    pub(crate) fn clients(&self) -> impl Iterator<Item = &OpRow> {
        self.rows.iter().filter(|row| row.client)
    }
}

/// What to do with the key of a value `[key, value]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Values carry no key.
    None,
    /// Say it first.
    Show,
    /// All have the same, which is said elsewhere.
    Hide,
}

/// What an operation did, in a line: `write 12`, `read → 12`, `cas [1,2]`, `key 4: read → 12`.
pub(crate) fn label(history: &History, row: &OpRow, keys: Keys) -> String {
    let first = history.get(row.first as usize);
    let (argument, result) = (first.value(), history.get(row.last as usize).value());
    let keyed = keys != Keys::None && row.client;
    let parts = |value| if keyed { split(value) } else { None };
    let (key, argument) = match parts(&argument) {
        Some((key, argument)) => (Some(key), argument),
        None => (None, &argument),
    };
    let result = match parts(&result) {
        Some((same, result)) if key == Some(same) => result,
        _ => &result,
    };
    let mut label = match key.filter(|_| keys == Keys::Show) {
        Some(key) => format!("key {key}: {}", first.f()),
        None => first.f().to_owned(),
    };
    if !argument.is_null() {
        label += &format!(" {argument}");
    }
    // Of a read, that nothing was there is worth saying; of a write, what it answered is not.
    let told = !result.is_null() || argument.is_null() && row.outcome == Outcome::Ok;
    if row.last != row.first && told && (result != argument || result.is_null()) {
        label += &format!(" → {result}");
    }
    label
}

#[cfg(test)]
mod tests {
    use squall_checkers::Op;

    use super::*;

    #[test]
    fn events_become_operations_even_when_times_run_backwards() {
        let by = |process, kind, at| Op::new("read").process(Process::Client(process)).kind(kind).at(at);
        let history: History = [
            by(0, Type::Invoke, 50),
            by(1, Type::Invoke, 10),
            by(0, Type::Ok, 40),
            Op::new("heal").process(Process::Nemesis).kind(Type::Info).at(30),
        ]
        .into_iter()
        .collect();
        let ops = Ops::of(&history);
        let seen: Vec<_> =
            ops.rows.iter().map(|r| (r.start_ns, r.end_ns, r.first, r.last, r.outcome)).collect();
        let expected =
            [(10, 50, 1, 1, Outcome::Open), (30, 30, 3, 3, Outcome::Info), (50, 50, 0, 2, Outcome::Ok)];
        assert_eq!(seen, expected);
        assert_eq!(ops.of_event(2).unwrap().first, 0);
        assert!(ops.of_event(4).is_none());
        assert_eq!(ops.clients().count(), 2);
    }
}
