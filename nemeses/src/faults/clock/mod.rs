//! Clock faults: the clocks that the processes of a node see are ahead, behind, fast, slow, jumping, or stand still.

#[cfg(target_arch = "x86_64")]
mod calls;
#[cfg(target_arch = "x86_64")]
mod fault;
#[cfg(target_arch = "x86_64")]
mod hook;
#[cfg(all(test, target_arch = "x86_64"))]
mod jvm;
mod machine;
#[cfg(target_arch = "x86_64")]
mod read;
#[cfg(all(test, target_arch = "x86_64"))]
mod servers;
mod skew;
#[cfg(target_arch = "x86_64")]
mod vdso;
mod words;

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere;

#[cfg(not(target_arch = "x86_64"))]
pub use elsewhere::Clock;
#[cfg(target_arch = "x86_64")]
pub use fault::Clock;
pub use machine::{MACHINE_CLOCK, MachineClock, MachineClockArgs};
pub use skew::{Clocks, Skew};

/// The kind of the fault, as packages ask for it.
pub const CLOCK: &str = "clock";

/// What is probed for system calls of the target that are answered. Without it, the clocks that programs read.
pub const CALLS: &str = "calls";
