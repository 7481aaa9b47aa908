//! All models against their axioms.

use super::*;

/// Checks so many random histories against the axioms.
fn random_agree(seed: u64, rounds: usize) {
    let mut rng = Random(seed);
    let mut held = [0; 5];
    for round in 0..rounds {
        let most = [3, 4, 4, 5, 5, 6][round % 6];
        let txns = random(&mut rng, most);
        for (held, holds) in held.iter_mut().zip(agrees(&txns)) {
            *held += usize::from(holds);
        }
    }
    println!("{rounds} random histories, of which the models hold: {held:?}");
    assert!(held.iter().all(|&held| held > rounds / 20 && held < rounds * 19 / 20));
}

#[test]
fn random_small_histories_agree_with_the_axioms() {
    random_agree(1, 50_000);
}

#[test]
fn more_random_small_histories_agree_with_the_axioms() {
    random_agree(2, 50_000);
}

/// What can be done in two micro-operations on two keys; a write has the value 0 as long as it is not known.
fn shapes() -> Vec<[TinyMop; 2]> {
    let all = [W(0, 0), W(1, 0), R(0, 0), R(1, 0)];
    all.iter().flat_map(|&a| all.map(|b| [a, b])).collect()
}

/// All histories of three transactions of two micro-operations on two keys, at once or one after the other, in any sessions.
#[test]
fn all_tiny_histories_agree_with_the_axioms() {
    let shapes = shapes();
    let (mut cases, mut held) = (0, [0; 5]);
    let sessions = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [0, 1, 2]];
    for a in 0..shapes.len() {
        for b in 0..shapes.len() {
            // Transactions of different sessions may change places.
            for c in 0..shapes.len() {
                for sessions in
                    sessions.iter().filter(|s| (s[0] == s[1] || a <= b) && (s[1] == s[2] || b <= c))
                {
                    let mut txns: Vec<TinyTxn> = [a, b, c]
                        .iter()
                        .enumerate()
                        .map(|(i, &shape)| {
                            let mops = (0..2)
                                .map(|at| match shapes[shape][at] {
                                    W(key, _) => W(key, (2 * i + at + 1) as u8),
                                    read => read,
                                })
                                .collect();
                            let process = sessions[i];
                            TinyTxn { process, kind: Type::Ok, invoke: 2 * i, complete: 2 * i + 1, mops }
                        })
                        .collect();
                    every_read(&mut txns, 0, &mut |txns| {
                        cases += 1;
                        for (held, holds) in held.iter_mut().zip(agrees(txns)) {
                            *held += u32::from(holds);
                        }
                    });
                }
            }
        }
    }
    println!("{cases} histories, of which the models hold: {held:?}");
    assert!(cases > 20_000);
}

/// Goes through all that the reads from the `at`-th micro-operation on could have returned of others.
fn every_read(txns: &mut Vec<TinyTxn>, at: usize, check: &mut dyn FnMut(&[TinyTxn])) {
    if at == 2 * txns.len() {
        return check(txns);
    }
    let (txn, mop) = (at / 2, at % 2);
    let R(key, _) = txns[txn].mops[mop] else { return every_read(txns, at + 1, check) };
    let own = mop == 1 && matches!(txns[txn].mops[0], W(k, _) | R(k, _) if k == key);
    let mut from = vec![0];
    for (i, other) in txns.iter().enumerate() {
        from.extend(other.mops.iter().filter_map(|mop| match *mop {
            W(k, value) if k == key && i != txn => Some(value),
            _ => None,
        }));
    }
    if own {
        let (W(_, value) | R(_, value)) = txns[txn].mops[0];
        from = vec![value];
    }
    for value in from {
        txns[txn].mops[mop] = R(key, value);
        every_read(txns, at + 1, check);
    }
    txns[txn].mops[mop] = R(key, 0);
}
