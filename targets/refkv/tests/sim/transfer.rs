//! Handing leadership over.

use super::{ELECTION_TIMEOUT_MS, NAMES, Plan, Violation, Weather, World};
use squall_refkv::bug::Bugs;
use squall_refkv::raft::{Input, NodeId, Op, Request};

impl World {
    /// Asks every node to hand over to that one: the leader is among them.
    pub(super) fn hand_over_to(&mut self, to: &str) {
        for id in NAMES {
            self.next_ticket += 1;
            let request = Request { key: None, op: Op::Transfer(to.to_owned()) };
            self.give(id, Input::Request { ticket: self.next_ticket, request });
        }
    }

    /// The leader of the newest term, and that term.
    fn leader(&self) -> Option<(NodeId, u64)> {
        let nodes = self.servers.values().filter_map(|server| Some(server.node.as_ref()?.status()));
        nodes
            .filter(|status| status.role == "leader")
            .map(|status| (status.id, status.term))
            .max_by_key(|(_, term)| *term)
    }
}

/// Three nodes in fine weather hand over in turns: how long each took, in milliseconds.
pub(crate) fn round(seed: u64, leases: bool) -> Result<Vec<u64>, Violation> {
    let weather = Weather { loss: 0.0, duplication: 0.0, delay_ms: 5, straggle: 0.0 };
    let plan = Plan {
        nodes: 3,
        bugs: Bugs::default(),
        inspect: true,
        chaos_ms: u64::MAX,
        weather,
        clients: 4,
        snapshot_every: 1000,
        drift_ppm_max: leases.then_some(0),
        crash: 0.0,
        power_failure: 0.0,
        partition: 0.0,
        pause: 0.0,
        change: 0.0,
        transfer: 0.0,
    };
    let mut world = World::new(seed, plan);
    let mut took = Vec::new();
    for _ in 0..10 * ELECTION_TIMEOUT_MS {
        world.millisecond()?;
    }
    for turn in 0..6 {
        let Some((leader, term)) = world.leader() else {
            return Err(Violation::new("liveness", format!("nobody leads before transfer {turn}")));
        };
        let at = NAMES.iter().position(|id| *id == leader).unwrap_or(0);
        let next = NAMES[(at + 1) % 3];
        let began = world.now;
        world.hand_over_to(next);
        while world.leader() != Some((next.to_owned(), term + 1)) {
            world.millisecond()?;
            if world.now > began + 10 * ELECTION_TIMEOUT_MS {
                return Err(Violation::new("liveness", format!("{leader} does not hand over to {next}")));
            }
        }
        took.push(world.now - began);
        // Long enough for a lease to be held again.
        for _ in 0..2 * ELECTION_TIMEOUT_MS {
            world.millisecond()?;
        }
    }
    super::history::check(&world.ops, world.ghost.reference())?;
    Ok(took)
}
