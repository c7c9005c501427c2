//! Two owners, tokens that do not grow, lost updates: what no lock may do, and what a lock that works does.

use session_lock_stress::history::{Event, RECORD_BYTES, Record, Undecodable};
use session_lock_stress::oracle::{Cause, Kind, Oddities, Oracle, Overlap, Pair, Setup, Tokens};

use crate::forge::{SETUP, judge, judge_counted, record};

/// Histories of a lock that works.
const GOOD: &[(&str, &str)] = &[
    ("one after the other", "A acquired, A releasing, B acquired, B releasing."),
    ("two locks at once", "A acquired @0, B acquired @1, A releasing @0, B releasing @1."),
    ("growing tokens, with gaps", "A acquired #1, A releasing #1, B acquired #7, B releasing #7."),
    ("tokens are per lock", "A acquired @0#5, A releasing @0#5, B acquired @1#5, B releasing @1#5."),
    ("a kill ends the hold", "A acquired, A kill, B acquired, A exit=-9, B releasing."),
    ("the next owner is there before the kill is reaped", "A acquired, A kill, B acquired, B releasing, A exit=-9."),
    ("acquired after one's own kill", "A kill, A acquired, A exit=-9, B acquired, B releasing."),
    ("acquired after one's own kill, and not yet reaped", "A kill, A acquired, B acquired, A exit=-9, B releasing."),
    ("a whole hold after one's own kill", "A kill, A acquired, A releasing, B acquired, A exit=-9, B releasing."),
    ("the victim goes on for a moment", "A acquired, A kill, A releasing, B acquired, A exit=-9, B releasing."),
    ("caught and killed", "A acquired, A caught, A kill, A exit=-9, B acquired, B releasing."),
    ("a stop inside a hold", "A acquired, A stop=9000, B timeout, A continue, A releasing, B acquired, B releasing."),
    ("the kill came too late", "A done, A kill, A exit=0, B acquired, B releasing."),
];

#[test]
fn good_histories_are_not_blamed() {
    for (story, history) in GOOD {
        let findings = judge(history);
        assert_eq!(findings.stories, [], "{story}: {history}");
        assert_eq!(findings.violations, 0, "{story}: {history}");
        assert_eq!(findings.oddities, Oddities::default(), "{story}: {history}");
    }
}

/// Histories with two owners, the second of them by its letter.
const TWO_OWNERS: &[(&str, &str)] = &[
    ("plain overlap", "A acquired, B acquired, A releasing, B releasing."),
    ("one hold within another", "A acquired, B acquired, B releasing, A releasing."),
    ("the first is killed only later", "A acquired, B acquired, A kill, A exit=-9, B releasing."),
    ("the first is killed after the second has released", "A acquired, B acquired, B releasing, A kill, A exit=-9."),
    ("the second is killed", "A acquired, B acquired, B kill, B exit=-9, A releasing."),
    ("the first shows by being caught that it lives", "A acquired, B acquired, A caught, A kill, A exit=-9."),
    ("the first ends its process without releasing", "A acquired, B acquired, A done, A exit, B releasing."),
    ("a stop does not end a hold", "A acquired, A stop, B acquired, B releasing, A continue, A releasing."),
    ("a release of another lock does not end it", "A acquired @0, A releasing @1, B acquired @0, A releasing @0."),
    ("another's kill does not end it", "A acquired, C kill, B acquired, A releasing, C exit=-9."),
    ("the killed one shows that it lives", "A acquired, A kill, B acquired, A releasing, A exit=-9, B releasing."),
    ("the killed one comes in while another holds", "B kill, A acquired, B acquired, B exit=-9, A releasing."),
    ("the first writes on after its kill", "A acquired, B acquired, A kill, A releasing, B releasing."),
];

