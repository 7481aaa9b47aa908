//! The write-ahead log: one file of checksummed records.
//!
//! ```text
//! file   = MAGIC record*
//! record = MARK  length: u32 LE  crc32(length, payload): u32 LE  payload: JSON of a `Record`
//! ```
//!
//! A crash can tear the last write, so a file may end in a damaged record; nobody was told of it, and it is cut off.
//! A damaged record with a sound one after it was once whole, and an entry that does not follow the one before it had
//! another one there: that is damage to the disk, and the node refuses to start rather than forget what it acknowledged.
//!
//! A checkpoint is a new file beside the old one, made durable and then renamed over it. So is the whole log at each start.

use crate::raft::message::{Durable, Record};
use anyhow::{Context, Result, bail};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MAGIC: &[u8] = b"refkv-wal-1\n";
const MARK: [u8; 4] = [0xf5, b'r', b'e', b'c'];
const HEADER_BYTES: usize = 12;
const REMEDY: &str =
    "Restore the file, or remove this node from the cluster and add it again with an empty directory";

/// An open write-ahead log.
#[derive(Debug)]
pub struct Wal {
    path: PathBuf,
    file: File,
    /// Records that are not written yet.
    buffer: Vec<u8>,
    stats: WalStats,
}

/// Counts since the log was opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct WalStats {
    /// How many fsyncs were done, of files and directories.
    pub fsyncs: u64,
    /// How long they took together.
    pub fsync_time: Duration,
    /// How long the slowest took.
    pub fsync_time_max: Duration,
    /// How many bytes were written.
    pub bytes: u64,
}

impl Wal {
    /// Opens the log in `dir`, which is made if need be, and reads it back.
    ///
    /// # Errors
    ///
    /// When the disk fails, when the file is something else, when a record before the last one is damaged, or when entries
    /// are missing.
    pub fn open(dir: &Path) -> Result<(Wal, Durable)> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the data directory {}", dir.display()))?;
        let path = dir.join("wal");
        if !path.exists() {
            replace(&path, MAGIC).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (durable, sound) = replay(&bytes).with_context(|| format!("cannot use {}", path.display()))?;
        if sound < bytes.len() {
            eprintln!("refkv: {}: cut off {} bytes of a torn write", path.display(), bytes.len() - sound);
        }
        // What was read may be in the kernel's cache alone: the process before may have died between a write and its
        // fsync, or of an fsync that failed, after which another one writes nothing. Written anew it is on disk.
        replace(&path, &bytes[..sound]).with_context(|| format!("cannot save {} anew", path.display()))?;
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok((Wal { path, file, buffer: Vec::new(), stats: WalStats::default() }, durable))
    }

    /// Takes records in. They are on disk after the next [`Wal::sync`]; a checkpoint is on disk at once.
    ///
    /// # Errors
    ///
    /// When the disk fails. What is on it is then unknown, and the process must end (an fsync that failed once may
    /// succeed the next time without having written anything).
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        for record in records {
            if let Record::Checkpoint(_) = record {
                self.checkpoint(record)?;
            } else {
                encode(record, &mut self.buffer)?;
            }
        }
        Ok(())
    }

    /// Makes all records durable that were appended.
    ///
    /// # Errors
    ///
    /// As for [`Wal::append`].
    pub fn sync(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.buffer).context("cannot write the log")?;
        self.stats.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        let begin = Instant::now();
        self.file.sync_data().context("cannot fsync the log")?;
        self.stats.count_fsyncs(1, begin);
        Ok(())
    }

    /// Counts.
    pub fn stats(&self) -> WalStats {
        self.stats
    }

    fn checkpoint(&mut self, record: &Record) -> Result<()> {
        // The checkpoint stands for all records before it, those in the buffer too.
        self.buffer.clear();
        let mut bytes = MAGIC.to_vec();
        encode(record, &mut bytes)?;
        let begin = Instant::now();
        replace(&self.path, &bytes).context("cannot write a checkpoint")?;
        self.stats.count_fsyncs(2, begin);
        self.stats.bytes += bytes.len() as u64;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        Ok(())
    }
}

