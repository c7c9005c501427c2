//! Short random histories of few workers, that mostly but not always take turns, with what may be done to them and to
//! their claims. All of it fits together; whether holds overlap is left to chance.

use session_lock_stress::fault::Fault;
use session_lock_stress::history::{Event, NOBODY, Record};

use crate::forge::SETUP;

const CREW: [u16; 5] = [0, 1, 2, SETUP.older_from, SETUP.older_from + 1];

#[derive(Clone, Copy, PartialEq)]
enum State {
    Idle,
    Inside,
    Releasing,
    /// And may write one more record, if it was inside.
    Killed(bool),
    Executing,
    Gone,
}

struct Actor {
    template: Record,
    state: State,
}

fn one<T>(random: &mut fastrand::Rng, of: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>) -> T {
    random.choice(of).expect("there are some")
}

/// What this one does next, and what it is then.
fn step(random: &mut fastrand::Rng, actor: &Actor, held: bool) -> Option<(Event, State)> {
    let outside =
        [(Event::Acquired, State::Inside), (Event::Timeout, State::Idle), (Event::Kill, State::Killed(false))];
    let older = actor.template.worker >= SETUP.older_from;
    Some(match actor.state {
        State::Idle if held && random.u8(..8) > 0 => (Event::Timeout, State::Idle),
        State::Releasing if older && random.u8(..3) == 0 => (Event::Kill, State::Killed(false)),
        State::Releasing if older => (Event::Released, State::Idle),
        State::Idle | State::Releasing => one(random, outside),
        State::Executing => (Event::Start, State::Idle),
        State::Inside => match random.u8(..8) {
            0 | 1 => (Event::Kill, State::Killed(true)),
            2 => (Event::Caught, State::Inside),
            3 => (Event::Exec, State::Executing),
            _ => (Event::Releasing, State::Releasing),
        },
        State::Killed(true) if random.bool() => (Event::Releasing, State::Killed(false)),
        State::Killed(_) => (Event::Exit, State::Gone),
        State::Gone => return None,
    })
}

/// How all end who have not.
fn ends(state: State) -> (&'static [Event], i32) {
    match state {
        State::Gone => (&[], 0),
        State::Killed(_) => (&[Event::Exit], -9),
        State::Executing => (&[Event::Start, Event::Done, Event::Exit], 0),
        State::Inside => (&[Event::Releasing, Event::Done, Event::Exit], 0),
        State::Idle | State::Releasing => (&[Event::Done, Event::Exit], 0),
    }
}

/// One history.
pub(crate) fn random_history(random: &mut fastrand::Rng) -> Vec<Record> {
    let (worker, incarnation, lock, token, detail) = (NOBODY, 0, 0, 0, 0);
    let nobody = Record { event: Event::Strike, fault: None, worker, incarnation, lock, token, at_us: 0, detail };
    let mut crew = CREW.map(|worker| {
        let template = Record { event: Event::Start, worker, incarnation: u32::from(worker) + 1, ..nobody };
        Actor { template, state: State::Idle }
    });
    let mut history: Vec<_> = crew.iter().map(|actor| actor.template).collect();
    let mut at_us = 0;
    let mut struck: Option<Record> = None;
    for _ in 0..random.usize(5..40) {
        at_us += one(random, [0, 0, 1_000, 100_000, 300_000, 1_100_000]);
        if random.u8(..6) == 0 {
            let faults = [Fault::DeleteClaim, Fault::ReplaceClaim, Fault::TruncateClaim, Fault::DeleteState];
            let strike = Record { fault: Some(one(random, faults)), at_us, ..nobody };
            let relieve = struck.take().map(|strike| Record { event: Event::Relieve, at_us, ..strike });
            struck = Some(strike).filter(|_| relieve.is_none() && random.bool());
            history.push(relieve.unwrap_or(strike));
            continue;
        }
        let held = crew.iter().any(|actor| actor.state == State::Inside);
        let actor = &mut crew[random.usize(..CREW.len())];
        let Some((event, state)) = step(random, actor, held) else { continue };
        actor.state = state;
        let detail = match event {
            Event::Acquired => i32::try_from(random.u64(..=at_us.min(200_000))).expect("a short wait"),
            Event::Exit => -9,
            _ => 0,
        };
        history.push(Record { event, at_us, detail, ..actor.template });
    }
    for Actor { template, state } in crew {
        let (events, detail) = ends(state);
        history.extend(events.iter().map(|&event| Record { event, at_us, detail, ..template }));
    }
    history
}
