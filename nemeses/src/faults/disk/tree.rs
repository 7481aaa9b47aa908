use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use nix::errno::Errno;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::content::{Content, Lost, PAGE};

/// The number of the root directory.
pub(super) const ROOT: u64 = 1;

/// What is in a file system: directories, files, and what of both is not on disk yet.
///
/// Names and attributes are journaled, as on ext4 in its default mode: changes reach the disk in their order, each whole or
/// not at all (a rename too), and every fsync of a file or a directory brings all earlier ones there. So an fsync of a new file
/// saves its name as well, which POSIX does not promise and all common file systems do (Mohan et al., "Finding
/// Crash-Consistency Bugs with Bounded Black-Box Crash Testing", OSDI 2018). Data is saved file by file.
#[derive(Debug)]
pub(super) struct Tree {
    inodes: HashMap<u64, Inode>,
    last: u64,
    /// Changes that are not on disk, oldest first.
    journal: Vec<Change>,
    /// Files whose size is changed by the next commit.
    resized: BTreeSet<u64>,
    /// Pages in use, of all files.
    pages: u64,
}

/// A file, a directory, or something else that has attributes.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) attributes: Attributes,
    pub(super) body: Body,
    /// How many names it has.
    pub(super) names: u32,
    /// How often it is open.
    opens: u32,
    /// How many changes in the journal would bring it back.
    journaled: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) accessed: SystemTime,
    pub(super) modified: SystemTime,
    pub(super) changed: SystemTime,
}

#[derive(Debug)]
pub(super) enum Body {
    File(Content),
    Directory { entries: BTreeMap<OsString, u64>, parent: u64 },
    Link(OsString),
    Pipe,
    Socket,
}

/// How to undo what was done.
#[derive(Debug)]
enum Change {
    /// Names and whom they meant before; undone from the last to the first.
    Names(Vec<(u64, OsString, Option<u64>)>),
    Attributes(u64, Attributes),
}

impl Inode {
    fn new(attributes: Attributes, body: Body) -> Inode {
        Inode { attributes, body, names: 0, opens: 0, journaled: 0 }
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory { .. })
    }
}

impl Attributes {
    pub(super) fn new(mode: u16, uid: u32, gid: u32) -> Attributes {
        let now = SystemTime::now();
        Attributes { mode, uid, gid, accessed: now, modified: now, changed: now }
    }
}

impl Tree {
    /// An empty directory.
    pub(super) fn new(root: Attributes) -> Tree {
        let body = Body::Directory { entries: BTreeMap::new(), parent: ROOT };
        let root = Inode { names: 1, ..Inode::new(root, body) };
        let (journal, resized) = Default::default();
        Tree { inodes: HashMap::from([(ROOT, root)]), last: ROOT, journal, resized, pages: 0 }
    }

    pub(super) fn inode(&self, number: u64) -> Result<&Inode, Errno> {
        self.inodes.get(&number).ok_or(Errno::ESTALE)
    }

    /// How many bytes are in use, in whole pages.
    pub(super) fn used(&self) -> u64 {
        self.pages * PAGE
    }

    pub(super) fn inodes(&self) -> u64 {
        self.inodes.len() as u64
    }

