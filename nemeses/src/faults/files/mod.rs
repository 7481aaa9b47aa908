//! Damage to the files of a node: flipped bits, lost ends, misplaced blocks, and files as they were before.

mod damage;

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
pub use damage::{Act, Damage};
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use squall_checkers::Receipt;
use squall_targets::agent::NodeFault;

use self::damage::fits;
use crate::words::{count, thousands};

/// The kind of the fault.
pub const FILES: &str = "files";

/// How many places a receipt lists.
const PLACES_MAX: usize = 16;

/// What to damage, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilesArgs {
    /// What is done.
    pub damage: Damage,
    /// Decides which file, and where in it.
    pub seed: u64,
}

/// Damages a file under the data directory of the node, at once and on disk. The damage stays when it is healed; only what
/// was to be restored is done then.
#[derive(Default)]
pub struct Files {
    data: PathBuf,
    done: Option<Done>,
}

/// What was done last.
enum Done {
    Damaged { path: PathBuf, bytes: Vec<(u64, u8)>, size: u64 },
    Remembered { path: PathBuf, bytes: Vec<u8> },
}

impl NodeFault for Files {
    fn kind(&self) -> &'static str {
        FILES
    }

    fn settle(&mut self, data: &Path, _: bool) -> Result<()> {
        data.clone_into(&mut self.data);
        Ok(())
    }

    fn inject(&mut self, args: &Value, _: &[i32]) -> Result<Receipt> {
        let FilesArgs { damage, seed } =
            FilesArgs::deserialize(args).context("the arguments of a damage to files")?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        self.done = None;
        let Some(path) = self.choose(&damage, &mut rng)? else {
            return Ok(Receipt::unconfirmed("there is no such file that is not empty"));
        };
        let at = self.data.join(&path);
        let told = || format!("damaging {}", at.display());
        match damage.act {
            Act::Flip(bits) => {
                let size = fs::metadata(&at)?.len();
                let places =
                    (0..bits).map(|_| (rng.random_range(0..size), 1 << rng.random_range(0..8))).collect();
                self.flip(path, places).with_context(told)
            }
            Act::Truncate(bytes) => self.truncate(path, bytes).with_context(told),
            Act::Copy(bytes) => self.copy(path, bytes, &mut rng).with_context(told),
            Act::Restore(_) => {
                let bytes = fs::read(&at).with_context(told)?;
                let receipt =
                    Receipt::confirmed(format!("{}: {} remembered", path.display(), bytes_of(&bytes)));
                let receipt = receipt.with("file", json!(path)).with("bytes", bytes.len());
                self.done = Some(Done::Remembered { path, bytes });
                Ok(receipt)
            }
        }
    }

    fn heal(&mut self, _: &[i32]) -> Result<Receipt> {
        match self.done.take() {
            None => Ok(Receipt::unconfirmed("no file was damaged")),
            Some(Done::Damaged { path, bytes, size }) => self.look_again(&path, &bytes, size),
            Some(Done::Remembered { path, bytes }) => self.restore(&path, &bytes),
        }
    }
}

impl Files {
    /// A random file that is not empty, by its path in the data directory.
    fn choose(&self, damage: &Damage, rng: &mut ChaCha8Rng) -> Result<Option<PathBuf>> {
        let most = if let Act::Restore(bytes) = damage.act { bytes } else { u64::MAX };
        let mut files = Vec::new();
        walk(&self.data, &mut files).with_context(|| format!("listing {}", self.data.display()))?;
        let mut fitting: Vec<PathBuf> = files
            .into_iter()
            .filter(|(_, size)| (1..=most).contains(size))
            .filter_map(|(path, _)| Some(path.strip_prefix(&self.data).ok()?.to_owned()))
            .filter(|path| damage.file.as_ref().is_none_or(|file| fits(file, &path.to_string_lossy())))
            .collect();
        fitting.sort();
        Ok(fitting.choose(rng).cloned())
    }

