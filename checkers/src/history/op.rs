use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// Who performed an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Process {
    /// The one process that injects and heals faults. JSON: `"nemesis"`.
    Nemesis,
    /// A logical single-threaded client. After an `info` completion its id is never used again. JSON: the number.
    Client(u32),
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Nemesis => f.write_str("nemesis"),
            Process::Client(id) => write!(f, "{id}"),
        }
    }
}

/// What an event says about its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// The operation began.
    Invoke,
    /// It took effect, once, between its invocation and this completion.
    Ok,
    /// It did not take effect and never will.
    Fail,
    /// Nobody knows: it may have taken effect, may yet, or never will.
    Info,
}

impl Type {
    /// The name in histories: `invoke`, `ok`, `fail` or `info`.
    pub fn name(self) -> &'static str {
        match self {
            Type::Invoke => "invoke",
            Type::Ok => "ok",
            Type::Fail => "fail",
            Type::Info => "info",
        }
    }

    /// The type of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Type> {
        Some(match name {
            "invoke" => Type::Invoke,
            "ok" => Type::Ok,
            "fail" => Type::Fail,
            "info" => Type::Info,
            _ => return None,
        })
    }
}

/// One event of a history: an invocation or a completion, in the shape that Jepsen gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// Position in the history, from 0.
    pub index: usize,
    /// Nanoseconds since the start of the run.
    pub time_ns: u64,
    /// Who did it.
    pub process: Process,
    /// Invocation, or how it completed.
    pub kind: Type,
    /// The function, such as `read` or `write`.
    pub f: Cow<'static, str>,
    /// Argument of an invocation, result of a completion. Operations on independent keys carry `[key, value]`.
    pub value: Value,
    /// Why it failed or is unknown.
    pub error: Option<String>,
}

impl Op {
    /// An invocation of `f` with no value, at time 0, by client 0: fill in what differs.
    pub fn new(f: impl Into<Cow<'static, str>>) -> Op {
        Op {
            index: 0,
            time_ns: 0,
            process: Process::Client(0),
            kind: Type::Invoke,
            f: f.into(),
            value: Value::Null,
            error: None,
        }
    }

    /// The same operation with this value.
    pub fn value(mut self, value: impl Into<Value>) -> Op {
        self.value = value.into();
        self
    }

    /// The same operation by this process.
    pub fn process(mut self, process: Process) -> Op {
        self.process = process;
        self
    }

    /// The same operation as an event of this type.
    pub fn kind(mut self, kind: Type) -> Op {
        self.kind = kind;
        self
    }

    /// The same operation at this time, in nanoseconds since the start of the run.
    pub fn at(mut self, time_ns: u64) -> Op {
        self.time_ns = time_ns;
        self
    }
}

impl fmt::Display for Op {
    /// `process type f value [error]`, tab-separated, as Jepsen prints an operation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}\t{}", self.process, self.kind.name(), self.f, self.value)?;
        match &self.error {
            Some(error) => write!(f, "\t{error}"),
            None => Ok(()),
        }
    }
}
