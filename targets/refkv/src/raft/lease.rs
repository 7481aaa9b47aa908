//! Leader leases: reads that ask nobody (thesis, §6.4.1; Gray and Cheriton, *Leases*, SOSP 1989).
//!
//! A node that hears from a leader votes for nobody else for an election time-out by its own clock. So a leader that a
//! majority answered knows that it leads for that long *after it had asked them*, and may answer reads from its own
//! state. Its clock may be slow and theirs fast: if each runs at a rate within 1 ± d of the true one, a promise of T lasts at
//! least T/(1+d), and a lease that the leader measures as L lasts at most L/(1-d); so L = T × (1-d)/(1+d).
//!
//! A leader that hands over (see [`transfer`](super::transfer)) frees its followers from their promise, and so ends its lease.
//!
//! Beyond that bound, or when a clock jumps, a new leader may be elected while the old one still trusts its lease: reads
//! are then stale.

use super::node::{Node, Role};
use super::replication::Leadership;
use crate::bug::BugKind;
use std::collections::VecDeque;

/// What the leases of a cluster rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leases {
    /// No clock runs faster or slower than the true time by more than this, in millionths.
    pub drift_ppm_max: u64,
}

/// What a leader knows about its lease.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// Rounds that not yet a majority has answered, and when they began.
    rounds: VecDeque<(u64, u64)>,
    /// Until then nobody else leads.
    until_ms: u64,
    /// It was given up for the rest of the term.
    over: bool,
}

impl Leadership {
    /// Followers were freed from their promise, and when they make use of it is not known: no more leases in this term.
    pub(super) fn give_up_lease(&mut self) {
        self.lease = Lease { over: true, ..Lease::default() };
    }

    /// What is sent now begins a new round: who answers it was a follower after this moment.
    pub(super) fn begin_lease_round(&mut self, now: u64) {
        self.round += 1;
        self.lease.rounds.push_back((self.round, now));
    }
}

impl Node {
    /// How long after it had asked a majority a leader may trust in it, by its own clock.
    fn lease_ms(&self, leases: Leases) -> u64 {
        let promised = self.config.election_timeout_ms;
        if self.bugs().has(BugKind::LeaseWithoutBound) {
            // Broken: as if all clocks ran alike.
            return promised;
        }
        let d = leases.drift_ppm_max.min(1_000_000);
        promised * (1_000_000 - d) / (1_000_000 + d)
    }

    /// Leader: a majority has answered this round. Extends the lease.
    pub(super) fn extend_lease(&mut self, answered: u64) {
        let Some(leases) = self.config.leases else { return };
        let lease_ms = self.lease_ms(leases);
        let now = self.now;
        let Some(Leadership { lease, .. }) = self.leadership() else { return };
        if lease.over {
            return;
        }
        if answered == u64::MAX {
            // A cluster of one.
            lease.until_ms = now + lease_ms;
        }
        while let Some(&(round, began)) = lease.rounds.front()
            && round <= answered
        {
            lease.until_ms = lease.until_ms.max(began + lease_ms);
            lease.rounds.pop_front();
        }
    }

    /// Whether this node leads, by its lease, and nobody else does.
    pub(super) fn holds_a_lease(&self) -> bool {
        match &self.role {
            Role::Leader(leadership) => self.config.leases.is_some() && self.now < leadership.lease.until_ms,
            _ => false,
        }
    }

    /// Whether a leader may hold a lease because this node answered it. After a restart it may have, and not know.
    pub(super) fn has_promised(&self) -> bool {
        let heard = self.leader_heard_ms.unwrap_or(self.started_ms);
        self.config.leases.is_some() && self.now < heard + self.config.election_timeout_ms
    }
}
