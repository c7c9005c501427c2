//! Basic authentication against bcrypt hashes.
//!
//! A comparison takes some 50 ms of a processor, on purpose. So few run at a time, on blocking threads, and one that
//! succeeded is remembered: in memory, bounded, by a keyed hash, so that no password stays there. A failed one is not, or
//! guesses could push out the scraper's entry. An unknown name costs a comparison as well, against the costliest hash
//! there is, so that names cannot be told by time where all hashes have one cost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use ring::{hmac, rand};
use tokio::sync::Semaphore;

/// Remembered successes.
const MOST_REMEMBERED: usize = 100;

/// Comparisons at a time: the toolkit makes one.
const MOST_COMPARISONS: usize = 2;

/// Who may come in: names with their bcrypt hashes.
#[derive(Clone, Default)]
pub(crate) struct Users(BTreeMap<String, String>);

impl Users {
    pub(super) fn parse(users: &BTreeMap<String, Option<String>>) -> Result<Self, String> {
        let parse = |(name, hash): (&String, &Option<String>)| {
            let hash = hash.clone().unwrap_or_default();
            let parsed: Result<HashParts, _> = hash.parse();
            parsed.map_err(|_| format!("basic_auth_users: {name:?} has no bcrypt hash"))?;
            Ok((name.clone(), hash))
        };
        users.iter().map(parse).collect::<Result<_, String>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash to compare with, and whether it is this user's.
    fn hash(&self, name: &str) -> Option<(&str, bool)> {
        let cost = |hash: &&String| hash.parse().map_or(0, |parts: HashParts| parts.get_cost());
        match self.0.get(name) {
            Some(hash) => Some((hash, true)),
            None => self.0.values().max_by_key(cost).map(|hash| (hash.as_str(), false)),
        }
    }
}

/// A name and a password as a client gave them.
pub(crate) struct Credentials {
    name: String,
    password: Vec<u8>,
}

impl Credentials {
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
        Some(Self { name, password: decoded[colon + 1..].to_vec() })
    }
}

/// Compares, and remembers.
pub(crate) struct Attempt {
    key: hmac::Key,
    remembered: Mutex<VecDeque<hmac::Tag>>,
    comparisons: Arc<Semaphore>,
}

impl Attempt {
    pub(crate) fn new() -> Self {
        let random = rand::SystemRandom::new();
        Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &random).expect("the kernel has random bytes"),
            remembered: Mutex::default(),
            comparisons: Arc::new(Semaphore::new(MOST_COMPARISONS)),
        }
    }

    /// Whether these headers let somebody in.
    pub(crate) async fn admits(&self, users: &Users, headers: &HeaderMap) -> bool {
        let Some(Credentials { name, password }) = Credentials::of(headers) else { return false };
        let Some((hash, known)) = users.hash(&name) else { return false };
        let tag = self.tag(&name, hash, &password);
        if known && self.remembers(&tag) {
            return true;
        }
        let Ok(permit) = Arc::clone(&self.comparisons).acquire_owned().await else { return false };
        // A scraper's second request may have waited for its first.
        if known && self.remembers(&tag) {
            return true;
        }
        let hash = hash.to_owned();
        let compare = move || {
            // Released when the comparison is over, also if nobody waits for it any more.
            let _permit = permit;
            bcrypt::verify(&password, &hash).unwrap_or(false)
        };
        let admitted = tokio::task::spawn_blocking(compare).await.unwrap_or(false) && known;
        if admitted {
            self.remember(tag);
        }
        admitted
    }

    /// With the stored hash in it, so that a changed password is asked for again.
    fn tag(&self, name: &str, hash: &str, password: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [name.as_bytes(), hash.as_bytes(), password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign()
    }

    fn remembers(&self, tag: &hmac::Tag) -> bool {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.iter().any(|known| known.as_ref() == tag.as_ref())
    }

    fn remember(&self, tag: hmac::Tag) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn users(all: &[(&str, &str)]) -> Users {
        let hash = |password: &str| bcrypt::hash(password, 4).expect("a hash");
        Users(all.iter().map(|(name, password)| ((*name).to_owned(), hash(password))).collect())
    }

    fn headers(scheme: &str, text: &str) -> HeaderMap {
        let value = format!("{scheme} {}", STANDARD.encode(text));
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(&value).expect("a value"))])
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_name_and_its_password_and_nothing_else() {
        let (attempt, users) = (Attempt::new(), users(&[("alice", "a:b"), ("bob", "secret")]));
        // Twice, because the second comes from memory.
        for _ in 0..2 {
            assert!(attempt.admits(&users, &headers("Basic", "alice:a:b")).await);
            assert!(attempt.admits(&users, &headers("bAsIc", "bob:secret")).await);
            for wrong in ["alice:secret", "bob:a:b", "bob:", "carol:secret", ":", "", "bob", "bob:secret "] {
                assert!(!attempt.admits(&users, &headers("Basic", wrong)).await, "{wrong:?}");
            }
            assert!(!attempt.admits(&users, &headers("Bearer", "bob:secret")).await);
            assert!(!attempt.admits(&users, &HeaderMap::new()).await);
        }
        assert_eq!(attempt.remembered.lock().expect("no panic").len(), 2, "only successes are remembered");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_changed_password_is_not_remembered() {
        let (attempt, before, after) = (Attempt::new(), users(&[("bob", "old")]), users(&[("bob", "new")]));
        assert!(attempt.admits(&before, &headers("Basic", "bob:old")).await);
        assert!(!attempt.admits(&after, &headers("Basic", "bob:old")).await);
        assert!(attempt.admits(&after, &headers("Basic", "bob:new")).await);
        assert!(!attempt.admits(&users(&[("carol", "old")]), &headers("Basic", "bob:old")).await);
    }

    #[test]
    fn an_unknown_name_costs_the_most() {
        let mut all = users(&[("a", "x")]);
        all.0.insert("b".to_owned(), bcrypt::hash("x", 5).expect("a hash"));
        let (hash, known) = all.hash("nobody").expect("there are users");
        assert!(!known && hash.starts_with("$2b$05$"), "{hash}");
    }

    #[test]
    fn memory_is_bounded() {
        let attempt = Attempt::new();
        for number in 0..1000_u32 {
            attempt.remember(attempt.tag("a", "b", &number.to_le_bytes()));
        }
        assert_eq!(attempt.remembered.lock().expect("no panic").len(), MOST_REMEMBERED);
        assert!(attempt.remembers(&attempt.tag("a", "b", &999_u32.to_le_bytes())));
    }
}
