use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::errno::Errno as Error;
use nix::libc;

use super::content::{Content, PAGE};
use super::state::{Deed, Disk, Listing, State};
use super::tree::{Attributes, Body, Inode};

/// The kernel may keep nothing that it knows of names and attributes: a power failure changes them.
const TTL: Duration = Duration::ZERO;
const NAME_MAX: u32 = 255;
const WRITE_MAX: u32 = 1 << 20;
const FILES_MAX: u64 = 1 << 24;

/// What the kernel asks of a [`Disk`]. Faults are for the target: the agent's own calls are spared.
pub(super) struct Fs {
    pub(super) disk: Disk,
    /// The agent's process id; 0 for none.
    pub(super) agent: u32,
}

/// A reply that may be an error.
macro_rules! or_fail {
    ($reply:ident, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return $reply.error(errno(error)),
        }
    };
}

fn errno(error: Error) -> Errno {
    Errno::from_i32(error as i32)
}

fn kind(body: &Body) -> FileType {
    match body {
        Body::File(_) => FileType::RegularFile,
        Body::Directory { .. } => FileType::Directory,
        Body::Link(_) => FileType::Symlink,
        Body::Pipe => FileType::NamedPipe,
        Body::Socket => FileType::Socket,
    }
}

fn attributes(number: u64, inode: &Inode) -> FileAttr {
    let (size, pages) = match &inode.body {
        Body::File(content) => (content.size(), content.pages()),
        Body::Link(target) => (target.len() as u64, 0),
        _ => (0, 0),
    };
    let Attributes { mode, uid, gid, accessed, modified, changed } = inode.attributes;
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: pages * (PAGE / 512),
        atime: accessed,
        mtime: modified,
        ctime: changed,
        crtime: changed,
        kind: kind(&inode.body),
        perm: mode,
        // 1 says that the subdirectories are not counted.
        nlink: if inode.is_directory() { inode.names.min(1) } else { inode.names },
        uid,
        gid,
        rdev: 0,
        blksize: PAGE as u32,
        flags: 0,
    }
}

fn time(time: TimeOrNow) -> SystemTime {
    match time {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => SystemTime::now(),
    }
}

impl Fs {
    fn spares(&self, request: &Request) -> bool {
        self.agent != 0 && request.pid() == self.agent
    }

    /// Makes something new for the process that asks.
    fn create_as(
        state: &mut State,
        request: &Request,
        (parent, name): (INodeNo, &OsStr),
        mode: u32,
        body: Body,
    ) -> Result<(u64, FileAttr), Error> {
        let above = state.tree.inode(parent.0)?.attributes;
        let mut made = Attributes::new((mode & 0o7777) as u16, request.uid(), request.gid());
        if u32::from(above.mode) & libc::S_ISGID != 0 {
            made.gid = above.gid;
            if matches!(body, Body::Directory { .. }) {
                made.mode |= libc::S_ISGID as u16;
            }
        }
        let number = state.tree.create(parent.0, name, made, body)?;
        Ok((number, attributes(number, state.tree.inode(number)?)))
    }

    fn make(&self, request: &Request, at: (INodeNo, &OsStr), mode: u32, body: Body, reply: ReplyEntry) {
        let mut state = self.disk.lock();
        let needs_block = matches!(body, Body::Directory { .. });
        if needs_block && !self.spares(request) && !state.has_room(1) {
            state.counts.refused += 1;
            return reply.error(Errno::ENOSPC);
        }
        let (_, made) = or_fail!(reply, Fs::create_as(&mut state, request, at, mode, body));
        reply.entry(&TTL, &made, Generation(0));
    }

