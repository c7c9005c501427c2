//! The page in a real browser: what is shown is what is so, keeps up to date, runs no script of anybody's, and comes back
//! when the exporter does. Each test leaves pictures in `target/tmp/page`, for people.

mod chromium;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use session_lock::LockDir;

use crate::crew::{Member, hostile, left};
use crate::running::{Running, exporter};
use chromium::Browser;

fn pictures() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&path).expect("it can be made");
    path
}

fn start(directory: &Path) -> Running {
    Running::start(&[
        "--dir",
        &format!("sessions={}", directory.display()),
        "--trace-url",
        "https://traces.example/{trace_id}",
    ])
}

fn home(running: &Running) -> String {
    format!("http://{}/", running.address)
}

fn directory() -> (tempfile::TempDir, LockDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let locks = LockDir::open(directory.path()).expect("a directory for locks");
    (directory, locks)
}

/// That many rows are in the table of locks.
fn rows(count: usize) -> String {
    format!("document.querySelectorAll('table.locks tbody tr').length === {count}")
}

#[test]
fn an_empty_directory_fills_while_one_looks() {
    let Some(mut browser) = Browser::start("an_empty_directory_fills_while_one_looks") else { return };
    let (directory, locks) = directory();
    let running = start(directory.path());
    browser.open(&home(&running));
    assert!(browser.value("document.body.innerText").as_str().expect("text").contains("Nobody holds a lock here."));
    browser.pictures(&pictures(), "empty");
    let held = locks.lock("42.jsonl").label("run 17").blocking().expect("free");
    browser.comes(&rows(1));
    browser.comes(
        "document.querySelector('td time') !== null && document.getElementById('news').textContent.includes('1 held')",
    );
    browser.pictures(&pictures(), "held");
    let age = browser.value("document.querySelector('td time').textContent");
    browser.comes(&format!("document.querySelector('td time').textContent !== {age}"));
    held.release().expect("ours");
    browser.comes(&rows(0));
}

#[test]
fn fifty_waiters_keep_the_reader_where_they_were() {
    let Some(mut browser) = Browser::start("fifty_waiters_keep_the_reader_where_they_were") else { return };
    let (directory, locks) = directory();
    let other = locks.lock("other.jsonl").blocking().expect("free");
    let held = locks.lock("busy.jsonl").label("in the way").blocking().expect("free");
    let running = start(directory.path());
    browser.open(&home(&running));
    browser.comes(&rows(2));
    browser.value("document.querySelector('thead th:nth-child(3) a').focus()");
    let waiters = Member::wait(directory.path(), "busy.jsonl", 50);
    browser.comes("document.querySelector('tbody tr td:nth-of-type(4) strong')?.textContent === '50'");
    assert_eq!(browser.value("document.activeElement.textContent"), "Holder", "the focus is where it was");
    browser.pictures(&pictures(), "waiters");

    browser.value("document.querySelector('input[type=search]').focus()");
    browser.types("other");
    browser.comes(&rows(1));
    assert_eq!(browser.value("location.search"), "?q=other");
    let third = locks.lock("other-3.jsonl").blocking().expect("free");
    browser.comes(&rows(2));
    assert_eq!(browser.value("document.activeElement.name + document.activeElement.value"), "qother");

    browser.open(&format!("{}lock?directory=sessions&session=busy.jsonl", home(&running)));
    browser.comes("document.querySelectorAll('main ol li').length === 50");
    browser.pictures(&pictures(), "lock");
    drop(held);
    browser.comes("document.querySelectorAll('table.past tbody tr').length > 5");
    browser.open(&home(&running));
    browser.pictures(&pictures(), "past");
    drop((waiters, other, third));
}

#[test]
fn no_name_runs_a_script() {
    let Some(mut browser) = Browser::start("no_name_runs_a_script") else { return };
    let (directory, _locks) = directory();
    for (token, name) in hostile().iter().enumerate() {
        left(directory.path(), name, token);
    }
    let running = start(directory.path());
    browser.open(&home(&running));
    browser.comes(&rows(hostile().len()));
    let untouched =
        "window.ran === undefined && document.scripts.length === 1 && !document.querySelector('img, main svg[onload]')";
    browser.comes(&format!("{untouched} && document.title === 'Session locks'"));
    assert_eq!(
        browser.value("document.documentElement.scrollWidth <= innerWidth"),
        true,
        "the longest name is wrapped"
    );
    browser.pictures(&pictures(), "hostile");
    // Taken over by the script too, not only by the browser's parser.
    left(directory.path(), "one more", 99);
    browser.comes(&rows(hostile().len() + 1));
    browser.comes(untouched);
    let links = browser.value("[...document.querySelectorAll('tbody th a')].map(link => link.href)");
    for link in links.as_array().expect("links") {
        browser.open(link.as_str().expect("an address"));
        browser.comes(&format!("{untouched} && document.querySelector('dl.claim') !== null"));
    }
    browser.open(links[0].as_str().expect("an address"));
    browser.pictures(&pictures(), "hostile-lock");
}

