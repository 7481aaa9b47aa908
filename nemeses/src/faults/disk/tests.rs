//! The file system through a real mount, as root and without.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Whence;

use super::super::testnet::in_namespaces;
use super::server::Mounted;
use super::*;

/// A mounted disk.
struct Bench {
    mounted: Option<Mounted>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Mounted::new(folder.path(), 0).unwrap();
        Bench { mounted: Some(mounted), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> File {
        let path = self.path(name);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    fn fail(&self, profile: &str) -> Counts {
        let profile = if profile.is_empty() { DiskProfile::default() } else { profile.parse().unwrap() };
        self.disk().set(profile, 1)
    }

    fn disk(&self) -> &state::Disk {
        &self.mounted.as_ref().unwrap().disk
    }

    /// As the agent does it.
    fn lose(&self, tearing: Option<u64>) -> Lost {
        syncfs(File::open(self.folder.path()).unwrap()).unwrap();
        self.disk().lose(tearing)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The folder is empty again, so that it can be deleted.
        self.mounted = None;
    }
}

#[test]
fn what_was_not_fsynced_is_gone_and_all_else_is_there() {
    in_namespaces("faults::disk::tests::what_was_not_fsynced_is_gone_and_all_else_is_there", || {
        let bench = Bench::new();
        let mut file = bench.file("f", b"saved");
        file.sync_all().unwrap();
        file.write_all(b" and not").unwrap();
        bench.file("g", b"never");
        assert_eq!(bench.read("f").unwrap(), b"saved and not", "programs see what was written");
        drop(file);
        let lost = bench.lose(None);
        assert_eq!(lost, Lost { bytes: 13 + 5, files: 2, names: 1, survived: 0 });
        assert_eq!((bench.read("f").unwrap(), bench.read("g")), (b"saved".to_vec(), None));
        assert_eq!(fs::metadata(bench.path("f")).unwrap().len(), 5);
        assert_eq!(bench.lose(None), Lost::default());

        // Each way to save.
        for (name, flags) in [("sync", libc::O_SYNC), ("dsync", libc::O_DSYNC)] {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).custom_flags(flags).open(bench.path(name)).unwrap();
            file.write_all(b"at once").unwrap();
        }
        bench.file("data", b"fdatasync").sync_data().unwrap();
        fs::create_dir(bench.path("d")).unwrap();
        bench.file("d/f", b"lost").flush().unwrap();
        File::open(bench.path("d")).unwrap().sync_all().unwrap();
        bench.lose(None);
        assert_eq!(bench.read("sync").unwrap(), b"at once");
        assert_eq!(bench.read("dsync").unwrap(), b"at once");
        assert_eq!(bench.read("data").unwrap(), b"fdatasync");
        assert_eq!(bench.read("d/f").unwrap(), b"", "the name is saved with its directory, the data is not");

        // O_DIRECT goes past the kernel's cache, not past the disk's.
        let direct =
            OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(bench.path("sync")).unwrap();
        let aligned: Vec<u8> = vec![b'x'; 8192];
        let start = aligned.as_ptr().align_offset(512);
        direct.write_all_at(&aligned[start..start + 4096], 0).unwrap();
        drop(direct);
        assert_eq!(bench.read("sync").unwrap(), [b'x'; 4096]);
        bench.lose(None);
        assert_eq!(bench.read("sync").unwrap(), b"at once");
    });
}

#[test]
fn it_is_a_file_system() {
    in_namespaces("faults::disk::tests::it_is_a_file_system", || {
        let bench = Bench::new();
        // Renames replace, as one step.
        bench.file("f", b"old").sync_all().unwrap();
        bench.file("f.new", b"new").sync_all().unwrap();
        fs::rename(bench.path("f.new"), bench.path("f")).unwrap();
        assert_eq!(bench.read("f").unwrap(), b"new");
        bench.lose(None);
        assert_eq!(
            (bench.read("f").unwrap(), bench.read("f.new").unwrap()),
            (b"old".to_vec(), b"new".to_vec())
        );
        fs::rename(bench.path("f.new"), bench.path("f")).unwrap();
        File::open(bench.folder.path()).unwrap().sync_all().unwrap();
        bench.lose(None);
        assert_eq!((bench.read("f").unwrap(), bench.read("f.new")), (b"new".to_vec(), None));

        // Links, of both kinds.
        fs::hard_link(bench.path("f"), bench.path("hard")).unwrap();
        symlink("hard", bench.path("soft")).unwrap();
        assert_eq!(fs::metadata(bench.path("f")).unwrap().nlink(), 2);
        assert_eq!(bench.read("soft").unwrap(), b"new");
        assert_eq!(fs::read_link(bench.path("soft")).unwrap(), Path::new("hard"));

        // A file without a name lives on while it is open.
        let mut file = bench.file("ghost", b"boo");
        fs::remove_file(bench.path("ghost")).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "boo");
        assert!(File::options().create_new(true).write(true).open(bench.path("f")).is_err());

        // Sizes, holes and room.
        let file = bench.file("big", b"");
        file.set_len(1 << 20).unwrap();
        file.write_all_at(b"data", 500_000).unwrap();
        assert_eq!(fs::metadata(bench.path("big")).unwrap().blocks(), 8);
        let seek = |offset, whence| nix::unistd::lseek(&file, offset, whence).unwrap();
        assert_eq!(seek(0, Whence::SeekData), 500_000 / 4096 * 4096);
        assert_eq!(seek(500_000, Whence::SeekHole), (500_000 / 4096 + 1) * 4096);
        fallocate(&file, FallocateFlags::empty(), 0, 2 << 20).unwrap();
        assert_eq!(fs::metadata(bench.path("big")).unwrap().len(), 2 << 20);
        fallocate(
            &file,
            FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE,
            0,
            1 << 20,
        )
        .unwrap();
        assert_eq!(fs::metadata(bench.path("big")).unwrap().blocks(), (1 << 20) / 512);
        file.set_len(3).unwrap();
        assert_eq!(bench.read("big").unwrap(), [0; 3]);
        let room = nix::sys::statvfs::statvfs(bench.folder.path()).unwrap();
        assert!(room.blocks_available() > 0 && room.blocks_available() < room.blocks());

        // Locks.
        let lock =
            |file: &str| Flock::lock(File::open(bench.path(file)).unwrap(), FlockArg::LockExclusiveNonblock);
        let held = lock("f").unwrap();
        assert!(lock("f").is_err());
        drop(held);
        assert!(lock("f").is_ok());

        // Directories can be emptied while they are read.
        fs::create_dir_all(bench.path("many/deep")).unwrap();
        for number in 0..2000 {
            bench.file(&format!("many/{number}"), b"");
        }
        assert_eq!(fs::read_dir(bench.path("many")).unwrap().count(), 2001);
        assert_eq!(fs::remove_dir(bench.path("many")).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
        fs::remove_dir_all(bench.path("many")).unwrap();
        fs::set_permissions(bench.path("f"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(fs::metadata(bench.path("f")).unwrap().mode() & 0o7777, 0o600);
    });
}

#[test]
fn calls_fail_and_wait_as_they_are_told_to() {
    in_namespaces("faults::disk::tests::calls_fail_and_wait_as_they_are_told_to", || {
        let bench = Bench::new();
        let eio = |result: std::io::Result<()>| result.unwrap_err().raw_os_error() == Some(libc::EIO);
        let mut file = bench.file("f", b"one");
        file.sync_all().unwrap();

        bench.fail("eio-fsync=100%");
        file.write_all(b" two").unwrap();
        assert!(eio(file.sync_all()));
        let counts = bench.fail("");
        assert_eq!((counts.fsyncs, counts.fsyncs_failed), (1, 1));
        file.sync_all().unwrap();
        assert_eq!(bench.read("f").unwrap(), b"one two");
        drop(file);
        bench.lose(None);
        assert_eq!(
            bench.read("f").unwrap(),
            b"one\0\0\0\0",
            "the fsync after the failed one saved the size alone"
        );

        bench.fail("eio-write=100%+eio-read=100%");
        let mut file = File::options().read(true).write(true).open(bench.path("f")).unwrap();
        assert!(eio(file.write_all(b"X")) && eio(file.read(&mut [0; 3]).map(drop)));
        bench.fail("");
        file.read_exact(&mut [0; 3]).unwrap();

        let counts = bench.fail("room=0MiB");
        assert!(counts.reads_failed == 0 && counts.reads > 0, "healthy again: {counts:?}");
        file.write_all_at(b"over what is there", 0).unwrap();
        let full = file.write_all_at(&[1; 8192], 4096).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert_eq!(nix::sys::statvfs::statvfs(bench.folder.path()).unwrap().blocks_available(), 0);
        assert_eq!(fs::create_dir(bench.path("d")).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(bench.fail("").refused, 2);
        file.write_all_at(&[1; 8192], 4096).unwrap();

        bench.fail("slow-fsync=150ms");
        let begin = Instant::now();
        file.sync_all().unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(150));
        let counts = bench.fail("slow-fsync=5s");
        assert_eq!(counts.held, [1, 0, 0]);
        assert!(counts.held_us >= 150_000, "{counts:?}");

        // Healing lets go at once what waits, and a power failure keeps from saving what was under way.
        file.write_all_at(b"late", 0).unwrap();
        std::thread::scope(|scope| {
            let (begin, waiting) = (Instant::now(), scope.spawn(|| file.sync_all()));
            std::thread::sleep(Duration::from_millis(100));
            bench.disk().lose(None);
            assert!(waiting.join().unwrap().is_err());
            assert!(begin.elapsed() < Duration::from_secs(4));
            bench.fail("slow-fsync=4s");
            let waiting = scope.spawn(|| file.sync_all());
            std::thread::sleep(Duration::from_millis(100));
            // It was held, though not to its end, and no later receipt tells of it.
            let counts = bench.fail("slow-fsync=4s+eio-fsync=100%");
            waiting.join().unwrap().unwrap();
            assert!(begin.elapsed() < Duration::from_secs(4));
            assert!((counts.fsyncs, counts.held) == (1, [1, 0, 0]), "{counts:?}");
            assert!((50_000..4_000_000).contains(&counts.held_us), "{counts:?}");
            let waiting = scope.spawn(|| file.sync_all());
            std::thread::sleep(Duration::from_millis(100));
            let counts = bench.fail("");
            assert!(waiting.join().unwrap().is_err());
            assert_eq!((counts.fsyncs, counts.fsyncs_failed, counts.held), (1, 1, [1, 0, 0]));
            assert_eq!(bench.fail(""), Counts::default());
        });
    });
}

/// The thread of the file system that could not start another one panicked, and with it ended the disk.
#[test]
fn a_call_for_which_there_is_no_thread_is_not_held_back() {
    in_namespaces("faults::disk::tests::a_call_for_which_there_is_no_thread_is_not_held_back", || {
        let bench = Bench::new();
        let mut file = bench.file("f", b"");
        bench.fail("slow-fsync=5s");
        // No room for the stack of another thread.
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let has = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        let has: u64 = has.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
        let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
        setrlimit(Resource::RLIMIT_AS, has + (1 << 20), hard).unwrap();
        file.write_all(b"saved").unwrap();
        let begin = Instant::now();
        let synced = file.sync_all();
        setrlimit(Resource::RLIMIT_AS, hard, hard).unwrap();
        synced.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        // Calls for which there is one are still held.
        let counts = bench.fail("slow-fsync=100ms");
        assert_eq!((counts.fsyncs, counts.held, counts.held_us), (1, [0; 3], 0));
        file.sync_all().unwrap();
        assert_eq!(bench.fail("").held, [1, 0, 0]);
        drop(file);
        bench.lose(None);
        assert_eq!(bench.read("f").unwrap(), b"saved");
    });
}

/// Calls that were late did not prove that any failed, where many should have.
#[test]
fn what_never_came_about_is_not_confirmed_by_what_did() {
    let base = Counts { fsyncs: 50, held: [50, 0, 0], ..Counts::default() };
    let full = Counts { writes: 100, refused: 100, ..Counts::default() };
    for (profile, counts, confirmed) in [
        ("slow-fsync=20ms", base, true),
        ("slow-fsync=20ms+eio-read=100%", base, true),
        ("slow-fsync=20ms+eio-read=50%", Counts { reads: 100, ..base }, false),
        ("slow-fsync=20ms+eio-read=50%", Counts { reads: 100, reads_failed: 1, ..base }, true),
        ("slow-fsync=20ms+eio-read=50%", Counts { reads: 10, ..base }, true),
        ("slow-fsync=20ms+slow-read=1ms", Counts { reads: 100, ..base }, false),
        ("eio-fsync=100%+slow-fsync=20ms", Counts { held: [0; 3], fsyncs_failed: 50, ..base }, true),
        ("slow-fsync=20ms+room=0MiB", Counts { writes: 100, ..base }, true),
        ("slow-write=20ms+room=0MiB", full, true),
        ("eio-read=100%", Counts::default(), false),
    ] {
        assert_eq!(receipt(&profile.parse().unwrap(), &counts).confirmed, confirmed, "{profile}: {counts:?}");
    }
}

fn run(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("SKIPPED: {program} is not installed (setup.sh does it)");
            None
        }
        output => Some(output.unwrap()),
    }
}

/// A map of memory is written back when it is synced, and by the kernel when it likes: also after its process has died.
#[test]
fn what_is_written_through_a_memory_map_is_saved_by_msync() {
    in_namespaces("faults::disk::tests::what_is_written_through_a_memory_map_is_saved_by_msync", || {
        let bench = Bench::new();
        let file = bench.path("map");
        let script = format!(
            "import mmap, os, signal\nf = open('{0}', 'w+b'); f.truncate(8192); os.fsync(f.fileno())\n\
             m = mmap.mmap(f.fileno(), 8192); m[0:5] = b'saved'; m.flush(); m[4096:4100] = b'lost'\n\
             os.kill(os.getpid(), signal.SIGKILL)",
            file.display()
        );
        if run("python3", &["-c", &script]).is_none() {
            return;
        }
        let bytes = bench.read("map").unwrap();
        assert_eq!((&bytes[..5], &bytes[4096..4100]), (b"saved".as_slice(), b"lost".as_slice()));
        let lost = bench.lose(None);
        assert_eq!(lost.bytes, 4096, "{lost:?}");
        let bytes = bench.read("map").unwrap();
        assert_eq!((&bytes[..5], &bytes[4096..4100]), (b"saved".as_slice(), [0; 4].as_slice()));
        assert_eq!(bench.lose(None), Lost::default(), "nothing comes later");
    });
}

/// sqlite3 promises that what was committed with `synchronous=EXTRA` is there after a power failure. (With FULL the last
/// commit may be undone in mode `delete`, since nobody saves the directory then; and it was, here.)
#[test]
fn sqlite_keeps_what_it_committed() {
    in_namespaces("faults::disk::tests::sqlite_keeps_what_it_committed", || {
        for mode in ["delete", "truncate", "persist", "wal"] {
            for tearing in [None, Some(1), Some(2), Some(3)] {
                let bench = Bench::new();
                let database = bench.path("db").display().to_string();
                let begin = format!(
                    "PRAGMA journal_mode={mode}; PRAGMA synchronous=EXTRA; CREATE TABLE t (n INTEGER, text TEXT);"
                );
                let insert = |n: u32| format!("INSERT INTO t VALUES ({n}, hex(randomblob(600)));");
                let safe: String = (0..100).map(insert).collect();
                // The shell kills itself, so that nothing is cleaned up.
                let unsafe_ones: String = (100..150).map(insert).collect();
                let script = format!(
                    "{begin}{safe} PRAGMA synchronous=OFF; {unsafe_ones} SELECT count(*) FROM t;\n.shell kill -9 $PPID\n"
                );
                fs::write(bench.folder.path().with_extension("sql"), script).unwrap();
                let script = bench.folder.path().with_extension("sql");
                let read = format!(".read {}", script.display());
                let Some(output) = run("sqlite3", &[&database, &read]) else { return };
                fs::remove_file(script).unwrap();
                assert!(String::from_utf8_lossy(&output.stdout).contains("150"), "{output:?}");
                let lost = bench.lose(tearing);
                let check =
                    "PRAGMA integrity_check; SELECT count(*) FROM t; SELECT count(*) FROM t WHERE n < 100;";
                let output = run("sqlite3", &[&database, check]).unwrap();
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                println!(
                    "sqlite {mode}, tearing {tearing:?}: {lost:?}: {:?}",
                    said.lines().collect::<Vec<_>>()
                );
                let lines: Vec<&str> = said.lines().collect();
                if tearing.is_none() {
                    assert_eq!(lines, ["ok", "100", "100"], "{output:?}");
                } else if mode == "wal" {
                    // A log that is not synced ends where it is torn; the other modes may break then, as they say.
                    assert_eq!((lines[0], lines[2]), ("ok", "100"), "{output:?}");
                }
            }
        }
    });
}

/// Starts redis, sets 200 keys, kills it, lets the power fail, and tells how many keys there are after another start.
fn redis(fsync: &str) -> Option<usize> {
    let bench = Bench::new();
    let socket = bench.folder.path().with_extension("sock").display().to_string();
    let folder = bench.folder.path().display().to_string();
    let serve = || {
        let args =
            ["--dir", &folder, "--appendonly", "yes", "--appendfsync", fsync, "--save", "", "--port", "0"];
        let child = Command::new("redis-server")
            .args(args)
            .args(["--unixsocket", &socket])
            .stdout(Stdio::null())
            .spawn();
        let child = child.ok()?;
        let begin = Instant::now();
        while !run("redis-cli", &["-s", &socket, "dbsize"])?.stdout.starts_with(b"0")
            && !bench.path("done").exists()
        {
            assert!(begin.elapsed() < Duration::from_secs(30), "redis does not answer");
        }
        Some(child)
    };
    let Some(mut server) = serve() else {
        println!("SKIPPED: redis is not installed (setup.sh --all does it)");
        return None;
    };
    let keys: String = (0..200).map(|key| format!("set k{key} {key}\n")).collect();
    let mut client =
        Command::new("redis-cli").args(["-s", &socket]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    client.as_mut().unwrap().stdin.take().unwrap().write_all(keys.as_bytes()).unwrap();
    let said = client.unwrap().wait_with_output().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout).matches("OK").count(), 200);
    println!("redis, appendfsync {fsync}: {:?}", bench.lose(None));
    bench.file("done", b"").sync_all().unwrap();
    let mut server = serve()?;
    let size = loop {
        let said = String::from_utf8(run("redis-cli", &["-s", &socket, "dbsize"])?.stdout).unwrap();
        if let Ok(size) = said.trim().parse() {
            break size;
        }
    };
    server.kill().unwrap();
    server.wait().unwrap();
    fs::remove_file(&socket).unwrap();
    Some(size)
}

