//! Tokens after a deletion of the state directory, failures and what explains them, and what is counted.

use session_lock_stress::fault::Fault;
use session_lock_stress::history::Record;
use session_lock_stress::oracle::{Findings, Kind, Oddities, Oracle};

use crate::forge::{SETUP, forge, judge};

fn odd(findings: &Findings) -> Oddities {
    findings.oddities
}

#[test]
fn a_deleted_state_directory_begins_tokens_anew() {
    let deleted = "* strike!delete-state, * relieve!delete-state";
    let cases = [
        ("anew", format!("A acquired#5, A releasing#5, {deleted}, B acquired#1, B releasing#1."), 0),
        (
            "one more from the old one, which is taken before and written after",
            format!(
                "A acquired#5, A releasing#5, {deleted}, B acquired#6, B releasing#6, A acquired#1, A releasing#1."
            ),
            0,
        ),
        (
            "on both locks",
            format!(
                "A acquired@0#5, A releasing@0, B acquired@1#5, B releasing@1, {deleted}, A acquired@0#1, A releasing@0, \
                     B acquired@1#1, B releasing@1."
            ),
            0,
        ),
        ("without a deletion", "A acquired#5, A releasing#5, B acquired#1, B releasing#1.".into(), 1),
        (
            "of the old one, though begun after it was gone",
            format!(
                "A acquired#5, A releasing#5, {deleted}, B acquired#1, B releasing#1, A timeout, A acquired#1, A releasing."
            ),
            1,
        ),
        (
            "twice for one deletion",
            format!("A acquired#5, A releasing, {deleted}, A acquired#2, A releasing, A acquired#1, A releasing."),
            1,
        ),
    ];
    for (story, history, violations) in cases {
        let findings = judge(&history);
        assert_eq!(findings.violations, violations, "{story}: {findings:#?}");
        let blamed = findings.stories.iter().all(|blamed| matches!(blamed.kind, Kind::TokenNotLarger { .. }));
        assert!(blamed, "{story}: {findings:#?}");
    }
}

#[test]
fn older_peers_give_no_tokens_and_need_none() {
    let findings = judge("A acquired#5, A releasing, a acquired, a releasing, a released, B acquired#6, B releasing.");
    assert_eq!((findings.violations, odd(&findings)), (0, Oddities::default()));
    assert_eq!((findings.acquired, findings.acquired_by_older, findings.acquired_by_ours()), (3, 1, 2));
}

#[test]
fn a_lost_claim_is_explained_by_who_took_it() {
    let cases = [
        ("deleted", "A acquired, * strike!delete-claim, A releasing, A lost.", 1),
        ("replaced", "A acquired, * strike!replace-claim, A releasing, A lost.", 1),
        ("in the release", "A acquired, A releasing, * strike!delete-claim, A lost.", 1),
        ("with the state directory", "A acquired, * strike!delete-state, A releasing, A lost.", 1),
        (
            "by an older peer that stood still",
            "a acquired, a releasing, A acquired~1100, a released, A releasing, A lost.",
            1,
        ),
        ("truncated", "A acquired, * strike!truncate-claim, A releasing, A lost.", 0),
        ("another's", "A acquired, * strike@1!delete-claim, A releasing, A lost.", 0),
        ("by nobody", "A acquired, A releasing, A lost.", 0),
    ];
    for (story, history, explained) in cases {
        let findings = judge(history);
        assert_eq!((findings.lost, findings.explained.lost), (1, explained), "{story}");
        assert_eq!(odd(&findings), Oddities { lost: 1 - explained, ..Oddities::default() }, "{story}");
    }
}

