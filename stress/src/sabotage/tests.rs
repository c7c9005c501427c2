//! Each fault on a directory with forged lock files: it does what it says, says so in the history, and is undone.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use tempfile::TempDir;

use super::*;
use crate::history::Tail;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: RunOptions,
}

/// A run directory, and what is asked for.
struct Ground {
    dir: RunDir,
    options: RunOptions,
    _parent: TempDir,
}

const CLAIM: &[u8] = br#"{"pid":4711,"createdAt":"2026-11-21T07:00:00.123Z","starttime":88123}"#;
const LOCK: u16 = 0;
const NOT_LONG: Duration = Duration::from_millis(1);

impl Ground {
    fn new(faults: &str) -> Self {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let path = parent.path().join("run");
        let options = Line::parse_from(["stress", "--locks", "2", "--fault", faults]).options;
        let dir = RunDir::prepare(Some(&path), options.locks, options.crew()).expect("it is made");
        Self { dir, options, _parent: parent }
    }

    fn saboteur(&self, seed: u64) -> Saboteur {
        Saboteur::prepare(&self.options, &self.dir, seed).expect("it is possible here")
    }

    fn claim(&self) -> PathBuf {
        self.dir.sessions().join("0.jsonl.lock")
    }

    /// What the history says of sabotage, counted.
    fn told(&self) -> HashMap<(Event, Fault), u32> {
        let mut told = HashMap::new();
        let mut tail = Tail::open(&self.dir.history()).expect("it opens");
        let take = |record: Result<Record, _>| {
            let record = record.expect("only whole records");
            assert_eq!((record.worker, record.incarnation), (NOBODY, 0));
            *told.entry((record.event, record.fault.expect("each names its fault"))).or_default() += 1;
        };
        tail.read(take).expect("it is read");
        told
    }