    fn sync(&self, request: &Request, number: INodeNo, reply: ReplyEmpty) {
        let mut state = self.disk.lock();
        if self.spares(request) {
            state.tree.save(number.0);
            return reply.ok();
        }
        state.counts.fsyncs += 1;
        let fails = state.fails(Deed::Fsync);
        let delay = state.delay(Deed::Fsync);
        self.disk.after(state, &[(Deed::Fsync, delay)], move |state, power_failed| {
            let saved = if power_failed { Err(Error::EIO) } else { state.fsync(number.0, fails) };
            match saved {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn listing(state: &State, number: u64) -> Result<Listing, Error> {
        let Body::Directory { entries, parent } = &state.tree.inode(number)?.body else {
            return Err(Error::ENOTDIR);
        };
        let dots = [(number, ".".into()), (*parent, "..".into())];
        let dots =
            dots.into_iter().map(|(number, name): (u64, OsString)| (number, FileType::Directory, name));
        let others = entries.iter().filter_map(|(name, &number)| {
            Some((number, kind(&state.tree.inode(number).ok()?.body), name.clone()))
        });
        Ok(Arc::new(dots.chain(others).collect()))
    }
}

impl Filesystem for Fs {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Less is fine too.
        let _ = config.set_max_write(WRITE_MAX);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.disk.lock();
        let number = or_fail!(reply, state.tree.lookup(parent.0, name));
        let found = attributes(number, or_fail!(reply, state.tree.inode(number)));
        reply.entry(&TTL, &found, Generation(0));
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let state = self.disk.lock();
        let found = attributes(number.0, or_fail!(reply, state.tree.inode(number.0)));
        reply.attr(&TTL, &found);
    }

    fn setattr(
        &self,
        request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.disk.lock();
        if let Some(size) = size {
            or_fail!(reply, state.tree.content(number.0));
            if !self.spares(request) && state.fails(Deed::Write) {
                return reply.error(Errno::EIO);
            }
            or_fail!(reply, state.tree.change_size(number.0, |content| content.resize(size)));
        }
        if mode.is_some() || uid.is_some() || gid.is_some() || atime.is_some() || mtime.is_some() {
            let set = |to: &mut Attributes| {
                to.mode = mode.map_or(to.mode, |mode| (mode & 0o7777) as u16);
                to.uid = uid.unwrap_or(to.uid);
                to.gid = gid.unwrap_or(to.gid);
                to.accessed = atime.map_or(to.accessed, time);
                to.modified = mtime.map_or(to.modified, time);
            };
            or_fail!(reply, state.tree.set_attributes(number.0, set));
        }
        let now = attributes(number.0, or_fail!(reply, state.tree.inode(number.0)));
        reply.attr(&TTL, &now);
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        let state = self.disk.lock();
        match &or_fail!(reply, state.tree.inode(number.0)).body {
            Body::Link(target) => reply.data(target.as_bytes()),
            _ => reply.error(Errno::EINVAL),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let body = match mode & libc::S_IFMT {
            libc::S_IFREG | 0 => Body::File(Content::default()),
            libc::S_IFIFO => Body::Pipe,
            libc::S_IFSOCK => Body::Socket,
            _ => return reply.error(Errno::EPERM),
        };
        self.make(request, (parent, name), mode, body, reply);
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let body = Body::Directory { entries: Default::default(), parent: parent.0 };
        self.make(request, (parent, name), mode, body, reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let body = Body::Link(target.as_os_str().to_owned());
        self.make(request, (parent, name), 0o777, body, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        or_fail!(reply, self.disk.lock().tree.remove(parent.0, name, false));
        reply.ok();
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        or_fail!(reply, self.disk.lock().tree.remove(parent.0, name, true));
        reply.ok();
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.contains(RenameFlags::RENAME_WHITEOUT) {
            return reply.error(Errno::EINVAL);
        }
        let exchange = flags.contains(RenameFlags::RENAME_EXCHANGE);
        let replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let mut state = self.disk.lock();
        or_fail!(reply, state.tree.rename((parent.0, name), (new_parent.0, new_name), exchange, replace));
        reply.ok();
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut state = self.disk.lock();
        or_fail!(reply, state.tree.link(number.0, parent.0, name));
        let linked = attributes(number.0, or_fail!(reply, state.tree.inode(number.0)));
        reply.entry(&TTL, &linked, Generation(0));
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        or_fail!(reply, self.disk.lock().tree.open(number.0));
        reply.opened(FileHandle(0), FopenFlags::FOPEN_NOFLUSH);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut state = self.disk.lock();
        let body = Body::File(Content::default());
        let (number, made) = or_fail!(reply, Fs::create_as(&mut state, request, (parent, name), mode, body));
        or_fail!(reply, state.tree.open(number));
        reply.created(&TTL, &made, Generation(0), FileHandle(0), FopenFlags::FOPEN_NOFLUSH);
    }

    fn release(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.disk.lock().tree.release(number.0);
        reply.ok();
    }

    fn read(
        &self,
        request: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = self.disk.lock();
        let bytes = or_fail!(reply, state.tree.content(number.0)).read(offset, u64::from(size));
        if self.spares(request) {
            return reply.data(&bytes);
        }
        state.counts.reads += 1;
        let fails = state.fails(Deed::Read);
        let delay = state.delay(Deed::Read);
        self.disk.after(state, &[(Deed::Read, delay)], move |_, _| {
            if fails {
                reply.error(Errno::EIO);
            } else {
                reply.data(&bytes);
            }
        });
    }

    fn write(
        &self,
        request: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = self.disk.lock();
        let spared = self.spares(request);
        let length = data.len() as u32;
        let range = offset..offset + data.len() as u64;
        let pages = or_fail!(reply, state.tree.content(number.0)).new_pages(range);
        state.counts.writes += u64::from(!spared);
        if !spared && state.fails(Deed::Write) {
            state.counts.writes_failed += 1;
            return reply.error(Errno::EIO);
        }
        if !spared && !state.has_room(pages) {
            state.counts.refused += 1;
            return reply.error(Errno::ENOSPC);
        }
        or_fail!(reply, state.tree.change(number.0, |content| content.write(offset, data)));
        if spared {
            return reply.written(length);
        }
        let mut delays = vec![(Deed::Write, state.delay(Deed::Write))];
        // The kernel passes them on with each write and sends no fsync.
        let saves = flags.0 & (libc::O_SYNC | libc::O_DSYNC) != 0;
        let fails = saves && state.fails(Deed::Fsync);
        if saves {
            state.counts.fsyncs += 1;
            delays.push((Deed::Fsync, state.delay(Deed::Fsync)));
        }
        self.disk.after(state, &delays, move |state, power_failed| {
            let saved = if saves && !power_failed { state.fsync(number.0, fails) } else { Ok(()) };
            match saved {
                Ok(()) => reply.written(length),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn fsync(&self, request: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(request, number, reply);
    }

    fn fsyncdir(&self, request: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(request, number, reply);
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let mut state = self.disk.lock();
        let listing = or_fail!(reply, Fs::listing(&state, number.0));
        state.last_listing += 1;
        let handle = state.last_listing;
        state.listings.insert(handle, listing);
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut state = self.disk.lock();
        // rewinddir(3) looks anew.
        if offset == 0 || !state.listings.contains_key(&handle.0) {
            let listing = or_fail!(reply, Fs::listing(&state, number.0));
            state.listings.insert(handle.0, listing);
        }
        let listing = state.listings[&handle.0].clone();
        drop(state);
        for (at, (number, kind, name)) in listing.iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(*number), at as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.disk.lock().listings.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let state = self.disk.lock();
        let (all, free) = state.room();
        let free = free / PAGE;
        let files = FILES_MAX - state.tree.inodes().min(FILES_MAX);
        reply.statfs(all / PAGE, free, free, FILES_MAX, files, PAGE as u32, NAME_MAX, PAGE as u32);
    }

    fn fallocate(
        &self,
        request: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        const ROOM: i32 = 0;
        const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE;
        const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE;
        let keep_size = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
        let range = offset..offset.saturating_add(length);
        let mut state = self.disk.lock();
        let pages = or_fail!(reply, state.tree.content(number.0)).new_pages(range.clone());
        let what = mode & !libc::FALLOC_FL_KEEP_SIZE;
        if matches!(what, ROOM | ZERO) && !self.spares(request) && !state.has_room(pages) {
            state.counts.refused += 1;
            return reply.error(Errno::ENOSPC);
        }
        let done = match what {
            ROOM => state.tree.change_size(number.0, |content| content.allocate(range, keep_size)),
            PUNCH if keep_size => state.tree.change(number.0, |content| content.clear(range)),
            ZERO => state.tree.change_size(number.0, |content| {
                content.clear(range.clone());
                content.allocate(range, keep_size);
            }),
            _ => Err(Error::EOPNOTSUPP),
        };
        or_fail!(reply, done);
        reply.ok();
    }

    fn lseek(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let state = self.disk.lock();
        let content = or_fail!(reply, state.tree.content(number.0));
        let found = match (u64::try_from(offset), whence) {
            (Ok(offset), libc::SEEK_DATA) => content.seek(offset, true),
            (Ok(offset), libc::SEEK_HOLE) => content.seek(offset, false),
            _ => return reply.error(Errno::EINVAL),
        };
        match found {
            Some(offset) => reply.offset(offset as i64),
            None => reply.error(Errno::ENXIO),
        }
    }
}
