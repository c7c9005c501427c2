//! What goes to a terminal or a pipe.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// One line on stderr.
pub(crate) fn say(message: &str) {
    // Whoever has closed stderr does not want it.
    writeln!(io::stderr(), "session-lock: {message}").ok();
}

/// JSON for people: several lines.
pub(crate) fn print_json(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value:#}")?;
    out.flush()
}

/// Rows in columns: as wide as they need, but no wider than the terminal, if it is one.
pub(crate) fn print_table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header).add_rows(rows);
    if let Some(width) = terminal_width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", table.trim_fmt())?;
    out.flush()
}

fn terminal_width() -> Option<u16> {
    let out = io::stdout();
    let width = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok())??.ws_col;
    (width > 0).then_some(width)
}

/// How long ago, in whole seconds from one on.
pub(crate) fn age(since: SystemTime, now: SystemTime) -> String {
    let age = now.duration_since(since).unwrap_or_default();
    let whole = if age < Duration::from_secs(1) {
        Duration::from_millis(u64::try_from(age.as_millis()).unwrap_or_default())
    } else {
        Duration::from_secs(age.as_secs())
    };
    humantime::format_duration(whole).to_string()
}
