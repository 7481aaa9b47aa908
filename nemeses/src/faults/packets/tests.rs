//! Seen from outside: real packets between two network namespaces.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::super::testnet::{TestNet, address, in_guest, in_namespaces, is_guest, measured, sh};
use super::mechanism::Mechanism;
use super::nfqueue::NfQueue;
use super::shaper::{Fate, Shaper};
use super::*;

const PACKETS: u32 = 400;

fn args(from: usize, version: u8, profile: &str) -> Value {
    let flows = vec![Flow { from: address(from, version), profile: profile.parse().unwrap() }];
    serde_json::to_value(PacketArgs { seed: 5, flows }).unwrap()
}

/// `packets` of a node, by whichever mechanism there is.
fn packets() -> Packets {
    let [packets, _] = Packets::both();
    packets
}

/// `packets` of a node by each mechanism that it has. In the guest there must be both.
fn by_each(net: &TestNet, node: usize) -> Vec<Packets> {
    let netem = net.on(node, || Netem::probe().and_then(|()| Netem::new()));
    if let Err(error) = &netem {
        println!("no netem here: {error:#}");
        assert!(!is_guest(), "the guest has netem");
    }
    let netem = netem.ok().map(|netem| Box::new(netem) as Box<dyn Mechanism>);
    let queue = net.on(node, || NfQueue::open().unwrap());
    let all = [Some(Box::new(queue) as Box<dyn Mechanism>), netem];
    let with = |mechanism| {
        let packets = packets();
        *packets.wire() = Wire::of(mechanism);
        packets
    };
    all.into_iter().flatten().map(with).collect()
}

/// What arrived on node 2 of the packets that node 1 sent, one each millisecond or five: their numbers, when they came,
/// and how long they took. (Not all at once: without root, few may wait until a busy machine looks at them.)
fn exchange(net: &TestNet, version: u8, bytes: usize, paced: bool) -> Vec<(u32, Duration, Duration)> {
    let bind = |i| move || UdpSocket::bind((address(i, version), 0)).unwrap();
    let (sender, receiver) = (net.on(1, bind(1)), net.on(2, bind(2)));
    receiver.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let to = receiver.local_addr().unwrap();
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..PACKETS {
                let sent_us = start.elapsed().as_micros() as u64;
                let mut packet = vec![0; bytes];
                packet[..4].copy_from_slice(&n.to_le_bytes());
                packet[4..12].copy_from_slice(&sent_us.to_le_bytes());
                sender.send_to(&packet, to).unwrap();
                if paced || n % 5 == 4 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let mut arrived = Vec::new();
        let mut packet = vec![0; bytes];
        while receiver.recv(&mut packet).is_ok() {
            let (now, number) = (start.elapsed(), u32::from_le_bytes(packet[..4].try_into().unwrap()));
            let sent = Duration::from_micros(u64::from_le_bytes(packet[4..12].try_into().unwrap()));
            arrived.push((number, now, now.saturating_sub(sent)));
        }
        arrived
    })
}

/// A profile while it lasts, and the receipt of its healing.
fn under<T: Send>(
    net: &TestNet,
    fault: &mut Packets,
    version: u8,
    profile: &str,
    act: impl FnOnce() -> T + Send,
) -> (T, Receipt) {
    let start = Instant::now();
    let receipt = net.on(2, || fault.inject(&args(1, version, profile), &[])).unwrap();
    let inject = start.elapsed();
    assert!(receipt.confirmed, "{receipt:?}");
    let done = act();
    let start = Instant::now();
    let receipt = net.on(2, || fault.heal(&[])).unwrap();
    println!(
        "{profile}, IPv{version}, {}: {} (apply {:.0} ms, heal {:.0} ms)",
        receipt.measured["by"],
        receipt.evidence,
        inject.as_secs_f64() * 1e3,
        start.elapsed().as_secs_f64() * 1e3
    );
    assert!(receipt.confirmed, "{receipt:?}");
    assert!(!net.on(2, || fault.heal(&[])).unwrap().confirmed, "healed is healed");
    (done, receipt)
}