    /// All names in the run directory.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("readable").map(|entry| entry.expect("readable"));
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// What is told of so many deeds that are over at once.
fn done_at_once(fault: Fault, times: u32) -> HashMap<(Event, Fault), u32> {
    [Event::Strike, Event::Relieve].map(|event| ((event, fault), times)).into()
}

#[test]
fn a_claim_that_is_there_is_deleted_and_one_that_is_not_does_not_count() {
    let ground = Ground::new("delete-claim=1");
    let mut saboteur = ground.saboteur(1);
    saboteur.strike(Fault::DeleteClaim, LOCK, NOT_LONG).expect("nothing to do");
    assert_eq!(ground.told(), HashMap::new());

    fs::write(ground.claim(), CLAIM).expect("written");
    saboteur.strike(Fault::DeleteClaim, LOCK, NOT_LONG).expect("done");
    assert!(!ground.claim().exists());
    assert_eq!(ground.told(), done_at_once(Fault::DeleteClaim, 1));
}

#[test]
fn a_truncated_claim_is_the_beginning_of_what_it_was() {
    let ground = Ground::new("truncate-claim=1");
    let mut lengths = Vec::new();
    for seed in 0..16 {
        fs::write(ground.claim(), CLAIM).expect("written");
        let inode = fs::metadata(ground.claim()).expect("there").ino();
        ground.saboteur(seed).strike(Fault::TruncateClaim, LOCK, NOT_LONG).expect("done");
        let left = fs::read(ground.claim()).expect("there");
        assert!(left.len() < CLAIM.len() && CLAIM.starts_with(&left));
        assert_eq!(fs::metadata(ground.claim()).expect("there").ino(), inode);
        lengths.push(left.len());
    }
    assert!(lengths.contains(&0) && lengths.iter().any(|&length| length > 0), "{lengths:?}");
    assert_eq!(ground.told(), done_at_once(Fault::TruncateClaim, 16));

    fs::write(ground.claim(), "").expect("written");
    ground.saboteur(1).strike(Fault::TruncateClaim, LOCK, NOT_LONG).expect("nothing to do");
    assert_eq!(ground.told(), done_at_once(Fault::TruncateClaim, 16));
}

#[test]
fn a_replaced_claim_is_another_file_that_says_what_an_older_peer_says() {
    let ground = Ground::new("replace-claim=1");
    let before = ground.names();
    let (mut with_start_time, mut living) = (0, 0);
    for seed in 0..32 {
        let mut saboteur = ground.saboteur(seed);
        saboteur.strike(Fault::ReplaceClaim, LOCK, NOT_LONG).expect("nothing to do");
        assert!(!ground.claim().exists());
        fs::write(ground.claim(), CLAIM).expect("written");
        let inode = fs::metadata(ground.claim()).expect("there").ino();
        saboteur.strike(Fault::ReplaceClaim, LOCK, NOT_LONG).expect("done");
        assert_ne!(fs::metadata(ground.claim()).expect("there").ino(), inode);
        let payload: serde_json::Value =
            serde_json::from_slice(&fs::read(ground.claim()).expect("there")).expect("it is JSON");
        let pid = payload["pid"].as_u64().expect("it names a pid");
        assert!(payload["createdAt"].is_string());
        with_start_time += u32::from(payload["starttime"].is_u64());
        living += u32::from(Path::new(&format!("/proc/{pid}")).exists());
        assert_eq!(fs::read_dir(ground.dir.sessions()).expect("readable").count(), 1, "no other name is ever there");
        fs::remove_file(ground.claim()).expect("removed");
    }
    assert!((1..32).contains(&with_start_time), "{with_start_time} of 32 with a start time");
    assert!((1..32).contains(&living), "{living} of 32 of a living process");
    assert_eq!(ground.told(), done_at_once(Fault::ReplaceClaim, 32));
    assert_eq!(ground.names(), before);
}

#[test]
fn a_forged_claim_gets_its_grace() {
    let ground = Ground::new("replace-claim=1");
    let mut saboteur = ground.saboteur(1);
    fs::write(ground.claim(), CLAIM).expect("written");
    for _ in 0..3 {
        saboteur.strike(Fault::ReplaceClaim, LOCK, NOT_LONG).expect("done");
    }
    assert_eq!(ground.told(), done_at_once(Fault::ReplaceClaim, 1));
    // Somebody takes over this very file.
    fs::write(ground.claim(), CLAIM).expect("written");
    saboteur.strike(Fault::ReplaceClaim, LOCK, NOT_LONG).expect("done");
    assert_eq!(ground.told(), done_at_once(Fault::ReplaceClaim, 2));
}

#[test]
fn links_are_never_followed() {
    let ground = Ground::new("delete-claim=1,truncate-claim=1,replace-claim=1,delete-state=1");
    let outside = tempfile::tempdir().expect("a temporary directory");
    let victim = outside.path().join("victim");
    fs::write(&victim, CLAIM).expect("written");
    symlink(&victim, ground.claim()).expect("linked");
    let state = ground.dir.sessions().join(".session-lock");
    symlink(outside.path(), &state).expect("linked");
    for seed in 0..8 {
        let mut saboteur = ground.saboteur(seed);
        for fault in [Fault::DeleteClaim, Fault::TruncateClaim, Fault::ReplaceClaim, Fault::DeleteState] {
            saboteur.strike(fault, LOCK, NOT_LONG).expect("nothing to do");
        }
    }
    assert_eq!(ground.told(), HashMap::new());

    // In a state directory that is one, a link goes like any other file.
    fs::remove_file(&state).expect("removed");
    for seed in 0..8 {
        fs::create_dir(&state).expect("made");
        symlink(outside.path(), state.join("arbiter-00")).expect("linked");
        ground.saboteur(seed).strike(Fault::DeleteState, LOCK, NOT_LONG).expect("done");
        assert!(!state.exists());
    }
    assert_eq!(fs::read(&victim).expect("there"), CLAIM);
}

#[test]
fn the_state_directory_goes_while_others_make_files_in_it() {
    let ground = Ground::new("delete-state=1");
    let before = ground.names();
    let state = ground.dir.sessions().join(".session-lock");
    for seed in 0..8 {
        let mut saboteur = ground.saboteur(seed);
        saboteur.strike(Fault::DeleteState, LOCK, NOT_LONG).expect("nothing to do");
        fs::create_dir(&state).expect("made");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Until the directory is gone, or the maker is ahead by this many.
                (0..10_000).any(|number| fs::write(state.join(number.to_string()), "").is_err());
            });
            saboteur.strike(Fault::DeleteState, LOCK, NOT_LONG).expect("done");
        });
        assert!(!state.exists());
    }
    assert_eq!(
        ground.told(),
        [((Event::Strike, Fault::DeleteState), 8), ((Event::Relieve, Fault::DeleteState), 8)].into()
    );
    assert_eq!(ground.names(), before);
}

/// Whether a full disk can be had, said if not.
fn mounts_are_possible(kind: SmallFs) -> bool {
    let tool = |name| Path::new("/usr/sbin").join(name).exists() || Path::new("/sbin").join(name).exists();
    let is_root = fs::metadata("/proc/self").expect("procfs is mounted").uid() == 0;
    let possible =
        is_root && (kind == SmallFs::Tmpfs || (tool("mkfs.ext4") && Path::new("/dev/loop-control").exists()));
    if !possible {
        eprintln!("skipped: needs root, and for ext4 mkfs.ext4 and loop devices");
    }
    possible
}

