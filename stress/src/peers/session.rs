//! The lock under test. The only peer that imports it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use session_lock::metrics::Value;
use session_lock::{DEFAULT_TENURE, Guard, Lock, LockDir, LockError, ReleaseError, TryAcquire};

use super::{Acquired, Asked, End, Held, Peer, session};

pub(super) struct SessionLock {
    dir: LockDir,
}

impl SessionLock {
    pub(super) fn open(sessions: &Path, grace: Duration, tenure: Option<Duration>) -> anyhow::Result<Self> {
        let options = LockDir::options().grace(grace).tenure(tenure.unwrap_or(DEFAULT_TENURE));
        Ok(Self { dir: options.open(sessions)? })
    }

    fn lock(&self, asked: Asked) -> Lock<'_> {
        self.dir.lock(&session(asked.lock)).timeout(asked.timeout).label(format!("w{}", asked.worker))
    }
}

/// The takeovers by reason, as the lock itself has counted them since its state directory was made. For people: no verdict
/// rests on it. Empty where it cannot be read.
pub(super) fn takeovers_by_reason(sessions: &Path) -> BTreeMap<&'static str, u64> {
    let Ok(metrics) = LockDir::open(sessions).map_err(anyhow::Error::from).and_then(|dir| Ok(dir.metrics()?)) else {
        return BTreeMap::new();
    };
    let reclaims = metrics.families().filter(|(family, _)| family.name == "session_lock_reclaim_total");
    let each = reclaims.flat_map(|(family, values)| family.values.iter().zip(values));
    let counted = each.filter_map(|(reason, value)| match value {
        Value::Number(count) if count > 0 => Some((*reason, count)),
        _ => None,
    });
    counted.collect()
}

impl Peer for SessionLock {
    fn acquire(&self, asked: Asked) -> Acquired {
        acquired(self.lock(asked).blocking())
    }

    fn try_acquire(&self, asked: Asked) -> Acquired {
        match self.lock(asked).try_now() {
            Ok(TryAcquire::Acquired(guard)) => Ok(Some(Box::new(guard))),
            Ok(TryAcquire::Busy(_)) => Ok(None),
            Err(error) => acquired(Err(error)),
        }
    }

    fn acquire_in_task(&self, asked: Asked) -> Pin<Box<dyn Future<Output = Acquired> + Send + '_>> {
        Box::pin(async move { acquired(self.lock(asked).await) })
    }
}

fn acquired(result: Result<Guard, LockError>) -> Acquired {
    match result {
        Ok(guard) => Ok(Some(Box::new(guard))),
        Err(LockError::Timeout { .. }) => Ok(None),
        Err(LockError::System(error)) => Err(told(error.to_string(), error.cause)),
        Err(error) => Err(error.into()),
    }
}

/// The lock says what failed in words; the kernel's answer has to stay in the chain, for its number.
fn told(words: String, cause: io::Error) -> anyhow::Error {
    anyhow::Error::from(cause).context(words)
}

impl Held for Guard {
    fn token(&self) -> u64 {
        Guard::token(self)
    }

    fn release(self: Box<Self>) -> anyhow::Result<End> {
        match Guard::release(*self) {
            Ok(()) => Ok(End::Released),
            Err(ReleaseError::Lost { .. }) => Ok(End::Lost),
            Err(ReleaseError::System(error)) => Err(told(error.to_string(), error.cause)),
            Err(error) => Err(error.into()),
        }
    }
}
