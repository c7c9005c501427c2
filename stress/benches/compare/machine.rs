//! On what was measured.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// Above this, other work disturbs the figures.
const QUIET: f64 = 0.5;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    file_systems: Vec<String>,
    /// How many tasks wanted to run over the last minute, when the run began.
    load: f64,
}

impl Machine {
    pub(crate) fn new(file_systems: Vec<String>) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            cpu: model.map_or("unknown", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_systems,
            load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, kernel, file_systems, load } = self;
        writeln!(f, "{cpu}, {cores} cores, Linux {kernel}; {}; load {load:.2}", file_systems.join(", "))?;
        if *load > QUIET {
            writeln!(f, "warning: other work on this machine disturbs the figures; compare ratios, not times")?;
        }
        Ok(())
    }
}

/// The name of a path's file system.
pub(crate) fn file_system(path: &Path) -> String {
    let output = std::process::Command::new("df").arg("--output=fstype").arg(path).output();
    let name = output.ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().nth(1).map(|line| line.trim().to_owned())
    });
    name.unwrap_or_else(|| "unknown".into())
}
