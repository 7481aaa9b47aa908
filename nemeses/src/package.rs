use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::Op;
use squall_workloads::Generator;
use squall_workloads::generator::{any, nemesis, once, seq};

use crate::grudge::Shape;
use crate::kill::CHOICES;
use crate::membership;
use crate::nemesis::{Nemesis, Ops};
use crate::nodes::NodeSpec;
use crate::registry::{self, Entry};
use crate::schedule::{Draw, Schedule};
use crate::{Kill, Membership, Partition, Pause};

/// A nemesis with the generator that drives it, as `-n` names it.
pub struct Package {
    /// Its name.
    pub name: String,
    /// What acts.
    pub nemesis: Box<dyn Nemesis>,
    /// When it acts, in the main phase.
    pub generator: Box<dyn Generator>,
    /// What heals it before the final phase.
    pub final_generator: Box<dyn Generator>,
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
    /// Mean time from one operation of a package to its next.
    pub interval: Duration,
}

impl Package {
    /// A nemesis that injects what a function draws, and heals, in turns.
    pub fn new(nemesis: impl Nemesis + 'static, interval: Duration, draw: Draw) -> Package {
        let ops: Ops = nemesis.ops();
        Package {
            name: nemesis.fault().to_owned(),
            final_generator: Box::new(once(Op::new(ops.heal.clone()))),
            generator: Box::new(Schedule::new(ops, interval, draw)),
            nemesis: Box::new(nemesis),
        }
    }
}

/// The packages that a text such as `partition:halves,kill,pause:one` names. `none` is no package.
///
/// # Errors
/// If a name or a parameter is unknown (says which there are), or the cluster is too small for it.
pub fn packages(text: &str, setting: &Setting) -> Result<Vec<Package>> {
    let mut packages: Vec<Package> = Vec::new();
    for (entry, parameter) in registry::parse(text)? {
        if packages.iter().any(|package| package.name == entry.name) {
            bail!("{} is there twice", entry.name);
        }
        if let Some(package) =
            package(entry, parameter, setting).with_context(|| format!("nemesis {}", entry.name))?
        {
            packages.push(package);
        }
    }
    Ok(packages)
}

/// Nemeses, and one generator each for the main phase and for healing. Both use the nemesis thread alone.
pub fn compose(packages: Vec<Package>) -> (Vec<Box<dyn Nemesis>>, Box<dyn Generator>, Box<dyn Generator>) {
    let (mut nemeses, mut main, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for package in packages {
        nemeses.push(package.nemesis);
        main.push(package.generator);
        last.push(package.final_generator);
    }
    (nemeses, Box::new(nemesis(any(main))), Box::new(nemesis(seq(last))))
}

fn package(entry: &Entry, parameter: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let Setting { nodes, primaries, interval, .. } = *setting;
    Ok(Some(match entry.name {
        "partition" => {
            let draw: Draw = match parameter {
                Some(shape) => constant(shape.parse::<Shape>()?.checked(nodes)?),
                None if nodes < 2 => bail!("{nodes} node cannot be partitioned"),
                None => text(move |rng| Shape::random(nodes, primaries, rng)),
            };
            Package::new(Partition, interval, draw)
        }
        "kill" => Package::new(Kill::default(), interval, node_spec(parameter, &CHOICES, setting)?),
        "pause" => Package::new(Pause::default(), interval, node_spec(parameter, &CHOICES, setting)?),
        "membership" => {
            if !setting.membership {
                bail!("this target cannot add and remove nodes");
            }
            if nodes < 3 {
                bail!("removing one of {nodes} nodes leaves no majority");
            }
            let draw = node_spec(parameter, &membership::CHOICES, setting)?;
            Package::new(Membership::default(), interval, draw)
        }
        _ => return Ok(None),
    }))
}

fn node_spec(parameter: Option<&str>, among: &'static [NodeSpec], setting: &Setting) -> Result<Draw> {
    let Setting { nodes, primaries, .. } = *setting;
    Ok(match parameter {
        Some(spec) => constant(spec.parse::<NodeSpec>()?.checked(nodes)?),
        None => text(move |rng| NodeSpec::random(among, nodes, primaries, rng)),
    })
}

fn constant(value: impl ToString) -> Draw {
    let value = Value::from(value.to_string());
    Box::new(move |_| value.clone())
}

fn text<T: ToString>(draw: impl Fn(&mut ChaCha8Rng) -> T + Send + 'static) -> Draw {
    Box::new(move |rng| Value::from(draw(rng).to_string()))
}