#[test]
fn without_scripts_it_is_a_table_with_links() {
    let Some(mut browser) = Browser::start("without_scripts_it_is_a_table_with_links") else { return };
    let (directory, _locks) = directory();
    (0..3).for_each(|nth| left(directory.path(), &format!("{nth}.jsonl"), nth));
    let running = start(directory.path());
    browser.without_scripts();
    browser.open(&home(&running));
    browser.comes(&rows(3));
    let sort = browser.value("document.querySelector('thead th:nth-child(6) a').href");
    browser.open(sort.as_str().expect("an address"));
    assert_eq!(browser.value("document.querySelector('[aria-sort]').textContent"), "Token ▼");
    assert_eq!(browser.value("document.querySelector('tbody tr').innerText.includes('2.jsonl')"), true);
    assert_eq!(browser.value("document.querySelector('table.locks caption').textContent"), "Locks 1 to 3 of 3");
}

/// The times are for people: they are printed, and no bound is set.
#[test]
fn ten_thousand_locks_come_in_parts() {
    let Some(mut browser) = Browser::start("ten_thousand_locks_come_in_parts") else { return };
    let (directory, locks) = directory();
    (0..10_000).for_each(|nth| left(directory.path(), &format!("session-{nth:05}.jsonl"), nth));
    let held = locks.lock("held.jsonl").blocking().expect("free");
    let running = start(directory.path());
    for visit in ["first", "second"] {
        browser.open(&format!("{}?{visit}", home(&running)));
        browser.comes("performance.getEntriesByName('first-contentful-paint').length === 1");
        let paint = browser.value("performance.getEntriesByName('first-contentful-paint')[0].startTime");
        let answer = browser.value("performance.getEntriesByType('navigation')[0].responseEnd");
        let bytes = browser.value("performance.getEntriesByType('navigation')[0].transferSize");
        let rows = browser.value("document.querySelectorAll('table.locks tbody tr').length");
        eprintln!(
            "10,001 locks, {visit} visit: {rows} rows, answer after {answer} ms ({bytes} bytes), first paint after {paint} ms"
        );
    }
    browser.comes(&rows(200));
    assert_eq!(
        browser.value("document.querySelector('tbody th').textContent"),
        "held.jsonl",
        "what is held comes first"
    );
    browser.pictures(&pictures(), "many");
    let before = browser.value("document.getElementById('main').dataset.version");
    held.release().expect("ours");
    browser.comes(&format!("document.getElementById('main').dataset.version !== {before}"));
    browser.comes("document.querySelector('tbody th').textContent !== 'held.jsonl'");
}

#[test]
fn the_page_says_that_the_exporter_is_gone_and_comes_back() {
    let Some(mut browser) = Browser::start("the_page_says_that_the_exporter_is_gone_and_comes_back") else { return };
    let (directory, locks) = directory();
    let held = locks.lock("42.jsonl").blocking().expect("free");
    let running = start(directory.path());
    let (url, address) = (home(&running), running.address.to_string());
    browser.open(&url);
    browser.comes(&rows(1));
    browser.comes("typeof source === 'object' && source.readyState === EventSource.OPEN");
    let (code, said) = running.end(Signal::TERM).expect("it ends");
    assert!(code == Some(0) && !said.contains("were cut"), "a page that is open holds up nothing: {said}");
    browser.comes("!connection.hidden && connection.textContent.startsWith('Connection lost since ')");
    browser.pictures(&pictures(), "lost");
    held.release().expect("ours");
    thread::sleep(Duration::from_millis(500));
    let directory = format!("sessions={}", directory.path().display());
    let again = Running::spawn(&mut exporter(&["--dir", &directory, "--web.listen-address", &address]));
    browser.comes("connection.hidden");
    browser.comes(&rows(0));
    drop(again);
}
