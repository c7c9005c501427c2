//! What is measured: a file for each section, and the roles in which the sections start this executable.

use crate::report::Report;
use crate::run::Run;

type Section = fn(&Run, &mut Report);
/// It gets the arguments that follow its name.
type Role = fn(&[String]);

/// In the order in which they run.
pub(crate) const SECTIONS: &[(&str, Section)] = &[];

pub(crate) const ROLES: &[(&str, Role)] = &[];
