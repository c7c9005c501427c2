//! A small file system for the lock directory, so that it can be full without the rest of the machine noticing.
//!
//! It is mounted at `small/` in the run directory, before there is any worker, and its `sessions/` is mounted once more over
//! the run directory's. So the lock directory keeps its path, containers and mount namespaces that are made later see it
//! there, and what fills it lies beside it: in `small/filler`. What is in the lock directory at the end is kept in
//! `sessions-small/`, because it goes with the file system.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::ValueEnum;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::{Deserialize, Serialize};

use super::{if_there, is_full, make_dir};
use crate::options::RunOptions;
use crate::run_dir::RunDir;

/// What the lock directory's file system is, where it has to be a small one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SmallFs {
    /// In memory
    Tmpfs,
    /// On a loop device: blocks are allocated when they are written back
    Ext4,
}

impl SmallFs {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Blocks are used up in steps from this size on, down to [`SMALLEST_STEP`].
const LARGEST_STEP: i64 = 1 << 20;
/// No file system has smaller blocks.
const SMALLEST_STEP: i64 = 1 << 10;
/// Many times what a small file system has.
const MOST_FILES: u64 = 1 << 20;

/// How much there is of what can be used up.
#[derive(Debug, Clone, Copy)]
struct Size {
    bytes: u64,
    inodes: u64,
}

impl Size {
    /// Ample for the locks and workers of a run, and used up in milliseconds: a claim and its second name for each, a
    /// slot of counters for each worker, and what the locks share.
    fn of(options: &RunOptions) -> Self {
        let (locks, crew) = (u64::from(options.locks), u64::from(options.crew()));
        Self { bytes: (8 << 20) + (locks * 8 + crew * 128) * 1024, inodes: 256 + 4 * locks + 8 * crew }
    }
}

/// Where something is mounted for a run, the upper one first.
pub(super) fn mount_points(dir: &RunDir) -> [PathBuf; 2] {
    [dir.sessions(), dir.path().join("small")]
}

/// Unmounts what is mounted there, also from under those who use it. Nothing is mounted there: nothing is done.
pub(crate) fn undo_mount(path: &Path) -> anyhow::Result<()> {
    // One over the other, if earlier runs could not clean up.
    for _ in 0..16 {
        match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => break,
            Err(errno) => return Err(errno).with_context(|| format!("cannot unmount {}", path.display())),
        }
    }
    Ok(())
}

/// The file system while it is mounted.
#[derive(Debug)]
pub(super) struct SmallDisk {
    mounted: Mounted,
    blocks: File,
    filler: PathBuf,
    used_bytes: i64,
    used_files: u64,
}

impl SmallDisk {
    pub(super) fn mount(options: &RunOptions, dir: &RunDir) -> anyhow::Result<Self> {
        let points = mount_points(dir);
        for point in &points {
            // Where that is not allowed, nothing can have been mounted.
            undo_mount(point).ok();
        }
        let kept = dir.sessions_small();
        if_there(fs::remove_dir_all(&kept))?;
        let mounted = Mounted { points, image: dir.path().join("small.img"), kept };
        let [over, small] = &mounted.points;
        make_dir(small)?;
        match options.small_fs {
            SmallFs::Tmpfs => mount_tmpfs(small, Size::of(options)),
            SmallFs::Ext4 => mount_ext4(&mounted.image, small, Size::of(options)),
        }
        .context("a full disk needs a small file system of its own")?;
        fs::set_permissions(small, Permissions::from_mode(0o700))?;
        let (sessions, filler) = (small.join("sessions"), small.join("filler"));
        make_dir(&sessions)?;
        make_dir(&filler)?;
        mount(Some(&sessions), over, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .context("cannot mount the small file system over the lock directory")?;
        let blocks = OpenOptions::new().write(true).create(true).truncate(true).open(small.join("blocks"))?;
        Ok(Self { mounted, blocks, filler, used_bytes: 0, used_files: 0 })
    }

    /// The file system's own root.
    pub(super) fn path(&self) -> &Path {
        &self.mounted.points[1]
    }

    pub(super) fn use_up_blocks(&mut self) -> io::Result<()> {
        let mut step = if self.used_bytes == 0 { LARGEST_STEP } else { 4 * SMALLEST_STEP };
        while step >= SMALLEST_STEP {
            match fallocate(&self.blocks, FallocateFlags::empty(), self.used_bytes, step) {
                Ok(()) => self.used_bytes += step,
                Err(Errno::EINTR) => {}
                Err(Errno::ENOSPC) => step /= 2,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    pub(super) fn give_back_blocks(&mut self) -> io::Result<()> {
        self.used_bytes = 0;
        self.blocks.set_len(0)
    }

    pub(super) fn use_up_inodes(&mut self) -> io::Result<()> {
        while self.used_files < MOST_FILES {
            match File::create_new(self.filler.join(self.used_files.to_string())) {
                Ok(_) => self.used_files += 1,
                Err(error) if is_full(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn give_back_inodes(&mut self) -> io::Result<()> {
        for number in 0..std::mem::take(&mut self.used_files) {
            if_there(fs::remove_file(self.filler.join(number.to_string())))?;
        }
        Ok(())
    }
}

/// Unmounts when it is dropped.
#[derive(Debug)]
struct Mounted {
    points: [PathBuf; 2],
    image: PathBuf,
    kept: PathBuf,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // For people to look at: what cannot be kept does not change the verdict.
        keep(&self.points[1].join("sessions"), &self.kept).ok();
        for point in &self.points {
            undo_mount(point).ok();
        }
        fs::remove_dir(&self.points[1]).ok();
        fs::remove_file(&self.image).ok();
    }
}

/// Copies the directories and regular files that are there, and nothing else.
fn keep(from: &Path, to: &Path) -> io::Result<()> {
    let entries = fs::read_dir(from)?;
    fs::create_dir(to)?;
    for entry in entries {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            keep(&entry.path(), &to)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn mount_tmpfs(small: &Path, Size { bytes, inodes }: Size) -> anyhow::Result<()> {
    let data = format!("size={bytes},nr_inodes={inodes},mode=0700");
    mount(Some("tmpfs"), small, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(data.as_str()))
        .context("cannot mount a tmpfs: it needs CAP_SYS_ADMIN")
}

/// By the usual commands, because a loop device is set up by ioctls.
fn mount_ext4(image: &Path, small: &Path, Size { bytes, inodes }: Size) -> anyhow::Result<()> {
    if_there(fs::remove_file(image))?;
    // Its journal wants room as well.
    File::create_new(image)?.set_len(bytes + (16 << 20))?;
    let inodes = inodes.to_string();
    // No block is kept back for root, who the workers may be.
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-N", &inodes]).arg(image))?;
    run(Command::new("mount").args(["-t", "ext4", "-o", "loop,nosuid,nodev"]).arg(image).arg(small))
        .context("cannot mount an ext4 image: it needs root and a loop device")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    // A process group of its own: ^C is for the supervisor.
    let output =
        command.stdin(Stdio::null()).process_group(0).output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
