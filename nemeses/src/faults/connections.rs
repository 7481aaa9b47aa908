//! Ends TCP connections that there are.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::Result;

use super::chain::run;
use super::cut::Pair;

/// Resets the connections of this node with the senders of these pairs, only those of some ports if any are named: both ends
/// get a reset. Returns how many there were.
///
/// # Errors
/// Where there is no `ss`, or the kernel cannot do it (`CONFIG_INET_DIAG_DESTROY`).
pub(super) fn reset(pairs: &[Pair], ports: &[u16]) -> Result<usize> {
    let peers: BTreeSet<IpAddr> = pairs.iter().map(|(from, _)| *from).collect();
    let sides = ports.iter().flat_map(|port| [format!("sport = :{port}"), format!("dport = :{port}")]);
    let sides: Vec<String> = sides.collect();
    let mut count = 0;
    for peer in peers {
        let mut filter = format!("dst {peer}");
        if !sides.is_empty() {
            filter += &format!(" and ( {} )", sides.join(" or "));
        }
        count += run("ss", &["-H", "-t", "-n", "-K", &filter], "")?.lines().count();
    }
    Ok(count)
}
