//! Logs as Kafka has them: messages are appended to the log of a key, at growing offsets, and polled in that order.
//!
//! **Operations** (`jepsen.tests.kafka`): `send`, `poll` and `txn`, each a list of `["send", key, message]`, which
//! an acknowledged operation returns as `["send", key, [offset, message]]` (the offset null where it is not known),
//! and `["poll"]`, returned as `["poll", {key: [[offset, message], …], …}]`. A message is sent to a key once, and is
//! no list. `assign` and `subscribe` take the list of keys that a consumer goes on with. All else (`crash`) is left
//! out. In what a poll returns a key is a name: that of one that is no string is its JSON text. Logs of several keys
//! of one name are not judged, nor such of a name that no key has where keys are other things than integers and strings:
//! then the verdict is unknown, unless something else is wrong.
//!
//! **What is known of a log.** A poll shows its messages at their offsets, whatever became of its operation, for
//! nothing that is not committed is ever polled. So does a send that was acknowledged, or of which an acknowledged
//! poll shows some message of the same operation. Offsets at which nothing is known to lie are no gaps: transactions
//! take some up.
//!
//! **Failures**, by Jepsen's names:
//! - `lost-write`: a message whose send took effect was never polled by an acknowledged operation, and one that lies
//!   at or after its offset was;
//! - `G1a`: an acknowledged poll has a message whose send failed; `phantom-read`: one that nobody had begun to send
//!   (Jepsen ends there with an error);
//! - `inconsistent-offsets`: two messages at one offset; `duplicate`: a message at two offsets;
//! - `precommitted-read`: an operation polled a message that it had sent itself;
//! - `nonmonotonic-poll`, `poll-skip`: a process polled a message, and the next one that it polled of this key in a
//!   later operation does not lie after it, or lies beyond one that is known; `int-nonmonotonic-poll`,
//!   `int-poll-skip`: the same within one operation;
//! - `nonmonotonic-send`, `int-nonmonotonic-send`: a process sent two messages, and the later one does not lie after.
//!
//! The last two end with an operation of unknown outcome: the process is then a new client. So do polls with one that
//! failed, for nobody knows what it got and how far the consumer is.
//!
//! Only counted, as normal in such systems: `int_send_skip` (another's message lies between two of one operation),
//! and what concerns the order of polls (`subscribed_polls`) where the process had subscribed, for then it may be
//! moved to other keys and back. So is `unseen`, acknowledged messages that nobody polled, which for Jepsen are an
//! error.
//!
//! **Other differences.** Histories lack the moves that Jepsen's clients log, so that those of a subscriber are
//! never ruled out within an operation. Where a message lies is taken from the operation at hand, if it says so, and
//! not looked up by value, so that a duplicate is not a cycle too. Assignments move a consumer, not what the process
//! sends. Cycles of several operations (G1c) are not looked for. Where a message was sent twice the verdict is
//! unknown, unless something else is wrong.
//!
//! **Cost.** One pass, which keeps 64 bytes for a message and its offset; what follows another message and is not
//! its neighbour is looked at again when all offsets are known. Linear, besides the sorting of offsets that come out
//! of order.

use super::calls::{Calls, NONE, Stop};
use super::findings::{Findings, judged_minimal};
use super::kafka_log::{Message, Told};
use super::kafka_ops::{Kind, Ops, Place, Step};
use crate::registry::Order;
use crate::{Budget, Checker, History, Verdict};

const NAME: &str = "kafka";
const KINDS: [&str; 12] = [
    "lost-write",
    "G1a",
    "phantom-read",
    "inconsistent-offsets",
    "duplicate",
    "precommitted-read",
    "int-nonmonotonic-poll",
    "int-poll-skip",
    "nonmonotonic-poll",
    "poll-skip",
    "int-nonmonotonic-send",
    "nonmonotonic-send",
];

/// Checks logs whose messages have offsets: see the [module](super::kafka).
///
/// ```
/// use squall_checkers::domain::Kafka;
/// use squall_checkers::{Checker, history};
///
/// let text = r#"{"process":0,"type":"invoke","f":"send","value":[["send","x","a"]]}
/// {"process":0,"type":"ok","f":"send","value":[["send","x",[0,"a"]]],"time":1000000000}
/// {"process":0,"type":"invoke","f":"send","value":[["send","x","b"]],"time":1000000000}
/// {"process":0,"type":"ok","f":"send","value":[["send","x",[1,"b"]]],"time":2000000000}
/// {"process":1,"type":"invoke","f":"poll","value":[["poll"]],"time":2000000000}
/// {"process":1,"type":"ok","f":"poll","value":[["poll",{"x":[[1,"b"]]}]],"time":3000000000}"#;
/// let verdict = Kafka::new().check(&history::read(text.as_bytes(), "log.jsonl")?.history);
/// assert_eq!(verdict.anomalies[0].kind, "lost-write");
/// assert_eq!(
///     verdict.anomalies[0].sentence,
///     "key \"x\": send by process 0 at 1.000 s put \"a\" at offset 0 and nobody polled it, though poll by process 1 at \
///      3.000 s has \"b\" at offset 1"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Kafka {}