/// Every effect, seen from outside, by whichever mechanism there is.
fn every_effect() {
    let net = TestNet::new(2);
    let all = PACKETS as usize;
    assert_eq!(exchange(&net, 4, 100, true).len(), all, "before");
    let mut fault = packets();
    for version in [4, 6] {
        let mut under =
            |profile| under(&net, &mut fault, version, profile, || exchange(&net, version, 100, true));
        let (arrived, receipt) = under("delay=40ms+jitter=5ms");
        let ours = receipt.measured["by"] == "NFQUEUE";
        assert_eq!(arrived.len(), all);
        assert!(arrived.iter().all(|(_, _, took)| *took >= Duration::from_millis(34)));
        assert!(receipt.measured["delayed"].as_u64().unwrap() >= u64::from(PACKETS));

        let (arrived, receipt) = under("loss=30%");
        let lost = receipt.measured["lost"].as_u64().unwrap() as usize;
        assert_eq!(arrived.len(), all - lost);
        if ours {
            let mut shaper = Shaper::new("loss=30%".parse().unwrap(), 5);
            let expected = (0..PACKETS).filter(|_| shaper.fate(0, 128, 108) == Fate::Lost).count();
            assert_eq!(lost, expected, "a seed decides");
        }

        let (arrived, receipt) = under("duplicate=50%");
        let doubled = receipt.measured["doubled"].as_u64().unwrap() as usize;
        assert_eq!(arrived.len(), all + doubled);

        let (arrived, _) = under("delay=20ms+reorder=50%");
        assert!(arrived.windows(2).any(|pair| pair[0].0 > pair[1].0), "some overtake");

        // The checksum gives a flipped bit away, and the kernel drops the packet; netem flips bits of the link's header, too.
        let (arrived, receipt) = under("corrupt=50%");
        let corrupted = receipt.measured["corrupted"].as_u64().unwrap() as usize;
        assert!(
            arrived.len() < all && corrupted > all / 4,
            "{} arrived, {corrupted} corrupted",
            arrived.len()
        );
        assert!(!ours || arrived.len() == all - corrupted);

        let (arrived, _) = under("rate=1000kbit");
        assert_eq!(arrived.len(), all);
    }
    assert_eq!(exchange(&net, 4, 100, true).len(), all, "after");
    let left =
        net.on(2, || sh("iptables-save; ip6tables-save; tc filter show dev eth0 parent ffff:; ip link"));
    assert!(!left.contains("squall") && !left.contains("sqifb"), "{left}");
}

