//! Faults as they act on one node, or on the switch between nodes: what the agent there runs.

mod clock;
mod cut;
mod disk;
mod files;
mod iptables;
mod nft;
mod packets;
pub(crate) mod settings;
mod signal;
#[cfg(test)]
pub(crate) mod testnet;

pub use clock::{Clock, Clocks, Skew};
pub use cut::{At, Cut, CutArgs};
pub use disk::{DISK, Disk, DiskArgs, DiskProfile};
pub use files::{Act, Damage, FILES, Files, FilesArgs};
pub use packets::{Flow, PacketArgs, Packets, Profile, Spread};
pub use signal::Signal;
use squall_targets::agent::NodeFault;

/// One of each, for an agent.
pub fn all() -> Vec<Box<dyn NodeFault>> {
    vec![
        Box::new(Clock::default()),
        Box::new(Cut::default()),
        Box::new(Disk::default()),
        Box::new(Files::default()),
        Box::new(Packets::default()),
        Box::new(Signal::default()),
    ]
}
