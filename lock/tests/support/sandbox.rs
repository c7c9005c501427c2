//! Children of a test: this test program again, for one test, in a role. Limits, users and mounts end with them.

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::process::{Child, Command, Stdio};

const ROLE: &str = "SESSION_LOCK_TEST_ROLE";

/// What a test needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    Root,
    /// Root, and a mount namespace of its own, so that no mount outlives the test.
    Mounts,
    /// A user namespace of its own, with the limits that belong to one.
    Users,
}

impl Needs {
    fn missing(self) -> Option<&'static str> {
        let is_root = Uid::effective().is_root();
        match self {
            Self::Root if !is_root => Some("root"),
            Self::Mounts if !is_root || !works(mounts_of_its_own().arg("true")) => Some("root and mount namespaces"),
            Self::Users if !works(users_of_its_own().arg("true")) => Some("user namespaces"),
            _ => None,
        }
    }

    fn command(self) -> Command {
        match self {
            Self::Nothing | Self::Root => Command::new("env"),
            Self::Mounts => mounts_of_its_own(),
            Self::Users => users_of_its_own(),
        }
    }
}

fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn mounts_of_its_own() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]);
    command
}

fn users_of_its_own() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--"]);
    command
}

/// Runs `body` in a process of its own, unless something is missing: then says that the test is skipped. `test` is the
/// test's name in its program.
pub fn isolated(test: &str, needs: Needs, body: impl FnOnce()) {
    if role().is_some() {
        return body();
    }
    if let Some(missing) = needs.missing() {
        return skipped(test, missing);
    }
    let output = in_role(needs.command(), test, "isolated").output().expect("the test program runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}: {}\n{said}", output.status);
    assert!(said.contains("1 passed"), "{test} did not run:\n{said}");
    for line in said.lines().filter(|line| line.contains("skipped: ")) {
        eprintln!("{line}");
    }
}

/// The role of this process, in a child.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Starts this program again for `test` in `role`; the test looks at [`role`].
pub fn start(test: &str, role: &str) -> Child {
    in_role(Command::new("env"), test, role).stdout(Stdio::null()).spawn().expect("the test program runs")
}

fn in_role(mut command: Command, test: &str, role: &str) -> Command {
    command.arg(std::env::current_exe().expect("this program")).args(["--exact", test, "--nocapture"]);
    command.args(["--test-threads", "1"]).env(ROLE, role);
    command
}

/// Says that a test is skipped.
pub fn skipped(test: &str, needs: &str) {
    eprintln!("skipped: {test}: needs {needs}");
}

/// Becomes an ordinary user for good.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let groups: Vec<_> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    setgroups(&groups).expect("root may");
    setresgid(gid, gid, gid).expect("root may");
    setresuid(uid, uid, uid).expect("root may");
}
