//! What changed between two looks at a directory.
//!
//! | Before | Now | Change |
//! |---|---|---|
//! | not held | held, under a new claim | `acquired`; `reclaimed` if a claim had been left |
//! | held | held, under a new claim | `released`, `acquired` |
//! | held | no claim | `released` |
//! | held | left | `left` |
//! | left | no claim | `reclaimed` |
//! | something else | no claim | `gone` |
//! | in another state, or nothing | not held | the state's name |

use std::collections::BTreeMap;

use session_lock::metrics::{Contention, Metrics, Value};
use session_lock::{Inspection, State};

/// One look at a directory.
pub(super) struct Seen {
    locks: BTreeMap<String, Inspection>,
    waits: Vec<Contention>,
    /// How many holds were lost, by cause.
    lost: Vec<(&'static str, u64)>,
}

/// One thing that is not as it was.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) what: &'static str,
    /// `None`: it is not known whose.
    pub(super) session: Option<String>,
    /// In one line, in which what others wrote is escaped.
    pub(super) words: String,
    /// The lock now, if it has something at its claim's path.
    pub(super) lock: Option<Inspection>,
}

impl Seen {
    pub(super) fn new(locks: Vec<Inspection>, metrics: Metrics) -> Self {
        let lost = metrics.families().find(|(family, _)| family.name == "session_lock_lost_total");
        let lost = lost.map_or_else(Vec::new, |(family, values)| {
            let counted = family.values.iter().zip(values);
            counted
                .filter_map(
                    |(cause, value)| if let Value::Number(count) = value { Some((*cause, count)) } else { None },
                )
                .collect()
        });
        Self { locks: by_name(locks), waits: metrics.waits, lost }
    }

    /// What the counters say is as it was.
    pub(super) fn without_counters(locks: Vec<Inspection>, before: Option<&Self>) -> Self {
        let (waits, lost) = before.map(|before| (before.waits.clone(), before.lost.clone())).unwrap_or_default();
        Self { locks: by_name(locks), waits, lost }
    }

    /// What is not as it was; everything, if there is no before.
    pub(super) fn since(&self, before: Option<&Self>) -> Vec<Change> {
        let mut changes = Vec::new();
        let none = BTreeMap::new();
        let were = before.map_or(&none, |before| &before.locks);
        for name in were.keys().filter(|name| !self.locks.contains_key(*name)) {
            changes.extend(of_lock(Some(&were[name]), None));
        }
        for (name, lock) in &self.locks {
            if before.is_some() {
                changes.extend(of_lock(were.get(name), Some(lock)));
            } else {
                changes.push(now(lock.state.as_str(), lock));
            }
        }
        changes.extend(self.of_waits(before));
        changes.extend(before.into_iter().flat_map(|before| self.of_losses(before)));
        changes
    }

    fn of_waits(&self, before: Option<&Self>) -> Vec<Change> {
        let were = before.map_or(&[][..], |before| &before.waits);
        let is_in = |list: &[Contention], one: &Contention| list.iter().any(|other| is_same_wait(other, one));
        let ended = were.iter().filter(|one| !is_in(&self.waits, one)).map(|one| ("waited", one));
        let began = self.waits.iter().filter(|one| !is_in(were, one)).map(|one| ("waiting", one));
        ended.chain(began).map(|(what, one)| self.of_wait(what, one)).collect()
    }

    fn of_wait(&self, what: &'static str, one: &Contention) -> Change {
        let label = one.label.as_ref().map_or_else(String::new, |label| format!(", {label:?},"));
        let words = format!("pid {}{label} behind {}", one.pid, one.holder());
        Change { what, session: Some(one.session.clone()), words, lock: self.locks.get(&one.session).cloned() }
    }

    fn of_losses(&self, before: &Self) -> Vec<Change> {
        let were = |cause: &str| before.lost.iter().find(|(known, _)| *known == cause).map_or(0, |(_, count)| *count);
        let more = self.lost.iter().filter(|(cause, count)| *count > were(cause));
        let told = more.map(|(cause, count)| {
            let words = format!("holds whose claim was {cause}: {}", count - were(cause));
            Change { what: "lost", session: None, words, lock: None }
        });
        told.collect()
    }
}

fn by_name(locks: Vec<Inspection>) -> BTreeMap<String, Inspection> {
    locks.into_iter().map(|lock| (lock.name.clone(), lock)).collect()
}

fn is_same_wait(one: &Contention, other: &Contention) -> bool {
    let key = |one: &Contention| (one.pid, one.pid_ns, one.since);
    key(one) == key(other) && one.session == other.session
}

/// What a claim means for those who want the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Held,
    Left,
    Neither,
}