impl Kafka {
    /// The checker.
    pub fn new() -> Kafka {
        Kafka::default()
    }
}

impl Checker for Kafka {
    fn name(&self) -> &str {
        NAME
    }

    /// Stats: `keys`, `messages`, `polled` (of them), `unseen`, `int_send_skip`, `subscribed_polls`, and how many show
    /// each kind of failure.
    fn check_within(&self, history: &History, budget: &Budget) -> Verdict {
        judged_minimal(NAME, Order::Sessions, history, budget, judge)
    }
}

fn judge(calls: &Calls<'_>) -> Result<Verdict, Stop> {
    let mut ops = Ops::new(calls.budget);
    let mut held = calls.run(&mut ops)?;
    ops.settle(calls)?;
    held.resize(ops.logs_bytes())?;
    let mut judge = Judge {
        ops: &ops,
        found: Findings::new(NAME, &KINDS, calls),
        messages: 0,
        polled: 0,
        unseen: 0,
        undecided: None,
        int_send_skip: 0,
        subscribed: 0,
    };
    for key in 0..ops.logs.len() as u32 {
        calls.budget.ask()?;
        judge.log(key);
    }
    for (at, step) in ops.steps.iter().enumerate() {
        if at % 4096 == 0 {
            calls.budget.ask()?;
        }
        judge.step(step);
    }
    let twice = |key: u32, message: u32| ops.logs[key as usize].messages[message as usize].twice;
    let mut told = NONE;
    for &(key, message, by) in ops.own.iter().filter(|own| !twice(own.0, own.1)) {
        if std::mem::replace(&mut told, by) == by {
            continue;
        }
        judge.add("precommitted-read", key, |log, calls| {
            let (did, value) = (calls.did(by), log.value(message));
            (format!("{did} polled {value}, which it had sent itself and not committed yet"), vec![by])
        });
    }
    Ok(judge.verdict())
}

struct Judge<'a, 'b> {
    ops: &'b Ops<'a>,
    found: Findings<'b>,
    messages: usize,
    polled: usize,
    unseen: usize,
    undecided: Option<String>,
    int_send_skip: usize,
    subscribed: usize,
}

