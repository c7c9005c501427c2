//! The payload's decoder takes anything; the verdict never turns unknown into dead.
#![allow(clippy::disallowed_methods, reason = "the bans are for the crate itself")]

use session_lock::payload::{ArbiterId, Content, MAX_CLAIM_LEN, Payload, TraceParent};
use session_lock::protocol::{Completion, Inode, Standing};
use session_lock::verdict::{Asker, OwnerProcess, Probe, writers};
use std::time::{Duration, SystemTime};

/// Miri, which takes some hundred times as long, looks at one case in this many.
const ONE_IN: usize = if cfg!(miri) { 100 } else { 1 };
const RANDOM_CASES: u32 = if cfg!(miri) { 20 } else { 20_000 };

fn full() -> Payload {
    Payload {
        pid: Some(4242),
        created_at: Some(SystemTime::UNIX_EPOCH + Duration::from_micros(1_770_000_000_123_456)),
        starttime: Some(77),
        version: Some(2),
        nonce: Some([0xab; 16]),
        token: Some(9),
        boot_id: Some([1; 16]),
        pid_ns: Some(4_026_531_836),
        time_ns: Some(4_026_531_834),
        host: Some("höst".into()),
        arbiter: Some(ArbiterId { inode: Inode { dev: 0xfe00, ino: 1234 }, nonce: [7; 16] }),
        traceparent: TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        label: Some("a \"label\" \n with \u{1b} escapes".into()),
    }
}

fn decoded(bytes: &[u8]) -> Payload {
    Content::classify(bytes).payload().cloned().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(bytes)))
}

#[test]
fn what_is_written_reads_back_padded_or_not() {
    for payload in [full(), Payload::default()] {
        for old_len in [0, 700, MAX_CLAIM_LEN] {
            let bytes = payload.encode(old_len);
            assert!(bytes.len() >= old_len && bytes.len() <= MAX_CLAIM_LEN);
            assert_eq!(decoded(&bytes), payload);
        }
    }
}

#[test]
fn each_beginning_of_a_claim_is_torn_and_no_end_is_a_claim() {
    let bytes = full().encode(0);
    let object = bytes.len() - 1;
    assert_eq!(Content::classify(b""), Content::Empty);
    for cut in (1..object).step_by(ONE_IN) {
        assert_eq!(Content::classify(&bytes[..cut]), Content::Torn, "cut at {cut}");
    }
    for cut in (1..object).step_by(ONE_IN) {
        assert_eq!(Content::classify(&bytes[cut..]), Content::NotAClaim, "from {cut}");
    }
}

/// Who leaves such files is no lock, and they are never touched.
#[test]
fn what_only_begins_like_an_object_is_no_claim() {
    let texts: [&[u8]; 11] = [
        b"{\"a\":\"\xff\"}",
        b" \t\r\n",
        b"[1",
        b"\"a",
        b"nul",
        b"{\"a\":\"\xff\xfe",
        b"{\"a\":\"\\uzz",
        b"{\"a\":\"\\ud\\e",
        b"{\"a\":\"\\\\\\u0z",
        b"\x0c{\"pid\":1}",
        b"{\"pid\":1}\x0c",
    ];
    for text in texts {
        assert_eq!(Content::classify(text), Content::NotAClaim, "{}", text.escape_ascii());
    }
    let texts: [&[u8]; 10] = [
        b"{\"a\":\"\xc3",
        b"{\"a\":\"\\u",
        b"{\"a\":\"\\u00a",
        b"{\"a\":\"\\\\uzz",
        b"{\"a\":\"\\",
        b"{\"a\":-",
        b"{\"a\":4.",
        b"{\"a\":4.5e",
        b"{\"a\":[4E+",
        b"{\"pid\":4.",
    ];
    for text in texts {
        assert_eq!(Content::classify(text), Content::Torn, "{}", text.escape_ascii());
    }
}

#[test]
fn a_bad_field_is_dropped_alone() {
    let rows: [(&str, &str); 27] = [
        ("pid", "0"),
        ("pid", "-1"),
        ("pid", "4294967297"),
        ("pid", "9007199254740993"),
        ("pid", "1e400"),
        ("pid", "1.5"),
        ("pid", "\"7\""),
        ("pid", "null"),
        ("pid", "[[[[[1]]]]]"),
        ("createdAt", "\"yesterday\""),
        ("createdAt", "7"),
        ("createdAt", "\"2026-02-01T10:00:00.Z\""),
        ("createdAt", "\"2026-02-01T10:00:00.1+abcdZ\""),
        ("createdAt", "\"2026-02-01T10:00:00ZabcZ\""),
        ("starttime", "-1"),
        ("nonce", "\"ab\""),
        ("nonce", "\"+0000000000000000000000000000000\""),
        ("token", "9007199254740993"),
        ("bootId", "\"11111111111111111111111111111111\""),
        ("pidNs", "{}"),
        ("host", "1"),
        ("arbiter", "\"1:2\""),
        ("arbiter", "\"+1:+2:00000000000000000000000000000000\""),
        ("traceparent", "\"\""),
        ("traceparent", "\"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\""),
        ("traceparent", "\"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01\""),
        ("label", "true"),
    ];
    for (key, value) in rows {
        let text = format!("{{\"{key}\":{value},\"v\":2}}");
        assert_eq!(decoded(text.as_bytes()), Payload { version: Some(2), ..Payload::default() }, "{text}");
    }
    let long = format!("{{\"label\":\"{}\",\"v\":2}}", "x".repeat(129));
    assert_eq!(decoded(long.as_bytes()).label, None);
}

