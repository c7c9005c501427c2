//! The real side of a script: a directory on a file system, and who acts in it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use session_lock::Spares;
use session_lock::protocol::{Completion, Inode};
use session_lock_stress::model::script::{Act, Answer, Cast, Deed, Deletion, Found, OlderDeed, ReaderDeed, View};

use crate::player::{Kind, Player, SESSION};

/// As an older peer writes it, short enough that no payload of this crate is shorter.
const OLDER_PAYLOAD: &[u8] = br#"{"pid":1,"createdAt":"2026-01-01T00:00:00Z"}"#;

/// Behind it an arbiter has a byte for each token.
const ARBITER_HEADER: u64 = 64;

/// A directory for many scripts, one after another. It goes with this.
pub(crate) struct Stage {
    dir: tempfile::TempDir,
    claim: PathBuf,
    state: PathBuf,
    players: Vec<Player>,
    older: Vec<Option<File>>,
    reader: Option<File>,
    spares: Spares,
}

impl Stage {
    pub(crate) fn new(parent: &Path, kind: Kind) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("conformance-").tempdir_in(parent)?;
        let players = (0..Cast::MAX_PROCESSES).map(|_| Player::new(kind, dir.path())).collect::<Result<_, _>>()?;
        Ok(Self {
            claim: dir.path().join(format!("{SESSION}.lock")),
            state: dir.path().join(".session-lock"),
            players,
            older: (0..Cast::MAX_OLDER).map(|_| None).collect(),
            reader: None,
            spares: Spares::Never,
            dir,
        })
    }

    /// The beginning of a script: nothing but the arbiter is there, and no token has been taken from it.
    pub(crate) fn reset(&mut self, cast: Cast) -> io::Result<()> {
        self.players.iter_mut().try_for_each(Player::reset)?;
        self.older.fill_with(|| None);
        self.reader = None;
        self.spares = cast.spares;
        gone(fs::remove_file(&self.claim))?;
        self.delete_named("spare-")?;
        if let Some((name, _)) = self.state_files()?.iter().find(|(name, _)| name.starts_with("arbiter-")) {
            return File::options().write(true).open(self.state.join(name))?.set_len(ARBITER_HEADER);
        }
        self.players[0].act(Deed::Start, cast.spares)?;
        self.players[0].reset()
    }

    pub(crate) fn act(&mut self, act: Act) -> io::Result<Answer> {
        match act {
            Act::Process(who, deed) => self.players[usize::from(who)].act(deed, self.spares),
            Act::Older(who, deed) => self.older(usize::from(who), deed),
            Act::Reader(ReaderDeed::Read) => self.read(),
            Act::Reader(ReaderDeed::Close) => {
                self.reader = None;
                Ok(Answer::Completed(Completion::Done))
            }
            Act::Delete(deletion) => {
                match deletion {
                    Deletion::Claim => fs::remove_file(&self.claim)?,
                    Deletion::Arbiter => self.delete_named("arbiter-").map(drop)?,
                    Deletion::Spares => self.delete_named("spare-").map(drop)?,
                    Deletion::State => fs::remove_dir_all(&self.state)?,
                }
                Ok(Answer::Completed(Completion::Done))
            }
        }
    }

    pub(crate) fn view(&self) -> io::Result<View> {
        let claim = match self.claim.symlink_metadata() {
            Ok(found) => Some(Inode { dev: found.dev(), ino: found.ino() }),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let dev = self.dir.path().metadata()?.dev();
        let mut view = View { claim, ..View::default() };
        for (name, ino) in self.state_files()? {
            view.arbiter |= name.starts_with("arbiter-");
            if name.starts_with("spare-") {
                view.spares.push(Inode { dev, ino });
            }
        }
        Ok(view)
    }

    fn state_files(&self) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(&self.state) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries
            .map(|entry| entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.ino())))
            .collect()
    }

    fn delete_named(&self, prefix: &str) -> io::Result<usize> {
        let files = self.state_files()?;
        let named = files.iter().filter(|(name, _)| name.starts_with(prefix));
        let mut deleted = 0;
        for (name, _) in named {
            fs::remove_file(self.state.join(name))?;
            deleted += 1;
        }
        Ok(deleted)
    }

    fn older(&mut self, who: usize, deed: OlderDeed) -> io::Result<Answer> {
        let open = &mut self.older[who];
        let done = match deed {
            OlderDeed::Create => match File::options().write(true).create_new(true).open(&self.claim) {
                Ok(file) => {
                    *open = Some(file);
                    Completion::Done
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Completion::Exists,
                Err(error) => return Err(error),
            },
            OlderDeed::Write => {
                open.as_mut().expect("it has created its claim").write_all(OLDER_PAYLOAD)?;
                Completion::Done
            }
            OlderDeed::Close | OlderDeed::Kill => {
                *open = None;
                Completion::Done
            }
            OlderDeed::Unlink => match fs::remove_file(&self.claim) {
                Ok(()) => Completion::Done,
                Err(error) if error.kind() == ErrorKind::NotFound => Completion::Gone,
                Err(error) => return Err(error),
            },
        };
        Ok(Answer::Completed(done))
    }

    fn read(&mut self) -> io::Result<Answer> {
        self.reader = None;
        let mut file = match File::open(&self.claim) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Answer::Completed(Completion::Gone)),
            file => file?,
        };
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        self.reader = Some(file);
        Ok(Answer::Found(match text.as_str() {
            "" => Found::Empty,
            text if text.contains(r#""arbiter""#) => Found::Ours,
            _ => Found::Foreign,
        }))
    }
}

fn gone(deleted: io::Result<()>) -> io::Result<()> {
    match deleted {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        deleted => deleted,
    }
}
