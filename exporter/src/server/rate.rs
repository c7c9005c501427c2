//! The token bucket of `rate_limit`.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::web::RateLimit;

#[derive(Debug, Default)]
pub(super) struct Rate(Mutex<Option<Bucket>>);

#[derive(Debug)]
struct Bucket {
    limit: RateLimit,
    tokens: f64,
    filled: Instant,
}

impl Rate {
    /// Whether one more request may be answered now. Another limit than before starts with a full bucket.
    pub(super) fn allows(&self, limit: Option<RateLimit>, now: Instant) -> bool {
        let Some(limit) = limit else { return true };
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = f64::from(limit.burst);
        let bucket = match bucket.as_mut() {
            Some(bucket) if bucket.limit == limit => bucket,
            _ => bucket.insert(Bucket { limit, tokens: most, filled: now }),
        };
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64() / limit.interval.as_secs_f64();
        bucket.tokens = (bucket.tokens + passed).min(most);
        bucket.filled = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_and_then_one_for_each_interval() {
        let (rate, begin) = (Rate::default(), Instant::now());
        let limit = Some(RateLimit { interval: Duration::from_secs(2), burst: 3 });
        let allowed = |seconds| rate.allows(limit, begin + Duration::from_secs(seconds));
        let of_five: Vec<_> = (0..5).map(|_| allowed(0)).collect();
        assert_eq!(of_five, [true, true, true, false, false]);
        assert_eq!([allowed(1), allowed(2), allowed(3), allowed(4)], [false, true, false, true]);
        let later: Vec<_> = (0..5).map(|_| allowed(1000)).collect();
        assert_eq!(later, [true, true, true, false, false], "no more than the burst is saved");
        assert!(rate.allows(None, begin));
        assert!(!rate.allows(Some(RateLimit { interval: Duration::from_secs(1), burst: 0 }), begin));
    }
}