#[test]
fn packets_are_late_lost_double_disordered_damaged_and_slow() {
    in_namespaces(
        "faults::packets::tests::packets_are_late_lost_double_disordered_damaged_and_slow",
        every_effect,
    );
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The figures of every mechanism against what was asked.
fn figures() {
    let net = TestNet::new(2);
    for mut fault in by_each(&net, 2) {
        for version in [4, 6] {
            let mut ms = |profile: &str| {
                let ran = under(&net, &mut fault, version, profile, || exchange(&net, version, 100, true));
                let mut took: Vec<f64> = ran.0.iter().map(|(_, _, took)| took.as_secs_f64() * 1e3).collect();
                let (mean_ms, n) = (mean(&took), took.len() as f64);
                // What strays far may do so because the machine is busy.
                took.sort_by(f64::total_cmp);
                let at = |share: f64| took[(n * share) as usize];
                let (median, spread) = (at(0.5), at(0.75) - at(0.25));
                println!(
                    "    mean {mean_ms:.1} ms, median {median:.1} ms, half of them within {spread:.1} ms; {n} of {PACKETS} arrived"
                );
                (median, spread, 1.0 - n / f64::from(PACKETS))
            };
            for asked in [10.0, 100.0] {
                measured(|| {
                    let (median, ..) = ms(&format!("delay={asked}ms"));
                    within(median, asked - 1.0..asked + 25.0)
                });
            }
            for (profile, asked) in [
                ("delay=100ms+jitter=20ms", 20.0),
                ("delay=100ms+normal-jitter=20ms", 27.0),
                ("delay=100ms+pareto-jitter=20ms", 13.0),
                ("delay=100ms+paretonormal-jitter=20ms", 16.5),
            ] {
                measured(|| {
                    let (median, spread, _) = ms(profile);
                    within(median, 88.0..130.0)?;
                    within(spread, asked * 0.6..f64::INFINITY)
                });
            }
            for (profile, asked, tolerance) in
                [("loss=10%", 0.1, 0.08), ("loss=30%+burst=50%", 0.3, 0.15), ("gilbert=5%/20%", 0.2, 0.15)]
            {
                let (.., lost) = ms(profile);
                assert!((lost - asked).abs() < tolerance, "{profile}: lost {lost}");
            }
            for mbit in [1.0, 8.0] {
                let profile = format!("rate={mbit}mbit");
                let header = if version == 4 { 28 } else { 48 };
                measured(|| {
                    let (arrived, _) =
                        under(&net, &mut fault, version, &profile, || exchange(&net, version, 1000, false));
                    let time = (arrived.last().unwrap().1 - arrived[0].1).as_secs_f64();
                    let got = (arrived.len() - 1) as f64 * (1000 + header) as f64 * 8e-6 / time;
                    println!("    {got:.3} Mbit/s, {} of {PACKETS} arrived", arrived.len());
                    within(got, mbit * 0.6..mbit * 1.1)
                });
            }
        }
    }
}

fn within(got: f64, bounds: std::ops::Range<f64>) -> Result<(), String> {
    if bounds.contains(&got) { Ok(()) } else { Err(format!("{got} is not within {bounds:?}")) }
}

#[test]
fn figures_are_what_was_asked() {
    in_namespaces("faults::packets::tests::figures_are_what_was_asked", figures);
}

/// Gigabits that a TCP connection carries from node 1 to node 2 in a second.
fn gbit(net: &TestNet) -> f64 {
    let listener = net.on(2, || TcpListener::bind((address(2, 4), 0)).unwrap());
    let to = listener.local_addr().unwrap();
    let mut sender = net.on(1, || TcpStream::connect(to).unwrap());
    let mut receiver = listener.accept().unwrap().0;
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let block = vec![7; 256 << 10];
            while start.elapsed() < Duration::from_secs(1) && sender.write_all(&block).is_ok() {}
        });
        let (mut block, mut bytes) = (vec![0; 256 << 10], 0);
        while let Ok(read @ 1..) = receiver.read(&mut block) {
            bytes += read;
        }
        bytes as f64 * 8e-9 / start.elapsed().as_secs_f64()
    })
}

/// What passes a fault that hardly does anything.
fn throughput() {
    let net = TestNet::new(2);
    println!("throughput without a fault: {:.2} Gbit/s", gbit(&net));
    for mut fault in by_each(&net, 2) {
        net.on(2, || fault.inject(&args(1, 4, "corrupt=0.0001%"), &[])).unwrap();
        let gbit = gbit(&net);
        let counts = net.on(2, || fault.heal(&[])).unwrap().measured;
        println!(
            "throughput by {}: {gbit:.2} Gbit/s, {} packets in a second",
            counts["by"], counts["packets"]
        );
        assert!(gbit > 0.01, "{gbit}");
    }
}

#[test]
fn traffic_passes_a_fault() {
    in_namespaces("faults::packets::tests::traffic_passes_a_fault", throughput);
}

