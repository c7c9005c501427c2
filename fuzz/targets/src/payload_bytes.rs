//! Any bytes in a lock file: the decoder never panics, says what the reference model says, and does not contradict itself.

use session_lock::payload::{Content, MAX_CLAIM_LEN, Payload};

use crate::reference;

/// Runs the target on one input.
///
/// # Panics
///
/// On a finding.
pub fn run(bytes: &[u8]) {
    let content = Content::classify(bytes);
    assert_eq!(content, reference::classify(bytes), "the reference model says something else");
    assert_eq!(bytes.is_empty(), content == Content::Empty, "nothing but nothing is empty");
    if bytes.len() > MAX_CLAIM_LEN {
        assert_eq!(content, Content::NotAClaim, "it is too long");
    }
    let begin = bytes.trim_ascii_start();
    match &content {
        Content::Claim(payload) => {
            reads_back(payload);
            if begin.starts_with(b"{") {
                a_beginning_is_torn(bytes);
            }
        }
        Content::Torn => {
            assert!(begin.starts_with(b"{"), "it is the beginning of an object");
            assert_eq!(content.payload(), None);
        }
        Content::Empty | Content::NotAClaim => assert!(!content.is_ours()),
    }
}

/// What is written for what was read is the same claim, as far as it fits.
fn reads_back(payload: &Payload) {
    let bytes = payload.encode(0);
    if bytes.len() <= MAX_CLAIM_LEN {
        assert_eq!(Content::classify(&bytes).payload(), Some(payload), "it reads back");
    }
}

/// Cut anywhere before its last brace, a whole object is torn. Where is up to its bytes.
fn a_beginning_is_torn(bytes: &[u8]) {
    let brace = |byte: &u8| *byte == b'{' || *byte == b'}';
    let (Some(first), Some(last)) = (bytes.iter().position(brace), bytes.iter().rposition(brace)) else { return };
    let sum: usize = bytes.iter().map(|byte| usize::from(*byte)).sum();
    let cut = first + 1 + sum % (last - first);
    assert_eq!(Content::classify(&bytes[..cut]), Content::Torn, "cut at {cut}");
}
