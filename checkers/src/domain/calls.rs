//! The operations of a history's clients, one after the other, within a budget.

use std::fmt;

use crate::budget::{Lease, Spent};
use crate::checker::without_real_time;
use crate::history::{OpRef, Pairs, Raw};
use crate::registry::Order;
use crate::{Budget, History, Type, Verdict};

/// No operation, no event.
pub(super) const NONE: u32 = u32::MAX;

/// Events between two looks at the budget.
const PACE: usize = 4096;

/// The verdict of a checker of this family on the clients' operations.
pub(super) fn judged<'a>(
    name: &str,
    order: Order,
    history: &'a History,
    budget: &'a Budget,
    judge: impl FnOnce(&Calls<'a>) -> Result<Verdict, Stop>,
) -> Verdict {
    let unknown = without_real_time(name, history).filter(|_| order == Order::RealTime);
    unknown.unwrap_or_else(|| {
        let verdict = Calls::of(history, budget).and_then(|calls| judge(&calls));
        verdict.unwrap_or_else(|stop| stop.verdict(name))
    })
}

/// An operation: its invocation, and its completion if there is one. Two machine words, so that it is handed over in two registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    history: &'a History,
    /// The event of its invocation, and in the upper half that of its completion, or `NONE` where there is none.
    events: u64,
}

impl<'a> Call<'a> {
    #[inline]
    fn new(history: &'a History, invoke: u32, complete: u32) -> Call<'a> {
        Call { history, events: u64::from(complete) << 32 | u64::from(invoke) }
    }

    #[inline]
    pub(super) fn invoke(self) -> OpRef<'a> {
        self.history.get(self.at() as usize)
    }

    #[inline]
    pub(super) fn complete(self) -> Option<OpRef<'a>> {
        let complete = (self.events >> 32) as u32;
        (complete != NONE).then(|| self.history.get(complete as usize))
    }

    /// The event of its acknowledgement, if there is one.
    #[inline]
    pub(super) fn ok(self) -> Option<OpRef<'a>> {
        self.complete().filter(|op| op.kind() == Type::Ok)
    }

    #[inline]
    pub(super) fn f(self) -> &'a str {
        self.invoke().f()
    }

    /// How it ended: `Info` too where it did not.
    #[inline]
    pub(super) fn kind(self) -> Type {
        self.complete().map_or(Type::Info, OpRef::kind)
    }

    pub(super) fn is_ok(self) -> bool {
        self.ok().is_some()
    }

    /// The argument.
    #[inline]
    pub(super) fn asked(self) -> Raw<'a> {
        self.invoke().raw()
    }

    /// What an acknowledged operation returned, and its event.
    #[inline]
    pub(super) fn told(self) -> Option<(Raw<'a>, OpRef<'a>)> {
        self.ok().map(|op| (op.raw(), op))
    }

    /// The event of its invocation: its name in witnesses.
    #[inline]
    pub(super) fn at(self) -> u32 {
        self.events as u32
    }

    /// The event of its acknowledgement, or `NONE`.
    #[inline]
    pub(super) fn acknowledged(self) -> u32 {
        self.ok().map_or(NONE, |op| op.index() as u32)
    }
}

/// What a checker does with each operation, in the order of the events.
pub(super) trait Pass<'a> {
    /// An operation begins.
    fn invoke(&mut self, _call: Call<'a>) -> Result<(), Stop> {
        Ok(())
    }

    /// An operation completes.
    fn complete(&mut self, _call: Call<'a>) -> Result<(), Stop> {
        Ok(())
    }

    /// Bytes that it holds.
    fn bytes(&self) -> usize;
}

/// Why a pass ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The budget is spent.
    Spent(Spent),
    /// The history is not of the kind that is checked.
    Shape(String),
}

impl Stop {
    /// The event holds something else than `expected`.
    #[cold]
    pub(super) fn shape(op: OpRef<'_>, expected: &str) -> Stop {
        Stop::Shape(format!("{}: {expected}, not {}", op.name(), brief(op.raw())))
    }

