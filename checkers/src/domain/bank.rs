//! Banks: transfers move money, and never make any.
//!
//! **Operations** (`jepsen.tests.bank`): `read`, which returns the balance of every account as an object
//! `{"0": 50, "1": 50}`, and `transfer` of `{"from": 0, "to": 1, "amount": 5}`. Other functions are left out.
//!
//! **Failures**, of which a read shows the first that fits, as in Jepsen:
//! - `unexpected-account`: it has an account that does not exist (third, where accounts are inferred);
//! - `nil-balance`: an account's balance is null;
//! - `wrong-total`: the balances do not add up to the total;
//! - `negative-balance`: a balance is below 0, unless that is allowed.
//!
//! Under snapshot isolation and all that is stronger no read shows any of these, whichever transfers took effect: so
//! operations of unknown outcome change nothing.
//!
//! **What is not configured is inferred.** The total is the one that most reads have; of several such totals, the one
//! that was read first. The read that was the first to have it is the *reference*. The accounts are those that the
//! reference has and those that a transfer names. A single read that is wrong is then shown beside the reference.

use std::collections::HashMap;

use serde_json::Value;

use super::calls::{Call, Calls, Pass, Stop, brief, judged};
use super::findings::Findings;
use crate::history::Raw;
use crate::intern::{FastBuild, Interner};
use crate::registry::Order;
use crate::{Budget, Checker, History, Op, Verdict};

const NAME: &str = "bank";
const KINDS: [&str; 4] = ["wrong-total", "negative-balance", "nil-balance", "unexpected-account"];

/// Checks that a bank's total is conserved: see the [module](super::bank).
///
/// ```
/// use squall_checkers::domain::Bank;
/// use squall_checkers::{Checker, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"read"}
/// {"process":0,"type":"ok","f":"read","value":{"0":50,"1":50},"time":1000000000}
/// {"process":0,"type":"invoke","f":"read"}
/// {"process":0,"type":"ok","f":"read","value":{"0":45,"1":50},"time":2000000000}"#;
/// let history = history::read(text.as_bytes(), "bank.jsonl")?.history;
/// let verdict = Bank::new().check(&history);
/// assert_eq!(verdict.anomalies[0].kind, "wrong-total");
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "read by process 0 at 2.000 s adds up to 95, that by process 0 at 1.000 s to 100"
/// );
/// let verdict = Bank::new().total(95).check(&history);
/// assert_eq!(verdict.anomalies[0].sentence, "read by process 0 at 1.000 s adds up to 100, not to 95");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Bank {
    total: Option<i64>,
    accounts: Option<Vec<Value>>,
    negative_balances: bool,
}

impl Bank {
    /// A bank whose total and accounts are inferred, and where no balance may be negative.
    pub fn new() -> Bank {
        Bank::default()
    }

    /// The bank that holds so much in all.
    pub fn total(self, total: i64) -> Bank {
        Bank { total: Some(total), ..self }
    }

    /// The bank that has these accounts.
    pub fn accounts(self, accounts: impl IntoIterator<Item = impl Into<Value>>) -> Bank {
        Bank { accounts: Some(accounts.into_iter().map(Into::into).collect()), ..self }
    }

    /// The bank whose balances may be negative.
    pub fn negative_balances(self) -> Bank {
        Bank { negative_balances: true, ..self }
    }

    fn judge(&self, calls: &Calls<'_>) -> Result<Verdict, Stop> {
        let mut reads = Reads::default();
        let _held = calls.run(&mut reads)?;
        let Some(reference) = reads.reference() else {
            let found = Findings::new(NAME, &KINDS, calls);
            return Ok(found.verdict("0 reads".into(), Some("no read was acknowledged".into())));
        };
        let known = self.known(calls, &mut reads, reference);
        let mut judge = Judge {
            bank: self,
            total: self.total.map_or(reference.total, i128::from),
            reference: reference.at,
            strange_from: known.iter().position(|known| !known).unwrap_or(known.len()) as u32,
            known,
            accounts: &mut reads.accounts,
            found: Findings::new(NAME, &KINDS, calls),
        };
        for read in &reads.list {
            judge.read(calls, read);
        }
        let (total, accounts) = (judge.total, judge.known.iter().filter(|known| **known).count());
        let summary = format!("{} reads of {accounts} accounts, total {total}", reads.list.len());
        let verdict = judge.found.verdict(summary, None).stat("reads", reads.list.len());
        Ok(verdict.stat("total", i64::try_from(total).unwrap_or(i64::MAX)).stat("accounts", accounts))
    }

