//! Disk faults: the disks of some nodes fail, are slow, or full.

use anyhow::{Result, bail};
use async_trait::async_trait;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use squall_checkers::Receipt;

use crate::faults::{self, DiskArgs, DiskProfile};
use crate::kill::start_ended;
use crate::nemesis::{Nemesis, Plan, Scene};
use crate::nodes::{CHOICES, at_nodes, nodes_of};
use crate::presets::Presets;
use crate::streams::seed_of;

/// Profiles by name. Each is a profile's text.
pub(crate) const PRESETS: Presets = Presets {
    noun: "disk fault",
    known: &[
        ("eio-fsync", "eio-fsync=20%"),
        ("eio-write", "eio-write=5%"),
        ("eio-read", "eio-read=50%"),
        ("slow-fsync", "slow-fsync=100ms"),
        ("slow", "slow-fsync=200ms+slow-read=20ms+slow-write=20ms"),
        ("full", "room=0MiB"),
    ],
    such_as: "slow-fsync=50ms+eio-fsync=5%",
};

/// Those that take no file system.
const FSYNC_PRESETS: [&str; 2] = ["eio-fsync", "slow-fsync"];

/// Makes the disks of some nodes fail.
///
/// `start-disk` takes a preset or a [`DiskProfile`] as text, for random nodes or, as in `slow-fsync=50ms@one`, those of a
/// [`NodeSpec`](crate::NodeSpec). Nothing is a random preset. `stop-disk` makes disks healthy again and starts the target
/// where it ended because of its disk, as a supervisor would.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    faulty: Vec<String>,
    /// Those of them where the target ran when its disk began to fail.
    ran: Vec<String>,
    /// What it was made for: nothing is any of the presets.
    asked: Option<DiskProfile>,
    /// Whether only fsyncs can fail here, for want of a file system.
    fsyncs_only: bool,
}

impl Disk {
    /// One that is going to make disks fail like this.
    pub(crate) fn asked(asked: Option<DiskProfile>) -> Disk {
        Disk { asked, ..Disk::default() }
    }
}

/// A random preset, of those that bite a target that only runs: few read what they have just written.
pub(crate) fn random(rng: &mut ChaCha8Rng) -> &'static str {
    let biting: Vec<_> = PRESETS.known.iter().filter(|(name, _)| *name != "eio-read").collect();
    biting.choose(rng).map_or("slow-fsync", |(name, _)| name)
}

/// What a disk fault is to do.
#[derive(Serialize, Deserialize)]
struct Planned {
    profile: DiskProfile,
    /// That of each node is made of it.
    seed: u64,
}

#[async_trait]
impl Nemesis for Disk {
    fn fault(&self) -> &str {
        "disk"
    }

    async fn probe(&mut self, on: &Scene<'_>) -> Result<()> {
        let args = self.asked.map_or(Value::Null, |profile| json!(DiskArgs::Fail { profile, seed: 0 }));
        on.probe(faults::DISK, &args).await?;
        self.fsyncs_only = on.probe(faults::DISK, &faults::FUSE.into()).await.is_err();
        Ok(())
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let (text, nodes) = match value {
            Value::Null => (random(rng), Value::Null),
            Value::String(text) => at_nodes(text),
            other => bail!("a disk fault is a profile, not {other}"),
        };
        let mut profile: DiskProfile = PRESETS.parse(text)?;
        // The probe has refused whatever was asked for in so many words, so this was chosen at random: so is another.
        if self.fsyncs_only && !profile.is_of_fsyncs() {
            profile = PRESETS.parse(FSYNC_PRESETS.choose(rng).copied().unwrap_or_default())?;
        }
        let plan = nodes_of(&nodes, &CHOICES, on, rng).await?;
        let args = json!(Planned { profile, seed: rng.random() });
        Ok(Plan { what: format!("{profile} on {}", plan.what), args, ..plan })
    }

    fn parameter(&self, plan: &Plan) -> Option<String> {
        Some(Planned::deserialize(&plan.args).ok()?.profile.to_string())
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let Planned { profile, seed } = Planned::deserialize(&plan.args)?;
        self.faulty.clone_from(&plan.nodes);
        self.ran = on.live(&plan.nodes).await?;
        let args = |name: &str| json!(DiskArgs::Fail { profile, seed: seed_of(name, seed) });
        on.each(&plan.nodes, |node| node.inject(faults::DISK, args(node.name()))).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let receipt = on.each(&self.faulty, |node| node.heal(faults::DISK)).await?;
        // What another nemesis killed is that one's to start.
        let by_itself = |name: &String| on.cluster.node(name).is_some_and(|node| !node.was_killed());
        self.ran.retain(by_itself);
        let started = start_ended(&self.ran, on).await?;
        self.faulty.clear();
        self.ran.clear();
        let again =
            if started.is_empty() { String::new() } else { format!("; {} started again", started.join(",")) };
        Ok(Receipt { evidence: receipt.evidence + &again, ..receipt })
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::{cluster, take};

    #[tokio::test]
    async fn where_only_fsyncs_can_fail_they_are_what_fails() {
        let (cluster, target, _) = cluster(3, true);
        let on = Scene { cluster: &cluster, target: target.as_ref() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut disk = Disk { fsyncs_only: true, ..Disk::default() };
        let mut seen = BTreeSet::new();
        for text in ["full@one", "eio-write", "slow@one", "full", "eio-fsync@one", "slow-fsync"] {
            let plan = disk.plan(&text.into(), &on, &mut rng).await.unwrap();
            let profile = Planned::deserialize(&plan.args).unwrap().profile;
            assert!(profile.is_of_fsyncs(), "{text}: {}", plan.what);
            seen.insert(profile.to_string());
        }
        assert_eq!(seen.len(), FSYNC_PRESETS.len(), "{seen:?}");
        for preset in FSYNC_PRESETS {
            assert!(PRESETS.parse::<DiskProfile>(preset).unwrap().is_of_fsyncs());
        }
    }

    /// A database that gives up when its disk fails was never started again, so the run ended with a node less.
    #[tokio::test]
    async fn what_ended_because_of_its_disk_is_started_again_and_nothing_else_is() {
        let (cluster, target, calls) = cluster(4, true);
        let on = Scene { cluster: &cluster, target: target.as_ref() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut disk = Disk::default();
        cluster.nodes[2].kill().await.unwrap();
        let plan = disk.plan(&"full@all".into(), &on, &mut rng).await.unwrap();
        assert_eq!(plan.what, "room=0MiB on n1,n2,n3,n4");
        take(&calls);
        disk.inject(&plan, &on).await.unwrap();
        // All had one seed, and the same of their calls failed.
        let seeds = take(&calls).into_iter().map(|call| call.split_once("seed").unwrap().1.to_owned());
        assert_eq!(seeds.collect::<BTreeSet<_>>().len(), 4);
        // n1 ends by itself, n3 was killed before and n4 is killed meanwhile.
        target.end("n1");
        cluster.nodes[3].kill().await.unwrap();
        take(&calls);
        let receipt = disk.heal(&on).await.unwrap();
        let healed = ["n1: heal disk", "n2: heal disk", "n3: heal disk", "n4: heal disk", "n1: start"];
        assert_eq!(take(&calls), healed);
        assert!(receipt.evidence.ends_with("; n1 started again"), "{}", receipt.evidence);
        // It was enough that it bit on n2.
        assert!(!receipt.confirmed, "{receipt:?}");
        assert!(receipt.evidence.starts_with("it did not bite on n1,n3,n4; "), "{}", receipt.evidence);
    }
}
