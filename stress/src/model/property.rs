//! What must hold, and the exceptions that no lock on these files could avoid.

use std::fmt;

use super::peer::Position;
use super::world::World;

/// A promise of the lock, as the search checks it.
///
/// *void*: a hold whose claim the operator has deleted since the last look at it before the hold, for as long as it
/// is not put back. Nothing of it is left at the path, so nobody who goes by the path can know of it. How long before
/// the hold that look may be is for the tests of the lock: the model knows no times. A claim counts as deleted by the
/// operator also when the file was removed by the unlink of somebody whose own claim the operator had deleted before:
/// an older peer unlinks whatever the path names, and a release has a moment between its check and its unlink.
///
/// What a *thief*, an older peer that judges by pid, takes from the path because it finds the owner dead counts as deleted
/// by the operator: the thief does not ask again. A hold of a thief that renames its claim into place is void, too, if a
/// takeover's probe came before the thief had opened the claim: only an open file tells of its owner. So where thieves
/// are about, by pair of kinds (an *ideal* peer takes nothing over):
///
/// | | this crate | ideal | thief |
/// |---|---|---|---|
/// | this crate | exclusive | unless a thief took the claim of one | unless a thief took the claim of one, or renamed its own |
/// | ideal | | unless a thief took the claim of one | unless a thief took the claim of one |
/// | thief | | | unless a thief took the claim of one |
///
/// *exposed*: a hold that was void while the state directory in which it was taken was gone too. Nothing of it
/// is left anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// Two processes of this crate, or of a lock that stands in its place, never hold at once. Except: one of the holds of
    /// this crate has been exposed.
    ExclusionNewNew,
    /// A process of this crate and an older peer never hold at once. Except: one of the holds is void.
    ExclusionNewOlder,
    /// Two older peers never hold at once. Except: one of the holds is void.
    ExclusionOlderOlder,
    /// A release of this crate, or a withdrawal, removes no file but its own claim. Except: the operator deleted that claim
    /// between the check and the unlink; and even then it is no claim of a process of this crate that has the same arbiter.
    ReleaseRemovesOwn,
    /// An acquisition's fencing token is larger than that of every acquisition before it, while the state directory
    /// lives.
    ///
    /// Where tokens are forgotten ([`Learning::AtOnce`](super::Learning::AtOnce)) this says next to nothing: whoever takes a
    /// token has the arbiter's range, so nobody else has one of that arbiter, and it is compared with none. It means what it
    /// says where every token is remembered, which takes bounded rounds: with [`Learning::Later`](super::Learning::Later),
    /// and without the [step](super::Ablation::Token) from one token to the next, which forgets none either.
    TokensGrow,
    /// From every state that can be reached, everybody can still finish, without a further fault: there is a way on to a
    /// state in which each process of this crate has ended or is between two rounds, and nobody is in the middle of
    /// anything. That it is gone is up to whoever schedules. Checked after the search, over all its states.
    ///
    /// Older peers that wait for the name need not get it: they never steal, so a dead owner's claim stops them until a
    /// process of this crate comes along.
    CanFinish,
    /// A holder is never told that all is well when it is not: no heal ends as *intact*, no release removes a file as its
    /// own and nothing is handed on unless the look at the path found the own file there.
    ///
    /// Between the look and what follows from it, the claim may be deleted: the next heal, or the release, tells. That a heal
    /// begins at all is not checked.
    HolderKnows,
}

impl Property {
    /// All of them, the order in which they are checked.
    pub const ALL: &'static [Self] = &[
        Self::ExclusionNewNew,
        Self::ExclusionNewOlder,
        Self::ExclusionOlderOlder,
        Self::ReleaseRemovesOwn,
        Self::TokensGrow,
        Self::HolderKnows,
        Self::CanFinish,
    ];

    /// Its name, the same in code, tests and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExclusionNewNew => "ExclusionNewNew",
            Self::ExclusionNewOlder => "ExclusionNewOlder",
            Self::ExclusionOlderOlder => "ExclusionOlderOlder",
            Self::ReleaseRemovesOwn => "ReleaseRemovesOwn",
            Self::TokensGrow => "TokensGrow",
            Self::CanFinish => "CanFinish",
            Self::HolderKnows => "HolderKnows",
        }
    }

    /// The property of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|property| property.name() == name)
    }

    /// A list of it alone.
    pub(super) fn alone(self) -> &'static [Self] {
        let at = Self::ALL.iter().position(|property| *property == self);
        at.map_or(&[], |at| &Self::ALL[at..=at])
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The exclusions that two holders in this state break.
pub(super) fn broken_exclusions(world: &World) -> impl Iterator<Item = Property> {
    let holding = |position| world.peers.iter().filter(move |peer| peer.position == position && peer.is_holding());
    let unexposed = world.processes.iter().filter(|p| p.is_holding() && !p.exposed).count();
    let guarded = world.processes.iter().filter(|p| p.is_holding() && !p.void).count();
    let older = holding(Position::Beside).filter(|peer| !peer.void).count();
    let in_place = holding(Position::InPlace).count();
    [
        (Property::ExclusionNewNew, unexposed + in_place > 1),
        (Property::ExclusionNewOlder, guarded > 0 && older > 0),
        (Property::ExclusionOlderOlder, older > 1),
    ]
    .into_iter()
    .filter_map(|(property, broken)| broken.then_some(property))
}
