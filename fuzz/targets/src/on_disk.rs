//! Whatever lies at a claim's path, in a real directory: an acquire comes to what the content, the kind of file and the living
//! say, nothing that is not a claim is changed, and nothing beside it is touched.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use nix::sys::stat::Mode;
use session_lock::payload::Content;
use session_lock::protocol::Standing;
use session_lock::{LockDir, LockError};
use tempfile::TempDir;

use crate::{payload_structured, reference, temporary};

/// Runs the target on one input.
///
/// # Panics
///
/// On a finding, or if the directory cannot be used.
pub fn run(bytes: &[u8]) {
    thread_local!(static GROUND: Ground = Ground::prepare());
    GROUND.with(|ground| {
        if let Ok(case) = Case::choose(&mut Unstructured::new(bytes), &ground.ours) {
            ground.check(&case);
        }
    });
}

/// What lies beside the claim and is nobody's business.
const NEIGHBOURS: [(&str, &str); 4] = [
    ("42.jsonl", "{\"pid\":1}\n"),
    ("yarn.lock", "# yarn lockfile v1\n"),
    ("43.jsonl.lock", "{\"pid\":4242,\"createdAt\":\"2026-02-01T10:00:00.000Z\"}"),
    ("victim", "{}"),
];
const SESSION: &str = "42.jsonl";
const CLAIM: &str = "42.jsonl.lock";
/// Another name of the claim.
const LINK: &str = "backup";
/// Whoever waits for the living waits in vain.
const IN_VAIN: Duration = Duration::from_millis(1);
/// Whoever does not is never kept waiting so long, whatever else the machine does.
const PLENTY: Duration = Duration::from_mins(5);

/// What is at the claim's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nothing,
    Regular,
    /// With another name.
    Linked,
    /// That somebody has open for writing.
    Open,
    Directory,
    Fifo,
    Symlink,
    DanglingSymlink,
}

#[derive(Debug)]
struct Case {
    kind: Kind,
    content: Vec<u8>,
    permissions: u32,
}

impl Case {
    fn choose(choices: &mut Unstructured<'_>, ours: &[u8]) -> Result<Self> {
        let kinds = [
            Kind::Regular,
            Kind::Regular,
            Kind::Open,
            Kind::Linked,
            Kind::Nothing,
            Kind::Directory,
            Kind::Fifo,
            Kind::Symlink,
            Kind::DanglingSymlink,
        ];
        let kind = *choices.choose(&kinds)?;
        // The owner can always read and write: what a mode forbids depends on who runs this.
        let permissions = choices.int_in_range(0..=0o7777)? | 0o600;
        let content = match choices.int_in_range(0..=3_u8)? {
            0 => choices.bytes(choices.len())?.to_vec(),
            1 => {
                let mut content = ours.to_vec();
                for _ in 0..choices.int_in_range(0..=2_u8)? {
                    payload_structured::change(&mut content, choices)?;
                }
                content
            }
            _ => payload_structured::claim(choices)?,
        };
        Ok(Self { kind, content, permissions })
    }
}

/// What an acquire has to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Acquired,
    /// Somebody living has it.
    Timeout,
    NotAClaim,
}

struct Ground {
    directory: TempDir,
    locks: LockDir,
    /// A claim of this process, as it left it.
    ours: Vec<u8>,
}

