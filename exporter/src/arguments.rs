//! The command line, and the same from the environment.

#![expect(clippy::doc_markdown, reason = "these comments are the help that people read in a terminal")]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use session_lock_exporter::{BUILD, DEFAULT_MAX_REQUESTS};

use crate::listen::ListenAddress;

/// Serves the state of directories of session locks to Prometheus.
///
/// Every option can be given as an environment variable as well; the command line wins.
#[derive(Parser)]
#[command(version = BUILD, max_term_width = 120)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) locks: Locks,
    #[command(flatten)]
    pub(crate) web: Web,
    #[command(flatten)]
    pub(crate) log: Log,

    /// Ask the exporter that runs at --web.listen-address whether it is healthy, and end: 0 yes, 1 no.
    ///
    /// For a container's health check, where there is nothing else to ask with.
    #[arg(long)]
    pub(crate) healthcheck: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Locks")]
pub(crate) struct Locks {
    /// A directory of session locks; can be given more than once.
    ///
    /// It need not exist yet: until then its session_lock_exporter_up is 0. NAME is what it is called in labels and pages,
    /// made of A-Z a-z 0-9 . _ -; without it, the path's last part, numbered where two are the same. The path itself is in
    /// no label. In the environment, directories are separated by colons.
    #[arg(
        long = "dir",
        value_name = "[NAME=]PATH",
        required_unless_present = "healthcheck",
        env = "SESSION_LOCK_EXPORTER_DIR"
    )]
    dirs: Vec<OsString>,

    /// How many locks of a directory get metrics of their own, the longest held first.
    ///
    /// Each is a series for every session, so it is off by default.
    #[arg(long = "locks.detail", value_name = "N", default_value_t = 0, env = "SESSION_LOCK_EXPORTER_LOCKS_DETAIL")]
    pub(crate) detail: usize,
}

impl Arguments {
    /// The command line's arguments, and the directories that they name. Ends the process where they are wrong, or ask
    /// for help.
    pub(crate) fn parse_with_directories() -> (Self, Vec<NamedDirectory>) {
        let matches = Self::command().get_matches();
        let arguments = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        // On the command line a path may hold a colon.
        let from_environment = matches.value_source("dirs") == Some(ValueSource::EnvVariable);
        let directories = if from_environment {
            arguments.locks.dirs.iter().flat_map(|dirs| std::env::split_paths(dirs)).map(NamedDirectory::from).collect()
        } else {
            arguments.locks.dirs.iter().map(PathBuf::from).map(NamedDirectory::from).collect()
        };
        (arguments, directories)
    }
}

/// A directory with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedDirectory {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl From<PathBuf> for NamedDirectory {
    fn from(given: PathBuf) -> Self {
        let bytes = given.as_os_str().as_bytes();
        let equals = bytes.iter().position(|byte| *byte == b'=');
        if let Some((name, path)) = equals.map(|at| (&bytes[..at], &bytes[at + 1..]))
            && !name.is_empty()
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
        {
            let name = String::from_utf8_lossy(name).into_owned();
            return Self { name, path: OsStr::from_bytes(path).into() };
        }
        // A path such as `.` or `..` has no last part before it is resolved; one that does not exist yet cannot be.
        let last = given.file_name().map(OsStr::to_owned);
        let last = last.or_else(|| given.canonicalize().ok()?.file_name().map(OsStr::to_owned));
        let name = last.map_or_else(|| "root".to_owned(), |last| last.to_string_lossy().into_owned());
        Self { name, path: given }
    }
}

#[derive(Args)]
#[command(next_help_heading = "Web")]
pub(crate) struct Web {
    /// Where to listen, as host:port; `:port` means every interface.
    ///
    /// The default answers this machine only, on a port that no other exporter should want: Prometheus' list of default
    /// ports has given away 9100 to 9999 and goes on upwards from 10000, and Linux hands out 32768 and above to outgoing
    /// connections. 15625 is none of these (LOCK on a telephone's keys is 5625). With port 0 the kernel chooses; the
    /// address is logged. Beyond this machine it needs authentication (--web.config.file) or --web.insecure.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:15625")]
    #[arg(env = "SESSION_LOCK_EXPORTER_WEB_LISTEN_ADDRESS")]
    pub(crate) listen_address: ListenAddress,

