//! `completions` and `man`: whole, and accepted by those who read them.

use std::fs;
use std::process::Command;

use crate::support::{Sessions, skipped, stdout, tool, works};

const COMMANDS: [&str; 8] = ["ls", "show", "watch", "run", "sweep", "doctor", "completions", "man"];

fn said(arguments: &[&str]) -> String {
    let output = tool().args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    stdout(&output)
}

#[test]
fn every_shell_gets_all_commands_but_the_hidden_one() {
    let own = [
        ("bash", "complete -F"),
        ("zsh", "#compdef session-lock"),
        ("fish", "complete -c session-lock"),
        ("elvish", "set edit:completion:"),
        ("powershell", "Register-ArgumentCompleter"),
    ];
    for (shell, part) in own {
        let script = said(&["completions", shell]);
        assert!(script.contains(part), "{shell}: {part} {script}");
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        assert!(!script.contains("tether"), "{shell}");
    }
    assert_eq!(tool().args(["completions", "csh"]).output().expect("it runs").status.code(), Some(64));
    let sessions = Sessions::new();
    sessions.write("script", &said(&["completions", "bash"]));
    let output = Command::new("bash").arg("-n").arg(sessions.file("script")).output();
    let Ok(output) = output else { return skipped("every_shell_gets_all_commands, bash's part", "bash") };
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn every_command_has_a_page() {
    let sessions = Sessions::new();
    let output = tool().args(["man", "--out"]).arg(sessions.path()).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let mut pages: Vec<_> =
        fs::read_dir(sessions.path()).expect("readable").map(|entry| entry.expect("readable").file_name()).collect();
    pages.sort();
    let mut expected: Vec<_> = COMMANDS.map(|command| format!("session-lock-{command}.1")).to_vec();
    expected.push("session-lock.1".to_owned());
    expected.sort();
    assert_eq!(pages, expected.iter().map(std::ffi::OsString::from).collect::<Vec<_>>());
    let run = fs::read_to_string(sessions.file("session-lock-run.1")).expect("readable");
    assert!(run.contains("Exit codes:") && run.contains("SESSION_LOCK_TOKEN"), "{run}");
    assert_eq!(fs::read_to_string(sessions.file("session-lock.1")).expect("readable"), said(&["man"]));
    if !works("man", &["--version"]) {
        return skipped("every_command_has_a_page, man's part", "man");
    }
    for page in &expected {
        let output =
            Command::new("man").arg("--warnings").arg("-l").arg(sessions.file(page)).env("LC_ALL", "C.UTF-8").output();
        let output = output.expect("man runs");
        assert!(output.status.success() && output.stderr.is_empty(), "{page}: {output:?}");
    }
}

#[test]
fn help_is_for_stdout_and_wrong_usage_is_64() {
    for command in COMMANDS {
        assert!(said(&[command, "--help"]).contains("Exit codes:"), "{command}");
    }
    assert!(!said(&["--help"]).contains("tether"));
    for arguments in [&[][..], &["lss"], &["ls", "--bogus"], &["show"], &["watch", "--interval", "soon"]] {
        let output = tool().args(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
    }
}