impl<'b> Judge<'_, 'b> {
    /// Something about a key, and the operations that show it: with those that prove that a send of theirs took
    /// effect.
    fn add(
        &mut self,
        kind: &'static str,
        key: u32,
        tell: impl FnOnce(Told<'_>, &Calls<'b>) -> (String, Vec<u32>),
    ) {
        let ops = self.ops;
        self.found.add(kind, Some(&ops.keys.value(key)), |calls| {
            let (sentence, mut shown) = tell(ops.log(key), calls);
            shown.retain(|by| *by != NONE);
            let provers: Vec<u32> = shown.iter().filter_map(|by| ops.provers.get(by).copied()).collect();
            (sentence, [shown, provers].concat())
        });
    }

    fn log(&mut self, key: u32) {
        let log = &self.ops.logs[key as usize];
        if let Some(why) = self.ops.unclear(key) {
            self.undecided.get_or_insert(why);
            return;
        }
        for slot in log.slots.iter().filter(|slot| slot.other != NONE) {
            self.add("inconsistent-offsets", key, |log, calls| {
                let (a, b) = (log.value(slot.message), log.value(slot.other));
                let (first, second) = (calls.did(slot.by), calls.did(slot.other_by));
                let sentence =
                    format!("{first} has {a} at offset {}, and {second} has {b} there", slot.offset);
                (sentence, vec![slot.by, slot.other_by])
            });
        }
        // How far acknowledged polls came, and the message that shows it.
        let placed = |message: &&Message| message.polled != NONE && message.first != NONE;
        let offset = |slot: u32| log.slots[slot as usize].offset;
        let end = log.messages.iter().filter(placed).max_by_key(|message| offset(message.first));
        for (id, message) in (0..).zip(&log.messages) {
            self.message(key, id, message);
            let lost = |end: &&Message| offset(message.last) <= offset(end.first);
            let unseen = message.committed != NONE && message.polled == NONE && message.last != NONE;
            if let Some(end) = end.filter(|end| unseen && lost(end)) {
                self.lost(key, id, message, end);
            }
        }
    }

    fn lost(&mut self, key: u32, id: u32, lost: &Message, end: &Message) {
        self.add("lost-write", key, |log, calls| {
            let offset = |slot: u32| log.slots[slot as usize].offset;
            let further = log.slots[end.first as usize].message;
            let sentence = format!(
                "{} put {} at offset {} and nobody polled it, though {} has {} at offset {}",
                calls.did(lost.committed),
                log.value(id),
                offset(lost.last),
                calls.did(end.polled),
                log.value(further),
                offset(end.first)
            );
            (sentence, vec![lost.committed, lost.last_by, end.polled, end.first_by])
        });
    }

    /// What a message shows by itself.
    fn message(&mut self, key: u32, id: u32, message: &Message) {
        self.messages += usize::from(message.sent != NONE);
        self.polled += usize::from(message.polled != NONE);
        self.unseen += usize::from(message.committed != NONE && message.polled == NONE);
        if message.twice {
            let (key, value) = (self.ops.keys.value(key), self.ops.log(key).value(id));
            let why =
                || format!("{value} was sent to key {key} several times: which one is polled is not known");
            self.undecided.get_or_insert_with(why);
        } else if message.is_duplicate() {
            self.add("duplicate", key, |log, calls| {
                let at = |by: u32, slot: u32| {
                    format!("{} has it at offset {}", calls.did(by), log.slots[slot as usize].offset)
                };
                let (first, last) = (at(message.first_by, message.first), at(message.last_by, message.last));
                let sentence = format!("{} is there twice: {first}, {last}", log.value(id));
                (sentence, vec![message.first_by, message.last_by])
            });
        }
        // Nearly always it was sent before the poll began.
        if message.polled != NONE && message.sent > message.polled {
            self.unsent(key, id, message);
        }
    }

    /// A message that was polled before a send that did not fail began, if there is any.
    fn unsent(&mut self, key: u32, id: u32, message: &Message) {
        let calls = self.found.calls();
        let end = match calls.history.has_real_time() {
            true => calls.call(message.polled).acknowledged(),
            false => NONE,
        };
        if message.sent < end {
            return;
        }
        let (read, failed) = (message.polled, message.failed);
        if failed < end {
            self.add("G1a", key, |log, calls| {
                let (did, by, value) = (calls.did(read), calls.by(failed), log.value(id));
                let advice = "if that may have taken effect, record it as info";
                (format!("{did} has {value}, whose send by {by} failed; {advice}"), vec![read, failed])
            });
        } else {
            self.add("phantom-read", key, |log, calls| {
                (format!("{} has {}, which nobody had sent", calls.did(read), log.value(id)), vec![read])
            });
        }
    }

    /// The slot of a message, and who shows it; by its value where its operation does not say.
    fn slot(&self, key: u32, place: Place) -> Option<(u32, u32)> {
        if place.slot != NONE {
            return Some((place.slot, NONE));
        }
        let message = &self.ops.logs[key as usize].messages[place.message as usize];
        let known = message.first != NONE && !message.is_duplicate() && !message.twice;
        known.then_some((message.first, message.first_by))
    }

    fn step(&mut self, step: &Step) {
        let log = &self.ops.logs[step.key as usize];
        let (Some((from, from_shown)), Some((to, to_shown))) =
            (self.slot(step.key, step.from), self.slot(step.key, step.to))
        else {
            return;
        };
        let (a, b) = (log.slots[from as usize].offset, log.slots[to as usize].offset);
        let skipped = log.between(from, b);
        let kind = match (step.kind, a < b) {
            (Kind::IntPoll, false) => "int-nonmonotonic-poll",
            (Kind::Poll, false) => "nonmonotonic-poll",
            (Kind::IntSend, false) => "int-nonmonotonic-send",
            (Kind::Send, false) => "nonmonotonic-send",
            (Kind::IntPoll, true) if skipped.is_some() => "int-poll-skip",
            (Kind::Poll, true) if skipped.is_some() => "poll-skip",
            (Kind::IntSend, true) => {
                self.int_send_skip += usize::from(skipped.is_some());
                return;
            }
            _ => return,
        };
        if step.subscribed {
            self.subscribed += 1;
            return;
        }
        let skipped = skipped.filter(|_| a < b);
        self.add(kind, step.key, |log, calls| {
            let sends = matches!(step.kind, Kind::IntSend | Kind::Send);
            let verb = if sends { "sent" } else { "polled" };
            let (first, second) = (calls.did(step.from_by), calls.did(step.to_by));
            let (x, y) = (log.value(step.from.message), log.value(step.to.message));
            let mut sentence = match step.from_by == step.to_by {
                true => format!("{first} {verb} {x} at offset {a}, then {y} at offset {b}"),
                false => format!("{first} {verb} {x} at offset {a} last, then {second} {y} at offset {b}"),
            };
            let mut shown = vec![step.from_by, step.to_by, from_shown, to_shown];
            if let Some(slot) = skipped {
                let (value, did) = (log.value(slot.message), calls.did(slot.by));
                sentence += &format!(", past {value} at offset {}, which {did} has", slot.offset);
                shown.push(slot.by);
            }
            (sentence, shown)
        });
    }

    fn verdict(self) -> Verdict {
        let keys = self.ops.logs.len();
        let lost = self.found.count("lost-write");
        let summary =
            format!("{} messages in {keys} logs, {} polled, {lost} lost", self.messages, self.polled);
        let nothing = || (self.polled == 0).then(|| "no acknowledged poll has a message".to_owned());
        let undecided = self.undecided.or_else(nothing);
        let verdict = self.found.verdict(summary, undecided);
        let verdict = verdict.stat("keys", keys).stat("messages", self.messages).stat("polled", self.polled);
        verdict
            .stat("unseen", self.unseen)
            .stat("int_send_skip", self.int_send_skip)
            .stat("subscribed_polls", self.subscribed)
    }
}
