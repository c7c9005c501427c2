//! The oracle judged by forged histories: each is a few words, and what it must and must not find is known.
//!
//! A history is written as `who event`, with a lock after `@` (0 if not said), a token after `#` (none if not said) and
//! the detail after `=`. Every letter is a worker process that has started; `.` after the last step means that all who
//! have not exited do so in good order.

use session_lock_stress::history::{Event, RECORD_BYTES, Record, Undecodable};
use session_lock_stress::oracle::{Findings, Kind, Oddities, Oracle, Tokens};

const LOCKS: u16 = 2;

/// Judges a history. Unless said otherwise, the counters say how many sections were completed.
fn judge(history: &str, counters: Option<[u64; LOCKS as usize]>) -> Findings {
    let mut oracle = Oracle::new(LOCKS, Tokens::Absent);
    let mut observe = |record: Record| oracle.observe(Record::decode(&record.encode()));
    let (steps, in_good_order) = match history.strip_suffix('.') {
        Some(steps) => (steps, true),
        None => (history, false),
    };
    let mut alive: Vec<char> = Vec::new();
    let (mut acquired, mut completed) = ([0_u64; 10], [0_u64; 10]);
    for step in steps.split(", ") {
        let record = record(step);
        let who = char::from(b'A' + u8::try_from(record.worker).expect("few workers"));
        if !alive.contains(&who) && record.event != Event::Start {
            alive.push(who);
            observe(Record { event: Event::Start, lock: 0, token: 0, detail: 0, ..record });
        }
        match record.event {
            Event::Exit => alive.retain(|&other| other != who),
            Event::Acquired => acquired[usize::from(record.lock)] += 1,
            Event::Releasing => completed[usize::from(record.lock)] += 1,
            _ => {}
        }
        observe(record);
    }
    for who in alive.into_iter().filter(|_| in_good_order) {
        observe(record(&format!("{who} done")));
        observe(record(&format!("{who} exit")));
    }
    let counted = std::array::from_fn(|lock| completed[lock].min(acquired[lock]));
    oracle.finish(&counters.unwrap_or(counted))
}

fn record(step: &str) -> Record {
    let (who, rest) = step.split_once(' ').expect("who and event");
    let name = rest.split(['@', '#', '=', ' ']).next().expect("an event");
    let number = |mark| rest.split_once(mark).and_then(|(_, rest): (_, &str)| rest.split([' ', '#', '=']).next());
    let worker = u16::from(who.bytes().next().expect("a letter") - b'A');
    Record {
        event: serde_json::from_value(name.into()).expect("an event's name"),
        worker,
        incarnation: u32::from(worker) + 1,
        lock: number('@').map_or(0, |lock| lock.parse().expect("a lock")),
        token: number('#').map_or(0, |token| token.parse().expect("a token")),
        at_us: 0,
        detail: number('=').map_or(0, |detail| detail.parse().expect("a detail")),
    }
}

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
        let findings = judge(history, None);
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
        let findings = judge(history, None);
        assert_eq!(findings.violations, 1, "{story}: {history}\n{findings:#?}");
        let violation = &findings.stories[0];
        assert_eq!(violation.kind, Kind::Overlap, "{story}");
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
    let findings = judge("A acquired, B acquired, A kill, B releasing, A exit=-9.", None);
    let told: Vec<_> = findings.stories[0].story.iter().map(|told| told.record.event.name()).collect();
    assert!(told.ends_with(&["acquired", "kill", "exit"]), "{}", findings.stories[0]);
}

#[test]
fn three_owners_are_two_violations() {
    let findings = judge("A acquired, B acquired, C acquired, A releasing, B releasing, C releasing.", None);
    assert_eq!(findings.violations, 2);
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
        let findings = judge(history, None);
        assert_eq!(findings.violations, 1, "{story}");
        assert_eq!(findings.stories[0].kind, Kind::TokenNotLarger { previous }, "{story}");
    }
}

#[test]
fn a_counter_below_the_completed_sections_is_a_lost_update() {
    let history = "A acquired, A releasing, B acquired, B releasing.";
    let findings = judge(history, Some([1, 0]));
    assert_eq!(findings.violations, 1);
    assert_eq!(findings.stories[0].kind, Kind::LostUpdate { counter: 1, completed: 2 });
}

#[test]
fn a_killed_hold_may_have_counted_or_not() {
    let history = "A acquired, A kill, A exit=-9, B acquired, B releasing.";
    for counter in [1, 2] {
        let findings = judge(history, Some([counter, 0]));
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
        ("two holds at its end", "A acquired, B acquired", Oddities { unended: 2, unsettled: 1, ..odd }),
    ];
    for (story, history, expected) in cases {
        let findings = judge(history, None);
        assert_eq!(findings.stories, [], "{story}");
        assert_eq!(findings.oddities, expected, "{story}");
    }
}

