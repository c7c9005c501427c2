//! `stress replay DIR`: the plan of an earlier run, read back from its `results.json`.
//!
//! The same options and the same seed ask for the same faults and pauses at the same moments. What the kernel makes of
//! them is another matter: a replay is a run like the one before, not its repetition.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;

use crate::options::RunOptions;
use crate::report::FORMAT;

/// The options of `stress replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    /// The run directory of the run to be run again; it stays as it is
    #[arg(value_name = "DIR")]
    of: PathBuf,

    /// Run directory of the new run [default: a new temporary one]
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,

    /// Print results.json on standard output instead of the report
    #[arg(long)]
    json: bool,
}

/// What a replay needs of `results.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Plan {
    pub(crate) verdict: String,
    pub(crate) begun: String,
    seed: u64,
    asked: RunOptions,
}

impl ReplayOptions {
    /// Reads what the run was asked for.
    pub(crate) fn plan(&self) -> anyhow::Result<Plan> {
        let path = self.of.join("results.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("there is no {}: name the directory of a run that was judged", path.display())
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Plan::read(&text).with_context(|| format!("cannot replay {}", path.display()))
    }

    /// The options of the new run.
    pub(crate) fn again(&self, plan: Plan) -> anyhow::Result<RunOptions> {
        if let Some(dir) = &self.dir
            && same(dir, &self.of)
        {
            bail!("a replay leaves {} as it is: name another directory", dir.display());
        }
        Ok(RunOptions { seed: Some(plan.seed), dir: self.dir.clone(), json: self.json, ..plan.asked })
    }
}

impl Plan {
    fn read(text: &str) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: Option<u32>,
        }
        let Head { format } = serde_json::from_str(text).context("it is not what stress run writes")?;
        match format {
            Some(FORMAT) => serde_json::from_str(text).context("it does not say what was asked for"),
            Some(other) => bail!("it is of version {other}, this program reads version {FORMAT}"),
            None => bail!("it has no version, this program reads version {FORMAT}"),
        }
    }
}

/// Whether both are there and the same.
fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_named() {
        let said = |text| format!("{:#}", Plan::read(text).expect_err("it is not readable"));
        assert!(said(r#"{"format": 99}"#).contains("version 99"));
        assert!(said("{}").contains("no version"));
        assert!(said("[").contains("not what stress run writes"));
        assert!(said(r#"{"format": 1, "verdict": "valid"}"#).contains("what was asked for"));
    }
}