impl WalStats {
    fn count_fsyncs(&mut self, count: u64, begin: Instant) {
        let time = begin.elapsed();
        self.fsyncs += count;
        self.fsync_time += time;
        self.fsync_time_max = self.fsync_time_max.max(time);
    }
}

/// Puts a file with these bytes at `path`, durably: the file first, then its name.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

fn encode(record: &Record, to: &mut Vec<u8>) -> Result<()> {
    let payload = serde_json::to_vec(record)?;
    let length = u32::try_from(payload.len()).context("a record is longer than 4 GiB")?.to_le_bytes();
    to.extend(MARK);
    to.extend(length);
    to.extend(crc32(&[&length, &payload]).to_le_bytes());
    to.extend(payload);
    Ok(())
}

/// The payload of the record that begins at `at`, if it is all there and sound.
fn payload_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let header = bytes.get(at..at + HEADER_BYTES)?;
    let (mark, length, crc) = (&header[..4], &header[4..8], &header[8..]);
    let end = at + HEADER_BYTES + u32::from_le_bytes(length.try_into().ok()?) as usize;
    let payload = bytes.get(at + HEADER_BYTES..end)?;
    (mark == MARK && crc == crc32(&[length, payload]).to_le_bytes()).then_some(payload)
}

/// Folds the records of a file; gives the result and the length of the sound part.
fn replay(bytes: &[u8]) -> Result<(Durable, usize)> {
    if !bytes.starts_with(MAGIC) {
        bail!("it is not a log of refkv: it does not begin with {:?}", String::from_utf8_lossy(MAGIC));
    }
    let mut durable = Durable::default();
    let mut at = MAGIC.len();
    while let Some(payload) = payload_at(bytes, at) {
        let record = serde_json::from_slice(payload).with_context(|| format!("the record at byte {at}"))?;
        if let Record::Entry(entry) = &record {
            let last = durable.entries.last().map_or(durable.snapshot.last, |last| last.pos).index;
            if entry.pos.index > last + 1 {
                bail!(
                    "the entry at byte {at} has index {}, and the one before it {last}: entries are missing, this is no \
                     torn write. {REMEDY}",
                    entry.pos.index
                );
            }
        }
        durable.replay(record);
        at += HEADER_BYTES + payload.len();
    }
    if let Some(next) = (at + 1..bytes.len()).find(|next| payload_at(bytes, *next).is_some()) {
        bail!(
            "the record at byte {at} is damaged, and the one at byte {next} is not: this is no torn write. {REMEDY}"
        );
    }
    Ok((durable, at))
}

