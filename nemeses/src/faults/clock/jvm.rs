//! A Java virtual machine under a skewed clock: the time that it tells, and whether its waits end. Left out, with a line that
//! says so, where there is no `javac`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use squall_targets::agent::NodeFault as _;
use squall_targets::agent::calls::Calls;

use super::fault::Clock;
use super::hook::now;
use super::skew::Skew;
use crate::faults::testnet::in_namespaces;

/// Does what each line says, and prints the time of day in milliseconds afterwards.
const SOURCE: &str = r#"
import java.io.*;
import java.util.concurrent.*;
import java.util.concurrent.locks.*;

public class Waits {
    static final Object monitor = new Object();
    public static void main(String[] args) throws Exception {
        ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("number 0");
        for (String line; (line = lines.readLine()) != null; ) {
            switch (line) {
                case "time": break;
                case "sleep": Thread.sleep(300); break;
                case "wait": synchronized (monitor) { monitor.wait(300); } break;
                case "park": LockSupport.parkNanos(300_000_000L); break;
                case "park until": LockSupport.parkUntil(System.currentTimeMillis() + 300); break;
                case "poll": new LinkedBlockingQueue<String>().poll(300, TimeUnit.MILLISECONDS); break;
                case "schedule": timer.schedule(() -> 0, 300, TimeUnit.MILLISECONDS).get(); break;
                case "collect": System.gc(); break;
            }
            System.out.println("number " + System.currentTimeMillis());
        }
        timer.shutdownNow();
    }
}
"#;

/// All but the first and the last take 300 ms.
const WAITS: [&str; 8] = ["time", "sleep", "wait", "park", "park until", "poll", "schedule", "collect"];

/// Longer than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

struct Jvm {
    child: Child,
    lines: Receiver<i64>,
}

impl Jvm {
    fn start(classes: &Path, calls: Option<&Calls>) -> Jvm {
        let mut command = Command::new("setsid");
        command.args(["java", "-Xmx32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        command.arg(classes).arg("Waits").stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(calls) = calls {
            calls.watch(&mut command).unwrap();
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            let numbers = output.lines().map_while(Result::ok);
            numbers
                .filter_map(|line| line.strip_prefix("number ")?.parse().ok())
                .try_for_each(|n| sender.send(n))
        });
        lines.recv_timeout(Duration::from_secs(90)).expect("Java starts");
        Jvm { child, lines }
    }

    /// What it says after it has done that, in seconds ahead of the true time, and how long that took; nothing if it does not
    /// end.
    fn does(&mut self, what: &str) -> Option<(f64, Duration)> {
        let began = Instant::now();
        self.child.stdin.as_mut().unwrap().write_all(format!("{what}\n").as_bytes()).unwrap();
        match self.lines.recv_timeout(PATIENCE) {
            Ok(ms) => Some((ms as f64 / 1e3 - now()[0] as f64 / 1e9, began.elapsed())),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("Java ended during {what}"),
        }
    }
}

impl Drop for Jvm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn java_tells_the_time_that_it_is_given_and_its_waits_end() {
    if Command::new("javac").arg("-version").output().is_err() {
        println!("skipped: no javac (default-jdk-headless)");
        return;
    }
    in_namespaces("faults::clock::jvm::java_tells_the_time_that_it_is_given_and_its_waits_end", || {
        let classes = tempfile::tempdir().unwrap();
        let source = classes.path().join("Waits.java");
        fs::write(&source, SOURCE).unwrap();
        assert!(Command::new("javac").arg("-J-Xmx64m").arg(&source).status().unwrap().success());
        let skew = |text: &str| -> Value { serde_json::to_value(text.parse::<Skew>().unwrap()).unwrap() };
        for (text, ahead_s) in [
            ("offset=1h", 3600.0),
            ("offset=-1h", -3600.0),
            ("offset=1h+clock=both", 3600.0),
            ("offset=-60s+clock=both", -60.0),
        ] {
            let mut clock = Clock::default();
            clock.settle(classes.path(), true).unwrap();
            let mut java = Jvm::start(classes.path(), Some(&Calls::new(clock.calls()).unwrap()));
            let pids = [java.child.id() as i32];
            assert!(clock.inject(&skew(text), &pids).unwrap().confirmed);
            for what in WAITS {
                let Some((seen_s, took)) = java.does(what) else { panic!("{text}: {what} does not end") };
                println!("{text}: {what} took {took:?}, {seen_s:.3} s ahead");
                assert!((seen_s - ahead_s).abs() < 5.0, "{text}: {seen_s} s ahead after {what}");
                assert!(
                    took.as_millis() >= 290 || ["time", "collect"].contains(&what),
                    "{text}: {what}: {took:?}"
                );
            }
            println!("{text}: {}", clock.heal(&pids).unwrap().evidence);
            assert!(java.does("time").unwrap().0.abs() < 5.0);
        }
        // Where system calls are not answered, the kernel ends a wait until a time of day by its own clock.
        let mut clock = Clock::default();
        let mut java = Jvm::start(classes.path(), None);
        assert!(clock.inject(&skew("offset=-1h"), &[java.child.id() as i32]).unwrap().confirmed);
        assert!(java.does("park until").unwrap().1.as_millis() < 290);
    });
}
