//! What the benchmarks share: where to measure, and percentiles.
#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(unreachable_pub, reason = "a module of several benchmarks")]

use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A fresh directory on the disk and one in memory, with the names of their file systems.
pub fn places() -> Vec<(String, TempDir)> {
    let on = |parent: &Path| {
        let dir = tempfile::tempdir_in(parent).expect("a temporary directory");
        (file_system(dir.path()), dir)
    };
    let mut places = vec![on(Path::new(env!("CARGO_TARGET_TMPDIR")))];
    if Path::new("/dev/shm").is_dir() {
        places.push(on(Path::new("/dev/shm")));
    } else {
        println!("missing: /dev/shm, so nothing is measured on tmpfs");
    }
    places
}

fn file_system(path: &Path) -> String {
    let output = std::process::Command::new("df").arg("--output=fstype").arg(path).output();
    let name = output.ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().nth(1).map(|line| line.trim().to_owned())
    });
    name.unwrap_or_else(|| "unknown".into())
}

/// The machine, in a line.
pub fn print_machine() {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("Linux {}, {cores} cores", kernel.trim());
}

/// The `percent` percentile of unsorted samples.
pub fn percentile(samples: &mut [Duration], percent: usize) -> Duration {
    samples.sort_unstable();
    samples[(samples.len() - 1) * percent / 100]
}

/// Microseconds with two digits.
pub fn us(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e6)
}
