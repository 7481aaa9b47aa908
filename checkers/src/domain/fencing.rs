//! Locks with fencing tokens: tokens grow, and nothing is written with an old one.
//!
//! **Operations.** `acquire` returns a token, an integer or an object with one in the field `token`; `release` gives the lock
//! back; `write`, with a token or an object that has one, writes to a store that should refuse old tokens. Jepsen has such
//! locks in its Hazelcast tests (there the field is `fence`) and judges them as a model; the rules here are Kleppmann's, *How to do
//! distributed locking*, 2016. An `acquire` that returns null has no token and is judged as a plain lock.
//!
//! **Failures.**
//! - `duplicate-token`: two acquires got the same token;
//! - `token-regression`: an acquire got a lower token than one that had completed before it began;
//! - `stale-write`: a write was accepted that began after one with a higher token had been accepted;
//! - `overlapping-holders`: a process got the lock while another certainly held it: from the completion of its
//!   acquire until it begins a release that does not fail, or an operation of unknown outcome (after which it may
//!   have lost its session). [`Fencing::leases`] leaves this out, for locks that expire.
//!
//! Operations of unknown outcome got nothing and prove nothing. One pass.

use std::collections::{BTreeSet, HashMap};

use super::calls::{Call, Calls, Pass, Stop, judged};
use super::findings::Findings;
use crate::history::{OpRef, Raw};
use crate::intern::FastBuild;
use crate::registry::Order;
use crate::{Budget, Checker, History, Process, Type, Verdict};

const NAME: &str = "fencing";
const KINDS: [&str; 4] = ["stale-write", "overlapping-holders", "duplicate-token", "token-regression"];

/// Checks locks with fencing tokens: see the [module](super::fencing).
///
/// ```
/// use squall_checkers::domain::Fencing;
/// use squall_checkers::{Checker, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"acquire"}
/// {"process":0,"type":"ok","f":"acquire","value":{"token":33},"time":1000000000}
/// {"process":1,"type":"invoke","f":"write","value":{"token":34,"value":"b"},"time":2000000000}
/// {"process":1,"type":"ok","f":"write","value":null,"time":3000000000}
/// {"process":0,"type":"invoke","f":"write","value":{"token":33,"value":"a"},"time":4000000000}
/// {"process":0,"type":"ok","f":"write","value":null,"time":5000000000}"#;
/// let verdict = Fencing::new().check(&history::read(text.as_bytes(), "lock.jsonl")?.history);
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "write by process 0 at 5.000 s was accepted with token 33, after write by process 1 at 3.000 s with 34"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fencing {
    field: String,
    leases: bool,
}

impl Default for Fencing {
    fn default() -> Fencing {
        Fencing::new()
    }
}

impl Fencing {
    /// A lock that one process holds at a time, with its tokens in `token`.
    pub fn new() -> Fencing {
        Fencing { field: "token".into(), leases: false }
    }

    /// With tokens in this field.
    pub fn field(self, field: impl Into<String>) -> Fencing {
        Fencing { field: field.into(), ..self }
    }

    /// A lock that expires: several may believe that they hold it, so only tokens are judged.
    pub fn leases(self) -> Fencing {
        Fencing { leases: true, ..self }
    }

    fn judge(&self, calls: &Calls<'_>) -> Result<Verdict, Stop> {
        let mut locks = Locks {
            options: self,
            owner: HashMap::default(),
            acquired: Highest::default(),
            written: Highest::default(),
            holders: BTreeSet::new(),
            held: HashMap::default(),
            acquires: 0,
            writes: 0,
            found: Findings::new(NAME, &KINDS, calls),
        };
        let _held = calls.run(&mut locks)?;
        let nothing = locks.acquires + locks.writes == 0;
        let undecided = nothing.then(|| "no acquire or write was acknowledged".to_owned());
        let summary = format!("{} acquires, {} writes", locks.acquires, locks.writes);
        let verdict = locks.found.verdict(summary, undecided);
        Ok(verdict.stat("acquires", locks.acquires).stat("writes", locks.writes))
    }
}

impl Checker for Fencing {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `acquires` and `writes` that were acknowledged, and how many show each kind of failure.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged(NAME, Order::RealTime, history, budget, |calls| self.judge(calls))
    }
}

/// The highest token of the operations that have completed, and what it was when each open one began.
#[derive(Default)]
struct Highest {
    now: Option<(i64, u32)>,
    open: HashMap<u32, (i64, u32), FastBuild>,
}

impl Highest {
    fn invoke(&mut self, at: u32) {
        if let Some(now) = self.now {
            self.open.insert(at, now);
        }
    }

    /// Takes the token of a completed operation; returns a higher one of an operation before it.
    fn complete(&mut self, at: u32, token: i64) -> Option<(i64, u32)> {
        if self.now.is_none_or(|(highest, _)| highest < token) {
            self.now = Some((token, at));
        }
        self.open.remove(&at).filter(|&(before, _)| before > token)
    }
}

struct Locks<'a, 'b> {
    options: &'b Fencing,
    /// Who got each token first.
    owner: HashMap<i64, u32, FastBuild>,
    acquired: Highest,
    written: Highest,
    /// The acquires of those who hold the lock now, and the same by process.
    holders: BTreeSet<u32>,
    held: HashMap<Process, u32, FastBuild>,
    acquires: usize,
    writes: usize,
    found: Findings<'a>,
}

