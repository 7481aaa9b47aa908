//! The house rules that a build cannot see: which room may use which, and under which licences we build.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Each package and the packages of ours that it may depend on. `squall-refkv` is a black box: nobody but the binary
/// mounts it, and it uses nothing of ours.
const ROOMS: &[(&str, &[&str])] = &[
    ("squall-checkers", &[]),
    ("squall-workloads", &["squall-checkers"]),
    ("squall-refkv", &[]),
    ("squall-targets", &["squall-checkers", "squall-workloads"]),
    ("squall-nemeses", &["squall-checkers", "squall-workloads", "squall-targets"]),
    ("squall-results", &["squall-checkers"]),
    (
        "squall",
        &[
            "squall-checkers",
            "squall-workloads",
            "squall-targets",
            "squall-refkv",
            "squall-nemeses",
            "squall-results",
        ],
    ),
];

const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "ISC",
    "CC0-1.0",
];

fn packages() -> Vec<Value> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path", manifest])
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

#[test]
fn arrows_only_run_downward() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut seen = 0;
    for package in packages() {
        let name = package["name"].as_str().expect("a name");
        if !name.starts_with("squall") {
            continue;
        }
        seen += 1;
        let allowed =
            rooms.get(name).unwrap_or_else(|| panic!("{name} is a new room: say here what it may use"));
        // Tests may look further than what they test, and cargo sees to it that even they make no circle.
        let built_with = |dependency: &&Value| dependency["kind"] != "dev";
        for dependency in package["dependencies"].as_array().expect("dependencies").iter().filter(built_with)
        {
            let dependency = dependency["name"].as_str().expect("a name");
            assert!(
                !dependency.starts_with("squall") || allowed.contains(&dependency),
                "{name} must not use {dependency}: see harness/docs/ARCHITECTURE.md"
            );
        }
    }
    assert_eq!(seen, ROOMS.len(), "a room is gone");
}

#[test]
fn every_dependency_has_a_licence_that_we_accept() {
    for package in packages() {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or("none").replace('/', " OR ");
        // An expression is fine if one of its alternatives is, and an alternative if all its terms are.
        let fine = licence.replace(['(', ')'], "").split(" OR ").any(|alternative| {
            alternative
                .split(" AND ")
                .all(|term| LICENCES.contains(&term.trim().trim_end_matches(" WITH LLVM-exception")))
        });
        assert!(fine, "{name} is licensed {licence:?}, which is not on the list");
    }
}