    /// There is no such function here.
    #[cold]
    pub(super) fn function(op: OpRef<'_>, expected: &str) -> Stop {
        Stop::Shape(format!("{}: there is no `{}` here: {expected}", op.name(), op.f()))
    }

    fn verdict(self, checker: &str) -> Verdict {
        match self {
            Stop::Spent(spent) => Verdict::unknown(checker, spent.to_string()),
            Stop::Shape(why) => Verdict::unknown(checker, why),
        }
    }
}

impl From<Spent> for Stop {
    fn from(spent: Spent) -> Stop {
        Stop::Spent(spent)
    }
}

/// The clients' operations.
pub(super) struct Calls<'a> {
    pub(super) history: &'a History,
    pub(super) budget: &'a Budget,
    pairs: Pairs,
    _held: Lease<'a>,
}

impl fmt::Debug for Calls<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("history", self.history).finish_non_exhaustive()
    }
}

impl<'a> Calls<'a> {
    fn of(history: &'a History, budget: &'a Budget) -> Result<Calls<'a>, Stop> {
        budget.ask()?;
        let held = budget.lease(history.len() * size_of::<u32>())?;
        Ok(Calls { history, budget, pairs: history.pairs(), _held: held })
    }

    /// The operation that an event invoked.
    pub(super) fn call(&self, invoke: u32) -> Call<'a> {
        let complete = self.pairs.of(invoke as usize).map_or(NONE, |at| at as u32);
        Call::new(self.history, invoke, complete)
    }

    /// The operation that an event completed; none that `NONE` did.
    pub(super) fn completed(&self, complete: u32) -> Option<Call<'a>> {
        let invoke = self.pairs.of((complete != NONE).then_some(complete as usize)?)? as u32;
        Some(Call::new(self.history, invoke, complete))
    }

    /// Runs a pass over all events. What it holds is leased as long as the lease that comes back.
    pub(super) fn run(&self, pass: &mut impl Pass<'a>) -> Result<Lease<'a>, Stop> {
        let mut held = self.budget.lease(pass.bytes())?;
        for event in self.history.iter() {
            if event.index() % PACE == PACE - 1 {
                let spent = |spent: Spent| {
                    let (at, all) = (event.index(), self.history.len());
                    Stop::Shape(format!("after {at} of {all} events {spent}"))
                };
                self.budget.ask().map_err(spent)?;
                held.resize(pass.bytes()).map_err(spent)?;
            }
            if !event.is_client() {
                continue;
            }
            let at = event.index() as u32;
            if event.kind() == Type::Invoke {
                pass.invoke(self.call(at))?;
            } else if let Some(call) = self.completed(at) {
                pass.complete(call)?;
            }
        }
        held.resize(pass.bytes())?;
        Ok(held)
    }

    /// Every operation, in the order of invocation: for what is not on the hot path.
    pub(super) fn iter(&self) -> impl Iterator<Item = Call<'a>> + '_ {
        let invoked = |event: &OpRef<'_>| event.is_client() && event.kind() == Type::Invoke;
        self.history.iter().filter(invoked).map(|event| self.call(event.index() as u32))
    }
}

/// The key and the rest of an event's value, where values are `[key, value]`. A read may name its key at its end alone.
#[inline]
pub(super) fn split<'a>(event: OpRef<'a>, independent: bool) -> Result<(Option<Raw<'a>>, Raw<'a>), Stop> {
    if !independent {
        return Ok((None, event.raw()));
    }
    let (key, value) = event.raw().pair().ok_or_else(|| Stop::shape(event, "every value is [key, value]"))?;
    Ok((Some(key), value))
}

/// A value as a sentence shows it: cut where it is long.
pub(super) fn brief(value: Raw<'_>) -> String {
    const MAX: usize = 60;
    let text = value.to_value().to_string();
    match text.char_indices().nth(MAX) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