    fn flip(&mut self, path: PathBuf, mut places: Vec<(u64, u8)>) -> Result<Receipt> {
        places.sort_unstable();
        // Twice the same bit is none.
        places.dedup();
        let file = open(&self.data.join(&path))?;
        let (mut was, mut is) = (Vec::new(), Vec::new());
        for &(offset, mask) in &places {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset)?;
            was.push(byte[0]);
            file.write_all_at(&[byte[0] ^ mask], offset)?;
            is.push(byte[0] ^ mask);
        }
        file.sync_all()?;
        let mut flipped = 0;
        let mut bytes: Vec<(u64, u8)> = Vec::new();
        for (at, &(offset, mask)) in places.iter().enumerate() {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset)?;
            flipped += usize::from((byte[0] ^ was[at]) & mask != 0);
            bytes.push((offset, byte[0]));
        }
        bytes.dedup();
        let list =
            |(at, (offset, _)): (usize, &(u64, u8))| json!({"offset": offset, "was": was[at], "is": is[at]});
        let listed: Vec<Value> = places.iter().enumerate().take(PLACES_MAX).map(list).collect();
        let first = format!("the first at byte {}: {:#04x} is {:#04x}", places[0].0, was[0], is[0]);
        let evidence = format!("{}: {} flipped, {first}", path.display(), count(flipped as u64, "bit"));
        let size = file.metadata()?.len();
        let receipt = Receipt { confirmed: flipped == places.len(), ..Receipt::confirmed(evidence) };
        let receipt = receipt.with("file", json!(path)).with("bits", flipped).with("places", listed);
        self.done = Some(Done::Damaged { path, bytes, size });
        Ok(receipt)
    }

    fn truncate(&mut self, path: PathBuf, bytes: u64) -> Result<Receipt> {
        let file = open(&self.data.join(&path))?;
        let before = file.metadata()?.len();
        file.set_len(before.saturating_sub(bytes))?;
        file.sync_all()?;
        let after = file.metadata()?.len();
        let evidence =
            format!("{}: {} bytes instead of {}", path.display(), thousands(after), thousands(before));
        let receipt = Receipt { confirmed: after < before, ..Receipt::confirmed(evidence) };
        let receipt = receipt.with("file", json!(path)).with("was", before).with("is", after);
        self.done = Some(Done::Damaged { path, bytes: Vec::new(), size: after });
        Ok(receipt)
    }

    fn copy(&mut self, path: PathBuf, bytes: u64, rng: &mut ChaCha8Rng) -> Result<Receipt> {
        let file = open(&self.data.join(&path))?;
        let size = file.metadata()?.len();
        // Two places that do not overlap, in blocks of that size; a small file has smaller blocks.
        let block = bytes.min(size / 2).max(1);
        let blocks = size / block;
        let from = rng.random_range(0..blocks);
        let to = if blocks > 1 { (from + rng.random_range(1..blocks)) % blocks } else { from };
        let mut copied = vec![0; block as usize];
        let mut before = copied.clone();
        file.read_exact_at(&mut copied, from * block)?;
        file.read_exact_at(&mut before, to * block)?;
        file.write_all_at(&copied, to * block)?;
        file.sync_all()?;
        let mut after = vec![0; block as usize];
        file.read_exact_at(&mut after, to * block)?;
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        let evidence = format!(
            "{}: {} copied from byte {} to byte {}, of which {} differ",
            path.display(),
            count(block, "byte"),
            from * block,
            to * block,
            thousands(changed as u64)
        );
        let receipt = Receipt { confirmed: changed > 0 && after == copied, ..Receipt::confirmed(evidence) };
        let receipt = receipt.with("file", json!(path)).with("from", from * block).with("to", to * block);
        let bytes = (to * block..).zip(after).collect();
        self.done = Some(Done::Damaged { path, bytes, size });
        Ok(receipt.with("bytes", block).with("changed", changed))
    }

    /// Damage stays, unless the target has written over it.
    fn look_again(&self, path: &Path, bytes: &[(u64, u8)], size: u64) -> Result<Receipt> {
        let at = self.data.join(path);
        let file = match File::open(&at) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Receipt::confirmed(format!("{} is gone", path.display())));
            }
            file => file.with_context(|| format!("looking at {} again", at.display()))?,
        };
        let still = bytes.iter().filter(|(offset, byte)| {
            let mut now = [0];
            file.read_exact_at(&mut now, *offset).is_ok() && now[0] == *byte
        });
        let told = match bytes.len() {
            0 => format!(
                "{} bytes now, {} after the damage",
                thousands(file.metadata()?.len()),
                thousands(size)
            ),
            all => format!(
                "{} of {} still as damaged",
                thousands(still.count() as u64),
                count(all as u64, "byte")
            ),
        };
        Ok(Receipt::confirmed(format!("not healed, damage stays; {}: {told}", path.display())))
    }

    fn restore(&self, path: &Path, bytes: &[u8]) -> Result<Receipt> {
        let at = self.data.join(path);
        let now = fs::read(&at).or_else(|error| match error.kind() {
            ErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(error),
        })?;
        let restore = || -> Result<Vec<u8>> {
            // The same file, since the target may have it open.
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&at)?;
            file.write_all_at(bytes, 0)?;
            file.set_len(bytes.len() as u64)?;
            file.sync_all()?;
            Ok(fs::read(&at)?)
        };
        let after = restore().with_context(|| format!("restoring {}", at.display()))?;
        ensure!(after == bytes, "{} was written to while it was restored", at.display());
        let changed = now.len().abs_diff(bytes.len()) + now.iter().zip(bytes).filter(|(a, b)| a != b).count();
        let evidence = format!(
            "{}: {} put back, of which {} had changed",
            path.display(),
            bytes_of(bytes),
            thousands(changed as u64)
        );
        Ok(Receipt { confirmed: changed > 0, ..Receipt::confirmed(evidence) }.with("changed", changed))
    }
}

