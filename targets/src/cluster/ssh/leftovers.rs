//! What a run that was killed with everything in it, guards too, left on a node.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::task::JoinSet;

use super::remote::{Remote, quoted};
use super::{SshOptions, trouble};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A node, and what was found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftovers {
    /// The node's name.
    pub node: String,
    /// An agent is at work there: what is there belongs to a run.
    pub busy: bool,
    /// A line each: files, processes, rules, devices.
    pub left: Vec<String>,
}

/// Looks for leftovers on the nodes, and removes them if asked to. A node where an agent is at work is left alone.
///
/// # Errors
/// [`Unavailable`](crate::cluster::Unavailable) for each node that cannot be reached.
pub async fn leftovers(options: &SshOptions, remove: bool) -> Vec<Result<Leftovers>> {
    let options = Arc::new(options.clone());
    let mut looking = JoinSet::new();
    for (at, address) in options.nodes.iter().cloned().enumerate() {
        let remote = Remote { name: options.name(at), address, options: options.clone() };
        looking.spawn(async move { (at, look(&remote, remove).await) });
    }
    let mut found = looking.join_all().await;
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, found)| found).collect()
}

async fn look(remote: &Remote, remove: bool) -> Result<Leftovers> {
    let place = quoted(&remote.place().to_string_lossy());
    let act = |command: &str| if remove { format!("{command};") } else { String::new() };
    let script = format!(
        r#"PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"; export PATH
d="$1"
if grep -q '@squall-agent$' /proc/net/unix; then echo busy; exit 0; fi
for p in /proc/[0-9]*; do
  grep -qs "SQUALL_DATA=$d/runs/" "$p/environ" || continue
  echo "left process ${{p#/proc/}}: $(tr '\0' ' ' < "$p/cmdline")"
  {kill}
done
for t in iptables ip6tables; do
  command -v $t > /dev/null || continue
  for c in $($t -w 5 -S 2> /dev/null | sed -n 's/^-N \(squall-[a-z-]*\)$/\1/p'); do
    echo "left rules: chain $c of $t"
    {chain}
  done
done
for l in $(ls /sys/class/net); do
  case $l in sqifb*) echo "left device $l"; {device} ;; esac
done
if read -r b t 2> /dev/null < /run/squall-clock && [ "$b" = "$(cat /proc/sys/kernel/random/boot_id)" ]; then
  echo "left error of the machine's clock: set by a fault"
  {clock}
fi
for r in "$d"/runs/*/*; do
  [ -d "$r" ] || continue
  echo "left files: $r"
  {files}
done
"#,
        kill = act(r#"kill -KILL "${p#/proc/}""#),
        chain = act(
            r#"$t -w 5 -S | grep -- "-j $c\$" | sed 's/^-A/-D/' | while read -r rule; do $t -w 5 $rule; done; $t -w 5 -F $c; $t -w 5 -X $c"#
        ),
        // Hundredths of seconds since boot, of which `1` before them makes a decimal number, and not an octal one.
        clock = act(
            r#"u=$(cut -d' ' -f1 /proc/uptime); n=$((t + ${u%.*} * 1000000000 + (1${u#*.} - 100) * 10000000)); date -s "@$((n / 1000000000)).$(printf %09d $((n % 1000000000)))" > /dev/null && rm -f /run/squall-clock"#
        ),
        device = act(r#"ip link del "$l""#),
        files = act(r#"umount -R "$r/data" 2> /dev/null; rm -rf "$r"; rmdir "${r%/*}" 2> /dev/null"#),
    );
    // As root, but in the directory of the user that logs in.
    let sudo = remote.sudo();
    let script = format!("exec {sudo} sh -c {} sh {place}/squall-$(id -u)\n", quoted(&script));
    let ended = remote.run(&script, Stdio::null(), TIMEOUT).await?;
    if !ended.status.success() && !remote.options.sudo {
        bail!("{} ({}): {}", remote.name, remote.address, ended.said.join(", "));
    }
    if !ended.status.success() {
        let doing = "looking for leftovers";
        return Err(trouble::of_command(&remote.name, &remote.address, doing, &ended.said).into());
    }
    let lines = ended.output.lines();
    let left = lines.clone().filter_map(|line| line.strip_prefix("left ")).map(str::to_owned).collect();
    Ok(Leftovers { node: remote.name.clone(), busy: lines.clone().any(|line| line == "busy"), left })
}
