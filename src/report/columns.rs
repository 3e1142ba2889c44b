//! The columns of files: which figures, under which heads.

use time::OffsetDateTime;

use super::{Report, lane_name};
use crate::domain::report::{Figure, Stat, Timed};
use crate::domain::wording::{self, Tongue};
use crate::store::report::Line;

/// The columns of an alert before its figures: the last three are moments.
pub(super) const LINE_HEAD: [(&str, &str); 11] = [
    ("Mã tin", "Id"),
    ("Tiêu đề", "Headline"),
    ("Là", "What it is"),
    ("Cơ quan", "Agency"),
    ("Loại", "Category"),
    ("Luồng", "Lane"),
    ("Cấp độ", "Level"),
    ("Trạng thái", "State"),
    ("Gửi duyệt lúc", "Submitted at"),
    ("Quyết định lúc", "Decided at"),
    ("Phát lúc", "Sent at"),
];

/// The figures of one alert. Each of its lengths of time is one, so that the longest is it.
pub(super) const LINE_FIGURES: [Figure; 17] = [
    Figure::Time(Timed::Decision, Stat::Longest),
    Figure::Devices,
    Figure::Accepted,
    Figure::Gone,
    Figure::Refused,
    Figure::Failed,
    Figure::Unknown,
    Figure::Expired,
    Figure::Stopped,
    Figure::Withdrawn,
    Figure::Pending,
    Figure::Time(Timed::Half, Stat::Longest),
    Figure::Time(Timed::NearlyAll, Stat::Longest),
    Figure::Time(Timed::Whole, Stat::Longest),
    Figure::ShownReports,
    Figure::Shown,
    Figure::ShownOf,
];

/// The words about an alert.
pub(super) fn lead(report: &Report, line: &Line, t: Tongue) -> [String; 8] {
    [
        line.id.to_string(),
        line.headline.clone(),
        wording::purpose(line.purpose, t).to_owned(),
        report.agency(line.agency).to_owned(),
        wording::category(line.category, t).to_owned(),
        lane_name(line.lane, t).to_owned(),
        line.risk_level.map(|level| level.to_string()).unwrap_or_default(),
        wording::state(line.state, t).to_owned(),
    ]
}

/// When it was submitted, decided and sent.
pub(super) fn moments(line: &Line) -> [Option<OffsetDateTime>; 3] {
    [line.submitted_at, line.decided_at, line.published_at]
}

/// A figure's name over a column of plain numbers.
pub(super) fn title(figure: Figure, t: Tongue) -> String {
    match figure {
        Figure::Time(..) => seconds(&figure.name(t), t),
        _ => figure.name(t),
    }
}

/// The same over the figures of single alerts.
pub(super) fn line_title(figure: Figure, t: Tongue) -> String {
    match figure {
        Figure::Time(timed, _) => seconds(timed.name(t), t),
        _ => figure.name(t),
    }
}

fn seconds(name: &str, t: Tongue) -> String {
    format!("{name} ({})", t.pick("giây", "seconds"))
}
