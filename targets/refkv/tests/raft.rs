//! The protocol under thousands of random runs: the correct design keeps every property, and each bug breaks one.

mod sim;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use sim::{Covered, Plan, run};
use squall_refkv::bug::{BUGS, Bug, Bugs, LEASE};

const SEEDS: u64 = 2000;
/// Each bug must show in one of these.
const BUG_SEEDS: u64 = 400;

fn plan(seed: u64) -> Plan {
    Plan::swarm(&mut SmallRng::seed_from_u64(seed))
}

#[test]
fn the_correct_design_keeps_every_property() {
    keeps_every_property(plan);
}

/// With clocks that drift as far as the leases allow.
#[test]
fn leases_keep_every_property_while_clocks_keep_to_their_bound() {
    keeps_every_property(|seed| Plan { drift_ppm_max: Some(150_000), ..plan(seed) });
}

fn keeps_every_property(plan: impl Fn(u64) -> Plan) {
    let mut total = Covered::default();
    for seed in 0..SEEDS {
        match run(seed, plan(seed)) {
            Ok(covered) => {
                total.committed += covered.committed;
                total.terms_led += covered.terms_led;
                total.appends_acknowledged += covered.appends_acknowledged;
                total.reads_answered += covered.reads_answered;
                total.crashes += covered.crashes;
                total.snapshots_installed += covered.snapshots_installed;
                total.members_changed += covered.members_changed;
                total.transfers += covered.transfers;
            }
            Err(violation) => {
                panic!("seed {seed}: {}: {}\n{:#?}", violation.kind, violation.detail, plan(seed))
            }
        }
    }
    println!("{SEEDS} seeds: {total:?}");
    assert!(total.transfers > 0 && total.committed > 0);
}

/// The next leader is there long before anyone could have missed the old one, and in the term that follows.
#[test]
fn a_leader_hands_over_at_once() {
    for leases in [false, true] {
        let took: Vec<u64> = (0..20).flat_map(|seed| sim::transfer::round(seed, leases).unwrap()).collect();
        println!("leases {leases}: handed over {} times, {:?} ms at most", took.len(), took.iter().max());
        assert!(took.iter().all(|&ms| ms < 100), "{took:?}");
    }
}

/// The first seed in which `bug` shows, and how.
fn first_violation(bug: &Bug, inspect: bool) -> Option<(u64, &'static str)> {
    (0..BUG_SEEDS).find_map(|seed| {
        let drift_ppm_max = (bug.design == LEASE).then_some(400_000);
        let plan = Plan { bugs: Bugs::only(bug.kind), inspect, drift_ppm_max, ..plan(seed) };
        Some((seed, run(seed, plan).err()?.kind))
    })
}

#[test]
fn each_bug_breaks_a_property() {
    for bug in BUGS {
        let found = first_violation(bug, true);
        assert!(found.is_some(), "{}: no violation in {BUG_SEEDS} seeds", bug.name);
        println!("{}: {found:?}", bug.name);
    }
}

#[test]
fn each_bug_shows_in_the_answers_to_clients() {
    for bug in BUGS {
        let found = first_violation(bug, false);
        assert!(found.is_some(), "{}: no wrong answer in {BUG_SEEDS} seeds", bug.name);
        println!("{}: {found:?}", bug.name);
    }
}
