//! The tables of `API.md` and real answers have the same fields, of the same types.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use session_lock::LockDir;
use session_lock_exporter::{Directory, Source};

use crate::http::{PLENTY, get};
use crate::running::Running;

/// A row of a table, by the field's path.
#[derive(Clone)]
struct Field {
    kind: String,
    null: String,
}

type Schema = BTreeMap<String, Field>;

fn schema(route: &str) -> Schema {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/API.md")).expect("API.md");
    let section = text.split(&format!("\n## `{route}`\n")).nth(1).expect("its section");
    let section = section.split("\n## ").next().expect("its beginning");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let fields = rows.map(|row| {
        let [_, path, kind, null, unit, meaning, _] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        assert!(["no", "yes", "absent"].contains(&null) && !meaning.is_empty(), "{row}");
        assert_eq!(kind == "number", unit.contains("seconds"), "a number has a unit: {row}");
        (path.trim_matches('`').to_owned(), Field { kind: kind.to_owned(), null: null.to_owned() })
    });
    fields.collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Holds a value and all below it to the table; `seen` gets the fields that were there and not null.
fn check(schema: &Schema, path: &str, value: &Value, seen: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| check(schema, &format!("{path}[]"), item, seen)),
        Value::Object(fields) => {
            let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
            for (name, value) in fields {
                let path = format!("{prefix}{name}");
                let field = schema.get(&path).unwrap_or_else(|| panic!("{path} is in no table: {value}"));
                if value.is_null() {
                    assert_eq!(field.null, "yes", "{path} is null");
                    continue;
                }
                assert_eq!(field.kind, kind(value), "{path}: {value}");
                check(schema, &path, value, seen);
                seen.insert(path);
            }
            for (path, field) in schema {
                let name = path.strip_prefix(&prefix).filter(|name| !name.contains(['.', '[']));
                assert!(
                    name.is_none_or(|name| field.null == "absent" || fields.contains_key(name)),
                    "{path} is missing"
                );
            }
        }
        _ => {}
    }
}

fn answer(running: &Running, route: &str) -> Value {
    let response = get(running.address, route);
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    serde_json::from_slice(&response.bytes).expect("JSON")
}

/// A claim with every field that the format has.
fn every_field() -> String {
    let claim = json!({
        "pid": 4_194_303, "createdAt": "2026-01-02T03:04:05.678901Z", "starttime": 7, "v": 2,
        "nonce": "0123456789abcdef0123456789abcdef", "token": 9, "bootId": "01234567-89ab-cdef-0123-456789abcdef",
        "pidNs": 4_026_531_836_u64, "timeNs": 4_026_531_834_u64, "host": "node",
        "arbiter": "1:2:0123456789abcdef0123456789abcdef",
        "traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", "label": "run 17",
    });
    claim.to_string()
}

/// Everything that an answer can have: who holds, who waits with a label and without, who waited, what is no claim.
fn with_all(directory: &Path, then: impl FnOnce()) {
    let locks = LockDir::open(directory).expect("a directory for locks");
    fs::write(directory.join("left.lock"), every_field()).expect("written");
    fs::write(directory.join("empty.lock"), "").expect("written");
    fs::create_dir(directory.join("none.lock")).expect("made");
    let held = locks.lock("held").label("holder").blocking().expect("free");
    // Somebody who writes a claim in the format, and holds by having it open.
    let mut foreign = File::create_new(directory.join("foreign.lock")).expect("created");
    foreign.write_all(every_field().as_bytes()).expect("written");
    let wait = |session: &str, label: Option<&'static str>| {
        let unlabelled = locks.lock(session).timeout(PLENTY);
        let lock = match label {
            Some(label) => unlabelled.label(label),
            None => unlabelled,
        };
        drop(lock.blocking().expect("free in the end"));
    };
    thread::scope(|scope| {
        scope.spawn(|| wait("held", Some("waiter")));
        scope.spawn(|| wait("held", None));
        scope.spawn(|| wait("foreign", None));
        let until = Instant::now() + PLENTY;
        while locks.metrics().expect("readable").waits.len() < 3 {
            assert!(Instant::now() < until, "all wait");
            thread::sleep(Duration::from_millis(5));
        }
        then();
        drop((held, foreign));
    });
}

#[test]
fn answers_have_the_fields_that_the_tables_say() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let (mut locks, mut contention) = (schema("/api/v1/locks"), schema("/api/v1/contention"));
    // What the tables say once for two places.
    let waiting = contention.iter().filter(|(path, _)| path.contains("waiting[]"));
    let past: Vec<_> = waiting.map(|(path, field)| (path.replace("waiting[]", "past[]"), field.clone())).collect();
    contention.extend(past);
    let holder: Vec<_> = locks.iter().filter(|(path, _)| path.contains("holder.")).collect();
    let below = |place: &str| {
        let field = |path: &str| format!("directories[].contention.{place}[].holder.{}", last(path));
        holder.iter().map(|(path, claim)| (field(path), Field::clone(claim))).collect::<Vec<_>>()
    };
    contention.extend([below("waiting"), below("past")].concat());

    let named = format!("d={}", path.display());
    let running = Running::start(&["--dir", &named, "--dir", "down=/nonexistent"]);
    let mounted = Directory::new("d", path);
    let (mut seen_locks, mut seen_contention) = (BTreeSet::new(), BTreeSet::new());
    with_all(path, || {
        check(&locks, "", &answer(&running, "/api/v1/locks"), &mut seen_locks);
        check(&contention, "", &answer(&running, "/api/v1/contention"), &mut seen_contention);
        // Only here are those who wait in the same process as the exporter.
        let here = mounted.locks(Instant::now() + PLENTY).expect("readable");
        check(
            &locks,
            "",
            &json!({ "directories": [{ "directory": "d", "error": null, "locks": here }] }),
            &mut seen_locks,
        );
    });
    check(&contention, "", &answer(&running, "/api/v1/contention"), &mut seen_contention);

    let missing = |schema: &mut Schema, seen: &BTreeSet<String>| {
        schema.retain(|path, _| !seen.contains(path));
        schema.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(missing(&mut locks, &seen_locks), [""; 0], "the table says more than there is");
    assert_eq!(missing(&mut contention, &seen_contention), [""; 0], "the table says more than there is");
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
