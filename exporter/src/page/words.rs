//! Times, and text that others wrote, as people read them.

use std::fmt;
use std::time::{Duration, SystemTime};

use maud::{Markup, html};

/// The last second that RFC 3339 can name: 9999-12-31T23:59:59Z.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);

/// A moment, as machines read it. One that has no name there is the nearest that has.
pub(super) fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(nameable(at)).to_string()
}

/// Its time of day in UTC.
pub(super) fn clock(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(nameable(at)).to_string()[11..19].to_owned()
}

fn nameable(at: SystemTime) -> SystemTime {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + since.min(LAST_SECOND)
}

/// Milliseconds since 1970, as scripts count.
pub(super) fn millis(at: SystemTime) -> u128 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// How long ago something was: text that the page's script keeps counting.
pub(super) fn ago(since: SystemTime, now: SystemTime) -> Markup {
    let passed = now.duration_since(since).unwrap_or_default();
    html! { time datetime=(rfc3339(since)) title=(rfc3339(since)) data-since=(millis(since)) { (Long(passed)) } }
}

/// A time in its two largest units; `page.js` has the same rules.
pub(super) struct Long(pub(super) Duration);

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, seconds) = (self.0.as_millis(), self.0.as_secs());
        match seconds {
            0 if millis == 0 => write!(f, "{} µs", self.0.as_micros()),
            0 => write!(f, "{millis} ms"),
            1..60 => write!(f, "{seconds} s"),
            60..3600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            3600..86_400 => write!(f, "{} h {} min", seconds / 3600, seconds / 60 % 60),
            _ => write!(f, "{} d {} h", seconds / 86_400, seconds / 3600 % 24),
        }
    }
}

/// Text that somebody else wrote.
pub(super) fn shown(text: &str) -> String {
    session_lock::shown(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_has_words() {
        let words =
            [0, 90, 61_000, 3_600_000, 90_000_000].map(|millis| Long(Duration::from_millis(millis)).to_string());
        assert_eq!(words, ["0 µs", "90 ms", "1 min 1 s", "1 h 0 min", "1 d 1 h"]);
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(rfc3339(far), "9999-12-31T23:59:59.000Z");
        assert_eq!(clock(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), "00:00:00");
    }
}