#[test]
fn the_first_of_duplicate_keys_counts_also_if_it_is_bad() {
    assert_eq!(decoded(br#"{"pid":1,"pid":2}"#).pid, Some(1));
    assert_eq!(decoded(br#"{"pid":"x","pid":2}"#).pid, None);
    assert_eq!(decoded(br#"{"p\u0069d":3}"#).pid, Some(3), "an escaped key is the same key");
}

#[test]
fn the_lines_of_soft_file_lock_are_a_claim() {
    for (text, pid) in [("123\nhost\n", Some(123)), ("123\nhost\n456\n", Some(123)), ("0\nhost\n", None)] {
        let payload = decoded(text.as_bytes());
        assert_eq!((payload.pid, payload.host.as_deref()), (pid, Some("host")), "{text:?}");
    }
    for text in ["123", "123\n", "123\nhost", "x\nhost\n", "1\nho st\n", "1\nhost\nx\n", "1\nhost\n2\n3\n", "\n\n"] {
        assert_eq!(Content::classify(text.as_bytes()), Content::NotAClaim, "{text:?}");
    }
}

#[test]
fn no_input_makes_the_decoder_panic() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}: replay by putting it into fastrand::seed");
    fastrand::seed(seed);
    let model = full().encode(600);
    for _ in 0..RANDOM_CASES {
        let mut bytes = model.clone();
        for _ in 0..fastrand::usize(1..8) {
            let at = fastrand::usize(..bytes.len());
            match fastrand::u8(..4) {
                0 => bytes[at] = fastrand::u8(..),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, *fastrand::choice(b"{}[]\",:\\0e-\xff\x00").expect("not empty")),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        if let Content::Claim(payload) = Content::classify(&bytes) {
            let again = decoded(&payload.encode(0));
            assert_eq!(again, *payload, "seed {seed}: what was decoded reads back");
        }
    }
    for nested in ["[", "{\"a\":"] {
        assert_ne!(Content::classify(nested.repeat(800).as_bytes()), Content::Empty);
    }
    assert_eq!(Content::classify(&vec![b'{'; (64 << 20) / ONE_IN]), Content::NotAClaim);
}

fn asker() -> Asker {
    Asker {
        pid: 1,
        starttime: Some(5),
        nonce: [3; 16],
        boot_id: [1; 16],
        pid_ns: Some(4_026_531_836),
        time_ns: Some(4_026_531_834),
    }
}

/// Any payload, any evidence: a writer is alive; without a probe only a payload that says where its pid means something,
/// and says that it is here, can be dead.
#[test]
fn unknown_never_becomes_dead() {
    let here = full();
    let elsewhere = [
        Payload { boot_id: None, ..full() },
        Payload { boot_id: Some([2; 16]), ..full() },
        Payload { pid_ns: None, ..full() },
        Payload { pid_ns: Some(1), ..full() },
        Payload { time_ns: Some(1), ..full() },
        Payload { pid: None, ..full() },
        Payload { pid: Some(1), ..full() },
        Payload::default(),
    ];
    let contents = |payload: &Payload| Content::Claim(Box::new(payload.clone()));
    for owner in [OwnerProcess::Gone, OwnerProcess::Another, OwnerProcess::Present, OwnerProcess::Unknown] {
        let gone = matches!(owner, OwnerProcess::Gone | OwnerProcess::Another);
        let unavailable = |content: &Content| writers(Probe::Unavailable, content, &asker(), owner);
        assert_eq!(unavailable(&contents(&here)) == Completion::NoWriter, gone, "{owner:?}");
        for content in elsewhere.iter().map(contents).chain([Content::Empty, Content::Torn]) {
            assert_eq!(unavailable(&content), Completion::Unknown, "{content:?} {owner:?}");
            assert_eq!(writers(Probe::Writer, &content, &asker(), owner), Completion::Writer);
            assert_eq!(writers(Probe::NoWriter, &content, &asker(), owner), Completion::NoWriter);
        }
    }
}

#[test]
fn a_claim_is_ours_only_if_arbiter_boot_and_format_are() {
    let (arbiter, boot) = (full().arbiter.expect("set"), [1; 16]);
    let standing = |payload: Payload| Content::Claim(Box::new(payload)).standing(&arbiter, &boot);
    assert_eq!(standing(full()), Standing::OwnArbiter);
    let mut other = arbiter;
    other.nonce[0] ^= 1;
    for payload in [
        Payload { version: Some(3), ..full() },
        Payload { version: None, ..full() },
        Payload { arbiter: None, ..full() },
        Payload { arbiter: Some(other), ..full() },
        Payload { boot_id: Some([2; 16]), ..full() },
    ] {
        assert_eq!(standing(payload), Standing::Foreign);
    }
    assert_eq!(Content::Empty.standing(&arbiter, &boot), Standing::Foreign);
}
