//! The oracle against a judge that keeps nothing in mind: it looks at every pair of holds, and for each cause through the
//! whole history again.
//!
//! What is compared: which holds are first in an overlap that is a violation, and whose holds were in one that is not. Of
//! several causes that explain the same overlap each may name its own.

use std::collections::BTreeSet;

use session_lock_stress::fault::Fault;
use session_lock_stress::history::{Event, Record};
use session_lock_stress::oracle::{Cause, DEED, Findings, Kind, Oracle, Pair};

use crate::forge::SETUP;
use crate::random::random_history;

/// What both have to find.
#[derive(Debug, Default, PartialEq)]
struct Blame {
    /// Each first hold by its place.
    violated: BTreeSet<u64>,
    /// Whether the first, and the second, is an older peer's.
    inherent: BTreeSet<[bool; 2]>,
}

struct Naive<'a>(&'a [Record]);

/// A hold by its place, with the place of the record that ended it.
#[derive(Clone, Copy, PartialEq)]
struct Span {
    began: usize,
    ended: Option<usize>,
}

impl Naive<'_> {
    fn own(&self, incarnation: u32) -> impl DoubleEndedIterator<Item = usize> {
        let mine = move |place: &usize| self.0[*place].event.is_own() && self.0[*place].incarnation == incarnation;
        (0..self.0.len()).filter(mine)
    }

    fn first(&self, from: usize, incarnation: u32, event: Event) -> Option<usize> {
        (from..self.0.len()).find(|&at| self.0[at].incarnation == incarnation && self.0[at].event == event)
    }

    fn is_older(&self, place: usize) -> bool {
        self.0[place].worker >= SETUP.older_from
    }

    fn holds(&self, lock: u16) -> Vec<Span> {
        let began = (0..self.0.len()).filter(|&at| self.0[at].event == Event::Acquired && self.0[at].lock == lock);
        let ends = |event| matches!(event, Event::Releasing | Event::Exec);
        let span = |began: usize| {
            let ended = self.own(self.0[began].incarnation).find(|&at| at > began && ends(self.0[at].event));
            Span { began, ended }
        };
        began.map(span).collect()
    }

    /// Where a hold counts as over for the reach of those after it.
    fn ends(&self, hold: Span) -> Vec<usize> {
        let incarnation = self.0[hold.began].incarnation;
        let kill = self.first(hold.began, incarnation, Event::Kill);
        let kill = kill.filter(|&kill| hold.ended.is_none_or(|ended| kill < ended));
        kill.into_iter().chain(hold.ended).collect()
    }

    fn asked_us(&self, hold: Span) -> u64 {
        let Record { at_us, detail, .. } = self.0[hold.began];
        at_us - u64::try_from(detail).expect("a wait")
    }

    /// The reach of a hold begins here.
    fn reach(&self, lock: u16, hold: Span) -> usize {
        let ends = self.holds(lock).into_iter().flat_map(|other| self.ends(other)).filter(|&end| end < hold.began);
        let seen = self.own(self.0[hold.began].incarnation).rfind(|&at| at < hold.began);
        ends.chain(seen).max().unwrap_or(0)
    }

    /// The strikes that are so and may tell on a hold, each with its relieve: one comes after another, so they are the last
    /// before the hold began and those since.
    fn strikes(&self, began: usize, is: impl Fn(&Record) -> bool) -> Vec<(usize, Option<usize>)> {
        let strikes = (0..self.0.len()).filter(|&at| self.0[at].event == Event::Strike && is(&self.0[at]));
        let relieve = |strike: usize| {
            (strike + 1..self.0.len()).find(|&at| is(&self.0[at])).filter(|&at| self.0[at].event == Event::Relieve)
        };
        let strikes: Vec<_> = strikes.map(|strike| (strike, relieve(strike))).collect();
        let before = strikes.iter().rposition(|(strike, _)| *strike < began).unwrap_or(0);
        strikes[before..].to_vec()
    }

    fn deletions(&self, lock: u16, began: usize) -> Vec<(usize, Option<usize>)> {
        let deletion = |fault| matches!(fault, Some(Fault::DeleteClaim | Fault::ReplaceClaim));
        self.strikes(began, |record| record.lock == lock && deletion(record.fault))
    }

    /// Why this hold is void for whoever comes in at `now`, and since when by the clock.
    fn void(&self, lock: u16, hold: Span, now: usize) -> Option<(Cause, u64)> {
        let (reach, asked) = (self.reach(lock, hold), self.asked_us(hold));
        let deed = u64::try_from(DEED.as_micros()).expect("it is short");
        let at_us = |place: usize| self.0[place].at_us;
        let deleted = self.deletions(lock, hold.began).into_iter().filter(|(strike, _)| *strike < now).find(
            |&(strike, relieved)| {
                let relieved = relieved.filter(|&relieved| relieved < now);
                let soon = at_us(strike) + deed;
                let reaches = strike >= reach || relieved.map_or(soon >= at_us(reach), |relieved| relieved >= reach);
                let over = relieved.map_or(soon, |relieved| soon.max(at_us(relieved)));
                strike > hold.began || (reaches && over >= asked)
            },
        );
        let deleted = deleted.map(|(strike, _)| (Cause::ClaimDeleted, at_us(strike)));
        deleted.or_else(|| self.holds(lock).into_iter().find_map(|other| self.unlinked(lock, hold, other, now)))
    }

    /// Where a release was over, as far as the history tells.
    fn returned(&self, lock: u16, releasing: usize) -> Option<usize> {
        let incarnation = self.0[releasing].incarnation;
        let own = self.own(incarnation).find(|&at| at > releasing);
        let exit = self.first(releasing, incarnation, Event::Exit);
        let holds = self.holds(lock).into_iter().map(|hold| hold.began);
        let ours = holds.filter(|_| !self.is_older(releasing)).find(|&at| at > releasing && !self.is_older(at));
        own.into_iter().chain(exit).chain(ours).min()
    }

    /// Why the release of another hold may have unlinked this one's claim.
    fn unlinked(&self, lock: u16, hold: Span, other: Span, now: usize) -> Option<(Cause, u64)> {
        let releasing = other.ended.filter(|&at| self.0[at].event == Event::Releasing && at < now && other != hold)?;
        let returned = self.returned(lock, releasing);
        let before = returned.filter(|&at| at < hold.began);
        let (reach, asked) = (self.reach(lock, hold), self.asked_us(hold));
        if before.is_some_and(|at| at < reach || self.0[at].at_us < asked) {
            return None;
        }
        let deed = u64::try_from(DEED.as_micros()).expect("it is short");
        let soon = |strike: usize| self.0[strike].at_us + deed >= self.0[releasing].at_us;
        let within = self.deletions(lock, releasing).into_iter().filter(|(strike, _)| *strike < now).find(
            |&(strike, relieved)| {
                let inside = strike > releasing && returned.is_none_or(|returned| strike < returned);
                let before = strike < releasing && soon(strike) && relieved.is_none_or(|relieved| relieved > releasing);
                inside || (before && !self.is_older(releasing))
            },
        );
        let within = within.map(|(strike, _)| (Cause::ClaimDeleted, self.0[strike].at_us));
        if !self.is_older(releasing) || within.is_some() {
            return within;
        }
        if let Some(stray) = self.void(lock, other, releasing) {
            return Some(stray);
        }
        let grace = u64::try_from(SETUP.grace.as_micros()).expect("it is short");
        let late = self.0[releasing].at_us + grace;
        let until = before.unwrap_or(hold.began);
        (releasing < hold.began && self.0[until].at_us >= late).then_some((Cause::OlderPeerStoppedInRelease, late))
    }

    /// Why these two overlap, if they do.
    fn cause(&self, lock: u16, first: Span, second: Span) -> Cause {
        let ours = !self.is_older(first.began) && !self.is_older(second.began);
        let void = self.void(lock, first, second.began);
        let reach = self.reach(lock, first);
        let state = self.strikes(first.began, |record| record.fault == Some(Fault::DeleteState));
        let state = state.into_iter().any(|(strike, relieved)| {
            let relieved = relieved.filter(|&relieved| relieved < first.began);
            strike < second.began && relieved.is_none_or(|relieved| relieved >= reach)
        });
        if !self.is_older(first.began) && void.is_some() && state {
            return Cause::ClaimAndStateDeleted;
        }
        let was_first = || {
            let void = self.void(lock, second, second.began);
            void.filter(|(_, since_us)| *since_us <= self.0[first.began].at_us)
        };
        let void = void.or_else(was_first).filter(|_| !ours);
        void.map_or(Cause::Unexplained, |(cause, _)| cause)
    }

    /// Whether the first shows that it was alive when the second came.
    fn overlap(&self, first: Span, second: Span) -> bool {
        let incarnation = self.0[first.began].incarnation;
        let open = first.ended.is_none_or(|ended| ended > second.began);
        let writes = self.own(incarnation).any(|at| at > second.began);
        let kill =
            (0..self.0.len()).find(|&at| self.0[at].incarnation == incarnation && self.0[at].event == Event::Kill);
        let exit = self.first(second.began, incarnation, Event::Exit);
        let killed_later =
            exit.is_some_and(|exit| self.0[exit].detail == -9) && kill.is_some_and(|kill| kill > second.began);
        let gone = self.first(first.began, incarnation, Event::Exit).is_some_and(|exit| exit < second.began);
        open && !gone && (writes || killed_later)
    }

    fn blame(&self) -> Blame {
        let mut blame = Blame::default();
        for lock in 0..SETUP.locks {
            let holds = self.holds(lock);
            for (index, &first) in holds.iter().enumerate() {
                for &second in holds[index + 1..].iter().filter(|second| self.overlap(first, **second)) {
                    match self.cause(lock, first, second) {
                        Cause::Unexplained => blame.violated.insert(first.began as u64),
                        _ => blame.inherent.insert([first, second].map(|hold| self.is_older(hold.began))),
                    };
                }
            }
        }
        blame
    }
}

