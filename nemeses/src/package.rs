use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use squall_checkers::Op;
use squall_workloads::Generator;
use squall_workloads::generator::{any, nemesis, once, seq};

use crate::grudge::Shape;
use crate::nemesis::{Nemesis, Ops};
use crate::nodes::{CHOICES, NodeSpec, at_nodes};
use crate::registry::{self, Entry};
use crate::schedule::{Draw, Schedule};
use crate::{Clock, Kill, Membership, Packets, Partition, Pause, clock, packets};

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
            prepare: &[],
        }
    }
}

/// The packages that a text such as `partition:halves,kill,pause:one` names, of these nemeses: those of
/// [`registry::ALL`] and perhaps some of one's own. `none` is no package.
///
/// # Errors
/// If a name or a parameter is unknown (says which there are), or the cluster is too small for it.
pub fn packages(text: &str, setting: &Setting, known: &[Entry]) -> Result<Vec<Package>> {
    let mut packages: Vec<Package> = Vec::new();
    for (entry, parameter) in registry::parse(text, known)? {
        if packages.iter().any(|package| package.name == entry.name) {
            bail!("{} is there twice", entry.name);
        }
        let built = (entry.build)(parameter, setting).with_context(|| format!("nemesis {}", entry.name))?;
        packages.extend(built);
    }
    // Healed last: nodes can only join again when nothing else is broken.
    packages.sort_by_key(|package| package.name == "membership");
    Ok(packages)
}

/// The kinds of node faults that these packages need to be prepared on the nodes before the target starts.
pub fn preparations(packages: &[Package]) -> Vec<String> {
    let kinds: BTreeSet<&str> = packages.iter().flat_map(|package| package.prepare).copied().collect();
    kinds.into_iter().map(str::to_owned).collect()
}

/// Several packages as one. Both generators use the nemesis thread alone.
pub struct Composition {
    /// What acts: for [`Chaos`](crate::Chaos).
    pub nemeses: Vec<Box<dyn Nemesis>>,
    /// Whichever package's operation is due next, in the main phase.
    pub generator: Box<dyn Generator>,
    /// Heals one kind after the other, before the final phase.
    pub final_generator: Box<dyn Generator>,
}