fn fills_and_empties(kind: SmallFs) {
    let mut ground = Ground::new("disk-full=1,inodes-full=1");
    ground.options.small_fs = kind;
    let before = ground.names();
    let file = ground.dir.sessions().join("file");
    let mut saboteur = ground.saboteur(1);
    assert_eq!(mounts(&ground.options, &ground.dir).len(), 2);
    let mode = fs::metadata(ground.dir.sessions()).expect("there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);

    fs::write(&file, "room").expect("there is room");
    saboteur.strike(Fault::DiskFull, LOCK, NOT_LONG).expect("done");
    // More than fits into an inode.
    let refused = fs::write(ground.dir.sessions().join("more"), vec![b'x'; 1 << 16]).expect_err("it is full");
    assert!(is_full(&refused), "{refused}");
    fs::remove_file(ground.dir.sessions().join("more")).expect("removed");
    saboteur.strike(Fault::DiskFull, LOCK, NOT_LONG).expect("it is left alone while it lasts");
    saboteur.relieve(Instant::now() + Duration::from_secs(1)).expect("done");
    fs::write(&file, vec![b'x'; 1 << 16]).expect("there is room again");

    saboteur.strike(Fault::InodesFull, LOCK, NOT_LONG).expect("done");
    let refused = fs::write(ground.dir.sessions().join("another"), "").expect_err("it is full");
    assert!(is_full(&refused), "{refused}");
    fs::remove_file(&file).expect("removed");
    saboteur.relieve(Instant::now().checked_sub(Duration::from_mins(1)).expect("up for a minute")).expect("done");
    assert!(fs::write(&file, "").is_err_and(|error| is_full(&error)), "what was given back is used up at once");
    saboteur.relieve_all().expect("done");
    fs::write(&file, "").expect("there is room again");

    let told = [Fault::DiskFull, Fault::InodesFull].map(|fault| [(Event::Strike, fault), (Event::Relieve, fault)]);
    assert_eq!(ground.told(), told.into_iter().flatten().map(|told| (told, 1)).collect());
    drop(saboteur);
    assert!(!file.exists(), "the small file system is gone");
    let kept = ground.dir.path().join("sessions-small");
    assert_eq!(fs::read(kept.join("file")).expect("what was there is kept"), b"");
    fs::remove_dir_all(kept).expect("removed");
    assert_eq!(ground.names(), before);
}

#[test]
fn what_needs_room_itself_does_not_count_on_a_full_disk() {
    if !mounts_are_possible(SmallFs::Tmpfs) {
        return;
    }
    let ground = Ground::new("inodes-full=1,replace-claim=1");
    let mut saboteur = ground.saboteur(1);
    fs::write(ground.claim(), CLAIM).expect("there is room");
    saboteur.strike(Fault::InodesFull, LOCK, NOT_LONG).expect("done");
    saboteur.strike(Fault::ReplaceClaim, LOCK, NOT_LONG).expect("nothing to do");
    assert_eq!(fs::read(ground.claim()).expect("there"), CLAIM);
    assert_eq!(ground.told(), [((Event::Strike, Fault::InodesFull), 1)].into());
    saboteur.relieve_all().expect("done");
    saboteur.strike(Fault::ReplaceClaim, LOCK, NOT_LONG).expect("done");
    assert_eq!(ground.told().get(&(Event::Strike, Fault::ReplaceClaim)), Some(&1));
}

#[test]
fn a_small_tmpfs_is_filled_and_given_back() {
    if mounts_are_possible(SmallFs::Tmpfs) {
        fills_and_empties(SmallFs::Tmpfs);
    }
}

#[test]
fn a_small_ext4_is_filled_and_given_back() {
    if mounts_are_possible(SmallFs::Ext4) {
        fills_and_empties(SmallFs::Ext4);
    }
}

#[test]
fn another_process_can_undo_the_mounts() {
    if !mounts_are_possible(SmallFs::Tmpfs) {
        return;
    }
    let ground = Ground::new("disk-full=1");
    let saboteur = ground.saboteur(1);
    fs::write(ground.dir.sessions().join("file"), "").expect("written");
    for point in mounts(&ground.options, &ground.dir) {
        undo_mount(&point).expect("unmounted");
        undo_mount(&point).expect("nothing is mounted there");
    }
    assert!(!ground.dir.sessions().join("file").exists());
    drop(saboteur);
}

#[test]
fn the_lock_directory_of_a_run_without_disk_faults_is_nobodys_mount() {
    let ground = Ground::new("delete-claim=1");
    assert_eq!(mounts(&ground.options, &ground.dir), Vec::<PathBuf>::new());
    assert_eq!(ground.saboteur(1).clock_truth_ns(), None);
}