#[test]
fn redis_keeps_what_it_always_syncs_and_loses_what_it_syncs_each_second() {
    let name = "faults::disk::tests::redis_keeps_what_it_always_syncs_and_loses_what_it_syncs_each_second";
    in_namespaces(name, || {
        let Some(kept) = redis("always") else { return };
        assert_eq!(kept, 200);
        // The second may end just after the last key.
        let kept = (0..5).map(|_| redis("everysec").unwrap()).find(|kept| *kept < 200);
        assert!(kept.is_some(), "nothing was lost in five tries");
        println!("everysec kept {kept:?} of 200");
    });
}

/// A node whose fsync had failed was started again, read its log from the page cache, acknowledged what it found there and
/// lost it with the power: the pages count as written, so that no later fsync writes them.
#[test]
fn what_refkv_reads_at_its_start_is_on_disk() {
    use squall_refkv::raft::Record;
    use squall_refkv::raft::message::Vote;
    use squall_refkv::wal::Wal;
    in_namespaces("faults::disk::tests::what_refkv_reads_at_its_start_is_on_disk", || {
        let bench = Bench::new();
        let data = bench.path("data");
        let (mut wal, _) = Wal::open(&data).unwrap();
        wal.append(&[Record::Vote(Vote { term: 7, voted_for: Some("n1".into()) })]).unwrap();
        bench.fail("eio-fsync=100%");
        assert!(wal.sync().is_err());
        bench.fail("");
        drop(wal);
        let (wal, read) = Wal::open(&data).unwrap();
        assert_eq!(read.vote.term, 7);
        drop(wal);
        bench.lose(None);
        assert_eq!(Wal::open(&data).unwrap().1, read);
    });
}

