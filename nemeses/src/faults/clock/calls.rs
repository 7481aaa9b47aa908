//! System calls that read a clock or wait until a time, which do not go through the vDSO: answered with the skewed time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::{fmt, fs};

use nix::libc;
use nix::time::{ClockId, clock_gettime};
use squall_targets::agent::calls::{Answer, Answers, Call, Test, Watched};

use super::skew::Skew;
use crate::sys::CLOCK_STUB_MARK;
use crate::words::count;

/// CLOCK_REALTIME, REALTIME_COARSE and TAI; CLOCK_MONOTONIC, MONOTONIC_RAW, MONOTONIC_COARSE and BOOTTIME.
const KIN: [&[u32]; 2] = [&[0, 5, 11], &[1, 4, 6, 7]];

/// A time later than this (in the year 2200) is none: some wait for ever so.
const NEVER_S: i64 = 7_258_118_400;

/// Moved waits that are remembered.
const MOVED_MAX: usize = 4096;

/// Answers the system calls of the target that read clocks.
///
/// Waits until a given time of a clock that is skewed (a futex with a deadline, `clock_nanosleep`, a timerfd) would last as
/// much too long as the clock is ahead, since the kernel ends them by its own clock: the time in the memory of the process is
/// changed into what the kernel must be told, and the call passes. So it lasts as long as it would on a machine whose
/// clock is wrong and stays so.
#[derive(Default)]
pub(super) struct RawCalls {
    /// In force, and since when by the true clocks.
    skew: RwLock<Option<(Skew, [i64; 2])>>,
    answered: AtomicU64,
    waits: AtomicU64,
    /// By thread and address, what was put there: who waits again for the same reads it.
    moved: Mutex<BTreeMap<(i32, u64), [u8; 16]>>,
}

/// How many calls were changed since the skew began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// That read a clock.
    pub(super) answered: u64,
    /// That waited until a time.
    pub(super) moved: u64,
}

/// `, 1,234 system calls answered, 1 wait moved`; nothing where there was nothing.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, what, how) in [(self.answered, "system call", "answered"), (self.moved, "wait", "moved")] {
            if n > 0 {
                write!(f, ", {} {how}", count(n, what))?;
            }
        }
        Ok(())
    }
}

impl RawCalls {
    /// From now on they show this, or the true time.
    pub(super) fn skew(&self, skew: Option<(Skew, [i64; 2])>) {
        if skew.is_some() {
            self.answered.store(0, Ordering::Relaxed);
            self.waits.store(0, Ordering::Relaxed);
        }
        *self.skew.write().unwrap_or_else(PoisonError::into_inner) = skew;
    }

    pub(super) fn counts(&self) -> Counts {
        let [answered, moved] = [&self.answered, &self.waits].map(|count| count.load(Ordering::Relaxed));
        Counts { answered, moved }
    }

    /// What a clock truly shows and how far it shall be ahead, if it is skewed, in nanoseconds.
    fn look(&self, clock: i32) -> Option<(i64, i64)> {
        let kin = KIN.iter().position(|kin| kin.contains(&(clock as u32)))?;
        let (skew, since) = (*self.skew.read().unwrap_or_else(PoisonError::into_inner))?;
        if !skew.clocks.each()[kin] {
            return None;
        }
        let time = clock_gettime(ClockId::from_raw(clock)).ok()?;
        let now = time.tv_sec() * 1_000_000_000 + time.tv_nsec();
        Some((now, skew.error_ns(now - since[kin])))
    }

    /// What a clock shall show, as seconds and parts of them, so many in a second.
    fn shown(&self, clock: i32, parts: i64) -> Option<[i64; 2]> {
        let (now, ahead) = self.look(clock)?;
        // No time before 1970.
        let shown = (now + ahead).max(0);
        Some([shown / 1_000_000_000, shown % 1_000_000_000 / (1_000_000_000 / parts)])
    }

