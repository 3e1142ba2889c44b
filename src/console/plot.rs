//! Figures drawn on the server: numbers over time as stacked areas, stacked bars or lines, each with the table it was drawn from.
//!
//! Only shapes are SVG, stretched to whatever room there is; words and numbers around them are text of the page, and keep their size.

use std::fmt::Write as _;

use askama::Template;
use time::Date;

use crate::domain::wording::{self, Tongue};

/// The drawing's own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// How numbers of a moment become shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One upon the other, from moment to moment: how a whole is made up.
    Areas,
    /// One upon the other, a moment by itself.
    Bars,
    /// Beside each other, from moment to moment.
    Lines,
}

/// One kind of thing that is counted.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it is, in words.
    pub name: String,
    /// Its colour: a class `s-…` and `k-…` of the style.
    pub tone: &'static str,
    /// One number for each moment of the plot.
    pub values: Vec<i64>,
}

/// The moments of a figure.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What they are, over their column of the table.
    pub name: &'static str,
    /// Where each is, ascending, in the axis's own unit from its beginning.
    pub at: Vec<f64>,
    /// What each is called.
    pub names: Vec<String>,
    /// How long the axis is.
    pub length: f64,
    /// What its first and its last moment are called.
    pub ends: [String; 2],
}

impl Axis {
    /// Of days; those between them were not counted. `span`: the first and the last day of the axis.
    pub fn days(days: &[Date], span: (Date, Date), t: Tongue) -> Self {
        let since = |day: Date| f64::from(day.to_julian_day() - span.0.to_julian_day());
        Self {
            name: t.pick("Ngày", "Day"),
            at: days.iter().map(|day| since(*day)).collect(),
            names: days.iter().map(|day| wording::day(*day)).collect(),
            length: since(span.1).max(0.0),
            ends: [span.0, span.1].map(wording::day),
        }
    }
}

/// A figure. What is drawn first stands at the bottom.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// How.
    pub shape: Shape,
    /// When.
    pub axis: Axis,
    /// What is counted.
    pub series: Vec<Series>,
}

