//! How often each act came to each answer.

use std::collections::BTreeMap;
use std::fmt;

use session_lock::protocol::Completion;
use session_lock_stress::model::script::{Act, Answer, Deed};

use crate::compare::{Line, Played};

/// Each act, and what it can come to. The second list holds what no script brings about.
const EXPECTED: &[(&str, &[&str], &[&str])] = &[
    ("process lock-arbiter", &["done", "busy"], &[]),
    ("process take-token", &["token"], &[]),
    ("process check-arbiter", &["done", "replaced"], &[]),
    ("process reopen-arbiter", &["done"], &[]),
    ("process publish-claim", &["done", "exists"], &[]),
    // Somebody's probe at this very moment; another user's file.
    ("process open-claim", &["opened", "gone"], &["busy", "unknown"]),
    ("process lock-claim", &["done", "busy"], &[]),
    ("process read-claim", &["its own arbiter's", "foreign"], &[]),
    ("process pin-claim", &["done", "gone"], &[]),
    ("process close-claim", &["done"], &[]),
    // Another user's file, or a file system without leases.
    ("process probe-writers", &["no writer", "a writer", "gone"], &["unknown"]),
    ("process write-claim", &["done"], &[]),
    ("process check-claim", &["done", "gone", "replaced"], &[]),
    ("process unlink-claim", &["done", "gone"], &[]),
    ("process unlock-arbiter", &["done"], &[]),
    ("process start", &["done"], &[]),
    ("process hold", &["done"], &[]),
    ("process hand-on", &["done"], &[]),
    ("process sweep", &["swept none", "swept some"], &[]),
    ("process end", &["done"], &[]),
    ("process kill", &["done"], &[]),
    ("older create", &["done", "exists"], &[]),
    ("older write", &["done"], &[]),
    ("older close", &["done"], &[]),
    ("older unlink", &["done", "gone"], &[]),
    ("older kill", &["done"], &[]),
    ("reader read", &["empty", "an older payload", "our payload", "gone"], &[]),
    ("reader close", &["done"], &[]),
    ("delete claim", &["done"], &[]),
    ("delete arbiter", &["done"], &[]),
    ("delete spares", &["done"], &[]),
    ("delete state", &["done"], &[]),
];

#[derive(Default)]
pub(crate) struct Coverage {
    pub(crate) scripts: u64,
    pub(crate) acts: u64,
    /// Of these, operations of the protocol.
    pub(crate) operations: u64,
    counts: BTreeMap<(String, String), u64>,
}

impl Coverage {
    pub(crate) fn add(&mut self, played: &Played) {
        self.scripts += 1;
        for Line { act, real, .. } in &played.lines {
            self.acts += 1;
            self.operations += u64::from(matches!(act, Act::Process(_, Deed::Operate(_))));
            *self.counts.entry((kind_of(*act), outcome(real))).or_default() += 1;
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.scripts += other.scripts;
        self.acts += other.acts;
        self.operations += other.operations;
        for (pair, count) in other.counts {
            *self.counts.entry(pair).or_default() += count;
        }
    }

    /// What should have happened and did not.
    pub(crate) fn missing(&self) -> Vec<String> {
        let expected =
            EXPECTED.iter().flat_map(|(act, outcomes, _)| outcomes.iter().map(move |outcome| (act, outcome)));
        expected.filter(|(act, outcome)| self.count(act, outcome) == 0).map(|(a, o)| format!("{a}: {o}")).collect()
    }

    fn count(&self, act: &str, outcome: &str) -> u64 {
        self.counts.get(&(act.to_owned(), outcome.to_owned())).copied().unwrap_or_default()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (act, outcomes, never) in EXPECTED {
            write!(f, "    {act:<24}")?;
            for outcome in outcomes.iter().chain(*never) {
                write!(f, "  {outcome} {}", self.count(act, outcome))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The act without the number of who does it.
fn kind_of(act: Act) -> String {
    act.to_string().split(' ').filter(|word| word.parse::<u8>().is_err()).collect::<Vec<_>>().join(" ")
}

/// The answer without its numbers.
fn outcome(answer: &Answer) -> String {
    match answer {
        Answer::Completed(Completion::Token(_)) => "token".to_owned(),
        Answer::Completed(Completion::Opened { .. }) => "opened".to_owned(),
        Answer::Swept(0) => "swept none".to_owned(),
        Answer::Swept(_) => "swept some".to_owned(),
        answer => answer.to_string(),
    }
}
