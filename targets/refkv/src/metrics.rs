//! What a node shows of itself, and its form for Prometheus.

use crate::raft::Status;
use crate::wal::WalStats;
use std::fmt::Write;

/// What a node looks like from outside.
#[derive(Debug, Clone)]
pub struct View {
    /// The protocol.
    pub status: Status,
    /// The disk.
    pub wal: WalStats,
    /// Messages sent to peers.
    pub sent: u64,
    /// Messages to peers dropped.
    pub dropped: u64,
    /// Connections made to peers.
    pub connects: u64,
}

impl View {
    /// The view in Prometheus' text format.
    pub fn prometheus(&self) -> String {
        let Status { stats, .. } = &self.status;
        let rows: [(&str, &str, f64); 21] = [
            ("term", "gauge", self.status.term as f64),
            ("is_leader", "gauge", f64::from(u8::from(self.status.role == "leader"))),
            ("healthy", "gauge", f64::from(u8::from(self.status.healthy))),
            ("commit_index", "gauge", self.status.commit as f64),
            ("applied_index", "gauge", self.status.applied as f64),
            ("last_index", "gauge", self.status.last.index as f64),
            ("log_entries", "gauge", self.status.log_len as f64),
            ("snapshot_index", "gauge", self.status.snapshot_index as f64),
            ("members", "gauge", self.status.members.len() as f64),
            ("elections_total", "counter", stats.elections as f64),
            ("proposals_total", "counter", stats.proposals as f64),
            ("reads_total", "counter", stats.reads as f64),
            ("snapshots_taken_total", "counter", stats.snapshots_taken as f64),
            ("snapshots_installed_total", "counter", stats.snapshots_installed as f64),
            ("fsyncs_total", "counter", self.wal.fsyncs as f64),
            ("fsync_seconds_total", "counter", self.wal.fsync_time.as_secs_f64()),
            ("fsync_seconds_max", "gauge", self.wal.fsync_time_max.as_secs_f64()),
            ("wal_bytes_total", "counter", self.wal.bytes as f64),
            ("peer_messages_sent_total", "counter", self.sent as f64),
            ("peer_messages_dropped_total", "counter", self.dropped as f64),
            ("peer_connects_total", "counter", self.connects as f64),
        ];
        let mut text = String::new();
        for (name, kind, value) in rows {
            // Writing to a string does not fail.
            let _ = writeln!(text, "# TYPE refkv_{name} {kind}\nrefkv_{name} {value}");
        }
        text
    }
}
