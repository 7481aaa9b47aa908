//! Clocks, as a program sees them that asks the kernel itself.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use squall_nemeses::Chaos;
use squall_targets::Cluster;
use squall_targets::agent::Spawn;

use crate::perform;

/// Prints how far the time that the kernel tells is from another, in seconds.
const RAW: &str =
    r#"$b = "\0" x 16; syscall(228, 0, $b); my ($s) = unpack("q", $b); print $s - $ARGV[0], "\n""#;

/// Skews all clocks by an hour, and lets a program on n1 look before, meanwhile and afterwards.
pub(crate) async fn scenario(chaos: &Chaos, cluster: &Cluster, logs: &Path) -> Result<()> {
    let looks = cfg!(target_arch = "x86_64") && Command::new("perl").arg("-v").output().is_ok();
    if !looks {
        println!("skipped: nobody looks at raw clocks without perl");
    }
    let look = async |name: &str, ahead_s: i64| {
        if !looks {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let node = &cluster.nodes[0];
        node.spawn(Spawn::new(name, ["perl", "-e", RAW, &now.to_string()])).await?;
        let log = logs.join("n1").join(format!("{name}.log"));
        let mut said = String::new();
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            said = fs::read_to_string(&log).unwrap_or_default();
            if said.ends_with('\n') {
                break;
            }
        }
        println!("{name}: {} s ahead", said.trim());
        let seen: i64 = said.trim().parse().with_context(|| format!("{name} said {said:?}"))?;
        ensure!((seen - ahead_s).abs() < 60, "{name}: {seen} s ahead, not {ahead_s}");
        anyhow::Ok(())
    };
    look("clock-before", 0).await?;
    perform(chaos, "start-clock", "hour@all").await?;
    look("clock-meanwhile", 3600).await?;
    perform(chaos, "stop-clock", "").await?;
    look("clock-after", 0).await
}
