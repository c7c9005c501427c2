//! Overlaps that no lock could avoid, each by its rule; and histories that are nearly so, which are violations.

use session_lock_stress::oracle::{Cause, Pair};

use crate::forge::{judge, judge_counted};

/// The one overlap of a history.
fn only(history: &str) -> (Pair, Cause) {
    let findings = judge(history);
    let blamed = findings.stories.iter().filter_map(|violation| violation.overlap);
    let found: Vec<_> = blamed.chain(findings.inherent.iter().map(|inherent| inherent.overlap)).collect();
    assert_eq!(findings.violations + findings.inherent_overlaps(), 1, "{history}: {findings:#?}");
    assert_eq!(found[0].cause == Cause::Unexplained, findings.violations == 1, "{history}: {findings:#?}");
    (found[0].pair, found[0].cause)
}

/// What it is about, whose holds overlap, why (`None`: unexplained), and the history.
type Case = (&'static str, Pair, Option<Cause>, &'static str);

fn check(cases: &[Case]) {
    for (story, pair, cause, history) in cases {
        assert_eq!(only(history), (*pair, cause.unwrap_or(Cause::Unexplained)), "{story}: {history}");
    }
}

use Pair::{OlderOlder, OlderOurs, OursOlder, OursOurs};

const STOPPED: Option<Cause> = Some(Cause::OlderPeerStoppedInRelease);
const DELETED: Option<Cause> = Some(Cause::ClaimDeleted);
const BOTH: Option<Cause> = Some(Cause::ClaimAndStateDeleted);

/// An older peer closes its claim, stands still and then unlinks the path.
const STOPPED_IN_RELEASE: &[Case] = &[
    (
        "our holder reclaims, the older peer unlinks its claim, another creates one",
        OursOlder,
        STOPPED,
        "a acquired, a releasing, A acquired~1100, a released~1, b acquired, A releasing, b releasing.",
    ),
    (
        "its released comes late",
        OursOlder,
        STOPPED,
        "a acquired, a releasing, A acquired~1100, b acquired, a released, A releasing, b releasing.",
    ),
    (
        "it unlinks and dies",
        OursOlder,
        STOPPED,
        "a acquired, a releasing, A acquired~1100, a kill, b acquired, a exit=-9, A releasing, b releasing.",
    ),
    (
        "it is dead before, but it had unlinked between",
        OursOlder,
        STOPPED,
        "a acquired, a releasing, A acquired~1100, a kill, a exit=-9, b acquired, A releasing, b releasing.",
    ),
    (
        "it returns before our acquired is written",
        OursOlder,
        STOPPED,
        "a acquired, a releasing, a released~1100, A acquired, b acquired, A releasing, b releasing.",
    ),
    (
        "a third one's claim is unlinked, after ours was released",
        OlderOlder,
        STOPPED,
        "a acquired, a releasing, A acquired~1100, A releasing, b acquired, a released, c acquired, b releasing, \
         c releasing.",
    ),
    (
        "and ours comes in",
        OlderOurs,
        STOPPED,
        "a acquired, a releasing, A acquired~1100, A releasing, b acquired, a released, B acquired, b releasing, \
         B releasing.",
    ),
    (
        "who lost its claim so unlinks another's",
        OlderOlder,
        STOPPED,
        "a acquired, a releasing, A acquired~1100, A releasing, b acquired, a released, b releasing, c acquired, \
         b released, d acquired, c releasing, d releasing.",
    ),
    (
        "near miss: shorter than the grace",
        OursOlder,
        None,
        "a acquired, a releasing, A acquired~900, a released~1, b acquired, A releasing, b releasing.",
    ),
    (
        "near miss: ours came before the grace was over",
        OursOlder,
        None,
        "a acquired, a releasing, A acquired~900, b acquired~200, a released, A releasing, b releasing.",
    ),
    (
        "near miss: it was over before our hold could begin",
        OursOlder,
        None,
        "a acquired, a releasing, a released~1100, A timeout, A acquired~1, b acquired, A releasing, b releasing.",
    ),
    (
        "near miss: a sound hold lies between",
        OursOlder,
        None,
        "a acquired, a releasing, a released~1100, B acquired, B releasing, A acquired, b acquired, A releasing, \
         b releasing.",
    ),
    (
        "near miss: on another lock",
        OursOlder,
        None,
        "a acquired @1, a releasing @1, A acquired~1100, a released @1, b acquired, A releasing, b releasing.",
    ),
    (
        "near miss: a long release of ours",
        OursOlder,
        None,
        "B acquired, B releasing, A acquired~1100, b acquired, A releasing, b releasing.",
    ),
    (
        "near miss: two of ours",
        OursOurs,
        None,
        "a acquired, a releasing, A acquired~1100, a released~1, B acquired, A releasing, B releasing.",
    ),
    (
        "near miss: stopped inside its hold, not in the release",
        OlderOurs,
        None,
        "a acquired, a stop, A acquired~1100, a continue, a releasing, a released, A releasing.",
    ),
];