/// Prints what the file system costs. `cargo test -p squall-nemeses --lib disk::tests::figures -- --nocapture`
#[test]
fn figures() {
    in_namespaces("faults::disk::tests::figures", || {
        let plain = tempfile::tempdir().unwrap();
        nix::mount::mount(
            Some("tmpfs"),
            plain.path(),
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        )
        .unwrap();
        let bench = Bench::new();
        for (name, folder) in [("tmpfs", plain.path()), ("squall", bench.folder.path())] {
            let mut file = File::create(folder.join("log")).unwrap();
            let mut took: Vec<Duration> = (0..2000)
                .map(|_| {
                    let begin = Instant::now();
                    file.write_all(&[7; 200]).unwrap();
                    file.sync_data().unwrap();
                    begin.elapsed()
                })
                .collect();
            took.sort_unstable();
            let begin = Instant::now();
            let mut file = File::create(folder.join("big")).unwrap();
            (0..256).for_each(|_| file.write_all(&[7; 1 << 18]).unwrap());
            let wrote = 64.0 / begin.elapsed().as_secs_f64();
            let begin = Instant::now();
            assert_eq!(fs::read(folder.join("big")).unwrap().len(), 64 << 20);
            let read = 64.0 / begin.elapsed().as_secs_f64();
            let begin = Instant::now();
            (0..500).for_each(|number| drop(File::create(folder.join(number.to_string())).unwrap()));
            let made = begin.elapsed() / 500;
            println!(
                "{name}: write + fdatasync of 200 bytes {:?} median, {:?} p99; writes {wrote:.0} MiB/s, reads {read:.0} \
                 MiB/s; create {made:?}",
                took[1000], took[1980]
            );
        }
        let begin = Instant::now();
        let lost = bench.disk().lose(None);
        println!("drop of {lost:?}: {:?}", begin.elapsed());
        assert_eq!(lost.files, 1);
    });
}
