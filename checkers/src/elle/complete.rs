//! The verdict of a model of registers in whose known order of versions nothing is wrong: some of the order is left open, and
//! so a search over all orders decides ([`polygraph`](crate::polygraph)).

use super::consistency::{Consistency, weakest};
use crate::txn::Txns;
use crate::{Budget, Polygraph, PolygraphModel, Valid, Verdict};

/// What decides a model whatever the order of versions; nothing for those that are not decided.
fn search(model: Consistency) -> Option<Polygraph> {
    use PolygraphModel as P;
    let (searched, sessions) = match model {
        Consistency::StrictSerializable => (P::StrictSerializable, true),
        Consistency::StrongSessionSerializable => (P::Serializable, true),
        // Registers have no predicates, so that the two are one.
        Consistency::Serializable | Consistency::RepeatableRead => (P::Serializable, false),
        Consistency::StrongSessionSnapshotIsolation => (P::SnapshotIsolation, true),
        Consistency::SnapshotIsolation => (P::SnapshotIsolation, false),
        Consistency::ParallelSnapshotIsolation => (P::ParallelSnapshotIsolation, false),
        Consistency::Prefix => (P::PrefixConsistency, false),
        _ => return None,
    };
    let polygraph = Polygraph::new(searched);
    Some(if sessions { polygraph } else { polygraph.without_sessions() })
}

/// The verdict of the search in place of one that found nothing wrong. What that found beside is kept.
pub(super) fn decide(verdict: Verdict, model: Consistency, txns: &Txns, budget: &Budget) -> Verdict {
    let Some(search) = search(model).filter(|_| verdict.valid != Valid::False) else { return verdict };
    let decided = search.judge(txns, budget);
    if (verdict.valid, decided.valid) == (Valid::True, Valid::True) {
        return verdict;
    }
    let Verdict { valid, mut summary, reason, anomalies, .. } = decided;
    let decided = Verdict { valid, reason, anomalies, ..verdict };
    let Some(first) = decided.anomalies.first() else { return Verdict { summary, ..decided } };
    summary = format!("not {}: {}", model.name().replace('-', " "), first.sentence);
    let (not, also_not) = weakest(|other| other.implies(model) || is_named(&decided, other));
    let names = |models: Vec<Consistency>| models.iter().map(|model| model.name()).collect::<Vec<_>>();
    Verdict { summary, ..decided }.stat("not", names(not)).stat("also-not", names(also_not))
}

/// Whether a verdict says that a model is broken.
fn is_named(verdict: &Verdict, model: Consistency) -> bool {
    let named = |list: &str| {
        let names = verdict.stats.get(list).and_then(|names| names.as_array());
        names.is_some_and(|names| names.iter().any(|name| name == model.name()))
    };
    named("not") || named("also-not")
}