impl<'a> Pass<'a> for Locks<'a, '_> {
    fn invoke(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let (process, kind) = (call.invoke().process(), call.kind());
        let gives_up = call.f() == "release" && kind != Type::Fail;
        if gives_up || kind == Type::Info {
            self.release(process);
        }
        match call.f() {
            "acquire" if call.is_ok() => self.acquired.invoke(call.at()),
            "write" if call.is_ok() => self.written.invoke(call.at()),
            "acquire" | "write" | "release" => {}
            _ => return Err(Stop::function(call.invoke(), "a lock has acquire, release and write")),
        }
        Ok(())
    }

    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let Some((told, event)) = call.told() else { return Ok(()) };
        match call.f() {
            "acquire" => {
                self.acquires += 1;
                if let Some(token) = self.token(told, event)? {
                    self.acquired(call.at(), token);
                }
                self.hold(event.process(), call.at());
            }
            "write" => {
                self.writes += 1;
                if let Some(token) = self.token(call.asked(), call.invoke())? {
                    self.wrote(call.at(), token);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let open = self.acquired.open.capacity() + self.written.open.capacity();
        self.owner.capacity() * size_of::<(i64, u32)>() * 8 / 7
            + open * size_of::<(u32, (i64, u32))>()
            + self.held.capacity() * (size_of::<(Process, u32)>() + size_of::<u32>())
    }
}

impl<'a> Locks<'a, '_> {
    fn token(&self, value: Raw<'a>, event: OpRef<'a>) -> Result<Option<i64>, Stop> {
        let field = &self.options.field;
        match value.entries().map_or(Some(value), |_| value.entry(field)) {
            Some(Raw::Int(token)) => Ok(Some(token)),
            Some(Raw::Null) | None => Ok(None),
            Some(_) => Err(Stop::shape(event, "a token is an integer")),
        }
    }

    fn acquired(&mut self, at: u32, token: i64) {
        let owner = *self.owner.entry(token).or_insert(at);
        if owner != at {
            self.found.add("duplicate-token", None, |calls| {
                let (first, second) = (calls.did(owner), calls.did(at));
                (format!("{first} and {second} both got token {token}"), vec![owner, at])
            });
        }
        if let Some((higher, before)) = self.acquired.complete(at, token) {
            self.found.add("token-regression", None, |calls| {
                let (did, earlier) = (calls.did(at), calls.did(before));
                (format!("{did} got token {token}, after {earlier} had got {higher}"), vec![before, at])
            });
        }
    }

    fn wrote(&mut self, at: u32, token: i64) {
        if let Some((higher, before)) = self.written.complete(at, token) {
            self.found.add("stale-write", None, |calls| {
                let (did, earlier) = (calls.did(at), calls.did(before));
                let sentence =
                    format!("{did} was accepted with token {token}, after {earlier} with {higher}");
                (sentence, vec![before, at])
            });
        }
    }

    fn hold(&mut self, process: Process, at: u32) {
        self.release(process);
        if let Some(&holder) = self.holders.last().filter(|_| !self.options.leases) {
            self.found.add("overlapping-holders", None, |calls| {
                let (did, earlier) = (calls.did(at), calls.did(holder));
                let sentence =
                    format!("{did} got the lock, though {earlier} had got it and not given it back");
                (sentence, vec![holder, at])
            });
        }
        self.holders.insert(at);
        self.held.insert(process, at);
    }

    fn release(&mut self, process: Process) {
        if let Some(at) = self.held.remove(&process) {
            self.holders.remove(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{Choice, Whole, agree};
    use super::*;

    fn plain(ops: &[Whole], leases: bool) -> BTreeSet<&'static str> {
        let mut kinds = BTreeSet::new();
        let token = |value: &Value| value.as_i64().or_else(|| value["token"].as_i64());
        let oks = |f: &'static str| ops.iter().filter(move |op| op.f == f && op.ok());
        for b in oks("acquire") {
            for a in oks("acquire").filter(|a| a.invoke != b.invoke) {
                match (token(&a.told), token(&b.told)) {
                    (Some(first), Some(second)) if first == second => _ = kinds.insert("duplicate-token"),
                    (Some(first), Some(second)) if first > second && a.before(b) => {
                        kinds.insert("token-regression");
                    }
                    _ => {}
                }
                let ends = |op: &&Whole| {
                    op.process == a.process
                        && op.invoke > a.complete
                        && (op.kind == Type::Info
                            || op.f == "acquire" && op.ok()
                            || op.f == "release" && op.ok())
                };
                let end = |op: &Whole| if op.f == "acquire" && op.ok() { op.complete } else { op.invoke };
                let held_until = ops.iter().filter(ends).map(end).min().unwrap_or(usize::MAX);
                let inside = (a.complete..held_until).contains(&b.complete);
                if inside && a.process != b.process && !leases {
                    kinds.insert("overlapping-holders");
                }
            }
        }
        for b in oks("write") {
            let newer =
                |a: &Whole| a.before(b) && token(&a.asked).zip(token(&b.asked)).is_some_and(|(a, b)| a > b);
            if oks("write").any(newer) {
                kinds.insert("stale-write");
            }
        }
        if oks("acquire").chain(oks("write")).next().is_none() {
            kinds.insert("unknown");
        }
        kinds
    }

    fn choices() -> Vec<Choice> {
        let mut choices: Vec<Choice> = [json!(1), json!({"token": 2}), json!(3), json!(null)]
            .map(|token| ("acquire", json!(null), token))
            .into();
        choices.extend([1, 2].map(|token| ("write", json!({"token": token, "value": 0}), json!(null))));
        choices.extend([("release", json!(null), json!(null)), ("release", json!(null), json!(null))]);
        choices
    }

    #[test]
    fn agrees_with_the_plain_definition() {
        agree(&Fencing::new(), |ops| plain(ops, false), &choices(), [2, 100_000, 8]);
    }

    #[test]
    fn agrees_with_the_plain_definition_of_leases() {
        agree(&Fencing::new().leases(), |ops| plain(ops, true), &choices(), [2, 20_000, 8]);
    }
}
