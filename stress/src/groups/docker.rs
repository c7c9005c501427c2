//! Groups in containers, by the engine's own command line (`docker`).
//!
//! The image is built `FROM scratch` with this very binary as its only file, which therefore has to be static. The run
//! directory is mounted at its own path, and nothing else. All containers and images of a run carry its label.
//!
//! | What | By |
//! |---|---|
//! | a group starts | `docker run -i`: the group process is the first one of its container |
//! | pause, and on | `docker pause`, `docker unpause` |
//! | kill | `docker kill`; then the same container starts again: `docker start -ai` |
//! | restart | `docker restart`, and `docker attach` to talk to the new process. Not with `--rm`, so that there is something to restart |

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::unistd::{getegid, geteuid};
use tempfile::TempDir;

use super::errand::Errand;
use super::tether::tethered;

/// The name under which all images and containers of the tool are known to the engine.
const NAME: &str = "session-lock-stress";

/// The engine as one run uses it.
#[derive(Debug)]
pub(crate) struct Docker {
    run: String,
    dir: PathBuf,
    /// The image's files, until it is built.
    context: Option<TempDir>,
}

impl Docker {
    pub(crate) fn of(run: &str, dir: &Path) -> Self {
        Self { run: run.to_owned(), dir: dir.to_owned(), context: None }
    }

    /// What all containers and images of the run carry.
    pub(crate) fn label(&self) -> String {
        format!("{NAME}={}", self.run)
    }

    pub(crate) fn image(&self) -> String {
        format!("{NAME}:{}", self.run)
    }

    /// The container of this group, or of the anchor.
    pub(crate) fn container(&self, group: &str) -> String {
        format!("{NAME}-{}-{group}", self.run)
    }

    /// Begins to build the image.
    pub(crate) fn build(&mut self) -> anyhow::Result<Errand> {
        let context = tempfile::tempdir()?;
        fs::copy("/proc/self/exe", context.path().join("stress")).context("cannot copy this binary")?;
        // The label first: every layer carries it, also if the build is broken off between two of them.
        let steps = format!("FROM scratch\nLABEL {}\nCOPY stress /stress\nENTRYPOINT [\"/stress\"]\n", self.label());
        fs::write(context.path().join("Dockerfile"), steps)?;
        let mut command = docker(["build", "--quiet", "--network", "none", "--tag"]);
        command.arg(self.image()).arg(context.path()).env("DOCKER_BUILDKIT", "0");
        self.context = Some(context);
        Errand::start(command, "build the image")
    }

    /// The image is there.
    pub(crate) fn built(&mut self) {
        self.context = None;
    }

    /// Makes a container and starts it. `pids`: the container whose PID namespace it shares.
    pub(crate) fn run(&self, group: &str, pids: Option<&str>, words: &[String]) -> Command {
        let user = format!("{}:{}", geteuid(), getegid());
        let mut command = docker(["run", "--interactive", "--network", "none", "--user", &user, "--label"]);
        command.arg(self.label()).args(["--name", &self.container(group)]).args(["--mount", &bind(&self.dir)]);
        if let Some(anchor) = pids {
            command.arg("--pid").arg(format!("container:{}", self.container(anchor)));
        }
        command.arg(self.image()).args(words);
        command
    }

    /// Starts a container that was killed.
    pub(crate) fn start_again(&self, group: &str) -> Command {
        docker(["start", "--attach", "--interactive", &self.container(group)])
    }

    /// Talks to a container that was restarted.
    pub(crate) fn attach(&self, group: &str) -> Command {
        docker(["attach", &self.container(group)])
    }

    pub(crate) fn pause(&self, group: &str) -> anyhow::Result<Errand> {
        Errand::start(docker(["pause", &self.container(group)]), "pause a container")
    }

    pub(crate) fn unpause(&self, group: &str) -> anyhow::Result<Errand> {
        Errand::start(docker(["unpause", &self.container(group)]), "unpause a container")
    }

    pub(crate) fn kill(&self, group: &str) -> anyhow::Result<Errand> {
        Errand::start(docker(["kill", &self.container(group)]), "kill a container")
    }

    pub(crate) fn restart(&self, group: &str) -> anyhow::Result<Errand> {
        Errand::start(docker(["restart", "--time", "0", &self.container(group)]), "restart a container")
    }
}

/// The words of a mount at its own path: fields as in a table of comma-separated values, so that a path may hold anything.
fn bind(dir: &Path) -> String {
    let field = |name: &str| format!("\"{name}={}\"", dir.display().to_string().replace('"', "\"\""));
    format!("type=bind,{},{}", field("source"), field("target"))
}