#[test]
fn a_counter_that_is_missing_or_too_high_is_odd() {
    let history = "A acquired, A releasing.";
    assert_eq!(judge(history, Some([2, 0])).oddities, Oddities { counters: 1, ..Oddities::default() });
    assert_eq!(Oracle::new(2, Tokens::Absent).finish(&[0]).oddities, Oddities { counters: 1, ..Oddities::default() });
}

#[test]
fn records_without_a_start_do_not_fit() {
    let mut oracle = Oracle::new(1, Tokens::Absent);
    oracle.observe(Ok(record("A acquired")));
    assert_eq!(oracle.finish(&[0]).oddities.misfits, 1);
}

#[test]
fn garbage_of_every_kind_is_undecodable() {
    let whole = record("A acquired #3").encode();
    let mut no_newline = whole;
    no_newline[RECORD_BYTES - 1] = b' ';
    let mut other_event = whole;
    other_event[6..14].copy_from_slice(b"acquiree");
    let mut unknown_field = [b' '; RECORD_BYTES];
    unknown_field[RECORD_BYTES - 1] = b'\n';
    let text = br#"{"e":"start","w":0,"i":1,"l":0,"t":0,"us":0,"d":0,"x":1}"#;
    unknown_field[..text.len()].copy_from_slice(text);
    for bytes in [no_newline, other_event, unknown_field, [0; RECORD_BYTES], [0xff; RECORD_BYTES]] {
        assert_eq!(Record::decode(&bytes), Err(Undecodable), "{}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!(Record::decode(&whole[..RECORD_BYTES - 1]), Err(Undecodable));
    assert!(Record::decode(&whole).is_ok());

    let mut oracle = Oracle::new(1, Tokens::Absent);
    for record in [Record::decode(&whole), Record::decode(&[0; RECORD_BYTES])] {
        oracle.observe(record);
    }
    assert_eq!(oracle.finish(&[0]).oddities.undecodable, 1);
}

#[test]
fn takeovers_and_kills_inside_are_told_from_others() {
    let history = "A acquired, A kill, A exit=-9, B acquired, B releasing, C kill, C exit=-9, D acquired, D releasing.";
    let findings = judge(history, None);
    assert_eq!((findings.kills, findings.kills_inside, findings.takeovers), (2, 1, 1));
    assert_eq!((findings.acquired, findings.completed), (3, 2));
}

/// A million records of a random lock that works, with kills, and not one alarm; then the same with one theft in it.
#[test]
fn a_long_random_history_is_judged_right() {
    let seed = 20_260_713;
    eprintln!("seed {seed}");
    for theft in [None, Some(60_000)] {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut oracle = Oracle::new(1, Tokens::Absent);
        let mut next = 1_u32;
        let mut crew: Vec<u32> = Vec::new();
        let mut completed = 0;
        let mut token = 0;
        let mut put = |event, worker: usize, incarnation, token, detail| {
            let worker = u16::try_from(worker).expect("few workers");
            oracle.observe(Ok(Record { event, worker, incarnation, lock: 0, token, at_us: 0, detail }));
        };
        for worker in 0..8 {
            crew.push(next);
            put(Event::Start, worker, next, 0, 0);
            next += 1;
        }
        for round in 0..100_000 {
            let worker = random.usize(..8);
            token += 1;
            put(Event::Acquired, worker, crew[worker], token, 0);
            if theft == Some(round) {
                let thief = (worker + 1) % 8;
                token += 1;
                put(Event::Acquired, thief, crew[thief], token, 0);
                put(Event::Releasing, thief, crew[thief], token, 0);
                completed += 1;
            }
            if theft != Some(round) && random.u8(..100) == 0 {
                put(Event::Kill, worker, crew[worker], 0, 0);
                put(Event::Exit, worker, crew[worker], 0, -9);
                crew[worker] = next;
                put(Event::Start, worker, next, 0, 0);
                next += 1;
            } else {
                put(Event::Releasing, worker, crew[worker], token, 0);
                completed += 1;
            }
        }
        for (worker, &incarnation) in crew.iter().enumerate() {
            put(Event::Done, worker, incarnation, 0, 0);
            put(Event::Exit, worker, incarnation, 0, 0);
        }
        let findings = oracle.finish(&[completed]);
        assert_eq!(findings.violations, u64::from(theft.is_some()), "{:?}", findings.stories);
        assert_eq!(findings.oddities, Oddities::default());
        assert!(findings.takeovers > 500, "{}", findings.takeovers);
    }
}

#[test]
fn a_lock_with_tokens_must_give_them() {
    let record = |event| Record { event, worker: 0, incarnation: 1, lock: 0, token: 0, at_us: 0, detail: 0 };
    for (tokens, violations) in [(Tokens::Grow, 1), (Tokens::Absent, 0)] {
        let mut oracle = Oracle::new(1, tokens);
        oracle.observe(Ok(record(Event::Start)));
        oracle.observe(Ok(record(Event::Acquired)));
        assert_eq!(oracle.findings().violations, violations, "{tokens:?}");
    }
}
