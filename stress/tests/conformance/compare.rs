//! A script on both sides, and where they part.

use std::collections::HashMap;
use std::fmt;
use std::io;

use session_lock::protocol::{Completion, Inode};
use session_lock_stress::model::Ablation;
use session_lock_stress::model::script::{Act, Answer, Cast, Script, Simulated, View};

use crate::stage::Stage;

/// One act and what it came to on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) act: Act,
    pub(crate) simulated: Answer,
    pub(crate) real: Answer,
}

/// A script on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) cast: Cast,
    /// The acts that were legal, up to the one where the sides part.
    pub(crate) lines: Vec<Line>,
    /// What is different after the last act, if something is.
    pub(crate) difference: Option<String>,
}

/// Which real file stands for which simulated one.
#[derive(Default)]
struct Renaming(HashMap<Inode, Inode>);

/// Plays the acts that are legal, until the sides part.
pub(crate) fn play(script: &Script, ablation: Option<Ablation>, stage: &mut Stage) -> io::Result<Played> {
    let mut simulated = Simulated::new(script.cast, ablation);
    let mut renaming = Renaming::default();
    let mut played = Played { cast: script.cast, lines: Vec::new(), difference: None };
    stage.reset(script.cast)?;
    for act in &script.acts {
        if simulated.legal([*act]).is_empty() {
            continue;
        }
        let line = Line { act: *act, simulated: simulated.act(*act), real: stage.act(*act)? };
        renaming.0.retain(|inode, _| simulated.is_the_same(*inode));
        let difference = if renaming.answers_agree(&line) {
            renaming.difference(&simulated.view(), &stage.view()?)
        } else {
            Some("the answers".to_owned())
        };
        played.lines.push(line);
        if difference.is_some() {
            played.difference = difference;
            break;
        }
    }
    Ok(played)
}

/// Leaves acts out for as long as the sides still part.
pub(crate) fn shrink(script: Script, ablation: Option<Ablation>, stage: &mut Stage) -> io::Result<Played> {
    let mut smallest = script;
    let mut len = smallest.acts.len();
    while len > 0 {
        let mut at = 0;
        let before = smallest.acts.len();
        while at < smallest.acts.len() {
            let mut candidate = smallest.clone();
            candidate.acts.drain(at..(at + len).min(candidate.acts.len()));
            let played = play(&candidate, ablation, stage)?;
            if played.difference.is_some() {
                smallest = played.script();
            } else {
                at += len;
            }
        }
        if smallest.acts.len() == before || len > 1 {
            len /= 2;
        }
    }
    play(&smallest, ablation, stage)
}

impl Played {
    /// The acts that were done.
    pub(crate) fn script(&self) -> Script {
        Script { cast: self.cast, acts: self.lines.iter().map(|line| line.act).collect() }
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.cast)?;
        for Line { act, simulated, real } in &self.lines {
            let act = act.to_string();
            writeln!(f, "{act:<26} # simulated: {simulated:<18} real: {real}")?;
        }
        match &self.difference {
            Some(difference) => writeln!(f, "# different: {difference}"),
            None => writeln!(f, "# the same"),
        }
    }
}

impl Renaming {
    fn answers_agree(&mut self, Line { simulated, real, .. }: &Line) -> bool {
        match (simulated, real) {
            (
                Answer::Completed(Completion::Opened { inode: simulated }),
                Answer::Completed(Completion::Opened { inode: real }),
            ) => self.is_same(*simulated, *real),
            _ => simulated == real,
        }
    }

    fn difference(&mut self, simulated: &View, real: &View) -> Option<String> {
        let claims = match (simulated.claim, real.claim) {
            (Some(simulated), Some(real)) => self.is_same(simulated, real),
            (simulated, real) => simulated.is_none() && real.is_none(),
        };
        if !claims {
            Some(format!("the claim: {:?} and really {:?}", simulated.claim, real.claim))
        } else if simulated.arbiter != real.arbiter {
            Some(format!("the arbiter: {} and really {}", simulated.arbiter, real.arbiter))
        } else if !self.are_same(&simulated.spares, &real.spares) {
            Some(format!("the spares: {:?} and really {:?}", simulated.spares, real.spares))
        } else {
            None
        }
    }

    fn are_same(&mut self, simulated: &[Inode], real: &[Inode]) -> bool {
        let (known, fresh): (Vec<Inode>, Vec<Inode>) = simulated.iter().partition(|inode| self.0.contains_key(inode));
        let known: Vec<Inode> = known.iter().map(|inode| self.0[inode]).collect();
        let others: Vec<Inode> = real.iter().copied().filter(|inode| !known.contains(inode)).collect();
        // An act makes one file at most, so there is one way to pair these.
        let paired = fresh.len() == others.len() && fresh.iter().zip(&others).all(|(a, b)| self.is_same(*a, *b));
        paired && simulated.len() == real.len()
    }

    /// Whether the two can stand for each other, from now on if they did not yet.
    fn is_same(&mut self, simulated: Inode, real: Inode) -> bool {
        match self.0.get(&simulated) {
            Some(known) => *known == real,
            None if self.0.values().any(|known| *known == real) => false,
            None => {
                self.0.insert(simulated, real);
                true
            }
        }
    }
}
