//! Claims of every format that is met, changed member by member and then byte by byte, against the reference model.

use arbitrary::{Result, Unstructured};
use session_lock::payload::Content;

use crate::reference;

/// Runs the target on one input.
///
/// # Panics
///
/// On a finding.
pub fn run(bytes: &[u8]) {
    if let Ok(claim) = claim(&mut Unstructured::new(bytes)) {
        assert_eq!(Content::classify(&claim), reference::classify(&claim), "{}", claim.escape_ascii());
    }
}

/// A claim of this crate.
pub(crate) const OURS: [(&str, &str); 13] = [
    ("pid", "4242"),
    ("createdAt", "\"2026-02-01T10:00:00.123456Z\""),
    ("starttime", "77"),
    ("v", "2"),
    ("nonce", "\"000102030405060708090a0b0c0d0e0f\""),
    ("token", "9"),
    ("bootId", "\"01234567-89ab-cdef-0123-456789abcdef\""),
    ("pidNs", "4026531836"),
    ("timeNs", "4026531834"),
    ("host", "\"node-1\""),
    ("arbiter", "\"fe00:4d2:0f0e0d0c0b0a09080706050403020100\""),
    ("traceparent", "\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\""),
    ("label", "\"run 17\""),
];

/// Values where a decoder may be wrong: beside the limits, in other notations, of other types.
const VALUES: [&str; 40] = [
    "0",
    "-0",
    "-1",
    "1",
    "1.0",
    "1e3",
    "1E+2",
    "1e400",
    "0.1",
    "01",
    "2147483647",
    "2147483648",
    "4294967297",
    "9007199254740991",
    "9007199254740992",
    "18446744073709551615",
    "18446744073709551616",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[[[[[[[[1]]]]]]]]",
    "{\"pid\":{\"pid\":[1,{\"v\":2}]}}",
    "\"\\u0031\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"2026-02-01T10:00:00Z\"",
    "\"2026-02-01T10:00:00+00:00\"",
    "\"2026-02-01T10:00:00.1+00:00\"",
    "\"2026-02-29T10:00:00Z\"",
    "\"2024-02-29T23:59:60.999999999999Z\"",
    "\"1969-12-31T23:59:59Z\"",
    "\"9999-12-31T23:59:59.9999999Z\"",
    "\"FE00:4D2:0F0E0D0C0B0A09080706050403020100\"",
    "\"+1:2:0f0e0d0c0b0a09080706050403020100\"",
    "\"10000000000000000:2:0f0e0d0c0b0a09080706050403020100\"",
    "\"0123456789AB-cdef-0123-456789abcdef-\"",
    "\"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"",
    "\"00-00000000000000000000000000000000-00f067aa0ba902b7-01\"",
];

struct Member {
    key: String,
    value: Vec<u8>,
}

pub(crate) fn claim(choices: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut bytes = match choices.int_in_range(0..=7_u8)? {
        0 => soft_file_lock(choices)?,
        1 | 2 => object(&OURS[..3], choices)?,
        _ => object(&OURS, choices)?,
    };
    for _ in 0..choices.int_in_range(0..=3_u8)? {
        change(&mut bytes, choices)?;
    }
    Ok(bytes)
}

/// As py-filelock writes them, or nearly so.
fn soft_file_lock(choices: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for _ in 0..choices.int_in_range(1..=4_u8)? {
        match choices.int_in_range(0..=5_u8)? {
            0 => bytes.extend_from_slice(choices.arbitrary::<u64>()?.to_string().as_bytes()),
            1 => bytes.extend_from_slice(b"4242"),
            2 => bytes.extend_from_slice(choices.arbitrary::<&str>()?.as_bytes()),
            _ => bytes.extend_from_slice(b"node-1"),
        }
        if !choices.ratio(1, 8)? {
            bytes.push(b'\n');
        }
    }
    Ok(bytes)
}