    pub(super) fn entries(&self, directory: u64) -> Result<&BTreeMap<OsString, u64>, Errno> {
        match &self.inode(directory)?.body {
            Body::Directory { entries, .. } => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn lookup(&self, directory: u64, name: &OsStr) -> Result<u64, Errno> {
        self.entries(directory)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(super) fn content(&self, file: u64) -> Result<&Content, Errno> {
        match &self.inode(file)?.body {
            Body::File(content) => Ok(content),
            Body::Directory { .. } => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Makes something new and returns its number.
    pub(super) fn create(
        &mut self,
        directory: u64,
        name: &OsStr,
        attributes: Attributes,
        mut body: Body,
    ) -> Result<u64, Errno> {
        if self.entries(directory)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        if self.inode(directory)?.names == 0 {
            return Err(Errno::ENOENT);
        }
        if let Body::Directory { parent, .. } = &mut body {
            *parent = directory;
        }
        self.last += 1;
        self.inodes.insert(self.last, Inode::new(attributes, body));
        self.rename_all(&[(directory, name, Some(self.last))]);
        Ok(self.last)
    }

    /// One more name for a file.
    pub(super) fn link(&mut self, file: u64, directory: u64, name: &OsStr) -> Result<(), Errno> {
        if self.inode(file)?.is_directory() {
            return Err(Errno::EPERM);
        }
        if self.entries(directory)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.rename_all(&[(directory, name, Some(file))]);
        Ok(())
    }

    /// Takes the name of a file, or of an empty directory, away.
    pub(super) fn remove(&mut self, directory: u64, name: &OsStr, is_directory: bool) -> Result<(), Errno> {
        let number = self.lookup(directory, name)?;
        match (self.inode(number)?.is_directory(), is_directory) {
            (true, false) => return Err(Errno::EISDIR),
            (false, true) => return Err(Errno::ENOTDIR),
            (true, true) if !self.entries(number)?.is_empty() => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        self.rename_all(&[(directory, name, None)]);
        Ok(())
    }

    /// rename(2): replaces what has the new name, if that may be; with `exchange` both swap their names.
    pub(super) fn rename(
        &mut self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        exchange: bool,
        replace: bool,
    ) -> Result<(), Errno> {
        let number = self.lookup(from.0, from.1)?;
        let other = self.lookup(to.0, to.1).ok();
        if exchange {
            let other = other.ok_or(Errno::ENOENT)?;
            self.rename_all(&[(from.0, from.1, Some(other)), (to.0, to.1, Some(number))]);
            return Ok(());
        }
        if other == Some(number) {
            return Ok(());
        }
        if let Some(other) = other {
            if !replace {
                return Err(Errno::EEXIST);
            }
            match (self.inode(number)?.is_directory(), self.inode(other)?.is_directory()) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                (true, true) if !self.entries(other)?.is_empty() => return Err(Errno::ENOTEMPTY),
                _ => {}
            }
        }
        self.rename_all(&[(from.0, from.1, None), (to.0, to.1, Some(number))]);
        Ok(())
    }

    /// Gives names their new meanings, as one change of the journal.
    fn rename_all(&mut self, names: &[(u64, &OsStr, Option<u64>)]) {
        let mut change = Vec::new();
        for &(directory, name, number) in names {
            let before = self.set_name(directory, name, number);
            if let Some(inode) = before.and_then(|before| self.inodes.get_mut(&before)) {
                inode.journaled += 1;
            }
            change.push((directory, name.to_owned(), before));
        }
        self.journal.push(Change::Names(change));
    }

    /// Gives a name its meaning, and returns the one it had.
    fn set_name(&mut self, directory: u64, name: &OsStr, number: Option<u64>) -> Option<u64> {
        let now = SystemTime::now();
        let inode = self.inodes.get_mut(&directory)?;
        (inode.attributes.modified, inode.attributes.changed) = (now, now);
        let Body::Directory { entries, .. } = &mut inode.body else { return None };
        let before = match number {
            Some(number) => entries.insert(name.to_owned(), number),
            None => entries.remove(name),
        };
        if let Some(inode) = before.and_then(|before| self.inodes.get_mut(&before)) {
            inode.names -= 1;
            inode.attributes.changed = now;
        }
        if let Some(inode) = number.and_then(|number| self.inodes.get_mut(&number)) {
            inode.names += 1;
            inode.attributes.changed = now;
            if let Body::Directory { parent, .. } = &mut inode.body {
                *parent = directory;
            }
        }
        before
    }

    /// Changes attributes.
    pub(super) fn set_attributes(
        &mut self,
        number: u64,
        set: impl FnOnce(&mut Attributes),
    ) -> Result<(), Errno> {
        let inode = self.inodes.get_mut(&number).ok_or(Errno::ESTALE)?;
        self.journal.push(Change::Attributes(number, inode.attributes));
        set(&mut inode.attributes);
        inode.attributes.changed = SystemTime::now();
        Ok(())
    }

    /// Changes what is in a file, and notes when.
    pub(super) fn change<T>(&mut self, file: u64, act: impl FnOnce(&mut Content) -> T) -> Result<T, Errno> {
        self.content(file)?;
        let inode = self.inodes.get_mut(&file).ok_or(Errno::ESTALE)?;
        let now = SystemTime::now();
        (inode.attributes.modified, inode.attributes.changed) = (now, now);
        let Body::File(content) = &mut inode.body else { return Err(Errno::EINVAL) };
        let before = content.pages();
        let done = act(content);
        self.pages = self.pages + content.pages() - before;
        Ok(done)
    }

    /// As [`change`](Tree::change), where the size changes by the journal and not by writing.
    pub(super) fn change_size(&mut self, file: u64, act: impl FnOnce(&mut Content)) -> Result<(), Errno> {
        self.resized.insert(file);
        self.change(file, act)
    }

    pub(super) fn open(&mut self, number: u64) -> Result<(), Errno> {
        self.inodes.get_mut(&number).ok_or(Errno::ESTALE)?.opens += 1;
        Ok(())
    }

    pub(super) fn release(&mut self, number: u64) {
        if let Some(inode) = self.inodes.get_mut(&number) {
            inode.opens = inode.opens.saturating_sub(1);
        }
        self.free(number);
    }

    /// fsync of a file or a directory. Tells whether there was anything to do.
    pub(super) fn save(&mut self, number: u64) -> bool {
        let mut busy = !self.journal.is_empty() || !self.resized.is_empty();
        if let Some(Inode { body: Body::File(content), .. }) = self.inodes.get_mut(&number) {
            busy |= content.save();
        }
        self.commit();
        busy
    }

    /// An fsync failed: see [`Content::abandon`].
    pub(super) fn abandon(&mut self, number: u64) {
        if let Some(Inode { body: Body::File(content), .. }) = self.inodes.get_mut(&number) {
            content.abandon();
        }
    }

    fn commit(&mut self) {
        for number in std::mem::take(&mut self.resized) {
            if let Some(Inode { body: Body::File(content), .. }) = self.inodes.get_mut(&number) {
                content.commit();
            }
        }
        for change in std::mem::take(&mut self.journal) {
            self.forget(&change);
        }
    }

    /// What this change would have brought back need not be kept for it.
    fn forget(&mut self, change: &Change) {
        let Change::Names(names) = change else { return };
        for &number in names.iter().filter_map(|(_, _, before)| before.as_ref()) {
            if let Some(inode) = self.inodes.get_mut(&number) {
                inode.journaled -= 1;
            }
            self.free(number);
        }
    }

    /// Removes what has no name any more, is not open and cannot come back.
    fn free(&mut self, number: u64) {
        let Some(inode) = self.inodes.get(&number) else { return };
        if inode.names > 0 || inode.opens > 0 || inode.journaled > 0 {
            return;
        }
        if let Body::File(content) = &inode.body {
            self.pages -= content.pages();
        }
        self.inodes.remove(&number);
    }

    /// The power fails: what is not on disk is gone, or, with `tearing`, some of it: see [`Content::lose`]. Of the journal a
    /// beginning survives.
    pub(super) fn lose(&mut self, mut tearing: Option<ChaCha8Rng>) -> Lost {
        let mut lost = Lost::default();
        let kept = tearing.as_mut().map_or(0, |rng| rng.random_range(0..=self.journal.len()));
        lost.survived += kept as u64;
        for change in self.journal.split_off(kept).into_iter().rev() {
            lost.names += 1;
            self.undo(change);
        }
        for change in std::mem::take(&mut self.journal) {
            self.forget(&change);
        }
        self.resized.clear();
        // In an order that a seed can repeat.
        let mut numbers: Vec<u64> = self.inodes.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(Inode { body: Body::File(content), .. }) = self.inodes.get_mut(&number) {
                let before = content.pages();
                let own = content.lose(tearing.as_mut());
                self.pages = self.pages + content.pages() - before;
                lost.bytes += own.bytes;
                lost.files += own.files;
                lost.survived += own.survived;
            }
            self.free(number);
        }
        lost
    }

    fn undo(&mut self, change: Change) {
        match &change {
            Change::Names(names) => {
                for (directory, name, before) in names.iter().rev() {
                    self.set_name(*directory, name, *before);
                }
            }
            Change::Attributes(number, before) => {
                if let Some(inode) = self.inodes.get_mut(number) {
                    inode.attributes = *before;
                }
            }
        }
        self.forget(&change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::new(Attributes::new(0o755, 0, 0))
    }

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    fn file(tree: &mut Tree, directory: u64, text: &str, bytes: &[u8]) -> u64 {
        let body = Body::File(Content::default());
        let number = tree.create(directory, name(text), Attributes::new(0o644, 0, 0), body).unwrap();
        tree.change(number, |content| content.write(0, bytes)).unwrap();
        number
    }

    fn read(tree: &Tree, directory: u64, text: &str) -> Option<Vec<u8>> {
        let number = tree.lookup(directory, name(text)).ok()?;
        Some(tree.content(number).unwrap().read(0, u64::MAX))
    }

    #[test]
    fn an_fsync_saves_its_file_and_all_names_so_far_but_no_other_data() {
        let mut tree = tree();
        file(&mut tree, ROOT, "a", b"lost");
        let saved = file(&mut tree, ROOT, "b", b"saved");
        assert!(tree.save(saved));
        file(&mut tree, ROOT, "c", b"later");
        let lost = tree.lose(None);
        assert_eq!(lost, Lost { bytes: 9, files: 2, names: 1, survived: 0 });
        assert_eq!(read(&tree, ROOT, "a"), Some(vec![]), "a name without data: the zero-length file of ext4");
        assert_eq!(read(&tree, ROOT, "b").unwrap(), b"saved");
        assert_eq!(read(&tree, ROOT, "c"), None);
        assert_eq!((tree.inodes(), tree.used()), (3, PAGE));
    }

    #[test]
    fn a_rename_is_whole_or_not_at_all_and_what_it_replaced_comes_back() {
        let mut tree = tree();
        let old = file(&mut tree, ROOT, "f", b"old");
        tree.save(old);
        let new = file(&mut tree, ROOT, "f.new", b"new");
        tree.save(new);
        tree.rename((ROOT, name("f.new")), (ROOT, name("f")), false, true).unwrap();
        assert_eq!(read(&tree, ROOT, "f").unwrap(), b"new");
        assert_eq!(tree.lose(None).names, 1);
        assert_eq!(read(&tree, ROOT, "f").unwrap(), b"old");
        assert_eq!(read(&tree, ROOT, "f.new").unwrap(), b"new");

        tree.rename((ROOT, name("f.new")), (ROOT, name("f")), false, true).unwrap();
        tree.save(ROOT);
        assert_eq!(tree.lose(None), Lost::default());
        assert_eq!(read(&tree, ROOT, "f").unwrap(), b"new");
        assert_eq!((tree.inodes(), tree.used()), (2, PAGE), "what was replaced is freed");
    }

    #[test]
    fn directories_links_and_removals_come_back() {
        let mut tree = tree();
        let body = || Body::Directory { entries: BTreeMap::new(), parent: 0 };
        let dir = tree.create(ROOT, name("d"), Attributes::new(0o755, 0, 0), body()).unwrap();
        let number = file(&mut tree, dir, "f", b"data");
        tree.save(number);
        tree.link(number, ROOT, name("hard")).unwrap();
        assert_eq!(tree.inode(number).unwrap().names, 2);
        assert_eq!(tree.remove(ROOT, name("d"), true), Err(Errno::ENOTEMPTY));
        tree.remove(dir, name("f"), false).unwrap();
        tree.remove(ROOT, name("d"), true).unwrap();
        assert_eq!(tree.create(dir, name("x"), Attributes::new(0o644, 0, 0), body()), Err(Errno::ENOENT));
        assert_eq!(tree.lose(None).names, 3);
        assert_eq!(read(&tree, dir, "f").unwrap(), b"data");
        assert_eq!((tree.inode(number).unwrap().names, tree.inodes()), (1, 3));

        // What is open lives on without a name, until it is closed.
        tree.open(number).unwrap();
        tree.remove(dir, name("f"), false).unwrap();
        tree.save(ROOT);
        assert_eq!(tree.content(number).unwrap().size(), 4);
        tree.release(number);
        assert!(tree.content(number).is_err());
        assert_eq!(tree.used(), 0);
    }

    #[test]
    fn names_may_be_exchanged_and_kept() {
        let mut tree = tree();
        file(&mut tree, ROOT, "a", b"a");
        file(&mut tree, ROOT, "b", b"b");
        let (a, b) = ((ROOT, name("a")), (ROOT, name("b")));
        tree.rename(a, b, true, true).unwrap();
        assert_eq!(read(&tree, ROOT, "a").unwrap(), b"b");
        assert_eq!(tree.rename(a, b, false, false), Err(Errno::EEXIST));
        assert_eq!(tree.rename(a, (ROOT, name("c")), true, true), Err(Errno::ENOENT));
    }

    #[test]
    fn a_torn_journal_keeps_a_beginning() {
        use rand_chacha::rand_core::SeedableRng as _;
        let mut kept = BTreeSet::new();
        for seed in 0..50 {
            let mut tree = tree();
            for number in 0..5 {
                file(&mut tree, ROOT, &number.to_string(), b"data");
            }
            tree.lose(Some(ChaCha8Rng::seed_from_u64(seed)));
            let names: Vec<String> =
                tree.entries(ROOT).unwrap().keys().map(|name| name.to_string_lossy().into_owned()).collect();
            let expected: Vec<String> = (0..names.len()).map(|number| number.to_string()).collect();
            assert_eq!(names, expected);
            kept.insert(names.len());
        }
        assert_eq!(kept.len(), 6, "{kept:?}");
    }
}
