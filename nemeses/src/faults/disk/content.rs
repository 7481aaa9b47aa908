use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// What is written back, and kept or lost, as a whole.
pub(super) const PAGE: u64 = 4096;
/// What a disk writes as a whole: a page that is torn is torn between two of these.
const SECTOR: u64 = 512;

type Page = Arc<[u8; PAGE as usize]>;

/// The bytes of a file, as programs see them and as they would be found after a power failure. Sparse: a page that was
/// never written takes no room and reads as zeros.
///
/// The difference between the two is kept and not the two: an fsync forgets it, a power failure goes back by it.
#[derive(Debug, Default)]
pub(super) struct Content {
    size: u64,
    pages: BTreeMap<u64, Page>,
    /// What is on disk of pages that were changed since; `None` for a hole.
    unsaved: BTreeMap<u64, Option<Page>>,
    /// The same of pages whose fsync failed: the next fsync does not try them again.
    abandoned: BTreeMap<u64, Option<Page>>,
    /// The size on disk.
    saved_size: u64,
    /// The size that the next commit of the journal brings to disk: truncations and allocations are in the journal, the
    /// growth by a write is not, until the file itself is saved.
    journal_size: u64,
    /// The least that it was truncated to since the last commit.
    truncated_to: Option<u64>,
}

