//! Takes over the clock functions in the vDSO of a running process, and gives them back.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::skew::Skew;
use super::vdso::{self, Vdso};
use crate::faults::processes::{hold, release};
use crate::sys::clock_stub;

/// Who holds a process while its code is changed.
const KIND: &str = "clock";

/// How long a process may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a process may take to go from one program to the next.
const EXEC: Duration = Duration::from_secs(2);

/// How often a process is stopped anew because one of its threads is just reading a clock.
const TRIES: usize = 200;

/// A jump to a place up to 2 GiB away takes this many bytes.
const JUMP: usize = 5;

/// What a process' clock functions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The kernel's.
    Genuine,
    /// Ours.
    Hooked,
}

/// The memory of a process.
pub(super) struct Hook<'a> {
    pid: i32,
    vdso: &'a Vdso,
    memory: File,
    base: u64,
}

impl<'a> Hook<'a> {
    /// `None` if the process is gone.
    pub(super) fn open(pid: i32, vdso: &'a Vdso) -> Result<Option<Hook<'a>>> {
        let asked = Instant::now();
        let range = loop {
            match vdso::find(&pid.to_string()) {
                Ok(range) => break range,
                // A zombie has no maps, a process that is gone has no file of them.
                Err(_) if is_gone(pid) => return Ok(None),
                // Within exec a process has its new memory a moment before the vDSO is in it.
                Err(_) if asked.elapsed() < EXEC => thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(error),
            }
        };
        let memory = match OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem")) {
            Ok(memory) => memory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("opening the memory of pid {pid}")),
        };
        ensure!(
            range.end - range.start == vdso.image.len() as u64,
            "pid {pid} has another vDSO than this program"
        );
        Ok(Some(Hook { pid, vdso, memory, base: range.start }))
    }

    /// Makes the clocks show what they shall, from now on. A process that stands before its first instruction need not be
    /// stopped.
    pub(super) fn skew(&self, skew: &Skew, since: [i64; 2], until: [i64; 2], stands: bool) -> Result<()> {
        if self.found()? == Found::Genuine {
            self.change(stands, Hook::take_over)?;
        }
        self.write_params(skew, since, until)
    }

    /// Gives the functions back. Whether they had been taken.
    pub(super) fn restore(&self) -> Result<bool> {
        let hooked = self.found()? == Found::Hooked;
        if hooked {
            // At once, since it may take some tries to stop it.
            self.memory.write_all_at(&[0; 128], self.params())?;
            self.change(false, Hook::give_back)?;
        }
        Ok(hooked)
    }

    /// How far the two clocks are ahead now, in nanoseconds, by the code that is in the process and by its parameters. The
    /// process is not stopped for it.
    pub(super) fn ahead_ns(&self) -> Result<[i64; 2]> {
        if self.found()? == Found::Genuine {
            return Ok([0; 2]);
        }
        let mut block = [0; 128];
        self.memory.read_exact_at(&mut block, self.params())?;
        let word = |at: usize| {
            let bytes = block[8 * at..8 * at + 8].try_into().expect("8 bytes");
            i64::from_le_bytes(bytes)
        };
        let now = now();
        Ok([0, 1].map(|clock| {
            let [on, offset, base, rate, period, strobe, until] =
                [1, 2, 3, 4, 5, 6, 7].map(|at| word(8 * clock + at));
            let (now, after) = (now[clock], now[clock] - base);
            if on == 0 || (until != 0 && now >= until) {
                return 0;
            }
            let drift = ((i128::from(after) * i128::from(rate)) >> 32) as i64;
            let jump = if period != 0 && after / period % 2 == 1 { strobe } else { 0 };
            offset + drift + jump
        }))
    }

    fn found(&self) -> Result<Found> {
        let (stub, [_, _, params]) = clock_stub();
        let mut code = vec![0; params];
        self.memory.read_exact_at(&mut code, self.base + self.vdso.functions[0].start as u64)?;
        if code == stub[..params] {
            return Ok(Found::Hooked);
        }
        let genuine = &self.vdso.image[self.vdso.functions[0].clone()];
        ensure!(
            code[..params.min(genuine.len())] == genuine[..params.min(genuine.len())],
            "pid {} has a changed vDSO",
            self.pid
        );
        Ok(Found::Genuine)
    }

    fn params(&self) -> u64 {
        self.base + (self.vdso.functions[0].start + clock_stub().1[2]) as u64
    }

    fn take_over(&self) -> Result<()> {
        let (stub, [timeofday, time, _]) = clock_stub();
        let [clock_gettime, of_day, of_time] = &self.vdso.functions;
        ensure!(stub.len() <= clock_gettime.len(), "this kernel's clock_gettime is too short to be replaced");
        self.memory.write_all_at(stub, self.base + clock_gettime.start as u64)?;
        for (function, to) in [(of_day, timeofday), (of_time, time)] {
            let distance = (clock_gettime.start + to) as i64 - (function.start + JUMP) as i64;
            let mut jump = vec![0xe9];
            jump.extend(i32::try_from(distance)?.to_le_bytes());
            self.memory.write_all_at(&jump, self.base + function.start as u64)?;
        }
        Ok(())
    }

    fn give_back(&self) -> Result<()> {
        for function in &self.vdso.functions {
            let code = &self.vdso.image[function.clone()];
            self.memory.write_all_at(code, self.base + function.start as u64)?;
        }
        Ok(())
    }

    /// The sequence is odd while the others are written: who reads meanwhile waits.
    fn write_params(&self, skew: &Skew, since: [i64; 2], until: [i64; 2]) -> Result<()> {
        let rate = (i128::from(skew.drift_ppm) << 32) / 1_000_000;
        for (clock, on) in skew.clocks.each().into_iter().enumerate() {
            let at = self.params() + 64 * clock as u64;
            let mut sequence = [0; 8];
            self.memory.read_exact_at(&mut sequence, at)?;
            let odd = u64::from_le_bytes(sequence) | 1;
            let words = [
                i64::from(on),
                skew.offset_ns,
                since[clock],
                rate as i64,
                skew.strobe_period_ns,
                skew.strobe_ns,
                until[clock],
            ];
            self.memory.write_all_at(&odd.to_le_bytes(), at)?;
            self.memory.write_all_at(&words.map(i64::to_le_bytes).concat(), at + 8)?;
            self.memory.write_all_at(&(odd + 1).to_le_bytes(), at)?;
        }
        Ok(())
    }

    /// Changes the code while no thread is in it.
    fn change(&self, stands: bool, change: impl Fn(&Hook<'a>) -> Result<()>) -> Result<()> {
        if stands {
            return change(self);
        }
        for _ in 0..TRIES {
            hold(self.pid, KIND)?;
            let done = match self.stopped().and_then(|()| self.nobody_inside()) {
                Ok(true) => Some(change(self)),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            };
            release(self.pid, KIND)?;
            if let Some(done) = done {
                return done;
            }
            // Its threads must move on to leave the code, whoever holds it.
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGCONT);
            thread::sleep(Duration::from_micros(100));
        }
        bail!("pid {} reads its clock all the time", self.pid)
    }

    /// Waits until it stands.
    fn stopped(&self) -> Result<()> {
        let start = Instant::now();
        while !states(self.pid)?.iter().all(|state| matches!(state, 'T' | 'Z' | 'X')) {
            if start.elapsed() > STOP_TIMEOUT {
                bail!("pid {} does not stop", self.pid);
            }
            thread::yield_now();
        }
        Ok(())
    }

    /// Whether no stopped thread is in the vDSO, nor about to return to it.
    fn nobody_inside(&self) -> Result<bool> {
        let vdso = self.base..self.base + self.vdso.image.len() as u64;
        for thread in threads(self.pid)? {
            // `NUMBER ARGUMENTS… STACK PROGRAM-COUNTER` of a system call, or `-1 STACK PROGRAM-COUNTER` outside of one.
            let path = format!("/proc/{}/task/{thread}/syscall", self.pid);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let counter = text
                .trim()
                .rsplit(' ')
                .next()
                .and_then(|hex| u64::from_str_radix(hex.strip_prefix("0x")?, 16).ok());
            match counter {
                Some(counter) if vdso.contains(&counter) => return Ok(false),
                Some(_) => {}
                None => bail!("{path} does not say where the thread is: {}", text.trim()),
            }
        }
        Ok(true)
    }
}

