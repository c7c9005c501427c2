//! What a claim says: one JSON object of at most 4 KiB, and what else may be found at a claim's path.
//!
//! | Field | Type | Meaning |
//! |---|---|---|
//! | `pid` | integer > 0 | the holder, in its own PID namespace |
//! | `createdAt` | RFC 3339, UTC, to the microsecond | when the claim was written, by the holder's clock |
//! | `starttime` | integer >= 0 | clock ticks since boot, field 22 of `/proc/<pid>/stat` |
//! | `v` | 2 | this format |
//! | `nonce` | 32 hex digits | the holder's instance of this crate |
//! | `token` | integer < 2^53 | the hold's fencing token |
//! | `bootId` | uuid | the kernel's boot |
//! | `pidNs`, `timeNs` | integer | inode numbers of the holder's namespaces |
//! | `host` | string | the holder's node name |
//! | `arbiter` | `dev:ino:nonce`, hex | the arbiter shard that backs the claim |
//! | `traceparent` | W3C Trace Context, version 00 | the holder's span |
//! | `label` | string, at most 128 bytes | for people |
//!
//! The decoder takes any bytes and never fails: unknown fields are ignored, of duplicate keys the first one counts, and
//! a field of the wrong type or range is dropped alone. Older peers know the first three fields and ignore the others.
//!
//! Nothing here decides whether an owner is alive: see [`crate::verdict`].

use crate::protocol::{Inode, Standing};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::str::Utf8Error;
use std::time::{Duration, SystemTime};

mod encode;

pub use crate::traceparent::TraceParent;
pub(crate) use encode::{EncodedOwner, OfHold};

/// The longest file that can be a claim, in bytes.
pub const MAX_CLAIM_LEN: usize = 4096;
/// The longest label, in bytes.
pub const MAX_LABEL_LEN: usize = 128;
/// The format that this crate writes.
pub const FORMAT: u64 = 2;

/// The fields of a claim; each is `None` if it is missing or is not what the format says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The holder's pid, in its own PID namespace.
    pub pid: Option<u32>,
    /// When the claim was written, by the holder's clock.
    pub created_at: Option<SystemTime>,
    /// The holder's start time in clock ticks, as its time namespace shows it.
    pub starttime: Option<u64>,
    /// The format: 2 for this crate.
    pub version: Option<u64>,
    /// The holder's instance of this crate.
    pub nonce: Option<[u8; 16]>,
    /// The hold's fencing token.
    pub token: Option<u64>,
    /// The boot that the holder runs in.
    pub boot_id: Option<[u8; 16]>,
    /// The holder's PID namespace.
    pub pid_ns: Option<u64>,
    /// The holder's time namespace.
    pub time_ns: Option<u64>,
    /// The holder's node name.
    pub host: Option<String>,
    /// The arbiter shard that backs the claim.
    pub arbiter: Option<ArbiterId>,
    /// The holder's span, as it says: something to link to, never a parent.
    pub traceparent: Option<TraceParent>,
    /// The caller's label, for people.
    pub label: Option<String>,
}

/// Which arbiter file: its identity on this kernel and the random bytes it was born with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArbiterId {
    /// Device and inode number.
    pub inode: Inode,
    /// The file's first 16 bytes.
    pub nonce: [u8; 16],
}

/// What stands at a claim's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing: an older peer was stopped between creating and writing, or the disk was full.
    Empty,
    /// A prefix of a text that is a JSON object in UTF-8, from its brace on and not the whole: more bytes could make it one.
    Torn,
    /// A whole JSON object, or the lines that Python's `SoftFileLock` writes (pid, host name, start instant).
    Claim(Box<Payload>),
    /// Something that no lock wrote. It is never touched.
    NotAClaim,
}

impl Content {
    /// Tells what these bytes are. A file longer than [`MAX_CLAIM_LEN`] is no claim.
    #[must_use]
    pub fn classify(bytes: &[u8]) -> Self {
        if bytes.len() > MAX_CLAIM_LEN {
            return Self::NotAClaim;
        }
        if bytes.is_empty() {
            return Self::Empty;
        }
        let is_object = bytes.iter().find(|byte| !b" \t\n\r".contains(byte)) == Some(&b'{');
        // The parser does not look at the encoding of what it skips.
        let encoding = std::str::from_utf8(bytes);
        match serde_json::from_slice::<Fields>(bytes) {
            Ok(fields) if encoding.is_ok() => Self::Claim(Box::new(fields.0)),
            Err(error) if is_object && is_prefix(bytes, encoding, &error) => Self::Torn,
            Ok(_) | Err(_) => soft_file_lock(bytes).map_or(Self::NotAClaim, |payload| Self::Claim(Box::new(payload))),
        }
    }

