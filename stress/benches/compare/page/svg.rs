//! Curves and bars as SVG. They are legible on light and on dark pages: no background, and colours of middle lightness.
//!
//! Every axis is logarithmic, and 0 stands a decade before the least that is not 0.

use crate::report::once_each;

const WIDTH: f64 = 820.0;
const TEXT: &str = "#757d87";
const COLOURS: [&str; 6] = ["#2f81f7", "#d9682b", "#2da44e", "#a371f7", "#b58407", "#e0558f"];
const OURS: &str = "session-lock";
const TOP: f64 = 54.0;

/// What was measured at one place of a curve, and between what the rounds were.
pub(super) struct Point {
    pub(super) at: f64,
    pub(super) value: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

pub(super) struct Series {
    pub(super) name: String,
    /// Gives it its colour.
    pub(super) of: (String, String),
    /// The file system: the first is drawn through, others are dashed.
    pub(super) place: String,
    pub(super) points: Vec<Point>,
}

pub(super) struct Curves<'a> {
    pub(super) title: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    pub(super) series: Vec<Series>,
}

pub(super) struct Bar {
    pub(super) subject: String,
    pub(super) place: String,
    pub(super) value: Point,
}

pub(super) struct Bars<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) all: Vec<Bar>,
}

/// From values to pixels.
struct Scale {
    /// Logarithms.
    values: [f64; 2],
    pixels: [f64; 2],
    /// Where 0 stands.
    zero: f64,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64> + Clone, pixels: [f64; 2]) -> Self {
        let positive = values.clone().filter(|value| *value > 0.0).map(f64::log10);
        let least = positive.clone().reduce(f64::min).unwrap_or(0.0);
        let greatest = positive.reduce(f64::max).unwrap_or(1.0);
        let zero = least - 1.0;
        let low = if values.into_iter().any(|value| value <= 0.0) { zero } else { least };
        Self { values: [low, greatest.max(low + 0.1)], pixels, zero }
    }

    /// Begins and ends at a 1, 2 or 5 of a decade.
    fn round(self) -> Self {
        let [low, high] = self.values;
        let all = steps(low, high);
        let begin = all.iter().rev().find(|step| step.log10() <= low + 1e-9).map_or(low, |step| step.log10());
        let end = all.iter().find(|step| step.log10() >= high - 1e-9).map_or(high, |step| step.log10());
        Self { values: [begin, end], ..self }
    }

    fn at(&self, value: f64) -> f64 {
        let ([low, high], [from, to]) = (self.values, self.pixels);
        let value = if value > 0.0 { value.log10().max(self.zero) } else { self.zero };
        from + (value - low) / (high - low) * (to - from)
    }

    /// Not too many.
    fn ticks(&self) -> Vec<f64> {
        let [low, high] = self.values;
        let within = |step: &f64| (low - 1e-9..=high + 1e-9).contains(&step.log10());
        let all: Vec<_> = steps(low, high).into_iter().filter(within).collect();
        if all.len() <= 7 {
            return all;
        }
        all.into_iter().filter(|step| (step.log10() - step.log10().round()).abs() < 1e-9).collect()
    }
}

/// 1, 2 and 5 of every decade around.
fn steps(low: f64, high: f64) -> Vec<f64> {
    let mut steps = Vec::new();
    let mut decade = low.floor();
    while decade <= high.ceil() {
        steps.extend([1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powf(decade)));
        decade += 1.0;
    }
    steps
}

impl Curves<'_> {
    pub(super) fn svg(&self) -> String {
        let (left, right, bottom) = (84.0, 548.0, 360.0);
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Scale::new(points().map(|point| point.at), [left + 12.0, right - 12.0]);
        let y =
            Scale::new(points().flat_map(|point| [point.least, point.value, point.greatest]), [bottom, TOP]).round();
        let mut body = String::new();
        for tick in y.ticks() {
            body += &rule([left, y.at(tick)], [right, y.at(tick)]);
            body += &text(left - 8.0, y.at(tick) + 4.0, "end", &number(tick));
        }
        for place in once_each(points().map(|point| number(point.at))) {
            let at = points().find(|point| number(point.at) == place).map_or(0.0, |point| x.at(point.at));
            body += &rule([at, bottom], [at, bottom + 5.0]);
            body += &text(at, bottom + 20.0, "middle", &place);
        }
        body += &text(f64::midpoint(left, right), bottom + 40.0, "middle", self.x);
        body += &text(left - 8.0, TOP - 14.0, "end", self.y);
        let mut subjects = once_each(self.series.iter().map(|series| series.of.clone()));
        // It has one colour in all plots.
        subjects.sort_by_key(|(subject, _)| subject != OURS);
        let places = once_each(self.series.iter().map(|series| series.place.clone()));
        let mut line = TOP + 6.0;
        for series in &self.series {
            let colour = colour(&subjects, &series.of);
            let dash = if places.first() == Some(&series.place) { "" } else { " stroke-dasharray=\"5 4\"" };
            body += &series.drawn(&x, &y, colour, dash);
            let stroke = format!("stroke=\"{colour}\" stroke-width=\"2\"{dash}");
            let [from, to] = [right + 14.0, right + 40.0];
            body += &segment([from, line], [to, line], &stroke);
            body += &text(right + 46.0, line + 4.0, "start", &series.name);
            line += 20.0;
        }
        picture(self.title, bottom + 52.0, &body)
    }
}

