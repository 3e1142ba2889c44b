//! A bar chart as SVG, readable without its colours and in the dark.

use std::fmt::Write as _;

/// One bar.
pub struct Bar {
    /// What it is.
    pub name: &'static str,
    /// How long it is.
    pub value: f64,
    /// What it is compared with; none for what others are compared with.
    pub of: Option<f64>,
}

const LEFT: f64 = 190.0;
const WIDTH: f64 = 420.0;
const STEP: f64 = 30.0;

/// Draws bars below each other, to one scale.
pub fn draw(bars: &[Bar]) -> String {
    let longest = bars.iter().map(|bar| bar.value).fold(1.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
    let height = bars.len() as f64 * STEP + 50.0;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="Pushes a second">
<style>text{{fill:#1b1b1b}}.top{{fill:#9aa5b1}}.ours{{fill:#b3261e}}@media(prefers-color-scheme:dark){{text{{fill:#eee}}}}</style>
<text x="12" y="24" font-weight="600">Requests a second, whole path beside its ceiling</text>
"#
    );
    for (row, bar) in bars.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
        let y = 40.0 + row as f64 * STEP;
        let width = bar.value / longest * WIDTH;
        let class = if bar.of.is_some() || bar.name.starts_with("loa") { "ours" } else { "top" };
        let share = bar.of.map(|of| format!(" · {:.0} %", bar.value / of * 100.0));
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
