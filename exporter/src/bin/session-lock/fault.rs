//! Why a command ends early, and with which exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

/// What could not be looked at, or not be done.
const FAILED: u8 = 2;

/// The end of a command that cannot go on.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nobody reads the rest of stdout: no fault of anybody's.
    NobodyReads,
    /// In one line: what, why, and what to do.
    Told { message: String, code: u8 },
}

impl Fault {
    /// What could not be looked at, or not be done.
    pub(crate) fn new(error: impl Display) -> Self {
        Self::with_code(error, FAILED)
    }

    pub(crate) fn with_code(error: impl Display, code: u8) -> Self {
        Self::Told { message: error.to_string(), code }
    }

    /// Says it, and gives the exit code.
    pub(crate) fn told(self) -> ExitCode {
        match self {
            Self::NobodyReads => ExitCode::SUCCESS,
            Self::Told { message, code } => {
                crate::output::say(&message);
                code.into()
            }
        }
    }
}

/// Of stdout: everything else has errors of its own.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::new(format!("cannot write to stdout: {error}")),
        }
    }
}
