//! `--env ssh`, with a real sshd on each machine.

use super::sshd::{Machines, in_namespaces};

#[test]
fn every_fault_bites_on_machines_reached_by_ssh_and_nothing_is_left() {
    in_namespaces("ssh::every_fault_bites_on_machines_reached_by_ssh_and_nothing_is_left", || {
        let machines = Machines::start(3);
        // One after the other, so that none is in the way of another's receipt.
        for nemesis in ["none", "partition:halves", "kill:one", "pause:one", "clock:hour", "packets:delay"] {
            let said =
                machines.squall(&format!("test --time-limit 3s --interval 700ms -n {nemesis}")).code(0);
            let first = said.stdout.lines().next().unwrap_or_default();
            println!("{nemesis}: {first}");
            assert!(first.starts_with("VALID  register: "), "{said:#?}");
            machines.until_clean();
            let run = machines.folder.runs().pop().unwrap();
            let confirmed = |event: &squall_checkers::FaultEvent| {
                event.receipt.as_ref().is_some_and(|receipt| receipt.confirmed)
            };
            let bit = run.faults().iter().filter(|event| confirmed(event)).count();
            assert!(nemesis == "none" || bit > 0, "{nemesis}: {:#?}", run.faults());
            for node in ["n1", "n2", "n3"] {
                assert!(
                    run.text(&format!("nodes/{node}/agent.log")).contains(&format!("agent of {node} up"))
                );
                assert!(!run.text(&format!("nodes/{node}/refkv.log")).is_empty(), "{node} logged nothing");
            }
            assert_eq!(run.config()["ssh"]["n2"].as_str(), Some("10.93.0.2"));
        }
    });
}