    /// Which accounts exist, by their numbers.
    fn known<'a>(&self, calls: &Calls<'a>, reads: &mut Reads<'a>, reference: Read) -> Vec<bool> {
        let mut known = vec![false; reads.accounts.len()];
        let mut exist = |accounts: &mut dyn Iterator<Item = Raw<'_>>| {
            for account in accounts {
                let id = reads.accounts.intern_raw(account.unquoted()) as usize;
                known.resize(known.len().max(id + 1), false);
                known[id] = true;
            }
            known.contains(&false)
        };
        if let Some(accounts) = &self.accounts {
            let accounts: History = accounts.iter().map(|id| Op::new("account").value(id.clone())).collect();
            exist(&mut accounts.iter().map(|op| op.raw()));
        } else if exist(&mut balances(calls.call(reference.at)).map(|(account, _)| account)) {
            let transfers = calls.iter().filter(|call| call.f() == "transfer");
            let named =
                |call: Call<'a>| ["from", "to"].into_iter().filter_map(move |end| call.asked().entry(end));
            exist(&mut transfers.flat_map(named));
        }
        known
    }
}

impl Checker for Bank {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `reads`, `accounts`, `total`, and how many reads show each kind of failure.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged(NAME, Order::Sessions, history, budget, |calls| self.judge(calls))
    }
}

/// An acknowledged read, by its invocation.
#[derive(Clone, Copy, Debug)]
struct Read {
    at: u32,
    /// The highest number of an account that it has.
    newest: u32,
    nil: bool,
    negative: bool,
    total: i128,
}

/// All reads, in the order of their completions.
#[derive(Default)]
struct Reads<'a> {
    list: Vec<Read>,
    accounts: Interner,
    /// The accounts of the last read: the next one nearly always has the same, so that they are compared and not looked up.
    order: Vec<(Raw<'a>, u32)>,
}

/// The accounts of an acknowledged read and their balances.
fn balances<'a>(read: Call<'a>) -> impl Iterator<Item = (Raw<'a>, Raw<'a>)> {
    read.told().and_then(|(told, _)| told.entries()).into_iter().flatten()
}

impl Reads<'_> {
    /// The first read that has the most common total.
    fn reference(&self) -> Option<Read> {
        let mut counts: HashMap<i128, (usize, usize), FastBuild> = HashMap::default();
        for (at, read) in self.list.iter().enumerate().filter(|(_, read)| !read.nil) {
            counts.entry(read.total).or_insert((0, at)).0 += 1;
        }
        let most = counts.into_values().max_by_key(|&(count, first)| (count, usize::MAX - first));
        self.list.get(most.map_or(0, |(_, first)| first)).copied()
    }
}

impl<'a> Pass<'a> for Reads<'a> {
    fn complete(&mut self, call: Call<'a>) -> Result<(), Stop> {
        let Some((told, event)) = call.told().filter(|_| call.f() == "read") else { return Ok(()) };
        let malformed = || Stop::shape(event, "a bank is read as an object of integers");
        let mut read = Read { at: call.at(), newest: 0, nil: false, negative: false, total: 0 };
        for (at, (account, balance)) in told.entries().ok_or_else(malformed)?.enumerate() {
            let id = match self.order.get(at) {
                Some(&(same, id)) if same == account => id,
                _ => {
                    let id = self.accounts.intern_raw(account);
                    self.order.truncate(at);
                    self.order.push((account, id));
                    id
                }
            };
            read.newest = read.newest.max(id);
            match balance {
                Raw::Int(balance) => {
                    read.negative |= balance < 0;
                    read.total += i128::from(balance);
                }
                Raw::Null => read.nil = true,
                _ => return Err(malformed()),
            }
        }
        self.list.push(read);
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<Read>() + self.accounts.memory_bytes()
    }
}

struct Judge<'a, 'b> {
    bank: &'b Bank,
    total: i128,
    reference: u32,
    known: Vec<bool>,
    /// Accounts with lower numbers exist.
    strange_from: u32,
    accounts: &'b mut Interner,
    found: Findings<'a>,
}

impl Judge<'_, '_> {
    fn read(&mut self, calls: &Calls<'_>, read: &Read) {
        let stranger = self.stranger(calls, read);
        let inferred = self.bank.accounts.is_none();
        if let Some(stranger) =
            stranger.as_ref().filter(|_| !inferred || (!read.nil && read.total == self.total))
        {
            let reference = self.reference;
            self.found.add("unexpected-account", None, |calls| {
                let did = calls.did(read.at);
                let witness = if inferred { vec![read.at, reference] } else { vec![read.at] };
                (format!("{did} has account {stranger}, which does not exist"), witness)
            });
        } else if read.nil {
            let sentence =
                |calls: &Calls<'_>| format!("{} has an account without a balance", calls.did(read.at));
            self.found.add("nil-balance", None, |calls| (sentence(calls), vec![read.at]));
        } else if read.total != self.total {
            self.wrong_total(read);
        } else if read.negative && !self.bank.negative_balances {
            self.found.add("negative-balance", None, |calls| {
                let told = calls.call(read.at).told().map_or(Raw::Null, |(told, _)| told);
                (format!("{} has a negative balance: {}", calls.did(read.at), brief(told)), vec![read.at])
            });
        }
    }

