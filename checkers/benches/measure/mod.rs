//! What the benches measure with.

/// What this thread has used: other load does not count.
pub(crate) fn cpu_seconds() -> f64 {
    let stat =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts a thread's time");
    let ns: u64 = stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds come first");
    ns as f64 / 1e9
}

/// The most memory that the process has had.
pub(crate) fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