#[test]
fn an_older_peer_stopped_in_its_release() {
    check(STOPPED_IN_RELEASE);
}

/// Somebody from outside deletes or replaces a claim.
const CLAIM_DELETED: &[Case] = &[
    ("ours", OursOlder, DELETED, "A acquired, * strike!delete-claim, b acquired, A releasing, b releasing."),
    ("replaced", OursOlder, DELETED, "A acquired, * strike!replace-claim, b acquired, A releasing, b releasing."),
    ("an older peer's", OlderOurs, DELETED, "a acquired, * strike!delete-claim, B acquired, a releasing, B releasing."),
    ("both older", OlderOlder, DELETED, "a acquired, * strike!delete-claim, b acquired, a releasing, b releasing."),
    (
        "after the claim was made and before its acquired was written",
        OlderOurs,
        DELETED,
        "B acquired, B releasing, * strike!delete-claim, a acquired~900, B acquired, a releasing, B releasing.",
    ),
    (
        "the deed comes after the strike",
        OlderOurs,
        DELETED,
        "* strike!delete-claim, B acquired, B releasing, a acquired~200, B acquired, a releasing, B releasing.",
    ),
    (
        "however late, if its relieve says so",
        OlderOurs,
        DELETED,
        "* strike!delete-claim, B acquired, B releasing~900, a acquired, * relieve!delete-claim, B acquired, \
         a releasing, B releasing.",
    ),
    (
        "the second by its record was first",
        OlderOlder,
        DELETED,
        "A acquired, A releasing, * strike!delete-claim, a timeout~900, a acquired, b acquired, a releasing, \
         b releasing.",
    ),
    (
        "who lost its claim unlinks another's",
        OlderOlder,
        DELETED,
        "a acquired, * strike!delete-claim, * relieve!delete-claim, a releasing~900, b acquired, a released, \
         c acquired, b releasing, c releasing.",
    ),
    (
        "and so does one of ours that had looked just before",
        OlderOlder,
        DELETED,
        "A acquired, A releasing, * strike!delete-claim, * relieve!delete-claim, b timeout, b acquired, c acquired, \
         b releasing, c releasing.",
    ),
    (
        "near miss: the next of ours shows that it had unlinked",
        OlderOlder,
        None,
        "A acquired, A releasing, * strike!delete-claim, * relieve!delete-claim, B acquired, B releasing, b timeout, \
         b acquired, c acquired, b releasing, c releasing.",
    ),
    (
        "near miss: the deed was late, but not so late",
        OlderOurs,
        None,
        "* strike!delete-claim, B acquired, B releasing~900, a acquired, B acquired, a releasing, B releasing.",
    ),
    (
        "near miss: it was truncated",
        OursOlder,
        None,
        "A acquired, * strike!truncate-claim, b acquired, A releasing, b releasing.",
    ),
    (
        "near miss: another lock's",
        OursOlder,
        None,
        "A acquired, * strike@1!delete-claim, b acquired, A releasing, b releasing.",
    ),
    (
        "near miss: two of ours",
        OursOurs,
        None,
        "A acquired, * strike!delete-claim, B acquired, A releasing, B releasing.",
    ),
    (
        "near miss: only the state directory",
        OursOlder,
        None,
        "A acquired, * strike!delete-state, * relieve!delete-state, b acquired, A releasing, b releasing.",
    ),
    (
        "near miss: before the hold could begin, and long ago",
        OursOlder,
        None,
        "* strike!delete-claim, A timeout~900, A acquired, b acquired, A releasing, b releasing.",
    ),
    (
        "near miss: done before the hold could begin",
        OursOlder,
        None,
        "* strike!delete-claim, * relieve!delete-claim, A timeout~900, A acquired, b acquired, A releasing, b releasing.",
    ),
    (
        "near miss: within the hold before, which was released soundly",
        OursOlder,
        None,
        "B acquired, * strike!delete-claim, * relieve!delete-claim, B releasing, B timeout, C acquired, C releasing, \
         A acquired, b acquired, A releasing, b releasing.",
    ),
    (
        "within the wait of the second, which may have been first",
        OursOlder,
        DELETED,
        "* strike!delete-claim, * relieve!delete-claim, A timeout~900, A acquired, b acquired=700000, A releasing, \
         b releasing.",
    ),
    (
        "near miss: after the second one came",
        OursOlder,
        None,
        "A acquired, b acquired, * strike!delete-claim, A releasing, b releasing.",
    ),
    (
        "near miss: an older peer that had its claim still unlinks it",
        OlderOlder,
        None,
        "a acquired, a releasing, b acquired, a released, c acquired, b releasing, c releasing.",
    ),
];

#[test]
fn a_claim_deleted_with_older_peers_about() {
    check(CLAIM_DELETED);
}

