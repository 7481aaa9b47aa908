use std::collections::BTreeMap;

use anyhow::Result;
use squall_targets::Unavailable;

use super::Flow;
use super::counts::BySender;
use super::mechanism::Mechanism;
use super::netem::Netem;
use super::nfqueue::NfQueue;

/// What a node's packets go through on their way in: the flows of several faults as one, and what carries them out.
#[derive(Default)]
pub(super) struct Wire {
    layers: BTreeMap<&'static str, Vec<Flow>>,
    acting: Option<Box<dyn Mechanism>>,
    /// Whether there is netem, once that was tried.
    has_netem: Option<bool>,
}

impl Wire {
    /// A wire that need not choose.
    #[cfg(test)]
    pub(super) fn of(mechanism: Box<dyn Mechanism>) -> Wire {
        Wire { acting: Some(mechanism), ..Wire::default() }
    }

    /// Tries whether there is anything that can carry out a fault here.
    pub(super) fn probe(&mut self) -> Result<()> {
        match self.acting {
            Some(_) => Ok(()),
            None => self.open().map(drop),
        }
    }

    /// netem if the kernel has it, else a netfilter queue.
    fn open(&mut self) -> Result<Box<dyn Mechanism>> {
        let mut no_netem = String::new();
        if self.has_netem.is_none() {
            let probed = Netem::probe();
            self.has_netem = Some(probed.is_ok());
            no_netem = probed.err().map(|error| format!("netem: {error:#}; ")).unwrap_or_default();
        }
        if self.has_netem == Some(true) {
            return Ok(Box::new(Netem::new()?));
        }
        match NfQueue::open() {
            Ok(queue) => Ok(Box::new(queue)),
            Err(error) => {
                self.has_netem = None;
                Err(Unavailable::new(
                    format!("packets cannot be held here ({no_netem}NFQUEUE: {error:#})"),
                    "install iptables or iproute2, and run as root or where user namespaces are allowed",
                )
                .into())
            }
        }
    }

    /// What carries it out.
    pub(super) fn name(&self) -> &'static str {
        self.acting.as_ref().map_or("nothing", |mechanism| mechanism.name())
    }

    /// Replaces the flows of one fault, and tells what was done to each flow before. An error leaves none of any.
    pub(super) fn set(&mut self, layer: &'static str, flows: Vec<Flow>, seed: u64) -> Result<BySender> {
        self.layers.insert(layer, flows);
        let mut mechanism = match self.acting.take() {
            Some(mechanism) => mechanism,
            None => self.open()?,
        };
        let before = mechanism.set(&self.merged(), seed)?;
        self.acting = Some(mechanism);
        Ok(before)
    }

    /// What was done to each flow so far.
    pub(super) fn read(&mut self) -> Result<BySender> {
        self.acting.as_mut().map_or_else(|| Ok(BTreeMap::new()), |mechanism| mechanism.read())
    }

    /// Removes the flows of one fault: returns them, and what was done to each flow, or nothing if there were none.
    pub(super) fn remove(&mut self, layer: &'static str) -> Result<Option<(Vec<Flow>, BySender)>> {
        let Some(flows) = self.layers.remove(layer) else { return Ok(None) };
        let Some(mut mechanism) = self.acting.take() else { return Ok(None) };
        if self.layers.is_empty() {
            return Ok(Some((flows, mechanism.close()?)));
        }
        let counts = mechanism.read()?;
        mechanism.set(&self.merged(), 0)?;
        self.acting = Some(mechanism);
        Ok(Some((flows, counts)))
    }

    /// The flows of all faults, one for each sender.
    fn merged(&self) -> Vec<Flow> {
        let mut merged: Vec<Flow> = Vec::new();
        for flow in self.layers.values().flatten() {
            match merged.iter_mut().find(|other| other.from == flow.from) {
                Some(other) => other.profile = other.profile.and(flow.profile),
                None => merged.push(*flow),
            }
        }
        merged
    }
}
