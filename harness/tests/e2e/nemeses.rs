//! Every nemesis that `squall list nemeses` prints, alone, on a correct store.

use squall_checkers::history::faults;
use squall_nemeses::registry;

use super::leftovers::{MARKER, Machine};
use super::squall::{Folder, SQUALL, ended};

/// What a nemesis draws at random may have nothing to bite, and a busy machine may leave it no time.
const TRIES: u64 = 4;

/// One run: valid, healed and clean. How many of its faults are proven.
fn bites(nemesis: &str, seed: u64) -> usize {
    let (folder, machine, marker) =
        (Folder::new(), Machine::now(), format!("{nemesis}-{}", std::process::id()));
    let args =
        format!("test -q -n {nemesis} --nodes 5 --time-limit 5s --interval 1s --op-timeout 1s --seed {seed}");
    let said = ended(folder.command(SQUALL).args(args.split(' ')).env(MARKER, &marker)).code(0);
    assert!(said.stdout.starts_with("VALID  register: "), "{nemesis}: {said:#?}");
    machine.is_clean_after(&folder, &marker);
    let run = folder.run();
    assert_eq!(run.open_faults(), [0; 0], "{nemesis}: {:#?}", run.faults());
    // A file that is damaged stays so, and its node may be right to refuse it.
    let recovered = said.stdout.contains("recovered in") && !said.stdout.contains("not recovered");
    assert!(recovered || nemesis == "files", "{nemesis}: {said:#?}");
    faults(&run.faults(), 0).iter().filter(|fault| fault.confirmed).count()
}

#[test]
fn every_nemesis_bites_and_is_healed_and_the_store_stays_correct() {
    let names: Vec<&str> =
        registry::ALL.iter().map(|entry| entry.name).filter(|name| *name != "none").collect();
    assert_eq!(names.len(), 20);
    std::thread::scope(|scope| {
        for part in [0, 1] {
            let own = names.iter().skip(part).step_by(2);
            scope.spawn(move || {
                for nemesis in own {
                    let bit = (0..TRIES).map(|seed| bites(nemesis, seed)).find(|bit| *bit > 0);
                    println!("{nemesis}: {} proven", bit.unwrap_or_default());
                    assert!(bit.is_some(), "{nemesis} never bit in {TRIES} runs");
                }
            });
        }
    });
}