impl Blame {
    fn of(findings: &Findings) -> Self {
        let inherent = findings.inherent.iter().map(|inherent| match inherent.overlap.pair {
            Pair::OursOurs => [false, false],
            Pair::OursOlder => [false, true],
            Pair::OlderOurs => [true, false],
            Pair::OlderOlder => [true, true],
        });
        let overlaps = findings.stories.iter().filter(|violation| violation.kind == Kind::Overlap);
        Self {
            violated: overlaps.map(|violation| violation.holds[0].began.number).collect(),
            inherent: inherent.collect(),
        }
    }
}

#[test]
fn the_oracle_finds_what_the_naive_judge_finds() {
    let seed = 20_261_121;
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut violated, mut inherent) = (0, 0);
    for round in 0..20_000 {
        let history = random_history(&mut random);
        let mut oracle = Oracle::new(SETUP);
        for record in &history {
            oracle.observe(Ok(*record));
        }
        let findings = oracle.finish(&[u64::MAX; 2]);
        assert_eq!(findings.oddities.misfits + findings.oddities.crashed, 0, "round {round}: {history:#?}");
        let found = Blame::of(&findings);
        assert_eq!(found, Naive(&history).blame(), "round {round}:\n{}", told(&history));
        violated += usize::from(findings.violations > 0);
        inherent += usize::from(!findings.inherent.is_empty());
    }
    assert!(
        violated > 1000 && inherent > 1000,
        "{violated} histories with violations, {inherent} with inherent overlaps"
    );
}

fn told(history: &[Record]) -> String {
    let line = |(place, record): (usize, &Record)| {
        let Record { event, fault, worker, at_us, detail, .. } = record;
        format!("{place:>3} {at_us:>8} worker {worker} {} {fault:?} {detail}\n", event.name())
    };
    history.iter().enumerate().map(line).collect()
}
