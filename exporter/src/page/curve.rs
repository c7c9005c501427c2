//! A directory's last minutes as small pictures: SVG that the server draws, so that they are there without scripts.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use maud::{Markup, html};

use super::words::Long;
use crate::history::{SPAN, Sample};

/// How many points a picture has at most.
const POINTS: u32 = 60;
const WIDTH: f64 = 160.0;
const HEIGHT: f64 = 32.0;
/// So that the line is not cut in half at the edges.
const MARGIN: f64 = 2.0;

/// What is drawn of the samples.
#[derive(Clone, Copy)]
enum Drawn {
    /// How fast a counter grew.
    Rate(fn(&Sample) -> u64),
    /// What it was.
    Level(fn(&Sample) -> u64),
}

/// The pictures of one directory.
pub(super) fn curves(samples: &[Sample], now: Instant) -> Markup {
    html! {
        dl.curves {
            (curve("Acquires", "/s", Drawn::Rate(|sample| sample.acquired), samples, now))
            (curve("Contended", "/s", Drawn::Rate(|sample| sample.contended), samples, now))
            (curve("Waiting", " now", Drawn::Level(|sample| sample.waiting), samples, now))
        }
    }
}

fn curve(title: &str, unit: &str, drawn: Drawn, samples: &[Sample], now: Instant) -> Markup {
    let samples = thinned(samples, now);
    let points = points(&samples, drawn);
    let last = points.last().map(|(_, value)| *value);
    let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let span = samples.first().map_or(Duration::ZERO, |first| now.saturating_duration_since(first.at));
    html! {
        div {
            dt { (title) }
            dd {
                @match last {
                    None => span.none { "not known yet" },
                    Some(last) => {
                        b { (number(last)) } (unit)
                        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                            aria-label={ (title) ": the last " (Long(span)) ", at most " (number(most)) } {
                            path d=(path(&points, most, span, now)) {}
                        }
                        small { "at most " (number(most)) ", last " (Long(span)) }
                    }
                }
            }
        }
    }
}

/// At most [`POINTS`] of them, evenly over the time: the last one of each piece of it.
fn thinned(samples: &[Sample], now: Instant) -> Vec<Sample> {
    let span = samples.first().map_or(SPAN, |first| now.saturating_duration_since(first.at));
    let length = (span / POINTS).as_nanos().max(1);
    let piece = |sample: &Sample| now.saturating_duration_since(sample.at).as_nanos() / length;
    let mut thinned: Vec<Sample> = Vec::new();
    for sample in samples {
        match thinned.last_mut() {
            Some(last) if piece(last) == piece(sample) => *last = *sample,
            _ => thinned.push(*sample),
        }
    }
    thinned
}

/// When and how much. A rate needs two samples, and is that of the time between them.
#[expect(clippy::cast_precision_loss, reason = "pictures of counters")]
fn points(samples: &[Sample], drawn: Drawn) -> Vec<(Instant, f64)> {
    match drawn {
        Drawn::Level(of) => samples.iter().map(|sample| (sample.at, of(sample) as f64)).collect(),
        Drawn::Rate(of) => samples
            .windows(2)
            .map(|pair| {
                let passed = pair[1].at.saturating_duration_since(pair[0].at).as_secs_f64();
                (pair[1].at, of(&pair[1]).saturating_sub(of(&pair[0])) as f64 / passed.max(0.001))
            })
            .collect(),
    }
}

fn path(points: &[(Instant, f64)], most: f64, span: Duration, now: Instant) -> String {
    let mut path = String::new();
    for (at, value) in points {
        let age = now.saturating_duration_since(*at).as_secs_f64() / span.as_secs_f64().max(0.001);
        let x = MARGIN + (WIDTH - 2.0 * MARGIN) * (1.0 - age.min(1.0));
        let y = HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * value / most.max(f64::MIN_POSITIVE);
        let begin = if path.is_empty() { 'M' } else { 'L' };
        write!(path, "{begin}{x:.1} {y:.1}").expect("a String takes every write");
    }
    path
}

fn number(value: f64) -> String {
    if value >= 10.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_time_between_samples() {
        let begin = Instant::now();
        let sample =
            |second, acquired| Sample { at: begin + Duration::from_secs(second), acquired, contended: 0, waiting: 7 };
        let samples = [sample(0, 1000), sample(1, 1010), sample(11, 1010), sample(12, 1000)];
        let drawn = |drawn| points(&samples, drawn).into_iter().map(|(_, value)| number(value)).collect::<Vec<_>>();
        assert_eq!(drawn(Drawn::Rate(|sample| sample.acquired)), ["10", "0", "0"]);
        assert_eq!(drawn(Drawn::Level(|sample| sample.waiting)), ["7"; 4]);
    }

    #[test]
    fn a_long_history_has_few_points_and_ends_now() {
        let begin = Instant::now();
        let sample = |second| Sample { at: begin + Duration::from_secs(second), acquired: 0, contended: 0, waiting: 0 };
        let samples: Vec<_> = (0..900).map(sample).collect();
        let thinned = thinned(&samples, begin + SPAN);
        assert!((50..=61).contains(&thinned.len()), "{}", thinned.len());
        assert_eq!(thinned.last(), samples.last());
    }
}