    /// An account of a read that does not exist.
    fn stranger(&mut self, calls: &Calls<'_>, read: &Read) -> Option<Value> {
        if read.newest < self.strange_from {
            return None;
        }
        let (accounts, known) = (&mut *self.accounts, &self.known);
        let strange = |account: &Raw<'_>| !known[accounts.intern_raw(*account) as usize];
        balances(calls.call(read.at)).map(|(account, _)| account).find(strange).map(Raw::to_value)
    }

    fn wrong_total(&mut self, read: &Read) {
        let (total, reference, given) = (self.total, self.reference, self.bank.total.is_some());
        self.found.add("wrong-total", None, |calls| {
            let adds_up = format!("{} adds up to {}", calls.did(read.at), read.total);
            if given {
                return (format!("{adds_up}, not to {total}"), vec![read.at]);
            }
            let (by, end) = (calls.by(reference), calls.end(reference));
            (format!("{adds_up}, that by {by} at {end} to {total}"), vec![read.at, reference])
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::json;

    use super::super::testing::{Choice, Whole, agree};
    use super::*;

    type Balances = BTreeMap<String, Option<i64>>;

    fn reads(ops: &[Whole]) -> Vec<Balances> {
        let mut reads: Vec<&Whole> = ops.iter().filter(|op| op.f == "read" && op.ok()).collect();
        reads.sort_by_key(|read| read.complete);
        let balances = |read: &Whole| {
            let told = read.told.as_object().unwrap();
            told.iter().map(|(account, balance)| (account.clone(), balance.as_i64())).collect()
        };
        reads.into_iter().map(balances).collect()
    }

    fn total(read: &Balances) -> i64 {
        read.values().flatten().sum()
    }

    fn inferred(ops: &[Whole]) -> BTreeSet<&'static str> {
        let reads = reads(ops);
        let mut usual: Option<(usize, i64, &Balances)> = None;
        for read in reads.iter().filter(|read| read.values().all(Option::is_some)) {
            let equal = reads.iter().filter(|other| other.values().all(Option::is_some));
            let count = equal.filter(|other| total(other) == total(read)).count();
            if usual.is_none_or(|(most, ..)| count > most) {
                usual = Some((count, total(read), read));
            }
        }
        let (sum, reference) = match usual {
            Some((_, sum, reference)) => (sum, Some(reference)),
            None => (0, reads.first()),
        };
        let mut accounts: BTreeSet<String> =
            reference.into_iter().flat_map(|read| read.keys().cloned()).collect();
        for transfer in ops.iter().filter(|op| op.f == "transfer") {
            accounts.extend([&transfer.asked["from"], &transfer.asked["to"]].map(Value::to_string));
        }
        kinds(&reads, sum, &|account| accounts.contains(account), false)
    }

    fn configured(ops: &[Whole]) -> BTreeSet<&'static str> {
        kinds(&reads(ops), 3, &|account| account == "0" || account == "1", true)
    }

    fn kinds(
        reads: &[Balances],
        sum: i64,
        exists: &dyn Fn(&str) -> bool,
        strangers_first: bool,
    ) -> BTreeSet<&'static str> {
        let kind = |read: &Balances| {
            let stranger = read.keys().any(|account| !exists(account));
            if stranger && strangers_first {
                Some("unexpected-account")
            } else if read.values().any(Option::is_none) {
                Some("nil-balance")
            } else if total(read) != sum {
                Some("wrong-total")
            } else if stranger {
                Some("unexpected-account")
            } else {
                read.values().flatten().any(|balance| *balance < 0).then_some("negative-balance")
            }
        };
        if reads.is_empty() {
            return BTreeSet::from(["unknown"]);
        }
        reads.iter().filter_map(kind).collect()
    }

    fn choices() -> Vec<Choice> {
        let reads = [
            json!({"0": 1, "1": 2}),
            json!({"0": 3, "1": 0}),
            json!({"0": 4, "1": -1}),
            json!({"0": 1, "1": 1}),
            json!({"0": 3}),
            json!({"0": 3, "2": 0}),
            json!({"0": 3, "1": null}),
        ];
        let mut choices: Vec<Choice> = reads.into_iter().map(|told| ("read", json!(null), told)).collect();
        let transfer = json!({"from": 0, "to": 2, "amount": 1});
        choices.push(("transfer", transfer.clone(), transfer));
        choices
    }

    #[test]
    fn agrees_with_the_plain_definition() {
        agree(&Bank::new(), inferred, &choices(), [2, 100_000, 8]);
    }

    #[test]
    fn agrees_with_the_plain_definition_where_all_is_configured() {
        agree(&Bank::new().total(3).accounts([0, 1]), configured, &choices(), [2, 100_000, 4]);
    }
}