    fn read(&self, call: &Call<'_>) -> Option<i64> {
        let [first, second, ..] = call.args;
        let mut returns = 0;
        let written = match call.number {
            libc::SYS_clock_gettime => call.write(second, &bytes(self.shown(first as i32, 1_000_000_000)?)),
            libc::SYS_gettimeofday => {
                let time = self.shown(0, 1_000_000)?;
                let zone = if second == 0 { Ok(()) } else { call.write(second, &[0; 8]) };
                if first == 0 { zone } else { zone.and(call.write(first, &bytes(time))) }
            }
            _ => {
                [returns, _] = self.shown(0, 1)?;
                if first == 0 { Ok(()) } else { call.write(first, &returns.to_ne_bytes()) }
            }
        };
        // What cannot be written there, the kernel may try itself.
        written.ok()?;
        self.answered.fetch_add(1, Ordering::Relaxed);
        Some(returns)
    }

    /// Changes the time at which a wait ends, in the memory of the process.
    fn move_wait(&self, call: &Call<'_>, clock: i32, at: u64) -> Option<()> {
        let (_, ahead) = self.look(clock)?;
        let asked: [u8; 16] = call.read(at).ok()?;
        let place = (call.thread, at);
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.get(&place) == Some(&asked) {
            return None;
        }
        let until = moved_to(asked, ahead)?;
        call.write(at, &until).ok()?;
        if moved.len() >= MOVED_MAX {
            moved.clear();
        }
        moved.insert(place, until);
        self.waits.fetch_add(1, Ordering::Relaxed);
        Some(())
    }
}

impl Answers for RawCalls {
    fn watched(&self) -> Vec<Watched> {
        let one_of = |argument, mask, values: &[u32]| Test::OneOf { argument, mask, values: values.to_vec() };
        let futex = (libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) as u32;
        let absolute = libc::TIMER_ABSTIME as u32;
        let reads = vec![
            one_of(0, u32::MAX, &KIN.concat()),
            // Those of the code in the vDSO are skewed there.
            Test::Not { argument: 2, value: CLOCK_STUB_MARK },
        ];
        let futexes =
            vec![one_of(1, !futex, &[libc::FUTEX_WAIT_BITSET as u32]), Test::Something { argument: 3 }];
        vec![
            Watched { number: libc::SYS_clock_gettime, tests: reads },
            Watched::every(libc::SYS_gettimeofday),
            Watched::every(libc::SYS_time),
            Watched { number: libc::SYS_futex, tests: futexes },
            Watched { number: libc::SYS_clock_nanosleep, tests: vec![one_of(1, absolute, &[absolute])] },
            Watched {
                number: libc::SYS_timerfd_settime,
                tests: vec![one_of(1, libc::TFD_TIMER_ABSTIME as u32, &[libc::TFD_TIMER_ABSTIME as u32])],
            },
        ]
    }

    fn answer(&self, call: &Call<'_>) -> Answer {
        let [first, second, third, fourth, ..] = call.args;
        match call.number {
            libc::SYS_clock_gettime | libc::SYS_gettimeofday | libc::SYS_time => {
                return self.read(call).map_or(Answer::Pass, Answer::Return);
            }
            libc::SYS_futex => {
                let clock = i32::from(second & libc::FUTEX_CLOCK_REALTIME as u64 == 0);
                self.move_wait(call, clock, fourth);
            }
            libc::SYS_clock_nanosleep => {
                self.move_wait(call, first as i32, third);
            }
            _ => {
                // Behind the interval, 16 bytes.
                timerfd_clock(call.thread, first)
                    .and_then(|clock| self.move_wait(call, clock, third.wrapping_add(16)));
            }
        }
        Answer::Pass
    }
}

fn bytes([seconds, parts]: [i64; 2]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&seconds.to_ne_bytes());
    bytes[8..].copy_from_slice(&parts.to_ne_bytes());
    bytes
}

