//! Standard output for verdicts: a reader that goes away takes none with it.
//!
//! Not here: standard output that is somebody's protocol (`groups`), whose end means that there is nobody to go on for.

use std::io::{self, ErrorKind, Stdout, Write};

/// Standard output; what nobody reads any more is dropped.
#[derive(Debug)]
pub(crate) struct Outlet(Stdout);

impl Outlet {
    pub(crate) fn open() -> Self {
        Self(io::stdout())
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}
