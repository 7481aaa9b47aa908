use serde_json::Value;

use super::{Model, Operation, Outcome, RawCall, Values};
use crate::history::Raw;

/// Permits that are taken and given back: `acquire n` takes n (1 where no number is given) and is legal only where so
/// many are free, `release n` gives n back. A failed acquire says nothing.
///
/// At first all permits are free; `release` never leaves more than all.
#[derive(Clone, Copy, Debug)]
pub struct Semaphore {
    /// All permits.
    pub permits: u32,
}

/// An operation of [`Semaphore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SemaphoreOp {
    /// It took so many.
    Acquire(u32),
    /// It gave so many back.
    Release(u32),
}

impl Default for Semaphore {
    /// With one permit.
    fn default() -> Semaphore {
        Semaphore { permits: 1 }
    }
}

impl Model for Semaphore {
    type State = (u32, u32);
    type Op = SemaphoreOp;

    /// Free permits, and all.
    fn init(&self) -> (u32, u32) {
        (self.permits, self.permits)
    }

    fn starting_at(&self, permits: &Value) -> Option<(u32, u32)> {
        let permits = u32::try_from(permits.as_u64()?).ok()?;
        Some((permits, permits))
    }

    fn step(&self, &(free, all): &(u32, u32), op: &SemaphoreOp) -> Option<(u32, u32)> {
        let free = match op {
            SemaphoreOp::Acquire(n) => free.checked_sub(*n),
            SemaphoreOp::Release(n) => free.checked_add(*n).filter(|&free| free <= all),
        };
        Some((free?, all))
    }

    fn read_only(&self, op: &SemaphoreOp) -> bool {
        matches!(op, SemaphoreOp::Acquire(0) | SemaphoreOp::Release(0))
    }
}

impl Operation for SemaphoreOp {
    fn decode(call: &RawCall<'_>, _values: &mut Values) -> Result<Option<SemaphoreOp>, String> {
        let permits = match call.input {
            Raw::Null => 1,
            Raw::Int(n) => u32::try_from(n).map_err(|_| format!("a semaphore has no {n} permits"))?,
            other => return Err(format!("a semaphore counts permits, not {}", other.to_value())),
        };
        let op = match call.f {
            "acquire" => SemaphoreOp::Acquire(permits),
            "release" => SemaphoreOp::Release(permits),
            f => return Err(format!("a semaphore has no `{f}`: it has acquire and release")),
        };
        Ok((!matches!(call.outcome, Outcome::Fail(_))).then_some(op))
    }
}
