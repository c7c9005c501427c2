//! The exporter's metrics about itself.

mod process;
mod requests;

use std::sync::atomic::{AtomicU8, Ordering};

use crate::family::{Family, Labels};
pub(crate) use requests::Requests;

/// The revision and compiler this was built from, as far as the build knew.
pub(crate) const REVISION: &str = env!("SESSION_LOCK_REVISION");
pub(crate) const RUSTC: &str = env!("SESSION_LOCK_RUSTC");

/// What the exporter counts while it runs.
#[derive(Debug, Default)]
pub(crate) struct Own {
    pub(crate) requests: Requests,
    /// 0 without a web configuration file, else 1 plus whether the last reading was good.
    web_config: AtomicU8,
}

impl Own {
    /// Notes whether the web configuration file could be used when it was read last.
    #[cfg(feature = "server")]
    pub(crate) fn web_config_read(&self, good: Result<(), ()>) {
        self.web_config.store(if good.is_ok() { 2 } else { 1 }, Ordering::Relaxed);
    }

    pub(crate) fn families(&self) -> Vec<Family> {
        let build =
            Labels::new().with("version", env!("CARGO_PKG_VERSION")).with("revision", REVISION).with("rustc", RUSTC);
        let mut families = vec![
            Family::info("session_lock_exporter_build_info", "What the exporter was built from.").value(build, 1.0),
        ];
        families.extend(self.requests.families());
        let web_config = self.web_config.load(Ordering::Relaxed);
        if web_config > 0 {
            let name = "session_lock_exporter_web_config_last_reload_successful";
            let help =
                "Whether the web configuration file was usable when last read; if not, the one before is in use.";
            families.push(Family::gauge(name, help).value(Labels::new(), f64::from(web_config - 1)));
        }
        families.extend(process::families());
        families
    }
}
