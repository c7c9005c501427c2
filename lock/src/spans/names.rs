//! The values of `error.type`.

use crate::error::{LockError, SystemError};

pub(crate) trait Named {
    fn name(&self) -> &'static str;
}

impl Named for LockError {
    fn name(&self) -> &'static str {
        match self {
            Self::Name { .. } => "name",
            Self::Label { .. } => "label",
            Self::Timeout { .. } => "timeout",
            Self::NotAClaim { .. } => "not_a_claim",
            Self::State { .. } => "state",
            Self::Forked => "forked",
            Self::Restarted => "restarted",
            Self::System(error) => error.name(),
        }
    }
}

impl Named for SystemError {
    fn name(&self) -> &'static str {
        "system"
    }
}
