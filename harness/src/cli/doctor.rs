//! `squall doctor`: what this machine can do.

use anyhow::Result;
use squall_targets::cluster::local;

use crate::exit::Exit;

/// Tries every mechanism in a scratch namespace and says what is missing and how to get it.
pub(super) fn doctor(json: bool) -> Result<Exit> {
    let probes = local::probe();
    let fine = probes.iter().all(|probe| probe.ok);
    if json {
        println!("{}", serde_json::to_string_pretty(&probes)?);
    } else {
        for probe in &probes {
            println!("{} {:<24} {}", if probe.ok { "ok     " } else { "MISSING" }, probe.name, probe.detail);
            if let (false, Some(remedy)) = (probe.ok, &probe.remedy) {
                println!("        {:<24} remedy: {remedy}", "");
            }
        }
        println!(
            "{}",
            if fine { "this machine can run squall demo" } else { "local clusters cannot run here yet" }
        );
    }
    Ok(if fine { Exit::Valid } else { Exit::Environment })
}
