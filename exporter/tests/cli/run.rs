//! `run`: a command under a lock, and nobody beside it.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::{Running, Sessions, ended, stderr, stdout, wait_until};

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().expect("a pid")).expect("a pid")
}

/// Reads a number, and writes the next one, slowly; and notes where its section begins and ends.
const INCREMENT: &str = r#"
    echo "begin $SESSION_LOCK_TOKEN" >> sections
    number=$(cat counter)
    sleep 0.01
    echo $((number + 1)) > counter
    echo "end $SESSION_LOCK_TOKEN" >> sections
"#;

/// Tells that it runs, and would write if it ever came to that.
const NEVER_WRITES: &str = "echo $$; exec sleep 1000";

/// Some runners are killed while their command runs, before it writes. So exactly the increments that ended are in the file,
/// and no section lies within another. What a kill in the middle of a write may do is another question: then the next holder
/// begins before the command has got its signal, and the token has to tell the storage.
#[test]
fn twenty_processes_lose_no_increment_though_runners_are_killed() {
    const PROCESSES: usize = 20;
    const INCREMENTS: usize = 4;
    const KILLS: usize = 10;
    let sessions = Sessions::new();
    sessions.write("counter", "0\n");
    let script =
        format!("for i in $(seq {INCREMENTS}); do \"$0\" run --timeout 300 s -- sh -c '{INCREMENT}' || exit; done");
    let start = |_| -> Child {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_session-lock")]).current_dir(sessions.path());
        command.env_remove("SESSION_LOCK_DIR").stdin(Stdio::null()).spawn().expect("it starts")
    };
    let children: Vec<_> = (0..PROCESSES).map(start).collect();
    let mut commands = Vec::new();
    for _ in 0..KILLS {
        let mut victim =
            Running::start(&mut sessions.command(&["run", "--timeout", "300", "s", "--", "sh", "-c", NEVER_WRITES]));
        commands.push(pid(&victim.line()));
        victim.send(Signal::KILL);
    }
    for mut child in children {
        assert!(ended(&mut child).success());
    }
    let counter = fs::read_to_string(sessions.file("counter")).expect("readable");
    assert_eq!(counter.trim(), (PROCESSES * INCREMENTS).to_string());
    let sections = fs::read_to_string(sessions.file("sections")).expect("readable");
    let lines: Vec<_> = sections.lines().map(|line| line.split_once(' ').expect("two words")).collect();
    let mut last = 0;
    for section in lines.chunks(2) {
        assert_eq!((section[0].0, section[1].0, section[0].1), ("begin", "end", section[1].1), "{sections}");
        let token: u64 = section[0].1.parse().expect("a number");
        assert!(token > last, "{sections}");
        last = token;
    }
    assert_eq!(lines.len(), 2 * PROCESSES * INCREMENTS);
    for command in commands {
        wait_until("the command of a killed runner ends", || test_kill_process(command).is_err());
    }
}

#[test]
fn the_command_has_its_session_and_a_token_that_grows() {
    let sessions = Sessions::new();
    let tell = ["run", "s", "--", "sh", "-c", "echo $SESSION_LOCK_SESSION $SESSION_LOCK_TOKEN"];
    assert_eq!(stdout(&sessions.output(&tell)), "s 1\n");
    assert_eq!(stdout(&sessions.output(&tell)), "s 2\n");
    assert!(!sessions.file("s.lock").exists());
}

#[test]
fn the_claim_has_the_label_and_a_conflict_names_it() {
    let sessions = Sessions::new();
    let holder = sessions.runner("run 17");
    let output = sessions.output(&["run", "-n", "s", "--", "true"]);
    let said = stderr(&output);
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("\"run 17\"") && said.contains(&holder.pid().as_raw_nonzero().to_string()), "{said}");
    holder.send(Signal::TERM);
    assert_eq!(holder.end().0.code(), Some(128 + 15));
}