fn bytes_of(bytes: &[u8]) -> String {
    count(bytes.len() as u64, "byte")
}

fn open(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().read(true).write(true).open(path)?)
}

/// Regular files below a directory, with their sizes. What vanishes meanwhile is left out.
fn walk(directory: &Path, files: &mut Vec<(PathBuf, u64)>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match fs::symlink_metadata(&path) {
            Ok(data) if data.is_dir() => walk(&path, files)?,
            Ok(data) if data.is_file() => files.push((path, data.len())),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inject(fault: &mut Files, damage: &str, seed: u64) -> Receipt {
        let args = FilesArgs { damage: damage.parse().unwrap(), seed };
        fault.inject(&serde_json::to_value(args).unwrap(), &[]).unwrap()
    }

    #[test]
    fn files_are_damaged_as_told() {
        let folder = tempfile::tempdir().unwrap();
        let (log, other) = (folder.path().join("d/x.log"), folder.path().join("other"));
        fs::create_dir(folder.path().join("d")).unwrap();
        let text: Vec<u8> = (0..20_000u32).map(|at| (at / 7) as u8).collect();
        fs::write(&log, &text).unwrap();
        fs::write(&other, "other").unwrap();
        let mut fault = Files::default();
        fault.settle(folder.path(), false).unwrap();

        let receipt = inject(&mut fault, "flip=3+file=d/*", 1);
        println!("{}", receipt.evidence);
        assert!(receipt.confirmed, "{receipt:?}");
        let now = fs::read(&log).unwrap();
        let flipped: u32 = now.iter().zip(&text).map(|(now, was)| (now ^ was).count_ones()).sum();
        assert_eq!((flipped, now.len()), (3, text.len()));
        let place = &receipt.measured["places"][0];
        let offset = place["offset"].as_u64().unwrap() as usize;
        assert_eq!(
            (place["was"].as_u64(), place["is"].as_u64()),
            (Some(text[offset].into()), Some(now[offset].into()))
        );
        let healed = fault.heal(&[]).unwrap();
        assert_eq!(healed.evidence, "not healed, damage stays; d/x.log: 3 of 3 bytes still as damaged");
        assert!(!fault.heal(&[]).unwrap().confirmed, "once only");

        fs::write(&log, &text).unwrap();
        let receipt = inject(&mut fault, "copy=4KiB+file=d/*", 3);
        println!("{}", receipt.evidence);
        let (from, to) =
            (receipt.measured["from"].as_u64().unwrap(), receipt.measured["to"].as_u64().unwrap());
        let now = fs::read(&log).unwrap();
        assert!(receipt.confirmed && from != to && now != text);
        assert_eq!(now[to as usize..][..4096], text[from as usize..][..4096]);

        let receipt = inject(&mut fault, "truncate=500B+file=d/*", 4);
        assert_eq!(receipt.evidence, "d/x.log: 19,500 bytes instead of 20,000");
        assert_eq!(fs::metadata(&log).unwrap().len(), 19_500);
        assert_eq!(fs::read(&other).unwrap(), b"other", "the pattern is heeded");
    }

    #[test]
    fn a_file_is_as_it_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        let mut fault = Files::default();
        fault.settle(folder.path(), false).unwrap();
        assert!(!inject(&mut fault, "restore=1KiB", 1).confirmed, "there is no file");
        fs::write(&file, "before").unwrap();
        assert!(inject(&mut fault, "restore=1KiB", 1).confirmed);
        fs::write(&file, "beyond the rest").unwrap();
        let receipt = fault.heal(&[]).unwrap();
        assert_eq!(receipt.evidence, "f: 6 bytes put back, of which 12 had changed");
        assert_eq!(fs::read(&file).unwrap(), b"before");
        inject(&mut fault, "restore=1KiB", 1);
        assert!(!fault.heal(&[]).unwrap().confirmed, "nothing had changed");
        assert!(!inject(&mut fault, "restore=5B", 1).confirmed, "it is too large");
    }
}
