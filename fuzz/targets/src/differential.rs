//! The decoder beside the older lock's reader: every difference between the two is on a list, and the list says why.

use std::time::SystemTime;

use session_lock::payload::{Content, MAX_CLAIM_LEN};

use crate::older_reader::{self, Number, Reading};
use crate::reference::{self, Encoding};

/// A reason for which the two may read a file differently. `DIFFERENCES.md` says what follows from each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The file is longer than a claim can be.
    Length,
    /// It is not UTF-8.
    Encoding,
    /// A key has half of a surrogate pair.
    Surrogate,
    /// It is what `SoftFileLock` writes.
    SoftFileLock,
    /// A key is there twice.
    DuplicateKey,
    /// An integer is written with a sign, a fraction or an exponent.
    NumberNotation,
    /// An integer is larger than the format allows.
    NumberRange,
    /// The date is not one of those that the older lock writes.
    DateForm,
}

impl Difference {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Length,
        Self::Encoding,
        Self::Surrogate,
        Self::SoftFileLock,
        Self::DuplicateKey,
        Self::NumberNotation,
        Self::NumberRange,
        Self::DateForm,
    ];
}

/// Runs the target on one input.
///
/// # Panics
///
/// On a finding.
pub fn run(bytes: &[u8]) {
    differences(bytes);
}

/// The listed reasons for which the two read these bytes differently; empty if they read the same.
///
/// # Panics
///
/// If they do, and no reason on the list applies.
pub fn differences(bytes: &[u8]) -> Vec<Difference> {
    let content = Content::classify(bytes);
    assert_eq!(content, reference::classify(bytes), "the reference model says something else");
    let Some((theirs, keys)) = older_reader::read(bytes) else {
        return match content {
            Content::Claim(_) => explained(bytes, reference::soft_file_lock(bytes).is_some(), Difference::SoftFileLock),
            Content::Empty | Content::Torn | Content::NotAClaim => Vec::new(),
        };
    };
    let Content::Claim(ours) = content else {
        let whole = [
            (bytes.len() > MAX_CLAIM_LEN, Difference::Length),
            (reference::encoding(bytes) == Encoding::Broken, Difference::Encoding),
            (theirs.lone_surrogate, Difference::Surrogate),
        ];
        return first_that_applies(bytes, &whole);
    };
    let mut found = Vec::new();
    let is_twice = |key: &str| keys.iter().filter(|found| *found == key).count() > 1;
    let mut compare = |key: &str, same: bool, reasons: &[(bool, Difference)]| {
        if !same {
            let twice = (is_twice(key), Difference::DuplicateKey);
            found.extend(first_that_applies(bytes, &[&[twice], reasons].concat()));
        }
    };
    let Reading { pid, starttime, created_at, .. } = theirs;
    let our_pid = ours.pid.map(u64::from);
    compare("pid", same_number(our_pid, &pid), &number_reasons(&pid, i32::MAX.unsigned_abs().into()));
    compare("starttime", same_number(ours.starttime, &starttime), &number_reasons(&starttime, (1 << 53) - 1));
    let written = created_at.as_ref().and_then(|text| as_written(&text.text));
    let other_form = created_at.is_some() && written.is_none();
    compare("createdAt", ours.created_at == written, &[(other_form, Difference::DateForm)]);
    found
}

fn explained(bytes: &[u8], applies: bool, reason: Difference) -> Vec<Difference> {
    first_that_applies(bytes, &[(applies, reason)])
}

fn first_that_applies(bytes: &[u8], reasons: &[(bool, Difference)]) -> Vec<Difference> {
    let reason = reasons.iter().find(|(applies, _)| *applies);
    let (_, reason) =
        reason.unwrap_or_else(|| panic!("a difference that is not on the list: {}", bytes.escape_ascii()));
    vec![*reason]
}

#[expect(clippy::cast_precision_loss, reason = "the older reader's numbers are doubles, and ours are below 2^53")]
fn same_number(ours: Option<u64>, theirs: &Number) -> bool {
    ours.map(|number| number as f64) == theirs.value
}

fn number_reasons(theirs: &Number, largest: u64) -> [(bool, Difference); 2] {
    let digits = reference::digits(&theirs.text);
    [
        (!theirs.text.is_empty() && digits.is_none(), Difference::NumberNotation),
        (digits.is_some_and(|number| number > u128::from(largest)), Difference::NumberRange),
    ]
}

/// The instant of a date as JavaScript's `toISOString` writes it.
fn as_written(text: &str) -> Option<SystemTime> {
    let pattern: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let is_leap_second = text.get(17..19) == Some("60");
    reference::date(text).filter(|_| pattern == "0000-00-00T00:00:00.000Z" && !is_leap_second)
}
