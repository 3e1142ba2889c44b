//! Charts as SVG, readable without their colours and in the dark: bars below each other, and lines with their names at their ends.

use std::fmt::Write as _;

/// One bar.
pub struct Bar {
    /// What it is.
    pub name: &'static str,
    /// How long it is.
    pub value: f64,
    /// Its share of what it is compared with; none for what others are compared with.
    pub share: Option<f64>,
}

const LEFT: f64 = 190.0;
const WIDTH: f64 = 420.0;
const STEP: f64 = 30.0;

/// Draws bars below each other, to one scale.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    let longest = bars.iter().map(|bar| bar.value).fold(1.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
    let height = bars.len() as f64 * STEP + 50.0;
    let mut svg = head(title, height);
    let _ = writeln!(svg, r#"<text x="12" y="24" font-weight="600">{title}</text>"#);
    for (row, bar) in bars.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
        let y = 40.0 + row as f64 * STEP;
        let width = bar.value / longest * WIDTH;
        let class = if bar.share.is_some() || bar.name.starts_with("loa") { "ours" } else { "top" };
        let share = bar.share.map(|share| format!(" · {share:.2}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            r#"<text x="12" y="{text:.0}">{name}</text><rect class="{class}" x="{LEFT}" y="{y:.0}" width="{width:.1}" height="20" rx="2"/><text x="{end:.1}" y="{text:.0}">{value:.0}{share}</text>"#,
            text = y + 15.0,
            name = bar.name,
            end = LEFT + width + 8.0,
            value = bar.value,
            share = share.unwrap_or_default(),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Lines over one pair of axes.
pub struct Panel {
    /// What is shown.
    pub title: String,
    /// Along the bottom, from left to right.
    pub x: Axis,
    /// Along the side, from the bottom up.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One axis.
pub struct Axis {
    /// What it counts, with its unit.
    pub name: &'static str,
    /// Powers of ten at equal distances; otherwise even, from nought.
    pub by_tens: bool,
}

/// One line.
pub struct Line {
    /// Stands at its end.
    pub name: String,
    /// Drawn broken: for what is compared with the others.
    pub broken: bool,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

const PANEL: f64 = 330.0;
const FIELD: Field = Field { left: 64.0, right: 570.0, top: 44.0, bottom: 280.0 };
/// The least distance of two names.
const APART: f64 = 15.0;
const SHADES: [&str; 6] = ["#b3261e", "#1f6feb", "#2e7d32", "#8a5cc2", "#b26a00", "#5f6b7a"];

struct Field {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// From values to places on an axis.
struct Scale {
    by_tens: bool,
    least: f64,
    most: f64,
}

impl Scale {
    fn over(axis: &Axis, values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            (least, most) = (least.min(value), most.max(value));
        }
        if axis.by_tens {
            let least = if least > 0.0 { least.log10().floor() } else { 0.0 };
            let most = if most > 0.0 { most.log10().ceil() } else { 1.0 };
            return Self { by_tens: true, least, most: most.max(least + 1.0) };
        }
        let most = if most > 0.0 { most } else { 1.0 };
        let step = step(most);
        Self { by_tens: false, least: 0.0, most: (most / step).ceil() * step }
    }

    /// 0 at the beginning, 1 at the end.
    fn place(&self, value: f64) -> f64 {
        let value = if self.by_tens { value.max(1e-9).log10() } else { value };
        (value - self.least) / (self.most - self.least)
    }

    fn ticks(&self) -> Vec<f64> {
        let step = if self.by_tens { 1.0 } else { step(self.most) };
        let mut ticks = Vec::new();
        let mut at = self.least;
        while at <= self.most + step / 1e3 {
            ticks.push(if self.by_tens { 10_f64.powf(at) } else { at });
            at += step;
        }
        ticks
    }
}

/// 1, 2 or 5 of a power of ten: four to ten steps to `most`.
fn step(most: f64) -> f64 {
    let ten = 10_f64.powf(most.log10().floor());
    match most / ten {
        share if share < 2.0 => ten / 5.0,
        share if share < 5.0 => ten / 2.0,
        _ => ten,
    }
}

/// Draws panels below each other.
pub fn panels(title: &str, panels: &[Panel]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a handful of panels")]
    let mut svg = head(title, panels.len() as f64 * PANEL);
    for (index, panel) in panels.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a handful of panels")]
        let below = index as f64 * PANEL;
        // Writing to a String cannot fail.
        let _ = writeln!(svg, r#"<g transform="translate(0 {below:.0})">"#);
        draw(&mut svg, panel);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel) {
    let Field { left, right, top, bottom } = FIELD;
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let x = Scale::over(&panel.x, points().map(|(x, _)| *x));
    let y = Scale::over(&panel.y, points().map(|(_, y)| *y));
    let across = |value: f64| left + x.place(value) * (right - left);
    let up = |value: f64| bottom - y.place(value) * (bottom - top);
    let _ = writeln!(svg, r#"<text x="12" y="24" font-weight="600">{}</text>"#, panel.title);
    for tick in y.ticks() {
        let (at, name) = (up(tick), short(tick));
        let _ = writeln!(
            svg,
            r#"<path class="grid" d="M{left} {at:.1}H{right}"/><text x="{:.0}" y="{:.1}" text-anchor="end">{name}</text>"#,
            left - 6.0,
            at + 4.0,
        );
    }
    for tick in x.ticks() {
        let (at, name) = (across(tick), short(tick));
        let _ = writeln!(
            svg,
            r#"<path class="grid" d="M{at:.1} {top}V{bottom}"/><text x="{at:.1}" y="{:.0}" text-anchor="middle">{name}</text>"#,
            bottom + 18.0,
        );
    }
    let (middle, under) = (f64::midpoint(left, right), bottom + 38.0);
    let _ = writeln!(
        svg,
        r#"<text x="{middle:.0}" y="{under:.0}" text-anchor="middle">{}</text><text x="{left}" y="{:.0}">{}</text>"#,
        panel.x.name,
        top - 6.0,
        panel.y.name,
    );
    for (line, shade) in panel.lines.iter().zip(SHADES.iter().cycle()) {
        let path: Vec<String> =
            line.points.iter().map(|(x, y)| format!("{:.1} {:.1}", across(*x), up(*y))).collect();
        let broken = if line.broken { r#" stroke-dasharray="6 4""# } else { "" };
        let path = path.join("L");
        let _ = writeln!(
            svg,
            r#"<path d="M{path}" fill="none" stroke="{shade}" stroke-width="2"{broken}/>"#
        );
    }
    names(svg, &panel.lines, up);
}

/// The names at the lines' ends, moved apart where they would lie over each other.
fn names(svg: &mut String, lines: &[Line], up: impl Fn(f64) -> f64) {
    let ends = lines.iter().zip(SHADES.iter().cycle());
    let mut ends: Vec<(f64, &str, &str)> = ends
        .filter_map(|(line, shade)| Some((up(line.points.last()?.1), line.name.as_str(), *shade)))
        .collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = f64::NEG_INFINITY;
    for (at, name, shade) in ends {
        let at = at.max(free);
        free = at + APART;
        let (x, y) = (FIELD.right + 8.0, at + 4.0);
        let _ = writeln!(
            svg,
            r#"<text x="{x:.0}" y="{y:.1}"><tspan style="fill:{shade}">■</tspan> {name}</text>"#
        );
    }
}

fn head(title: &str, height: f64) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="{title}">
<style>text{{fill:#1b1b1b}}.top{{fill:#9aa5b1}}.ours{{fill:#b3261e}}.grid{{stroke:#9aa5b1;stroke-opacity:.35}}@media(prefers-color-scheme:dark){{text{{fill:#eee}}}}</style>
"#
    )
}

/// 1200 → 1.2k, 5000000 → 5M.
fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        large if large >= 1e6 => (value / 1e6, "M"),
        middle if middle >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{value:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_on_a_tick_and_a_power_of_ten_is_a_step() {
        let even = Axis { name: "MB", by_tens: false };
        let scale = Scale::over(&even, [3.0, 63.0].into_iter());
        assert_eq!((scale.least, scale.most), (0.0, 70.0));
        assert_eq!(scale.ticks().len(), 8);
        let tens = Axis { name: "devices", by_tens: true };
        let scale = Scale::over(&tens, [1e4, 1e8].into_iter());
        assert_eq!(scale.ticks().len(), 5);
        assert!((scale.place(1e6) - 0.5).abs() < 1e-9);
        assert_eq!([short(0.1), short(2_500.0), short(1e8)], ["0.1", "2.5k", "100M"]);
    }
}