#[test]
fn an_error_is_explained_by_a_fault_that_fits_it() {
    let (space, quota, own, all) = (28, 122, 24, 23);
    let cases = [
        (format!("* strike!disk-full, A error={space}."), 1),
        (format!("* strike!inodes-full, A error={quota}."), 1),
        (format!("* strike!disk-full, A timeout, * relieve!disk-full, A error={space}."), 1),
        (format!("* strike!disk-full, * relieve!disk-full, A timeout, A error={space}."), 0),
        (format!("A error={space}, * strike!disk-full."), 0),
        (format!("* strike!disk-full, A error={own}."), 0),
        (format!("A strike!no-descriptors, A error={own}."), 1),
        (format!("A strike!no-descriptors, A error={all}."), 1),
        (format!("A strike!no-descriptors, A error={space}."), 0),
        (format!("A strike!no-descriptors, B error={own}."), 0),
        (format!("A strike!no-descriptors, A relieve!no-descriptors, A error={own}, A error={own}."), 1),
        ("* strike!delete-state, A error=2.".into(), 0),
        ("* strike!disk-full, A error.".into(), 0),
    ];
    for (history, explained) in cases {
        let findings = judge(&history);
        assert_eq!(findings.explained.errors, explained, "{history}");
        assert!(findings.errors >= 1, "{history}");
        assert_eq!(odd(&findings), Oddities::default(), "{history}");
    }
}

#[test]
fn a_relieve_after_the_end_is_of_nobody() {
    let findings = judge("A strike!no-descriptors, A kill, A exit=-9, A relieve!no-descriptors, A continue");
    assert_eq!(odd(&findings), Oddities::default());
}

#[test]
fn a_timeout_is_explained_by_who_stood_still() {
    let cases = [
        ("for half of it", "A stop, A continue~500, B timeout=1000000~500.", 1),
        ("for less", "A stop, A continue~499, B timeout=1000000~501.", 0),
        ("two in turn", "A stop, A continue~250, C stop~100, C continue~250, B timeout=1000000~400.", 1),
        ("two at once", "A stop, C stop, A continue~250, C continue~10, B timeout=1000000~740.", 0),
        ("and still does", "A stop, B timeout=1000000~600, A continue.", 1),
        ("until it died", "A stop, A kill~600, A exit=-9, B timeout=1000000~400.", 1),
        ("before", "A stop, A continue~600, B timeout=1000000~1000.", 0),
        ("by a full disk", "* strike!disk-full, B timeout=1000000.", 1),
        ("by a claim that was tampered with", "* strike!truncate-claim, B timeout=1000000.", 1),
        ("of another lock", "* strike@1!truncate-claim, B timeout=1000000.", 0),
        ("by the state directory", "* strike!delete-state, * relieve!delete-state, B timeout=1000000.", 1),
        ("as an older peer", "b timeout=1000000.", 1),
        ("by nothing", "B timeout=1000000.", 0),
    ];
    for (story, history, explained) in cases {
        let findings = judge(history);
        assert_eq!((findings.timeouts, findings.explained.timeouts), (1, explained), "{story}");
    }
}

#[test]
fn a_lock_that_nobody_gets_any_more_is_stuck() {
    let cases = [
        ("held for good", "A acquired, B stop, B continue~9, C timeout=9000, C timeout=9000", 1),
        ("never had", "B stop, C timeout=9000~9, B continue", 1),
        ("although it is explained", "A acquired, A releasing, * strike!delete-state, C timeout, C timeout", 1),
        ("taken later", "B stop, C timeout=9000~9, B continue, C acquired, C releasing", 0),
        ("taken meanwhile", "A acquired, A releasing, C timeout=9000", 0),
        ("another one", "A acquired@1, C timeout, C timeout", 1),
    ];
    for (story, history, stuck) in cases {
        assert_eq!(judge(history).oddities.stuck, stuck, "{story}: {history}");
    }
}

#[test]
fn an_exec_ends_the_hold_and_a_start_follows() {
    let findings = judge("A acquired, A exec, B acquired, A start, B releasing, A acquired, A releasing.");
    assert_eq!((findings.violations, odd(&findings)), (0, Oddities::default()));
    assert_eq!(findings.faults.get(&Fault::Exec), Some(&1));
    assert_eq!((findings.acquired, findings.completed), (3, 2));
    for history in
        ["A exec, A start.", "A acquired, A exec, A releasing, A start.", "A acquired, A start, A releasing."]
    {
        let misfits = judge(history).oddities.misfits;
        assert!(misfits >= 1, "{history}");
    }
    let overlap = judge("A acquired, B acquired, A exec, A start, B releasing.");
    assert_eq!(overlap.violations, 1);
    let killed = judge("A acquired, A exec, A kill, A exit=-9, B acquired, B releasing.");
    assert_eq!((killed.violations, killed.kills_inside, odd(&killed)), (0, 0, Oddities::default()));
}

