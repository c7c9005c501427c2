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
pub(crate) struct EncodedOwner(Vec<u8>);

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
        let mut bytes = object(Vec::new(), &wire);
        bytes.pop();
        Self(bytes)
    }

    /// The whole claim, as [`Payload::encode`].
    pub(crate) fn with(&self, hold: &OfHold<'_>, old_len: usize) -> Vec<u8> {
        let wire = HoldWire {
            created_at: hold.created_at.and_then(rfc3339),
            token: hold.token,
            traceparent: hold.traceparent.map(|traceparent| traceparent.to_string()),
            label: hold.label,
        };
        let mut bytes = Vec::with_capacity(512.max(old_len));
        bytes.extend_from_slice(&self.0);
        let joint = bytes.len();
        bytes = object(bytes, &wire);
        // Of two objects one, with a comma if both have fields.
        if joint == b"{".len() || bytes.len() == joint + b"{}".len() {
            bytes.remove(joint);
        } else {
            bytes[joint] = b',';
        }
        bytes.push(b'\n');
        if bytes.len() < old_len {
            bytes.resize(old_len, b' ');
        }
        bytes
    }
}

fn object(mut bytes: Vec<u8>, wire: &impl Serialize) -> Vec<u8> {
    serde_json::to_writer(&mut bytes, wire).expect("strings and integers always serialise into memory");
    bytes
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldWire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
}
