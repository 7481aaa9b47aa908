//! `squall` in a virtual machine whose kernel has what the one at hand may lack.

use std::process::Command;

use super::squall::{Folder, SQUALL};

/// The output of a command in the guest, or nothing, said aloud, where there is no guest.
fn in_guest(folder: &Folder, show: &str, args: &str) -> Option<(Option<i32>, String)> {
    if std::env::var_os("SQUALL_GUEST").is_none() {
        println!("skipped: an emulated machine takes minutes; SQUALL_GUEST=1 asks for it");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/guest");
    let mut guest: Command = folder.command(script);
    guest.args(["-t", "300", "-s", show, SQUALL]).args(args.split_whitespace());
    // A machine that is emulated takes longer than what else is run here.
    let output = guest.output().expect("the script runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(77) {
        println!("skipped: {}", printed.trim());
        return None;
    }
    println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    Some((output.status.code(), printed))
}

#[test]
fn packet_faults_are_made_by_netem_where_the_kernel_has_it() {
    let args = "test --nodes 3 --time-limit 50s -n regions:a-b=10ms,packets:delay=20ms@all --interval 6s --rate 20 \
                --op-timeout 10s -q";
    let Some((code, printed)) = in_guest(&Folder::new(), "results/runs/*/faults.jsonl", args) else { return };
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("VALID  register: "));
    for kind in ["packets", "regions"] {
        let of_kind = |line: &&str| line.contains(&format!("\"fault\":\"{kind}\""));
        let mut events = printed.lines().filter(of_kind);
        assert!(
            events.any(|line| line.contains("\"healed\"") && line.contains("\"by\":\"netem\"")),
            "{kind}"
        );
    }
}
