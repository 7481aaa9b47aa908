//! Damage to files: a bit flips, the end is missing, a block is in the wrong place, an old state is back.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use async_trait::async_trait;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize as _;
use serde_json::{Value, json};
use squall_checkers::Receipt;

use crate::faults::{Damage, FILES, FilesArgs};
use crate::nemesis::{Nemesis, Plan, Scene};
use crate::nodes::{NodeSpec, at_nodes, known, minority, nodes_of, random_minority, sample};
use crate::presets::Presets;
use crate::streams::seed_of;

/// Damages by name. Each is a damage's text.
pub(crate) const PRESETS: Presets = Presets {
    noun: "damage to files",
    known: &[
        ("bitflip", "flip=8"),
        ("truncate", "truncate=512B"),
        ("copy", "copy=4096B"),
        ("restore", "restore=67108864B"),
    ],
    such_as: "flip=1+file=wal*",
};

/// Damages a file on some nodes, whether or not the target has it open.
///
/// `start-files` takes a preset or a [`Damage`] as text, and perhaps a [`NodeSpec`], as in `flip=1+file=wal*@all`. Unless
/// more are asked for it keeps to a minority of the nodes, and of those that are members now, and in all its injections
/// to the same: otherwise each node would be damaged in the end, which no system bears. `stop-files` puts back what was to
/// be restored; all other damage stays, as with Jepsen's bitflip and truncate nemeses. A target that finds it when it
/// starts may refuse to.
#[derive(Clone, Debug, Default)]
pub struct Files {
    victims: BTreeSet<String>,
    damaged: Vec<String>,
}

impl Files {
    /// A minority of all and of the members, the same every time.
    fn few(
        &mut self,
        spec: Option<&NodeSpec>,
        names: &[String],
        members: &[String],
        rng: &mut ChaCha8Rng,
    ) -> Result<Plan> {
        let most = minority(names.len());
        ensure!(most > 0, "of {} nodes none is a minority: say which to damage, such as @all", names.len());
        let count = match spec {
            Some(NodeSpec::One) => 1,
            Some(NodeSpec::Minority) => most,
            Some(NodeSpec::MinorityThird) => names.len().saturating_sub(1) / 3,
            _ => random_minority(names.len(), rng),
        };
        ensure!(count > 0, "fewer than a third of {} nodes is no node at all", names.len());
        let damaged =
            |victims: &BTreeSet<String>| members.iter().filter(|name| victims.contains(*name)).count();
        while self.victims.len() < count && damaged(&self.victims) < minority(members.len()) {
            let others: Vec<String> =
                members.iter().filter(|name| !self.victims.contains(*name)).cloned().collect();
            self.victims.extend(sample(&others, 1, rng));
        }
        let victims: Vec<String> = self.victims.iter().cloned().collect();
        ensure!(!victims.is_empty(), "of {} members none is a minority", members.len());
        Ok(Plan::on(known(&sample(&victims, count, rng), names)?))
    }
}

#[async_trait]
impl Nemesis for Files {
    fn fault(&self) -> &str {
        "files"
    }

    async fn plan(&mut self, value: &Value, on: &Scene<'_>, rng: &mut ChaCha8Rng) -> Result<Plan> {
        let (text, nodes) = match value {
            Value::Null => (PRESETS.random(rng), Value::Null),
            Value::String(text) => at_nodes(text),
            other => bail!("a damage to files is text, such as bitflip@one, not {other}"),
        };
        let damage: Damage = PRESETS.parse(text)?;
        let spec = nodes.as_str().map(str::parse::<NodeSpec>).transpose()?;
        let plan = match &spec {
            None | Some(NodeSpec::One | NodeSpec::Minority | NodeSpec::MinorityThird) => {
                let names = on.cluster.names();
                let mut members = names.clone();
                if let Some(seen) = crate::membership::members(on).await {
                    members.retain(|name| seen.contains(name));
                }
                self.few(spec.as_ref(), &names, &members, rng)?
            }
            Some(_) => nodes_of(&nodes, &[], on, rng).await?,
        };
        let what = format!("{damage} on {}", plan.what);
        Ok(Plan { what, args: json!(FilesArgs { damage, seed: rng.random() }), ..plan })
    }

    async fn inject(&mut self, plan: &Plan, on: &Scene<'_>) -> Result<Receipt> {
        let FilesArgs { damage, seed } = FilesArgs::deserialize(&plan.args)?;
        self.damaged.clone_from(&plan.nodes);
        let args = |name: &str| json!(FilesArgs { damage: damage.clone(), seed: seed_of(name, seed) });
        on.each(&plan.nodes, |node| node.inject(FILES, args(node.name()))).await
    }

    async fn heal(&mut self, on: &Scene<'_>) -> Result<Receipt> {
        let receipt = on.each(&self.damaged, |node| node.heal(FILES)).await?;
        self.damaged.clear();
        Ok(receipt)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;
    use crate::testing::cluster;

    /// Two of five were damaged whatever the members were, so of three that were left two could be.
    #[tokio::test]
    async fn a_majority_of_the_members_stays_sound_and_of_all_when_they_are_back() {
        let (five, target, _) = cluster(5, true);
        let on = Scene { cluster: &five, target: target.as_ref() };
        let everybody = target.members.lock().unwrap().clone();
        for seed in 0..20 {
            let (mut rng, mut files) = (ChaCha8Rng::seed_from_u64(seed), Files::default());
            target.members.lock().unwrap().retain(|name| !["n4", "n5"].contains(&name.as_str()));
            for _ in 0..5 {
                files.plan(&"bitflip@minority".into(), &on, &mut rng).await.unwrap();
            }
            assert!(files.victims.len() == 1 && !files.victims.contains("n4"), "{:?}", files.victims);
            // The one that is damaged leaves, and another two are in: it comes back some time.
            let first = files.victims.first().cloned().unwrap();
            *target.members.lock().unwrap() = everybody.clone();
            target.members.lock().unwrap().remove(&first);
            for _ in 0..5 {
                files.plan(&"bitflip@minority".into(), &on, &mut rng).await.unwrap();
            }
            assert!(files.victims.len() == 2 && files.victims.contains(&first), "{:?}", files.victims);
            *target.members.lock().unwrap() = everybody.clone();
        }
    }

    #[tokio::test]
    async fn a_majority_stays_sound_unless_more_is_asked_for() {
        let (five, target, _) = cluster(5, true);
        let on = Scene { cluster: &five, target: target.as_ref() };
        for spec in ["", "@one", "@minority", "@minority-third"] {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let mut files = Files::default();
            let mut damaged = BTreeSet::new();
            for _ in 0..40 {
                let plan = files.plan(&format!("bitflip{spec}").into(), &on, &mut rng).await.unwrap();
                damaged.extend(plan.nodes);
            }
            assert!((1..=2).contains(&damaged.len()), "{spec}: {damaged:?}");
        }
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let plan = Files::default().plan(&"copy@all".into(), &on, &mut rng).await.unwrap();
        assert_eq!((plan.nodes.len(), plan.what.as_str()), (5, "copy=4096B on n1,n2,n3,n4,n5"));

        let (two, target, _) = cluster(2, true);
        let on = Scene { cluster: &two, target: target.as_ref() };
        let error = Files::default().plan(&"bitflip".into(), &on, &mut rng).await.unwrap_err().to_string();
        assert_eq!(error, "of 2 nodes none is a minority: say which to damage, such as @all");
    }
}