/// The same with netem, in a machine whose kernel has it: root and rootless.
#[test]
fn netem_does_the_same_in_a_guest_that_has_it() {
    const TEST: &str = "faults::packets::tests::netem_does_the_same_in_a_guest_that_has_it";
    in_guest(TEST, &[], || {
        in_namespaces(TEST, || {
            // Everything takes long in an emulated machine.
            if nix::unistd::getuid().is_root()
                && std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.contains("4294967295"))
            {
                figures();
                throughput();
            } else {
                every_effect();
                both_at_once();
                death();
            }
        });
    });
}

/// `regions` and `packets` on one wire, one after the other and at once.
fn both_at_once() {
    let net = TestNet::new(2);
    let [mut packets, mut regions] = Packets::both();
    // What strays far may do so because the machine is busy.
    let delay_ms = || {
        let mut took: Vec<_> = exchange(&net, 4, 100, true).iter().map(|(_, _, took)| *took).collect();
        took.sort();
        took[took.len() / 2].as_secs_f64() * 1e3
    };
    net.on(2, || regions.inject(&args(1, 4, "delay=40ms"), &[])).unwrap();
    let alone = delay_ms();
    net.on(2, || packets.inject(&args(1, 4, "delay=60ms"), &[])).unwrap();
    let both = delay_ms();
    let receipt = net.on(2, || packets.heal(&[])).unwrap();
    assert_eq!(receipt.measured["delayed"], PACKETS, "only those of its own time: {receipt:?}");
    let alone_again = delay_ms();
    let receipt = net.on(2, || regions.heal(&[])).unwrap();
    assert!(receipt.measured["delayed"].as_u64().unwrap() >= u64::from(3 * PACKETS), "{receipt:?}");
    println!("40 ms: {alone:.1} ms; with 60 ms more: {both:.1} ms; without: {alone_again:.1} ms");
    assert!((39.0..70.0).contains(&alone) && (99.0..130.0).contains(&both));
    assert!((39.0..70.0).contains(&alone_again) && delay_ms() < 30.0);
}

#[test]
fn regions_and_packets_act_at_once() {
    in_namespaces("faults::packets::tests::regions_and_packets_act_at_once", both_at_once);
}

/// What waited already when a fault began was counted as delayed by it though it was not seen by it, so there were more
/// delayed than packets.
#[test]
fn what_waited_before_is_not_counted() {
    in_namespaces("faults::packets::tests::what_waited_before_is_not_counted", || {
        let net = TestNet::new(2);
        let [mut packets, mut regions] = Packets::both();
        let socket = net.on(1, || UdpSocket::bind((address(1, 4), 0)).unwrap());
        let send = |count: usize| {
            (0..count).for_each(|_| assert_eq!(socket.send_to(b"packet", (address(2, 4), 9)).unwrap(), 6));
        };
        net.on(2, || regions.inject(&args(1, 4, "delay=2s"), &[])).unwrap();
        send(20);
        std::thread::sleep(Duration::from_millis(500));
        net.on(2, || packets.inject(&args(1, 4, "delay=10ms"), &[])).unwrap();
        send(5);
        std::thread::sleep(Duration::from_secs(4));
        let healed = net.on(2, || packets.heal(&[])).unwrap();
        println!("{}", healed.evidence);
        assert!(healed.confirmed && healed.measured["delayed"] == healed.measured["packets"], "{healed:?}");
        net.on(2, || regions.heal(&[])).unwrap();
    });
}

