//! Durations as Go writes them (`time.ParseDuration`): `1s`, `1m30s`, `1.5h`, and 0.

use std::time::Duration;

/// The duration, or none for what Go would not take either. A negative one is 0.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let factor = match &tail[..unit] {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = &tail[unit..];
        if rest.is_empty() {
            return Duration::try_from_secs_f64(if negative { 0.0 } else { seconds }).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_does() {
        for (text, milliseconds) in
            [("1s", 1000), ("0", 0), ("1m30s", 90_000), ("1.5h", 5_400_000), ("100us", 0), (".5s", 500), ("-3s", 0)]
        {
            assert_eq!(duration(text).map(|duration| duration.as_millis()), Some(milliseconds), "{text}");
        }
        for text in ["", "1", "s", "1 s", "1d", ".s", "1s1", "--1s", "1..5s", "ä"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
