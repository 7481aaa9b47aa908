use std::str::FromStr;
use std::time::Duration;

use anyhow::{Error, Result, bail};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_targets::Target;

use crate::faults::{Damage, DiskProfile, Skew};
use crate::grudge::Shape;
use crate::nemesis::Nemesis;
use crate::nodes::{CHOICES, NodeSpec, at_nodes};
use crate::partition::Asked;
use crate::presets::Presets;
use crate::schedule::Draw;
use crate::{
    Clock, Disk, Files, Kill, Membership, Packets, Partition, Pause, Power, Regions, clock, disk, faults,
    files, packets, power, regions,
};

/// A nemesis and how it is used, as `-n` names both.
pub struct Package {
    /// Its name.
    pub name: String,
    /// What acts.
    pub nemesis: Box<dyn Nemesis>,
    /// Mean time from one of its acts to the next, where a schedule gives no times.
    pub interval: Duration,
    /// Draws the value of an injection. All that a parameter says is in that value: a kind of fault has one nemesis in a
    /// run, however many parameters a schedule gives it.
    pub draw: Draw,
    /// Whether it lasts from the beginning of a run to its end, where a schedule gives no times.
    pub lasts: bool,
    /// The kinds of node faults that must be prepared on the nodes before the target starts.
    pub prepare: &'static [&'static str],
}

/// What packages are made for.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// How many nodes there are.
    pub nodes: usize,
    /// Whether the target can tell who leads.
    pub primaries: bool,
    /// Whether the target's nodes can be removed and added.
    pub membership: bool,
    /// Whether the one that leads can hand over.
    pub transfer: bool,
    /// Whether the target can be started with other flags.
    pub flags: bool,
    /// Mean time from one operation of a package to its next.
    pub interval: Duration,
}

impl Setting {
    /// What this target can do, on so many nodes; without one, whatever a target may be able to do.
    pub fn of(target: Option<&dyn Target>, nodes: usize, interval: Duration) -> Setting {
        let can = |able: fn(&dyn Target) -> bool| target.is_none_or(able);
        Setting {
            nodes,
            primaries: can(|target| target.primaries().is_some()),
            membership: can(|target| target.membership().is_some()),
            transfer: can(|target| target.transfer().is_some()),
            flags: can(|target| target.flags().is_some()),
            interval,
        }
    }
}

impl Package {
    /// A nemesis that injects what a function draws, and heals, in turns.
    pub fn new(nemesis: impl Nemesis + 'static, interval: Duration, draw: Draw) -> Package {
        let name = nemesis.fault().to_owned();
        Package { name, nemesis: Box::new(nemesis), interval, draw, lasts: false, prepare: &[] }
    }
}

pub(crate) fn none(_parameter: Option<&str>, _setting: &Setting) -> Result<Option<Package>> {
    Ok(None)
}

pub(crate) fn partition(shape: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let Setting { nodes, primaries, interval, .. } = *setting;
    let asked: Option<Asked> = shape.map(str::parse).transpose()?;
    let (shape, how) = asked.map(|asked| (asked.shape, asked.how)).unwrap_or_default();
    let draw: Draw = match shape {
        Some(shape) => constant(Asked { shape: Some(shape.checked(nodes)?), how }),
        None if nodes < 2 => bail!("{nodes} node cannot be partitioned"),
        None => {
            text(move |rng| Asked { shape: Some(Shape::random(nodes, primaries, rng)), how: how.clone() })
        }
    };
    Ok(Some(Package::new(Partition::default(), interval, draw)))
}

pub(crate) fn clock(skew: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let draw = settings_at_nodes::<Skew>(skew, &clock::PRESETS, |rng| clock::PRESETS.random(rng), setting)?;
    let asked = skew.map(|text| clock::PRESETS.parse::<Skew>(at_nodes(text).0)).transpose()?;
    let machines = asked.is_some_and(|skew| skew.machine);
    let package = Package::new(Clock::of_machines(machines), setting.interval, draw);
    let prepare: &[&str] = if machines { &[] } else { &[faults::CLOCK] };
    Ok(Some(Package { prepare, ..package }))
}

pub(crate) fn packets(profile: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    if setting.nodes < 2 {
        bail!("{} node sends to no other", setting.nodes);
    }
    let draw: Draw = match profile {
        Some(text) => {
            text.parse::<packets::Asked>()?.checked(setting.nodes)?;
            constant(text)
        }
        None => text(|rng| packets::PRESETS.random(rng)),
    };
    Ok(Some(Package::new(Packets::default(), setting.interval, draw)))
}