/// The receipt stated the delay that was asked for, of packets that were held for a part of it; and what the fault that was
/// healed held was held on to its end, where another remained.
#[test]
fn what_is_told_is_how_long_packets_were_held_and_what_was_healed_holds_none() {
    const TEST: &str =
        "faults::packets::tests::what_is_told_is_how_long_packets_were_held_and_what_was_healed_holds_none";
    in_namespaces(TEST, || {
        let net = TestNet::new(2);
        let [mut packets, mut regions] = Packets::both();
        let queue = net.on(2, || NfQueue::open().unwrap());
        *packets.wire() = Wire::of(Box::new(queue));
        let bind = |i| move || UdpSocket::bind((address(i, 4), 0)).unwrap();
        let (sender, receiver) = (net.on(1, bind(1)), net.on(2, bind(2)));
        let to = receiver.local_addr().unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let send = |numbers: std::ops::Range<u8>| {
            numbers.for_each(|n| assert_eq!(sender.send_to(&[n], to).unwrap(), 1));
        };
        let receive = |number: u8| {
            let mut byte = [0];
            (0..number).for_each(|n| assert_eq!((receiver.recv(&mut byte).unwrap(), byte[0]), (1, n)));
        };
        let mean_ms = |receipt: &Receipt| receipt.measured["delay_ms_mean"].as_f64().unwrap();

        net.on(2, || regions.inject(&args(1, 4, "delay=40ms"), &[])).unwrap();
        for with_regions in [true, false] {
            let begin = Instant::now();
            net.on(2, || packets.inject(&args(1, 4, "delay=20s"), &[])).unwrap();
            send(0..20);
            std::thread::sleep(Duration::from_secs(1));
            if !with_regions {
                // What is held by `packets` is held on.
                let receipt = net.on(2, || regions.heal(&[])).unwrap();
                println!("regions: {}", receipt.evidence);
            }
            let receipt = net.on(2, || packets.heal(&[])).unwrap();
            let took_ms = begin.elapsed().as_secs_f64() * 1e3;
            println!("after {took_ms:.0} ms: {}", receipt.evidence);
            assert_eq!(
                (&receipt.measured["packets"], &receipt.measured["delayed"]),
                (&20.into(), &20.into())
            );
            assert!((900.0..took_ms).contains(&mean_ms(&receipt)), "{receipt:?}");
            let healed = Instant::now();
            receive(20);
            println!("all have come {:.0} ms later", healed.elapsed().as_secs_f64() * 1e3);
        }
    });
}

/// A fault on another sender set the line free: what waited for it and what came then shared it twice.
#[test]
fn a_rate_is_kept_while_another_fault_comes_and_goes() {
    in_namespaces("faults::packets::tests::a_rate_is_kept_while_another_fault_comes_and_goes", || {
        const EACH: u32 = 15;
        let net = TestNet::new(2);
        let [mut packets, mut regions] = Packets::both();
        let queue = net.on(2, || NfQueue::open().unwrap());
        *packets.wire() = Wire::of(Box::new(queue));
        let bind = |i| move || UdpSocket::bind((address(i, 4), 0)).unwrap();
        let (sender, receiver) = (net.on(1, bind(1)), net.on(2, bind(2)));
        let to = receiver.local_addr().unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // With their headers they take 80 ms each.
        let send = || (0..EACH).for_each(|_| assert_eq!(sender.send_to(&[0; 972], to).unwrap(), 972));

        net.on(2, || regions.inject(&args(1, 4, "rate=100kbit"), &[])).unwrap();
        let begin = Instant::now();
        send();
        net.on(2, || packets.inject(&args(3, 4, "delay=10ms"), &[])).unwrap();
        send();
        net.on(2, || packets.heal(&[])).unwrap();
        send();
        let mut packet = [0; 1000];
        (0..3 * EACH).for_each(|_| assert_eq!(receiver.recv(&mut packet).unwrap(), 972));
        println!("{} packets in {:?}", 3 * EACH, begin.elapsed());
        assert!(begin.elapsed() >= Duration::from_millis(80) * 3 * EACH, "{:?}", begin.elapsed());
    });
}

