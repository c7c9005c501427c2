//! The command line tool as people and scripts meet it: real runs of the binary, one module for each command.

mod doctor;
mod doctor_machine;
mod ls;
mod manual;
mod run;
mod run_beside_flock;
mod run_signals;
mod show;
mod support;
mod sweep;
mod watch;
