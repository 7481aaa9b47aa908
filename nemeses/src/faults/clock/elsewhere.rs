//! Machines for whose processor there is no code to put into processes.

use anyhow::Result;
use serde_json::Value;
use squall_checkers::Receipt;
use squall_targets::Unavailable;
use squall_targets::agent::NodeFault;

/// Skews no clock, and says so.
#[derive(Default)]
pub struct Clock;

impl NodeFault for Clock {
    fn kind(&self) -> &'static str {
        super::CLOCK
    }

    fn probe(&mut self, _args: &Value) -> Result<()> {
        Err(Unavailable::new(
            "clocks can be skewed on x86-64 only",
            "use an x86-64 machine, or leave clock out",
        )
        .into())
    }

    fn inject(&mut self, args: &Value, _pids: &[i32]) -> Result<Receipt> {
        self.probe(args).map(|()| Receipt::unconfirmed("no clock was skewed"))
    }

    fn heal(&mut self, _pids: &[i32]) -> Result<Receipt> {
        Ok(Receipt::unconfirmed("no clock was skewed"))
    }
}