/// Joins packages. Each keeps to its own schedule, however busy the others and the clients are.
pub fn compose(packages: Vec<Package>) -> Composition {
    let (mut nemeses, mut main, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for package in packages {
        nemeses.push(package.nemesis);
        main.push(package.generator);
        last.push(package.final_generator);
    }
    Composition {
        nemeses,
        generator: Box::new(nemesis(any(main))),
        final_generator: Box::new(nemesis(seq(last))),
    }
}

pub(crate) fn none(_parameter: Option<&str>, _setting: &Setting) -> Result<Option<Package>> {
    Ok(None)
}

pub(crate) fn partition(shape: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let Setting { nodes, primaries, interval, .. } = *setting;
    let draw: Draw = match shape {
        Some(shape) => constant(shape.parse::<Shape>()?.checked(nodes)?),
        None if nodes < 2 => bail!("{nodes} node cannot be partitioned"),
        None => text(move |rng| Shape::random(nodes, primaries, rng)),
    };
    Ok(Some(Package::new(Partition, interval, draw)))
}

pub(crate) fn clock(skew: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let draw: Draw = match skew {
        Some(text) => {
            let (skew, nodes) = at_nodes(text);
            clock::skew(skew)?;
            checked(&nodes, setting)?;
            constant(text)
        }
        None => text(clock::random),
    };
    Ok(Some(Package::new(Clock::default(), setting.interval, draw)))
}

pub(crate) fn packets(profile: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    if setting.nodes < 2 {
        bail!("{} node sends to no other", setting.nodes);
    }
    let draw: Draw = match profile {
        Some(text) => {
            let (profile, nodes) = at_nodes(text);
            packets::profile(profile)?;
            checked(&nodes, setting)?;
            constant(text)
        }
        None => text(packets::random),
    };
    Ok(Some(Package::new(Packets, setting.interval, draw)))
}

pub(crate) fn kill(spec: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let draw = node_spec(spec, &CHOICES, setting)?;
    Ok(Some(Package::new(Kill::default(), setting.interval, draw)))
}

pub(crate) fn pause(spec: Option<&str>, setting: &Setting) -> Result<Option<Package>> {
    let draw = node_spec(spec, &CHOICES, setting)?;
    Ok(Some(Package::new(Pause::default(), setting.interval, draw)))
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

fn node_spec(parameter: Option<&str>, among: &'static [NodeSpec], setting: &Setting) -> Result<Draw> {
    let Setting { nodes, primaries, .. } = *setting;
    Ok(match parameter {
        Some(spec) => constant(spec.parse::<NodeSpec>()?.checked(nodes)?),
        None => text(move |rng| NodeSpec::random(among, nodes, primaries, rng)),
    })
}

/// Whether it names nodes that there are, or none.
fn checked(nodes: &Value, setting: &Setting) -> Result<()> {
    match nodes.as_str() {
        Some(spec) => spec.parse::<NodeSpec>()?.checked(setting.nodes).map(drop),
        None => Ok(()),
    }
}

fn constant(value: impl ToString) -> Draw {
    let value = Value::from(value.to_string());
    Box::new(move |_| value.clone())
}

fn text<T: ToString>(draw: impl Fn(&mut ChaCha8Rng) -> T + Send + 'static) -> Draw {
    Box::new(move |rng| Value::from(draw(rng).to_string()))
}

#[cfg(test)]
mod tests {
    use squall_workloads::generator::{GeneratorExt as _, Reply, Simulation};

    use super::*;

    const SETTING: Setting =
        Setting { nodes: 5, primaries: true, membership: true, interval: Duration::from_secs(10) };

    fn schedule(text: &str, setting: &Setting, seed: u64) -> String {
        let composed = compose(packages(text, setting, &registry::ALL).unwrap());
        let all = composed.generator.time_limit(Duration::from_secs(60)).then(composed.final_generator);
        Simulation::new(1).seed(seed).run_with(all, |_, _| Reply::info()).unwrap().to_string()
    }

    #[test]
    fn a_seed_decides_the_schedule() {
        let text = schedule("partition,kill,pause:one", &SETTING, 1);
        let expected = r#"5467.830 0 nemesis pause "one"
6610.829 0 nemesis kill "minority"
12670.682 0 nemesis start-partition "halves"
16623.147 0 nemesis start null
17803.873 0 nemesis resume null
21108.639 0 nemesis stop-partition null
22437.532 0 nemesis kill "minority"
23122.534 0 nemesis pause "one"
26588.813 0 nemesis start-partition "bridge"
29740.563 0 nemesis start null
29930.069 0 nemesis resume null
36581.482 0 nemesis stop-partition null
39257.931 0 nemesis pause "one"
41350.530 0 nemesis kill "one"
49526.666 0 nemesis start-partition "primaries"
51660.433 0 nemesis resume null
52045.106 0 nemesis start null
58840.782 0 nemesis kill "one"
60000.000 0 nemesis stop-partition null
60001.000 0 nemesis start null
60002.000 0 nemesis resume null
"#;
        assert_eq!(text, expected);
        assert_ne!(schedule("partition,kill,pause:one", &SETTING, 2), text);
    }

    #[test]
    fn faults_alternate_with_healing_at_the_mean_interval() {
        let long = Simulation::new(1);
        let main = compose(packages("partition", &SETTING, &registry::ALL).unwrap())
            .generator
            .time_limit(Duration::from_secs(10_000));
        let schedule = long.run_with(main, |_, _| Reply::info()).unwrap();
        let ops: Vec<(&str, u64)> = schedule.invocations().map(|op| (op.f.as_ref(), op.time_ns)).collect();
        assert!((950..=1050).contains(&ops.len()), "{} in 10,000 s", ops.len());
        for (i, pair) in ops.windows(2).enumerate() {
            assert_eq!(pair[0].0, ["start-partition", "stop-partition"][i % 2]);
            let wait_s = (pair[1].1 - pair[0].1) as f64 / 1e9;
            assert!((5.0..=15.0).contains(&wait_s), "{wait_s}");
        }
    }

    #[test]
    fn none_is_no_package() {
        assert!(packages("none", &SETTING, &registry::ALL).unwrap().is_empty());
        assert_eq!(schedule("none", &SETTING, 1), "");
    }

    #[test]
    fn mistakes_are_explained() {
        let error =
            |text, setting: &Setting| format!("{:#}", packages(text, setting, &registry::ALL).err().unwrap());
        assert_eq!(
            error("partition:halfs", &SETTING),
            "nemesis partition: there is no shape of a partition `halfs`, did you mean `halves`? There are: halves, one, \
             majorities-ring, bridge, one-way, primaries, minority, or nodes such as n1+n3"
        );
        assert_eq!(error("kill,kill:one", &SETTING), "kill is there twice");
        let small = Setting { nodes: 2, membership: false, ..SETTING };
        assert_eq!(error("kill:minority", &small), "nemesis kill: minority of 2 nodes is no node at all");
        assert_eq!(
            error("partition:bridge", &small),
            "nemesis partition: bridge needs 3 nodes, and there are 2"
        );
        assert_eq!(
            error("membership", &small),
            "nemesis membership: this target cannot add and remove nodes"
        );
        let one = Setting { nodes: 1, ..SETTING };
        assert_eq!(error("partition", &one), "nemesis partition: 1 node cannot be partitioned");
    }

    #[test]
    fn the_registry_and_the_nemeses_agree() {
        for entry in &registry::ALL {
            let made = packages(entry.name, &SETTING, &registry::ALL).unwrap();
            assert_eq!(made.is_empty(), entry.name == "none");
            for package in made {
                let ops = package.nemesis.ops();
                assert_eq!((package.name.as_str(), ops.inject.as_str(), ops.heal.as_str()), {
                    (package.nemesis.fault(), entry.ops.0, entry.ops.1)
                });
            }
            for (parameter, _) in entry.parameters {
                packages(&format!("{}:{parameter}", entry.name), &SETTING, &registry::ALL).unwrap();
            }
        }
    }
}
