//! A program that does something for the supervisor while that goes on: the engine takes its time.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A program that was started and is looked at now and then.
#[derive(Debug)]
pub(crate) struct Errand {
    child: Child,
    what: String,
    said: File,
    began: Instant,
}

const BOUND: Duration = Duration::from_mins(2);

impl Errand {
    /// Starts it. `what`: for the error, as in "cannot pause a container".
    pub(crate) fn start(mut command: Command, what: &str) -> anyhow::Result<Self> {
        let said = tempfile::tempfile()?;
        // A process group of its own: ^C is for the supervisor.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot {what}"))?;
        Ok(Self { child, what: what.to_owned(), said, began: Instant::now() })
    }

    /// Whether it is done.
    pub(crate) fn is_done(&mut self) -> anyhow::Result<bool> {
        match self.child.try_wait()? {
            Some(status) if status.success() => Ok(true),
            Some(status) => {
                let mut said = String::new();
                self.said.rewind()?;
                self.said.read_to_string(&mut said)?;
                bail!("cannot {}: {} ({status})", self.what, said.trim());
            }
            None if self.began.elapsed() > BOUND => bail!("cannot {}: it does not end", self.what),
            None => Ok(false),
        }
    }

    /// Waits until it is done.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        while !self.is_done()? {
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Errand {
    /// One that is given up is ended.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