/// CRC-32 as in zlib and Ethernet (reflected polynomial 0xEDB88320).
fn crc32(parts: &[&[u8]]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    let bytes = parts.iter().flat_map(|part| part.iter());
    !bytes.fold(!0, |crc: u32, byte| crc >> 8 ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::message::{Entry, LogPos, Payload, Vote};

    fn records() -> Vec<Record> {
        let entry = |index| Record::Entry(Entry { pos: LogPos { index, term: 1 }, payload: Payload::Noop });
        let vote = Vote { term: 1, voted_for: Some("n1".into()) };
        vec![Record::Vote(vote), entry(1), entry(2), entry(3)]
    }

    /// What is left after each prefix of the records, and where that prefix ends in the file.
    fn prefixes() -> Vec<(usize, Durable)> {
        let mut bytes = MAGIC.to_vec();
        let mut durable = Durable::default();
        let mut prefixes = vec![(bytes.len(), durable.clone())];
        for record in records() {
            encode(&record, &mut bytes).unwrap();
            durable.replay(record);
            prefixes.push((bytes.len(), durable.clone()));
        }
        prefixes
    }

    fn file_of_records() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for record in records() {
            encode(&record, &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn crc32_of_the_standard_check_string() {
        assert_eq!(crc32(&[b"1234", b"56789"]), 0xcbf4_3926);
    }

    #[test]
    fn what_was_synced_is_read_back_and_what_was_not_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (mut wal, empty) = Wal::open(dir.path()).unwrap();
        assert_eq!(empty, Durable::default());
        wal.append(&records()[..3]).unwrap();
        wal.sync().unwrap();
        wal.append(&records()[3..]).unwrap();
        drop(wal);
        let (_, durable) = Wal::open(dir.path()).unwrap();
        assert_eq!(durable, prefixes()[3].1);
    }

    #[test]
    fn a_checkpoint_replaces_all_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mut wal, _) = Wal::open(dir.path()).unwrap();
        wal.append(&records()).unwrap();
        let mut expected = Durable { vote: Vote { term: 7, voted_for: None }, ..Durable::default() };
        expected.snapshot.last = LogPos { index: 3, term: 1 };
        wal.append(&[Record::Checkpoint(expected.clone())]).unwrap();
        let next = Entry { pos: LogPos { index: 4, term: 7 }, payload: Payload::Noop };
        wal.append(&[Record::Entry(next.clone())]).unwrap();
        wal.sync().unwrap();
        drop(wal);
        expected.entries.push(next);
        assert_eq!(Wal::open(dir.path()).unwrap().1, expected);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no half-made file is left");
    }

    #[test]
    fn a_tail_torn_at_any_byte_is_cut_off_and_the_log_goes_on() {
        let (bytes, prefixes) = (file_of_records(), prefixes());
        for length in MAGIC.len()..bytes.len() {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("wal"), &bytes[..length]).unwrap();
            let (sound, expected) = prefixes.iter().rev().find(|(end, _)| *end <= length).unwrap();
            let (mut wal, durable) = Wal::open(dir.path()).unwrap();
            assert_eq!(durable, *expected, "torn at {length}");
            assert_eq!(std::fs::metadata(dir.path().join("wal")).unwrap().len(), *sound as u64);
            wal.append(&records()[..1]).unwrap();
            wal.sync().unwrap();
            let mut expected = expected.clone();
            expected.replay(records().remove(0));
            assert_eq!(Wal::open(dir.path()).unwrap().1, expected, "torn at {length}, then written");
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_before_the_last_record_and_cut_off_in_it() {
        let (bytes, prefixes) = (file_of_records(), prefixes());
        let last_begins = prefixes[prefixes.len() - 2].0;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                match replay(&flipped) {
                    Ok((durable, sound)) => {
                        assert!(at >= last_begins, "byte {at} bit {bit} went unnoticed");
                        assert_eq!((sound, &durable), (last_begins, &prefixes[prefixes.len() - 2].1));
                    }
                    Err(error) => assert!(at < last_begins, "byte {at} bit {bit}: {error}"),
                }
            }
        }
    }

    /// An older file was put back under a node that went on writing: it started, and panicked or, built for release, took the
    /// entries for others.
    #[test]
    fn missing_entries_are_refused() {
        let mut bytes = MAGIC.to_vec();
        for at in [0, 1, 3] {
            encode(&records()[at], &mut bytes).unwrap();
        }
        let error = replay(&bytes).unwrap_err().to_string();
        assert!(error.contains("index 3, and the one before it 1: entries are missing"), "{error}");
    }

    #[test]
    fn the_refusal_says_where_and_what_to_do() {
        let mut bytes = file_of_records();
        bytes[MAGIC.len() + HEADER_BYTES + 2] ^= 1;
        let error = replay(&bytes).unwrap_err().to_string();
        assert!(
            error.contains("the record at byte 12 is damaged") && error.contains("add it again"),
            "{error}"
        );
    }
}