fn object(template: &[(&str, &str)], choices: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let member = |(key, value): &(&str, &str)| Member { key: format!("\"{key}\""), value: value.as_bytes().to_vec() };
    let mut members: Vec<Member> = template.iter().map(member).collect();
    for _ in 0..choices.int_in_range(0..=6_u8)? {
        edit(&mut members, choices)?;
    }
    let space = *choices.choose(&["", "", " ", "\n", "\t\r\n "])?;
    let mut bytes = format!("{space}{{{space}").into_bytes();
    for (nth, Member { key, value }) in members.iter().enumerate() {
        if nth > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(format!("{space}{key}{space}:{space}").as_bytes());
        bytes.extend_from_slice(value);
    }
    bytes.extend_from_slice(format!("{space}}}{space}").as_bytes());
    Ok(bytes)
}

fn edit(members: &mut Vec<Member>, choices: &mut Unstructured<'_>) -> Result<()> {
    let at = choices.choose_index(members.len().max(1))?;
    match choices.int_in_range(0..=7_u8)? {
        0 if at < members.len() => drop(members.remove(at)),
        1 => {
            let (key, _) = *choices.choose(&OURS)?;
            members.insert(at, Member { key: format!("\"{key}\""), value: value(choices)? });
        }
        2 => {
            let key = quoted(choices.arbitrary()?, choices.arbitrary()?);
            members.insert(at, Member { key, value: value(choices)? });
        }
        3 if at < members.len() => {
            let key = members[at].key.trim_matches('"').to_owned();
            members[at].key = quoted(&key, true);
        }
        4 => {
            let other = choices.choose_index(members.len().max(1))?;
            if at < members.len() {
                members.swap(at, other);
            }
        }
        _ if at < members.len() => members[at].value = value(choices)?,
        _ => {}
    }
    Ok(())
}

fn value(choices: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match choices.int_in_range(0..=7_u8)? {
        0 => choices.arbitrary::<u64>()?.to_string().into_bytes(),
        1 => quoted(choices.arbitrary()?, choices.arbitrary()?).into_bytes(),
        2 => choices.choose(&OURS)?.1.as_bytes().to_vec(),
        3 => choices.arbitrary::<&[u8]>()?.to_vec(),
        4 => {
            let depth = choices.int_in_range(1..=900)?;
            let (open, close) = if choices.arbitrary()? { ("[", "]") } else { ("{\"a\":", "}") };
            format!("{}0{}", open.repeat(depth), close.repeat(depth)).into_bytes()
        }
        5 => quoted(&"x".repeat(choices.int_in_range(126..=130)?), false).into_bytes(),
        _ => choices.choose(&VALUES)?.as_bytes().to_vec(),
    })
}

/// As a JSON string, each character escaped or only those that have to be.
fn quoted(text: &str, escaped: bool) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if escaped || c < ' ' || c == '"' || c == '\\' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                quoted.extend(format!("\\u{unit:04x}").chars());
            }
        } else {
            quoted.push(c);
        }
    }
    quoted + "\""
}

/// One change that knows nothing of JSON.
pub(crate) fn change(bytes: &mut Vec<u8>, choices: &mut Unstructured<'_>) -> Result<()> {
    let at = choices.choose_index(bytes.len().max(1))?;
    match choices.int_in_range(0..=6_u8)? {
        0 => bytes.truncate(at),
        1 => drop(bytes.splice(..0, *b"\xef\xbb\xbf")),
        2 => bytes.extend_from_slice(choices.arbitrary::<&[u8]>()?),
        3 => bytes.resize(bytes.len() + choices.int_in_range(0..=4200)?, b' '),
        4 if at < bytes.len() => bytes[at] = choices.arbitrary()?,
        5 => bytes.insert(at, *choices.choose(b"{}[]\",:\\0e-.+ \n\x0c\x00\xc3\xff")?),
        _ if at < bytes.len() => drop(bytes.remove(at)),
        _ => {}
    }
    Ok(())
}
