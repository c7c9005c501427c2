//! A claim's bytes: what is the same in all claims of a process is encoded once.

use super::{Payload, TraceParent, hex, rfc3339, uuid};
use serde::Serialize;
use std::time::SystemTime;

impl Payload {
    /// The bytes of a claim, padded with spaces to `old_len`, so that overwriting a longer claim leaves no tail of it.
    #[must_use]
    pub fn encode(&self, old_len: usize) -> Vec<u8> {
        let Self { created_at, token, traceparent, ref label, .. } = *self;
        EncodedOwner::of(self).with(&OfHold { created_at, token, traceparent, label: label.as_deref() }, old_len)
    }
}

/// The fields that say whose a claim is, encoded: the same in all claims of a process under one arbiter.
#[derive(Debug)]
pub(crate) struct EncodedOwner {
    /// The object's first fields; it is not closed.
    fields: Vec<u8>,
    /// The second of the claim before, and that claim up to the fraction of it: most claims follow one of the same second.
    second: (u64, Vec<u8>),
}

/// The fields that are each hold's own.
pub(crate) struct OfHold<'a> {
    pub(crate) created_at: Option<SystemTime>,
    pub(crate) token: Option<u64>,
    pub(crate) traceparent: Option<TraceParent>,
    pub(crate) label: Option<&'a str>,
}

impl EncodedOwner {
    pub(crate) fn of(payload: &Payload) -> Self {
        let wire = OwnerWire {
            pid: payload.pid,
            starttime: payload.starttime,
            v: payload.version,
            nonce: payload.nonce.as_ref().map(hex),
            boot_id: payload.boot_id.as_ref().map(uuid),
            pid_ns: payload.pid_ns,
            time_ns: payload.time_ns,
            host: payload.host.as_deref(),
            arbiter: payload.arbiter.map(|arbiter| arbiter.to_string()),
        };
        let mut object = json(&wire);
        object.pop();
        Self { fields: object, second: (0, Vec::new()) }
    }

    /// The whole claim, as [`Payload::encode`].
    pub(crate) fn with(&mut self, hold: &OfHold<'_>, old_len: usize) -> Vec<u8> {
        let mut object = Vec::with_capacity(512.max(old_len));
        match hold.created_at.and_then(|at| self.up_to_fraction(at)) {
            Some((start, micros)) => {
                object.extend_from_slice(start);
                number(&mut object, micros, 6);
                object.extend_from_slice(b"Z\"");
            }
            None => object.extend_from_slice(&self.fields),
        }
        if let Some(token) = hold.token {
            field(&mut object, b"\"token\":");
            number(&mut object, token, 1);
        }
        if let Some(traceparent) = hold.traceparent {
            field(&mut object, b"\"traceparent\":");
            object.append(&mut json(&traceparent.to_string()));
        }
        if let Some(label) = hold.label {
            field(&mut object, b"\"label\":");
            object.append(&mut json(label));
        }
        object.extend_from_slice(b"}\n");
        if object.len() < old_len {
            object.resize(old_len, b' ');
        }
        object
    }

    /// A claim of this time up to the fraction of its second, and the microseconds that follow.
    fn up_to_fraction(&mut self, at: SystemTime) -> Option<(&[u8], u64)> {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        if self.second.0 != since.as_secs() || self.second.1.is_empty() {
            let text = rfc3339(at)?.to_string();
            let mut start = self.fields.clone();
            field(&mut start, b"\"createdAt\":\"");
            start.extend_from_slice(&text.as_bytes()[.."2026-11-21T07:00:00.".len()]);
            self.second = (since.as_secs(), start);
        }
        Some((&self.second.1, since.subsec_micros().into()))
    }
}

/// Begins one field more of an object that is not closed yet.
fn field(object: &mut Vec<u8>, name: &[u8]) {
    if !object.ends_with(b"{") {
        object.push(b',');
    }
    object.extend_from_slice(name);
}

/// Writes a number in at least so many digits. A formatter would cost more than all the rest of a claim.
fn number(object: &mut Vec<u8>, mut left: u64, least: usize) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while left > 0 || digits.len() - first < least {
        first -= 1;
        digits[first] += (left % 10) as u8;
        left /= 10;
    }
    object.extend_from_slice(&digits[first..]);
}

fn json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and integers always serialise into memory")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnerWire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starttime: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arbiter: Option<String>,
}
