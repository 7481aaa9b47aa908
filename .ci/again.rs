//! Runs a test again in a world of its own: in scratch namespaces, or in a virtual machine. The tests that need one take
//! this file in by its path.

use std::env::{current_exe, var_os};
use std::process::Command;

/// Says to a test that it runs in namespaces.
const IN_NAMESPACES: &str = "SQUALL_TEST_INSIDE";
/// Says to a test that it runs in a virtual machine.
const IN_GUEST: &str = "SQUALL_TEST_GUEST";

/// Runs a test, by its full name, in namespaces of its own that end with it, with each of these sets of options of
/// unshare(1) besides.
pub(crate) fn in_namespaces(test: &str, ways: &[&[&str]], body: impl FnOnce()) {
    if var_os(IN_NAMESPACES).is_some() {
        return body();
    }
    for way in ways {
        let mut unshare = Command::new("unshare");
        unshare.args(*way).args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        again(test, unshare.env(IN_NAMESPACES, "1"));
    }
}

/// Runs a test, by its full name, in a virtual machine with Debian's cloud kernel that has these programs too. Skips it,
/// and says so, where there is no such machine or nobody asked for it.
pub(crate) fn in_guest(test: &str, programs: &[&str], body: impl FnOnce()) {
    if is_guest() {
        return body();
    }
    if var_os("SQUALL_GUEST").is_none() {
        println!("skipped: {test} takes minutes in an emulated machine; SQUALL_GUEST=1 runs it");
        return;
    }
    let mut guest = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/guest"));
    guest.args(["-t", "900"]);
    programs.iter().for_each(|program| {
        guest.args(["-a", program]);
    });
    again(test, guest.env(IN_GUEST, "1"));
}

/// Whether this is the virtual machine.
pub(crate) fn is_guest() -> bool {
    var_os(IN_GUEST).is_some()
}

/// By a command that runs another, or ends with 77 if it cannot.
fn again(test: &str, by: &mut Command) {
    by.arg(current_exe().expect("this program")).args(["--exact", test, "--nocapture"]);
    let output = by.output().expect("the command runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    print!("{by:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) {
        println!("skipped: {test}");
        return;
    }
    assert!(output.status.success() && printed.contains("1 passed"), "{test} by {by:?}");
}
