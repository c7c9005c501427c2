//! What a run leaves behind: its files are there, say the same, and stay what they are whatever is written into them.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use serde_json::Value;

const VIOLATION: &[&str] = &[
    "--lock",
    "rename-over",
    "--kill-rate",
    "40",
    "--hold",
    "500us",
    "--think",
    "0s",
    "--duration",
    "6s",
    "--seed",
    "3",
];
/// Too slow to mean anything, and there is no claim that could be deleted.
const INCONCLUSIVE: &[&str] = &[
    "--lock",
    "flock",
    "--duration",
    "1s",
    "--hold",
    "300ms",
    "--kill-rate",
    "0",
    "--fault",
    "delete-claim=5,truncate-claim=0.001",
];
const VALID: &[&str] = &["--duration", "3s", "--kill-rate", "20", "--stop-rate", "2", "--seed", "11"];

fn stress(arguments: &[&str]) -> Output {
    bounded(Command::new(env!("CARGO_BIN_EXE_stress")).args(arguments).stdin(Stdio::null()))
}

/// Long enough for the slowest machine; what hangs ends here.
const BOUND: Duration = Duration::from_mins(3);

/// Runs a command to its end, or kills what does not get there.
fn bounded(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let out = thread::spawn(move || drained(&mut out));
    let err = thread::spawn(move || drained(&mut err));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            break status;
        }
        if started.elapsed() > BOUND {
            child.kill().expect("it can be killed");
            child.wait().expect("it can be waited for");
            panic!("{command:?} hangs");
        }
        thread::sleep(Duration::from_millis(20));
    };
    Output { status, stdout: out.join().expect("it reads"), stderr: err.join().expect("it reads") }
}

fn drained(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).expect("a pipe can be read");
    bytes
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    stress(&[&["run", "--dir", text(dir)], arguments].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn results(dir: &Path) -> Value {
    serde_json::from_str(&read(dir, "results.json")).expect("results.json is JSON")
}

/// What `report.html` shows, out of its own element.
fn shown(dir: &Path) -> Value {
    let page = read(dir, "report.html");
    let (_, rest) = page.split_once(r#"<script type="application/json" id="content">"#).expect("the element begins");
    let (json, _) = rest.split_once("</script>").expect("and ends");
    serde_json::from_str(json).expect("what is in it is JSON")
}

/// How each case of `junit.xml` ended: "passed", or the type of what was wrong.
fn cases(dir: &Path) -> HashMap<String, (String, String)> {
    let report = Report::deserialize_from_str(&read(dir, "junit.xml")).expect("junit.xml is JUnit's XML");
    let [suite] = &report.test_suites[..] else { panic!("one suite is expected: {report:?}") };
    let status = |status: &TestCaseStatus| match status {
        TestCaseStatus::NonSuccess { kind, ty, description, .. } => {
            let ty = ty.as_ref().map_or("", |ty| ty.as_str());
            let kind = if *kind == NonSuccessKind::Failure { "failure" } else { "error" };
            (format!("{kind} {ty}"), description.as_ref().map_or("", |text| text.as_str()).to_owned())
        }
        TestCaseStatus::Skipped { .. } => ("skipped".to_owned(), String::new()),
        TestCaseStatus::Success { .. } => ("passed".to_owned(), String::new()),
    };
    suite.test_cases.iter().map(|case| (case.name.as_str().to_owned(), status(&case.status))).collect()
}

#[test]
fn a_valid_run_leaves_files_that_agree() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = run(dir.path(), VALID);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let results = results(dir.path());
    for (name, (status, _)) in cases(dir.path()) {
        assert_eq!(status, "passed", "{name}");
    }
    assert_eq!(shown(dir.path())["results"], results);
    assert_eq!(results["asked"]["duration"], "3s");
    let summary = String::from_utf8_lossy(&output.stdout);
    assert!(summary.contains("valid: never two owners"), "{summary}");
    assert!(summary.contains(&format!("{}/report.html", text(dir.path()))), "{summary}");
    assert!(!summary.contains('\u{1b}'), "no colours but on a terminal: {summary:?}");
    the_latencies_agree(dir.path(), &results);
}

/// The sections of `latency.hgrm`, by the rules of the plotter that comes with `HdrHistogram`.
fn the_latencies_agree(dir: &Path, results: &Value) {
    let text = read(dir, "latency.hgrm");
    assert!(text.lines().next().is_some_and(|head| head.starts_with('#') && head.contains("microseconds")));
    let sections: Vec<&str> = text.split("\n# section: ").skip(1).collect();
    let names: Vec<_> = sections.iter().map(|section| section.lines().next().expect("a name")).collect();
    assert_eq!(names, ["acquire", "hand-over", "takeover", "recovery"]);
    let findings = &results["findings"];
    for (section, name) in sections.iter().zip(["acquire", "hand_over", "takeover", "recovery"]) {
        let counted = results["latency"][name]["count"].as_u64().expect("a count");
        let rows: Vec<Vec<f64>> = section
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().filter_map(|word| word.parse().ok()).collect())
            .filter(|row: &Vec<f64>| !row.is_empty())
            .collect();
        let last = rows.last().expect("there are rows");
        assert_eq!(last.len(), 3, "{name}: the last row has no fourth column, it would be infinite");
        assert!(section.contains(&format!(" 1.000000000000 {counted:>10}\n")), "{name}: the last row has all of them");
        assert!(rows[..rows.len() - 1].iter().all(|row| row.len() == 4), "{name}");
        assert!(rows.windows(2).all(|pair| pair[0].iter().zip(&pair[1]).all(|(one, next)| one <= next)), "{name}");
        let footer = format!("Total count    = {counted:>12}]");
        assert!(section.contains("#[Mean    =") && section.contains(&footer), "{name}: {section}");
    }
    assert_eq!(results["latency"]["acquire"]["count"], findings["acquired"]);
    assert_eq!(results["latency"]["takeover"]["count"], findings["takeovers"]);
}