impl Ground {
    fn prepare() -> Self {
        let directory = temporary();
        for (name, content) in NEIGHBOURS {
            fs::write(directory.path().join(name), content).expect("the directory is writable");
        }
        let options = LockDir::options().grace(Duration::ZERO).without_counters().any_permissions();
        let locks = options.open(directory.path()).expect("locks can be had there");
        let guard = locks.lock(SESSION).blocking().expect("nobody else knows the directory");
        let ours = fs::read(directory.path().join(CLAIM)).expect("it is held");
        guard.release().expect("nobody else knows it");
        Self { directory, locks, ours }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn check(&self, case: &Case) {
        let claim = self.path(CLAIM);
        let opened = self.put(case, &claim);
        let before = Seen::at(&claim);
        let expected = self.expected(case);
        let patience = if expected == Expected::Timeout { IN_VAIN } else { PLENTY };
        match (self.locks.lock(SESSION).timeout(patience).blocking(), expected) {
            (Ok(guard), Expected::Acquired) => {
                let content = Content::classify(&fs::read(&claim).expect("it is held"));
                assert_eq!(content.payload().and_then(|payload| payload.token), Some(guard.token()));
                guard.release().expect("nobody takes it away");
                assert_eq!(Seen::at(&claim), None, "a released claim is gone");
            }
            (Err(LockError::Timeout { .. }), Expected::Timeout)
            | (Err(LockError::NotAClaim { .. }), Expected::NotAClaim) => {
                assert_eq!(Seen::at(&claim), before, "what is not taken over is as it was");
                remove(&claim);
            }
            (found, expected) => {
                panic!(
                    "{expected:?} was expected, and there is {found:?}: {:?} {}",
                    case.kind,
                    case.content.escape_ascii()
                )
            }
        }
        drop(opened);
        if case.kind == Kind::Linked {
            remove(&self.path(LINK));
        }
        self.nothing_else_is_there();
    }

    /// Puts it at the claim's path. What somebody has open stays open until that is dropped.
    fn put(&self, case: &Case, claim: &Path) -> Option<File> {
        match case.kind {
            Kind::Nothing => return None,
            Kind::Directory => fs::create_dir(claim).expect("the name is free"),
            Kind::Fifo => nix::unistd::mkfifo(claim, Mode::S_IRWXU).expect("the name is free"),
            Kind::Symlink => symlink("victim", claim).expect("the name is free"),
            Kind::DanglingSymlink => symlink("nothing", claim).expect("the name is free"),
            Kind::Regular | Kind::Linked | Kind::Open => {
                fs::write(claim, &case.content).expect("the name is free");
                fs::set_permissions(claim, Permissions::from_mode(case.permissions)).expect("it is ours");
            }
        }
        match case.kind {
            Kind::Linked => fs::hard_link(claim, self.path(LINK)).map(|()| None).expect("the name is free"),
            Kind::Open => Some(File::options().write(true).open(claim).expect("it is ours")),
            _ => None,
        }
    }

    fn expected(&self, case: &Case) -> Expected {
        match case.kind {
            Kind::Nothing => return Expected::Acquired,
            Kind::Directory | Kind::Fifo | Kind::Symlink | Kind::DanglingSymlink => return Expected::NotAClaim,
            Kind::Regular | Kind::Linked | Kind::Open => {}
        }
        let content = reference::classify(&case.content);
        match (&content, case.kind) {
            (Content::NotAClaim, _) => Expected::NotAClaim,
            // A file with a second name may be anything; only a claim of this crate says of itself that it is one.
            (content, Kind::Linked) if !content.is_ours() => Expected::NotAClaim,
            (content, Kind::Open) if !self.backs(content) => Expected::Timeout,
            _ => Expected::Acquired,
        }
    }

    /// The claim names the arbiter that its next owner will have locked by then, so its owner is gone, whoever has it open.
    fn backs(&self, content: &Content) -> bool {
        let ours = reference::classify(&self.ours);
        let named = ours.payload().and_then(|ours| Some((ours.arbiter?, ours.boot_id?)));
        named.is_some_and(|(arbiter, boot_id)| content.standing(&arbiter, &boot_id) == Standing::OwnArbiter)
    }

    fn nothing_else_is_there(&self) {
        let entries = fs::read_dir(self.directory.path()).expect("it is ours");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("it is ours").file_name()).collect();
        names.retain(|name| name != ".session-lock");
        names.sort();
        let mut expected = NEIGHBOURS.map(|(name, _)| name);
        expected.sort_unstable();
        assert_eq!(names, expected, "nothing is left, and nothing is missing");
        for (name, content) in NEIGHBOURS {
            let found = fs::read(self.path(name)).expect("it was listed");
            assert_eq!(found, content.as_bytes(), "{name} is as it was");
        }
    }
}

/// What can be seen of a file without opening it, and its content if it is a regular one.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    inode: u64,
    mode: u32,
    size: u64,
    links: u64,
    content: Option<Vec<u8>>,
}

impl Seen {
    fn at(path: &Path) -> Option<Self> {
        let found = fs::symlink_metadata(path).ok()?;
        let content = found.is_file().then(|| fs::read(path).expect("it is ours"));
        Some(Self { inode: found.ino(), mode: found.mode(), size: found.size(), links: found.nlink(), content })
    }
}

fn remove(path: &Path) {
    fs::remove_file(path).or_else(|_| fs::remove_dir(path)).expect("it is there, and ours");
}
