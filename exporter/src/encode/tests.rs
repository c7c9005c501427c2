//! What the encoders write, and that no text whatsoever adds a line.

use super::Format;
use crate::family::{Bucket, Exemplar, Families, Family, Histogram, Labels};

fn families(all: impl IntoIterator<Item = Family>) -> Families {
    let mut families = Families::default();
    for family in all {
        families.add(family).expect("each name has one kind");
    }
    families
}

fn every_kind(text: &str) -> Families {
    let labels = || Labels::new().with(text, text).with("plain", text);
    let exemplar = Exemplar { trace_id: 0xabc, span_id: 0xdef, value: 0.25, at_seconds: Some(1_700_000_000.5) };
    let bucket = |upper, count, exemplar| Bucket { upper, count, exemplar };
    let histogram = Histogram::new(vec![bucket(0.5, 2, Some(exemplar)), bucket(f64::INFINITY, 1, None)], 3.5);
    families([
        Family::counter(&format!("a_{text}_seconds_total"), text).value(labels(), 2.5),
        Family::gauge(&format!("b_{text}"), text).value(labels(), f64::NAN),
        Family::info(&format!("c_{text}"), text).value(labels(), 1.0),
        Family::histogram(&format!("d_{text}_seconds"), text).observations(labels(), histogram),
    ])
}

#[test]
fn the_text_format() {
    let expected = r#"# HELP a_x_seconds_total x
# TYPE a_x_seconds_total counter
a_x_seconds_total{plain="x",x="x"} 2.5
# HELP b_x x
# TYPE b_x gauge
b_x{plain="x",x="x"} NaN
# HELP c_x_info x
# TYPE c_x_info gauge
c_x_info{plain="x",x="x"} 1.0
# HELP d_x_seconds x
# TYPE d_x_seconds histogram
d_x_seconds_bucket{plain="x",x="x",le="0.5"} 2
d_x_seconds_bucket{plain="x",x="x",le="+Inf"} 3
d_x_seconds_sum{plain="x",x="x"} 3.5
d_x_seconds_count{plain="x",x="x"} 3
"#;
    assert_eq!(Format::Text.encode(&every_kind("x")), expected);
}

#[test]
fn openmetrics() {
    let expected = r#"# TYPE a_x_seconds counter
# UNIT a_x_seconds seconds
# HELP a_x_seconds x
a_x_seconds_total{plain="x",x="x"} 2.5
# TYPE b_x gauge
# HELP b_x x
b_x{plain="x",x="x"} NaN
# TYPE c_x info
# HELP c_x x
c_x_info{plain="x",x="x"} 1.0
# TYPE d_x_seconds histogram
# UNIT d_x_seconds seconds
# HELP d_x_seconds x
d_x_seconds_bucket{plain="x",x="x",le="0.5"} 2 # {trace_id="00000000000000000000000000000abc",span_id="0000000000000def"} 0.25 1700000000.500
d_x_seconds_bucket{plain="x",x="x",le="+Inf"} 3
d_x_seconds_sum{plain="x",x="x"} 3.5
d_x_seconds_count{plain="x",x="x"} 3
# EOF
"#;
    assert_eq!(Format::OpenMetrics.encode(&every_kind("x")), expected);
}

#[test]
fn numbers_are_read_back_as_they_were() {
    for value in [0.0, 1.0, 0.1, 1e-9, 9_007_199_254_740_991.0, 1e300, -2.5] {
        let mut text = String::new();
        super::number(&mut text, value);
        assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()), "{text}");
    }
}

/// Text of 250 bytes or less from what is dangerous in these formats: a small generator (xorshift) with a printed seed.
fn hostile_text(state: &mut u64) -> String {
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state >> 33).expect("31 bits")
    };
    let pieces =
        ["\"", "\\", "\n", "\r", "\\n", "\\\"", "{", "}", "#", " # EOF", ",", "=", "\u{2028}", "ä", "\0", "x 1", "\t"];
    let wanted = next() % 250;
    let mut text = String::new();
    while text.len() < wanted {
        text.push_str(pieces[next() % pieces.len()]);
    }
    text
}

#[test]
fn no_text_adds_a_line_or_leaves_its_quotes() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x9e37_79b9_7f4a_7c15);
    eprintln!("replay: SEED={seed} cargo test -p session-lock-exporter --lib no_text_adds");
    let mut state = seed.max(1);
    for _ in 0..2000 {
        let text = hostile_text(&mut state);
        for format in [Format::Text, Format::OpenMetrics] {
            let plain = format.encode(&every_kind("x"));
            let encoded = format.encode(&every_kind(&text));
            assert_eq!(encoded.split('\n').count(), plain.split('\n').count(), "{text:?} gave {encoded}");
            for (line, plain) in encoded.lines().zip(plain.lines()) {
                assert_eq!(line.starts_with("# "), plain.starts_with("# "), "{text:?} gave {line}");
                if !line.starts_with('#') {
                    assert_eq!(unquote(line, &text), unquote(plain, "x"), "{text:?} gave {line}");
                }
            }
        }
    }
}

/// The shape of a sample's line: its quoted values counted, where each must be `text` after unescaping, a bound, or an
/// exemplar's; and what follows the last of them.
fn unquote<'line>(line: &'line str, text: &str) -> (usize, &'line str) {
    let (mut rest, mut values) = (line, 0);
    while let Some((_, quoted)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next().expect("a value ends with a quote") {
                (_, '\\') => match characters.next().expect("an escape sequence has two characters").1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (end, '"') => break end,
                (_, other) => value.push(other),
            }
        };
        let other = value == "0.5" || value == "+Inf" || value.ends_with("abc") || value.ends_with("def");
        assert!(value == text || other, "{value:?} is not what was given");
        values += 1;
        rest = &quoted[end + 1..];
    }
    (values, rest)
}
