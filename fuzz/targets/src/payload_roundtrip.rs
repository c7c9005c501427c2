//! Every payload that can be written reads back, over a claim of whatever length.

use std::time::{Duration, SystemTime};

use arbitrary::{Arbitrary, Result, Unstructured};
use session_lock::payload::{ArbiterId, Content, MAX_CLAIM_LEN, MAX_LABEL_LEN, Payload, TraceParent};
use session_lock::protocol::Inode;

/// Integers above this are not the same number in every JSON reader.
const LAST_INTEGER: u64 = (1 << 53) - 1;
/// The last microsecond of the year 9999.
const LAST_MICRO: u64 = 253_402_300_799_999_999;

/// Runs the target on one input.
///
/// # Panics
///
/// On a finding.
pub fn run(bytes: &[u8]) {
    let mut choices = Unstructured::new(bytes);
    if let Ok(payload) = payload(&mut choices)
        && let Ok(old_len) = choices.int_in_range(0..=MAX_CLAIM_LEN + 8)
    {
        reads_back(&payload, old_len);
        a_date_outside_the_format_is_left_out(&payload, choices.arbitrary().unwrap_or_default());
    }
}

fn reads_back(payload: &Payload, old_len: usize) {
    let plain = payload.encode(0);
    let bytes = payload.encode(old_len);
    let (written, padding) = bytes.split_at(plain.len());
    assert_eq!(written, plain, "the old length changes nothing but the padding");
    assert_eq!(padding.len(), old_len.saturating_sub(plain.len()), "nothing of the old claim is left");
    assert!(padding.iter().all(|byte| *byte == b' '), "what is left of it is spaces");
    let content = Content::classify(&bytes);
    if bytes.len() > MAX_CLAIM_LEN {
        assert_eq!(content, Content::NotAClaim, "no reader takes one that is too long");
    } else {
        assert_eq!(content.payload(), Some(payload), "it reads back");
    }
    if let Some(traceparent) = payload.traceparent {
        assert_eq!(TraceParent::parse(&traceparent.to_string()), Some(traceparent));
        assert_eq!(traceparent.is_sampled(), traceparent.flags % 2 == 1);
    }
}

/// Before 1970 or after 9999, to the nanosecond.
fn a_date_outside_the_format_is_left_out(payload: &Payload, away: u32) {
    let away = Duration::from_secs(u64::from(away));
    let ends = [
        SystemTime::UNIX_EPOCH - Duration::from_nanos(1) - away,
        SystemTime::UNIX_EPOCH + Duration::from_micros(LAST_MICRO + 1) + away,
    ];
    for created_at in ends.map(Some) {
        let bytes = Payload { created_at, ..payload.clone() }.encode(0);
        if bytes.len() <= MAX_CLAIM_LEN {
            let expected = Payload { created_at: None, ..payload.clone() };
            assert_eq!(Content::classify(&bytes).payload(), Some(&expected));
        }
    }
}

/// A payload as the format allows it.
pub(crate) fn payload(choices: &mut Unstructured<'_>) -> Result<Payload> {
    Ok(Payload {
        pid: optional(choices, pid)?,
        created_at: optional(choices, |choices| {
            Ok(SystemTime::UNIX_EPOCH + Duration::from_micros(choices.int_in_range(0..=LAST_MICRO)?))
        })?,
        starttime: optional(choices, integer)?,
        version: optional(choices, |choices| if choices.arbitrary()? { Ok(2) } else { integer(choices) })?,
        nonce: choices.arbitrary()?,
        token: optional(choices, integer)?,
        boot_id: choices.arbitrary()?,
        pid_ns: optional(choices, integer)?,
        time_ns: optional(choices, integer)?,
        host: choices.arbitrary()?,
        arbiter: optional(choices, arbiter)?,
        traceparent: traceparent(choices)?,
        label: Option::<String>::arbitrary(choices)?.filter(|label| label.len() <= MAX_LABEL_LEN),
    })
}

fn optional<T>(choices: &mut Unstructured<'_>, make: impl Fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    if choices.arbitrary()? { make(choices).map(Some) } else { Ok(None) }
}

/// A pid that the format allows.
pub(crate) fn pid(choices: &mut Unstructured<'_>) -> Result<u32> {
    choices.int_in_range(1..=i32::MAX.unsigned_abs())
}

fn integer(choices: &mut Unstructured<'_>) -> Result<u64> {
    choices.int_in_range(0..=LAST_INTEGER)
}

fn arbiter(choices: &mut Unstructured<'_>) -> Result<ArbiterId> {
    let inode = Inode { dev: choices.arbitrary()?, ino: choices.arbitrary()? };
    Ok(ArbiterId { inode, nonce: choices.arbitrary()? })
}

fn traceparent(choices: &mut Unstructured<'_>) -> Result<Option<TraceParent>> {
    let (trace, span, flags): (u128, u64, u8) = choices.arbitrary()?;
    Ok(trace.try_into().ok().zip(span.try_into().ok()).map(|(trace_id, span_id)| TraceParent {
        trace_id,
        span_id,
        flags,
    }))
}
