//! A claim's bytes: what is the same in all claims of a process is encoded once.

use super::{Payload, TraceParent, hex, rfc3339, uuid};
use serde::Serialize;
use std::fmt::{self, Write};
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
    fields: String,
    /// The second of the claim before, and how it is written up to its fraction: most claims follow one of the same second.
    second: (u64, String),
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
        Self { fields: object, second: (0, String::new()) }
    }

    /// The whole claim, as [`Payload::encode`].
    pub(crate) fn with(&mut self, hold: &OfHold<'_>, old_len: usize) -> Vec<u8> {
        let mut object = String::with_capacity(512.max(old_len));
        object.push_str(&self.fields);
        if let Some((second, micros)) = hold.created_at.and_then(|at| self.in_parts(at)) {
            field(&mut object, format_args!("\"createdAt\":\"{second}.{micros:06}Z\""));
        }
        if let Some(token) = hold.token {
            field(&mut object, format_args!("\"token\":{token}"));
        }
        if let Some(traceparent) = hold.traceparent {
            field(&mut object, format_args!("\"traceparent\":\"{traceparent}\""));
        }
        if let Some(label) = hold.label {
            field(&mut object, format_args!("\"label\":{}", json(label)));
        }
        object.push_str("}\n");
        let mut bytes = object.into_bytes();
        if bytes.len() < old_len {
            bytes.resize(old_len, b' ');
        }
        bytes
    }

    /// Its second as it is written, and its microseconds.
    fn in_parts(&mut self, at: SystemTime) -> Option<(&str, u32)> {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        if self.second.0 != since.as_secs() || self.second.1.is_empty() {
            let mut text = rfc3339(at)?.to_string();
            text.truncate("2026-11-21T07:00:00".len());
            self.second = (since.as_secs(), text);
        }
        Some((&self.second.1, since.subsec_micros()))
    }
}

/// One field more of an object that is not closed yet.
fn field(object: &mut String, field: fmt::Arguments<'_>) {
    if !object.ends_with('{') {
        object.push(',');
    }
    object.write_fmt(field).expect("a string takes everything");
}

fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("strings and integers always serialise into memory")
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