#[test]
fn two_owners_are_found_once_and_named() {
    for (story, history) in TWO_OWNERS {
        let findings = judge(history);
        assert_eq!(findings.violations, 1, "{story}: {history}\n{findings:#?}");
        let violation = &findings.stories[0];
        assert_eq!(violation.kind, Kind::Overlap, "{story}");
        let overlap = Overlap { pair: Pair::OursOurs, cause: Cause::Unexplained };
        assert_eq!(violation.overlap, Some(overlap), "{story}");
        let owners: Vec<_> = violation.holds.iter().map(|hold| hold.began.record.worker).collect();
        assert_eq!(owners, [0, 1], "{story}");
        let told = violation.to_string();
        assert!(told.contains("two owners of lock 0: worker 0 "), "{story}: {told}");
        assert!(violation.story.iter().any(|told| told == &violation.holds[0].began), "{story}: {told}");
        assert!(violation.story.iter().any(|told| told == &violation.holds[1].began), "{story}: {told}");
    }
}

#[test]
fn the_story_tells_the_kill_that_ended_the_first_hold() {
    let findings = judge("A acquired, B acquired, A kill, B releasing, A exit=-9.");
    let told: Vec<_> = findings.stories[0].story.iter().map(|told| told.record.event.name()).collect();
    assert!(told.ends_with(&["acquired", "kill", "exit"]), "{}", findings.stories[0]);
}

#[test]
fn three_owners_are_three_pairs() {
    let findings = judge("A acquired, B acquired, C acquired, A releasing, B releasing, C releasing.");
    assert_eq!((findings.violations, findings.stories.len()), (3, 2), "one story for each who was first");
    let findings = judge("A acquired, B acquired, A kill, C acquired, A exit=-9, B releasing, C releasing.");
    assert_eq!(findings.violations, 2, "the third one came after the kill");
}

#[test]
fn a_token_that_does_not_grow_is_a_violation() {
    let cases = [
        ("repeated", "A acquired #5, A releasing #5, B acquired #5, B releasing #5.", 5),
        ("falls", "A acquired #5, A releasing #5, B acquired #4, B releasing #4.", 5),
        ("missing", "A acquired #5, A releasing #5, B acquired, B releasing.", 5),
        ("repeated after a kill", "A acquired #5, A kill, A exit=-9, B acquired #5, B releasing #5.", 5),
        ("handed to a victim before", "A kill, A acquired #6, A exit=-9, B acquired #6, B releasing #6.", 6),
    ];
    for (story, history, previous) in cases {
        let findings = judge(history);
        assert_eq!(findings.violations, 1, "{story}");
        assert_eq!(findings.stories[0].kind, Kind::TokenNotLarger { previous }, "{story}");
    }
}

#[test]
fn a_counter_below_the_completed_sections_is_a_lost_update() {
    let history = "A acquired, A releasing, B acquired, B releasing.";
    let findings = judge_counted(history, Some([1, 0]));
    assert_eq!(findings.violations, 1);
    assert_eq!(findings.stories[0].kind, Kind::LostUpdate { counter: 1, completed: 2 });
}

#[test]
fn a_killed_hold_may_have_counted_or_not() {
    let history = "A acquired, A kill, A exit=-9, B acquired, B releasing.";
    for counter in [1, 2] {
        let findings = judge_counted(history, Some([counter, 0]));
        assert_eq!((findings.violations, findings.oddities), (0, Oddities::default()), "counter {counter}");
    }
}

