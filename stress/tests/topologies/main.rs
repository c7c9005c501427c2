//! Where workers can live, what is done to their groups, and that nobody is left behind.
//!
//! Containers need a Docker engine and a static binary of this tool, which `STRESS_STATIC` names; without them, and
//! without the right to make namespaces, a test says that it is skipped.

use session_lock_stress::fault::Fault;
use session_lock_stress::history::Event;

mod joined;
mod leftovers;
mod support;

use support::{Shown, binary, cgroups, decoded, freezer_can_be_had, log};

const FAULTY: [&str; 6] = ["--duration", "4s", "--kill-rate", "10", "--stop-rate", "2"];

fn with<'a>(topology: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--topology", topology][..], &FAULTY, more].concat()
}

#[test]
fn workers_exclude_each_other_wherever_they_live() {
    for topology in [
        "processes",
        "threads",
        "tasks",
        "pidns-shared",
        "pidns-private",
        "docker-shared",
        "docker-private",
        "docker-mixed",
    ] {
        let Some(binary) = binary(topology) else { continue };
        let shown = Shown::by(&binary, &with(topology, &["--seed", "3"]));
        shown.assert_valid();
        shown.assert_one_exit_each();
        shown.assert_happened(Event::Kill, Fault::KillInside, 1);
        shown.assert_happened(Event::Stop, Fault::Stop, 1);
        assert_eq!(shown.results["asked"]["topology"], topology);
    }
}

#[test]
fn a_group_dies_as_a_whole_and_comes_back() {
    for topology in ["pidns-private", "pidns-shared", "docker-private", "docker-shared"] {
        let Some(binary) = binary(topology) else { continue };
        let shown = Shown::by(&binary, &with(topology, &["--fault", "group-kill=1.5", "--seed", "4"]));
        shown.assert_valid();
        shown.assert_one_exit_each();
        shown.assert_happened(Event::Kill, Fault::GroupKill, 4);
    }
}

#[test]
fn a_container_is_paused_and_restarted() {
    let Some(binary) = binary("docker-mixed") else { return };
    let faults = ["--duration", "8s", "--kill-rate", "5", "--fault", "pause=1,restart=0.5", "--seed", "5"];
    let shown = Shown::by(&binary, &[&["--topology", "docker-mixed"][..], &faults].concat());
    shown.assert_valid();
    shown.assert_one_exit_each();
    shown.assert_happened(Event::Stop, Fault::Pause, 1);
    shown.assert_happened(Event::Kill, Fault::Restart, 1);
}

#[test]
fn a_frozen_group_holds_nobody_up_for_good() {
    if !freezer_can_be_had() {
        return;
    }
    for topology in ["processes", "pidns-private"] {
        let Some(binary) = binary(topology) else { continue };
        let shown = Shown::by(&binary, &with(topology, &["--fault", "freeze=2", "--seed", "6"]));
        shown.assert_valid();
        shown.assert_one_exit_each();
        shown.assert_happened(Event::Stop, Fault::Freeze, 4);
        assert_eq!(cgroups(shown.supervisor), Vec::<String>::new(), "none is left");
    }
}

#[test]
fn clocks_of_another_time_namespace_change_nothing() {
    let Some(binary) = binary("pidns-private") else { return };
    let shown = Shown::by(&binary, &with("pidns-private", &["--fault", "time-namespace=1.5", "--seed", "7"]));
    shown.assert_valid();
    shown.assert_happened(Event::Kill, Fault::TimeNamespace, 4);
    let records = decoded(shown.dir.path().to_str().expect("UTF-8"));
    let (first, last) = (records.first().expect("records").at_us, records.last().expect("records").at_us);
    let hour_us = 3_600_000_000;
    assert!(last > first && last - first < hour_us, "all are on one clock: {first} to {last}");
    assert!(records.iter().all(|record| record.at_us.abs_diff(first) < hour_us));
}

#[test]
fn the_next_process_gets_the_dead_owners_pid_and_robs_nobody() {
    for topology in ["pidns-private", "pidns-shared"] {
        let Some(binary) = binary(topology) else { continue };
        let faults = ["--duration", "5s", "--kill-rate", "0", "--fault", "pid-reuse=40", "--seed", "8"];
        let shown = Shown::by(&binary, &[&["--topology", topology][..], &faults].concat());
        shown.assert_one_exit_each();
        assert_eq!(shown.results["findings"]["violations"], 0, "{:#}", shown.results);
        assert_eq!(shown.results["findings"]["timeouts"], 0, "{:#}", shown.results);
        let (asked, got) = (shown.count(Event::Kill, Fault::PidReuse), shown.count(Event::Strike, Fault::PidReuse));
        assert!(got >= 20 && got * 2 > asked, "{got} of {asked} pids were used again: {:#}", shown.results);
    }
}

#[test]
fn a_worker_without_descriptors_fails_and_goes_on() {
    let shown = Shown::by(env!("CARGO_BIN_EXE_stress"), &with("processes", &["--fault", "no-descriptors=4"]));
    shown.assert_one_exit_each();
    shown.assert_happened(Event::Strike, Fault::NoDescriptors, 4);
    shown.assert_happened(Event::Relieve, Fault::NoDescriptors, 1);
    assert_eq!(shown.results["findings"]["violations"], 0, "{:#}", shown.results);
    assert!(log(shown.dir.path().to_str().expect("UTF-8")).contains("os error 24"), "EMFILE was seen");
}

/// A worker that begins, also as another program, has to open what it needs.
#[test]
fn nobody_is_kept_from_beginning() {
    let faults = ["--kill-rate", "60", "--fault", "no-descriptors=100,exec=100,fork=20"];
    let shown = Shown::by(env!("CARGO_BIN_EXE_stress"), &[&["--duration", "4s"][..], &faults].concat());
    shown.assert_one_exit_each();
    shown.assert_happened(Event::Strike, Fault::NoDescriptors, 20);
    shown.assert_happened(Event::Exec, Fault::Exec, 20);
    assert_eq!(shown.results["findings"]["oddities"]["crashed"], 0, "{:#}", shown.results);
    assert_eq!(shown.results["findings"]["violations"], 0, "{:#}", shown.results);
}

#[test]
fn a_stop_outlasts_the_grace() {
    let shown =
        Shown::by(env!("CARGO_BIN_EXE_stress"), &with("processes", &["--fault", "long-stop=2", "--grace", "200ms"]));
    shown.assert_valid();
    shown.assert_happened(Event::Stop, Fault::LongStop, 2);
}