fn standing(lock: &Inspection) -> Standing {
    match lock.state {
        State::Held | State::ForeignHeld | State::Inherited => Standing::Held,
        State::Reclaimable | State::Corrupt => Standing::Left,
        State::Free | State::NotAClaim | State::Unknown => Standing::Neither,
    }
}

fn of_lock(before: Option<&Inspection>, after: Option<&Inspection>) -> Vec<Change> {
    match (before, after) {
        (Some(before), None) => vec![match standing(before) {
            Standing::Held => was("released", before),
            Standing::Left => was("reclaimed", before),
            Standing::Neither => was("gone", before),
        }],
        (before, Some(after)) => {
            let stood = before.map_or(Standing::Neither, standing);
            let is_same_claim = before.is_some_and(|before| is_same_hold(before, after));
            match (stood, standing(after)) {
                (Standing::Held, Standing::Held) if !is_same_claim => {
                    before.map(|before| was("released", before)).into_iter().chain([now("acquired", after)]).collect()
                }
                (Standing::Left, Standing::Held) if !is_same_claim => vec![now("reclaimed", after)],
                (Standing::Neither, Standing::Held) if !is_same_claim => vec![now("acquired", after)],
                (Standing::Held, Standing::Left) => vec![now("left", after)],
                _ if before.is_some_and(|before| before.state == after.state) => Vec::new(),
                _ => vec![now(after.state.as_str(), after)],
            }
        }
        (None, None) => Vec::new(),
    }
}

/// A claim that was put back says the same but for its span.
fn is_same_hold(one: &Inspection, other: &Inspection) -> bool {
    let key = |lock: &Inspection| {
        let payload = lock.holder.as_ref()?.payload.as_ref()?;
        let written = if payload.token.is_none() { payload.created_at } else { None };
        Some((payload.pid, payload.pid_ns, payload.nonce, payload.token, written))
    };
    key(one) == key(other)
}

/// About a lock as it is.
fn now(what: &'static str, lock: &Inspection) -> Change {
    Change { what, session: Some(lock.name.clone()), words: whose(lock), lock: Some(lock.clone()) }
}

/// About a lock that has no claim any more.
fn was(what: &'static str, lock: &Inspection) -> Change {
    Change { what, session: Some(lock.name.clone()), words: whose(lock), lock: None }
}

fn whose(lock: &Inspection) -> String {
    lock.holder.as_ref().map_or_else(|| "its holder is not known".to_owned(), |holder| format!("by {holder}"))
}

#[cfg(test)]
mod tests {
    use session_lock::metrics::Metrics;
    use session_lock::{LockDir, TryAcquire};

    use super::Seen;

    fn seen(locks: &LockDir) -> Seen {
        Seen::new(locks.scan().expect("readable"), Metrics::default())
    }

    fn what(before: &Seen, after: &Seen) -> Vec<&'static str> {
        after.since(Some(before)).iter().map(|change| change.what).collect()
    }

    #[test]
    fn every_change_has_its_word() {
        let directory = tempfile::tempdir().expect("a directory");
        let locks = LockDir::open(directory.path()).expect("a directory for locks");
        let hold = || match locks.try_lock("s").expect("no fault") {
            TryAcquire::Acquired(guard) => guard,
            TryAcquire::Busy(holder) => panic!("{holder}"),
        };
        let path = directory.path().join("s.lock");
        let nothing = seen(&locks);
        let guard = hold();
        let first = seen(&locks);
        guard.release().expect("held");
        let guard = hold();
        let second = seen(&locks);
        guard.release().expect("held");
        std::fs::write(&path, "{\"pid\":4194303}").expect("written");
        let left = seen(&locks);
        std::fs::remove_file(&path).expect("there");
        std::fs::create_dir(&path).expect("made");
        let no_claim = seen(&locks);

        assert_eq!(what(&nothing, &first), ["acquired"]);
        assert_eq!(what(&first, &first), [""; 0]);
        assert_eq!(what(&first, &second), ["released", "acquired"]);
        assert_eq!(what(&first, &nothing), ["released"]);
        assert_eq!(what(&first, &left), ["left"]);
        assert_eq!(what(&left, &first), ["reclaimed"]);
        assert_eq!(what(&left, &nothing), ["reclaimed"]);
        assert_eq!(what(&nothing, &left), ["reclaimable"]);
        assert_eq!(what(&nothing, &no_claim), ["not_a_claim"]);
        assert_eq!(what(&no_claim, &nothing), ["gone"]);
        assert_eq!(first.since(None).iter().map(|change| change.what).collect::<Vec<_>>(), ["held"]);
    }
}