impl Series {
    fn drawn(&self, x: &Scale, y: &Scale, colour: &str, dash: &str) -> String {
        let places: Vec<_> = self.points.iter().map(|point| (x.at(point.at), y.at(point.value), point)).collect();
        let path: Vec<_> = places.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        let path = path.join(" ");
        let mut body =
            format!("<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>\n");
        for (left, top, point) in places {
            body += &spread([left, y.at(point.least)], [left, y.at(point.greatest)], colour);
            body += &dot([left, top], colour);
        }
        body
    }
}

impl Bars<'_> {
    pub(super) fn svg(&self) -> String {
        let (left, right, high) = (140.0, WIDTH - 80.0, 9.0);
        let mut subjects = once_each(self.all.iter().map(|bar| bar.subject.clone()));
        let least = |subject: &String| {
            let bars = self.all.iter().filter(|bar| bar.subject == *subject);
            bars.map(|bar| bar.value.value).fold(f64::INFINITY, f64::min)
        };
        subjects.sort_by(|one, other| least(one).total_cmp(&least(other)));
        let places = once_each(self.all.iter().map(|bar| bar.place.clone()));
        #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
        let row = |nth: usize, of: f64| nth as f64 * of;
        let step = row(places.len(), high + 1.0) + 8.0;
        let bottom = TOP + row(subjects.len(), step);
        let x =
            Scale::new(self.all.iter().flat_map(|bar| [bar.value.least, bar.value.greatest]), [left, right]).round();
        let mut body = String::new();
        for tick in x.ticks() {
            body += &rule([x.at(tick), TOP], [x.at(tick), bottom]);
            body += &text(x.at(tick), bottom + 16.0, "middle", &number(tick));
        }
        body += &text(right + 14.0, bottom + 16.0, "start", self.unit);
        for bar in &self.all {
            let subject = subjects.iter().position(|subject| *subject == bar.subject).unwrap_or_default();
            let place = places.iter().position(|place| *place == bar.place).unwrap_or_default();
            let top = TOP + row(subject, step) + row(place, high + 1.0) + 3.0;
            if place == 0 {
                let at = [left - 8.0, top + step / 2.0 - 2.0];
                body +=
                    &if bar.subject == OURS { bold(at, "end", OURS) } else { text(at[0], at[1], "end", &bar.subject) };
            }
            let colour = COLOURS[place % COLOURS.len()];
            let wide = x.at(bar.value.value) - left;
            body += &area([left, top], [wide, high], colour);
            let middle = top + high / 2.0;
            body += &spread([x.at(bar.value.least), middle], [x.at(bar.value.greatest), middle], TEXT);
        }
        for (nth, place) in places.iter().enumerate() {
            let from = right - 120.0 + row(nth, 80.0);
            let colour = COLOURS[nth % COLOURS.len()];
            body += &area([from, 30.0], [12.0, high], colour);
            body += &text(from + 17.0, 39.0, "start", place);
        }
        picture(self.title, bottom + 26.0, &body)
    }
}

fn picture(title: &str, height: f64, body: &str) -> String {
    let font = "font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"12\"";
    let size = format!("viewBox=\"0 0 {WIDTH} {height}\"");
    let heading = bold([12.0, 18.0], "start", title);
    let title = escaped(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" {size} role=\"img\" {font}>\n<title>{title}</title>\n{heading}{body}</svg>\n"
    )
}

fn rule(from: [f64; 2], to: [f64; 2]) -> String {
    segment(from, to, &format!("stroke=\"{TEXT}\" stroke-opacity=\"0.35\""))
}

/// From the least to the greatest of the rounds.
fn spread(from: [f64; 2], to: [f64; 2], colour: &str) -> String {
    segment(from, to, &format!("stroke=\"{colour}\" stroke-width=\"1.5\" stroke-opacity=\"0.6\""))
}

fn segment([x1, y1]: [f64; 2], [x2, y2]: [f64; 2], stroke: &str) -> String {
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {stroke}/>\n")
}

fn dot([x, y]: [f64; 2], colour: &str) -> String {
    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>\n")
}

fn area([x, y]: [f64; 2], [width, height]: [f64; 2], colour: &str) -> String {
    format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>\n")
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    let text = escaped(text);
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{TEXT}\">{text}</text>\n")
}

fn bold([x, y]: [f64; 2], anchor: &str, bold: &str) -> String {
    text(x, y, anchor, bold).replacen("<text", "<text font-weight=\"bold\"", 1)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// `0.5`, `20`, `1,000`.
fn number(value: f64) -> String {
    let digits = if value < 1.0 { format!("{value:.3}") } else { format!("{value:.0}") };
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { &digits };
    if digits.contains('.') {
        return digits.to_owned();
    }
    let mut grouped = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn colour<T: PartialEq>(all: &[T], one: &T) -> &'static str {
    COLOURS[all.iter().position(|it| it == one).unwrap_or_default() % COLOURS.len()]
}