#[derive(Debug, Template)]
#[template(path = "console/plot.html")]
struct Drawing<'a> {
    t: Tongue,
    plot: &'a Plot,
    /// In words, for who does not see it.
    label: String,
    paths: Vec<(&'static str, String)>,
    is_lines: bool,
    /// From the top down.
    ticks: [String; 3],
    rows: Vec<(&'a str, Vec<String>)>,
}

impl Plot {
    /// The figure as HTML. Empty when it cannot be written, which is logged.
    pub fn html(&self, t: Tongue) -> String {
        let top = self.top();
        let number = |value: i64| wording::number(value, t);
        let rows = self.axis.names.iter().enumerate().rev().map(|(at, name)| {
            let cells = self.series.iter().map(|one| number(one.at(at)));
            (name.as_str(), cells.collect())
        });
        let drawing = Drawing {
            t,
            plot: self,
            label: self.label(t),
            paths: self.paths(top),
            is_lines: self.shape == Shape::Lines,
            ticks: [number(top), number(top / 2), number(0)],
            rows: rows.collect(),
        };
        drawing.render().unwrap_or_else(|error| {
            tracing::error!(%error, "a figure could not be written");
            String::new()
        })
    }

    /// What it shows, and where it ends: the newest number of each.
    fn label(&self, t: Tongue) -> String {
        let mut label = self.title.clone();
        if let Some((last, name)) = self.axis.names.iter().enumerate().next_back() {
            let _ = write!(label, ". {name}:");
            for one in &self.series {
                let _ = write!(label, " {} {};", one.name, wording::number(one.at(last), t));
            }
        }
        label
    }

    /// A round number that nothing exceeds; its half is a whole number too.
    fn top(&self) -> i64 {
        let highest = (0..self.axis.at.len())
            .map(|at| match self.shape {
                Shape::Areas | Shape::Bars => self.series.iter().map(|one| one.at(at)).sum(),
                Shape::Lines => self.series.iter().map(|one| one.at(at)).max().unwrap_or(0),
            })
            .max()
            .unwrap_or(0);
        let mut unit = 1;
        loop {
            if let Some(top) =
                [2, 4, 6, 8, 10].map(|n| n * unit).into_iter().find(|top| *top >= highest)
            {
                return top;
            }
            unit *= 10;
        }
    }

    fn paths(&self, top: i64) -> Vec<(&'static str, String)> {
        let mut floor = vec![0; self.axis.at.len()];
        let mut paths = Vec::new();
        for one in &self.series {
            let roof: Vec<i64> = match self.shape {
                Shape::Areas | Shape::Bars => {
                    floor.iter().enumerate().map(|(at, below)| below + one.at(at)).collect()
                }
                Shape::Lines => (0..self.axis.at.len()).map(|at| one.at(at)).collect(),
            };
            let path = match self.shape {
                Shape::Areas => self.area(&floor, &roof, top),
                Shape::Bars => self.bars(&floor, &roof, top),
                Shape::Lines => self.line(&roof, top),
            };
            paths.push((one.tone, path));
            floor = roof;
        }
        paths
    }

    fn area(&self, floor: &[i64], roof: &[i64], top: i64) -> String {
        let there = roof.iter().enumerate().map(|(at, value)| (self.x(at), y(*value, top)));
        let back = floor.iter().enumerate().rev().map(|(at, value)| (self.x(at), y(*value, top)));
        match self.axis.at.len() {
            0 => String::new(),
            // One day alone is as wide as the figure: an area without width is nothing to see.
            1 => {
                let (low, high) = (y(floor[0], top), y(roof[0], top));
                polygon([(0.0, low), (0.0, high), (WIDTH, high), (WIDTH, low)].into_iter())
            }
            _ => polygon(there.chain(back)),
        }
    }

    fn bars(&self, floor: &[i64], roof: &[i64], top: i64) -> String {
        let wide = WIDTH / (self.axis.length + 1.0) * 0.8;
        let bars = (0..self.axis.at.len()).filter(|at| roof[*at] > floor[*at]).map(|at| {
            let (low, high) = (y(floor[at], top), y(roof[at], top));
            let left = self.x(at) - wide / 2.0;
            polygon(
                [(left, low), (left, high), (left + wide, high), (left + wide, low)].into_iter(),
            )
        });
        bars.collect()
    }

    fn line(&self, values: &[i64], top: i64) -> String {
        let points = values.iter().enumerate().map(|(at, value)| (self.x(at), y(*value, top)));
        match values {
            [only] => format!("M0 {0:.2}L{WIDTH} {0:.2}", y(*only, top)),
            _ => along(points),
        }
    }

    /// Areas and lines go from edge to edge; a bar stands in the middle of its day.
    fn x(&self, at: usize) -> f64 {
        let (since, length) = (self.axis.at[at], self.axis.length);
        match self.shape {
            Shape::Bars => (since + 0.5) / (length + 1.0) * WIDTH,
            Shape::Areas | Shape::Lines => since / length.max(f64::MIN_POSITIVE) * WIDTH,
        }
    }
}

impl Series {
    fn at(&self, index: usize) -> i64 {
        self.values.get(index).copied().unwrap_or(0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of devices, drawn")]
fn y(value: i64, top: i64) -> f64 {
    HEIGHT - value as f64 / top as f64 * HEIGHT
}

fn along(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (at, (x, y)) in points.enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.2}", if at == 0 { 'M' } else { 'L' });
    }
    path
}

fn polygon(points: impl Iterator<Item = (f64, f64)>) -> String {
    along(points) + "Z"
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    fn plot(shape: Shape, values: &[&[i64]]) -> Plot {
        let (first, last) = (date!(2026 - 11 - 20), date!(2026 - 11 - 22));
        let series = values.iter().map(|values| Series {
            name: "<Android>".into(),
            tone: "p1",
            values: values.to_vec(),
        });
        let days = [first, date!(2026 - 11 - 21), last];
        Plot {
            title: "Thiết bị".into(),
            shape,
            axis: Axis::days(&days, (first, last), Tongue::Vi),
            series: series.collect(),
        }
    }

    #[test]
    fn areas_stand_on_one_another_and_the_axis_is_round() {
        let plot = plot(Shape::Areas, &[&[0, 500, 1000], &[0, 0, 400]]);
        assert_eq!(plot.top(), 2000);
        let paths = plot.paths(2000);
        assert_eq!(
            paths[1].1,
            "M0.0 100.00L500.0 75.00L1000.0 30.00L1000.0 50.00L500.0 75.00L0.0 100.00Z"
        );
    }

    #[test]
    fn a_bar_stands_in_its_day_and_nothing_is_drawn_of_nothing() {
        let plot = plot(Shape::Bars, &[&[0, 2, 0]]);
        assert_eq!(plot.paths(2)[0].1, "M366.7 100.00L366.7 0.00L633.3 0.00L633.3 100.00Z");
    }

    #[test]
    fn words_are_escaped_numbers_are_ours_and_no_style_is_inline() {
        let html = plot(Shape::Lines, &[&[412_331, 1, 2]]).html(Tongue::Vi);
        assert!(html.contains("600.000") && html.contains("412.331"), "{html}");
        assert!(
            html.contains("role=\"img\"") && html.contains("aria-label=\"Thiết bị. 22/11/2026:")
        );
        assert!(!html.contains("<Android>") && !html.contains("style="), "{html}");
    }

    #[test]
    fn one_day_alone_is_seen() {
        for shape in [Shape::Areas, Shape::Bars, Shape::Lines] {
            let mut plot = plot(shape, &[&[3]]);
            let day = date!(2026 - 11 - 20);
            plot.axis = Axis::days(&[day], (day, day), Tongue::Vi);
            let path = &plot.paths(4)[0].1;
            assert!(path.contains("25.00") && path.contains('L'), "{shape:?}: {path}");
        }
    }
}