/// What is left when a process that holds a fault is killed.
fn death() {
    const AGENT: &str = "SQUALL_TEST_AGENT";
    if std::env::var_os(AGENT).is_some() {
        let mut fault = packets();
        fault.inject(&args(1, 4, "delay=60s"), &[]).unwrap();
        println!("in force");
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let net = TestNet::new(2);
    let mut agent = net.on(2, || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "faults::packets::tests::a_fault_goes_with_its_agent", "--nocapture"])
            .env(AGENT, "1")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    });
    let said = std::io::BufReader::new(agent.stdout.take().unwrap());
    assert!(std::io::BufRead::lines(said).any(|line| line.unwrap().ends_with("in force")));
    assert!(!net.reaches(1, 2, 4));
    let start = Instant::now();
    agent.kill().unwrap();
    agent.wait().unwrap();
    // A queue goes with its process; rules and devices are for the guard of the agent, where the network outlives it.
    assert_eq!(net.on(2, || packets().sweep()).unwrap().len(), 1);
    println!("swept {:.0} ms after SIGKILL", start.elapsed().as_secs_f64() * 1e3);
    assert!(net.reaches(1, 2, 4));
    assert!(net.on(2, || packets().sweep()).unwrap().is_empty(), "swept is swept");
    let left =
        net.on(2, || sh("iptables-save; ip6tables-save; tc filter show dev eth0 parent ffff:; ip link"));
    assert!(!left.contains("squall") && !left.contains("sqifb"), "{left}");
}

#[test]
fn a_fault_goes_with_its_agent() {
    in_namespaces("faults::packets::tests::a_fault_goes_with_its_agent", death);
}

#[test]
fn what_is_queued_goes_on_when_it_is_healed_and_when_it_is_dropped() {
    in_namespaces(
        "faults::packets::tests::what_is_queued_goes_on_when_it_is_healed_and_when_it_is_dropped",
        || {
            let net = TestNet::new(2);
            for heals in [true, false] {
                let mut fault = by_each(&net, 2).swap_remove(0);
                net.on(2, || fault.inject(&args(1, 4, "delay=60s"), &[])).unwrap();
                assert!(!net.reaches(1, 2, 4));
                assert!(net.reaches(2, 1, 4), "one direction only");
                if heals {
                    let receipt = net.on(2, || fault.heal(&[])).unwrap();
                    assert_eq!(receipt.measured["delayed"], 1);
                } else {
                    net.on(2, || drop(fault));
                }
                assert!(net.reaches(1, 2, 4));
            }
        },
    );
}

/// A packet that is late does not prove that any is lost, where many should be.
#[test]
fn what_never_came_about_is_not_confirmed_by_what_did() {
    let told = |profile: &str, counts: Counts| told(&[(profile.parse().unwrap(), counts)]).confirmed;
    let counts = |seen: u64, delayed: u64, lost: u64| Counts { seen, delayed, lost, ..Counts::default() };
    for (profile, counts, confirmed) in [
        ("delay=5ms+loss=5%", counts(1000, 950, 50), true),
        ("delay=5ms+loss=5%", counts(1000, 1000, 0), false),
        ("delay=5ms+loss=5%", counts(100, 100, 0), true),
        ("delay=5ms+duplicate=5%", counts(1000, 1000, 0), false),
        ("delay=5ms+loss=100%", counts(1000, 0, 1000), true),
        ("delay=5ms+reorder=100%+loss=50%", counts(1000, 0, 500), true),
        ("rate=1000kbit+loss=5%", counts(1000, 0, 50), true),
        ("gilbert=5%/20%", counts(1000, 0, 0), false),
        ("delay=5ms+loss=5%+burst=50%", counts(1000, 1000, 0), true),
        ("delay=5ms", counts(0, 0, 0), false),
    ] {
        assert_eq!(told(profile, counts.clone()), confirmed, "{profile}: {counts:?}");
    }
}

#[test]
fn an_idle_fault_says_so() {
    in_namespaces("faults::packets::tests::an_idle_fault_says_so", || {
        let net = TestNet::new(2);
        let mut fault = packets();
        net.on(2, || fault.inject(&args(1, 4, "loss=50%"), &[])).unwrap();
        let receipt = net.on(2, || fault.heal(&[])).unwrap();
        assert_eq!((receipt.confirmed, receipt.evidence.as_str()), (false, "of 0 packets 0 lost"));
    });
}