/// Nothing of a hold is left to see.
const CLAIM_AND_STATE_DELETED: &[Case] = &[
    (
        "two of ours",
        OursOurs,
        BOTH,
        "A acquired, * strike!delete-claim, * strike!delete-state, * relieve!delete-state, B acquired, A releasing, \
         B releasing.",
    ),
    (
        "in the other order, and replaced",
        OursOurs,
        BOTH,
        "A acquired, * strike!delete-state, * relieve!delete-state, * strike!replace-claim, B acquired, A releasing, \
         B releasing.",
    ),
    (
        "the state directory's deletion was not over when the hold began",
        OursOurs,
        BOTH,
        "* strike!delete-state, A acquired, * strike!delete-claim, * relieve!delete-state, B acquired, A releasing, \
         B releasing.",
    ),
    (
        "with an older peer",
        OursOlder,
        BOTH,
        "A acquired, * strike!delete-claim, * strike!delete-state, b acquired, A releasing, b releasing.",
    ),
    (
        "of an older peer, the claim is all there is",
        OlderOurs,
        DELETED,
        "a acquired, * strike!delete-claim, * strike!delete-state, B acquired, a releasing, B releasing.",
    ),
    (
        "near miss: within two holds",
        OursOurs,
        None,
        "C acquired, * strike!delete-state, * relieve!delete-state, C releasing, C timeout, D acquired, D releasing, \
         A acquired, * strike!delete-claim, B acquired, A releasing, B releasing.",
    ),
    (
        "near miss: both before the first hold could begin, though not before the second could",
        OursOurs,
        None,
        "* strike!delete-claim, * strike!delete-state, * relieve!delete-state, A timeout~900, A acquired, B acquired, \
         A releasing, B releasing.",
    ),
    (
        "near miss: the claim was truncated",
        OursOurs,
        None,
        "A acquired, * strike!truncate-claim, * strike!delete-state, B acquired, A releasing, B releasing.",
    ),
    (
        "near miss: only the state directory",
        OursOurs,
        None,
        "A acquired, * strike!delete-state, B acquired, A releasing, B releasing.",
    ),
    (
        "near miss: another lock's claim",
        OursOurs,
        None,
        "A acquired, * strike@1!delete-claim, * strike!delete-state, B acquired, A releasing, B releasing.",
    ),
];

#[test]
fn claim_and_state_directory_deleted_within_one_hold() {
    check(CLAIM_AND_STATE_DELETED);
}

#[test]
fn an_inherent_overlap_does_not_hide_another() {
    let history = "A acquired, * strike!delete-claim, b acquired, B acquired, A caught, A releasing, b releasing, \
                   B releasing.";
    let findings = judge(history);
    // Between A and b, and between b and B.
    assert_eq!((findings.violations, findings.inherent_overlaps()), (1, 2), "{findings:#?}");
    let blamed = findings.stories[0].overlap.expect("an overlap");
    assert_eq!((blamed.pair, blamed.cause), (OursOurs, Cause::Unexplained));
}

#[test]
fn a_story_tells_its_cause_however_long_ago() {
    let quiet = "C acquired @1, C releasing @1, ".repeat(40);
    let history = format!("A acquired, * strike!delete-claim, {quiet}b acquired, A releasing, b releasing.");
    let findings = judge(&history);
    let story = findings.inherent[0].story.to_string();
    assert!(story.contains("ours-older, claim-deleted"), "{story}");
    assert!(story.contains("strike (delete-claim)"), "{story}");
    assert!(!story.contains("worker 2 "), "{story}");
}

#[test]
fn inherent_overlaps_are_counted_by_pair_and_cause() {
    let history = "A acquired, * strike!delete-claim, b acquired, A releasing, b releasing, ".repeat(3)
        + "a acquired, * strike!delete-claim, B acquired, a releasing, B releasing.";
    let history = history.as_str();
    let findings = judge(history);
    let counts: Vec<_> = findings.inherent.iter().map(|inherent| (inherent.overlap.pair, inherent.count)).collect();
    assert_eq!(counts, [(OursOlder, 3), (OlderOurs, 1)]);
    let findings =
        judge("A acquired, * strike!delete-claim, b acquired, b releasing, c acquired, c releasing, A releasing.");
    assert_eq!(findings.inherent_overlaps(), 2, "each pair counts");
    let findings = judge(history);
    let json = serde_json::to_value(&findings.inherent).expect("it serialises");
    assert_eq!(json[0]["pair"], "ours-older");
    assert_eq!(json[0]["cause"], "claim-deleted");
    assert_eq!(json[0]["count"], 3);
}

#[test]
fn an_inherent_overlap_may_lose_an_update_and_no_more() {
    let history = "C acquired, C releasing, A acquired, * strike!delete-claim, b acquired, A releasing, b releasing, \
                   C acquired, C releasing.";
    for (counter, explained, violations) in [(4, 0, 0), (3, 1, 0), (2, 2, 0), (1, 0, 1)] {
        let findings = judge_counted(history, Some([counter, 0]));
        assert_eq!((findings.explained.updates, findings.violations), (explained, violations), "counter {counter}");
    }
}
