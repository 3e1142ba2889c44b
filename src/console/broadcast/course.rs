//! How a broadcast has gone: when how many devices had been reached, drawn, and beside what was forecast.

use askama::Template;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::broadcast::progress::Progress;
use crate::console::plot::{Axis, Plot, Series, Shape};
use crate::domain::report::length;
use crate::domain::wording::Tongue;
use crate::store::StoreError;
use crate::store::broadcast::{self, Reached};

/// A tail of late devices must not press what came before against the edge: of a time of one to 99 of 100 devices, a quarter more is drawn.
const DRAWN_BEYOND: f64 = 1.25;

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CourseView {
    /// Devices over time, as HTML; nothing before there are two moments.
    plot: Option<String>,
    /// Which devices, when it was forecast, when it was.
    rows: Vec<(&'static str, String, String)>,
}

#[derive(Debug, Template)]
#[template(path = "console/course.html")]
struct CoursePart<'a> {
    t: Tongue,
    course: &'a CourseView,
}

/// Reads it; nothing before the first device was reached.
pub async fn read(
    pool: &PgPool,
    progress: &Progress,
    t: Tongue,
) -> Result<Option<CourseView>, StoreError> {
    let Some(first) = progress.first_push_at else { return Ok(None) };
    let mut conn = pool.acquire().await?;
    let reached = broadcast::reached(&mut conn, progress.id).await?;
    let found = broadcast::find(&mut conn, progress.id).await?;
    let forecast = found.and_then(|found| found.forecast);
    let begun = progress.begins_at.unwrap_or(progress.created_at);
    Ok(Some(CourseView {
        plot: plot(&reached, begun, t),
        rows: rows(progress, &reached, begun, first, forecast, t),
    }))
}

impl CourseView {
    /// As HTML. Empty when it cannot be written, which is logged.
    pub fn html(&self, t: Tongue) -> String {
        CoursePart { t, course: self }.render().unwrap_or_else(|error| {
            tracing::error!(%error, "the course of a broadcast could not be written");
            String::new()
        })
    }
}

fn since(begun: OffsetDateTime, at: OffsetDateTime) -> f64 {
    (at - begun).as_seconds_f64().max(0.0)
}

fn rows(
    progress: &Progress,
    reached: &[Reached],
    begun: OffsetDateTime,
    first: OffsetDateTime,
    forecast: Option<[f64; 3]>,
    t: Tongue,
) -> Vec<(&'static str, String, String)> {
    let none = || "–".to_owned();
    let expected = |place: usize| forecast.map_or_else(none, |all| after(all[place], t));
    let noted = |percent: i16| {
        let found = reached.iter().find(|moment| moment.percent >= percent);
        found.map_or_else(none, |moment| after(since(begun, moment.at), t))
    };
    let whole = progress.completed_at.filter(|_| progress.stopped_at.is_none());
    vec![
        (t.pick("máy đầu tiên", "the first device"), none(), after(since(begun, first), t)),
        (t.pick("50 % thiết bị", "50 % of devices"), expected(0), noted(50)),
        (t.pick("99 % thiết bị", "99 % of devices"), expected(1), noted(99)),
        (
            t.pick("máy cuối cùng", "the last device"),
            expected(2),
            whole.map_or_else(none, |at| after(since(begun, at), t)),
        ),
    ]
}

/// *1,4 giây*, and two units beyond ten seconds.
fn after(seconds: f64, t: Tongue) -> String {
    if seconds >= 9.95 || seconds <= 0.0 {
        return length(seconds, t);
    }
    let said = format!("{seconds:.1}");
    match t {
        Tongue::Vi => format!("{} giây", said.replace('.', ",")),
        Tongue::En => format!("{said} s"),
    }
}

fn plot(reached: &[Reached], begun: OffsetDateTime, t: Tongue) -> Option<String> {
    let nearly_all = reached.iter().find(|moment| moment.percent >= 99);
    let end = nearly_all.map_or(f64::INFINITY, |moment| since(begun, moment.at) * DRAWN_BEYOND);
    // From nothing at its beginning; moments of which only the share was noted are left out.
    let noted = reached
        .iter()
        .filter_map(|moment| Some((since(begun, moment.at), moment.settled?, moment.accepted?)));
    let drawn: Vec<(f64, i64, i64)> =
        std::iter::once((0.0, 0, 0)).chain(noted.filter(|(at, ..)| *at <= end)).collect();
    let (last, ..) = *drawn.last().filter(|_| drawn.len() > 2)?;
    let series = |name: &str, tone, values| Series { name: name.to_owned(), tone, values };
    let plot = Plot {
        title: t.pick("Thiết bị theo thời gian", "Devices over time").to_owned(),
        shape: Shape::Lines,
        axis: Axis {
            name: t.pick("Sau", "After"),
            at: drawn.iter().map(|(at, ..)| *at).collect(),
            names: drawn.iter().map(|(at, ..)| after(*at, t)).collect(),
            length: last,
            ends: [after(0.0, t), after(last, t)],
        },
        series: vec![
            series(
                t.pick("Đã nhận", "Accepted"),
                "accepted",
                drawn.iter().map(|(.., accepted)| *accepted).collect(),
            ),
            series(
                t.pick("Đã có kết quả cuối", "With a final outcome"),
                "settled",
                drawn.iter().map(|(_, settled, _)| *settled).collect(),
            ),
        ],
    };
    Some(plot.html(t))
}