    /// The payload, if there is one.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Claim(payload) => Some(payload),
            Self::Empty | Self::Torn | Self::NotAClaim => None,
        }
    }

    pub(crate) fn into_payload(self) -> Option<Payload> {
        match self {
            Self::Claim(payload) => Some(*payload),
            Self::Empty | Self::Torn | Self::NotAClaim => None,
        }
    }

    /// Whether it is a claim in the format of this crate.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.payload().is_some_and(|payload| payload.version == Some(FORMAT) && payload.arbiter.is_some())
    }

    /// Whether the claim is backed by this arbiter, in this boot.
    #[must_use]
    pub fn standing(&self, arbiter: &ArbiterId, boot_id: &[u8; 16]) -> Standing {
        match self.payload() {
            Some(payload)
                if payload.version == Some(FORMAT)
                    && payload.arbiter.as_ref() == Some(arbiter)
                    && payload.boot_id.as_ref() == Some(boot_id) =>
            {
                Standing::OwnArbiter
            }
            _ => Standing::Foreign,
        }
    }
}

/// A payload read field by field, so that one bad field costs no other.
struct Fields(Payload);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut payload = Payload::default();
        let mut seen = 0_u16;
        while let Some(Key(known)) = map.next_key()? {
            let Some(index) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: &RawValue = map.next_value()?;
            if seen & (1 << index) == 0 {
                seen |= 1 << index;
                payload.set(index, value.get());
            }
        }
        Ok(Fields(payload))
    }
}

/// Which of [`KEYS`] a key is, if it is one.
struct Key(Option<usize>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(Key(KEYS.iter().position(|known| *known == key)))
    }
}

const KEYS: [&str; 13] = [
    "pid",
    "createdAt",
    "starttime",
    "v",
    "nonce",
    "token",
    "bootId",
    "pidNs",
    "timeNs",
    "host",
    "arbiter",
    "traceparent",
    "label",
];
/// Integers above this are not the same number in every JSON reader (RFC 8259, section 6).
const MAX_INTEGER: u64 = (1 << 53) - 1;

impl Payload {
    /// Sets the field `KEYS[index]` from JSON text.
    fn set(&mut self, index: usize, json: &str) {
        let integer = || json.parse().ok().filter(|number| *number <= MAX_INTEGER);
        let string = || string(json);
        match index {
            0 => self.pid = integer().and_then(pid),
            1 => self.created_at = string().and_then(|text| created_at(&text)),
            2 => self.starttime = integer(),
            3 => self.version = integer(),
            4 => self.nonce = string().and_then(|text| parse_hex(&text)),
            5 => self.token = integer(),
            6 => self.boot_id = string().and_then(|text| parse_uuid(&text)),
            7 => self.pid_ns = integer(),
            8 => self.time_ns = integer(),
            9 => self.host = string().map(Cow::into_owned),
            10 => self.arbiter = string().and_then(|text| ArbiterId::parse(&text)),
            11 => self.traceparent = string().and_then(|text| TraceParent::parse(&text)),
            _ => self.label = string().filter(|label| label.len() <= MAX_LABEL_LEN).map(Cow::into_owned),
        }
    }
}

/// The string of JSON text that the parser has found well formed.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let quoted = json.strip_prefix('"')?.strip_suffix('"')?;
    if quoted.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(quoted)) }
}

fn pid(number: u64) -> Option<u32> {
    u32::try_from(number).ok().filter(|pid| (1..=i32::MAX.unsigned_abs()).contains(pid))
}

/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// `None` before 1970 and after 9999, which the format cannot say.
pub(crate) fn rfc3339(at: SystemTime) -> Option<humantime::Rfc3339Timestamp> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    (since.as_secs() <= LAST_SECOND).then(|| humantime::format_rfc3339_micros(at))
}

