//! Whether the operations of a register history carry a key.

use crate::History;
use crate::Type;
use crate::history::{OpRef, Raw};

/// The kinds of operations that a register has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Delete,
    Cas,
}

impl Kind {
    /// The kind of this function.
    pub(crate) fn of(f: &str) -> Option<Kind> {
        match f {
            "read" | "get" => Some(Kind::Read),
            "write" | "put" => Some(Kind::Write),
            "cas" => Some(Kind::Cas),
            "delete" => Some(Kind::Delete),
            _ => None,
        }
    }

    /// Whether an event of this type tells on what the operation was: what was read is known at the end, all else from
    /// the beginning.
    #[inline]
    pub(crate) fn told_by(self, event: Type) -> bool {
        event == if self == Kind::Read { Type::Ok } else { Type::Invoke }
    }
}

/// Whether values are `[key, value]`, and of a cas `[key, [old, new]]`: in all operations or in none.
///
/// The first event that says so counts for all, so that a register may hold pairs only where nothing looks like a key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keying {
    /// The first event with a key, and the first without.
    with: Option<usize>,
    without: Option<usize>,
}

impl Keying {
    /// That of a whole history.
    pub(crate) fn of(history: &History) -> Keying {
        let mut keying = Keying::default();
        for event in history.iter().filter(|event| event.is_client()) {
            if let Some(kind) = Kind::of(event.f()).filter(|kind| kind.told_by(event.kind())) {
                keying.note(event, kind);
            }
        }
        keying
    }

    /// Notes an event that tells, and splits its value if that is a key and something else.
    #[inline]
    pub(crate) fn note<'a>(&mut self, event: OpRef<'a>, kind: Kind) -> Option<(Raw<'a>, Raw<'a>)> {
        let pair = event.raw().pair().filter(|(_, second)| kind != Kind::Cas || second.pair().is_some());
        let first = if pair.is_some() { &mut self.with } else { &mut self.without };
        first.get_or_insert(event.index());
        pair
    }

    /// Whether there are keys; none where nothing tells.
    pub(crate) fn keyed(self) -> bool {
        self.with.is_some() && self.without.is_none()
    }

    /// What to say where some values carry a key and some do not.
    #[inline]
    pub(crate) fn clash(self) -> Option<String> {
        let (with, without) = (self.with?, self.without?);
        Some(format!(
            "event {with} carries [key, value] and event {without} does not: give every read, write and cas a key, or none"
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::registry::Facts;
    use crate::txn::{Shape, Txns};
    use crate::{Budget, Op};

    /// A function, what is asked and what is told.
    type Case = (&'static str, Value, Value);

    /// There were three notions of a keyed history, which disagreed: one looked at reads and writes alone, so that a
    /// history of nothing but cas had keys; one took a null in the invocation of a read for a value without a key.
    #[test]
    fn all_readers_of_a_history_agree_on_whether_it_has_keys() {
        let cases: [(&[Case], Option<bool>); 7] = [
            (&[("cas", json!([1, 2]), json!([1, 2]))], Some(false)),
            (&[("cas", json!([0, [1, 2]]), json!([0, [1, 2]]))], Some(true)),
            (&[("read", json!(null), json!([0, 2]))], Some(true)),
            (&[("read", json!([0, null]), json!([0, null]))], Some(true)),
            (&[("read", json!(null), json!(null))], Some(false)),
            (&[("write", json!([0, 1]), json!(null)), ("read", json!(null), json!([0, 1]))], Some(true)),
            (&[("write", json!([0, 1]), json!([0, 1])), ("cas", json!([1, 2]), json!([1, 2]))], None),
        ];
        for (ops, expected) in cases {
            let events = ops.iter().flat_map(|(f, asked, told)| {
                [Op::new(*f).value(asked.clone()), Op::new(*f).value(told.clone()).kind(Type::Ok)]
            });
            let (history, budget): (History, Budget) = (events.collect(), Budget::default());
            assert_eq!(Facts::of(&history).keyed, expected == Some(true), "{ops:?}");
            let registers = super::super::parse::Registers::parse(&history, &budget).map(|r| r.keyed);
            assert_eq!(registers.ok(), expected, "{ops:?}");
            let keyed = |txns: Txns| txns.keys.value(0) == json!(0);
            let txns = Txns::parse(&history, Shape::Registers, &budget).map(keyed);
            assert_eq!(txns.ok(), expected, "{ops:?}");
        }
    }
}
