//! What must hold, and the exceptions that no lock on these files could avoid.

use std::fmt;

use super::world::World;

/// A promise of the lock, as the search checks it.
///
/// *void*: a hold whose claim the operator has deleted, for as long as it is not put back. Nothing of it is left at
/// the path, so nobody who goes by the path can know of it. A claim counts as deleted by the operator also when the
/// file was removed by the unlink of somebody whose own claim the operator had deleted before: an older peer unlinks
/// whatever the path names, and a release has a moment between its check and its unlink.
///
/// *exposed*: a hold that was void while the state directory in which it was taken was gone too. Nothing of it
/// is left anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// Two processes of this crate never hold at once. Except: one of the holds has been exposed.
    ExclusionNewNew,
    /// A process of this crate and an older peer never hold at once. Except: one of the holds is void.
    ExclusionNewOlder,
    /// Two older peers never hold at once. Except: one of the holds is void.
    ExclusionOlderOlder,
    /// A release of this crate removes no file but its own claim. Except: the operator deleted that claim between
    /// the release's check and its unlink.
    ReleaseRemovesOwn,
    /// An acquisition's fencing token is larger than that of every acquisition before it, while the state directory
    /// lives.
    TokensGrow,
    /// As long as a process of this crate has something left to do, somebody can move.
    NoDeadlock,
}

impl Property {
    /// All of them, the order in which they are checked.
    pub const ALL: &'static [Self] = &[
        Self::ExclusionNewNew,
        Self::ExclusionNewOlder,
        Self::ExclusionOlderOlder,
        Self::ReleaseRemovesOwn,
        Self::TokensGrow,
        Self::NoDeadlock,
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
            Self::NoDeadlock => "NoDeadlock",
        }
    }

    /// Whether it says that two do not hold at once.
    #[must_use]
    pub const fn is_exclusion(self) -> bool {
        matches!(self, Self::ExclusionNewNew | Self::ExclusionNewOlder | Self::ExclusionOlderOlder)
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The exclusions that two holders in this state break.
pub(super) fn broken_exclusions(world: &World) -> impl Iterator<Item = Property> {
    let unexposed = world.processes.iter().filter(|p| p.is_holding() && !p.exposed).count();
    let guarded = world.processes.iter().filter(|p| p.is_holding() && !p.void).count();
    let older = world.older.iter().filter(|peer| peer.is_holding() && !peer.void).count();
    [
        (Property::ExclusionNewNew, unexposed > 1),
        (Property::ExclusionNewOlder, guarded > 0 && older > 0),
        (Property::ExclusionOlderOlder, older > 1),
    ]
    .into_iter()
    .filter_map(|(property, broken)| broken.then_some(property))
}