/// What a power failure took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lost {
    /// Bytes of data.
    pub(super) bytes: u64,
    /// Files that lost some.
    pub(super) files: u64,
    /// Creations, removals, renames and other changes of names and attributes.
    pub(super) names: u64,
    /// Unsaved pages that survived, whole or in part.
    pub(super) survived: u64,
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn pages(&self) -> u64 {
        self.pages.len() as u64
    }

    pub(super) fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        let end = self.size.min(offset.saturating_add(length));
        let mut bytes = vec![0; end.saturating_sub(offset) as usize];
        for (page, within, at) in spans(offset..end) {
            if let Some(data) = self.pages.get(&page) {
                bytes[at].copy_from_slice(&data[within]);
            }
        }
        bytes
    }

    /// How many pages a write to this range would add.
    pub(super) fn new_pages(&self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let (first, last) = (range.start / PAGE, (range.end - 1) / PAGE);
        last - first + 1 - self.pages.range(first..=last).count() as u64
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        for (page, within, at) in spans(offset..end) {
            self.change(page)[within].copy_from_slice(&bytes[at]);
        }
        self.size = self.size.max(end);
    }

    /// Makes it this long: what is beyond is gone, and what is new reads as zeros.
    pub(super) fn resize(&mut self, size: u64) {
        if size < self.size {
            self.clear(size..self.size);
            self.truncated_to = Some(self.truncated_to.map_or(size, |before| before.min(size)));
        }
        self.size = size;
        self.journal_size = size;
    }

    /// Makes room without changing what is read, and makes it longer if need be.
    pub(super) fn allocate(&mut self, range: Range<u64>, keep_size: bool) {
        for page in range.start / PAGE..range.end.div_ceil(PAGE) {
            if let Entry::Vacant(hole) = self.pages.entry(page) {
                hole.insert(ZEROS.clone());
                self.unsaved.entry(page).or_insert(None);
            }
        }
        if !keep_size && range.end > self.size {
            self.size = range.end;
            self.journal_size = range.end;
        }
    }

    /// Makes this range read as zeros. Whole pages become holes.
    pub(super) fn clear(&mut self, range: Range<u64>) {
        let whole =
            range.start.div_ceil(PAGE)..if range.end >= self.size { u64::MAX } else { range.end / PAGE };
        let edges =
            spans(range).filter(|(page, within, _)| within.len() < PAGE as usize && !whole.contains(page));
        for (page, within, _) in edges.collect::<Vec<_>>() {
            if self.pages.contains_key(&page) {
                self.change(page)[within].fill(0);
            }
        }
        if whole.start < whole.end {
            let gone: Vec<u64> = self.pages.range(whole).map(|(&page, _)| page).collect();
            for page in gone {
                let old = self.pages.remove(&page);
                self.remember(page, old);
            }
        }
    }

    /// The first byte at or after `offset` that is data (or, if not `data`, a hole); the end counts as a hole.
    pub(super) fn seek(&self, offset: u64, data: bool) -> Option<u64> {
        if offset >= self.size {
            return None;
        }
        let first = offset / PAGE;
        let page = if data {
            self.pages.range(first..).next().map(|(&page, _)| page)?
        } else {
            (first..).find(|page| !self.pages.contains_key(page))?
        };
        let at = offset.max(page * PAGE);
        if data { Some(at).filter(|&at| at < self.size) } else { Some(at.min(self.size)) }
    }

    /// fsync: what is there is on disk, except what an earlier one failed to bring there. Tells whether there was anything
    /// to do.
    pub(super) fn save(&mut self) -> bool {
        let busy = !self.unsaved.is_empty() || self.saved_size != self.size;
        for page in std::mem::take(&mut self.unsaved).into_keys() {
            self.abandoned.remove(&page);
        }
        self.journal_size = self.size;
        self.saved_size = self.size;
        self.truncated_to = None;
        busy
    }

    /// An fsync failed: the pages count as written from now on, as on Linux, though they are not (Rebello et al., "Can
    /// Applications Recover from fsync Failures?", USENIX ATC 2020).
    pub(super) fn abandon(&mut self) {
        for (page, saved) in std::mem::take(&mut self.unsaved) {
            self.abandoned.entry(page).or_insert(saved);
        }
    }

    /// The journal is committed: truncations and allocations are on disk, even where nothing else is.
    pub(super) fn commit(&mut self) {
        if let Some(size) = self.truncated_to.take() {
            for saved in [&mut self.unsaved, &mut self.abandoned] {
                for (_, old) in saved.range_mut(size.div_ceil(PAGE)..) {
                    *old = None;
                }
                if let Some(Some(edge)) = saved.get_mut(&(size / PAGE)) {
                    Arc::make_mut(edge)[(size % PAGE) as usize..].fill(0);
                }
            }
        }
        self.saved_size = self.journal_size;
    }

    /// The power fails: what is not on disk is gone. With `tearing`, some of it is there by chance, since a disk is
    /// written to all the time and not in order: of what was overwritten any page, and one of them in part; of what was
    /// appended a beginning, in whole sectors.
    pub(super) fn lose(&mut self, tearing: Option<&mut ChaCha8Rng>) -> Lost {
        let mut lost = Lost::default();
        let mut unsaved = std::mem::take(&mut self.abandoned);
        // Where a page is in both, what failed first is what is on disk.
        for (page, saved) in std::mem::take(&mut self.unsaved) {
            unsaved.entry(page).or_insert(saved);
        }
        let size = match tearing {
            Some(rng) => self.tear(&mut unsaved, &mut lost, rng),
            None => self.saved_size,
        };
        let extent = self.size.max(self.saved_size);
        if size < self.size && !unsaved.contains_key(&(size / PAGE)) {
            // The end of a page whose beginning survives.
            lost.bytes += self.size.min((size / PAGE + 1) * PAGE) - size;
        }
        for (page, saved) in unsaved {
            // Room that was never written to is no loss.
            if self.pages.get(&page).is_none_or(|data| !Arc::ptr_eq(data, &ZEROS)) {
                lost.bytes += PAGE.min(extent.saturating_sub(page * PAGE));
            }
            match saved {
                Some(saved) => drop(self.pages.insert(page, saved)),
                None => drop(self.pages.remove(&page)),
            }
        }
        self.pages.split_off(&size.div_ceil(PAGE));
        if size % PAGE != 0
            && let Some(last) = self.pages.get_mut(&(size / PAGE))
            && last[(size % PAGE) as usize..].iter().any(|&byte| byte != 0)
        {
            Arc::make_mut(last)[(size % PAGE) as usize..].fill(0);
        }
        (self.size, self.saved_size, self.journal_size, self.truncated_to) = (size, size, size, None);
        lost.files = u64::from(lost.bytes > 0);
        lost
    }

    /// Takes out of `unsaved` what survives, and tells the size that does.
    fn tear(&self, unsaved: &mut BTreeMap<u64, Option<Page>>, lost: &mut Lost, rng: &mut ChaCha8Rng) -> u64 {
        let mut size = self.saved_size;
        if self.size > self.saved_size {
            let (first, last) = (self.saved_size.div_ceil(SECTOR), self.size.div_ceil(SECTOR));
            size = (rng.random_range(first..=last) * SECTOR).clamp(self.saved_size, self.size);
        }
        let mut torn = false;
        let before = unsaved.len() as u64;
        unsaved.retain(|&page, saved| {
            if page * PAGE >= size.min(self.size) {
                return true;
            }
            if size > self.saved_size && page >= self.saved_size / PAGE {
                return false;
            }
            if rng.random_bool(0.5) {
                return false;
            }
            if !torn && let Some(new) = self.pages.get(&page) {
                torn = true;
                let cut = (rng.random_range(1..PAGE / SECTOR) * SECTOR) as usize;
                Arc::make_mut(saved.get_or_insert_with(|| ZEROS.clone()))[..cut].copy_from_slice(&new[..cut]);
            }
            true
        });
        lost.survived = before - unsaved.len() as u64 + u64::from(torn);
        size
    }

    /// A page that is about to be changed.
    fn change(&mut self, page: u64) -> &mut [u8; PAGE as usize] {
        let old = self.pages.get(&page).cloned();
        self.remember(page, old);
        Arc::make_mut(self.pages.entry(page).or_insert_with(|| ZEROS.clone()))
    }

    fn remember(&mut self, page: u64, old: Option<Page>) {
        self.unsaved.entry(page).or_insert(old);
    }
}

/// What all pages share that were given room and not written yet.
static ZEROS: LazyLock<Page> = LazyLock::new(|| Arc::new([0; PAGE as usize]));