    /// Serve on the sockets that systemd passes (LISTEN_FDS) instead of --web.listen-address.
    #[arg(long = "web.systemd-socket", env = "SESSION_LOCK_EXPORTER_WEB_SYSTEMD_SOCKET")]
    pub(crate) systemd_socket: bool,

    /// Path of the metrics.
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics")]
    #[arg(env = "SESSION_LOCK_EXPORTER_WEB_TELEMETRY_PATH")]
    pub(crate) telemetry_path: String,

    /// Where a trace can be looked at: an address with {trace_id} and {span_id} in it.
    ///
    /// The page links to it from each holder that names its span. For Jaeger https://jaeger/trace/{trace_id}, for Grafana's
    /// Tempo the address of a query in Explore. Without it, the page shows the ids.
    #[arg(long = "trace-url", value_name = "TEMPLATE", env = "SESSION_LOCK_EXPORTER_TRACE_URL")]
    pub(crate) trace_url: Option<String>,

    /// File with TLS, users, headers and rate limit.
    ///
    /// As Prometheus' exporters have it; `promtool check web-config` checks it. Changes are in effect at once. See
    /// https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
    #[arg(long = "web.config.file", value_name = "FILE", env = "SESSION_LOCK_EXPORTER_WEB_CONFIG_FILE")]
    pub(crate) config_file: Option<PathBuf>,

    /// How many requests may look at directories at the same time; one more is answered 503.
    #[arg(long = "web.max-requests", value_name = "N", default_value_t = DEFAULT_MAX_REQUESTS)]
    #[arg(env = "SESSION_LOCK_EXPORTER_WEB_MAX_REQUESTS")]
    pub(crate) max_requests: usize,

    /// Let other machines read everything without authentication.
    #[arg(long = "web.insecure", env = "SESSION_LOCK_EXPORTER_WEB_INSECURE")]
    pub(crate) insecure: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Log")]
pub(crate) struct Log {
    /// The least important that is logged, to stderr.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", env = "SESSION_LOCK_EXPORTER_LOG_LEVEL")]
    pub(crate) level: Level,

    /// How it is written.
    #[arg(
        long = "log.format",
        value_name = "FORMAT",
        default_value = "logfmt",
        env = "SESSION_LOCK_EXPORTER_LOG_FORMAT"
    )]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Logfmt,
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_the_name_it_is_given_or_its_own() {
        for (given, name, path) in [
            ("/srv/sessions", "sessions", "/srv/sessions"),
            ("agents=/srv/a", "agents", "/srv/a"),
            ("a=b=c", "a", "b=c"),
            ("./a=b", "a=b", "./a=b"),
            ("=b", "=b", "=b"),
            ("/srv/a=b/", "a=b", "/srv/a=b/"),
            ("/", "root", "/"),
        ] {
            let expected = NamedDirectory { name: name.to_owned(), path: path.into() };
            assert_eq!(NamedDirectory::from(PathBuf::from(given)), expected, "{given}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    /// Help, version and environment variable of every option, so that none is forgotten.
    #[test]
    fn every_option_has_an_environment_variable_and_help() {
        for argument in Arguments::command().get_arguments().filter(|argument| argument.get_env().is_some()) {
            let long = argument.get_long().expect("a long name");
            let expected = format!("SESSION_LOCK_EXPORTER_{}", long.to_uppercase().replace(['.', '-'], "_"));
            assert_eq!(argument.get_env(), Some(OsStr::new(&expected)));
            assert!(argument.get_help().is_some() && argument.get_help_heading().is_some(), "{long}");
        }
        // Help and version are added later; the health check is another thing to do, not an option of this one.
        let command = Arguments::command();
        let without = command.get_arguments().filter(|argument| argument.get_env().is_none());
        assert_eq!(without.map(|argument| argument.get_id().as_str()).collect::<Vec<_>>(), ["healthcheck"]);
    }
}
