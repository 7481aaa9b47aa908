//! Leadership transfer (thesis, §3.10): the leader lets another one lead, without the pause of an election time-out.
//!
//! The leader takes no new entries, waits until the other one's log is its own, and tells it to campaign at once. Votes
//! for it are free although all still hear a leader. A transfer that has not succeeded within an election time-out is
//! given up, and the leader goes on.

use super::message::{Body, NodeId, Refusal};
use super::node::{Node, Role};

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Transfer {
    to: NodeId,
    /// When it is given up.
    until_ms: u64,
    /// Whether the other one was told to campaign.
    told: bool,
}

impl Node {
    /// Leader: begins to hand over to `to`.
    pub(super) fn begin_transfer(&mut self, to: &NodeId) -> Result<(), Refusal> {
        let is_peer = !self.is_me(to) && self.members.current().contains_key(to);
        let until_ms = self.now + self.config.election_timeout_ms;
        let Some(leadership) = self.leadership() else { return Err(Refusal::NotLeader) };
        if !is_peer || leadership.transfer.is_some() {
            return Err(Refusal::NoTransfer);
        }
        leadership.transfer = Some(Transfer { to: to.clone(), until_ms, told: false });
        Ok(())
    }

    /// Whether this node leads and is about to stop.
    pub(super) fn hands_over(&self) -> bool {
        matches!(&self.role, Role::Leader(leadership) if leadership.transfer.is_some())
    }

    /// Leader: tells the other one to campaign, once its log is this node's.
    pub(super) fn hand_over(&mut self) {
        let last = self.log.last().index;
        let Some(leadership) = self.leadership() else { return };
        let Some(transfer) = &mut leadership.transfer else { return };
        let matched = leadership.progress.get(&transfer.to).is_some_and(|peer| peer.matched == last);
        if transfer.told || !matched {
            return;
        }
        transfer.told = true;
        let to = transfer.to.clone();
        leadership.give_up_lease();
        self.send(to, Body::TimeoutNow);
    }

    /// Leader: goes on as before when the other one does not take over.
    pub(super) fn give_up_transfer(&mut self) {
        let now = self.now;
        if let Some(leadership) = self.leadership()
            && leadership.transfer.as_ref().is_some_and(|transfer| now >= transfer.until_ms)
        {
            leadership.transfer = None;
        }
    }

    /// The leader of `term` wants this node to lead.
    pub(super) fn on_timeout_now(&mut self, term: u64) {
        let follows = matches!(self.role, Role::Follower) && term == self.vote.term;
        if follows && self.members.current().contains_key(&self.config.id) {
            self.leader = None;
            self.start_election(true);
        }
    }
}
