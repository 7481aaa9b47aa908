//! Faults as they act on one node, or on the switch between nodes: what the agent there runs.

mod chain;
mod clock;
mod connections;
mod cut;
mod disk;
mod files;
mod flapper;
mod how;
mod iptables;
mod memory;
mod nft;
mod packets;
mod processes;
pub(crate) mod settings;
mod signal;
#[cfg(test)]
pub(crate) mod testnet;
mod throttle;

pub use clock::{CALLS, CLOCK, Clock, Clocks, MACHINE_CLOCK, MachineClock, MachineClockArgs, Skew};
pub(crate) use cut::LOST;
pub use cut::{At, Cut, CutArgs};
pub use disk::{DISK, Disk, DiskArgs, DiskProfile, FUSE};
pub use files::{Act, Damage, FILES, Files, FilesArgs};
pub use how::{Flap, How};
pub use memory::{Headroom, Memory};
pub use packets::{Flow, Gilbert, PacketArgs, Packets, Profile, Spread};
pub use signal::Signal;
use squall_targets::agent::NodeFault;
pub use throttle::{Share, Throttle};

/// What should have come about so often, and never did, does not work.
const SURELY: f64 = 20.0;

/// One of each, for an agent.
pub fn all() -> Vec<Box<dyn NodeFault>> {
    let [packets, regions] = Packets::both();
    vec![
        Box::new(Clock::default()),
        Box::new(MachineClock::default()),
        Box::new(Cut::default()),
        Box::new(Disk::default()),
        Box::new(Files::default()),
        Box::new(packets),
        Box::new(regions),
        Box::new(Signal::default()),
        Box::new(Throttle::slow()),
        Box::new(Throttle::cpu()),
        Box::new(Memory::default()),
    ]
}
