//! Session names, and where on the arbiters a name's lock lies.
//!
//! | Part | Bits of SipHash-2-4 of the name, key 0 | |
//! |---|---|---|
//! | shard | 0 to 7 | which of the 256 arbiter files |
//! | offset | 2 to 63 | which byte of it |
//!
//! Hash, key, shard count and offset are frozen with the format: two versions that disagree would both hold. Names that
//! share shard and offset share one lock; that costs waiting, never exclusion.

use siphasher::sip::SipHasher24;
use std::ffi::{CStr, CString};
use std::hash::Hasher;

/// The number of arbiter files.
pub(crate) const SHARDS: usize = 256;
/// The longest session name in bytes: with `.lock` it fits the 255 bytes of a path component.
pub const MAX_NAME_LEN: usize = 250;

/// A valid session name with everything that follows from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) claim: CString,
    pub(crate) range: Range,
}

/// The byte that is the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Range {
    pub(crate) shard: usize,
    pub(crate) offset: u64,
}

/// Why a name cannot name a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no bytes, or more than 250.
    #[error("it must have 1 to {MAX_NAME_LEN} bytes, and has {0}")]
    Length(usize),
    /// It is `.` or `..`, or has a `/` or a NUL byte.
    #[error("it must be one path component: no '/', no NUL byte, not '.' or '..'")]
    NotAComponent,
    /// It ends in `.lock`: that would be another session's claim.
    #[error("it must not end in '.lock', which is how claims are named")]
    ClaimName,
    /// It is the state directory's name.
    #[error("'.session-lock' is the lock's own state directory")]
    StateDirectory,
}

/// Whether a name is this prefix and the 32 lower-case hex digits of 16 random bytes, as names of temporary files are.
pub(crate) fn is_temporary(name: &CStr, prefix: &str) -> bool {
    let digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    name.to_bytes().strip_prefix(prefix.as_bytes()).is_some_and(|random| random.len() == 32 && random.iter().all(digit))
}

impl Session {
    pub(crate) fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() || name.len() > MAX_NAME_LEN {
            return Err(NameError::Length(name.len()));
        }
        if name == "." || name == ".." || name.contains('/') {
            return Err(NameError::NotAComponent);
        }
        if name.as_bytes().ends_with(b".lock") {
            return Err(NameError::ClaimName);
        }
        if name == ".session-lock" {
            return Err(NameError::StateDirectory);
        }
        let claim = [name.as_bytes(), c".lock".to_bytes_with_nul()].concat();
        let claim = CString::from_vec_with_nul(claim).map_err(|_| NameError::NotAComponent)?;
        Ok(Self { name: name.to_owned(), claim, range: Range::of(name) })
    }

    /// The claim's file name.
    pub(crate) fn claim_name(&self) -> &str {
        self.claim.to_str().unwrap_or(&self.name)
    }
}

impl Range {
    fn of(name: &str) -> Self {
        let mut hasher = SipHasher24::new_with_keys(0, 0);
        hasher.write(name.as_bytes());
        let hash = hasher.finish();
        Self { shard: usize::from(hash.to_le_bytes()[0]) % SHARDS, offset: hash >> 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME_LEN, NameError, Range, Session};

    #[test]
    fn names() {
        let long = "x".repeat(MAX_NAME_LEN);
        let longer = "x".repeat(MAX_NAME_LEN + 1);
        let cases: [(&str, Option<NameError>); 13] = [
            ("42.jsonl", None),
            ("…", None),
            (".hidden", None),
            (&long, None),
            (&longer, Some(NameError::Length(251))),
            ("", Some(NameError::Length(0))),
            (".", Some(NameError::NotAComponent)),
            ("..", Some(NameError::NotAComponent)),
            ("a/b", Some(NameError::NotAComponent)),
            ("a\0b", Some(NameError::NotAComponent)),
            ("a.lock", Some(NameError::ClaimName)),
            (".lock", Some(NameError::ClaimName)),
            (".session-lock", Some(NameError::StateDirectory)),
        ];
        for (name, error) in cases {
            assert_eq!(Session::new(name).err(), error, "{name:?}");
        }
    }

    /// The place of a name is part of the format. Vectors: SipHash-2-4, 128-bit zero key.
    #[test]
    fn places_are_frozen() {
        for (name, shard, offset) in FROZEN {
            assert_eq!(Range::of(name), Range { shard, offset }, "{name}");
        }
    }

    const FROZEN: [(&str, usize, u64); 2] =
        [("42.jsonl", 70, 4_048_956_320_070_343_569), ("a", 73, 2_715_813_615_757_486_226)];
}
