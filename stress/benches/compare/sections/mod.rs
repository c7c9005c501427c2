//! What is measured: a file for each section, and the roles in which the sections start this executable.

mod commands;
pub(crate) mod contended;
pub(crate) mod killed;
mod uncontended;

use crate::report::Report;
use crate::run::Run;
use crate::worker;

type Section = fn(&Run, &mut Report);
/// It gets the arguments that follow its name.
type Role = fn(&[String]);

/// In the order in which they run.
pub(crate) const SECTIONS: &[(&str, Section)] = &[
    ("uncontended", uncontended::run),
    ("commands", commands::run),
    ("contended", contended::run),
    ("killed", killed::run),
];

pub(crate) const ROLES: &[(&str, Role)] = &[("worker", worker::run), ("owner", worker::own)];