pub(crate) fn regions(map: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let map: regions::Map = map.unwrap_or(regions::DEFAULT).parse()?;
    map.checked(setting.nodes)?;
    let package = Package::new(Regions::default(), setting.interval, constant(map));
    Ok(Some(Package { lasts: true, ..package }))
}

pub(crate) fn kill(spec: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let draw = node_spec(spec, &CHOICES, setting)?;
    Ok(Some(Package::new(Kill::default(), setting.interval, draw)))
}

pub(crate) fn pause(spec: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let draw = node_spec(spec, &CHOICES, setting)?;
    Ok(Some(Package::new(Pause::default(), setting.interval, draw)))
}

pub(crate) fn power(spec: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let Setting { nodes, primaries, .. } = *setting;
    let random = move |rng: &mut ChaCha8Rng| NodeSpec::random(&CHOICES, nodes, primaries, rng);
    let draw: Draw = match spec {
        Some(what) => match power::parse(what) {
            (Some(_), Value::Null) => {
                let what = what.to_owned();
                text(move |rng| format!("{what}@{}", random(rng)))
            }
            (_, nodes) => {
                checked(&nodes, setting)?;
                constant(what)
            }
        },
        None => text(random),
    };
    let package = Package::new(Power::default(), setting.interval, draw);
    Ok(Some(Package { prepare: &[faults::DISK], ..package }))
}

pub(crate) fn disk(profile: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let draw = settings_at_nodes::<DiskProfile>(profile, &disk::PRESETS, disk::random, setting)?;
    let asked = profile.map(|text| disk::PRESETS.parse(at_nodes(text).0)).transpose()?;
    let package = Package::new(Disk::asked(asked), setting.interval, draw);
    Ok(Some(Package { prepare: &[faults::DISK], ..package }))
}

pub(crate) fn files(damage: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let draw =
        settings_at_nodes::<Damage>(damage, &files::PRESETS, |rng| files::PRESETS.random(rng), setting)?;
    Ok(Some(Package::new(Files::default(), setting.interval, draw)))
}

pub(crate) fn membership(spec: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    if spec == Some("all") {
        bail!("not all nodes can leave");
    }
    if !setting.membership {
        bail!("this target cannot add and remove nodes");
    }
    if setting.nodes < 3 {
        bail!("removing one of {} nodes leaves no majority", setting.nodes);
    }
    let draw = node_spec(spec, &crate::membership::CHOICES, setting)?;
    Ok(Some(Package::new(Membership::default(), setting.interval, draw)))
}

pub(crate) fn node_spec(
    parameter: Option<&str>,
    among: &'static [NodeSpec],
    setting: &Setting,
) -> Result<Draw> {
    let Setting { nodes, primaries, .. } = *setting;
    Ok(match parameter {
        Some(spec) => constant(spec.parse::<NodeSpec>()?.checked(nodes)?),
        None => text(move |rng| NodeSpec::random(among, nodes, primaries, rng)),
    })
}

/// Settings as `-n` takes them, at nodes as it takes them; without any, random ones at random nodes.
fn settings_at_nodes<T: FromStr<Err = Error>>(
    asked: Option<&str>,
    presets: &Presets,
    random: fn(&mut ChaCha8Rng) -> &'static str,
    setting: &Setting,
) -> Result<Draw> {
    let Some(asked) = asked else { return Ok(text(random)) };
    let (settings, nodes) = at_nodes(asked);
    presets.parse::<T>(settings)?;
    checked(&nodes, setting)?;
    Ok(constant(asked))
}

/// Whether it names nodes that there are, or none.
pub(crate) fn checked(nodes: &Value, setting: &Setting) -> Result<()> {
    match nodes.as_str() {
        Some(spec) => spec.parse::<NodeSpec>()?.checked(setting.nodes).map(drop),
        None => Ok(()),
    }
}

pub(crate) fn constant(value: impl ToString) -> Draw {
    let value = Value::from(value.to_string());
    Box::new(move |_| value.clone())
}

pub(crate) fn text<T: ToString>(draw: impl Fn(&mut ChaCha8Rng) -> T + Send + Sync + 'static) -> Draw {
    Box::new(move |rng| Value::from(draw(rng).to_string()))
}