#[test]
fn events_out_of_place_do_not_fit() {
    let cases = [
        "A forked.",
        "A acquired @0, A forked @1, A releasing @0.",
        "A released.",
        "A acquired, A lost, A releasing.",
        "A acquired @1, A releasing @1, A lost @0.",
        "* strike.",
        "* strike@7!delete-claim.",
    ];
    for history in cases {
        assert_eq!(odd(&judge(history)).misfits, 1, "{history}");
    }
}

#[test]
fn faults_are_counted_by_name() {
    let history = "A acquired, A forked, A releasing, A stop!freeze, A continue!freeze, * strike!disk-full, \
                   * relieve!disk-full, A kill!pid-reuse, A exit=-9, B strike!pid-reuse, C stop, C continue, C acquired, \
                   C kill!kill-inside, C exit=-9, D cancelled, D kill, D exit=-9, E acquired, E kill, E exit=-9.";
    let findings = judge(history);
    assert_eq!(odd(&findings), Oddities::default());
    let counted: Vec<_> = findings.faults.iter().map(|(fault, count)| (fault.name(), *count)).collect();
    let expected = ["kill", "kill-inside", "pid-reuse", "stop", "freeze", "disk-full", "fork"];
    assert_eq!(counted, expected.map(|name| (name.to_owned(), if name == "kill-inside" { 2 } else { 1 })));
    assert_eq!((findings.kills, findings.kills_inside, findings.stops, findings.cancelled), (4, 2, 2, 1));
    let json = serde_json::to_value(&findings).expect("it serialises");
    assert_eq!(json["faults"]["pid-reuse"], 1);
}

#[test]
fn takeovers_of_older_peers_are_told_from_others() {
    let history = "a acquired, a kill, a exit=-9, A acquired, A kill, A exit=-9, B acquired, B releasing, b acquired, \
                   b kill, b exit=-9, c acquired, c releasing.";
    let findings = judge(history);
    assert_eq!((findings.takeovers, findings.takeovers_of_older), (3, 1));
}

/// The history from this record on.
fn cut(history: &str, at: usize) -> Oracle {
    let mut oracle = Oracle::new(SETUP);
    oracle.skip(at as u64);
    for record in &forge(history)[at..] {
        oracle.observe(Record::decode(&record.encode()));
    }
    oracle
}

#[test]
fn a_history_without_its_beginning_is_judged_from_where_it_goes_on() {
    let history = "A acquired#1, B kill, B exit=-9, A releasing, A acquired#2, A exec, A start, C acquired#3, C forked, \
                   C releasing, a acquired, a kill, a exit=-9, A acquired#4, A releasing, A lost, A acquired#5, D acquired#6, \
                   A releasing, D releasing.";
    let whole = forge(history).len();
    for at in 1..whole {
        let findings = cut(history, at).finish(&[6, 0]);
        let expected = Oddities { missing: at as u64, ..Oddities::default() };
        let lost = Oddities { lost: findings.lost, ..expected };
        assert_eq!(findings.oddities, lost, "from record {at} of {whole}");
        assert_eq!(findings.records, whole as u64);
        // The last ten records begin with the first of the two owners.
        if at <= whole - 10 {
            assert_eq!(findings.violations, 1, "from record {at} of {whole}: {findings:#?}");
            assert_eq!(findings.stories[0].holds[0].began.number, whole as u64 - 10, "numbers are those of the file");
        }
    }
}

#[test]
fn a_piece_that_is_missing_in_the_middle_hides_only_itself() {
    let mut oracle = cut("A acquired, B acquired, A releasing, B releasing", 2);
    assert_eq!(oracle.findings().violations, 1);
    oracle.skip(1000);
    for record in forge("A acquired, A releasing, B acquired, A acquired, B releasing, A releasing.") {
        oracle.observe(Ok(record));
    }
    let findings = oracle.finish(&[5, 0]);
    assert_eq!(findings.violations, 2);
    assert_eq!(findings.oddities, Oddities { missing: 1002, ..Oddities::default() });
}
