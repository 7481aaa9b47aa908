use std::borrow::Cow;

use super::error::{Misread, Parse, ReadError};
use super::fields::Fields;
use super::validate::{Problem, Rules};
use super::{EVENTS_MAX, Format, History, Process, Type};

/// Puts events together to a history, and holds the rules that every history keeps.
pub(super) struct Loader {
    pub(super) history: History,
    pub(super) warnings: Vec<String>,
    pub(super) torn: bool,
    /// Where the text broke off, and what should have come.
    pub(super) tear: Option<ReadError>,
    format: Format,
    rules: Rules,
    lines: Lines,
    last_index: Option<u64>,
    renumbered: bool,
    timed: bool,
    time_problem: Option<(Problem, usize)>,
    time_problems: usize,
    anonymous: Anonymous,
}

/// Events without a process, as in hand-written examples of Elle: an invocation takes the next completion, and each pair is
/// a process of its own.
#[derive(Default)]
struct Anonymous {
    named: bool,
    unnamed: u32,
    open: bool,
}

impl Loader {
    pub(super) fn new(format: Format) -> Loader {
        Loader {
            history: History::new(),
            warnings: Vec::new(),
            torn: false,
            tear: None,
            format,
            rules: Rules::default(),
            lines: Lines::default(),
            last_index: None,
            renumbered: false,
            timed: false,
            time_problem: None,
            time_problems: 0,
            anonymous: Anonymous::default(),
        }
    }

    /// Whether keys are written as EDN keywords, in messages too.
    fn key(&self, name: &str) -> String {
        match self.format {
            Format::Jsonl | Format::JsonArray => format!("\"{name}\""),
            _ => format!(":{name}"),
        }
    }

    /// What was expected of a field that holds something else.
    pub(super) fn wrong(&self, name: &str, holds: &str) -> String {
        format!("{} to be {holds}", self.key(name))
    }

    fn missing(&self, name: &str, fields: &Fields<'_>) -> Box<Misread> {
        Misread::new(fields.at, format!("an operation with {}", self.key(name)), "one without")
    }

    /// Appends the event that stands on `line`.
    pub(super) fn push(&mut self, fields: &Fields<'_>, line: usize) -> Parse<()> {
        let index = self.history.len();
        if index >= EVENTS_MAX {
            return Err(Misread::new(fields.at, format!("at most {EVENTS_MAX} events"), "one more"));
        }
        let kind = fields.kind.ok_or_else(|| self.missing("type", fields))?;
        let process = self.process(fields, kind)?;
        let f = self.f(fields)?;
        self.check_index(fields, line)?;
        let time_ns = self.time_ns(fields);
        for problem in self.rules.event(index, time_ns, process, kind) {
            self.judge(problem, fields, line)?;
        }
        self.lines.push(index, line);
        let label = self.history.labels.intern(kind, f, || Cow::Owned(f.to_owned()), fields.error.as_deref());
        self.history.push_record(time_ns, process, label, fields.value);
        Ok(())
    }

    fn process(&mut self, fields: &Fields<'_>, kind: Type) -> Parse<Process> {
        let Anonymous { named, unnamed, open } = &mut self.anonymous;
        match fields.process {
            Some(Process::Nemesis) => Ok(Process::Nemesis),
            Some(process) if *unnamed == 0 => {
                *named = true;
                Ok(process)
            }
            None if !*named => {
                if kind == Type::Invoke && !*open {
                    *unnamed += 1;
                }
                *open = kind == Type::Invoke;
                Ok(Process::Client(*unnamed - u32::from(*unnamed > 0)))
            }
            None => Err(self.missing("process", fields)),
            Some(_) => {
                let expected = format!("no {}, as on the lines before", self.key("process"));
                Err(Misread::new(fields.at, expected, "an operation with one"))
            }
        }
    }

