//! Curves as an SVG picture, by a few lines of our own: panels two abreast over one logarithmic
//! axis, each with a linear axis from zero.

use std::fmt::Write as _;

/// A named curve.
pub struct Line {
    /// Empty where a panel has one line.
    pub name: String,
    /// Positive abscissas, rising, and their values.
    pub points: Vec<(f64, f64)>,
}

/// One picture of several curves.
pub struct Panel {
    /// What is drawn, with its unit.
    pub title: String,
    /// The curves.
    pub lines: Vec<Line>,
}

const WIDTH: f64 = 430.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 15.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLUMNS: usize = 2;
const COLOURS: [&str; 4] = ["#0b5fa5", "#b4430b", "#2a7d2e", "#6b3fa0"];
/// Lines are told apart without colours, too.
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "9 3 2 3"];

/// The picture; `abscissa` names the axis that all panels share.
pub fn svg(abscissa: &str, panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (at, panel) in panels.iter().enumerate() {
        let (x, y) = ((at % COLUMNS) as f64 * WIDTH, (at / COLUMNS) as f64 * HEIGHT);
        writeln!(out, "<g transform=\"translate({x} {y})\">").expect("text grows");
        draw(&mut out, abscissa, panel);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, abscissa: &str, panel: &Panel) {
    let all = || panel.lines.iter().flat_map(|line| line.points.iter().copied());
    let least = all().map(|(x, _)| x).fold(f64::INFINITY, f64::min);
    let most = all().map(|(x, _)| x).fold(0.0, f64::max);
    let top = round_up(all().map(|(_, y)| y).fold(0.0, f64::max));
    // One size alone stands in the middle.
    let decades = (most / least).log10();
    let across = |x: f64| {
        let share = if decades > 0.0 { (x / least).log10() / decades } else { 0.5 };
        LEFT + share * (WIDTH - LEFT - RIGHT)
    };
    let down = |y: f64| HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM);
    let mut put = |line: String| writeln!(out, "{line}").expect("text grows");
    put(format!(
        "<text x=\"{LEFT}\" y=\"18\" font-weight=\"bold\">{}</text>",
        escaped(&panel.title)
    ));
    for part in 0..=4 {
        let value = top * f64::from(part) / 4.0;
        let (y, end) = (down(value), WIDTH - RIGHT);
        put(format!("<path d=\"M{LEFT} {y:.1}H{end}\" stroke=\"#ddd\"/>"));
        let (x, y) = (LEFT - 6.0, y + 4.0);
        put(format!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", short(value)));
    }
    let mut marked: Vec<f64> = all().map(|(x, _)| x).collect();
    marked.sort_by(f64::total_cmp);
    marked.dedup();
    for x in marked {
        let (at, y) = (across(x), HEIGHT - BOTTOM + 16.0);
        put(format!("<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", short(x)));
    }
    let (x, y) = (WIDTH - RIGHT, HEIGHT - BOTTOM + 32.0);
    put(format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>", escaped(abscissa)));
    for (at, line) in panel.lines.iter().enumerate() {
        let colour = format!("stroke=\"{}\"", COLOURS[at % COLOURS.len()]);
        let style = format!("{colour} stroke-dasharray=\"{}\"", DASHES[at % DASHES.len()]);
        let place = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", across(*x), down(*y));
        let places: Vec<String> = line.points.iter().map(place).collect();
        let places = places.join(" ");
        put(format!("<polyline points=\"{places}\" fill=\"none\" stroke-width=\"2\" {style}/>"));
        for (x, y) in &line.points {
            let (x, y) = (across(*x), down(*y));
            put(format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"white\" {colour}/>"));
        }
        if !line.name.is_empty() {
            let (from, to, y) = (LEFT + 8.0, LEFT + 32.0, TOP + 6.0 + 14.0 * at as f64);
            put(format!("<path d=\"M{from} {y}H{to}\" stroke-width=\"2\" {style}/>"));
            let (x, y) = (to + 6.0, y + 4.0);
            put(format!("<text x=\"{x}\" y=\"{y}\">{}</text>", escaped(&line.name)));
        }
    }
}

/// The next of 1, 2, 4, 5, 8 times a power of ten: a top whose quarters are easy to read.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value).unwrap_or(10.0 * power)
}

fn short(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e4 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let text = format!("{value:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