/// The pages of a range of bytes: which, where in it, and where in the range.
fn spans(range: Range<u64>) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let Range { start, end } = range;
    let pages = if start < end { start / PAGE..(end - 1) / PAGE + 1 } else { 0..0 };
    pages.map(move |page| {
        let (from, to) = (start.max(page * PAGE), end.min((page + 1) * PAGE));
        let within = (from - page * PAGE) as usize..(to - page * PAGE) as usize;
        (page, within, (from - start) as usize..(to - start) as usize)
    })
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    fn all(content: &Content) -> Vec<u8> {
        content.read(0, u64::MAX)
    }

    #[test]
    fn what_is_not_saved_is_lost() {
        let mut file = Content::default();
        file.write(0, b"saved");
        assert!(file.save());
        assert!(!file.save(), "there is nothing to do");
        file.write(2, b"XYZ and more");
        file.write(9000, b"far away");
        assert_eq!(file.size(), 9008);
        let lost = file.lose(None);
        assert_eq!(all(&file), b"saved");
        assert_eq!((lost.files, lost.bytes), (1, 4096 + 9008 - 8192));
        assert_eq!(file.lose(None), Lost::default(), "there is nothing more to lose");
        assert_eq!(file.pages(), 1);
    }

    #[test]
    fn a_truncation_is_saved_with_the_journal_and_growth_is_not() {
        let fresh = || {
            let mut file = Content::default();
            file.write(0, &[7; 10_000]);
            file.save();
            file.resize(5000);
            file.write(5000, &[8; 5000]);
            file
        };
        let mut file = fresh();
        file.lose(None);
        assert_eq!(all(&file), [7; 10_000], "nothing is committed");
        let mut file = fresh();
        file.commit();
        file.lose(None);
        assert_eq!(all(&file), [7; 5000]);
        let mut file = fresh();
        file.commit();
        file.resize(10_000);
        file.commit();
        file.lose(None);
        assert_eq!(all(&file), [vec![7; 5000], vec![0; 5000]].concat(), "room without data reads as zeros");
    }

    /// What PostgreSQL met in 2018: an fsync fails, the next one succeeds, and the data is on no disk.
    #[test]
    fn after_a_failed_fsync_the_next_one_saves_nothing_of_it() {
        let mut file = Content::default();
        file.write(0, b"one");
        file.save();
        file.write(0, b"two");
        file.abandon();
        assert_eq!(all(&file), b"two", "it is still seen");
        file.save();
        file.lose(None);
        assert_eq!(all(&file), b"one");

        file.write(0, b"two");
        file.abandon();
        file.write(0, b"six");
        file.save();
        file.lose(None);
        assert_eq!(all(&file), b"six", "written again it is saved");
    }

    #[test]
    fn what_is_torn_is_old_or_new_in_sectors_and_what_was_appended_has_no_gap() {
        let (old, new) = ([1; 20_000], [2; 30_000]);
        let (mut partial, mut sizes) = (0, std::collections::BTreeSet::new());
        for seed in 0..200 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut file = Content::default();
            file.write(0, &old);
            file.save();
            file.write(0, &new);
            let lost = file.lose(Some(&mut rng));
            let bytes = all(&file);
            assert!(bytes.len() >= old.len() && bytes.iter().all(|&byte| byte == 1 || byte == 2));
            assert!(
                bytes[old.len()..].iter().all(|&byte| byte == 2),
                "no gap, and nothing of the file before"
            );
            // A sector is whole, but for the one in which the file grew.
            let torn =
                bytes[..19_968].chunks(512).filter(|sector| sector.iter().any(|byte| *byte != sector[0]));
            assert_eq!(torn.count(), 0);
            let mixed = |page: &&[u8]| page.contains(&1) && page.contains(&2);
            partial += bytes[..16_384].chunks(4096).filter(mixed).count();
            sizes.insert(bytes.len());
            assert!(lost.bytes > 0 || bytes == new);
            assert_eq!(file.lose(Some(&mut rng)), Lost::default(), "what is there is on disk");
        }
        assert!(partial > 50 && sizes.len() > 10, "{partial} {sizes:?}");
    }

    #[test]
    fn holes_take_no_room() {
        let mut file = Content::default();
        file.write(1 << 30, b"end");
        assert_eq!((file.size(), file.pages()), ((1 << 30) + 3, 1));
        assert_eq!((file.seek(0, true), file.seek(0, false)), (Some(1 << 30), Some(0)));
        assert_eq!(file.seek(1 << 30, false), Some((1 << 30) + 3));
        assert_eq!(file.new_pages(0..PAGE * 3), 3);
        file.allocate(0..PAGE * 3, false);
        assert_eq!((file.pages(), file.new_pages(0..PAGE * 3)), (4, 0));
        file.write(0, &[1; 3 * PAGE as usize]);
        file.clear(100..2 * PAGE + 1);
        assert_eq!(file.pages(), 3, "a whole page is a hole again");
        let bytes = file.read(0, 3 * PAGE);
        assert!(bytes[..100].iter().chain(&bytes[2 * PAGE as usize + 1..]).all(|&byte| byte == 1));
        assert!(bytes[100..=2 * PAGE as usize].iter().all(|&byte| byte == 0));
    }
}