fn threads(pid: i32) -> Result<Vec<i32>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("pid {pid} is gone"))?;
    Ok(tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The states of the threads.
fn states(pid: i32) -> Result<Vec<char>> {
    let state = |thread: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    Ok(threads(pid)?.into_iter().filter_map(state).collect())
}

pub(super) fn is_gone(pid: i32) -> bool {
    states(pid).is_ok_and(|states| states.iter().all(|state| matches!(state, 'Z' | 'X')))
        || threads(pid).is_err()
}

/// What the two clocks show to this process.
pub(super) fn now() -> [i64; 2] {
    [ClockId::CLOCK_REALTIME, ClockId::CLOCK_MONOTONIC].map(|clock| {
        let time = clock_gettime(clock).expect("Linux has this clock");
        time.tv_sec() * 1_000_000_000 + time.tv_nsec()
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A process that was just started had "no vDSO" now and then, and then no run could have the clock nemesis.
    #[test]
    fn a_process_that_was_just_started_can_be_opened() {
        let vdso = Vdso::own().unwrap();
        for _ in 0..500 {
            let mut process = Command::new("sleep").arg("60").spawn().unwrap();
            let opened = Hook::open(process.id() as i32, &vdso).map(|hook| hook.is_some());
            process.kill().unwrap();
            process.wait().unwrap();
            assert!(opened.unwrap());
        }
    }
}
