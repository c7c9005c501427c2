//! The runbook's commands do what it says, as they are written there.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use session_lock::LockDir;

use crate::causes::{Process, run};
use crate::files::{has, read, root};
use crate::serving::{Serving, exporter, get, wait_until};

/// Spans of code that begin like this are commands.
const PROGRAMS: [&str; 4] = ["session-lock ", "curl ", "df ", "promtool "];
/// And these are for a browser.
const PAGE: &str = "$EXPORTER/";
/// They tell by their exit code when something is left.
const TELLING: [&str; 2] = ["session-lock doctor", "session-lock sweep"];
/// Ends when somebody ends it.
const ENDLESS: &str = "session-lock watch";
const SESSION: &str = "42.jsonl";
/// What the exporter calls the directory.
const DIRECTORY: &str = "sessions";

/// The blocks of code in one language.
pub(crate) fn blocks(language: &str) -> Vec<String> {
    let (runbook, fence) = (read("RUNBOOK.md"), format!("```{language}\n"));
    let blocks = runbook.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    let blocks: Vec<_> = blocks.map(str::to_owned).collect();
    assert!(!blocks.is_empty(), "no {language}");
    blocks
}

/// The spans of code within sentences and tables.
pub(crate) fn spans() -> Vec<String> {
    let runbook = read("RUNBOOK.md");
    let outside: String = runbook.split("```").step_by(2).collect();
    outside.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A span that is a command, or what a browser would ask.
fn command(span: &str) -> Option<String> {
    let is_command = PROGRAMS.iter().any(|program| span.starts_with(program));
    let command = is_command.then(|| span.to_owned());
    command.or_else(|| span.starts_with(PAGE).then(|| format!("curl -sf \"{span}\"")))
}

/// The block that says where exporter and directory are, and all commands, which come after it.
fn commands() -> (String, Vec<String>) {
    let mut blocks = blocks("sh").into_iter();
    let settings = blocks.next().expect("one at least");
    let mut commands: Vec<_> = blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    commands.extend(spans().iter().filter_map(|span| command(span)));
    commands.sort();
    commands.dedup();
    (settings, commands)
}

/// The settings with what is true here in the place of the runbook's examples.
fn here(settings: &str, exporter: &Serving, dir: &Path) -> String {
    let (address, dir) = (exporter.address.to_string(), dir.display().to_string());
    let put = |text: String, (example, value): (&str, &str)| {
        assert!(text.contains(example), "{example} is not in {text}");
        text.replace(example, value)
    };
    [("127.0.0.1:15625", &*address), ("/srv/sessions", &*dir)].into_iter().fold(settings.to_owned(), put)
}

fn ended(settings: &str, command: &str) -> Output {
    let tools = Path::new(env!("CARGO_BIN_EXE_session-lock")).parent().expect("a directory");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tools.to_owned()].into_iter().chain(env::split_paths(&path))).expect("no colons");
    let seconds = if command == ENDLESS { "3" } else { "60" };
    let script = format!("{settings}\n{}", command.replace("NAME", SESSION).replace("DIRECTORY", DIRECTORY));
    let mut shell = Command::new("timeout");
    shell.args([seconds, "sh", "-ec", &script]).env("PATH", path).current_dir(root()).stdin(Stdio::null());
    shell.output().expect("coreutils")
}

fn assert_ends(settings: &str, command: &str, code: i32) {
    let output = ended(settings, command);
    assert!(output.status.code() == Some(code) && !output.stdout.is_empty(), "{command}: {output:?}");
}

#[test]
fn the_runbooks_commands_work_as_they_are_written() {
    let name = "the_runbooks_commands_work_as_they_are_written";
    let needed = [("curl", "curl"), ("jq", "jq"), ("fuser", "psmisc"), ("promtool", "prometheus")];
    if !needed.iter().all(|(program, package)| has(name, program, package)) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    // One that cannot be read is there too, because that is when somebody looks.
    let exporter = exporter(dir.path(), &["--dir", "gone=/nonexistent/sessions"]);
    let locks = LockDir::open(dir.path()).expect("a directory for locks");
    let (settings, commands) = commands();
    let settings = here(&settings, &exporter, dir.path());
    let held = locks.lock(SESSION).label("compaction").blocking().expect("free");
    let mut waiter = Process(run(dir.path(), SESSION, &[], &["true"]).spawn().expect("it starts"));
    wait_until("it waits", || get(exporter.address, "/api/v1/contention").contains("\"waiting\":[{"));
    for command in &commands {
        assert_ends(&settings, command, if command == ENDLESS { 124 } else { 0 });
    }
    drop(held);
    assert!(waiter.0.wait().expect("our child").success());
    fs::write(dir.path().join("torn.lock"), "{\"pid\":").expect("written");
    for telling in TELLING {
        assert!(commands.iter().any(|command| command == telling), "{telling} is not in the runbook");
        assert_ends(&settings, telling, 1);
    }
    assert_ends(&settings, "session-lock sweep --yes", 0);
    exporter.end();
}
