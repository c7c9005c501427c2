//! Makes the owners of one place, lets its asker ask, and compares with the table.

use crate::LONG;
use crate::place::{GROUP, OWNER, Place, User};
use crate::table::{Outcome, Row};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;
use tempfile::TempDir;

/// A directory that the group shares, and this program where every user may start it.
pub(crate) struct Ground {
    _dir: TempDir,
    sessions: PathBuf,
    program: PathBuf,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (sessions, program) = (dir.path().join("sessions"), dir.path().join("program"));
        let permit = |path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("chmod");
        std::fs::copy(std::env::current_exe().expect("this program"), &program).expect("copied");
        std::fs::create_dir(&sessions).expect("created");
        std::os::unix::fs::chown(&sessions, Some(OWNER), Some(GROUP)).expect("root may");
        permit(dir.path(), 0o755);
        permit(&program, 0o755);
        permit(&sessions, 0o2770);
        Self { _dir: dir, sessions, program }
    }
}

/// An owner in its state, and its claim as it was when the asker was started.
struct Owner<'a> {
    row: &'a Row,
    session: String,
    process: Process,
    claim: PathBuf,
    before: (u64, Vec<u8>),
}

/// Fails if an owner of this place is not judged as its row says. Returns the living owners that the rule that trusts pids
/// would have robbed.
pub(crate) fn judge(ground: &Ground, rows: &[Row], place: Place) -> Vec<(Place, String)> {
    let owners = owners(ground, rows, place);
    let mut command = place.command();
    command.arg(&ground.program).args(["enter", &place.hidepid.to_string(), &place.user.uid().to_string()]);
    command.args(owners.iter().map(|owner| owner.session.as_str())).current_dir(&ground.sessions);
    let mut asker = Process::start(command);

    let mut robbed = Vec::new();
    let mut open: Vec<&Owner> = owners.iter().collect();
    while !open.is_empty() {
        let line = asker.line();
        let fields: Vec<_> = line.split('\t').collect();
        let [what, session, detail] = fields[..] else { panic!("{place:?}: {line}") };
        let owner = owners.iter().find(|owner| owner.session == session).expect("it asks for what it was told");
        let found = match (what, detail) {
            ("rule", "dead") if owner.row.is_alive() => {
                robbed.push((place, owner.row.state.clone()));
                continue;
            }
            // A machine under load may need more than one deadline for one grace.
            ("rule", _) | ("waits", "grace") => continue,
            ("waits", "held") => Outcome::Held,
            ("waits", "unknown") => Outcome::Unknown,
            ("taken", reason) => {
                let ours = owner.row.kind == "holder";
                assert_eq!(reason == "OwnerExited", ours, "{place:?}, {:?}: {line}", owner.row);
                Outcome::Taken
            }
            _ => panic!("{place:?}, {:?}: {line}", owner.row),
        };
        assert_eq!(found, owner.row.outcome(place.user), "{place:?}, {:?}: {line}", owner.row);
        open.retain(|other| other.session != session);
    }
    asker.end();
    for owner in owners {
        owner.check(place);
    }
    robbed
}

/// The rule that trusts pids is right where the owner's pid and start time mean what they say, and robs where they do not.
pub(crate) fn control(robbed: &[(Place, String)], rows: &[Row]) {
    let alive = rows.iter().filter(|row| row.is_alive()).count();
    for place in crate::place::all() {
        let victims = robbed.iter().filter(|(at, _)| *at == place).count();
        if place.foreign_pids {
            assert_eq!(victims, alive, "{place:?}: the owner's pid is nobody's here");
        } else if !place.other_time {
            assert_eq!(victims, 0, "{place:?}: the owner's pid is its own here");
        }
    }
    let by_time = |(at, _): &(Place, String)| !at.foreign_pids && at.other_time && at.user == User::Same;
    assert!(robbed.iter().any(by_time), "a start time of another time namespace differs");
}

fn owners<'a>(ground: &Ground, rows: &'a [Row], place: Place) -> Vec<Owner<'a>> {
    let Place { hidepid, foreign_pids, other_time, user } = place;
    let name = |row: &Row| format!("{hidepid}-{foreign_pids}-{other_time}-{user:?}-{}-{}", row.kind, row.state);
    let start = |row: &'a Row| {
        let session = name(row).replace(' ', "-");
        let mut command = Command::new(&ground.program);
        command.args(["owner", &row.kind, &row.state, &session]).current_dir(&ground.sessions).uid(OWNER).gid(GROUP);
        (row, session, Process::start(command))
    };
    let started: Vec<_> = rows.iter().map(start).collect();
    let settle = |(row, session, mut process): (&'a Row, String, Process)| {
        assert_eq!(process.line(), "held");
        process.put_into(&row.state);
        let claim = ground.sessions.join(format!("{session}.lock"));
        let before = claim_at(&claim).expect("the claim is there");
        Owner { row, session, process, claim, before }
    };
    started.into_iter().map(settle).collect()
}

fn claim_at(path: &PathBuf) -> Option<(u64, Vec<u8>)> {
    Some((std::fs::metadata(path).ok()?.ino(), std::fs::read(path).ok()?))
}

impl Owner<'_> {
    /// What the asker left: the claim as it was, or nothing.
    fn check(self, place: Place) {
        let after = claim_at(&self.claim);
        match self.row.outcome(place.user) {
            Outcome::Taken => assert_eq!(after, None, "{place:?}, {:?}", self.row),
            Outcome::Held | Outcome::Unknown => assert_eq!(after, Some(self.before), "{place:?}, {:?}", self.row),
        }
        if self.row.is_alive() {
            assert!(self.process.is_alive(), "{place:?}, {:?}: the owner did not live to be robbed", self.row);
        }
    }
}

/// A process of this program and what it says. Killed when dropped.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (said, lines) = channel();
        // A process that says nothing fails the test instead of hanging it.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.recv_timeout(LONG).expect("it says something, and lives")
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn put_into(&mut self, state: &str) {
        let signal = |signal| kill_process(self.pid(), signal).expect("our child");
        match state {
            "running" => {}
            "stopped" => {
                signal(Signal::STOP);
                self.wait_for_state('T');
            }
            "leader exited" => self.wait_for_state('Z'),
            "zombie" => {
                signal(Signal::KILL);
                // Once the last thread is gone, and not only the leader.
                waitid(WaitId::Pid(self.pid()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("our child");
                self.wait_for_state('Z');
            }
            "reaped" => {
                self.child.kill().expect("our child");
                self.child.wait().expect("our child");
            }
            state => panic!("{state} is no state of an owner"),
        }
    }

    fn wait_for_state(&self, state: char) {
        let end = Instant::now() + LONG;
        while self.state() != Some(state) {
            assert!(Instant::now() < end, "it never came to be {state}");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Field 3 of `proc_pid_stat(5)`.
    fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        stat.rsplit_once(')')?.1.trim_start().chars().next()
    }

    fn is_alive(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        waitid(WaitId::Pid(self.pid()), options).is_ok_and(|ended| ended.is_none())
    }

    /// Ends its input and waits for its end.
    fn end(&mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
