//! What is measured: a file for each section, and the roles in which the sections start this executable.

mod commands;
pub(crate) mod contended;
mod cost;
mod held;
pub(crate) mod killed;
mod member;
mod observed;
mod scrape;
mod sweep;
mod tasks;
mod throughput;
mod uncontended;
mod waiters;

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
    ("held", held::run),
    ("waiters", waiters::run),
    ("tasks", tasks::run),
    ("sweep", sweep::run),
    ("scrape", scrape::run),
    ("observed", observed::run),
    ("throughput", throughput::run),
];

pub(crate) const ROLES: &[(&str, Role)] = &[
    ("worker", worker::run),
    ("owner", worker::own),
    ("alone", tasks::alone),
    ("bare", throughput::bare),
    ("hold", held::hold),
    ("hold-ranges", held::hold_ranges),
    ("in-turns", tasks::in_turns),
    ("observed", observed::acquire),
    ("sweep", sweep::sweeper),
    ("tasks", tasks::tasks),
    ("wait", waiters::wait),
];
