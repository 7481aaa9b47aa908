use anyhow::Result;

use super::Flow;
use super::counts::BySender;

/// What can hold packets back on the node that receives them, by sender. Dropping it removes all that it made.
pub(super) trait Mechanism: Send {
    /// As it stands in receipts.
    fn name(&self) -> &'static str;

    /// These flows and no others are touched from now on; what was counted for those that stay is kept. Tells what was done
    /// to each flow before.
    fn set(&mut self, flows: &[Flow], seed: u64) -> Result<BySender>;

    /// What was done to each flow that is in force, as the kernel sees it.
    fn read(&mut self) -> Result<BySender>;

    /// Ends it, and tells what was done until the end.
    fn close(self: Box<Self>) -> Result<BySender>;
}