/// Where flock(1) would let it.
#[test]
fn what_the_command_leaves_running_does_not_hold_the_lock() {
    let sessions = Sessions::new();
    let output = sessions.output(&["run", "s", "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]);
    let left = pid(&stdout(&output));
    let free = sessions.output(&["run", "-n", "s", "--", "true"]);
    kill_process(left, Signal::KILL).expect("it runs");
    assert_eq!(free.status.code(), Some(0), "{free:?}");
}

/// The kernel sends the signal for each thread of the runner that was the command's parent when it ended: `prctl(2)`,
/// `PR_SET_PDEATHSIG`.
#[test]
fn a_killed_runner_frees_the_lock_and_its_command_is_told() {
    let sessions = Sessions::new();
    let script = "trap 'echo told; exit' TERM; echo $$; for i in $(seq 9999); do sleep 0.01; done";
    let mut runner = Running::start(&mut sessions.command(&["run", "s", "--", "sh", "-c", script]));
    let command = pid(&runner.line());
    runner.send(Signal::KILL);
    let free = sessions.output(&["run", "--timeout", "100", "s", "--", "true"]);
    assert_eq!(free.status.code(), Some(0), "{free:?}");
    let (status, rest) = runner.end();
    assert_eq!((status.signal(), rest.first().map(String::as_str)), (Some(9), Some("told")), "{rest:?}");
    assert!(rest.iter().all(|line| line == "told"), "{rest:?}");
    wait_until("the command ends", || test_kill_process(command).is_err());
}

/// Runs a command whose claim is replaced. It ends when the loss has been told.
fn lose(sessions: &Sessions, options: &[&str]) -> (Option<i32>, String) {
    let script = "echo; until [ -e go ]; do sleep 0.01; done";
    let arguments = [&["run", "s"], options, &["--", "sh", "-c", script]].concat();
    let told = File::create_new(sessions.file("told")).expect("made");
    let mut running = Running::start(sessions.command(&arguments).current_dir(sessions.path()).stderr(told));
    running.line();
    sessions.write("new", r#"{"pid":4194303}"#);
    fs::rename(sessions.file("new"), sessions.file("s.lock")).expect("renamed");
    let said = || fs::read_to_string(sessions.file("told")).expect("text");
    wait_until("it is told", || said().contains('\n'));
    sessions.write("go", "");
    (running.end().0.code(), said())
}

#[test]
fn a_lost_lock_is_told_while_the_command_runs_and_at_the_end() {
    let (code, said) = lose(&Sessions::new(), &[]);
    assert_eq!((code, said.lines().count()), (Some(0), 2), "{said}");
    assert!(
        said.starts_with("session-lock: s is not held any more: somebody replaced its claim; the command goes on"),
        "{said}"
    );
    assert!(said.contains("check what was written meanwhile"), "{said}");
}

#[test]
fn a_command_whose_lock_is_lost_can_be_terminated() {
    let (code, said) = lose(&Sessions::new(), &["--on-lost", "terminate"]);
    assert_eq!(code, Some(128 + 15), "{said}");
    assert!(said.contains("the command is terminated"), "{said}");
}

/// Nothing that a lock wrote is there, so nothing is run.
#[test]
fn what_is_in_the_way_has_its_exit_code() {
    let sessions = Sessions::new();
    fs::create_dir(sessions.file("none.lock")).expect("made");
    for (name, code, part) in [("none", 65, "is not a lock file"), ("a/b", 64, "one path component")] {
        let output = sessions.output(&["run", name, "--", "touch", "ran"]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(stderr(&output).contains(part), "{output:?}");
    }
    let label = "x".repeat(129);
    assert_eq!(sessions.output(&["run", "s", "--label", &label, "--", "true"]).status.code(), Some(64));
    let few = sessions.after("ulimit -n 6", &["run", "s", "--", "true"]).output().expect("it runs");
    assert_eq!(few.status.code(), Some(71), "{few:?}");
    let open_to_all = Sessions::new();
    rustix::fs::chmod(open_to_all.path(), rustix::fs::Mode::from_raw_mode(0o777)).expect("ours");
    let output = open_to_all.output(&["run", "s", "--", "true"]);
    assert_eq!(output.status.code(), Some(66), "{output:?}");
    assert!(stderr(&output).contains("--any-permissions"), "{output:?}");
    assert_eq!(open_to_all.output(&["run", "s", "--any-permissions", "--", "true"]).status.code(), Some(0));
}
