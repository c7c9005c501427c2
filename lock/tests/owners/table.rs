//! The table in ARCHITECTURE.md.

use crate::place::User;

/// What an acquire makes of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The kernel says that the owner lives; the acquire waits.
    Held,
    /// It cannot be known; the acquire waits.
    Unknown,
    /// The owner is dead, and its claim is taken over.
    Taken,
}

/// One owner, and what becomes of it by the asker's user.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: String,
    pub(crate) state: String,
    outcomes: [Outcome; 3],
}

impl Row {
    pub(crate) fn outcome(&self, user: User) -> Outcome {
        self.outcomes[user as usize]
    }

    pub(crate) fn is_alive(&self) -> bool {
        ["running", "stopped", "leader exited"].contains(&self.state.as_str())
    }
}

/// The rows under "## Owners": kind, state, and one outcome per user in the order of [`User`].
pub(crate) fn rows() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).expect("ARCHITECTURE.md is in the repository");
    let section = text.split("\n## Owners\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the section");
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).map(row).collect();
    assert_eq!(rows.len(), 10, "two kinds of owner in five states");
    for row in &rows {
        let robbed = User::ALL.iter().any(|user| row.is_alive() && row.outcome(*user) == Outcome::Taken);
        assert!(!robbed, "the table itself robs a living owner: {row:?}");
    }
    rows
}

fn row(line: &str) -> Row {
    let cells: Vec<_> = line.split('`').skip(1).step_by(2).collect();
    let [kind, state, outcomes @ ..] = cells.as_slice() else { panic!("a row has a kind and a state: {line}") };
    let outcomes: Vec<_> = outcomes.iter().map(|word| outcome(word)).collect();
    let outcomes = outcomes.try_into().unwrap_or_else(|_| panic!("a row has an outcome for each user: {line}"));
    Row { kind: (*kind).to_owned(), state: (*state).to_owned(), outcomes }
}

fn outcome(word: &str) -> Outcome {
    match word {
        "held" => Outcome::Held,
        "unknown" => Outcome::Unknown,
        "taken" => Outcome::Taken,
        other => panic!("{other} is no outcome"),
    }
}
