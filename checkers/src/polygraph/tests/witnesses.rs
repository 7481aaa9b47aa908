//! Witnesses, and what must change no verdict.

use super::*;

#[test]
fn from_a_witness_no_transaction_can_be_taken() {
    let mut rng = Random(3);
    let mut sizes = [0; 24];
    for _ in 0..6_000 {
        let txns = nearly(&mut rng, 20, Mops::Any);
        let problem = problem(&oracle::record(&txns));
        let budget = Budget::default();
        let model = MODELS[rng.below(5)];
        let Answer::Fails(core) = decide(&problem, model, u64::MAX, &budget).unwrap().answer else {
            continue;
        };
        let witness = witness::reduce(&problem, model, core, &budget);
        assert!(witness.minimal);
        let fails = |txns: &[u32]| {
            let part = problem.only(txns, &budget).unwrap();
            decide(&part, model, u64::MAX, &budget).unwrap().answer != Answer::Holds
        };
        assert!(fails(&witness.txns));
        for &gone in &witness.txns {
            let rest: Vec<u32> = witness.txns.iter().copied().filter(|&txn| txn != gone).collect();
            assert!(!fails(&rest), "{model:?} {txns:#?} {:?} {gone}", witness.txns);
        }
        sizes[witness.txns.len()] += 1;
    }
    println!("witnesses by size: {sizes:?}");
    assert!(sizes.iter().sum::<i32>() > 500 && sizes[2] > 0 && sizes[4..].iter().any(|&count| count > 0));
}

#[test]
fn what_nobody_saw_and_longer_intervals_break_nothing() {
    let mut rng = Random(4);
    let mut valid = 0;
    for _ in 0..4_000 {
        let mut txns = nearly(&mut rng, 10, Mops::Any);
        let before = MODELS.map(|model| Polygraph::new(model).check(&oracle::record(&txns)).valid);
        for txn in &mut txns {
            (txn.invoke, txn.complete) = (3 * txn.invoke + 3, 3 * txn.complete + 3);
        }
        let begun = rng.below(300);
        let mops = vec![W(rng.below(3), 250), W(rng.below(3), 251)];
        txns.push(TinyTxn { process: 99, kind: Type::Info, invoke: begun, complete: begun + 1, mops });
        let longer = rng.below(10);
        txns[longer].invoke -= rng.below(3);
        txns[longer].complete += rng.below(2);
        let after = MODELS.map(|model| Polygraph::new(model).check(&oracle::record(&txns)).valid);
        for (before, after) in before.iter().zip(&after) {
            assert!(*before == Valid::False || *after == Valid::True, "{txns:#?}");
            valid += u32::from(*before == Valid::True);
        }
    }
    println!("{valid} valid verdicts stayed so");
    assert!(valid > 2_000);
}
