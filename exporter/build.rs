//! Tells the exporter what it is built from: the revision, where it is known, and the compiler.

use std::env;
use std::process::Command;

fn main() {
    // Whoever builds from a tarball or an image can say; else git does, where there is one.
    println!("cargo:rerun-if-env-changed=SESSION_LOCK_REVISION");
    let revision = env::var("SESSION_LOCK_REVISION").ok().or_else(|| {
        println!("cargo:rerun-if-changed={}", first_line("git", &["rev-parse", "--git-path", "logs/HEAD"])?);
        first_line("git", &["rev-parse", "--short=12", "HEAD"])
    });
    println!("cargo:rustc-env=SESSION_LOCK_REVISION={}", revision.unwrap_or_else(|| "unknown".to_owned()));

    let rustc = env::var("RUSTC").ok().and_then(|rustc| first_line(&rustc, &["--version"]));
    println!("cargo:rustc-env=SESSION_LOCK_RUSTC={}", rustc.unwrap_or_else(|| "unknown".to_owned()));
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.lines().next()?.trim().to_owned())
}
