//! The `stress` binary: see the crate's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    session_lock_stress::cli::main()
}
