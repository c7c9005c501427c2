//! The JSON forms of locks and of those who wait, one for the routes of `/api/v1` and for programs that print the same.
//!
//! The fields, with their types and units, are in the crate's `API.md`.

use std::time::SystemTime;

use serde_json::{Value, json};
use session_lock::Inspection;
use session_lock::metrics::Contention;
use session_lock::payload::Payload;

/// Since when the lock has been held, if it is and its claim says so.
#[must_use]
pub fn held_since(lock: &Inspection) -> Option<SystemTime> {
    lock.state.is_taken().then(|| lock.holder.as_ref()?.payload.as_ref()?.created_at).flatten()
}

/// One lock, as an entry of `locks` in `/api/v1/locks`.
#[must_use]
pub fn lock(lock: &Inspection, now: SystemTime) -> Value {
    let payload = lock.holder.as_ref().and_then(|holder| holder.payload.as_ref());
    let waiting =
        |waiter: &session_lock::Waiting| json!({ "label": waiter.label, "seconds": waiter.waited.as_secs_f64() });
    json!({
        "session": lock.name,
        "state": lock.state.as_str(),
        "words": lock.to_string(),
        "holder": payload.map(self::payload),
        "heldSeconds": held_since(lock).map(|since| seconds(since, now)),
        "waiting": lock.waiters.here.iter().map(waiting).collect::<Value>(),
    })
}

/// Those who wait now and those who did, as `contention` in `/api/v1/contention`.
#[must_use]
pub fn contention(waiting: &[Contention], past: &[Contention], now: SystemTime) -> Value {
    let list = |records: &[Contention]| -> Value { records.iter().map(|record| wait(record, now)).collect() };
    json!({ "waiting": list(waiting), "past": list(past) })
}

/// One acquire that waits or waited.
#[must_use]
pub fn wait(contention: &Contention, now: SystemTime) -> Value {
    json!({
        "session": contention.session,
        "waiter": { "pid": contention.pid, "pidNs": contention.pid_ns, "label": contention.label },
        "since": seconds(SystemTime::UNIX_EPOCH, contention.since),
        "seconds": contention.waited.map_or_else(|| seconds(contention.since, now), |waited| waited.as_secs_f64()),
        "holder": contention.holder.as_ref().map(self::payload),
        "words": contention.holder().to_string(),
    })
}

/// What a claim says, under the names that it has there.
fn payload(payload: &Payload) -> Value {
    serde_json::from_slice(&payload.encode(0)).unwrap_or(Value::Null)
}

/// A clock that was set back gives 0.
pub(crate) fn seconds(since: SystemTime, until: SystemTime) -> f64 {
    until.duration_since(since).unwrap_or_default().as_secs_f64()
}
