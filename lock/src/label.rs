//! The names of closed sets, as metrics' labels and spans' attributes have them.

use crate::event::{HoldExceeded, NotAcquired, ReleaseOutcome};
use crate::holder::HolderKind;
use crate::protocol::{LossCause, Refusal};
use crate::verdict::Reason;

/// A closed set of names.
pub(crate) trait Label: Copy {
    /// All of them.
    const VALUES: &'static [&'static str];

    /// Its place among them.
    fn index(self) -> usize;

    fn name(self) -> &'static str {
        Self::VALUES[self.index()]
    }
}

/// A variant that is missing here does not compile, and neither does one in another place than in its type.
macro_rules! label {
    ($type:ident { $($variant:ident => $value:literal),+ $(,)? }) => {
        impl Label for $type {
            const VALUES: &'static [&'static str] = &[$($value),+];

            fn index(self) -> usize {
                match self { $(Self::$variant => const { $type::$variant as usize }),+ }
            }
        }

        const _: () = {
            let order = [$($type::$variant as usize),+];
            let mut place = 0;
            while place < order.len() {
                assert!(order[place] == place, "in the order of the type");
                place += 1;
            }
        };
    };
}

label!(HolderKind {
    SameProcess => "same_process",
    OtherProcess => "other_process",
    OtherPidNamespace => "other_pid_namespace",
    Foreign => "foreign",
    Unknown => "unknown",
});

label!(Reason {
    OwnerExited => "owner-exited",
    DeadPid => "dead-pid",
    RecycledPid => "recycled-pid",
    OrphanSelfPid => "orphan-self-pid",
    NonceMismatch => "nonce-mismatch",
    Rebooted => "rebooted",
    TornPayload => "torn-payload",
    EmptyPayload => "empty-payload",
    MissingPid => "missing-pid",
    Abandoned => "abandoned",
});

label!(Refusal {
    WriterAlive => "writer_alive",
    Grace => "grace",
    Unknown => "unknown",
    ForeignArbiter => "foreign_arbiter",
});

label!(NotAcquired { Busy => "busy", Timeout => "timeout", Cancelled => "cancelled", Error => "error" });
label!(ReleaseOutcome { Released => "released", Lost => "lost", Error => "error" });
label!(LossCause { Deleted => "deleted", Replaced => "replaced" });
label!(HoldExceeded { Report => "reported", Release => "released" });