/// Fails where there is no engine, or where this binary cannot live in an empty image.
pub(crate) fn check() -> anyhow::Result<()> {
    ensure!(
        !is_dynamic(Path::new("/proc/self/exe"))?,
        "this binary needs a dynamic loader, and an image made from scratch has none: build it with `cargo static`, \
         and use that one (target/<host>/release/stress)"
    );
    let version = docker(["version", "--format", "{{.Server.Version}}"]);
    Errand::start(version, "reach the engine").and_then(Errand::finish).context(
        "containers are not possible here: they need a running Docker engine and the right to use it (docker version)",
    )
}

/// Removes the containers with this label, in whatever state they are, and those that still appear within this time: the
/// engine may be in the midst of making one for a supervisor that is gone.
pub(crate) fn remove_containers(label: &str, late: Duration) -> anyhow::Result<()> {
    let mut none_since = Instant::now();
    let began = Instant::now();
    loop {
        let listed = docker_to_the_end(["ps", "--all", "--quiet", "--filter", &format!("label={label}")]).output()?;
        ensure!(listed.status.success(), "cannot list containers: {}", String::from_utf8_lossy(&listed.stderr).trim());
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let ids: Vec<_> = listed.split_whitespace().collect();
        if ids.is_empty() && none_since.elapsed() >= late {
            return Ok(());
        }
        if !ids.is_empty() {
            // Most are not paused, which is an error here and nowhere else.
            quiet(docker_to_the_end(["unpause"]).args(&ids))?;
            quiet(docker_to_the_end(["rm", "--force", "--volumes"]).args(&ids))?;
            none_since = Instant::now();
        }
        if began.elapsed() > REMOVAL {
            bail!("containers with the label {label} cannot be removed");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Removes the images with this label, also the layers of one that was never finished, and those that still appear within
/// this time.
pub(crate) fn remove_images(label: &str, late: Duration) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let words = ["images", "--all", "--quiet", "--filter", &format!("label={label}")];
        let listed = docker_to_the_end(words).output()?;
        ensure!(listed.status.success(), "cannot list images: {}", String::from_utf8_lossy(&listed.stderr).trim());
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let ids: Vec<_> = listed.split_whitespace().collect();
        if ids.is_empty() && began.elapsed() >= late {
            return Ok(());
        }
        if !ids.is_empty() {
            // A layer below another goes with that one, or in the next round.
            quiet(docker_to_the_end(["rmi", "--force"]).args(&ids))?;
        }
        ensure!(began.elapsed() < REMOVAL, "images with the label {label} cannot be removed");
        thread::sleep(Duration::from_millis(50));
    }
}

/// How long the engine may need to remove something.
const REMOVAL: Duration = Duration::from_secs(40);

fn quiet(command: &mut Command) -> anyhow::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    Ok(())
}

/// For the supervisor, which it does not outlive.
fn docker<const N: usize>(words: [&str; N]) -> Command {
    let mut command = tethered("docker");
    command.args(words);
    command
}

/// For the janitor, which waits for it.
fn docker_to_the_end<const N: usize>(words: [&str; N]) -> Command {
    let mut command = Command::new("docker");
    command.args(words);
    command
}

/// Whether a 64-bit ELF file names an interpreter (`PT_INTERP`).
fn is_dynamic(path: &Path) -> anyhow::Result<bool> {
    const PT_INTERP: u32 = 3;
    let mut head = Vec::new();
    File::open(path)?.take(64 * 1024).read_to_end(&mut head)?;
    let bytes = |at: usize, count: usize| head.get(at..at + count).context("this binary's headers cannot be read");
    let number = |at, count| -> anyhow::Result<u64> {
        Ok(bytes(at, count)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    ensure!(bytes(0, 5)? == b"\x7fELF\x02", "this binary is not a 64-bit ELF file");
    let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    for entry in 0..count {
        if number(usize::try_from(table + entry * size)?, 4)? == u64::from(PT_INTERP) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 64-bit ELF header with program headers of these types.
    fn elf(types: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..5].copy_from_slice(b"\x7fELF\x02");
        bytes[0x20] = 64;
        bytes[0x36] = 56;
        bytes[0x38] = u8::try_from(types.len()).expect("a few");
        for kind in types {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    #[test]
    fn a_path_may_hold_what_separates_words() {
        let words = bind(Path::new("/a b/c:d,\"e\""));
        assert_eq!(words, r#"type=bind,"source=/a b/c:d,""e""","target=/a b/c:d,""e""""#);
    }

    #[test]
    fn an_interpreter_makes_it_dynamic() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("elf");
        for (types, dynamic) in [(&[6, 3, 1][..], true), (&[6, 1, 2], false), (&[], false)] {
            fs::write(&path, elf(types)).expect("it is written");
            assert_eq!(is_dynamic(&path).expect("it is read"), dynamic, "{types:?}");
        }
        fs::write(&path, "#!/bin/sh").expect("it is written");
        assert!(is_dynamic(&path).is_err());
    }
}
