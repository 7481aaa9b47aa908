//! How squall breaks things: faults as they act on one node, nemeses that choose nodes and moments, and the journal
//! that makes sure that every fault is healed.
//!
//! A [`Schedule`] is made of what `-n partition,kill` names, or of a file. It is composed into nemeses and generators,
//! [`Chaos`] carries out the operations of those generators, and writes what happens to a [`Journal`].

mod chaos;
mod clock;
mod disk;
pub mod faults;
mod files;
mod grudge;
pub mod journal;
mod kill;
mod leader;
mod membership;
mod nemesis;
mod nodes;
mod package;
mod packets;
mod partition;
mod pause;
mod power;
mod presets;
mod process_packages;
mod recovery;
mod regions;
pub mod registry;
mod replace;
mod restart;
mod schedule;
mod streams;
mod sys;
#[cfg(test)]
mod testing;
mod throttle;
mod together;
mod words;
mod wrappers;

pub use chaos::Chaos;
pub use clock::Clock;
pub use disk::Disk;
pub use files::Files;
pub use grudge::{Grudge, Shape};
pub use journal::Journal;
pub use kill::{Kill, Term};
pub use leader::Leader;
pub use membership::Membership;
pub use nemesis::{Nemesis, Ops, Plan, Scene};
pub use nodes::NodeSpec;
pub use package::{Package, Setting};
pub use packets::Packets;
pub use partition::Partition;
pub use pause::Pause;
pub use power::Power;
pub use recovery::{RECOVER, await_ready, ended, recovery};
pub use regions::Regions;
pub use replace::Replace;
pub use restart::{Flags, Restart};
pub use schedule::{ActKind, Composition, Draw, Forecast, Foreseen, Schedule};
pub use squall_checkers::{FaultEvent, Phase, Receipt};
pub use throttle::{Lack, Throttle};
pub use wrappers::{Noop, Timeout, Validate};
