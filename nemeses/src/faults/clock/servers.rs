//! Real servers under a skewed clock: what they say themselves, from outside. One in C (redis) and one in Go (etcd). What is
//! not installed is left out, with a line that says so.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use squall_targets::agent::NodeFault as _;

use super::Skew;
use super::fault::Clock;
use crate::faults::testnet::in_namespaces;

/// How far the answer of a server may be off: some tell whole seconds only, and a busy machine is late.
const TOLERANCE_S: f64 = 5.0;

/// What each is given, and how far it is ahead then, in seconds.
const SKEWS: &[(&str, f64)] = &[("offset=1h", 3600.0), ("offset=-1h", -3600.0)];

struct Server {
    name: &'static str,
    child: Child,
    /// The time that it tells now, in seconds since 1970; `None` while it does not answer.
    tells: Box<dyn FnMut() -> Option<f64>>,
}

impl Server {
    fn start(name: &'static str, command: &mut Command) -> Option<Child> {
        let mut asked = Command::new(command.get_program());
        asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        if asked.status().is_err() {
            println!("{name} is not installed: left out (setup.sh --all installs it)");
            return None;
        }
        let program = command.get_program().to_owned();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        // A session of its own, as targets have.
        let mut own = Command::new("setsid");
        own.arg(program).args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        Some(own.spawn().unwrap())
    }

    fn redis(data: &str) -> Option<Server> {
        let args = ["--port", "7003", "--save", "", "--dir", data];
        let child = Server::start("redis", Command::new("redis-server").args(args))?;
        let tells = || {
            let answer = ask(7003, "TIME\r\n", 6)?;
            let numbers: Vec<f64> = answer.lines().filter_map(|line| line.parse().ok()).collect();
            Some(numbers.first()? + numbers.get(1)? / 1e6)
        };
        Some(Server { name: "redis (C)", child, tells: Box::new(tells) })
    }

    fn etcd(data: &str) -> Option<Server> {
        let (clients, peers) = ("http://127.0.0.1:7004", "http://127.0.0.1:7005");
        let args = [
            "--data-dir",
            data,
            "--listen-client-urls",
            clients,
            "--advertise-client-urls",
            clients,
            "--listen-peer-urls",
            peers,
            "--initial-advertise-peer-urls",
            peers,
            "--initial-cluster",
        ];
        let mut command = Command::new("etcd");
        command.args(args).arg(format!("default={peers}"));
        let child = Server::start("etcd", &mut command)?;
        let tells = || {
            let answer = ask(7004, "GET /version HTTP/1.0\r\n\r\n", usize::MAX)?;
            // Date: Sat, 21 Nov 2026 17:59:56 GMT
            let date: Vec<&str> =
                answer.lines().find_map(|line| line.strip_prefix("Date: "))?.split(' ').collect();
            let [_, day, month, year, time, _] = date[..] else { return None };
            const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
            let month = MONTHS.find(month)? as i64 / 3 + 1;
            unix_s(year.parse().ok()?, month, day.parse().ok()?, time)
        };
        Some(Server { name: "etcd (Go)", child, tells: Box::new(tells) })
    }

    /// How far its clock is ahead, in seconds, once it answers.
    fn ahead_s(&mut self) -> f64 {
        let began = Instant::now();
        loop {
            if let Some(told) = (self.tells)() {
                return told - SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
            }
            assert!(began.elapsed() < Duration::from_secs(90), "{} does not answer", self.name);
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// So many lines of the answer, or all.
fn ask(port: u16, question: &str, lines: usize) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(question.as_bytes()).ok()?;
    if lines == usize::MAX {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        return Some(answer);
    }
    // Five lines and no more: `*2`, a length and a number twice.
    let answer: Vec<String> = BufReader::new(stream).lines().take(lines - 1).map_while(Result::ok).collect();
    let numbers = answer.iter().filter(|line| !line.starts_with(['*', '$']));
    Some(numbers.cloned().collect::<Vec<_>>().join("\n"))
}

/// Seconds since 1970 of a date and `17:59:56.023`, after Hinnant, *chrono-compatible low-level date algorithms*.
fn unix_s(year: i64, month: i64, day: i64, time: &str) -> Option<f64> {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let parts: Vec<f64> = time.split(':').filter_map(|part| part.parse().ok()).collect();
    let [hours, minutes, seconds] = parts[..] else { return None };
    Some(days as f64 * 86_400.0 + hours * 3600.0 + minutes * 60.0 + seconds)
}

#[test]
fn servers_in_c_and_go_tell_the_time_that_they_are_given() {
    in_namespaces("faults::clock::servers::servers_in_c_and_go_tell_the_time_that_they_are_given", || {
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        let data = tempfile::tempdir().unwrap();
        let dir = data.path().to_str().unwrap();
        let mut servers: Vec<Server> =
            [Server::redis(dir), Server::etcd(&format!("{dir}/etcd"))].into_iter().flatten().collect();
        let skew = |text: &str| serde_json::to_value(text.parse::<Skew>().unwrap()).unwrap();
        for server in &mut servers {
            let (pid, mut clock) = (server.child.id() as i32, Clock::default());
            let near = |ahead_s: f64, asked_s: f64| (ahead_s - asked_s).abs() < TOLERANCE_S;
            let before = server.ahead_s();
            assert!(near(before, 0.0), "{}: {before} s ahead before", server.name);
            for &(text, asked_s) in SKEWS {
                let receipt = clock.inject(&skew(text), &[pid]).unwrap();
                let said = server.ahead_s();
                println!("{}: {text}: it says {said:+.1} s; {}", server.name, receipt.evidence);
                assert!(receipt.confirmed && near(said, asked_s), "{}: {said} s; {receipt:?}", server.name);
            }
            assert!(clock.heal(&[pid]).unwrap().confirmed);
            let after = server.ahead_s();
            assert!(near(after, 0.0), "{}: {after} s ahead after", server.name);
        }
    });
}