#[test]
fn a_violation_is_told_everywhere() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = run(dir.path(), VIOLATION);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let told = shown(dir.path())["stories"][0].as_str().expect("a story").to_owned();
    assert!(told.starts_with("two owners of lock 0"), "{told}");
    let summary = String::from_utf8_lossy(&output.stdout);
    assert!(summary.contains(&told) && summary.contains("stress judge "), "{summary}");
    let cases = cases(dir.path());
    let (status, story) = &cases["no two owners"];
    assert_eq!(status, "failure violation");
    assert!(story.contains(told.trim()), "{story}");
    assert_eq!(cases["tokens grow"].0, "skipped", "this lock has none");
    let holds = &results(dir.path())["findings"]["stories"][0]["holds"];
    let stretch = shown(dir.path())["pictures"]["stretch"].clone();
    for hold in holds.as_array().expect("two holds") {
        let number = &hold["began"]["number"];
        let drawn = stretch["holds"].as_array().expect("bars").iter().any(|bar| &bar[7] == number);
        assert!(drawn, "the hold that begins at record {number} is drawn");
    }
    it_needs_nothing_else(&read(dir.path(), "report.html"));
    the_browser_draws_it(dir.path());
}

fn it_needs_nothing_else(page: &str) {
    for word in ["http:", "https:", "src=", "href=", "@import", "url(//", "{{"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
}

fn the_browser_draws_it(dir: &Path) {
    let Some(dom) = dumped(dir) else {
        eprintln!("skipped: the page is not opened, there is no chromium");
        return;
    };
    assert!(dom.contains(r#"data-state="drawn""#), "a script failed");
    assert_eq!(dom.matches(r#"<rect class="lane stripe"#).count(), 8, "a lane for each worker");
    let outlined = [r#"<rect class="hold overlap""#, r#"<rect class="hold dense overlap""#];
    assert_eq!(
        outlined.map(|outline| dom.matches(outline).count()).iter().sum::<usize>(),
        2,
        "both holds are outlined"
    );
    assert!(dom.contains(r#"<rect class="both""#), "what the two have in common is shaded");
    assert!(dom.contains("Two owners of lock 0: worker "), "in words");
    assert!(dom.contains("First violation"), "a way back to it");
    it_obeys_keys_wheel_and_buttons(dir);
}

/// Presses every key and button of the lanes, turns the wheel, and counts the different views that this gave.
const HANDS: &str = r##"<script>
const pane = document.getElementById("lanes");
const seen = [];
const press = (key) => pane.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
pane.focus();
for (const key of ["ArrowLeft", "ArrowRight", "+", "-", "0", "v"]) { press(key); seen.push(key + lanes.view); }
const wheel = { deltaY: -120, clientX: 700, bubbles: true, cancelable: true };
for (const shiftKey of [false, true]) { pane.dispatchEvent(new WheelEvent("wheel", { ...wheel, shiftKey })); seen.push(lanes.view.join()); }
for (const button of document.querySelectorAll("#tools button")) { button.click(); seen.push(button.textContent + lanes.view); }
press("n");
document.body.dataset.chosen = document.getElementById("tip").textContent;
document.body.dataset.views = new Set(seen.map((view) => view.replace(/^[^0-9-]*/, ""))).size;
</script></body>"##;

fn it_obeys_keys_wheel_and_buttons(dir: &Path) {
    let other = tempfile::tempdir().expect("a temporary directory");
    let page = read(dir, "report.html").replace("</body>", HANDS);
    fs::write(other.path().join("report.html"), page).expect("it can be written");
    let Some(dom) = dumped(other.path()) else { return };
    assert!(dom.contains(r#"data-state="drawn""#), "a script failed: {}", failure(&dom));
    let (_, rest) = dom.split_once(r#"data-views=""#).expect("the views were counted");
    let views: usize = rest.split('"').next().and_then(|count| count.parse().ok()).expect("a number");
    assert!(views >= 8, "{views} different views");
    assert!(dom.contains("data-chosen=\"worker "), "the chosen hold is described");
}

fn failure(dom: &str) -> &str {
    dom.split_once("could not be drawn").map_or("", |(_, rest)| rest.split('<').next().unwrap_or(rest))
}

/// The page as it is once its scripts have run. `None`: there is no browser.
fn dumped(dir: &Path) -> Option<String> {
    let profile = tempfile::tempdir().expect("a temporary directory");
    let mut browser = Command::new("chromium");
    browser.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,800"]);
    browser.arg("--virtual-time-budget=3000").arg(format!("--user-data-dir={}", profile.path().display()));
    browser.arg("--dump-dom").arg(dir.join("report.html")).stdin(Stdio::null());
    if Command::new("chromium").arg("--version").output().is_err() {
        return None;
    }
    let output = bounded(&mut browser);
    let dom = String::from_utf8(output.stdout).expect("a page is UTF-8");
    assert!(dom.contains("</html>"), "{}", String::from_utf8_lossy(&output.stderr));
    Some(dom)
}

#[test]
fn what_is_doubtful_is_not_green() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    assert_eq!(run(dir.path(), INCONCLUSIVE).status.code(), Some(2));
    let cases = cases(dir.path());
    for name in ["no two owners", "everything could be judged", "happened: acquisitions", "happened: delete-claim"] {
        let (status, description) = &cases[name];
        assert_eq!(status, "error inconclusive", "{name}");
        assert!(description.contains("Replay: ") && description.contains(text(dir.path())), "{name}: {description}");
    }
    assert_eq!(cases["happened: truncate-claim"].0, "skipped", "it was not due");
    let marks = results(dir.path())["marks"].clone();
    let mark = marks.as_array().expect("marks").iter().find(|mark| mark["name"] == "delete-claim").expect("its mark");
    assert_eq!((mark["count"].as_u64(), mark["per_second"].as_f64()), (Some(0), Some(5.0)));
}

#[test]
fn nothing_breaks_out_of_the_page() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let hostile = parent.path().join("<script>x&amp;'\"</script><b>");
    run(&hostile, &["--duration", "300ms"]);
    let page = read(&hostile, "report.html");
    assert_eq!(page.matches("</script>").count(), 2, "the two of the page itself");
    assert_eq!(shown(&hostile)["results"]["dir"].as_str(), Some(text(&hostile)));
    let report = Report::deserialize_from_str(&read(&hostile, "junit.xml")).expect("junit.xml is JUnit's XML");
    let directory = report.test_suites[0].properties.iter().find(|property| property.name.as_str() == "directory");
    assert_eq!(directory.map(|directory| directory.value.as_str()), Some(text(&hostile)));
    if let Some(dom) = dumped(&hostile) {
        assert!(dom.contains(r#"data-state="drawn""#), "a script failed");
        assert_eq!(dom.matches("<script>x").count(), 0, "no element of it was made");
    }
}

/// What was found does not depend on whether it can be written down.
#[test]
fn a_violation_is_one_even_without_a_report() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().join("run");
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    command.args([&["run", "--dir", text(&dir)], VIOLATION].concat()).stdin(Stdio::null());
    let output = thread::scope(|scope| {
        let ran = scope.spawn(|| bounded(&mut command));
        let began = Instant::now();
        while !dir.join("sessions").exists() && began.elapsed() < BOUND {
            thread::sleep(Duration::from_millis(5));
        }
        fs::create_dir(dir.join("results.json")).expect("it is in the way");
        ran.join().expect("it ran")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write"), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("VIOLATION"));
}

#[test]
fn a_replay_asks_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    run(
        &first,
        &["--duration", "1s", "--locks", "3", "--workers", "4", "--hold", "0s..1ms", "--kill-rate", "9", "--seed", "8"],
    );
    let before = read(&first, "results.json");
    let output = stress(&["replay", text(&first), "--dir", text(&second), "--json"]);
    let (asked, again) = (results(&first), results(&second));
    for field in ["seed", "asked"] {
        assert_eq!(asked[field], again[field], "{field}");
    }
    let code = match again["verdict"].as_str() {
        Some("valid") => 0,
        Some("violation") => 1,
        _ => 2,
    };
    assert_eq!(output.status.code(), Some(code), "the exit codes are those of a run");
    assert_eq!(before, read(&first, "results.json"), "the first run's directory stays as it is");
}

#[test]
fn what_cannot_be_replayed_says_why() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let said = |why: &str| {
        let output = stress(&["replay", text(dir.path())]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(255), "{said}");
        assert!(said.contains(why), "{said}");
    };
    said("there is no");
    fs::write(dir.path().join("results.json"), r#"{"format": 4096}"#).expect("it can be written");
    said("version 4096");
    fs::write(dir.path().join("results.json"), "{}").expect("it can be written");
    said("no version");
    fs::write(dir.path().join("results.json"), "valid!").expect("it can be written");
    said("not what stress run writes");
}
