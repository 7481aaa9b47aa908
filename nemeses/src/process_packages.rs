//! Packages of faults on processes, members and leaders, from what `-n` says.

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::leader::{self, Leader};
use crate::nodes::{CHOICES, at_nodes};
use crate::package::{Package, Setting, checked, constant, node_spec, text};
use crate::replace::{self, Replace};
use crate::restart::{self, Flags, Restart};
use crate::schedule::Draw;
use crate::throttle::{Lack, Throttle};
use crate::{Term, kill};

type Made = Result<Option<Package>>;

/// Nothing is for the nemesis to choose.
fn random() -> Draw {
    Box::new(|_| Value::Null)
}

pub(crate) fn term(parameter: Option<&str>, setting: &Setting) -> Made {
    let draw = match parameter {
        Some(parameter) => {
            checked(&kill::grace(parameter)?.1, setting)?;
            constant(parameter)
        }
        None => random(),
    };
    Ok(Some(Package::new(Term::default(), setting.interval, draw)))
}

pub(crate) fn restart(spec: Option<&str>, setting: &Setting) -> Made {
    Ok(Some(Package::new(Restart::at_once(), setting.interval, node_spec(spec, &CHOICES, setting)?)))
}

pub(crate) fn rolling(spec: Option<&str>, setting: &Setting) -> Made {
    let draw = node_spec(spec.or(Some("all")), &CHOICES, setting)?;
    Ok(Some(Package::new(Restart::rolling(), setting.interval, draw)))
}

pub(crate) fn crash_loop(spec: Option<&str>, setting: &Setting) -> Made {
    Ok(Some(Package::new(Restart::crash_loop(), setting.interval, node_spec(spec, &CHOICES, setting)?)))
}

pub(crate) fn slow(amount: Option<&str>, setting: &Setting) -> Made {
    throttle(Lack::Time, amount, setting)
}

pub(crate) fn cpu(amount: Option<&str>, setting: &Setting) -> Made {
    throttle(Lack::Processor, amount, setting)
}

pub(crate) fn memory(amount: Option<&str>, setting: &Setting) -> Made {
    throttle(Lack::Memory, amount, setting)
}

fn throttle(lack: Lack, amount: Option<&str>, setting: &Setting) -> Made {
    let draw: Draw = match amount {
        Some(text) => {
            let (amount, nodes) = at_nodes(text);
            lack.amount(amount)?;
            checked(&nodes, setting)?;
            constant(text)
        }
        None => text(move |rng| lack.random(rng)),
    };
    Ok(Some(Package::new(Throttle::new(lack), setting.interval, draw)))
}

pub(crate) fn flags(flags: Option<&str>, setting: &Setting) -> Made {
    ensure!(setting.flags, "this target cannot be started with other flags");
    let draw = match flags {
        Some(text) => {
            let (flags, nodes) = at_nodes(text);
            restart::flags(flags)?;
            checked(&nodes, setting)?;
            constant(text)
        }
        None => random(),
    };
    Ok(Some(Package::new(Flags::default(), setting.interval, draw)))
}

pub(crate) fn leader(act: Option<&str>, setting: &Setting) -> Made {
    ensure!(setting.transfer, "this target cannot hand leadership over");
    ensure!(setting.nodes > 1, "there is no other node to lead");
    let act = act.unwrap_or("transfer");
    if let Some(to) = leader::to(act)? {
        checked(&to.into(), setting)?;
    }
    Ok(Some(Package::new(Leader, setting.interval, constant(act))))
}

pub(crate) fn replace(spec: Option<&str>, setting: &Setting) -> Made {
    if spec == Some("all") {
        bail!("not all nodes can be replaced");
    }
    ensure!(setting.membership, "this target cannot add and remove nodes");
    ensure!(setting.nodes > 2, "removing one of {} nodes leaves no majority", setting.nodes);
    Ok(Some(Package::new(Replace::default(), setting.interval, node_spec(spec, &replace::CHOICES, setting)?)))
}