#[test]
fn what_cannot_be_judged_is_said() {
    let odd = Oddities::default();
    let cases = [
        ("crash inside a hold", "A acquired, A exit=101, B acquired, B releasing.", Oddities { crashed: 1, ..odd }),
        ("end without a word", "A acquired, A releasing, A exit=0.", Oddities { crashed: 1, ..odd }),
        ("killed by somebody else", "A acquired, A exit=-9, B acquired, B releasing.", Oddities { crashed: 1, ..odd }),
        (
            "next owner before a crash is reaped",
            "A acquired, B acquired, A exit=101.",
            Oddities { crashed: 1, misfits: 1, ..odd },
        ),
        (
            "a crash before the announced kill",
            "A acquired, B acquired, A kill, A exit=101, B releasing.",
            Oddities { crashed: 1, ..odd },
        ),
        ("two acquires in a row", "A acquired, A acquired, A releasing.", Oddities { misfits: 1, ..odd }),
        ("release of what is not held", "A releasing @1.", Oddities { misfits: 1, ..odd }),
        ("release of another lock", "A acquired @0, A releasing @1, A releasing @0.", Oddities { misfits: 1, ..odd }),
        ("caught outside", "A caught.", Oddities { misfits: 1, ..odd }),
        ("a lock that is none", "A acquired @9.", Oddities { misfits: 1, ..odd }),
        ("done twice", "A done, A done, A exit.", Oddities { misfits: 1, ..odd }),
        ("ends inside", "A acquired, A done, A exit.", Oddities { misfits: 1, ..odd }),
        ("a hold at the end of the history", "A acquired", Oddities { unended: 1, ..odd }),
        ("a kill after the end", "A done, A exit, A kill", Oddities { unended: 1, ..odd }),
        ("two holds at its end", "A acquired, B acquired", Oddities { unended: 2, unsettled: 1, ..odd }),
    ];
    for (story, history, expected) in cases {
        let findings = judge(history);
        assert_eq!(findings.stories, [], "{story}");
        assert_eq!(findings.oddities, expected, "{story}");
    }
}

#[test]
fn a_counter_that_is_missing_or_too_high_is_odd() {
    let history = "A acquired, A releasing.";
    assert_eq!(judge_counted(history, Some([2, 0])).oddities, Oddities { counters: 1, ..Oddities::default() });
    assert_eq!(Oracle::new(SETUP).finish(&[0]).oddities, Oddities { counters: 1, ..Oddities::default() });
}

#[test]
fn records_without_a_start_do_not_fit() {
    let mut oracle = Oracle::new(SETUP);
    oracle.observe(Ok(record("A acquired")));
    assert_eq!(oracle.finish(&[0, 0]).oddities.misfits, 1);
}

#[test]
fn garbage_of_every_kind_is_undecodable() {
    let whole = record("A acquired #3").encode();
    let with = |at: usize, byte: u8| {
        let mut bytes = whole;
        // The check stays right: what is wrong is what the byte means.
        bytes[30 + at % 2] ^= bytes[at] ^ byte;
        bytes[at] = byte;
        bytes
    };
    assert!(Record::decode(&with(16, 7)).is_ok(), "any incarnation will do");
    let mut unchecked = whole;
    unchecked[16] ^= 1;
    for bytes in [unchecked, with(28, 0), with(28, 99), with(29, 99), [0; RECORD_BYTES], [0xff; RECORD_BYTES]] {
        assert_eq!(Record::decode(&bytes), Err(Undecodable), "{bytes:?}");
    }
    assert_eq!(Record::decode(&whole[..RECORD_BYTES - 1]), Err(Undecodable));
    assert!(Record::decode(&whole).is_ok());

    let mut oracle = Oracle::new(SETUP);
    for record in [Record::decode(&whole), Record::decode(&[0; RECORD_BYTES])] {
        oracle.observe(record);
    }
    assert_eq!(oracle.finish(&[0, 0]).oddities.undecodable, 1);
}

#[test]
fn takeovers_and_kills_inside_are_told_from_others() {
    let history = "A acquired, A kill, A exit=-9, B acquired, B releasing, C kill, C exit=-9, D acquired, D releasing.";
    let findings = judge(history);
    assert_eq!((findings.kills, findings.kills_inside, findings.takeovers), (2, 1, 1));
    assert_eq!((findings.acquired, findings.completed), (3, 2));
}

#[test]
fn a_lock_with_tokens_must_give_them() {
    let record =
        |event| Record { event, fault: None, worker: 0, incarnation: 1, lock: 0, token: 0, at_us: 0, detail: 0 };
    for (tokens, violations) in [(Tokens::Grow, 1), (Tokens::Absent, 0)] {
        let mut oracle = Oracle::new(Setup { tokens, ..SETUP });
        oracle.observe(Ok(record(Event::Start)));
        oracle.observe(Ok(record(Event::Acquired)));
        assert_eq!(oracle.findings().violations, violations, "{tokens:?}");
    }
}
