//! The ready-made checkers by name, and which of them fit a history that comes without a workload.

mod facts;
mod fitting;
mod initial;
mod models;

pub use facts::Facts;
pub use fitting::fitting;
pub use initial::{Begun, mind_initial, with_initial};
pub use models::{MODELS, ModelEntry, find_model};

use crate::{
    Checker, Stats, UnhandledErrors, Valid, Verdict, causal, collection, domain, elle, isolation, linear,
    polygraph, session,
};

/// A ready-made checker.
#[derive(Clone, Copy, Debug)]
pub struct CheckerEntry {
    /// Its name, as `squall check -c` takes it.
    pub name: &'static str,
    /// What it decides, in one line.
    pub about: &'static str,
    /// What its verdict rests on.
    pub order: Order,
    /// What it judges.
    pub on: Object,
    /// Makes it for a history of which these facts are known. Where the values of registers, maps, sets and counters are
    /// `[key, value]`, it judges each key alone. A checker that judges something else takes values as they are: to
    /// [`monotonic`](crate::domain::monotonic), pairs may be keys or timestamps with values.
    pub build: fn(&Facts) -> Box<dyn Checker>,
}

/// What the operations are on that a checker judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Lists, by transactions.
    Lists,
    /// Registers, by transactions or one by one.
    Registers,
    /// Registers, by transactions alone.
    TxnRegisters,
    /// Logs that are sent to and polled.
    Logs,
    /// Registers of which each operation names one.
    KeyedRegisters,
    /// Registers that are written and read several at a time.
    MultiRegister,
    /// A set whose elements are removed or looked for.
    Set,
    /// A counter, or one for each key.
    Counter,
    /// Whatever single operations are on.
    Single,
}

/// What a checker must know of the order in which operations happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Which had ended before which began. Where the format of a history does not tell that, the verdict is unknown.
    RealTime,
    /// That of each session.
    Sessions,
    /// None: it judges operations one by one, or counts them.
    Any,
}

/// Every ready-made checker. Each family keeps its own list.
pub fn all() -> impl Iterator<Item = &'static CheckerEntry> {
    let families = [
        linear::CHECKERS,
        collection::CHECKERS,
        causal::CHECKERS,
        crate::sequential::CHECKERS,
        crate::regular::CHECKERS,
        crate::atomicity::CHECKERS,
        crate::eventual::CHECKERS,
        session::CHECKERS,
        elle::CHECKERS,
        isolation::CHECKERS,
        polygraph::CHECKERS,
        domain::CHECKERS,
        OTHERS,
    ];
    families.into_iter().flatten()
}

const OTHERS: &[CheckerEntry] = &[
    CheckerEntry {
        name: "stats",
        about: "every kind of operation succeeds now and then",
        order: Order::Any,
        on: Object::Single,
        build: |_| Box::new(Stats),
    },
    CheckerEntry {
        name: "errors",
        about: "which errors there were, how often, with an example of each",
        order: Order::Any,
        on: Object::Single,
        build: |_| Box::new(UnhandledErrors),
    },
];

/// A verdict as it is, unless it is valid without having judged anything: then unknown, with the reason. Where every operation
/// failed there is nothing to judge, and it stays valid.
pub fn unless_empty(verdict: Verdict, facts: &Facts) -> Verdict {
    const COUNTS: [&str; 2] = ["ops", "transactions"];
    let counts: Vec<u64> = COUNTS.iter().filter_map(|name| verdict.stats.get(*name)?.as_u64()).collect();
    let no_key = verdict.stats.get("keys").and_then(|keys| keys.as_u64()) == Some(0);
    let judged = counts.is_empty() || counts.iter().any(|&count| count > 0 && !no_key);
    if verdict.valid != Valid::True || judged {
        return verdict;
    }
    if facts.all_failed {
        return Verdict { summary: "every operation failed, so nothing happened".to_owned(), ..verdict };
    }
    let fs: Vec<&str> = facts.fs.iter().map(String::as_str).collect();
    let reason = format!(
        "it judged none of the operations, which are {}: name another checker with -c, or a model with --model",
        fs.join(", ")
    );
    Verdict::unknown(verdict.checker, reason)
}

#[cfg(test)]
mod transactions;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_those_of_the_checkers() {
        let names: BTreeSet<&str> = all().map(|entry| entry.name).collect();
        assert_eq!(names.len(), all().count());
        for entry in all() {
            assert_eq!((entry.build)(&Facts::default()).name(), entry.name);
        }
    }

    #[test]
    fn only_checkers_that_need_real_time_ask_for_it() {
        // The list of them was one of beginnings of names, kept apart from the checkers: eventual-consistency took the order
        // of lines in a file for time and found disagreement in files that tell no times.
        let write =
            || [crate::Op::new("write").value(1), crate::Op::new("write").value(1).kind(crate::Type::Ok)];
        let mut history: crate::History = write().into_iter().collect();
        history.set_real_time(false);
        let asks = |entry: &&CheckerEntry| {
            let reason = (entry.build)(&Facts::default()).check(&history).reason;
            reason.is_some_and(|reason| reason.contains("no real-time order"))
        };
        let names = |wanted: &dyn Fn(&&CheckerEntry) -> bool| {
            all().filter(wanted).map(|entry| entry.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&asks), names(&|entry| entry.order == Order::RealTime));
        assert!(names(&asks).len() > 15);
    }

    #[test]
    fn models_have_one_name_each_and_the_nearest_is_offered() {
        let mut names: Vec<&str> =
            MODELS.iter().flat_map(|model| model.aliases.iter().copied().chain([model.name])).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(find_model("SI").unwrap().name, "snapshot-isolation");
        assert_eq!(find_model("serialisable").unwrap_err().nearest(), Some("serializable"));
        assert_eq!(find_model("registr").unwrap_err().nearest(), Some("register"));
    }

    #[test]
    fn a_verdict_on_nothing_is_unknown() {
        // A history of nothing but a crashed read was called sequentially consistent, and so by all checkers that did not
        // count their operations under the one name that was looked at.
        let crashed: crate::History = [crate::Op::new("read")].into_iter().collect();
        let judges = |entry: &&CheckerEntry| {
            unless_empty((entry.build)(&Facts::default()).check(&crashed), &Facts::of(&crashed)).valid
                == Valid::True
        };
        let judges: Vec<&str> = all().filter(judges).map(|entry| entry.name).collect();
        assert_eq!(
            judges,
            all()
                .filter(|e| e.order == Order::Any && judges.contains(&e.name))
                .map(|e| e.name)
                .collect::<Vec<_>>()
        );
        let history: crate::History = [crate::Op::new("read")].into_iter().collect();
        let facts = Facts::of(&history);
        let valid = |count: u64| Verdict::valid("append", "fine").stat("transactions", count);
        // Two recorded histories in which everything failed were to be judged by another checker, and there was none.
        let failed =
            history.iter().map(|op| op.to_op()).chain([crate::Op::new("read").kind(crate::Type::Fail)]);
        let told = unless_empty(valid(0), &Facts::of(&failed.collect()));
        assert_eq!(
            (told.valid, &*told.summary),
            (Valid::True, "every operation failed, so nothing happened")
        );
        assert_eq!(unless_empty(valid(1), &facts).valid, Valid::True);
        let empty = unless_empty(valid(0), &facts);
        assert_eq!(empty.valid, Valid::Unknown);
        assert!(empty.summary.contains("which are read"), "{}", empty.summary);
    }
}
