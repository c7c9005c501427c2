//! The claim's format a second time, from the table in `session_lock::payload` and the RFCs, without its code: what the decoder
//! is compared with.

use std::time::{Duration, SystemTime};

use session_lock::payload::{ArbiterId, Content, MAX_CLAIM_LEN, MAX_LABEL_LEN, Payload, TraceParent};
use session_lock::protocol::Inode;

use crate::json::{self, Fault, Keys, Value};

/// What these bytes are.
pub(crate) fn classify(bytes: &[u8]) -> Content {
    let encoding = encoding(bytes);
    if bytes.is_empty() {
        return Content::Empty;
    }
    if bytes.len() > MAX_CLAIM_LEN || encoding == Encoding::Broken {
        return Content::NotAClaim;
    }
    if bytes.iter().find(|byte| !json::is_space(**byte)) != Some(&b'{') {
        return soft_file_lock(bytes).map_or(Content::NotAClaim, |payload| Content::Claim(Box::new(payload)));
    }
    match json::members(bytes, Keys::Whole) {
        Ok(members) => Content::Claim(Box::new(payload(&members))),
        Err(Fault::End) => Content::Torn,
        Err(Fault::Bad) => Content::NotAClaim,
    }
}

/// Whether bytes are UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// They are, or they end within a character.
    Utf8,
    Broken,
}

pub(crate) fn encoding(bytes: &[u8]) -> Encoding {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_some() => Encoding::Broken,
        _ => Encoding::Utf8,
    }
}

/// The first of each key counts.
fn payload(members: &[(json::Text, Value<'_>)]) -> Payload {
    let value = |key: &str| members.iter().find(|(found, _)| found.text == key).map(|(_, value)| value);
    let integer = |key| match value(key) {
        Some(Value::Number(text)) => integer(text),
        _ => None,
    };
    let text = |key| match value(key) {
        Some(Value::Text(found)) if !found.lone_surrogate => Some(found.text.as_str()),
        _ => None,
    };
    Payload {
        pid: integer("pid").and_then(pid),
        created_at: text("createdAt").and_then(date),
        starttime: integer("starttime"),
        version: integer("v"),
        nonce: text("nonce").and_then(hex16),
        token: integer("token"),
        boot_id: text("bootId").and_then(uuid),
        pid_ns: integer("pidNs"),
        time_ns: integer("timeNs"),
        host: text("host").map(str::to_owned),
        arbiter: text("arbiter").and_then(arbiter),
        traceparent: text("traceparent").and_then(traceparent),
        label: text("label").filter(|label| label.len() <= MAX_LABEL_LEN).map(str::to_owned),
    }
}

/// Digits alone, below 2^53.
fn integer(text: &str) -> Option<u64> {
    let number = digits(text)?;
    u64::try_from(number).ok().filter(|number| number >> 53 == 0)
}

/// Digits and nothing else. More of them than fit are a number that is too large for everything here.
pub(crate) fn digits(text: &str) -> Option<u128> {
    if text.is_empty() {
        return None;
    }
    text.chars().try_fold(0_u128, |number, digit| {
        Some(number.saturating_mul(10).saturating_add(u128::from(digit.to_digit(10)?)))
    })
}

fn pid(number: u64) -> Option<u32> {
    i32::try_from(number).ok().filter(|pid| *pid > 0).map(i32::unsigned_abs)
}

fn hex(text: &str) -> Option<u128> {
    text.chars().try_fold(0_u128, |number, digit| {
        if number >> 124 == 0 { Some(number << 4 | u128::from(digit.to_digit(16)?)) } else { None }
    })
}

fn hex16(text: &str) -> Option<[u8; 16]> {
    if text.len() == 32 { hex(text).map(u128::to_be_bytes) } else { None }
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    if lengths == [8, 4, 4, 4, 12] { hex16(&parts.concat()) } else { None }
}

fn arbiter(text: &str) -> Option<ArbiterId> {
    let [dev, ino, nonce] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
    let number = |text: &str| if text.is_empty() { None } else { hex(text)?.try_into().ok() };
    Some(ArbiterId { inode: Inode { dev: number(dev)?, ino: number(ino)? }, nonce: hex16(nonce)? })
}

fn traceparent(text: &str) -> Option<TraceParent> {
    let [version, trace, span, flags] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
    let is_well_formed = version == "00"
        && (trace.len(), span.len(), flags.len()) == (32, 16, 2)
        && !text.contains(|c: char| c.is_ascii_uppercase());
    if !is_well_formed {
        return None;
    }
    Some(TraceParent {
        trace_id: hex(trace)?.try_into().ok()?,
        span_id: u64::try_from(hex(span)?).ok()?.try_into().ok()?,
        flags: u8::try_from(hex(flags)?).ok()?,
    })
}

/// RFC 3339, in UTC, from 1970 on, to the microsecond. A leap second is the one before it.
pub(crate) fn date(text: &str) -> Option<SystemTime> {
    let body = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (whole, fraction) = match body.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (body, None),
    };
    let pattern: String = whole.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if pattern != "0000-00-00T00:00:00" {
        return None;
    }
    let number = |from: usize, to: usize| digits(&whole[from..to]).and_then(|number| u64::try_from(number).ok());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let micros = match fraction {
        None => 0,
        Some(fraction) => {
            digits(fraction)?;
            let padded: String = fraction.chars().chain("000000".chars()).take(6).collect();
            u64::try_from(digits(&padded)?).ok()?
        }
    };
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month.checked_sub(1)?).ok()?;
    let is_date = year >= 1970 && (1..=*months.get(month)?).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !is_date {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let days = years + months[..month].iter().sum::<u64>() + day - 1;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second.min(59);
    Some(SystemTime::UNIX_EPOCH + Duration::from_micros(seconds * 1_000_000 + micros))
}

/// A pid, a host without spaces and perhaps a number, each ended by a line feed.
pub(crate) fn soft_file_lock(bytes: &[u8]) -> Option<Payload> {
    let text = std::str::from_utf8(bytes).ok()?;
    let lines: Vec<&str> = text.split('\n').collect();
    let (owner, host, start) = match lines.as_slice() {
        [owner, host, ""] => (*owner, *host, None),
        [owner, host, start, ""] => (*owner, *host, Some(*start)),
        _ => return None,
    };
    let owner = digits(owner)?;
    let is_host = !host.is_empty() && !host.chars().any(|c| c.is_whitespace() || c.is_control());
    if !is_host || start.is_some_and(|start| digits(start).is_none()) {
        return None;
    }
    let pid = u64::try_from(owner).ok().and_then(pid);
    Some(Payload { pid, host: Some(host.to_owned()), ..Payload::default() })
}
