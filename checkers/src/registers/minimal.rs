//! Small witnesses.

/// Of `items` a subset that fails and of which no item can be taken, where whatever holds a failing subset fails too, and
/// all of them together fail. In O(m log n) trials for m items left of n: the shortest prefix that fails ends with an
/// item that is needed; with that one kept, the rest of the prefix is cut in the same way (Bradley and Manna, *Checking
/// safety by inductive generalization of counterexamples to induction*, FMCAD 2007). Every subset that comes back
/// fails; where `fails` gives up now and then, by `false`, it may be larger than it need be.
pub(crate) fn minimal(items: &[u32], mut fails: impl FnMut(&[u32]) -> bool) -> Vec<u32> {
    let mut needed: Vec<u32> = Vec::new();
    let mut rest = items.to_vec();
    while !fails(&needed) {
        let (mut low, mut high) = (0, rest.len());
        // `needed` with `low` items does not fail, with `high` it does.
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            let trial: Vec<u32> = needed.iter().chain(&rest[..middle]).copied().collect();
            if fails(&trial) { high = middle } else { low = middle }
        }
        rest.truncate(high);
        match rest.pop() {
            Some(last) => needed.push(last),
            None => break,
        }
    }
    needed.sort_unstable();
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn what_is_left_fails_and_nothing_of_it_can_go() {
        let mut rng = Random(1);
        for _ in 0..2_000 {
            let n = 1 + rng.below(40);
            let sets: Vec<Vec<u32>> = (0..1 + rng.below(4))
                .map(|_| (0..1 + rng.below(4)).map(|_| rng.below(n) as u32).collect())
                .collect();
            let fails = |items: &[u32]| sets.iter().any(|set| set.iter().all(|item| items.contains(item)));
            let all: Vec<u32> = (0..n as u32).collect();
            let left = minimal(&all, fails);
            assert!(fails(&left));
            for item in &left {
                let fewer: Vec<u32> = left.iter().copied().filter(|other| other != item).collect();
                assert!(!fails(&fewer));
            }
        }
    }
}