    /// The function; Elle's transactions may go without, and are `txn`.
    fn f<'f>(&self, fields: &'f Fields<'_>) -> Parse<&'f str> {
        match &fields.f {
            Some(f) => Ok(f),
            None if self.history.arena.is_array(fields.value) => Ok("txn"),
            None => Err(self.missing("f", fields)),
        }
    }

    /// Positions are the indices. Where the file's own do not agree the user hears of it; where they fall, the order of
    /// events is not known.
    fn check_index(&mut self, fields: &Fields<'_>, line: usize) -> Parse<()> {
        let Some(index) = fields.index else { return Ok(()) };
        if let Some(last) = self.last_index.filter(|&last| index <= last) {
            let expected = format!("{} to be above {last}, that of the event before", self.key("index"));
            return Err(Misread::new(fields.at, expected, index.to_string()));
        }
        if index != self.history.len() as u64 && !self.renumbered {
            self.renumbered = true;
            let position = self.history.len();
            self.warnings.push(format!(
                "line {line}: event {position} has index {index}; events are renumbered from 0"
            ));
        }
        self.last_index = Some(index);
        Ok(())
    }

    /// The time; where there is none, that of the event before, or the position in a history without any times.
    fn time_ns(&mut self, fields: &Fields<'_>) -> u64 {
        self.timed |= fields.time_ns.is_some();
        match (fields.time_ns, self.history.records.last()) {
            (Some(time_ns), _) => time_ns,
            (None, Some(last)) if self.timed => last.time_ns,
            (None, _) => self.history.len() as u64,
        }
    }

    /// Other tools take the time before they take the place in the history, so only in our own format is a time that runs
    /// backwards an error.
    fn judge(&mut self, problem: Problem, fields: &Fields<'_>, line: usize) -> Parse<()> {
        let misread = |expected: String, got: String| Err(Misread::new(fields.at, expected, got));
        match problem {
            Problem::NotInvoked { process, .. } => misread(
                format!("process {process} to invoke an operation before it completes one"),
                format!("\"{}\"", fields.kind.map_or("", Type::name)),
            ),
            Problem::StillOpen { open, process, .. } => misread(
                format!("process {process} to complete its operation of line {} first", self.lines.of(open)),
                "\"invoke\"".into(),
            ),
            Problem::TimeBackwards { index, time_ns, before_ns } if self.format == Format::Jsonl => misread(
                format!(
                    "{} to be at least {before_ns}, as on line {}",
                    self.key("time"),
                    self.lines.of(index - 1)
                ),
                time_ns.to_string(),
            ),
            Problem::TimeBackwards { .. } => {
                self.time_problems += 1;
                self.time_problem.get_or_insert((problem, line));
                Ok(())
            }
        }
    }

    /// Says what is to be said of the whole.
    pub(super) fn finish(&mut self) {
        if let Some((problem, line)) = self.time_problem.take() {
            let more = match self.time_problems - 1 {
                0 => String::new(),
                n => format!("; {n} more"),
            };
            self.warnings.push(format!("line {line}: time runs backwards: {problem}{more}"));
        }
        if self.torn {
            let at = self.tear.take().map_or(String::new(), |tear| {
                format!(", on line {}, column {} (expected {})", tear.line, tear.column, tear.expected)
            });
            let n = self.history.len();
            self.warnings.push(match n {
                0 => format!("the file ends in the middle of its first record{at}: there is nothing to read"),
                _ => format!(
                    "the file ends in the middle of a record{at}: the {n} whole events before it were read"
                ),
            });
        }
    }
}

/// The line of each event: runs of one event a line, `(index, line)` of the first.
#[derive(Default)]
struct Lines {
    runs: Vec<(usize, usize)>,
}

impl Lines {
    fn push(&mut self, index: usize, line: usize) {
        let expected = self.runs.last().map(|run| run.1 + index - run.0);
        if expected != Some(line) {
            self.runs.push((index, line));
        }
    }

    fn of(&self, index: usize) -> usize {
        let run = self.runs[self.runs.partition_point(|run| run.0 <= index) - 1];
        run.1 + index - run.0
    }
}
