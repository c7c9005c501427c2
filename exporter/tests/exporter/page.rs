//! The pages as the server makes them: what is on them, in which order, escaped, and what a browser may do with them.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use session_lock::LockDir;
use session_lock_exporter::{Directory, Exporter};

use crate::crew::{Member, hostile, left};
use crate::http::{PLENTY, Response, get, request};
use crate::routes::Serving;
use crate::running::output;

fn serving(directory: &Path) -> Serving {
    Serving::start(Exporter::builder().source(Directory::new("sessions", directory)))
}

/// The page once it says this: what it shows may be a second old.
fn page_with(serving: &Serving, path: &str, expected: &str) -> String {
    let until = Instant::now() + PLENTY;
    loop {
        let page = get(serving.address, path).text();
        if page.contains(expected) {
            return page;
        }
        assert!(Instant::now() < until, "{expected} is not on {page}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The sessions of the table of locks, in its order, as their links name them.
fn sessions(page: &str) -> Vec<String> {
    let table = page.split("Last contentions").next().expect("a part");
    let links = table.split("scope=\"row\"><a href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let queries = links.map(|link| link.split_once('?').expect("a query").1.replace("&amp;", "&"));
    let session = |query: String| {
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "session").expect("a session").1.into_owned()
    };
    queries.map(session).collect()
}

fn directory() -> (tempfile::TempDir, LockDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let locks = LockDir::open(directory.path()).expect("a directory for locks");
    (directory, locks)
}

#[test]
fn an_empty_directory_says_so_and_a_missing_one_why() {
    let (directory, _locks) = directory();
    let page = get(serving(directory.path()).address, "/").text();
    assert!(page.contains("Nobody holds a lock here.") && page.contains("no claim of a dead owner"), "{page}");
    let page = get(serving(Path::new("/nonexistent/<b>")).address, "/").text();
    assert!(!page.contains("Nobody holds") && page.contains("What locks there are is not known."), "{page}");
    assert!(page.contains("Not all: ") && page.contains("No such file or directory"), "{page}");
    assert!(page.contains("/nonexistent/&lt;b&gt;"), "{page}");
}

#[test]
fn counts_that_are_lost_are_told() {
    let (directory, locks) = directory();
    drop(locks.lock("42.jsonl").blocking().expect("free"));
    assert!(!get(serving(directory.path()).address, "/").text().contains("Counts are lost"));
    std::fs::write(directory.path().join(".session-lock/metrics-v1"), "damaged").expect("written");
    let page = get(serving(directory.path()).address, "/").text();
    assert!(page.contains("Counts are lost: </strong>slots of counters that are damaged: 1."), "{page}");
}

#[test]
fn a_held_lock_is_there_with_its_holder_and_has_a_page() {
    let (directory, locks) = directory();
    let guard = locks.lock("42.jsonl").label("run 17").blocking().expect("free");
    let serving = serving(directory.path());
    let page = get(serving.address, "/").text();
    assert_eq!(sessions(&page), ["42.jsonl"]);
    let pid = format!("pid {}", std::process::id());
    for expected in ["class=\"state held\">held<", "run 17", &pid, &format!(">{}<", guard.token()), "1 held"] {
        assert!(page.contains(expected), "{expected} is not on {page}");
    }
    let one = get(serving.address, "/lock?directory=sessions&session=42.jsonl");
    for expected in ["is held by another process", "run 17", "<dt>nonce</dt>", "Nobody waits"] {
        // The exporter is this process.
        let expected = expected.replace("another", "this");
        assert!(one.text().contains(&expected), "{expected} is not on {}", one.text());
    }
    guard.release().expect("ours");
    page_with(&serving, "/lock?directory=sessions&session=42.jsonl", "there is no claim");
    assert_eq!(get(serving.address, "/lock?directory=no&session=42.jsonl").status, 404);
    assert_eq!(get(serving.address, "/?directory=no").status, 404);
}

#[test]
fn waiters_are_there_in_their_order_and_contentions_afterwards() {
    let (directory, locks) = directory();
    let free = locks.lock("a.jsonl").blocking().expect("free");
    let held = locks.lock("b.jsonl").label("in the way").blocking().expect("free");
    let serving = serving(directory.path());
    let waiters = Member::wait(directory.path(), "b.jsonl", 3);
    let page = page_with(&serving, "/", "1 waited for");
    assert_eq!(sessions(&page), ["b.jsonl", "a.jsonl"], "who is waited for comes first");
    let page = page_with(&serving, "/lock?directory=sessions&session=b.jsonl", "held, 3 waiting");
    let order = ["waiter 1", "waiter 2", "waiter 3"].map(|label| page.find(label).unwrap_or_else(|| panic!("{page}")));
    assert!(order.is_sorted(), "{page}");
    drop(held);
    let page = page_with(&serving, "/", "Last contentions");
    assert!(page.contains("in the way"), "{page}");
    drop((waiters, free));
}

#[test]
fn waiters_beyond_the_first_are_counted() {
    let (directory, locks) = directory();
    let held = locks.lock("b.jsonl").blocking().expect("free");
    let serving = serving(directory.path());
    let waiters = Member::wait(directory.path(), "b.jsonl", 7);
    let page = page_with(&serving, "/", "<strong>7</strong>");
    assert!(page.contains("and 2 more"), "{page}");
    drop((waiters, held));
}

#[test]
fn a_reclaim_is_there_by_its_reason() {
    let (directory, locks) = directory();
    drop(Member::holds(directory.path(), "42.jsonl"));
    let serving = serving(directory.path());
    let page = page_with(&serving, "/", "class=\"state reclaimable\"");
    assert!(page.contains("1 reclaimable"), "{page}");
    drop(locks.lock("42.jsonl").timeout(PLENTY).blocking().expect("a dead owner's"));
    let page = page_with(&serving, "/", "owner exited");
    assert!(page.contains("<b>1</b> owner exited"), "{page}");
}

#[test]
fn names_of_all_kinds_are_text() {
    let (directory, _locks) = directory();
    for (token, name) in hostile().iter().enumerate() {
        left(directory.path(), name, token);
    }
    let serving = serving(directory.path());
    let page = get(serving.address, "/").text();
    let mut found = sessions(&page);
    let mut expected = hostile();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "each is linked to");
    for page in std::iter::once(page).chain(expected.iter().map(|name| {
        let query: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let page = get(serving.address, &format!("/lock?directory=sessions&session={query}")).text();
        assert!(page.contains("<dt>token</dt>"), "{name:?} has a page: {page}");
        page
    })) {
        for markup in
            ["<script>", "<img", "<svg onload", "<b>%2e", "onerror=\"", "\u{202e}", "\u{200b}", "\u{1b}", "\r"]
        {
            assert!(!page.contains(markup), "{markup:?} is on {page}");
        }
    }
}

#[test]
fn filter_and_order_are_in_the_query() {
    let (directory, locks) = directory();
    for (token, session) in [(3, "c.jsonl"), (1, "a.jsonl"), (2, "b.jsonl")] {
        left(directory.path(), session, token);
    }
    let oldest = directory.path().join("c.jsonl.lock");
    let claim = std::fs::read_to_string(&oldest).expect("there").replace("2026-01-02", "2026-01-01");
    std::fs::write(oldest, claim).expect("written");
    std::fs::write(directory.path().join("e.jsonl.lock"), "").expect("written");
    let held = locks.lock("d.jsonl").label("Alpha").blocking().expect("free");
    let serving = serving(directory.path());
    let shown =
        |query: &str| sessions(&get(serving.address, &format!("/?{query}")).text()).concat().replace(".jsonl", "");
    assert_eq!(shown(""), "dcabe", "who is held comes first, then by age, then by name");
    assert_eq!(shown("sort=session"), "abcde");
    assert_eq!(shown("sort=session&order=descending"), "edcba");
    assert_eq!(shown("sort=age"), "cabde", "the oldest first");
    assert_eq!(shown("sort=age&order=ascending"), "dabce", "what is not known is last in both directions");
    assert_eq!(shown("state=reclaimable&sort=token&order=descending"), "cba");
    assert_eq!(shown("state=held"), "d");
    assert_eq!(shown("state=waiting"), "");
    assert_eq!(shown("q=alpha"), "d");
    assert_eq!(shown("q=B.JSON"), "b");
    assert_eq!(shown("q=4bf92f35&sort=session&directory=sessions"), "abc");
    let page = get(serving.address, "/?sort=token&order=ascending&q=%3Cb%3E").text();
    assert!(page.contains("None of the 5 is like that.") && page.contains("value=\"&lt;b&gt;\""), "{page}");
    let page = get(serving.address, "/?sort=token&order=ascending").text();
    assert_eq!(page.matches("aria-sort=").count(), 1);
    assert!(page.contains("scope=\"col\" aria-sort=\"ascending\"><a href=\"?sort=token\">Token"), "{page}");
    drop(held);
}

#[test]
fn many_locks_come_in_parts_without_one_left_out() {
    let (directory, _locks) = directory();
    (0..450).for_each(|nth| left(directory.path(), &format!("{nth:03}"), nth));
    let serving = serving(directory.path());
    let mut path = "/?sort=session".to_owned();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let page = get(serving.address, &path).text();
        seen.extend(sessions(&page));
        let next = page.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
        let Some(next) = next else { break };
        path = format!("/{}", next.replace("&amp;", "&"));
    }
    assert_eq!(seen, (0..450).map(|nth| format!("{nth:03}")).collect::<Vec<_>>());
}

#[test]
fn traces_are_links_where_it_is_known_whereto() {
    let (directory, _locks) = directory();
    left(directory.path(), "42.jsonl", 1);
    let without = get(serving(directory.path()).address, "/").text();
    assert!(without.contains("4bf92f3577b34da6a3ce929d0e0e4736") && without.contains("00f067aa0ba902b7"), "{without}");
    let source = Directory::new("sessions", directory.path());
    let exporter = Exporter::builder().source(source).trace_url("https://traces/{trace_id}?span={span_id}");
    let page = get(Serving::start(exporter).address, "/").text();
    let link = "href=\"https://traces/4bf92f3577b34da6a3ce929d0e0e4736?span=00f067aa0ba902b7\" rel=\"noreferrer\"";
    assert!(page.contains(link), "{page}");
    let refused = output(&["--dir", "/", "--trace-url", "javascript:{trace_id}"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("(--trace-url)"), "{refused:?}");
}

#[test]
fn a_browser_may_load_nothing_else_and_each_answer_says_so() {
    let (directory, _locks) = directory();
    let serving = serving(directory.path());
    let answers = ["/", "/lock?directory=sessions&session=x", "/?directory=no", "/page.css", "/page.js"];
    for path in answers {
        let response = get(serving.address, path);
        let policy = response.header("content-security-policy").expect("a policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|found| found == rule), "{rule} is not in {policy}");
        }
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
        let head = request(serving.address, "HEAD", path, &[]).expect("an answer");
        assert_eq!((head.status, head.bytes.len()), (response.status, 0), "{path}");
        let text = response.text();
        let inline = text.contains(" style=")
            || text.contains(" onclick=")
            || text.contains("<style")
            || text.contains("<script>");
        assert!(!inline, "{path} needs what the policy forbids");
    }
}

#[test]
fn files_are_fetched_once() {
    let (directory, _locks) = directory();
    let serving = serving(directory.path());
    for (path, content_type) in
        [("/page.css", "text/css; charset=utf-8"), ("/page.js", "text/javascript; charset=utf-8")]
    {
        let first = get(serving.address, path);
        assert_eq!((first.status, first.header("content-type")), (200, Some(content_type)));
        let tag = first.header("etag").expect("a tag").to_owned();
        let again = |tag: &str| -> Response {
            request(serving.address, "GET", path, &[&format!("If-None-Match: {tag}")]).expect("an answer")
        };
        assert_eq!((again(&tag).status, again(&tag).bytes.len()), (304, 0));
        assert_eq!(again("\"other\"").status, 200);
    }
}

#[test]
fn a_page_is_compressed_where_that_is_wanted() {
    let (directory, _locks) = directory();
    let serving = serving(directory.path());
    let packed = request(serving.address, "GET", "/", &["Accept-Encoding: gzip"]).expect("an answer");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.bytes.starts_with(&[0x1f, 0x8b]));
}