/// When the kernel must end a wait (a `struct timespec`) by its own clock. Nothing for what is no time.
fn moved_to(asked: [u8; 16], ahead_ns: i64) -> Option<[u8; 16]> {
    let half = |at: usize| asked[at..at + 8].try_into().map(i64::from_ne_bytes).ok();
    let (seconds, nanos) = (half(0)?, half(8)?);
    if !(0..NEVER_S).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) || (seconds, nanos) == (0, 0)
    {
        return None;
    }
    // 0 would switch a timer off.
    let until = (seconds * 1_000_000_000 + nanos).saturating_sub(ahead_ns).max(1);
    Some(bytes([until / 1_000_000_000, until % 1_000_000_000]))
}

/// By which clock a timer runs.
fn timerfd_clock(thread: i32, descriptor: u64) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{thread}/fdinfo/{descriptor}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("clockid:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::path::Path;
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::time::Instant;

    use nix::errno::Errno;
    use serde_json::Value;
    use squall_targets::agent::NodeFault as _;
    use squall_targets::agent::calls::Calls;

    use super::super::fault::Clock;
    use super::super::hook::now;
    use super::*;
    use crate::faults::testnet::in_namespaces;
    use crate::sys::raw;

    const PROGRAM: &str = "faults::clock::calls::tests::a_program_that_asks_the_kernel_itself";

    /// Run in a process of its own, it does what each line says and prints a number.
    #[test]
    fn a_program_that_asks_the_kernel_itself() {
        if std::env::var_os("SQUALL_TEST_RAW").is_none() {
            return;
        }
        println!("ready");
        for line in std::io::stdin().lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            let number: i64 = match words[..] {
                ["clock", clock] => raw::clock(clock.parse().unwrap()),
                ["timeofday"] => raw::of_day()[0] * 1000,
                ["time"] => raw::of_day()[1] * 1_000_000_000,
                // By the clock since boot, which is not to be skewed then.
                ["cost"] => {
                    let began = Instant::now();
                    assert!((0..5_000).all(|_| raw::clock(0) > 0));
                    began.elapsed().as_nanos() as i64 / 5_000
                }
                // By its own clock, which is the one that it reads in another way.
                ["wait", way, clock, ms] => {
                    let clock: i32 = clock.parse().unwrap();
                    let now = now()[clock as usize];
                    let error = raw::wait_until(way, clock, now + ms.parse::<i64>().unwrap() * 1_000_000);
                    assert!(matches!(error, Errno::ETIMEDOUT | Errno::UnknownErrno), "{error}");
                    0
                }
                _ => panic!("{line}"),
            };
            println!("number {number}");
        }
    }

    struct Program(Child, BufReader<ChildStdout>);

    impl Program {
        fn start(calls: Option<&Calls>) -> Program {
            let mut command = Command::new("setsid");
            command.arg(std::env::current_exe().unwrap()).args(["--exact", PROGRAM, "--nocapture"]);
            command.env("SQUALL_TEST_RAW", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
            if let Some(calls) = calls {
                calls.watch(&mut command).unwrap();
            }
            let mut child = command.spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap());
            let mut program = Program(child, lines);
            program.line("ready");
            program
        }

        fn line(&mut self, with: &str) -> String {
            let mut line = String::new();
            while !line.contains(with) {
                line.clear();
                assert!(self.1.read_line(&mut line).unwrap() > 0, "the program lives");
            }
            line
        }

        fn ask(&mut self, what: &str) -> i64 {
            self.0.stdin.as_mut().unwrap().write_all(format!("{what}\n").as_bytes()).unwrap();
            let line = self.line("number");
            line.trim().rsplit(' ').next().unwrap().parse().unwrap()
        }

        /// How far what it reads is ahead of a clock, in seconds.
        fn ahead_s(&mut self, what: &str, clock: usize) -> f64 {
            (self.ask(what) - now()[clock]) as f64 / 1e9
        }

        fn waits_ms(&mut self, way: &str, clock: usize) -> u128 {
            let began = Instant::now();
            self.ask(&format!("wait {way} {clock} 300"));
            began.elapsed().as_millis()
        }
    }

    impl Drop for Program {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn skew(text: &str) -> Value {
        serde_json::to_value(text.parse::<Skew>().unwrap()).unwrap()
    }

    #[test]
    fn who_asks_the_kernel_sees_the_skew_too_and_waits_no_longer() {
        let test = "faults::clock::calls::tests::who_asks_the_kernel_sees_the_skew_too_and_waits_no_longer";
        in_namespaces(test, || {
            let mut clock = Clock::default();
            clock.settle(Path::new("/tmp"), true).unwrap();
            let calls = Calls::new(clock.calls()).unwrap();
            let (mut program, mut other) = (Program::start(Some(&calls)), Program::start(None));
            let costs = [&mut other, &mut program].map(|program| program.ask("cost"));
            println!("a raw call takes {} ns, passed on {} ns", costs[0], costs[1]);
            let pids = [program.0.id() as i32, other.0.id() as i32];
            let near = |seen: f64, asked: f64| assert!((seen - asked).abs() < 2.0, "{seen} s, not {asked} s");
            let reads = [("clock 0", 0), ("clock 5", 0), ("timeofday", 0), ("time", 0), ("clock 1", 1)];
            for (what, kind) in reads {
                near(program.ahead_s(what, kind), 0.0);
            }

            for (text, asked_s) in [("offset=1h", 3600.0), ("offset=-1h", -3600.0)] {
                let receipt = clock.inject(&skew(text), &pids).unwrap();
                println!("{text}: {}", receipt.evidence);
                assert!(receipt.confirmed && receipt.measured["raw_calls"] == true, "{receipt:?}");
                for (what, kind) in reads {
                    near(program.ahead_s(what, kind), if kind == 0 { asked_s } else { 0.0 });
                    near(other.ahead_s(what, kind), 0.0);
                }
                for way in ["futex", "sleep"] {
                    let waited = program.waits_ms(way, 0);
                    println!("{text}: 300 ms by {way} last {waited} ms");
                    assert!((290..30_000).contains(&waited), "{way}: {waited} ms");
                }
            }
            println!("answered, a raw call takes {} ns", program.ask("cost"));
            assert!(other.waits_ms("futex", 0) < 250, "without it the kernel ends a wait by its own clock");
            let receipt = clock.heal(&pids).unwrap();
            println!("healed: {receipt:?}");
            assert!(receipt.measured["raw_calls_answered"].as_u64() > Some(5_000));
            assert_eq!(receipt.measured["waits_moved"], 2);

            // A clock since boot that is ahead kept who waits by it waiting.
            assert!(clock.inject(&skew("offset=1h+clock=both"), &pids).unwrap().confirmed);
            near(program.ahead_s("clock 1", 1), 3600.0);
            for way in ["futex", "sleep"] {
                let waited = program.waits_ms(way, 1);
                assert!((290..30_000).contains(&waited), "{way}: {waited} ms");
            }
            clock.heal(&pids).unwrap();
            for (what, kind) in reads {
                near(program.ahead_s(what, kind), 0.0);
            }
            assert!(program.waits_ms("futex", 0) >= 290, "and all is as before");
        });
    }

    #[test]
    fn deadlines_are_moved_and_what_is_none_is_not() {
        let moved = |seconds: i64, nanos: i64, ahead: i64| moved_to(bytes([seconds, nanos]), ahead);
        assert_eq!(moved(10, 5, 2_000_000_000), Some(bytes([8, 5])));
        assert_eq!(moved(10, 5, -6), Some(bytes([10, 11])));
        assert_eq!(moved(1, 0, 5_000_000_000), Some(bytes([0, 1])), "in the past, but not 0");
        for (seconds, nanos) in [(0, 0), (i64::MAX, 0), (-1, 0), (5, 1_000_000_000)] {
            assert_eq!(moved(seconds, nanos, 1), None);
        }
    }
}
