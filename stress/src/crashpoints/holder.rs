//! Who holds the lock when a victim comes for it, and how that ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Child;

use anyhow::Context;

use super::scenario::OLDER;
use super::setting::Setting;
use super::victim::released;
use crate::peers::Held;

/// Who is in the victim's way.
pub(super) enum Holder {
    Nobody,
    Judge(Box<dyn Held>),
    Process(Child),
    /// A file that is open.
    OlderPeer(File),
}

impl Holder {
    /// Another process, which has held the lock so many times before, and its token.
    pub(super) fn process(setting: &Setting, holds: u32, sessions: &Path) -> anyhow::Result<(Self, u64)> {
        let mut process = setting.spawn(&mut setting.holder(holds, sessions))?;
        let mut said = String::new();
        BufReader::new(process.stdout.take().context("piped")?).read_line(&mut said)?;
        let token = said.trim().strip_prefix("holding ").and_then(|token| token.parse().ok());
        let token = token.with_context(|| format!("a holder said {said:?}"))?;
        Ok((Self::Process(process), token))
    }

    pub(super) fn older_peer(claim: &Path) -> anyhow::Result<Self> {
        let mut file = File::create_new(claim)?;
        file.write_all(OLDER.as_bytes())?;
        Ok(Self::OlderPeer(file))
    }

    /// A process is killed; the others release.
    pub(super) fn let_go(self, claim: &Path) -> anyhow::Result<()> {
        match self {
            Self::Nobody => {}
            Self::Judge(held) => released(held)?,
            Self::OlderPeer(file) => {
                drop(file);
                fs::remove_file(claim)?;
            }
            Self::Process(mut process) => {
                // It is not waited for yet, so the kill can only reach it.
                process.kill()?;
                process.wait()?;
            }
        }
        Ok(())
    }
}