/// Whether more bytes could make a whole object of these: they are UTF-8, perhaps up to the middle of a character, and
/// the parser came to their end without a fault.
fn is_prefix(bytes: &[u8], encoding: Result<&str, Utf8Error>, error: &serde_json::Error) -> bool {
    let is_utf8 = encoding.err().is_none_or(|error| error.error_len().is_none());
    is_utf8 && escape_is_cut(bytes) && (error.is_eof() || number_is_cut(bytes))
}

/// Whether a `\u` at the very end, which the parser does not look into until it has four digits, could become one.
fn escape_is_cut(bytes: &[u8]) -> bool {
    (bytes.len().saturating_sub(5)..bytes.len()).all(|at| {
        let (before, escape) = bytes.split_at(at);
        let is_escaped = before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        is_escaped || !escape.starts_with(b"\\u") || escape[2..].iter().all(u8::is_ascii_hexdigit)
    })
}

/// Whether a digit at the end makes it the beginning of an object: the parser refuses a number that ends before one.
fn number_is_cut(bytes: &[u8]) -> bool {
    let is_end = bytes.last().is_some_and(|byte| b".eE+-".contains(byte));
    is_end && serde_json::from_slice::<Fields>(&[bytes, b"0"].concat()).is_err_and(|error| error.is_eof())
}

/// Digits beyond the microsecond are dropped.
fn created_at(text: &str) -> Option<SystemTime> {
    // What stands behind the seconds is not looked at closely enough by the crate.
    let zone = match text.get(19..)?.strip_prefix('.') {
        Some(fraction) if fraction.starts_with(|c: char| c.is_ascii_digit()) => {
            fraction.trim_start_matches(|c: char| c.is_ascii_digit())
        }
        Some(_) => return None,
        None => &text[19..],
    };
    if zone != "Z" && zone != "+00:00" {
        return None;
    }
    let since = humantime::parse_rfc3339(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let micros = u64::try_from(since.as_micros()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

/// Two or three lines, each ended: pid, host name, and from version 3.29 on a start instant (py-filelock, `_soft.py`).
fn soft_file_lock(bytes: &[u8]) -> Option<Payload> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let (owner, host, start) = (lines.next()?, lines.next()?, lines.next());
    let digits = |line: &str| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    let printable = !host.is_empty() && !host.contains(|c: char| c.is_control() || c.is_whitespace());
    if !digits(owner) || !printable || !start.is_none_or(digits) || lines.next().is_some() {
        return None;
    }
    let pid = owner.parse().ok().and_then(pid);
    Some(Payload { pid, host: Some(host.to_owned()), ..Payload::default() })
}

impl fmt::Display for ArbiterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{:x}:{}", self.inode.dev, self.inode.ino, hex(&self.nonce))
    }
}

impl ArbiterId {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        // Not a sign, which from_str_radix takes.
        let is_hex = |digits: &&str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut number = || u64::from_str_radix(parts.next().filter(is_hex)?, 16).ok();
        let inode = Inode { dev: number()?, ino: number()? };
        let nonce = parse_hex(parts.next()?)?;
        parts.next().is_none().then_some(Self { inode, nonce })
    }
}

/// By table: formatting integers costs more than the rest of a claim.
fn hex(bytes: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(32);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = hex(bytes);
    for dash in [20, 16, 12, 8] {
        text.insert(dash, '-');
    }
    text
}

/// 32 hex digits with dashes after the 8th, 12th, 16th and 20th (RFC 9562, section 4).
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut digits = [0; 32];
    let (mut at, mut groups) = (0, text.split('-'));
    for len in [8, 4, 4, 4, 12] {
        let group = groups.next().filter(|group| group.len() == len)?;
        digits[at..at + len].copy_from_slice(group.as_bytes());
        at += len;
    }
    groups.next().is_none().then(|| parse_digits(&digits)).flatten()
}

/// 32 hex digits.
fn parse_hex(text: &str) -> Option<[u8; 16]> {
    parse_digits(text.as_bytes().try_into().ok()?)
}

/// Digit by digit: parsing integers costs more than the rest of a claim.
fn parse_digits(digits: &[u8; 32]) -> Option<[u8; 16]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}
